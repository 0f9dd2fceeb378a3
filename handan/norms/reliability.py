"""Item means: their split-half reliability, and means without who saw which item.

Where people answer different items, an item's mean log time also says how fast the people were
who happened to see it; centred log times are without that (README.md, *Centred means*).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan.norms.trials import Trial

Array = NDArray[np.float64]
Groups = NDArray[np.intp]  # group of every trial, from 0

INTERVAL_SPLITS = 500
# Below this most of the differences between items are noise, and so is what is divided by it.
MIN_RELIABILITY = 0.3
# Numbers held at once while dividing: 16 MB for each temporary array.
_CHUNK = 2_000_000


class Reliability(NamedTuple):
    """A reliability with its 95 % interval; None where it is undefined."""

    value: float | None = None  # neither clipped nor made positive
    low: float | None = None
    high: float | None = None
    why: str = ""  # something is undefined, or left out of the interval; else empty


def split_half_reliability(
    values_participant_item: Array,
    counts_participant_item: Array,
    splits: int,
    rng: np.random.Generator,
) -> Reliability:
    """Compute the reliability of the item means, with a 95 % interval.

    Participants are divided at random into two halves. In each half every item has the mean of its
    trials; r is Pearson's correlation of the two means over the items that both halves answered;
    the reliability of the whole is 2 r / (1 + r) (Spearman, 1910; Brown, 1910). The figure is the
    mean over ``splits`` random divisions. Nothing is clipped: it may be negative.

    The interval is the 2.5th to 97.5th percentile over 1,000 bootstrap samples of the items, each
    averaged over the first 500 divisions.

    The figure is undefined with under four participants, and where in any division the halves
    share under three items, the means of a half are all the same, or r is -1. Bootstrap samples
    of which the latter two hold are left out of the interval and counted; over 5 % of them, as with
    under six items, and there is no interval.

    The values are sums of log response times, the counts the numbers of trials behind them, both of
    shape (participants, items).
    """
    num_participants, num_items = counts_participant_item.shape
    if num_participants < 4:
        return Reliability(why=f"{num_participants} participants; halves need at least four")
    # Centring changes no correlation and keeps the sums of squares below accurate.
    centre = values_participant_item.sum() / counts_participant_item.sum()
    values = values_participant_item - counts_participant_item * centre
    corrected, for_interval, num_few = [], [], 0
    num_chunk = max(1, _CHUNK // max(num_items, num_participants))
    for start in range(0, splits, num_chunk):
        num_rows = min(num_chunk, splits - start)
        ranks = rng.random((num_rows, num_participants)).argsort(axis=1).argsort(axis=1)
        half = (ranks < num_participants // 2).astype(float)
        first, second = (_means(of, values, counts_participant_item) for of in (half, 1 - half))
        num_shared = (np.isfinite(first) & np.isfinite(second)).sum(axis=1)
        num_few += int(np.count_nonzero(num_shared < 3))
        corrected.append(_corrected(np.ones((1, num_items)), first, second)[0])
        if start < INTERVAL_SPLITS:
            few = slice(None, INTERVAL_SPLITS - start)
            for_interval.append((first[few], second[few]))
    if num_few:
        return Reliability(
            why=f"in {num_few} of {splits} divisions the halves share under three items; "
            "more participants must answer the same items"
        )
    estimates = np.concatenate(corrected)
    if num_bad := int(np.count_nonzero(np.isnan(estimates))):
        return Reliability(
            why=f"in {num_bad} of {splits} divisions the item means of a half are all the same, "
            "or exactly opposite to the other half's"
        )
    value = float(estimates.mean())
    draws = rng.integers(num_items, size=(1000, num_items))
    weights = np.stack([np.bincount(draw, minlength=num_items) for draw in draws]).astype(float)
    first, second = (np.concatenate(halves) for halves in zip(*for_interval, strict=True))
    resampled = _corrected(weights, first, second).mean(axis=1)
    known = resampled[np.isfinite(resampled)]
    left_out = len(resampled) - len(known)
    why = f"{left_out} of {len(resampled)} resamples of the items undefined" if left_out else ""
    if left_out > 0.05 * len(resampled):
        return Reliability(value, None, None, f"{why}: no interval")
    low, high = np.percentile(known, [2.5, 97.5])
    return Reliability(value, float(low), float(high), why and f"{why}, left out of the interval")


def in_order_of_values(
    values_participant_item: Array, counts_participant_item: Array
) -> tuple[Array, Array]:
    """Sort participants and items of the two tables, so that their names decide no division."""
    values, counts = values_participant_item, counts_participant_item
    for _ in values.shape:  # participants first, then, on the turned tables, items
        # Squares, because the sums of centred times are the same for everybody.
        order = np.argsort((values**2).sum(axis=1))
        values, counts = values[order].T, counts[order].T
    return values, counts


def low_reliability(whose: str, value: float | None) -> list[str]:
    """Warn of a reliability of item means that is too low to divide by."""
    if value is None or value >= MIN_RELIABILITY:
        return []
    return [
        f"{whose}: reliability {value:.2f}, below {MIN_RELIABILITY:g}: most of the differences "
        "between items are noise, and what is divided by it (ceiling, normalised r) says nothing"
    ]


def _means(members_split_participant: Array, values: Array, counts: Array) -> Array:
    """Item means of one half in every division, shape (splits, items); NaN without a trial."""
    totals = members_split_participant @ values
    trials = members_split_participant @ counts
    return np.where(trials > 0, totals / np.maximum(trials, 1), np.nan)


def _corrected(weights_resample_item: Array, first: Array, second: Array) -> Array:
    """Spearman-Brown corrected correlations, shape (resamples, splits); NaN where undefined.

    ``first`` and ``second`` have shape (splits, items); an item that is NaN in either is left out
    of that split. The weights say how often a resample holds an item.
    """
    shared = np.isfinite(first) & np.isfinite(second)
    x, y = np.where(shared, first, 0.0), np.where(shared, second, 0.0)

    def total(values: Array) -> Array:
        return np.asarray(weights_resample_item @ values.T)

    n, sum_x, sum_y = total(shared.astype(float)), total(x), total(y)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares_x = total(x * x) - sum_x**2 / n
        squares_y = total(y * y) - sum_y**2 / n
        products = total(x * y) - sum_x * sum_y / n
        r = products / np.sqrt(squares_x * squares_y)
        # Item means closer than a millionth of the time are the same, but for rounding.
        spread = np.minimum(squares_x, squares_y) > 1e-12 * n
        defined = spread & (1 + r > 1e-9)
        return np.asarray(np.where(defined, 2 * r / (1 + r), np.nan))


def centred_log_rt(kept: list[Trial]) -> tuple[Array, float | None]:
    """Log times, centred on their participants, of the trials that count; and the effect of order.

    x - b (t - mean t of the participant) - mean (x of the participant) + mean (all x), with x the
    log time and t the number of the trial. The slope b is that of least squares of x on t with an
    effect for each participant and each item (Baayen, Davidson and Bates 2008), so that hard items
    that come late do not make it. It is None and left out without numbers, or where the order is
    nearly the same for everybody and b cannot be told from the items.
    """
    x = np.array([math.log(trial.rt_s) for trial in kept])
    participants = np.unique([trial.participant for trial in kept], return_inverse=True)[1]
    slope, adjusted = None, x
    if all(trial.number is not None for trial in kept):
        t = np.array([trial.number for trial in kept], dtype=float)
        items = np.unique([trial.item for trial in kept], return_inverse=True)[1]
        slope = _slope(x, t, participants, items)
        adjusted = x - (slope or 0.0) * t
    return _less_means(adjusted, participants) + x.mean(), slope


def _less_means(values: Array, groups: Groups) -> Array:
    means = np.bincount(groups, values) / np.bincount(groups)
    return np.asarray(values - means[groups])


def _slope(x: Array, t: Array, participants: Groups, items: Groups) -> float | None:
    """Slope of x on t with an effect for each participant and item (Frisch and Waugh 1933).

    What the effects leave of t is found by taking off the means of both in turn.
    """
    free = within = _less_means(t, participants)
    scale = float(np.abs(within).max(initial=0.0))
    for _ in range(1_000):
        before = free
        free = _less_means(_less_means(free, items), participants)
        if np.abs(free - before).max(initial=0.0) <= 1e-10 * scale:
            break
    # With so little left, the order is as good as fixed and cannot be told from the items.
    fixed = (free @ free) <= 0.01 * (within @ within)
    return None if fixed else float(free @ x / (free @ free))
