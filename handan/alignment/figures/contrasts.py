"""Is one model's alignment lower than another's, or shown to be about the same?

All contrasts are paired: both correlations of a pair are over the same items, and in each
bootstrap draw over the same resampled items. A verdict needs an interval, never a large p:
'preserved' is shown by a 90 % interval inside the equivalence bound (two one-sided tests at 5 %),
and where neither is shown the verdict is 'no evidence either way'.

The confirmatory family are the contrasts on the mean over human tasks: their p values, and only
theirs, are adjusted by Holm, those of the tests of equivalence as a family of their own. Contrasts
of single tasks are exploration, adjusted by Benjamini and Hochberg; those on the mean of analytic
cost are descriptive.

A verdict on r is withheld, and its p values with it, where r is not about allocation: the model
cannot do the task, or reasons only at times, so that whether it reasons comes before how long.
"""

from collections.abc import Callable, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.data.pairs import CostsByModel, shared_tasks
from handan.alignment.figures.confounds import accuracy_means, flags, rates
from handan.alignment.figures.means import usable, weights_of, why_unusable
from handan.alignment.figures.verdict import Verdict
from handan.alignment.output.render import decimal
from handan.alignment.statistics.basic import (
    INVERSE_VARIANCE,
    FloatArray,
    benjamini_hochberg,
    finite_or_none,
    fisher_mean,
    gradient_of_z,
    holm,
    pearson,
)
from handan.alignment.statistics.bootstrap import Bootstrap
from handan.alignment.statistics.dependent import steiger, williams, zou
from handan.alignment.statistics.intervals import (
    equivalence_p,
    interval,
    p_value,
    undefined_share,
    widened,
)

# Correlations that are equal by algebra, as those of exact multiples, differ by less than this.
_ROUNDING = 1e-9
# A correlation that differs by more than this on a contrast's items is said to.
OTHER_ITEMS = 0.05


def contrasts(
    costs: CostsByModel,
    pairs: Sequence[tuple[str, str]],
    bootstrap: Bootstrap,
    equivalence_bound: float = 0.1,
    task_weights: str = INVERSE_VARIANCE,
) -> list[dict]:
    """Differences of log-log correlations, r of a minus r of b, with intervals and verdicts.

    Args:
        costs: {model: {task: costs}}, as of ``handan.alignment.data.item_costs.final_costs``.
        pairs: (a, b), names of models.
        bootstrap: the draws of items.
        equivalence_bound: differences within plus or minus this count as none.
        task_weights: how tasks weigh in a mean.

    Returns:
        For each pair one row per shared task ('task' is its name, 'mean' null) and one for the
        mean over the human and over the analytic tasks ('task' null, 'mean' 'human' or
        'analytic'). 'r_a' and 'r_b' are on the items that both share. The mean difference is that
        of their Fisher-z means over the tasks that are usable for both ('tasks'); its accuracies
        are means over the same tasks; n counts items. 'withheld' says why there is no verdict,
        null if there is one. Rows of a task also have the tests for normal data of
        ``dependent.py``.

    Raises:
        UserError: a pair names a model that is not there.
    """
    shared = shared_tasks(costs, pairs)
    entries = {
        (entry.model, entry.task, entry.items): entry
        for tasks in shared.values()
        for both in tasks.values()
        for entry in both
    }
    draws_of = dict(zip(entries, bootstrap.alignment(entries.values()), strict=True))

    rows = []
    for (a, b), tasks in shared.items():
        sides = {
            task: [
                Side(entry, entry.r, draws_of[entry.model, entry.task, entry.items])
                for entry in both
            ]
            for task, both in tasks.items()
        }
        for task, (side_a, side_b) in sides.items():
            on = {"task": task, "mean": None}
            row = _row(a, b, on, [side_a], [side_b], equivalence_bound, task_weights)
            rows.append(row | _normal_theory(side_a, side_b))
        for source in ("human", "analytic"):
            of_source = [both for both in sides.values() if both[0].entry.cost_source == source]
            kept = [
                usable([side.entry for side in of_model], [side.draws for side in of_model])
                for of_model in zip(*of_source, strict=True)
            ]
            used = list(compress(of_source, map(all, zip(*kept, strict=True))))
            on = {"task": None, "mean": source}
            if used:
                sides_a, sides_b = zip(*used, strict=True)
                row = _row(a, b, on, sides_a, sides_b, equivalence_bound, task_weights)
                rows.append(row | dict.fromkeys(NORMAL_THEORY))
            elif of_source:
                why = withheld([side for both in of_source for side in both]) or "r is ±1"
                row = {"a": a, "b": b, **on, "tasks": [], "n": 0, "flags": [], "withheld": why}
                for name, of_model in zip("ab", zip(*of_source, strict=True), strict=True):
                    accuracy = accuracy_means([side.entry for side in of_model])
                    row[f"accuracy_{name}"] = finite_or_none(accuracy)
                rows.append(dict.fromkeys(rows[-1]) | row | {"draws_left_out": 0})
    on_human_mean = [row for row in rows if row["mean"] == "human"]
    adjust(rows, on_human_mean, "p", "p_holm", holm)
    adjust(rows, on_human_mean, "p_equivalence", "p_equivalence_holm", holm)
    single = [row for row in rows if row["task"] is not None]
    adjust(rows, single, "p", "p_bh", benjamini_hochberg)
    for row in rows:
        row["equivalence_bound"] = equivalence_bound
        row["verdict"] = Verdict.of(row).words
    return rows


