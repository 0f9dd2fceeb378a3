"""Lines through two columns that are both measured with noise, with one slope for all groups.

Four estimates of the slope of y = intercept[group] + slope x + e:

- **least squares**: right if x is exact; noise in x flattens it.
- **Deming**: right if all points lie on a line and both coordinates have noise, whose ratio of
  variances is known (``delta``, y over x; 1 where it is not known).
- **corrected**: least squares divided by the reliability of x (Fuller 1987, eq. 1.2.3): right if
  x has noise of known variance and the points scatter around the line as well.
- **Theil-Sen**: median of the slopes of all pairs of points, robust against outliers.

Groups (tasks) have intercepts of their own; everything is computed on deviations from their means.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan.alignment.correlation import Z_95, FloatArray, pearson, without_rounding

Groups = NDArray[np.intp]


class Line(NamedTuple):
    """A least-squares line; with groups, one slope and an intercept for each group."""

    intercepts: FloatArray
    slope: float
    residual_sd: float
    r: float
    num_items: int


def fit_line(x: FloatArray, y: FloatArray, groups: Groups | None = None) -> Line:
    """Ordinary least squares y = intercept[group] + slope x + e over shape (items,).

    ``residual_sd`` has n - groups - 1 degrees of freedom; ``r`` is Pearson's r of x and y, within
    groups if there are any. NaN where x is constant (slope) or freedom is gone (residual_sd).
    """
    groups = np.zeros(len(x), dtype=np.intp) if groups is None else groups
    dx, dy = within(x, groups), within(y, groups)
    xx = float(dx @ dx)
    slope = float(dx @ dy) / xx if xx else float("nan")
    residuals = dy - slope * dx
    freedom = len(x) - (groups.max(initial=-1) + 1) - 1
    residual_sd = float(np.sqrt(residuals @ residuals / freedom)) if freedom > 0 else float("nan")
    return Line(intercepts(x, y, groups, slope), slope, residual_sd, pearson(dx, dy), len(x))


def within(x: FloatArray, groups: Groups) -> FloatArray:
    """Deviations from the means of the groups, 0 where they are rounding."""
    return without_rounding(x - _group_means(x, groups)[groups], x)


def intercepts(x: FloatArray, y: FloatArray, groups: Groups, slope: float) -> FloatArray:
    """Intercepts of lines of this slope through the groups' means, shape (groups,)."""
    return _group_means(y, groups) - slope * _group_means(x, groups)


def _group_means(x: FloatArray, groups: Groups) -> FloatArray:
    return np.asarray(np.bincount(groups, x) / np.bincount(groups))


def least_squares_slope(xx: FloatArray, xy: FloatArray) -> FloatArray:
    """xy / xx from sums of squares and products; NaN where xx is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(xx > 0, xy / xx, np.nan)


def deming_slope(
    xx: FloatArray | float, yy: FloatArray | float, xy: FloatArray | float, delta: float
) -> FloatArray:
    """Deming's slope in closed form from sums of squares and products; NaN where xy is 0.

    (yy - d xx + sqrt((yy - d xx)^2 + 4 d xy^2)) / (2 xy), d = delta (Deming 1943; Linnet 1993).
    """
    left = yy - delta * xx
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (left + np.sqrt(left**2 + 4 * delta * xy**2)) / (2 * xy)
        return np.where(np.isfinite(slope), slope, np.nan)


def theil_sen(x: FloatArray, y: FloatArray, groups: Groups) -> tuple[float, float, float]:
    """Median slope of all pairs of items within groups, and Sen's 95 % interval (1968).

    For several groups the pairs and the variances of Kendall's statistic, n (n - 1) (2 n + 5) / 18
    less the same of tied values, are added up over groups.

    Returns:
        Slope and bounds; NaN without a pair of different x, bounds also with next to nothing but
        ties.
    """

    def kendall(n: NDArray[np.intp] | int) -> float:
        return float(np.sum(n * (n - 1) * (2 * n + 5) / 18))

    slopes = []
    variance = 0.0
    for group in range(int(groups.max(initial=-1)) + 1):
        columns = x_group, y_group = x[groups == group], y[groups == group]
        first, second = np.triu_indices(len(x_group), 1)
        run, rise = x_group[second] - x_group[first], y_group[second] - y_group[first]
        slopes.append(rise[run != 0] / run[run != 0])
        # A value that occurs once adds 0.
        tied = sum(kendall(np.unique(of, return_counts=True)[1]) for of in columns)
        variance += kendall(len(x_group)) - tied
    ordered = np.sort(np.concatenate(slopes)) if slopes else np.array([])
    if not len(ordered):
        return float("nan"), float("nan"), float("nan")
    if variance < 0:
        return float(np.median(ordered)), float("nan"), float("nan")
    half = Z_95 * np.sqrt(variance)
    low = int(np.round((len(ordered) - half) / 2)) - 1
    high = min(int(np.round((len(ordered) + half) / 2)), len(ordered) - 1)
    return float(np.median(ordered)), float(ordered[max(low, 0)]), float(ordered[high])
