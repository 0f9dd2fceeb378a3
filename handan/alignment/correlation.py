"""Statistics of alignment as pure functions on arrays; ``bootstrap.py`` resamples.

Items are the last axis. NaN means 'not defined here' (a constant column, one item) and is passed
on. Signs are kept; no value is clipped.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri, ndtr, ndtri, stdtr, stdtrit

FloatArray = NDArray[np.float64]

# A correlation over fewer items is not given: its interval would hold nearly everything.
MIN_ITEMS = 12
# Share of a bootstrap's draws that may be undefined: what is left of more is a selection, not a
# sample.
MAX_UNDEFINED_DRAWS = 0.01
MIN_TASKS_ACROSS = 3
# Weights of tasks in a mean of Fisher's z: n - 3, the inverse of its variance, or all alike.
INVERSE_VARIANCE, EQUAL = TASK_WEIGHTS = "inverse_variance", "equal"
Z_95 = 1.959963984540054
# Alignment of teachers and students in the paper (2601.05019), and a usual r between models.
REPORTED = (0.64, 0.34)
TYPICAL_R_AB = 0.4
# Spread below this share of a column's size is rounding: the column is constant.
_CONSTANT = 1e-12
# Closer to +1 or -1 than this is +1 or -1.
_ROUNDING = 1e-9
_NAN = float("nan")

Interval = tuple[float, float]
NO_INTERVAL = (_NAN, _NAN)


def settle(r: FloatArray) -> FloatArray:
    """Set correlations to ±1 that rounding carried past it or left short of it by 1e-9."""
    return np.where((r > 1 - _ROUNDING) | (r < _ROUNDING - 1), np.sign(r), r)


def centred(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Deviations from the mean over the last axis, and their norm, NaN where x is constant."""
    deviations = x - x.mean(axis=-1, keepdims=True)
    norm = np.sqrt((deviations**2).sum(axis=-1))
    size = np.max(np.abs(x), axis=-1, initial=0.0) * np.sqrt(x.shape[-1])
    return deviations, np.where(norm > _CONSTANT * size, norm, np.nan)


