"""Constant multiplier, additive or decoupled: which law of inflation a slope leaves.

Three laws predict a slope b of logs, and the interval of b tells which of them can be:

- *constant multiplier*, t_student = k t_base: b = 1;
- *additive*, t_student = t_base + c: the slope of log(t_base + c) on log t_base, between 0 and 1
  for c > 0;
- *decoupled*, t_student has nothing to do with t_base: b = 0.

The noise of few samples flattens b, which would look like the additive law. So where the base has
two samples an item, the slope is corrected by the reliability of its costs (``lines.py``).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from handan.alignment.bootstrap import Bootstrap, Interval, Moments, interval
from handan.alignment.correlation import FloatArray, finite_or_none
from handan.alignment.items import TaskCosts
from handan.alignment.pairs import CostsByModel, SharedTasks, shared_tasks
from handan.alignment.regression import (
    Groups,
    deming_slope,
    fit_line,
    intercepts,
    least_squares_slope,
    theil_sen,
    within,
)

LAWS = ("constant multiplier", "additive", "decoupled")


def law(low: float, high: float, additive_slope: float) -> str | None:
    """Which of the three laws the interval of the slope leaves; None without an interval."""
    if not np.isfinite([low, high]).all():
        return None
    predicted = dict(zip(LAWS, (1.0, additive_slope, 0.0), strict=True))
    left = [name for name, slope in predicted.items() if low <= slope <= high]
    if not left:
        return "none of the three"
    return left[0] if len(left) == 1 else f"undecided: {' or '.join(left)}"


def additive_law(tasks: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[float, float]:
    """Tokens added to each item of the last task, and the slope of logs that adding predicts.

    c minimises the squares of log t_student - log(t_base + c), task by task.

    Args:
        tasks: log costs of base and student, shape (items,) each.
    """
    from scipy.optimize import minimize_scalar

    products, squares, added = 0.0, 0.0, float("nan")
    for x, y in tasks:
        tokens = np.exp(x)

        def misfit(c: float, y: FloatArray = y, tokens: FloatArray = tokens) -> float:
            return float(((y - np.log(tokens + c)) ** 2).sum())

        lowest = float(tokens.min())
        highest = max(float(np.exp(y).max()), lowest)
        added = float(
            minimize_scalar(misfit, bounds=(-lowest * (1 - 1e-6), highest), method="bounded").x
        )
        predicted = np.log(tokens + added)
        centred = x - x.mean()
        products += float(centred @ predicted)
        squares += float(centred @ x)
    return added, products / squares if squares > 0 else float("nan")


# Is a student its base, only wordier? Log tokens of one regressed on those of the other.


class _Fitted(NamedTuple):
    """What a fit needs of one task: costs of student and base, and the same in every draw.

    ``noise`` are the variances of the item means over samples, of base and student, in logs; NaN
    where no item has two samples. ``noise_draws`` are those of the base. Draws, and
    moments in them, have shape (draws,).
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
    of the correlations, and are null where a cost is constant or items are under six.
    'geometric_mean_ratio' is exp of the mean difference of log costs: what k is if b is 1.
    'residual_sd' is that of least squares, 'noise_sd' how much of it sampling alone would make.

    Raises:
        UserError: a pair names a model that is not there.
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
    """Of each pair its human tasks; pairs with the same items are resampled together."""
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
    groups: Groups = np.repeat(np.arange(len(sizes)), sizes)
    line = fit_line(x, y, groups)
    n = len(x)
    xx, yy, xy = (_pooled(fitted, name) for name in ("xx", "yy", "xy"))
    slopes = least_squares_slope(xx, xy)
    freedom = n - len(sizes) - 1
    with np.errstate(invalid="ignore"):
        residuals = np.sqrt(np.maximum(yy - slopes * xy, 0) * n / freedom) if freedom > 0 else xx
        ratios = _pooled(fitted, "y") - _pooled(fitted, "x")
        correlations = xy / np.sqrt(xx * yy)

    def bounds(draws: FloatArray) -> Interval:
        return interval(draws, sizes)

    def intercept(slope: float, of_draws: FloatArray) -> dict:
        """The intercept of a single task, as a and k = exp(a)."""
        if task is None or np.isnan(slope):
            return {"a": None, "a_ci": None, "k": None, "k_ci": None}
        a = float(intercepts(x, y, groups, slope)[0])
        low, high = bounds(fitted[0].moments.y - of_draws * fitted[0].moments.x)
        return {
            "a": finite_or_none(a),
            "a_ci": finite_or_none((low, high)),
            "k": _exp(a),
            "k_ci": finite_or_none((_exp(low) or np.nan, _exp(high) or np.nan)),
        }

    corrected, corrected_draws, reliability = _corrected(fitted, x, y, groups, xx, xy)
    noise_x, noise_y = (_noise(fitted, sizes, which) for which in (0, 1))
    # Noise is known where both have two samples an item; then its ratio is known too.
    known = noise_x > 0 and noise_y > 0
    delta = noise_y / noise_x if known else 1.0
    deming = _deming(x, y, groups, delta)
    deming_draws = deming_slope(xx, yy, xy, delta)
    robust, *robust_bounds = theil_sen(x, y, groups)
    additive = additive_law([(of.x, of.y) for of in fitted])
    use_corrected = np.isfinite(corrected)
    slope, of_slope = (corrected, corrected_draws) if use_corrected else (line.slope, slopes)
    low, high = bounds(of_slope)
    # Least squares lay their flattened line into the noise of x, so less of it is left.
    noise_sd = np.sqrt(noise_y + line.slope * slope * noise_x)
    return {
        "student": student,
        "base": base,
        "task": task,
        **intercept(line.slope, slopes),
        "b": finite_or_none(line.slope),
        "b_ci": finite_or_none(bounds(slopes)),
        "residual_sd": finite_or_none(line.residual_sd),
        "residual_sd_ci": finite_or_none(bounds(residuals)),
        "noise_sd": finite_or_none(noise_sd),
        "r": finite_or_none(line.r),
        "r_ci": finite_or_none(bounds(correlations)),
        "geometric_mean_ratio": finite_or_none(np.exp(np.mean(y - x))),
        "geometric_mean_ratio_ci": finite_or_none(tuple(np.exp(bounds(ratios)))),
        "deming": {
            "b": finite_or_none(deming),
            "b_ci": finite_or_none(bounds(deming_draws)),
            **intercept(deming, deming_draws),
            "delta": finite_or_none(delta),
        },
        "theil_sen": {
            "b": finite_or_none(robust),
            "b_ci": finite_or_none(tuple(robust_bounds)),
        },
        "corrected": {
            "b": finite_or_none(corrected),
            "b_ci": finite_or_none(bounds(corrected_draws)),
            **intercept(corrected, corrected_draws),
            "reliability_base": finite_or_none(reliability),
        },
        "additive": {
            "c_tokens": finite_or_none(additive[0]) if task is not None else None,
            "predicted_b": finite_or_none(additive[1]),
        },
        "law": law(low, high, additive[1]),
        "n": line.num_items,
        "draws_left_out": int(np.isnan(slopes).sum()),
    }


