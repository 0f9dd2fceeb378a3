"""The statistics of alignment, as pure functions on arrays. Resampling is in ``bootstrap.py``.

Items are the last axis of what is correlated. NaN means 'not defined here' (a constant column, one
item): it is passed on, never replaced by 0. Signs are kept. No value is clipped; ``settle``
removes rounding only.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Spread below this share of a column's size is rounding: the column is constant.
_CONSTANT = 1e-12
# Numbers held at once while splitting: 16 MB for each temporary array.
_CHUNK = 2_000_000
# Closer to +1 or -1 than this is +1 or -1.
_ROUNDING = 1e-9


def settle(r: FloatArray) -> FloatArray:
    """Correlations whose rounding carried them past ±1, or left them short of it by 1e-9."""
    return np.where((r > 1 - _ROUNDING) | (r < _ROUNDING - 1), np.sign(r), r)


def centred(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Deviations from the mean over the last axis, and their norm, NaN where x is constant."""
    deviations = x - x.mean(axis=-1, keepdims=True)
    norm = np.sqrt((deviations**2).sum(axis=-1))
    size = np.max(np.abs(x), axis=-1, initial=0.0) * np.sqrt(x.shape[-1])
    return deviations, np.where(norm > _CONSTANT * size, norm, np.nan)


def pearson_rows(x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson's r over the last axis (items); NaN where a column is constant or has one item.

    Checked against ``scipy.stats.pearsonr``.
    """
    x_deviations, x_norm = centred(x)
    y_deviations, y_norm = centred(y)
    return settle((x_deviations * y_deviations).sum(axis=-1) / (x_norm * y_norm))


def pearson(x: FloatArray, y: FloatArray) -> float:
    """Pearson's r of two columns of shape (items,); NaN if undefined."""
    if len(x) < 2:
        return float("nan")
    return float(pearson_rows(np.asarray(x, float), np.asarray(y, float)))


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Spearman's rho: Pearson's r of the ranks, ties averaged; NaN if undefined.

    Checked against ``scipy.stats.spearmanr``.
    """
    from scipy.stats import rankdata

    return pearson(rankdata(x), rankdata(y))


def fisher_mean(r: FloatArray, axis: int = -1) -> FloatArray:
    """Mean of correlations through Fisher's z: tanh(mean(arctanh(r))).

    An exact +1 or -1 has an infinite z, so the mean over correlations that contain one is that
    +1 or -1 (the limit); with both signs among them it is undefined: NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.tanh(np.mean(np.arctanh(r), axis=axis)))


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's step-down adjustment of shape (tests,); NaN entries are not part of the family.

    Holm 1979. Checked against ``p.adjust(c(.01, .04, .03, .005), "holm")`` of R:
    .03, .06, .06, .02.
    """
    p_values = np.asarray(p_values, float)
    adjusted = np.full(len(p_values), np.nan)
    family = np.flatnonzero(~np.isnan(p_values))
    order = family[np.argsort(p_values[family], kind="stable")]
    stepped = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted


def spearman_brown(r: float, factor: float) -> float:
    """Reliability of a measure ``factor`` times as long as one whose reliability is r.

    factor r / (1 + (factor - 1) r); NaN where r is so negative that the formula has no meaning.
    Spearman 1910, Brown 1910.
    """
    scale = 1 + (factor - 1) * r
    return factor * r / scale if scale > 0 else float("nan")


def split_half_reliability(
    values_item_sample: FloatArray, num_splits: int, generator: np.random.Generator
) -> float:
    """Reliability of item means over samples: mean r of random halves, stepped up.

    The samples of each item are split at random into two halves of equal size (of an odd number
    one is left out). Items with one sample are left out. r is averaged over the splits, then
    stepped up by Spearman-Brown. The factor is the ratio of the mean error variances, of a half
    to the whole: mean(1/half) / mean(1/samples), which is 2 for an even number of samples.

    Checked against the known reliability of simulated data, T / (T + E / samples).

    Args:
        values_item_sample: shape (items, samples), NaN where an item has fewer samples.
        num_splits: number of random splits.
        generator: source of the splits.

    Returns:
        The reliability, NaN if there are under two items with two samples or all are constant.
    """
    num_samples = np.isfinite(values_item_sample).sum(axis=1)
    num_samples = np.where(num_samples >= 2, num_samples, 0)
    num_items = np.count_nonzero(num_samples)
    if num_items < 2:
        return float("nan")
    used = num_samples[num_samples > 0]
    sizes = [int(size) for size in np.unique(used)]
    chunks = []
    num_chunk = max(1, _CHUNK // values_item_sample.size)
    for start in range(0, num_splits, num_chunk):
        num_rows = min(num_chunk, num_splits - start)
        first, second = [], []
        for size in sizes:
            block = values_item_sample[num_samples == size]
            block = block[np.isfinite(block)].reshape(1, -1, size)
            shuffled = generator.permuted(np.repeat(block, num_rows, axis=0), axis=2)
            half = size // 2
            first.append(shuffled[:, :, :half].mean(axis=2))
            second.append(shuffled[:, :, half : 2 * half].mean(axis=2))
        chunks.append(pearson_rows(np.concatenate(first, axis=1), np.concatenate(second, axis=1)))
    r = np.concatenate(chunks)
    if np.isnan(r).all():
        return float("nan")
    factor = float(np.mean(1 / (used // 2)) / np.mean(1 / used))
    return spearman_brown(float(np.nanmean(r)), factor)


class Line(NamedTuple):
    """A least-squares line; with groups, one slope and an intercept for each group."""

    intercepts: FloatArray
    slope: float
    residual_sd: float
    r: float
    num_items: int


def fit_line(x: FloatArray, y: FloatArray, groups: NDArray[np.intp] | None = None) -> Line:
    """Ordinary least squares y = intercept[group] + slope x + e over shape (items,).

    ``residual_sd`` has n - groups - 1 degrees of freedom; ``r`` is Pearson's r of x and y, within
    groups if there are any. NaN where x is constant (slope) or freedom is gone (residual_sd).
    Checked against ``scipy.stats.linregress`` and ``numpy.linalg.lstsq``.
    """
    groups = np.zeros(len(x), dtype=np.intp) if groups is None else groups
    sizes = np.bincount(groups)
    mean_x = np.bincount(groups, x) / sizes
    mean_y = np.bincount(groups, y) / sizes
    x_within = _without_rounding(x - mean_x[groups], x)
    y_within = _without_rounding(y - mean_y[groups], y)
    xx = float(x_within @ x_within)
    slope = float(x_within @ y_within) / xx if xx else float("nan")
    residuals = y_within - slope * x_within
    freedom = len(x) - len(sizes) - 1
    residual_sd = float(np.sqrt(residuals @ residuals / freedom)) if freedom > 0 else float("nan")
    r = pearson(x_within, y_within)
    return Line(mean_y - slope * mean_x, slope, residual_sd, r, len(x))


def _without_rounding(deviations: FloatArray, x: FloatArray) -> FloatArray:
    """Deviations of x from a mean, 0 where they are rounding: else a constant x would have some."""
    return np.where(np.abs(deviations) <= _CONSTANT * np.max(np.abs(x)), 0.0, deviations)


def mean_of_known(values: FloatArray) -> float:
    """Mean over all axes of what is not NaN, such as a rate over samples; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def finite_or_none(value: Any) -> Any:
    """A number or an interval as JSON has it: a float or a list of floats, None if undefined."""
    if not np.isfinite(value).all():
        return None
    return [float(bound) for bound in value] if isinstance(value, tuple) else float(value)
