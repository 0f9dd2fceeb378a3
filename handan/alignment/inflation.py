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

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan.alignment.bootstrap import Bootstrap, Interval, Moments, interval
from handan.alignment.correlation import Z_95, FloatArray, finite_or_none, pearson, without_rounding
from handan.alignment.items import TaskCosts
from handan.alignment.pairs import CostsByModel, SharedTasks, shared_tasks

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


# Is a student its base, only wordier? Log tokens of one regressed on those of the other.

LAWS = ("constant multiplier", "additive", "decoupled")


class _Fitted(NamedTuple):
    """Costs of base (x) and student (y) on one task, and their moments in every draw.

    ``noise`` are the variances of the item means over samples, of base and student, in logs; NaN
    where no item has two samples. ``noise_draws`` are those of the base, shape (draws,).
    """

    task: str
    x: FloatArray
    y: FloatArray
    noise: tuple[float, float]
    moments: Moments
    noise_draws: FloatArray


def inflation(
    costs: CostsByModel, pairs: Sequence[tuple[str, str]], bootstrap: Bootstrap
) -> list[dict]:
    """Fits for each (student, base) pair: one row per shared human task, and one over all.

    The row over all tasks ('task' null) has one slope and an intercept for each task, so its 'a'
    and 'k' are null; its r is within tasks. Intervals resample items within tasks with the draws
    of the correlations. 'geometric_mean_ratio' is exp of the mean difference of log costs: what k
    is if b is 1. 'residual_sd' is that of least squares, 'noise_sd' how much of it sampling alone
    would make.
    """
    shared = shared_tasks(costs, pairs)
    fitted = _fitted(shared, bootstrap)
    rows = []
    for student, base in shared:
        of_pair = fitted.get((student, base), [])
        rows += [_row(student, base, of_task.task, [of_task]) for of_task in of_pair]
        if of_pair:
            rows.append(_row(student, base, None, of_pair))
    return rows


def _fitted(shared: SharedTasks, bootstrap: Bootstrap) -> dict[tuple[str, str], list[_Fitted]]:
    """Human tasks of each pair; pairs with the same items are resampled together."""
    together: dict[tuple, list[tuple[tuple[str, str], TaskCosts, TaskCosts]]] = {}
    for pair, tasks in shared.items():
        for task, (student, base) in tasks.items():
            if student.cost_source == "human" and student.items:
                together.setdefault((task, student.items), []).append((pair, student, base))
    fitted: dict[tuple[str, str], dict[str, _Fitted]] = {}
    for (task, items), members in together.items():
        x = np.column_stack([base.log_cost for _, _, base in members])
        y = np.column_stack([student.log_cost for _, student, _ in members])
        noise_x = np.column_stack([noise_variances(base) for _, _, base in members])
        noise_y = np.column_stack([noise_variances(student) for _, student, _ in members])
        moments = bootstrap.moments(task, items, x, y)
        noise_draws = bootstrap.means(task, items, noise_x)
        for column, (pair, _, _) in enumerate(members):
            fitted.setdefault(pair, {})[task] = _Fitted(
                task,
                x[:, column],
                y[:, column],
                (float(noise_x[:, column].mean()), float(noise_y[:, column].mean())),
                Moments(*(of[:, column] for of in moments)),
                noise_draws[:, column],
            )
    return {
        pair: [fitted[pair][task] for task in tasks if task in fitted.get(pair, {})]
        for pair, tasks in shared.items()
    }