def _pooled(fitted: Sequence[_Fitted], name: str) -> FloatArray:
    """A moment in every draw, weighted over tasks by their items, shape (draws,)."""
    sizes = np.array([len(of.x) for of in fitted])
    parts = np.column_stack([getattr(of.moments, name) for of in fitted])
    return np.asarray(parts @ (sizes / sizes.sum()))


def _noise(fitted: Sequence[_Fitted], sizes: Sequence[int], which: int) -> float:
    """Mean variance of item means over samples; NaN if it is not known of every task."""
    return float(np.average([of.noise[which] for of in fitted], weights=sizes))


def _corrected(
    fitted: Sequence[_Fitted],
    x: FloatArray,
    y: FloatArray,
    groups: Groups,
    xx: FloatArray,
    xy: FloatArray,
) -> tuple[float, FloatArray, float]:
    """Slope corrected for the noise of the base, in every draw too, and the base's reliability."""
    sizes = np.array([len(of.x) for of in fitted])
    x_within, y_within = within(x, groups), within(y, groups)
    variance = float(x_within @ x_within) / max(len(x) - len(sizes), 1)
    covariance = float(x_within @ y_within) / max(len(x) - len(sizes), 1)
    noise = _noise(fitted, list(sizes), 0)
    unknown = np.full(len(xx), np.nan)
    if not variance > 0 or not noise < variance:
        return float("nan"), unknown, float("nan") if not variance > 0 else 1 - noise / variance
    noise_draws = np.column_stack([of.noise_draws for of in fitted]) @ (sizes / sizes.sum())
    scale = len(x) / (len(x) - len(sizes))
    draws = least_squares_slope(xx * scale - noise_draws, xy * scale)
    return covariance / (variance - noise), draws, 1 - noise / variance


def _deming(x: FloatArray, y: FloatArray, groups: Groups, delta: float) -> float:
    x_within, y_within = within(x, groups), within(y, groups)
    xx, yy, xy = x_within @ x_within, y_within @ y_within, x_within @ y_within
    return float(deming_slope(xx, yy, xy, delta))


def _exp(value: float) -> float | None:
    """exp, or None where it overflows: an intercept far outside the data is no multiplier."""
    with np.errstate(over="ignore"):
        return finite_or_none(np.exp(value))
