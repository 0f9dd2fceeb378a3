"""What a model in training is measured by: the figures of one suite at one step.

The probe within a training and ``eval/sweep.py`` over its checkpoints both make them here, so the
same responses give the same figures under the same names.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from handan.alignment.data.pairs import Comparisons
from handan.alignment.measure import align
from handan.cost_rows import GREEDY, cost_rows
from handan.suite import SuiteItem

BOOTSTRAP = 1_000
# Share of responses that ended in each way, by its name.
RATES = {
    "cap_rate": "truncated",
    "no_reasoning_rate": "no_reasoning",
    "unparsed_rate": "unparsed",
}


def sampled_costs(
    responses: Sequence[dict], items: Sequence[SuiteItem], cost_without_span: str
) -> list[dict]:
    """Rows of ``costs.csv`` of the sampled responses; curves leave the greedy ones out."""
    sampled = [row for row in responses if row["sample"] != GREEDY]
    return cost_rows(sampled, items, cost_without_span)


def suite_metrics(costs: Sequence[dict], first: Sequence[dict] | None) -> dict[str, float]:
    """Alignment, length, accuracy and status rates of one step; what is undefined is left out.

    ``inflation/k`` is the geometric mean ratio of an item's tokens to those of step 0, and
    ``inflation/b`` the slope of their logs on those of step 0, within tasks, corrected for the
    noise of few samples at step 0, which would flatten it; it needs items with two samples.

    Args:
        costs: of ``sampled_costs``, of one model at one step.
        first: the same of step 0; None at step 0 itself, or if it was not measured.
    """
    model = costs[0]["model"]
    begin = f"{model} at step 0"
    rows, pairs = [*costs], []
    if first:
        rows += [{**row, "model": begin} for row in first]
        pairs = [(model, begin)]
    comparisons = Comparisons(contrasts=[], inflation=pairs, effort=[], roles={})
    result = align(rows, bootstrap=BOOTSTRAP, seed=0, comparisons=comparisons)
    figures = result["models"][model]
    out = {
        **_with_interval("alignment/mean_r_loglog", figures, "mean_r_loglog"),
        "cost/reasoning_tokens": fmean(row["reasoning_tokens"] for row in costs),
        "status/accuracy": fmean(row["correct"] for row in costs),
    }
    for name, status in RATES.items():
        out[f"status/{name}"] = fmean(row["status"] == status for row in costs)
    for task, of_task in figures["tasks"].items():
        out |= _with_interval(f"alignment/{task}/r_loglog", of_task, "r_loglog")
        out[f"cost/{task}/reasoning_tokens"] = of_task["mean_tokens"]
        out[f"status/{task}/accuracy"] = of_task["accuracy"]
    for row in result["inflation"]:
        if row["task"] is None:
            out["inflation/k"] = row["geometric_mean_ratio"]
            out |= _with_interval("inflation/b", row["corrected"], "b")
    return {key: value for key, value in out.items() if value is not None}


def time_share(measuring_s: float, training_s: float) -> float:
    """Share of the time that went into measuring, from 0 to 1; NaN before any time has passed."""
    spent = measuring_s + training_s
    return measuring_s / spent if spent else math.nan


def budget_metrics(budget: Mapping[str, float | None]) -> dict[str, float]:
    """What was spent until a step, and the share of the time that went into measuring.

    Args:
        budget: of ``Ledger.budget``, or what a checkpoint keeps of it.
    """
    out = {f"budget/{key}": value for key, value in budget.items() if value is not None}
    share = time_share(out.get("budget/probe_seconds", 0.0), out.get("budget/train_seconds", 0.0))
    return out if math.isnan(share) else {**out, "budget/probe_share": share}


def _with_interval(name: str, figures: Mapping[str, Any], key: str) -> dict[str, float | None]:
    low, high = figures[f"{key}_ci"] or (None, None)
    return {name: figures[key], f"{name}_ci_low": low, f"{name}_ci_high": high}
