"""All figures of one model on one task: correlations, reliabilities, ceiling, rates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from handan.alignment.bootstrap import LEAST_ITEMS_FOR_INTERVAL, percentile_interval, task_generator
from handan.alignment.item_costs import TaskCosts
from handan.alignment.statistics import (
    FloatArray,
    finite_or_none,
    mean_of_known,
    pearson,
    spearman,
    split_half_reliability,
)

SPLITS = 1_000


class Measured(NamedTuple):
    """One model on one task at one step: costs, those with a log cost, their r and its draws."""

    all_items: TaskCosts
    thinking: TaskCosts
    r: float
    draws: FloatArray


def task_report(measured: Measured, seed: int) -> dict:
    """Figures of one model on one task; log measures over items with a thinking sample."""
    everything, costs, r, draws = measured
    log_cost, log_demand = costs.log_cost, costs.log_demand
    reliability, reliability_ci = human_reliability(costs.task, costs.norms)
    ceiling = np.sqrt(reliability) if reliability is not None and reliability > 0 else np.nan
    splits = task_generator(seed, costs.task, "splits")
    return {
        "n": len(costs.items),
        "items_dropped": len(everything.items) - len(costs.items),
        "cost_source": costs.cost_source,
        "r_raw": finite_or_none(pearson(everything.mean_tokens, everything.demand)),
        "r_loglog": finite_or_none(r),
        "r_loglog_ci": finite_or_none(percentile_interval(draws)),
        "spearman": finite_or_none(spearman(log_cost, log_demand)),
        "r_logmean": finite_or_none(pearson(np.log(costs.mean_tokens), log_demand)),
        "reliability_human": reliability,
        "reliability_human_ci": reliability_ci,
        "reliability_model": finite_or_none(
            split_half_reliability(costs.log_tokens, SPLITS, splits)
        ),
        "ceiling": finite_or_none(ceiling),
        "r_loglog_normalized": finite_or_none(r / ceiling),
        "r_oracle": finite_or_none(pearson(log_cost, np.log(costs.oracle))),
        "oracle_human": finite_or_none(pearson(np.log(costs.oracle), log_demand)),
        "accuracy": finite_or_none(mean_of_known(everything.correct)),
        "cap_rate": finite_or_none(mean_of_known(everything.truncated)),
        "unparsed_rate": finite_or_none(mean_of_known(everything.unparsed)),
        "no_reasoning_rate": finite_or_none(mean_of_known(everything.direct)),
        "mean_tokens": finite_or_none(np.mean(everything.mean_tokens)),
        "geometric_mean_tokens": finite_or_none(
            np.exp(np.mean(log_cost)) if len(log_cost) else np.nan
        ),
        "draws_left_out": int(np.isnan(draws).sum()),
    }


def human_reliability(task: str, source: str | None) -> tuple[float | None, list[float] | None]:
    """Split-half reliability over participants of a packaged source, with its interval.

    It is that of all packaged items, also where the file holds only some of them.

    Raises:
        UserError: there is no such source of this task.
    """
    if source is None:
        return None, None
    from handan import norms

    people = norms.load(task, source)
    low, high = people.reliability_low, people.reliability_high
    return people.reliability, None if low is None or high is None else [low, high]


def task_notes(entries: Sequence[Measured]) -> list[str]:
    """What was left out or could not be computed, one sentence each."""
    notes = []
    for everything, costs, r, draws in entries:
        name, num_items = f"{costs.model}, {costs.task}", len(costs.items)
        if dropped := len(everything.items) - num_items:
            notes.append(f"{name}: {dropped} items without a thinking sample left out of logs")
        if num_items < 2:
            notes.append(f"{name}: {num_items} items; a correlation needs two")
        elif np.isnan(r):
            notes.append(f"{name}: constant cost or demand, so no correlation")
        elif num_items < LEAST_ITEMS_FOR_INTERVAL:
            notes.append(f"{name}: {num_items} items; an interval needs four")
        elif left_out := int(np.isnan(draws).sum()):
            notes.append(f"{name}: {left_out} of {len(draws)} bootstrap draws constant, left out")
    return notes
