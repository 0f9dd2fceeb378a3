"""Do models spend tokens where people spend time? Makes ``alignment.json`` from ``costs.csv``.

Human tasks (``human_rt_s``) and analytic tasks (``analytic_cost``) have the same measures but never
share a mean. Signs are kept; unknown values are None.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from handan.alignment import correlation as stats
from handan.alignment import task_measures
from handan.alignment.bootstrap import Bootstrap, Correlation, correlate, cross_task_r, mean_bounds
from handan.alignment.contrasts import contrasts, notes_on_items, power_table
from handan.alignment.costs import RESPONSE, CostTable, as_table
from handan.alignment.inflation import inflation
from handan.alignment.items import TaskCosts, final_costs, item_costs, usable, weights_of
from handan.alignment.mixed import mixed_models
from handan.alignment.model_pairs import study
from handan.alignment.pairs import MAX_MODELS_FOR_ALL_PAIRS, Comparisons, compared_with
from handan.alignment.participants import SPLITS, Participants
from handan.alignment.task_measures import Measured
from handan.errors import UserError
from handan.inputs import Source
from handan.norms.compute import Reliability

# Percentiles of fewer draws do not hold a 95 % interval.
MIN_BOOTSTRAP, MAX_BOOTSTRAP = 100, 1_000_000


def align(
    rows: CostTable | Source,
    *,
    bootstrap: int = 10_000,
    seed: int = 0,
    reference: str | None = None,
    comparisons: Comparisons | None = None,
    participants: Mapping[str, Participants] | None = None,
    norms_dir: Path | None = None,
    equivalence_bound: float = 0.1,
    task_weights: str = stats.INVERSE_VARIANCE,
    mixed: bool = False,
) -> dict:
    """All measures of a set of models, ready for ``json.dumps(..., allow_nan=False)``.

    All models and steps share ``bootstrap`` draws; a measure depends on the seed, its model and its
    task alone. ``comparisons`` are made instead of those with the reference. ``norms_dir`` is
    searched for the sources in column 'norms' before the packaged ones. ``mixed`` adds the
    cross-check of ``mixed_models``.
    """
    if not MIN_BOOTSTRAP <= bootstrap <= MAX_BOOTSTRAP or seed < 0:
        raise UserError(
            f"bootstrap is {bootstrap}, seed {seed}; give {MIN_BOOTSTRAP} to "
            f"{MAX_BOOTSTRAP:,} draws and a seed from 0 on"
        )
    if not 0 < equivalence_bound < 1:
        raise UserError(f"the equivalence bound is {equivalence_bound:g}; give one from 0 to 1")
    if task_weights not in stats.TASK_WEIGHTS:
        raise UserError(f"task_weights is '{task_weights}'; give {' or '.join(stats.TASK_WEIGHTS)}")
    drawn = Bootstrap(bootstrap, seed)
    table = as_table(rows)
    people = Participants.of_table(table) if participants is None else participants
    costs = item_costs(table, people)
    final = final_costs(costs)
    if reference is not None and reference not in final:
        raise UserError(f"no model '{reference}' to refer to; there are: {', '.join(final)}")
    if comparisons is None:
        comparisons = compared_with(list(final), reference)

    steps: dict[str, dict[int | None, dict[str, Measured]]] = {}
    for entry in measure(costs, drawn):
        of = entry.all_items
        steps.setdefault(of.model, {}).setdefault(of.step, {})[of.task] = entry
    at_end = {m: [steps[m][e.step][task] for task, e in of.items()] for m, of in final.items()}
    reports = _task_reports([e for of_model in at_end.values() for e in of_model], drawn, norms_dir)
    models, notes = {}, []
    for model, entries in at_end.items():
        across, spread = cross_task_r([entry.thinking for entry in entries], seed)
        models[model] = {
            "tasks": {task: reports[model, task] for task in final[model]},
            "decoding": entries[0].all_items.decoding,
            "step": entries[0].all_items.step,
            **summary(entries, task_weights),
            "cross_task_r": stats.finite_or_none(across),
            "cross_task_r_range": stats.finite_or_none(spread),
            "steps": [
                _step_report(step, list(steps[model][step].values()), task_weights)
                for step in sorted(step for step in steps[model] if step is not None)
            ],
        }
        notes += task_measures.task_notes(entries, reports)
    notes += task_measures.reliability_notes(reports)
    if not comparisons.contrasts and len(final) > MAX_MODELS_FOR_ALL_PAIRS:
        notes.append(f"no contrasts: {len(final)} models and no reference to compare them with")
    whole = [m for m, of in final.items() if RESPONSE in {e.cost_rule for e in of.values()}]
    if 0 < len(whole) < len(final):
        notes.append(
            f"cost is the whole response for {', '.join(whole)} and the reasoning span for the "
            "others; --cost_rule computes one of them for all"
        )
    found = contrasts(final, comparisons.contrasts, drawn, equivalence_bound, task_weights)
    notes += notes_on_items(final, found)
    for row in found:
        row["roles"] = list(comparisons.roles.get((row["a"], row["b"]), ())) or None
    return {
        "models": models,
        "contrasts": found,
        "inflation": inflation(final, comparisons.inflation, drawn),
        "study": study(final, comparisons, drawn),
        "mixed": mixed_models(final, people) if mixed else [],
        "power": power_table(final, equivalence_bound, task_weights),
        "settings": {
            "bootstrap": bootstrap,
            "seed": seed,
            "splits": SPLITS,
            "reference": reference,
            "equivalence_bound": equivalence_bound,
            "task_weights": task_weights,
            "min_items": stats.MIN_ITEMS,
            "interval": "95 % expanded percentile, Poisson bootstrap over items within tasks",
            "holm_family": "contrasts on the mean over human tasks",
            "equivalence_family": "tests of equivalence on the mean over human tasks",
            "bh_family": "contrasts on single tasks",
        },
        "notes": notes,
    }


def measure(costs: Iterable[TaskCosts], bootstrap: Bootstrap) -> Iterable[Measured]:
    """Log-log correlation of each entry with its interval and draws."""
    thinking = [entry.thinking() for entry in costs]
    all_draws = bootstrap.alignment(thinking)
    for entry, part, draws in zip(costs, thinking, all_draws, strict=True):
        bounds = mean_bounds([part], [draws], np.ones(1))
        yield Measured(entry, part, Correlation(part.r, bounds, len(part.items)), draws)


def _task_reports(
    entries: Sequence[Measured], bootstrap: Bootstrap, norms_dir: Path | None
) -> dict[tuple[str, str], dict]:
    """Measures of every model on every task; their correlations are resampled together."""
    named = [task_measures.pairs_of(entry.all_items, entry.thinking) for entry in entries]
    found = iter(correlate([pair for of_entry in named for pair in of_entry.values()], bootstrap))
    human: dict[tuple, Reliability] = {}
    reports = {}
    for entry, of_entry in zip(entries, named, strict=True):
        costs = entry.thinking
        key = (costs.task, costs.norms, costs.items if costs.participants else ())
        if key not in human:
            human[key] = task_measures.human_reliability(costs, bootstrap.seed, norms_dir)
        correlations = {name: next(found) for name in of_entry}
        reports[costs.model, costs.task] = task_measures.task_report(
            entry, correlations, human[key], bootstrap
        )
    return reports


def summary(entries: Sequence[Measured], task_weights: str) -> dict:
    """Means over tasks: of r by Fisher's z, human and analytic apart; of rates, over all tasks."""
    out: dict = {}
    for source, name in (("human", "mean_r_loglog"), ("analytic", "mean_r_loglog_analytic")):
        of_source = [entry for entry in entries if entry.all_items.cost_source == source]
        kept = usable([e.thinking for e in of_source], [e.draws for e in of_source])
        used = list(compress(of_source, kept))
        names = (name, f"{name}_ci", f"{name}_tasks", f"{name}_ci_tasks")
        out |= dict.fromkeys(names)
        if used:
            parts = [entry.thinking for entry in used]
            weights = weights_of(parts, task_weights)
            r = np.array([part.r for part in parts])
            bounds = mean_bounds(parts, [entry.draws for entry in used], weights)
            found = (stats.fisher_mean(r, weights), bounds, *stats.over_tasks(r.tolist()))
            out |= zip(names, map(stats.finite_or_none, found), strict=True)
        if source == "human":
            out["mean_tasks"] = [entry.all_items.task for entry in used]
    plain = [_plain_means(entry.all_items) for entry in entries]
    for name in plain[0]:
        out[name] = stats.finite_or_none(stats.mean_of_known(np.array([of[name] for of in plain])))
    return out


def _plain_means(costs: TaskCosts) -> dict[str, float]:
    return {
        "accuracy": stats.mean_of_known(costs.correct),
        "cap_rate": stats.mean_of_known(costs.of_samples["truncated"]),
        "mean_tokens": float(np.mean(costs.mean_tokens)),
    }


def _step_report(step: int, entries: Sequence[Measured], task_weights: str) -> dict:
    """Measures of a curve at one step of training, with the draws of the end."""
    tasks = {
        entry.all_items.task: {
            "n": len(entry.thinking.items),
            "r_loglog": stats.finite_or_none(entry.r.r),
            "r_loglog_ci": stats.finite_or_none(entry.r.bounds),
            **{of: stats.finite_or_none(v) for of, v in _plain_means(entry.all_items).items()},
        }
        for entry in entries
    }
    return {"step": step, "tasks": tasks, **summary(entries, task_weights)}
