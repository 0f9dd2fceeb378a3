"""Lines y = intercept[group] + slope x + e through two columns that are both measured with noise.

Least squares is right if x is exact, Deming's line if all points lie on it; least squares divided
by the reliability of x (Fuller 1987, eq. 1.2.3) if points scatter too. Theil-Sen is robust.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan.alignment.bootstrap import Bootstrap, Moments, interval
from handan.alignment.correlation import Z_95, FloatArray, finite_or_none, pearson, without_rounding
from handan.alignment.items import TaskCosts
from handan.alignment.pairs import CostsByModel, shared_tasks

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

    ``residual_sd`` has n - groups - 1 degrees of freedom; ``r`` is within groups. NaN where x is
    constant or freedom is gone.
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
    """Median slope of all pairs within groups, shape (items,), and Sen's 95 % interval (1968).

    Over groups the pairs and the variances of Kendall's statistic, n (n - 1) (2 n + 5) / 18 less
    the same of tied values, are added up. NaN without a pair of different x, bounds also with next
    to nothing but ties.
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


class _Fitted(NamedTuple):
    """Log costs of base (x) and student (y) on one task, and their moments in every draw."""

    task: str
    x: FloatArray
    y: FloatArray
    noise: tuple[float, float]  # mean noise_variances of both
    moments: Moments
    noise_draws: FloatArray  # mean noise of the base in every draw


def inflation(
    costs: CostsByModel, pairs: Sequence[tuple[str, str]], bootstrap: Bootstrap
) -> list[dict]:
    """Fits for each (student, base) pair: one row per shared human task, and one over all.

    The row over all tasks ('task' null) has one slope and an intercept for each task, so its 'a'
    and 'k' are null; its r is within tasks. 'geometric_mean_ratio' is what k is if b is 1.
    'noise_sd' is how much of 'residual_sd' sampling alone would make.
    """
    shared = shared_tasks(costs, pairs)
    # Pairs with the same items are resampled together.
    together: dict[tuple, list[tuple[tuple[str, str], TaskCosts, TaskCosts]]] = {}
    for pair, tasks in shared.items():
        for task, both in tasks.items():
            if both[0].cost_source == "human" and both[0].items:
                together.setdefault((task, both[0].items), []).append((pair, *both))
    fitted: dict[tuple[str, str], dict[str, _Fitted]] = {}
    for (task, items), members in together.items():
        pairs_here, students, bases = zip(*members, strict=True)
        sides = (bases, students)
        x, y = (np.column_stack([of.log_cost for of in side]) for side in sides)
        noise = [np.column_stack([noise_variances(of) for of in side]) for side in sides]
        moments = bootstrap.moments(task, items, x, y)
        noise_draws = bootstrap.means(task, items, noise[0])
        for column, pair in enumerate(pairs_here):
            fitted.setdefault(pair, {})[task] = _Fitted(
                *(task, x[:, column], y[:, column]),
                (float(noise[0][:, column].mean()), float(noise[1][:, column].mean())),
                Moments(*(of[:, column] for of in moments)),
                noise_draws[:, column],
            )
    rows = []
    for (student, base), tasks in shared.items():
        found = fitted.get((student, base), {})
        of_pair = [found[task] for task in tasks if task in found]
        rows += [_row(student, base, of_task.task, [of_task]) for of_task in of_pair]
        if of_pair:
            rows.append(_row(student, base, None, of_pair))
    return rows


def noise_variances(costs: TaskCosts) -> FloatArray:
    """Variance of each item's mean log cost over its samples, shape (items,).

    An item with one sample has the mean variance of a sample of the others; NaN if all have one.
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

    def slope_report(slope: float, draws: FloatArray) -> dict:
        return {"b": finite_or_none(slope), "b_ci": finite_or_none(interval(draws, sizes))}

    def intercept(slope: float, of_draws: FloatArray) -> dict:
        """The intercept of a single task, as a and k = exp(a)."""
        if task is None or np.isnan(slope):
            return dict.fromkeys(("a", "a_ci", "k", "k_ci"))
        a = float(intercepts(x, y, groups, slope)[0])
        low, high = interval(fitted[0].moments.y - of_draws * fitted[0].moments.x, sizes)
        k_ci = finite_or_none((_exp(low) or np.nan, _exp(high) or np.nan))
        a_ci = finite_or_none((low, high))
        return {"a": finite_or_none(a), "a_ci": a_ci, "k": _exp(a), "k_ci": k_ci}

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
    corrected, corrected_draws = float("nan"), np.full(len(xx), np.nan)
    variance, covariance = (float(dx @ of) / max(n - len(sizes), 1) for of in (dx, dy))
    reliability = 1 - noise_x / variance if variance > 0 else float("nan")
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
    slope, of_slope = line.slope, slopes
    if np.isfinite(corrected):
        slope, of_slope = corrected, corrected_draws
    # Least squares lay their flattened line into the noise of x, so less of it is left.
    noise_sd = np.sqrt(noise_y + line.slope * slope * noise_x)
    return {
        "student": student,
        "base": base,
        "task": task,
        **intercept(line.slope, slopes),
        **slope_report(line.slope, slopes),
        "residual_sd": finite_or_none(line.residual_sd),
        "residual_sd_ci": finite_or_none(interval(residuals, sizes)),
        "noise_sd": finite_or_none(noise_sd),
        "r": finite_or_none(line.r),
        "r_ci": finite_or_none(interval(correlations, sizes)),
        "geometric_mean_ratio": finite_or_none(np.exp(np.mean(y - x))),
        "geometric_mean_ratio_ci": finite_or_none(tuple(np.exp(interval(ratios, sizes)))),
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
        "law": law(*interval(of_slope, sizes), additive_slope),
        "n": line.num_items,
        "draws_left_out": int(np.isnan(slopes).sum()),
    }


def law(low: float, high: float, additive_slope: float) -> str | None:
    """The laws that the interval of the slope leaves, in words; None without an interval."""
    if not np.isfinite([low, high]).all():
        return None
    predicted = {"constant multiplier": 1.0, "additive": additive_slope, "decoupled": 0.0}
    left = [name for name, slope in predicted.items() if low <= slope <= high]
    if not left:
        return "none of the three"
    return left[0] if len(left) == 1 else f"undecided: {' or '.join(left)}"


def additive_law(tasks: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[float, float]:
    """Tokens added to each item of the last task, and the slope of logs that adding predicts.

    c minimises the squares of log t_student - log(t_base + c); a task has the log costs of base and
    student, shape (items,) each.
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
