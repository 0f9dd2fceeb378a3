"""Tests of two correlations that share a variable, from the correlations alone; and their power.

Two models' costs a and b are correlated with the same people's times y: r_ay and r_by are
dependent through r_ab. These formulas hold for normal data; the bootstrap of ``contrasts.py``
does not need that, and these stand beside it because reviewers know them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtr

from handan.alignment.statistics.basic import z_weights

Z_95 = 1.959963984540054
# Alignment of teachers and students in the study (arXiv 2601.05019), and how alike models are.
REPORTED = (0.64, 0.34)
TYPICAL_R_AB = 0.4
# Correlations of exact multiples differ from 1 by less than this.
_ROUNDING = 1e-12


class Test(NamedTuple):
    """A statistic and its two-sided p; both NaN where a formula is undefined."""

    statistic: float
    p: float


def williams(r_a: float, r_b: float, r_ab: float, num_items: int) -> Test:
    """Williams' t (1959) of r_ay = r_by, n - 3 degrees of freedom, as in Steiger 1980, eq. 7.

    Checked against the program depcor of Silver, Hittner and May 2006: r = .3, .4, r_ab = .5,
    n = 100 give t = -1.0767, p = .2843.
    """
    if num_items < 4:
        return Test(np.nan, np.nan)
    determinant = 1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab
    mean = (r_a + r_b) / 2
    n = num_items
    below = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - r_ab) ** 3
    if not below > 0 or r_ab <= -1:
        return Test(np.nan, np.nan)
    t = float((r_a - r_b) * np.sqrt((n - 1) * (1 + r_ab) / below))
    return Test(t, float(2 * stdtr(n - 3, -abs(t))))


def steiger(r_a: float, r_b: float, r_ab: float, num_items: int) -> Test:
    """Steiger's Z (1980, eq. 14) of r_ay = r_by: Fisher's z with the pooled correlation.

    Checked against cocor 1.1 (R): r = .4, .5, r_ab = .1, n = 103 give z = -.8887185 (Steiger's
    case A), and .3, .4, .5, 100 give z = -1.0718, p = .2838.
    """
    mean = (r_a + r_b) / 2
    if num_items < 4 or max(abs(r_a), abs(r_b)) >= 1:
        return Test(np.nan, np.nan)
    below = 2 - 2 * _covariance(mean, mean, r_ab)
    if not below > 0:
        return Test(np.nan, np.nan)
    z = float((np.arctanh(r_a) - np.arctanh(r_b)) * np.sqrt((num_items - 3) / below))
    return Test(z, float(2 * ndtr(-abs(z))))


def zou(r_a: float, r_b: float, r_ab: float, num_items: int) -> tuple[float, float]:
    """Zou's 95 % interval (2007) of r_ay - r_by, from Fisher's intervals of both.

    Checked against Zou's example: r = .396 and .179, r_ab = .088, n = 66 give [-.093, .517].
    """
    if num_items < 4 or max(abs(r_a), abs(r_b)) >= 1:
        return float("nan"), float("nan")
    half = Z_95 / np.sqrt(num_items - 3)
    low_a, high_a = np.tanh(np.arctanh(r_a) - half), np.tanh(np.arctanh(r_a) + half)
    low_b, high_b = np.tanh(np.arctanh(r_b) - half), np.tanh(np.arctanh(r_b) + half)
    shared = _covariance(r_a, r_b, r_ab)
    down = (r_a - low_a) ** 2 + (high_b - r_b) ** 2 - 2 * shared * (r_a - low_a) * (high_b - r_b)
    up = (high_a - r_a) ** 2 + (r_b - low_b) ** 2 - 2 * shared * (high_a - r_a) * (r_b - low_b)
    if min(down, up) < 0:
        return float("nan"), float("nan")
    return float(r_a - r_b - np.sqrt(down)), float(r_a - r_b + np.sqrt(up))


def _covariance(r_a: float, r_b: float, r_ab: float) -> float:
    """Correlation of the two estimates (Pearson and Filon 1898; Steiger 1980, eq. 3)."""
    above = r_ab * (1 - r_a**2 - r_b**2) - r_a * r_b * (1 - r_a**2 - r_b**2 - r_ab**2) / 2
    return float(above / ((1 - r_a**2) * (1 - r_b**2)))


def standard_error(r_a: float, r_b: float, r_ab: float, num_items: Sequence[float]) -> float:
    """Standard error of the difference of Fisher's z, on a mean over tasks with these items.

    The mean is that by inverse variance; for tasks that weigh alike see ``effective_items``. NaN
    where three such correlations cannot be, as with .64, .34 and models that are all but equal.
    """
    if not _possible(r_a, r_b, r_ab):
        return float("nan")
    return float(np.sqrt((2 - 2 * _covariance(r_a, r_b, r_ab)) / sum(n - 3 for n in num_items)))


def effective_items(num_items: Sequence[int], task_weights: str) -> float:
    """Items of a single task whose z is as precise as the mean of z over tasks of these items."""
    weights = z_weights(num_items, task_weights)
    return float(3 + 1 / np.sum(weights**2 / (np.asarray(num_items, float) - 3)))


def _possible(r_a: float, r_b: float, r_ab: float) -> bool:
    """Whether three variables can have these correlations and are no multiples of each other."""
    return 1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab > _ROUNDING


def power(r_a: float, r_b: float, r_ab: float, num_items: Sequence[float]) -> float:
    """How often a true difference is found at 5 %, two-sided; several tasks for their mean.

    Checked by simulation (``benchmarks/coverage.py``) and against the power given for .64 against
    .34 with r_ab = .4: .43, .74, .92, .99 for 30, 60, 100, 150 items.
    """
    if min(num_items) < 4:
        return float("nan")
    shift = (np.arctanh(r_a) - np.arctanh(r_b)) / standard_error(r_a, r_b, r_ab, num_items)
    return float(ndtr(shift - Z_95) + ndtr(-shift - Z_95))


def detectable(r_a: float, r_ab: float, num_items: Sequence[float], wanted: float) -> float:
    """The smallest difference below r_a that is found with the wanted power; NaN if none is.

    Sought among the r_b that are possible beside r_a and r_ab.
    """
    if min(num_items) < 4:
        return float("nan")
    lowest = r_a * r_ab - np.sqrt((1 - r_a**2) * (1 - r_ab**2)) + 1e-6

    def lacking(r_b: float) -> float:
        return power(r_a, r_b, r_ab, num_items) - wanted

    if not _possible(r_a, r_a, r_ab) or not lacking(lowest) > 0:
        return float("nan")
    low, high = lowest, r_a
    # Halved until no number lies between.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if lacking(middle) > 0 else (low, middle)
    return float(r_a - low)


def detectable_from_zero(num_items: Sequence[float], wanted: float) -> float:
    """The smallest r that is told from 0 at 5 % with the wanted power; NaN under four items.

    Several tasks for a mean of Fisher's z: each z has the variance 1 / (n - 3), and weighs n - 3.
    """
    if not num_items or min(num_items) < 4:
        return float("nan")
    return float(np.tanh((Z_95 + ndtri(wanted)) / np.sqrt(sum(n - 3 for n in num_items))))


def equivalence_power(r: float, r_ab: float, num_items: Sequence[float], bound: float) -> float:
    """How often two models with equal r are shown to be within the bound (TOST at 5 %)."""
    if min(num_items) < 4:
        return float("nan")
    error = standard_error(r, r, r_ab, num_items) * (1 - r**2)
    found = 2 * float(ndtr(bound / error - float(ndtri(0.95)))) - 1
    return found if np.isnan(found) else max(0.0, found)


def items_needed(r_a: float, r_b: float, r_ab: float, wanted: float) -> int | None:
    """Items of a single task with which the difference is found with the wanted power.

    None where three such correlations cannot be.
    """
    if not _possible(r_a, r_b, r_ab):
        return None
    below = 2 - 2 * _covariance(r_a, r_b, r_ab)
    apart = np.arctanh(r_a) - np.arctanh(r_b)
    return int(np.ceil(3 + below * ((Z_95 + float(ndtri(wanted))) / apart) ** 2))
