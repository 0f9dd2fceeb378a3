"""Correlations over several tasks: their mean with its intervals, and the one across tasks."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from handan.alignment import bootstrap
from handan.alignment import correlation as stats
from handan.alignment.bootstrap import NO_INTERVAL, Interval, interval
from handan.alignment.correlation import FloatArray
from handan.alignment.items import TaskCosts

MIN_TASKS_ACROSS = 3


def why_unusable(entry: TaskCosts, draws: FloatArray) -> str | None:
    """Reason why a correlation takes part in no mean and no verdict; None if it does."""
    if len(entry.items) < stats.MIN_ITEMS:
        return f"{len(entry.items)} items; a correlation needs {stats.MIN_ITEMS}"
    if np.isnan(entry.r):
        return "constant cost or demand, so no correlation"
    if (undefined := np.isnan(draws).mean()) > bootstrap.MAX_UNDEFINED_DRAWS:
        return f"a column is constant in {100 * undefined:.0f} % of the draws, so no interval"
    if not entry.answers:
        return f"{100 * entry.accuracy:.1f} % right, so its lengths are those of no solution"
    return None


def usable(entries: Sequence[TaskCosts], draws: Sequence[FloatArray]) -> list[bool]:
    """Whether each entry of one model takes part in a mean.

    An r of exactly +1 or -1 does not beside another one: it has no finite z, and would decide the
    mean alone.
    """
    known = [why_unusable(*of) is None for of in zip(entries, draws, strict=True)]
    r = [entry.r if use else None for use, entry in zip(known, entries, strict=True)]
    equal = len(set(r) - {None}) == 1
    return [of is not None and (equal or of * of != 1) for of in r]


def weights_of(entries: Sequence[TaskCosts], task_weights: str) -> FloatArray:
    """Weights of these tasks in a mean of Fisher's z, shape (tasks,)."""
    return stats.z_weights([len(entry.items) for entry in entries], task_weights)


def interval_of_mean(
    entries: Sequence[TaskCosts], draws: Sequence[FloatArray], weights: FloatArray
) -> Interval:
    """Interval of one model's Fisher-z mean, over items and, where known, people."""
    sizes = [len(entry.items) for entry in entries]
    extra = participant_variance(entries, weights)
    mean = stats.fisher_mean(np.stack(draws), weights, axis=0)
    if not extra:
        return interval(mean, sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = float(np.arctanh([entry.r for entry in entries]) @ weights)
        wider = bootstrap.widened(np.arctanh(mean), centre, extra)
    return interval(np.tanh(wider), sizes)


def participant_variance(entries: Sequence[TaskCosts], weights: FloatArray) -> float:
    """Variance that other people would add to the mean Fisher z of one model over these tasks."""
    return sum(
        weight**2
        * entry.participants.few
        * entry.participants.shared_variance(
            stats.gradient_of_z(entry.log_cost, entry.log_difficulty)
        )
        for entry, weight in zip(entries, weights, strict=True)
        if entry.participants is not None
    )


def over_tasks(r: Sequence[float]) -> tuple[float, Interval]:
    """Mean correlation for other tasks like these, and its 95 % interval.

    Student's t on Fisher's z: tasks are the sample here, all alike, whatever their items. NaN
    under three tasks.
    """
    if len(r) < MIN_TASKS_ACROSS or not max(abs(of) for of in r) < 1:
        return float("nan"), NO_INTERVAL
    z = np.arctanh(np.array(r))
    half = -float(stdtrit(len(z) - 1, 0.025)) * z.std(ddof=1) / np.sqrt(len(z))
    low, mean, high = np.tanh([z.mean() - half, z.mean(), z.mean() + half])
    return float(mean), (float(low), float(high))


def cross_task_r(tasks: Sequence[TaskCosts], seed: int) -> tuple[float, Interval]:
    """Mean r over tasks of one random item of each, after de Varda et al. 2025, and its range.

    1,000 draws, of which the range holds 95 %. That the mean is a plain one is our inference. NaN
    under three human tasks.
    """
    human = [costs for costs in tasks if costs.cost_source == "human" and costs.items]
    if len(human) < MIN_TASKS_ACROSS:
        return float("nan"), NO_INTERVAL
    columns = []
    for costs in human:
        generator = bootstrap.task_generator(seed, costs.task, "cross-task")
        items = generator.integers(0, len(costs.items), size=1_000)
        columns.append((costs.log_cost[items], costs.log_difficulty[items]))
    r = stats.pearson_rows(*(np.column_stack(of) for of in zip(*columns, strict=True)))
    low, high = np.nanpercentile(r, [2.5, 97.5]) if np.isfinite(r).any() else (np.nan, np.nan)
    return stats.mean_of_known(r), (float(low), float(high))
