"""Do models spend tokens where people spend time? The figures of ``alignment.json``.

``align`` takes the rows of ``costs.csv`` to one nested dict; ``item_costs.py`` defines the costs,
``statistics.py`` the figures, ``bootstrap.py`` the intervals. Human tasks (``human_rt_s``) and
analytic tasks (``analytic_cost``) have the same figures but never share a mean. Signs are kept:
a correlation below 0 is a finding. Unknown values are None: a correlation of a constant column,
a reliability without samples or norms, an interval over fewer than four items.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from handan.alignment.bootstrap import correlation_draws, percentile_interval, task_generator
from handan.alignment.contrasts import MOST_MODELS_FOR_ALL_PAIRS, choose_pairs, contrasts
from handan.alignment.cost_rows import CostRow
from handan.alignment.costs import as_rows
from handan.alignment.inflation import inflation
from handan.alignment.item_costs import TaskCosts, final_costs, item_costs
from handan.alignment.statistics import (
    finite_or_none,
    fisher_mean,
    mean_of_known,
    pearson,
    pearson_rows,
)
from handan.alignment.task_figures import SPLITS, Measured, task_notes, task_report
from handan.errors import UserError

CROSS_TASK_DRAWS = 1_000
LEAST_TASKS_ACROSS = 3
# Percentiles of fewer draws do not hold a 95 % interval.
LEAST_BOOTSTRAP = 100


def align(
    rows: Iterable[CostRow | Mapping[str, object]],
    *,
    bootstrap: int = 10_000,
    seed: int = 0,
    reference: str | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    inflation_pairs: Sequence[tuple[str, str]] | None = None,
    equivalence_bound: float = 0.1,
) -> dict:
    """All figures of a set of models, ready for ``json.dumps(..., allow_nan=False)``.

    Args:
        rows: of ``costs.read_costs``, or mappings with the columns of ``costs.csv``.
        bootstrap: number of draws of items, shared by all models and steps.
        seed: of all draws and splits. A figure depends on it, on its model and on its task alone.
        reference: the model all others are contrasted with.
        pairs: contrasts instead of those of ``handan.alignment.contrasts.choose_pairs``.
        inflation_pairs: (student, base) pairs; every model with the reference by default.
        equivalence_bound: see ``handan.alignment.contrasts``.

    Raises:
        UserError: a row is wrong, a named model is not there, or a setting is out of range.
    """
    if bootstrap < LEAST_BOOTSTRAP or seed < 0:
        raise UserError(f"at least {LEAST_BOOTSTRAP} bootstrap draws and a seed from 0 on")
    costs = item_costs(as_rows(rows))
    final = final_costs(costs)
    if reference is not None and reference not in final:
        raise UserError(f"no model '{reference}' to refer to; there are: {', '.join(final)}")
    if pairs is None:
        pairs = choose_pairs(list(final), reference)
    if inflation_pairs is None:
        inflation_pairs = choose_pairs(list(final), reference) if reference else []

    thinking = [entry.thinking() for entry in costs]
    draws = correlation_draws(thinking, bootstrap, seed)
    measured = {
        (entry.model, entry.step, entry.task): Measured(
            entry, part, pearson(part.log_cost, part.log_demand), entry_draws
        )
        for entry, part, entry_draws in zip(costs, thinking, draws, strict=True)
    }
    models, notes = {}, []
    for model, tasks in final.items():
        at_end = [measured[model, entry.step, task] for task, entry in tasks.items()]
        models[model] = _model_report(at_end, seed)
        models[model]["steps"] = _step_reports(model, measured)
        notes += task_notes(at_end)
    if not pairs and len(final) > MOST_MODELS_FOR_ALL_PAIRS:
        notes.append(f"no contrasts: {len(final)} models and no reference to compare them with")
    return {
        "models": models,
        "contrasts": contrasts(final, pairs, bootstrap, seed, equivalence_bound),
        "inflation": inflation(final, inflation_pairs, bootstrap, seed),
        "settings": {
            "bootstrap": bootstrap,
            "seed": seed,
            "splits": SPLITS,
            "reference": reference,
            "equivalence_bound": equivalence_bound,
            "interval": "95 % percentile bootstrap over items within tasks",
            "holm_family": "contrasts on the mean over human tasks",
        },
        "notes": notes,
    }


def _model_report(at_end: Sequence[Measured], seed: int) -> dict:
    return {
        "tasks": {entry.all_items.task: task_report(entry, seed) for entry in at_end},
        "step": at_end[0].all_items.step,
        **_summary(at_end),
        "cross_task_r": finite_or_none(cross_task_r([part.thinking for part in at_end], seed)),
    }


def _summary(entries: Sequence[Measured]) -> dict:
    """Means over tasks: of r by Fisher's z, human and analytic apart; of rates, over all tasks.

    A task without a defined r is left out of the mean of r, and of ``mean_tasks``, which names
    the human tasks in it.
    """
    out: dict = {}
    for source, name in (("human", "mean_r_loglog"), ("analytic", "mean_r_loglog_analytic")):
        defined = [
            entry
            for entry in entries
            if entry.all_items.cost_source == source and not np.isnan(entry.r)
        ]
        if not defined:
            out |= {name: None, f"{name}_ci": None}
        else:
            draws = fisher_mean(np.stack([entry.draws for entry in defined]), axis=0)
            out[name] = finite_or_none(fisher_mean(np.array([entry.r for entry in defined])))
            out[f"{name}_ci"] = finite_or_none(percentile_interval(draws))
        if source == "human":
            out["mean_tasks"] = [entry.all_items.task for entry in defined]
    columns = {
        "accuracy": [mean_of_known(entry.all_items.correct) for entry in entries],
        "cap_rate": [mean_of_known(entry.all_items.truncated) for entry in entries],
        "mean_tokens": [float(np.mean(entry.all_items.mean_tokens)) for entry in entries],
    }
    for name, values in columns.items():
        out[name] = finite_or_none(mean_of_known(np.array(values)))
    return out


def _step_reports(model: str, measured: Mapping[tuple, Measured]) -> list[dict]:
    """The course of training: at each step what a curve needs, with the draws of the end."""
    steps: dict[int, list[Measured]] = {}
    for (of_model, step, _), entry in measured.items():
        if of_model == model and step is not None:
            steps.setdefault(step, []).append(entry)
    return [
        {
            "step": step,
            "tasks": {
                entry.all_items.task: {
                    "n": len(entry.thinking.items),
                    "r_loglog": finite_or_none(entry.r),
                    "r_loglog_ci": finite_or_none(percentile_interval(entry.draws)),
                    "accuracy": finite_or_none(mean_of_known(entry.all_items.correct)),
                    "mean_tokens": finite_or_none(np.mean(entry.all_items.mean_tokens)),
                    "cap_rate": finite_or_none(mean_of_known(entry.all_items.truncated)),
                }
                for entry in entries
            },
            **_summary(entries),
        }
        for step, entries in sorted(steps.items())
    ]


def cross_task_r(tasks: Sequence[TaskCosts], seed: int) -> float:
    """Correlation over tasks: one item of each human task is drawn, and their log costs are
    correlated with their log response times; mean r of 1,000 draws, after de Varda et al. 2025.

    That the mean is a plain one is our inference. NaN under three human tasks.
    """
    human = [costs for costs in tasks if costs.cost_source == "human" and costs.items]
    if len(human) < LEAST_TASKS_ACROSS:
        return float("nan")
    drawn = [
        task_generator(seed, costs.task, "cross-task").integers(
            0, len(costs.items), size=CROSS_TASK_DRAWS
        )
        for costs in human
    ]
    pairs = list(zip(human, drawn, strict=True))
    log_cost = np.column_stack([costs.log_cost[items] for costs, items in pairs])
    log_demand = np.column_stack([costs.log_demand[items] for costs, items in pairs])
    return mean_of_known(pearson_rows(log_cost, log_demand))
