"""Split-half reliability of item means over participants."""

import numpy as np
from numpy.typing import NDArray

from handan.errors import UserError

Array = NDArray[np.float64]

INTERVAL_RESAMPLES = 1000
INTERVAL_SPLITS = 500


def split_half_reliability(
    values_participant_item: Array,
    counts_participant_item: Array,
    splits: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Reliability of the item means, with a 95 % interval.

    Participants are divided at random into two halves. In each half every item has the mean of its
    trials; r is Pearson's correlation of the two means over the items that both halves answered;
    the reliability of the whole is 2 r / (1 + r) (Spearman, 1910; Brown, 1910). The figure is the
    mean over ``splits`` random divisions. Nothing is clipped: it may be negative.

    The interval is the 2.5th to 97.5th percentile over 1,000 bootstrap samples of the items, each
    averaged over the first 500 divisions.

    Args:
        values_participant_item: sums of log response times, shape (participants, items).
        counts_participant_item: numbers of trials behind the sums, same shape.
        splits: number of random divisions.
        rng: source of randomness.

    Returns:
        reliability, lower and upper end of the interval.

    Raises:
        UserError: fewer than four participants, or halves with fewer than three items in common.
    """
    num_participants, num_items = counts_participant_item.shape
    if num_participants < 4:
        raise UserError("reliability needs at least four participants; give more trials")
    # Centring changes no correlation and keeps the sums of squares below accurate.
    centre = values_participant_item.sum() / counts_participant_item.sum()
    values = values_participant_item - counts_participant_item * centre
    ranks = rng.random((splits, num_participants)).argsort(axis=1).argsort(axis=1)
    half = (ranks < num_participants // 2).astype(float)
    means = []
    for members_split_participant in (half, 1 - half):
        totals = members_split_participant @ values
        counts = members_split_participant @ counts_participant_item
        means.append(np.where(counts > 0, totals / np.maximum(counts, 1), np.nan))
    first, second = means
    shared = np.isfinite(first) & np.isfinite(second)
    if shared.sum(axis=1).min() < 3:
        raise UserError("reliability needs three items in both halves; give more trials")
    everything = np.ones((1, num_items))
    reliability = float(_corrected(everything, first, second).mean())
    draws = rng.integers(num_items, size=(INTERVAL_RESAMPLES, num_items))
    weights = np.stack([np.bincount(draw, minlength=num_items) for draw in draws]).astype(float)
    few = slice(None, INTERVAL_SPLITS)
    resampled = _corrected(weights, first[few], second[few]).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return reliability, float(low), float(high)


def _corrected(weights_resample_item: Array, first: Array, second: Array) -> Array:
    """Spearman-Brown corrected correlations, shape (resamples, splits).

    ``first`` and ``second`` have shape (splits, items); an item that is NaN in either is left out
    of that split. The weights say how often a resample holds an item.
    """
    shared = np.isfinite(first) & np.isfinite(second)
    x = np.where(shared, first, 0.0)
    y = np.where(shared, second, 0.0)
    n = weights_resample_item @ shared.T.astype(float)
    sums = {name: weights_resample_item @ v.T for name, v in {"x": x, "y": y}.items()}
    squares_x = weights_resample_item @ (x * x).T - sums["x"] ** 2 / n
    squares_y = weights_resample_item @ (y * y).T - sums["y"] ** 2 / n
    products = weights_resample_item @ (x * y).T - sums["x"] * sums["y"] / n
    r = products / np.sqrt(squares_x * squares_y)
    return np.asarray(2 * r / (1 + r))
