"""All figures of one model on one task: correlations, reliabilities, ceiling, rates, checks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan.alignment.data.human_side import named_norms
from handan.alignment.data.item_costs import TaskCosts, row_means
from handan.alignment.figures import confounds
from handan.alignment.figures.effort import inverse_efficiency
from handan.alignment.figures.means import why_unusable
from handan.alignment.output.render import decimal
from handan.alignment.output.render import interval as shown_interval
from handan.alignment.statistics.basic import (
    MIN_ITEMS,
    FloatArray,
    finite_or_none,
    leave_one_out,
    reliability_of_means,
    spearman,
    spearman_interval,
)
from handan.alignment.statistics.bootstrap import Bootstrap
from handan.alignment.statistics.correlate import Correlation, Pair
from handan.norms.reliability import Reliability, low_reliability

# An item that moves r by more than this is named.
INFLUENTIAL = 0.1
# Correlations over fewer distinct lengths are those of classes, which is said.
FEW_LENGTHS = 5
UNKNOWN = Reliability(None, None, None, "")


class Measured(NamedTuple):
    """One model on one task at one step.

    ``thinking`` are the costs that have a logarithm; ``r`` their log-log correlation with its
    interval, and ``draws`` its bootstrap draws, shape (draws,).
    """

    all_items: TaskCosts
    thinking: TaskCosts
    r: Correlation
    draws: FloatArray


def pairs_of(everything: TaskCosts, costs: TaskCosts) -> dict[str, Pair]:
    """Every further correlation of one model on one task, by its name in the report."""

    def pair(x: FloatArray, y: FloatArray) -> Pair:
        return Pair(costs.task, costs.items, x, y)

    positive = np.maximum(costs.mean_tokens, 1e-300)
    reasons = np.full(len(everything.items), np.nan)
    if not everything.reasons:
        reasons = row_means(1 - everything.direct)
    pairs = {
        "r_raw": Pair(
            everything.task, everything.items, everything.mean_tokens, everything.raw_demand
        ),
        "r_reasons": Pair(everything.task, everything.items, reasons, everything.log_demand),
        "r_logmean": pair(np.log(positive), costs.log_demand),
        "r_oracle": pair(costs.log_cost, np.log(costs.oracle)),
        "oracle_human": pair(np.log(costs.oracle), costs.log_demand),
    }
    pairs |= {f"sensitivity {k}": v for k, v in confounds.sensitivity_pairs(costs).items()}
    pairs |= {f"partial {k}": v for k, v in confounds.partial_pairs(costs).items()}
    return pairs


def human_reliability(costs: TaskCosts, seed: int, norms_dir: Path | None) -> Reliability:
    """Reliability of people's item means: of the trials at hand, or else of the named norms.

    That of norms is of all their items, also where the file holds only some of them.

    Raises:
        UserError: there is no such source of this task.
    """
    if costs.people is not None:
        return costs.people.reliability(np.random.default_rng(seed))
    if costs.norms is None:
        return UNKNOWN
    people = named_norms(costs.task, costs.norms, norms_dir)
    return Reliability(people.reliability, people.reliability_low, people.reliability_high, "")


def task_report(
    measured: Measured,
    correlations: dict[str, Correlation],
    people: Reliability,
    bootstrap: Bootstrap,
) -> dict:
    """Figures of one model on one task; log measures over items with a thinking sample."""
    everything, costs, r, draws = measured
    model = reliability_of_means(costs.log_tokens)
    human = np.nan if people.value is None else people.value
    ceiling = np.sqrt(human) if human > 0 else np.nan
    noise = np.sqrt(human * model.value) if min(human, model.value) > 0 else np.nan
    few = len(costs.items) < MIN_ITEMS
    rho = np.nan if few else spearman(costs.log_cost, costs.log_demand)
    of_condition = confounds.rates(everything)
    censored = confounds.censored(costs)

    def named(kind: str) -> dict[str, dict]:
        return {
            name.removeprefix(kind): found.report()
            for name, found in correlations.items()
            if name.startswith(kind)
        }

    return {
        "n": len(costs.items),
        "items_dropped": len(everything.items) - len(costs.items),
        "cost_source": costs.cost_source,
        "counted_by": costs.counted_by,
        "cost_rule": costs.cost_rule,
        **_with_interval("r_raw", correlations["r_raw"]),
        **_with_interval("r_loglog", r),
        "spearman": finite_or_none(rho),
        "spearman_ci": finite_or_none(spearman_interval(rho, len(costs.items))),
        **_with_interval("r_logmean", correlations["r_logmean"]),
        **_with_interval("r_reasons", correlations["r_reasons"]),
        "distinct_lengths": len(np.unique(np.round(costs.log_cost, 9))),
        "influential": influential(costs),
        "reliability_human": people.value,
        "reliability_human_ci": None if people.low is None else [people.low, people.high],
        "reliability_model": finite_or_none(model.value),
        "reliability_model_ci": finite_or_none((model.low, model.high)),
        "ceiling": finite_or_none(ceiling),
        **_with_interval("r_loglog_normalized", _divided(r, ceiling)),
        **_with_interval("r_loglog_disattenuated", _divided(r, noise)),
        **_with_interval("r_oracle", correlations["r_oracle"]),
        **_with_interval("oracle_human", correlations["oracle_human"]),
        **{name: finite_or_none(rate) for name, rate in of_condition.items()},
        "flags": confounds.flags(of_condition),
        "mean_tokens": finite_or_none(np.mean(everything.mean_tokens)),
        "geometric_mean_tokens": finite_or_none(
            np.exp(np.mean(costs.log_cost)) if len(costs.log_cost) else np.nan
        ),
        "inverse_efficiency": finite_or_none(inverse_efficiency(everything)),
        "sensitivity": {
            **{name: None for name in ("complete_only", "correct_only", "characters")},
            "censored": censored and censored.report(),
            **named("sensitivity "),
        },
        "partial": named("partial "),
        "wrong_minus_right": confounds.wrong_minus_right(costs, bootstrap),
        "draws_left_out": int(np.isnan(draws).sum()),
    }


def influential(costs: TaskCosts) -> list[dict]:
    """Items without which the log-log correlation is another by more than .1, the most so first.

    Args:
        costs: of ``TaskCosts.thinking``.

    Returns:
        'item', and 'r_without' it (null where that is undefined).
    """
    if np.isnan(costs.r):
        return []
    without = leave_one_out(costs.log_cost, costs.log_demand)
    moved = np.nan_to_num(np.abs(without - costs.r), nan=np.inf)
    order = np.argsort(-moved, kind="stable")[: np.count_nonzero(moved > INFLUENTIAL)]
    return [{"item": costs.items[i], "r_without": finite_or_none(without[i])} for i in order]


def _with_interval(name: str, found: Correlation) -> dict:
    return {name: finite_or_none(found.r), f"{name}_ci": finite_or_none(found.bounds)}


def _divided(r: Correlation, by: float) -> Correlation:
    """A correlation in units of a ceiling that is taken as known; neither is clipped."""
    low, high = r.bounds
    return Correlation(r.r / by, (low / by, high / by), r.num_items)


def reliability_notes(reports: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    """What is said of reports, by model and task, whose reliabilities are too low to divide by."""
    notes: list[str] = []
    for (model, task), of in reports.items():
        notes += low_reliability(f"people on {task}", of["reliability_human"])
        notes += low_reliability(f"{model} on {task}", of["reliability_model"])
    return list(dict.fromkeys(notes))


def task_notes(
    entries: Sequence[Measured], reports: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[str]:
    """What was left out, could not be computed or rests on little, one sentence each."""
    notes = []
    for everything, costs, r, draws in entries:
        name, num_items = f"{costs.model}, {costs.task}", len(costs.items)
        report = reports[costs.model, costs.task]
        if costs.counted_by and " + " in costs.counted_by:
            notes.append(f"{name}: tokens counted in more than one way: {costs.counted_by}")
        if dropped := len(everything.items) - num_items:
            notes.append(f"{name}: {dropped} items without a thinking sample left out of logs")
        if not everything.reasons:
            share, bounds = report["r_reasons"], report["r_reasons_ci"]
            goes = "" if share is None else f", which goes with time at r = {decimal(share)} "
            notes.append(
                f"{name}: {100 * everything.no_reasoning_rate:.0f} % of answers without reasoning: "
                f"first comes whether it reasons{goes}{shown_interval(bounds) if goes else ''}; "
                "r log-log is of lengths where it does, and carries no verdict"
            )
        if reason := why_unusable(costs, draws):
            notes.append(f"{name}: {reason}; in no mean and no verdict")
        elif r.r * r.r == 1:
            notes.append(f"{name}: r is exactly {r.r:+.0f}, so it is in no mean with others")
        if np.isnan(r.r):
            continue
        if (distinct := report["distinct_lengths"]) < FEW_LENGTHS:
            notes.append(f"{name}: only {distinct} distinct lengths over {num_items} items")
        notes += [
            f"{name}: without item {of['item']} r log-log is {decimal(of['r_without'])} instead of "
            f"{decimal(r.r)}"
            for of in report["influential"]
        ]
    return notes
