"""Do models spend tokens where people spend time? The figures of ``alignment.json``.

``align`` takes the rows of ``costs.csv`` to one nested dict. Human tasks (``human_rt_s``) and
analytic tasks (``analytic_cost``) have the same figures but never share a mean. Signs are kept: a
correlation below 0 is a finding. Unknown values are None: a correlation of a constant column or of
fewer than twelve items, a reliability without samples or norms.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from handan.alignment.bootstrap import NO_INTERVAL, Bootstrap, Correlation, correlate
from handan.alignment.contrasts import contrasts, notes_on_items, power_table
from handan.alignment.correlation import (
    INVERSE_VARIANCE,
    MIN_ITEMS,
    TASK_WEIGHTS,
    finite_or_none,
    fisher_mean,
    mean_of_known,
)
from handan.alignment.costs import CostTable, as_table
from handan.alignment.inflation import inflation
from handan.alignment.items import TaskCosts, final_costs, item_costs
from handan.alignment.means import cross_task_r, interval_of_mean, over_tasks, usable, weights_of
from handan.alignment.model_pairs import study
from handan.alignment.pairs import MAX_MODELS_FOR_ALL_PAIRS, Comparisons, compared_with
from handan.alignment.participants import SPLITS, People
from handan.alignment.task_measures import (
    Measured,
    human_reliability,
    pairs_of,
    reliability_notes,
    task_notes,
    task_report,
)
from handan.budgets import TOLERANCE
from handan.cli import BOOTSTRAP, EQUIVALENCE_BOUND, SEED
from handan.cli import TASK_WEIGHTS as TASK_WEIGHTS_options
from handan.errors import UserError
from handan.norms.reliability import Reliability

# Percentiles of fewer draws do not hold a 95 % interval.
MIN_BOOTSTRAP = 100
MAX_BOOTSTRAP = 1_000_000


def align(
    rows: CostTable | Iterable[Mapping[str, object]],
    *,
    bootstrap: int = 10_000,
    seed: int = 0,
    reference: str | None = None,
    comparisons: Comparisons | None = None,
    people: Mapping[str, People] | None = None,
    norms_dir: Path | None = None,
    equivalence_bound: float = 0.1,
    task_weights: str = INVERSE_VARIANCE,
) -> dict:
    """All figures of a set of models, ready for ``json.dumps(..., allow_nan=False)``.

    Args:
        rows: of ``costs.read_costs``, or mappings with the columns of ``costs.csv``.
        bootstrap: number of draws of items, shared by all models and steps.
        seed: of all draws and splits. A figure depends on it, on its model and on its task alone.
        reference: the model all others are compared with.
        comparisons: what is compared instead, such as by ``pairs.read_pairs``.
        people: participants of tasks, such as of a file of trials; see ``item_costs``.
        norms_dir: searched for the sources in column 'norms' before the packaged ones.
        equivalence_bound: see ``handan.alignment.contrasts``.
        task_weights: how tasks weigh in a mean, see ``statistics.basic.z_weights``.

    Raises:
        UserError: a row is wrong, a named model is not there, or a setting is out of range.
    """
    if not MIN_BOOTSTRAP <= bootstrap <= MAX_BOOTSTRAP or seed < 0:
        raise UserError(
            f"bootstrap is {bootstrap}, seed {seed}; give {MIN_BOOTSTRAP} to "
            f"{MAX_BOOTSTRAP:,} draws and a seed from 0 on"
        )
    if not 0 < equivalence_bound < 1:
        raise UserError(f"the equivalence bound is {equivalence_bound:g}; give one from 0 to 1")
    if task_weights not in TASK_WEIGHTS:
        raise UserError(f"task_weights is '{task_weights}'; give {' or '.join(TASK_WEIGHTS)}")
    drawn = Bootstrap(bootstrap, seed)
    costs = item_costs(as_table(rows), people)
    final = final_costs(costs)
    if reference is not None and reference not in final:
        raise UserError(f"no model '{reference}' to refer to; there are: {', '.join(final)}")
    if comparisons is None:
        comparisons = compared_with(list(final), reference)

    measured = {
        (entry.all_items.model, entry.all_items.step, entry.all_items.task): entry
        for entry in measure(costs, drawn)
    }
    at_end = {
        model: [measured[model, entry.step, task] for task, entry in tasks.items()]
        for model, tasks in final.items()
    }
    reports = _task_reports([e for of_model in at_end.values() for e in of_model], drawn, norms_dir)
    models, notes = {}, []
    for model, entries in at_end.items():
        across, spread = cross_task_r([entry.thinking for entry in entries], seed)
        models[model] = {
            "tasks": {task: reports[model, task] for task in final[model]},
            "decoding": entries[0].all_items.decoding,
            "step": entries[0].all_items.step,
            **summary(entries, task_weights),
            "cross_task_r": finite_or_none(across),
            "cross_task_r_range": finite_or_none(spread),
            "steps": _step_reports(model, measured, task_weights),
        }
        notes += task_notes(entries, reports)
    notes += reliability_notes(reports)
    if not comparisons.contrasts and len(final) > MAX_MODELS_FOR_ALL_PAIRS:
        notes.append(f"no contrasts: {len(final)} models and no reference to compare them with")
    whole = [
        model
        for model, tasks in final.items()
        if any(entry.cost_rule == "response" for entry in tasks.values())
    ]
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
        "power": power_table(final, equivalence_bound, task_weights),
        "settings": {
            "bootstrap": bootstrap,
            "seed": seed,
            "splits": SPLITS,
            "reference": reference,
            "equivalence_bound": equivalence_bound,
            "task_weights": task_weights,
            "min_items": MIN_ITEMS,
            "interval": "95 % expanded percentile, Poisson bootstrap over items within tasks",
            "holm_family": "contrasts on the mean over human tasks",
            "equivalence_family": "tests of equivalence on the mean over human tasks",
            "bh_family": "contrasts on single tasks",
        },
        "notes": notes,
    }


def measure(costs: Iterable[TaskCosts], bootstrap: Bootstrap) -> Iterable[Measured]:
    """The log-log correlation of each entry with its interval and draws."""
    thinking = [entry.thinking() for entry in costs]
    all_draws = bootstrap.alignment(thinking)
    for entry, part, draws in zip(costs, thinking, all_draws, strict=True):
        bounds = NO_INTERVAL if np.isnan(part.r) else interval_of_mean([part], [draws], np.ones(1))
        found = Correlation(part.r, bounds, len(part.items))
        yield Measured(entry, part, found, draws)


def _task_reports(
    entries: Sequence[Measured], bootstrap: Bootstrap, norms_dir: Path | None
) -> dict[tuple[str, str], dict]:
    """The figures of every model on every task; their correlations are resampled together."""
    named = [pairs_of(entry.all_items, entry.thinking) for entry in entries]
    found = iter(correlate([pair for of_entry in named for pair in of_entry.values()], bootstrap))
    people: dict[tuple, Reliability] = {}
    reports = {}
    for entry, of_entry in zip(entries, named, strict=True):
        costs = entry.thinking
        key = (costs.task, costs.norms, costs.items if costs.people else ())
        if key not in people:
            people[key] = human_reliability(costs, bootstrap.seed, norms_dir)
        correlations = {name: next(found) for name in of_entry}
        reports[costs.model, costs.task] = task_report(entry, correlations, people[key], bootstrap)
    return reports


def summary(entries: Sequence[Measured], task_weights: str) -> dict:
    """Means over tasks: of r by Fisher's z, human and analytic apart; of rates, over all tasks.

    ``mean_tasks`` names the human tasks in the mean of r: see ``means.usable``.
    """
    out: dict = {}
    for source, name in (("human", "mean_r_loglog"), ("analytic", "mean_r_loglog_analytic")):
        of_source = [entry for entry in entries if entry.all_items.cost_source == source]
        kept = usable([e.thinking for e in of_source], [e.draws for e in of_source])
        used = list(compress(of_source, kept))
        if not used:
            keys = (name, f"{name}_ci", f"{name}_tasks", f"{name}_ci_tasks")
            out |= dict.fromkeys(keys)
        else:
            parts = [entry.thinking for entry in used]
            weights = weights_of(parts, task_weights)
            r = np.array([part.r for part in parts])
            bounds = interval_of_mean(parts, [entry.draws for entry in used], weights)
            of_tasks, bounds_of_tasks = over_tasks(r.tolist())
            out[name] = finite_or_none(fisher_mean(r, weights))
            out[f"{name}_ci"] = finite_or_none(bounds)
            out[f"{name}_tasks"] = finite_or_none(of_tasks)
            out[f"{name}_ci_tasks"] = finite_or_none(bounds_of_tasks)
        if source == "human":
            out["mean_tasks"] = [entry.all_items.task for entry in used]
    columns = {
        "accuracy": [mean_of_known(entry.all_items.correct) for entry in entries],
        "cap_rate": [mean_of_known(entry.all_items.of_samples["truncated"]) for entry in entries],
        "mean_tokens": [float(np.mean(entry.all_items.mean_tokens)) for entry in entries],
    }
    for name, values in columns.items():
        out[name] = finite_or_none(mean_of_known(np.array(values)))
    return out


def _step_reports(model: str, measured: Mapping[tuple, Measured], task_weights: str) -> list[dict]:
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
                    "r_loglog": finite_or_none(entry.r.r),
                    "r_loglog_ci": finite_or_none(entry.r.bounds),
                    "accuracy": finite_or_none(mean_of_known(entry.all_items.correct)),
                    "mean_tokens": finite_or_none(np.mean(entry.all_items.mean_tokens)),
                    "cap_rate": finite_or_none(
                        mean_of_known(entry.all_items.of_samples["truncated"])
                    ),
                }
                for entry in entries
            },
            **summary(entries, task_weights),
        }
        for step, entries in sorted(steps.items())
    ]


# Options of ``handan align`` and ``handan compare`` that could not change anything: said, each.


def refuse_inert(arguments: argparse.Namespace) -> None:
    """Stop where one option decides what another one is to decide, or an input would be lost.

    Raises:
        UserError: names both.
    """
    if arguments.pairs and arguments.reference:
        raise UserError("--pairs says what is compared, and so does --reference; give one of them")
    of_align = [getattr(arguments, name, None) for name in ("costs", "norms", "trials")]
    if of_align[1] is not None and of_align[2] is not None:
        raise UserError("--trials give times and reliability, and so do --norms; give one of them")
    inputs = [path for path in (*of_align, arguments.pairs) if path is not None]
    for output in (arguments.output, arguments.tables):
        if output is not None and output.resolve() in [path.resolve() for path in inputs]:
            raise UserError(f"{output}: is one of the inputs; write elsewhere")


def inert(arguments: argparse.Namespace, result: Mapping, recounted: bool) -> list[str]:
    """One sentence for each option that is given and changed nothing of a result.

    Args:
        arguments: of the command.
        result: of ``handan.alignment.align.align``, with 'budgets' of ``handan compare``.
        recounted: whether ``--cost_rule`` changed a cost.
    """
    found = []
    contrasts, power = result["contrasts"], result["power"]
    if arguments.cost_rule is not None and not recounted:
        found.append(("cost_rule", f"all costs are by rule '{arguments.cost_rule}' already"))
    for name in ("reference", "pairs"):
        if getattr(arguments, name) is not None and not contrasts:
            found.append((name, "no two models have a task in common that could be compared"))
    if arguments.power and not power:
        found.append(("power", "it is of tasks with human times, and there is none"))
    if arguments.equivalence_bound != EQUIVALENCE_BOUND and not contrasts and not power:
        found.append(("equivalence_bound", "nothing is compared"))
    if arguments.task_weights != TASK_WEIGHTS_options[0] and not any(
        len(model["mean_tasks"]) > 1 for model in result["models"].values()
    ):
        found.append(("task_weights", "no mean is over two tasks"))
    if getattr(arguments, "budget_tolerance", TOLERANCE) != TOLERANCE and not result["budgets"]:
        found.append(("budget_tolerance", "no budgets are compared"))
    tasks = [task for model in result["models"].values() for task in model["tasks"].values()]
    if all(task["r_loglog_ci"] is None for task in tasks):
        if arguments.bootstrap != BOOTSTRAP:
            found.append(("bootstrap", "no task has an interval"))
        drawn = [model["cross_task_r"] for model in result["models"].values()]
        if arguments.seed != SEED and drawn.count(None) == len(drawn):
            found.append(("seed", "no task has an interval, and no item is drawn across tasks"))
    return [f"--{name} changes nothing: {why}" for name, why in found]
