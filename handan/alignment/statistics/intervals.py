"""Intervals and p values from bootstrap draws, right for few items too.

A percentile interval of n resampled items is too narrow: the spread of the draws falls short by
sqrt((n - 2) / n), because two numbers of a correlation or a slope are fitted, and the normal
distribution takes the place of Student's t. The *expanded* percentile interval (Hesterberg 2015)
takes percentiles further out, at Phi(-sqrt(n / (n - 2)) t), where t is the quantile of Student's
t with n - 2 degrees of freedom: 1.3 % instead of 2.5 % for 20 items, 2.4 % for 300. It keeps what
is good about percentiles: they follow the skewness of r and never leave [-1, 1].

For a mean over tasks the degrees of freedom add up and n / (n - 2) is averaged.

There is no interval, and so no verdict, where draws are not what they seem: under ``MIN_ITEMS``
items in a task, or where more than 1 % of the draws are undefined, because a column was constant
in them. What is left of such draws is a selection, not a sample.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from handan.alignment.statistics.basic import MIN_ITEMS, FloatArray

CONFIDENCE = 0.95
# Share of the draws that may be undefined.
MAX_UNDEFINED_DRAWS = 0.01

Interval = tuple[float, float]
NO_INTERVAL = (float("nan"), float("nan"))


def _expansion(num_items: Sequence[int], lost: int) -> tuple[float, float]:
    """The factor by which draws are too narrow, and the degrees of freedom.

    Args:
        num_items: of each task in the figure.
        lost: numbers fitted in each task.
    """
    sizes = np.asarray(num_items, float)
    return float(np.sqrt(np.mean(sizes / (sizes - lost)))), float(np.sum(sizes - lost))


def interval(
    draws: FloatArray, num_items: Sequence[int], confidence: float = CONFIDENCE, lost: int = 2
) -> Interval:
    """Expanded percentile interval of draws of shape (draws,), NaN left out.

    Args:
        draws: of one figure.
        num_items: of each task in the figure: one number for a single task.
        confidence: of the interval.
        lost: fitted numbers: 2 for a correlation or slope, one more for each covariate.

    Returns:
        Its bounds, NaN if a task has under ``MIN_ITEMS`` items (plus covariates) or too many
        draws are undefined.
    """
    known = _usable(draws, num_items, lost)
    if not len(known):
        return NO_INTERVAL
    factor, freedom = _expansion(num_items, lost)
    tail = 100 * float(ndtr(factor * stdtrit(freedom, (1 - confidence) / 2)))
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def undefined_share(draws: FloatArray) -> float:
    """Share of draws of shape (draws,) in which a figure is undefined, from 0 to 1."""
    return float(np.isnan(draws).mean())


def _usable(draws: FloatArray, num_items: Sequence[int], lost: int = 2) -> FloatArray:
    """The defined draws; none of them if they are too few or the items are."""
    known = draws[~np.isnan(draws)]
    too_few = min(num_items, default=0) < MIN_ITEMS + lost - 2
    return known[:0] if too_few or undefined_share(draws) > MAX_UNDEFINED_DRAWS else known


def p_value(draws: FloatArray, num_items: Sequence[int], at: float = 0.0) -> float:
    """Two-sided bootstrap p of 'the figure is ``at``', in agreement with ``interval``.

    The smaller share of draws on one side is taken for a normal tail and becomes the tail of
    Student's t by the expansion of ``interval``. One is added to the counts (Davison and Hinkley
    1997, ch. 4), so that p is never 0. NaN where there is no interval.
    """
    known = _usable(draws, num_items)
    if not len(known):
        return float("nan")
    fewer = min(np.count_nonzero(known <= at), np.count_nonzero(known >= at))
    return min(1.0, 2 * _tail((fewer + 1) / (len(known) + 1), num_items))


def _tail(share: float, num_items: Sequence[int]) -> float:
    """A share of draws beyond a value, as the tail of Student's t by the expansion above."""
    factor, freedom = _expansion(num_items, lost=2)
    return float(stdtr(freedom, ndtri(min(share, 1 - 1e-16)) / factor))


def equivalence_p(draws: FloatArray, num_items: Sequence[int], bound: float) -> float:
    """p of 'the difference is at least ``bound`` in size', by two one-sided tests.

    Schuirmann 1987; below 5 % where the 90 % interval lies within plus and minus the bound.
    NaN where there is no interval.
    """
    known = _usable(draws, num_items)
    if not len(known):
        return float("nan")
    outside = max(np.count_nonzero(known <= -bound), np.count_nonzero(known >= bound))
    return _tail((outside + 1) / (len(known) + 1), num_items)


def widened(draws: FloatArray, centre: float, extra_variance: float) -> FloatArray:
    """Draws moved away from the centre so that their variance grows by ``extra_variance``."""
    known = draws[np.isfinite(draws)]
    spread = float(np.var(known)) if len(known) else 0.0
    if not extra_variance > 0 or not spread > 0:
        return draws
    return centre + (draws - centre) * np.sqrt(1 + extra_variance / spread)
