"""Is a student its base, only wordier? Log tokens of one regressed on those of the other.

For the items i of a task, log t_student[i] = a + b log t_base[i] + e[i], by ordinary least
squares. The Linear Inflation Law (arXiv 2601.05019) says that the student multiplies its base's
length by a constant k: b = 1 and a = log k.

An exact multiplier of each item's cost cannot change a correlation: t_student = k t_base adds
log k to every log cost and scales every raw cost, and Pearson's r ignores both. So a constant
multiplier and a collapse of r cannot both hold item by item: a collapse sits in b or in the
residuals e. (With several samples the identity holds for multiples of each sample's cost, or of
the item's.)

Simplified: least squares take the base's costs as exact; its noise flattens b.
"""

from collections.abc import Sequence

import numpy as np

from handan.alignment.bootstrap import (
    LEAST_ITEMS_FOR_INTERVAL,
    Moments,
    bootstrap_moments,
    percentile_interval,
    task_generator,
)
from handan.alignment.contrasts import CostsByModel, shared_tasks
from handan.alignment.item_costs import TaskCosts
from handan.alignment.statistics import FloatArray, finite_or_none, fit_line


def inflation(
    costs: CostsByModel, pairs: Sequence[tuple[str, str]], bootstrap: int = 10_000, seed: int = 0
) -> list[dict]:
    """Fits for each (student, base) pair: one row per shared human task, and one over all.

    The row over all tasks ('task' null) has one slope and an intercept for each task, so its 'a'
    and 'k' are null; its r is within tasks. 'b_ci' resamples items within tasks with the draws
    of the correlations, and is null where a cost is constant or items are under four.
    'geometric_mean_ratio' is exp of the mean difference of log costs: what
    k is if b is 1.

    Raises:
        UserError: a pair names a model that is not there.
    """
    rows = []
    for (student, base), tasks in shared_tasks(costs, pairs).items():
        human = {
            task: both
            for task, both in tasks.items()
            if both[0].cost_source == "human" and both[0].items
        }
        moments = [_moments(both, bootstrap, seed) for both in human.values()]
        for (task, both), of_task in zip(human.items(), moments, strict=True):
            rows.append(_fit(student, base, task, [both], [of_task]))
        if human:
            rows.append(_fit(student, base, None, list(human.values()), moments))
    return rows


def _moments(both: tuple[TaskCosts, TaskCosts], bootstrap: int, seed: int) -> Moments:
    """Moments of (base, student) log costs in each draw, shape (draws, 1), NaN with few items."""
    student, base = both
    if len(base.items) < LEAST_ITEMS_FOR_INTERVAL:
        return Moments(*[np.full((bootstrap, 1), np.nan)] * 3)
    generator = task_generator(seed, base.task, "items")
    return bootstrap_moments(
        base.log_cost[:, None], student.log_cost[:, None], bootstrap, generator
    )


def _fit(
    student: str,
    base: str,
    task: str | None,
    both_by_task: Sequence[tuple[TaskCosts, TaskCosts]],
    moments: Sequence[Moments],
) -> dict:
    y: FloatArray = np.concatenate([of_student.log_cost for of_student, _ in both_by_task])
    x: FloatArray = np.concatenate([of_base.log_cost for _, of_base in both_by_task])
    sizes = [len(of_base.items) for _, of_base in both_by_task]
    line = fit_line(x, y, np.repeat(np.arange(len(sizes)), sizes))
    slopes = np.sum([of.xy for of in moments], axis=0) / np.sum([of.xx for of in moments], axis=0)
    intercept = line.intercepts[0] if task is not None else np.nan
    with np.errstate(over="ignore"):  # an intercept far outside the data is no multiplier
        multiplier = np.exp(intercept)
    return {
        "student": student,
        "base": base,
        "task": task,
        "a": finite_or_none(intercept),
        "k": finite_or_none(multiplier),
        "b": finite_or_none(line.slope),
        "b_ci": finite_or_none(percentile_interval(slopes[:, 0])),
        "residual_sd": finite_or_none(line.residual_sd),
        "r": finite_or_none(line.r),
        "geometric_mean_ratio": finite_or_none(np.exp(np.mean(y - x))),
        "n": line.num_items,
        "draws_left_out": int(np.isnan(slopes).sum()),
    }