def adjust(
    rows: list[dict],
    family: list[dict],
    name: str,
    adjusted_name: str,
    method: Callable[[FloatArray], FloatArray],
) -> None:
    """Add p values adjusted within a family of rows, None in the others."""
    for row in rows:
        row[adjusted_name] = None
    p_values = np.array([np.nan if row[name] is None else row[name] for row in family])
    for row, adjusted in zip(family, method(p_values), strict=True):
        row[adjusted_name] = finite_or_none(adjusted)


class Side(NamedTuple):
    """One model of a pair on one task."""

    entry: TaskCosts
    r: float
    draws: FloatArray


def _row(
    a: str,
    b: str,
    on: dict,
    sides_a: Sequence[Side],
    sides_b: Sequence[Side],
    bound: float,
    task_weights: str,
) -> dict:
    """One contrast; over several tasks, of the Fisher-z means."""
    weights = weights_of([side.entry for side in sides_a], task_weights)
    r_a, r_b = (
        float(fisher_mean(np.array([side.r for side in sides]), weights))
        for sides in (sides_a, sides_b)
    )
    draws_a, draws_b = (
        fisher_mean(np.stack([side.draws for side in sides]), weights, axis=0)
        for sides in (sides_a, sides_b)
    )
    difference = float(settled_difference(np.asarray(r_a - r_b)))
    draws = settled_difference(draws_a - draws_b)
    draws = widened(draws, difference, from_other_people(r_a, r_b, sides_a, sides_b, weights))
    sizes = [len(side.entry.items) for side in sides_a]
    ci = finite_or_none(interval(draws, sizes))
    reason = withheld([*sides_a, *sides_b])
    if ci is None:
        undefined = f"{100 * undefined_share(draws):.0f} % of the draws are undefined"
        reason = reason or undefined
    p = {"p": p_value(draws, sizes), "p_equivalence": equivalence_p(draws, sizes, bound)}
    return {
        "a": a,
        "b": b,
        **on,
        "tasks": [side.entry.task for side in sides_a],
        "r_a": finite_or_none(r_a),
        "r_b": finite_or_none(r_b),
        "difference": finite_or_none(difference),
        "ci": ci,
        "ci90": finite_or_none(interval(draws, sizes, 0.90)),
        **{name: None if reason else finite_or_none(value) for name, value in p.items()},
        "withheld": reason,
        "accuracy_a": finite_or_none(accuracy_means([side.entry for side in sides_a])),
        "accuracy_b": finite_or_none(accuracy_means([side.entry for side in sides_b])),
        "flags": _flags(a, sides_a) + _flags(b, sides_b),
        "n": sum(sizes),
        "draws_left_out": int(np.isnan(draws).sum()),
    }