def pearson_rows(x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson's r over the last axis (items); NaN where a column is constant or has one item."""
    (x_deviations, x_norm), (y_deviations, y_norm) = centred(x), centred(y)
    return settle((x_deviations * y_deviations).sum(axis=-1) / (x_norm * y_norm))


def pearson(x: FloatArray, y: FloatArray) -> float:
    """Pearson's r of two columns of shape (items,); NaN if undefined."""
    return float(pearson_rows(np.asarray(x, float), np.asarray(y, float))) if len(x) > 1 else _NAN


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Spearman's rho: Pearson's r of the ranks, ties averaged; NaN if undefined."""
    unknown = np.isnan(x).any() or np.isnan(y).any()
    return _NAN if unknown else pearson(average_ranks(x), average_ranks(y))


def average_ranks(x: FloatArray) -> FloatArray:
    """Ranks from 1 of values without NaN, as ``scipy.stats.rankdata``, which imports slowly."""
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def spearman_interval(rho: float, num_items: int) -> tuple[float, float]:
    """95 % interval of Spearman's rho: tanh(arctanh rho -+ 1.96 sqrt((1 + rho^2 / 2) / (n - 3))).

    Bonett and Wright 2000. NaN under ``MIN_ITEMS`` items or where rho is undefined.
    """
    if num_items < MIN_ITEMS or np.isnan(rho):
        return _NAN, _NAN
    half = Z_95 * np.sqrt((1 + rho**2 / 2) / (num_items - 3))
    with np.errstate(divide="ignore"):
        z = np.arctanh(rho)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def gradient_of_z(x: FloatArray, y: FloatArray) -> FloatArray:
    """d arctanh(r) / dy of Pearson's r of two columns (items,), 0 where r is ±1 or undefined.

    From dr = (dx / |dx| - r dy / |dy|) / |dy| with deviations dx, dy.
    """
    (x_deviations, x_norm), (y_deviations, y_norm) = centred(x), centred(y)
    r = pearson(x, y)
    if np.isnan(r) or r * r >= 1:
        return np.zeros(len(x))
    return np.asarray((x_deviations / x_norm - r * y_deviations / y_norm) / y_norm / (1 - r * r))


def fisher_mean(r: FloatArray, weights: FloatArray | None = None, axis: int = -1) -> FloatArray:
    """Mean of correlations through Fisher's z: tanh of the weighted mean of arctanh(r).

    NaN with an exact +1 or -1, whose z is infinite, unless all are equal.
    """
    r = np.asarray(r, float)
    first = np.take(r, 0, axis)
    equal = (r == np.expand_dims(first, axis)).all(axis)
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    mean = np.tanh(np.average(np.where(np.isfinite(z), z, np.nan), axis, weights))
    return np.where(equal, first, mean)


def z_weights(num_items: Sequence[int], task_weights: str = INVERSE_VARIANCE) -> FloatArray:
    """Weights of tasks in a mean of Fisher's z, shape (tasks,), which sum to 1.

    By inverse variance they are proportional to n - 3, for 1 / (n - 3) is the variance of z of
    normal data (Fisher 1921; Hedges and Olkin 1985, ch. 11).
    """
    sizes = np.asarray(num_items, float)
    alike = task_weights == EQUAL or len(sizes) == 1
    weights = np.ones(len(sizes)) if alike else sizes - 3
    return np.asarray(weights / weights.sum())


def leave_one_out(x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson's r without each item i in turn, by Sxy - n / (n - 1) dx_i dy_i; shape (items,)."""
    n = len(x)
    dx, dy = x - x.mean(), y - y.mean()
    xx, yy, xy = (float(a @ b) - n / (n - 1) * a * b for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    with np.errstate(divide="ignore", invalid="ignore"):
        known = (xx > _CONSTANT * float(dx @ dx)) & (yy > _CONSTANT * float(dy @ dy))
        return settle(np.where(known, xy / np.sqrt(xx * yy), np.nan))


def residuals(values: FloatArray, predictors: FloatArray) -> FloatArray:
    """Residuals of values (items, columns) on predictors (items, predictors) and a constant."""
    design = np.column_stack([np.ones(len(predictors)), predictors])
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    return without_rounding(values - design @ solution, values)


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's step-down adjustment (1979); NaN entries are not part of the family."""
    return _adjusted(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Benjamini and Hochberg's adjustment (1995); NaN entries are not part of the family."""
    return _adjusted(
        p_values,
        lambda p: np.minimum.accumulate((p * (len(p) / np.arange(1, len(p) + 1)))[::-1])[::-1],
    )


def _adjusted(p_values: FloatArray, stepped: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Adjust p values by a function of the known ones in ascending order."""
    p_values = np.asarray(p_values, float)
    adjusted = np.full(len(p_values), np.nan)
    family = np.flatnonzero(~np.isnan(p_values))
    order = family[np.argsort(p_values[family], kind="stable")]
    adjusted[order] = np.minimum(1.0, stepped(p_values[order]))
    return adjusted


class ModelReliability(NamedTuple):
    """A reliability with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def reliability_of_means(values_item_sample: FloatArray) -> ModelReliability:
    """Reliability of the item means of samples: ICC(1, k) = 1 - MSW / MSB, and its 95 % interval.

    One-way random effects of Shrout and Fleiss 1979, which is what split halves over samples,
    stepped up by Spearman-Brown, give in the mean over all splits. With unequal numbers of samples
    the noise is that of their harmonic mean. Negative where samples of an item differ more than
    items do. The interval is that of an F ratio of normal data. Values have shape (items, samples),
    NaN where an item has fewer. NaN with under two items, without repeated samples, or where all
    values are equal.
    """
    undefined = ModelReliability(np.nan, np.nan, np.nan)
    known = np.isfinite(values_item_sample)
    counts = known.sum(axis=1)
    values, counts, known = (part[counts > 0] for part in (values_item_sample, counts, known))
    freedom = len(counts) - 1, int(counts.sum()) - len(counts)
    if min(freedom) < 1:
        return undefined
    filled = np.where(known, values, 0.0)
    means = filled.sum(axis=1) / counts
    within = float((np.where(known, filled - means[:, None], 0.0) ** 2).sum()) / freedom[1]
    noise = within * float(np.mean(1 / counts))
    between = float(np.var(means, ddof=1))
    size = float(np.max(np.abs(filled))) or 1.0
    if not between > (_CONSTANT * size) ** 2:
        return undefined
    ratio = between / noise if noise > 0 else np.inf
    low = ratio / float(fdtri(*freedom, 0.975))
    high = ratio * float(fdtri(*freedom[::-1], 0.975))
    return ModelReliability(*(float(1 - 1 / f) if f > 0 else -np.inf for f in (ratio, low, high)))


def without_rounding(deviations: FloatArray, x: FloatArray) -> FloatArray:
    """Deviations of x from a mean, 0 where they are rounding: else a constant x would have some."""
    return np.where(np.abs(deviations) <= _CONSTANT * np.max(np.abs(x)), 0.0, deviations)


def mean_of_known(values: FloatArray) -> float:
    """Mean over all axes without NaN, such as a rate over samples; NaN if nothing is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else _NAN


def finite_or_none(value: Any) -> Any:
    """A number or an interval as JSON has it: a float or a list of floats, None if undefined."""
    if not np.isfinite(value).all():
        return None
    return [float(bound) for bound in value] if isinstance(value, tuple) else float(value)


def over_tasks(r: Sequence[float]) -> tuple[float, Interval]:
    """Mean correlation for other tasks like these, and its 95 % interval.

    Student's t on Fisher's z: tasks are the sample here, all alike, whatever their items. NaN
    under three tasks.
    """
    if len(r) < MIN_TASKS_ACROSS or not max(abs(of) for of in r) < 1:
        return _NAN, NO_INTERVAL
    z = np.arctanh(np.array(r))
    half = -float(stdtrit(len(z) - 1, 0.025)) * z.std(ddof=1) / np.sqrt(len(z))
    low, mean, high = np.tanh([z.mean() - half, z.mean(), z.mean() + half])
    return float(mean), (float(low), float(high))


# -- two correlations that share a variable: tests and power ---------------------------------------
# Two models' costs a and b are correlated with the same human times y, so r_ay and r_by depend on
# each other through r_ab. These formulas hold for normal data; the bootstrap does not need that.


class Test(NamedTuple):
    """A statistic and its two-sided p; both NaN where a formula is undefined."""

    statistic: float = _NAN
    p: float = _NAN


def williams(r_a: float, r_b: float, r_ab: float, num_items: int) -> Test:
    """Williams' t (1959) of r_ay = r_by, n - 3 degrees of freedom, as in Steiger 1980, eq. 7."""
    n, mean = num_items, (r_a + r_b) / 2
    if n < 4 or r_ab <= -1:
        return Test()
    below = 2 * (n - 1) / (n - 3) * _determinant(r_a, r_b, r_ab) + mean**2 * (1 - r_ab) ** 3
    if not below > 0:
        return Test()
    t = float((r_a - r_b) * np.sqrt((n - 1) * (1 + r_ab) / below))
    return Test(t, float(2 * stdtr(n - 3, -abs(t))))


def steiger(r_a: float, r_b: float, r_ab: float, num_items: int) -> Test:
    """Steiger's Z (1980, eq. 14) of r_ay = r_by: Fisher's z with the pooled correlation."""
    mean = (r_a + r_b) / 2
    if num_items < 4 or max(abs(r_a), abs(r_b)) >= 1:
        return Test()
    below = 2 - 2 * _covariance(mean, mean, r_ab)
    if not below > 0:
        return Test()
    z = float((np.arctanh(r_a) - np.arctanh(r_b)) * np.sqrt((num_items - 3) / below))
    return Test(z, float(2 * ndtr(-abs(z))))


def zou(r_a: float, r_b: float, r_ab: float, num_items: int) -> tuple[float, float]:
    """Zou's 95 % interval (2007) of r_ay - r_by, from Fisher's intervals of both."""
    if num_items < 4 or max(abs(r_a), abs(r_b)) >= 1:
        return _NAN, _NAN
    half = Z_95 / np.sqrt(num_items - 3)
    low_a, high_a = np.tanh(np.arctanh(r_a) - half), np.tanh(np.arctanh(r_a) + half)
    low_b, high_b = np.tanh(np.arctanh(r_b) - half), np.tanh(np.arctanh(r_b) + half)
    shared = _covariance(r_a, r_b, r_ab)
    down = (r_a - low_a) ** 2 + (high_b - r_b) ** 2 - 2 * shared * (r_a - low_a) * (high_b - r_b)
    up = (high_a - r_a) ** 2 + (r_b - low_b) ** 2 - 2 * shared * (high_a - r_a) * (r_b - low_b)
    if min(down, up) < 0:
        return _NAN, _NAN
    return float(r_a - r_b - np.sqrt(down)), float(r_a - r_b + np.sqrt(up))


def jzs_bf01(t: float, freedom: float, scale: float = 0.707) -> float:
    """Bayes factor of 'no effect' against a Cauchy prior on the standardised effect.

    Rouder et al. 2009, eq. 1, for t of one sample of freedom + 1, with the prior scale that
    BayesFactor of R and JASP take; checked against ``pingouin.bayesfactor_ttest``. Their g is
    1 / x^2 with a standard normal x, over which this integrates.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x = 4 * (nodes + 1)  # 0 to 8, beyond which the normal density is 0
    spread = 1 + (freedom + 1) * scale**2 / x**2
    power = -(freedom + 1) / 2
    logs = power * (np.log1p(t * t / (spread * freedom)) - np.log1p(t * t / freedom))
    density = 2 * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi * spread)
    with np.errstate(over="ignore"):  # overwhelming evidence of a difference
        return float(1 / np.sum(4 * weights * density * np.exp(logs)))


def _covariance(r_a: float, r_b: float, r_ab: float) -> float:
    """Correlation of the two estimates (Pearson and Filon 1898; Steiger 1980, eq. 3)."""
    above = r_ab * (1 - r_a**2 - r_b**2) - r_a * r_b * (1 - r_a**2 - r_b**2 - r_ab**2) / 2
    return float(above / ((1 - r_a**2) * (1 - r_b**2)))


def _determinant(r_a: float, r_b: float, r_ab: float) -> float:
    return 1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab


def _possible(r_a: float, r_b: float, r_ab: float) -> bool:
    """Whether three variables can have these correlations and are no multiples of each other."""
    return _determinant(r_a, r_b, r_ab) > 1e-12  # of exact multiples it is rounding


def standard_error(r_a: float, r_b: float, r_ab: float, num_items: Sequence[float]) -> float:
    """Standard error of the difference of Fisher's z, on the mean by n - 3 over tasks.

    NaN where three such correlations cannot be, as with .64, .34 and models all but equal.
    """
    if not _possible(r_a, r_b, r_ab):
        return _NAN
    return float(np.sqrt((2 - 2 * _covariance(r_a, r_b, r_ab)) / sum(n - 3 for n in num_items)))


def effective_items(num_items: Sequence[int], task_weights: str) -> float:
    """Items of a single task whose z is as precise as the mean of z over tasks of these items."""
    weights = z_weights(num_items, task_weights)
    return float(3 + 1 / np.sum(weights**2 / (np.asarray(num_items, float) - 3)))


def power(r_a: float, r_b: float, r_ab: float, num_items: Sequence[float]) -> float:
    """Power to find a true difference at 5 %, two-sided; several tasks for their mean."""
    if min(num_items) < 4:
        return _NAN
    shift = (np.arctanh(r_a) - np.arctanh(r_b)) / standard_error(r_a, r_b, r_ab, num_items)
    return float(ndtr(shift - Z_95) + ndtr(-shift - Z_95))


def detectable(r_a: float, r_ab: float, num_items: Sequence[float], wanted: float) -> float:
    """Smallest difference, of possible r_b below r_a, found with the wanted power; NaN if none."""
    lowest = r_a * r_ab - np.sqrt((1 - r_a**2) * (1 - r_ab**2)) + 1e-6

    def lacking(r_b: float) -> float:
        return power(r_a, r_b, r_ab, num_items) - wanted

    if not _possible(r_a, r_a, r_ab) or not lacking(lowest) > 0:
        return _NAN
    low, high = lowest, r_a
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if lacking(middle) > 0 else (low, middle)
    return float(r_a - low)


def detectable_from_zero(num_items: Sequence[float], wanted: float) -> float:
    """Smallest r told from 0 at 5 % with the wanted power, by a mean of z; NaN under four items."""
    if not num_items or min(num_items) < 4:
        return _NAN
    return float(np.tanh((Z_95 + ndtri(wanted)) / np.sqrt(sum(n - 3 for n in num_items))))


def equivalence_power(r: float, r_ab: float, num_items: Sequence[float], bound: float) -> float:
    """Power to show that two models with equal r are within the bound (TOST at 5 %)."""
    if min(num_items) < 4:
        return _NAN
    error = standard_error(r, r, r_ab, num_items) * (1 - r**2)
    found = 2 * float(ndtr(bound / error - float(ndtri(0.95)))) - 1
    return found if np.isnan(found) else max(0.0, found)


def items_needed(r_a: float, r_b: float, r_ab: float, wanted: float) -> int | None:
    """Items of a task that find a difference with the wanted power; None for impossible r."""
    if not _possible(r_a, r_b, r_ab):
        return None
    below = 2 - 2 * _covariance(r_a, r_b, r_ab)
    apart = np.arctanh(r_a) - np.arctanh(r_b)
    return int(np.ceil(3 + below * ((Z_95 + float(ndtri(wanted))) / apart) ** 2))