def noise_variances(costs: TaskCosts) -> FloatArray:
    """Variance of each item's mean log cost over its samples, shape (items,).

    That of the item itself where it has two samples; an item with one, such as one whose other
    responses do not think, has the mean variance of a sample of the others. NaN if all have one.
    """
    logs = costs.log_tokens
    known = np.isfinite(logs)
    count = known.sum(axis=1)
    deviations = np.where(known, logs - costs.log_cost[:, None], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_sample = (deviations**2).sum(axis=1) / (count - 1)
    several = count > 1
    if several.any():
        of_sample[~several] = of_sample[several].mean()
    return np.asarray(of_sample / count)


def _row(student: str, base: str, task: str | None, fitted: Sequence[_Fitted]) -> dict:
    x: FloatArray = np.concatenate([of.x for of in fitted])
    y: FloatArray = np.concatenate([of.y for of in fitted])
    sizes = [len(of.x) for of in fitted]
    shares = np.array(sizes) / len(x)
    groups: Groups = np.repeat(np.arange(len(sizes)), sizes)
    line = fit_line(x, y, groups)

    def pooled(name: str) -> FloatArray:
        """A moment in every draw, weighted over tasks by their items, shape (draws,)."""
        return np.column_stack([getattr(of.moments, name) for of in fitted]) @ shares

    def bounds(draws: FloatArray) -> Interval:
        return interval(draws, sizes)

    def slope_report(slope: float, draws: FloatArray) -> dict:
        return {"b": finite_or_none(slope), "b_ci": finite_or_none(bounds(draws))}

    def intercept(slope: float, of_draws: FloatArray) -> dict:
        """The intercept of a single task, as a and k = exp(a)."""
        if task is None or np.isnan(slope):
            return dict.fromkeys(("a", "a_ci", "k", "k_ci"))
        a = float(intercepts(x, y, groups, slope)[0])
        low, high = bounds(fitted[0].moments.y - of_draws * fitted[0].moments.x)
        return {
            "a": finite_or_none(a),
            "a_ci": finite_or_none((low, high)),
            "k": _exp(a),
            "k_ci": finite_or_none((_exp(low) or np.nan, _exp(high) or np.nan)),
        }

    xx, yy, xy = (pooled(name) for name in ("xx", "yy", "xy"))
    slopes = least_squares_slope(xx, xy)
    n, freedom = len(x), len(x) - len(sizes) - 1
    with np.errstate(invalid="ignore"):
        residuals = np.sqrt(np.maximum(yy - slopes * xy, 0) * n / freedom) if freedom > 0 else xx
        correlations = xy / np.sqrt(xx * yy)
    ratios = pooled("y") - pooled("x")
    # Mean variance of item means over samples; NaN if it is not known of every task.
    noise_x, noise_y = (
        float(np.average([of.noise[which] for of in fitted], weights=sizes)) for which in (0, 1)
    )
    dx, dy = within(x, groups), within(y, groups)
    noise_draws = np.column_stack([of.noise_draws for of in fitted]) @ shares
    # Slope corrected for the noise of the base, in every draw too, and the base's reliability.
    corrected, corrected_draws, reliability = float("nan"), np.full(len(xx), np.nan), float("nan")
    variance, covariance = (float(dx @ of) / max(n - len(sizes), 1) for of in (dx, dy))
    if variance > 0:
        reliability = 1 - noise_x / variance
    if variance > 0 and noise_x < variance:
        scale = n / (n - len(sizes))
        corrected = covariance / (variance - noise_x)
        corrected_draws = least_squares_slope(xx * scale - noise_draws, xy * scale)
    # Noise is known where both have two samples an item; then its ratio is known too.
    delta = noise_y / noise_x if noise_x > 0 and noise_y > 0 else 1.0
    deming = float(deming_slope(dx @ dx, dy @ dy, dx @ dy, delta))
    deming_draws = deming_slope(xx, yy, xy, delta)
    robust, *robust_bounds = theil_sen(x, y, groups)
    added, additive_slope = additive_law([(of.x, of.y) for of in fitted])
    use_corrected = np.isfinite(corrected)
    slope, of_slope = (corrected, corrected_draws) if use_corrected else (line.slope, slopes)
    # Least squares lay their flattened line into the noise of x, so less of it is left.
    noise_sd = np.sqrt(noise_y + line.slope * slope * noise_x)
    return {
        "student": student,
        "base": base,
        "task": task,
        **intercept(line.slope, slopes),
        **slope_report(line.slope, slopes),
        "residual_sd": finite_or_none(line.residual_sd),
        "residual_sd_ci": finite_or_none(bounds(residuals)),
        "noise_sd": finite_or_none(noise_sd),
        "r": finite_or_none(line.r),
        "r_ci": finite_or_none(bounds(correlations)),
        "geometric_mean_ratio": finite_or_none(np.exp(np.mean(y - x))),
        "geometric_mean_ratio_ci": finite_or_none(tuple(np.exp(bounds(ratios)))),
        "deming": {
            **slope_report(deming, deming_draws),
            **intercept(deming, deming_draws),
            "delta": finite_or_none(delta),
        },
        "theil_sen": {"b": finite_or_none(robust), "b_ci": finite_or_none(tuple(robust_bounds))},
        "corrected": {
            **slope_report(corrected, corrected_draws),
            **intercept(corrected, corrected_draws),
            "reliability_base": finite_or_none(reliability),
        },
        "additive": {
            "c_tokens": finite_or_none(added) if task is not None else None,
            "predicted_b": finite_or_none(additive_slope),
        },
        "law": law(*bounds(of_slope), additive_slope),
        "n": line.num_items,
        "draws_left_out": int(np.isnan(slopes).sum()),
    }


def law(low: float, high: float, additive_slope: float) -> str | None:
    """The laws that the interval of the slope leaves, in words; None without an interval."""
    if not np.isfinite([low, high]).all():
        return None
    predicted = dict(zip(LAWS, (1.0, additive_slope, 0.0), strict=True))
    left = [name for name, slope in predicted.items() if low <= slope <= high]
    if not left:
        return "none of the three"
    return left[0] if len(left) == 1 else f"undecided: {' or '.join(left)}"


def additive_law(tasks: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[float, float]:
    """Tokens added to each item of the last task, and the slope of logs that adding predicts.

    c minimises the squares of log t_student - log(t_base + c), task by task, for log costs of base
    and student of shape (items,) each.
    """
    from scipy.optimize import minimize_scalar

    products, squares, added = 0.0, 0.0, float("nan")
    for x, y in tasks:
        tokens = np.exp(x)

        def misfit(c: float, y: FloatArray = y, tokens: FloatArray = tokens) -> float:
            return float(((y - np.log(tokens + c)) ** 2).sum())

        lowest = float(tokens.min())
        limits = (-lowest * (1 - 1e-6), max(float(np.exp(y).max()), lowest))
        added = float(minimize_scalar(misfit, bounds=limits, method="bounded").x)
        centred = x - x.mean()
        products += float(centred @ np.log(tokens + added))
        squares += float(centred @ x)
    return added, products / squares if squares > 0 else float("nan")


def _exp(value: float) -> float | None:
    """exp, or None where it overflows: an intercept far outside the data is no multiplier."""
    with np.errstate(over="ignore"):
        return finite_or_none(np.exp(value))