def withheld(sides: Sequence[Side]) -> str | None:
    """Say why correlations of these models on these tasks carry no verdict; None if they do."""
    reasons = []
    for entry, _, draws in sides:
        if why := why_unusable(entry, draws):
            reasons.append(f"{entry.model}, {entry.task}: {why}")
        elif not entry.reasons:
            share = f"{100 * entry.no_reasoning_rate:.0f} %"
            reasons.append(f"{entry.model}, {entry.task}: {share} of answers without reasoning")
    return "; ".join(reasons) or None


def notes_on_items(costs: CostsByModel, rows: Sequence[dict]) -> list[str]:
    """Name contrasts whose shared items give a model another r than all of its own items do."""
    notes = []
    for row in rows:
        if row["task"] is None:
            continue
        for model, r in ((row["a"], row["r_a"]), (row["b"], row["r_b"])):
            own = costs[model][row["task"]].thinking()
            if r is not None and not abs(own.r - r) < OTHER_ITEMS:
                notes.append(
                    f"{row['a']} against {row['b']}, {row['task']}: on the {row['n']} items of "
                    f"both, r of {model} is {decimal(r)}; on all its {len(own.items)} items, "
                    f"{decimal(own.r)}"
                )
    return notes


def _flags(model: str, sides: Sequence[Side]) -> list[str]:
    """Rates above their thresholds, by model and task."""
    return [
        f"{model}, {side.entry.task}: {flag}" for side in sides for flag in flags(rates(side.entry))
    ]


def from_other_people(
    r_a: float,
    r_b: float,
    sides_a: Sequence[Side],
    sides_b: Sequence[Side],
    weights: FloatArray,
) -> float:
    """Variance that other people would add to a difference of (mean) correlations."""
    return sum(
        side_a.entry.people.few
        * side_a.entry.people.shared_variance(
            weight
            * (
                (1 - r_a**2) * gradient_of_z(side_a.entry.log_cost, side_a.entry.log_demand)
                - (1 - r_b**2) * gradient_of_z(side_b.entry.log_cost, side_b.entry.log_demand)
            )
        )
        for side_a, side_b, weight in zip(sides_a, sides_b, weights, strict=True)
        if side_a.entry.people is not None and abs(side_a.r) < 1 and abs(side_b.r) < 1
    )


NORMAL_THEORY = ("r_ab", "williams_t", "williams_p", "steiger_z", "steiger_p", "zou_ci")


def _normal_theory(side_a: Side, side_b: Side) -> dict:
    """Tests of one task that hold for normal data, by the correlations alone."""
    n = len(side_a.entry.items)
    r_ab = pearson(side_a.entry.log_cost, side_b.entry.log_cost)
    if np.isnan(r_ab + side_a.r + side_b.r):
        return dict.fromkeys(NORMAL_THEORY)
    t, williams_p = williams(side_a.r, side_b.r, r_ab, n)
    z, steiger_p = steiger(side_a.r, side_b.r, r_ab, n)
    found = (r_ab, t, williams_p, z, steiger_p, zou(side_a.r, side_b.r, r_ab, n))
    return {name: finite_or_none(value) for name, value in zip(NORMAL_THEORY, found, strict=True)}


def settled_difference(difference: FloatArray) -> FloatArray:
    """Differences of correlations, 0 where rounding alone is left."""
    return np.where(np.abs(difference) < _ROUNDING, 0.0, difference)
