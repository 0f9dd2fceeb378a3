"""Correlations over several tasks: their mean with its intervals, and the one across tasks."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.statistics.basic import (
    FloatArray,
    fisher_mean,
    gradient_of_z,
    mean_of_known,
    pearson_rows,
)
from handan.alignment.statistics.bootstrap import task_generator
from handan.alignment.statistics.intervals import NO_INTERVAL, Interval, interval, widened

CROSS_TASK_DRAWS = 1_000
LEAST_TASKS_ACROSS = 3


def interval_of_mean(
    entries: Sequence[TaskCosts],
    r: Sequence[float],
    draws: Sequence[FloatArray],
    sizes: Sequence[int],
) -> Interval:
    """Interval of the Fisher-z mean of correlations, over items and, where known, people.

    Args:
        entries: costs of one model, a task each.
        r: their log-log correlations.
        draws: the bootstrap draws of each, shape (draws,).
        sizes: numbers of items.
    """
    extra = people_variance(entries)
    mean = fisher_mean(np.stack(draws), axis=0)
    if not extra:
        return interval(mean, sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = float(np.mean(np.arctanh(np.array(r))))
        wider = widened(np.arctanh(mean), centre, extra)
    return interval(np.tanh(wider), sizes)


def people_variance(entries: Sequence[TaskCosts]) -> float:
    """Variance that other people would add to the mean Fisher z of one model over these tasks."""
    extra = sum(
        entry.people.few
        * entry.people.shared_variance(gradient_of_z(entry.log_cost, entry.log_demand))
        for entry in entries
        if entry.people is not None
    )
    return extra / len(entries) ** 2


def interval_over_tasks(r: Sequence[float]) -> Interval:
    """95 % interval of the mean correlation for other tasks like these: Student's t on Fisher's z.

    Tasks are the sample here, whatever their items; NaN under three tasks.
    """
    with np.errstate(divide="ignore"):
        z = np.arctanh(np.array(r))
    if len(z) < LEAST_TASKS_ACROSS or not np.isfinite(z).all():
        return NO_INTERVAL
    half = -float(stdtrit(len(z) - 1, 0.025)) * z.std(ddof=1) / np.sqrt(len(z))
    return float(np.tanh(z.mean() - half)), float(np.tanh(z.mean() + half))


def cross_task_r(tasks: Sequence[TaskCosts], seed: int) -> tuple[float, Interval]:
    """Correlation over tasks: one item of each human task is drawn, and their log costs are
    correlated with their log response times; mean r of 1,000 draws, after de Varda et al. 2025,
    and the range that holds 95 % of the draws.

    That the mean is a plain one is our inference. NaN under three human tasks.
    """
    human = [costs for costs in tasks if costs.cost_source == "human" and costs.items]
    if len(human) < LEAST_TASKS_ACROSS:
        return float("nan"), NO_INTERVAL
    drawn = [
        task_generator(seed, costs.task, "cross-task").integers(
            0, len(costs.items), size=CROSS_TASK_DRAWS
        )
        for costs in human
    ]
    pairs = list(zip(human, drawn, strict=True))
    log_cost = np.column_stack([costs.log_cost[items] for costs, items in pairs])
    log_demand = np.column_stack([costs.log_demand[items] for costs, items in pairs])
    r = pearson_rows(log_cost, log_demand)
    low, high = np.nanpercentile(r, [2.5, 97.5]) if np.isfinite(r).any() else (np.nan, np.nan)
    return mean_of_known(r), (float(low), float(high))
