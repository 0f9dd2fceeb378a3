"""Is one model's alignment lower than another's, or shown to be about the same?

Contrasts are paired by item. A verdict needs an interval, never a large p, and is withheld where r
is not about allocation: the model cannot do the task, or reasons only at times.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from handan.alignment import correlation as stats
from handan.alignment.bootstrap import (
    Bootstrap,
    bayes_factor,
    equivalence_p,
    interval,
    p_value,
    widened,
)
from handan.alignment.correlation import FloatArray
from handan.alignment.items import TaskCosts, usable, weights_of, why_unusable
from handan.alignment.model_pairs import outcomes
from handan.alignment.pairs import CostsByModel, shared_tasks
from handan.alignment.task_measures import accuracy_means, flags, rates
from handan.formatting import decimal

# Accuracies further apart than this are another explanation of a difference in alignment.
ACCURACY_TOLERANCE = 0.1
# The paper's names for a student whose alignment is lower than that of the model in this role.
CLAIMS = {"teacher": "collapse", "base": "negative transfer"}
LOWER, HIGHER = "lower", "higher"
OPPOSITE = {LOWER: HIGHER, HIGHER: LOWER}
NORMAL_THEORY = ("r_ab", "williams_t", "williams_p", "steiger_z", "steiger_p", "zou_ci")
# Numbers that are equal by algebra, as correlations of exact multiples, differ by less than this.
_ROUNDING = 1e-9


class Verdict(NamedTuple):
    """What the intervals of a difference a - b show."""

    direction: str | None  # 'lower' or 'higher' where the 95 % interval is without 0
    within: bool  # whether the 90 % interval lies inside plus and minus the bound
    bound: float
    p: float | None = None  # after Holm's correction, as the next; None where in no family
    p_equivalence: float | None = None
    withheld: str | None = None  # why there is no verdict

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Verdict":
        """Read the verdict of a row of ``alignment.json`` or of an experiment from its numbers."""
        ci, ci90, bound = row["ci"], row["ci90"], row["equivalence_bound"]
        withheld = row.get("withheld")
        if ci is None or ci90 is None:
            withheld = withheld or "no interval"
        direction, within = None, False
        if not withheld:
            direction = LOWER if ci[1] < 0 else HIGHER if ci[0] > 0 else None
            within = -bound < ci90[0] and ci90[1] < bound
        p, p_equivalence = row.get("p_holm"), row.get("p_equivalence_holm")
        return cls(direction, within, bound, p, p_equivalence, withheld)

    @property
    def outcome(self) -> str:
        """'lower', 'higher', 'preserved', 'open', or 'none' where the verdict is withheld."""
        if self.withheld:
            return "none"
        return self.direction or ("preserved" if self.within else "open")

    @property
    def survives_correction(self) -> bool:
        """Whether what the uncorrected intervals show, if anything, outlives Holm's correction."""
        if self.outcome in ("none", "open"):
            return True
        p = self.p if self.direction else self.p_equivalence
        return p is not None and p < 0.05

    @property
    def words(self) -> str | None:
        """The verdict in words, such as 'lower, but within ±0.1'; None if it is withheld."""
        if self.withheld:
            return None
        within = f"within ±{self.bound:g}"
        if self.direction:
            return f"{self.direction}, but {within}" if self.within else self.direction
        return f"preserved {within}" if self.within else "no evidence either way"


def in_words(contrast: Mapping[str, Any], role_a: str, role_b: str) -> str:
    """One sentence on a contrast of models in roles such as 'student', 'teacher', 'base', or ''.

    ``CLAIMS`` hold in either order of the pair. They say that the allocation was lost, so they
    carry a caveat where the accuracies are unknown or differ by more than 0.1.
    """
    if role_b == "student" and role_a in CLAIMS:
        difference = contrast["difference"]
        turned = {of: contrast[of] and [-b for b in contrast[of][::-1]] for of in ("ci", "ci90")}
        turned["difference"] = None if difference is None else -difference
        turned |= {"a": contrast["b"], "b": contrast["a"]}
        turned |= {"accuracy_a": contrast["accuracy_b"], "accuracy_b": contrast["accuracy_a"]}
        return in_words({**contrast, **turned}, role_b, role_a)
    verdict = Verdict.of(contrast)
    where = f"task {contrast['task']}" if contrast["task"] else f"mean of {contrast['mean']} tasks"
    a, b = (f"{role} {contrast[of]}".strip() for role, of in ((role_a, "a"), (role_b, "b")))
    subject = f"{a} against {b}, {where}"
    if verdict.withheld:
        return f"{subject}: no verdict ({verdict.withheld}; n = {contrast['n']})"
    claimed = role_a == "student" and role_b in CLAIMS and verdict.words == LOWER
    low, high = contrast["ci"]
    gap, caveat = accuracy_gap(contrast) if claimed else None, ""
    if gap is not None:
        other, weaker = ("lower", "a weaker model, ") if gap < 0 else ("higher", "")
        caveat = f", with accuracy {other} by {decimal(abs(gap))}: {weaker}not allocation alone"
        if np.isnan(gap):
            caveat = ", with accuracy unknown: perhaps a weaker model, not allocation alone"
    return (
        f"{subject}: {CLAIMS[role_b] if claimed else verdict.words} "
        f"(difference {decimal(contrast['difference'])}, 95 % interval {decimal(low)} to "
        f"{decimal(high)}, n = {contrast['n']}){caveat}"
    )


def accuracy_gap(contrast: Mapping[str, Any]) -> float | None:
    """Accuracy of a minus that of b: NaN if unknown, None if within tolerance."""
    if contrast["accuracy_a"] is None or contrast["accuracy_b"] is None:
        return float("nan")
    gap = float(contrast["accuracy_a"] - contrast["accuracy_b"])
    return gap if abs(gap) > ACCURACY_TOLERANCE + _ROUNDING else None


class Side(NamedTuple):
    """One model of a pair on one task."""

    entry: TaskCosts
    r: float
    draws: FloatArray


def contrasts(
    costs: CostsByModel,
    pairs: Sequence[tuple[str, str]],
    bootstrap: Bootstrap,
    equivalence_bound: float = 0.1,
    task_weights: str = stats.INVERSE_VARIANCE,
) -> list[dict]:
    """Differences of log-log correlations, r of a minus r of b, with intervals and verdicts.

    For each pair one row per shared task ('task' is its name, 'mean' null) and one for the mean
    over the human and over the analytic tasks ('task' null, 'mean' 'human' or 'analytic'): of
    Fisher's z over the tasks that are usable for both ('tasks'). Holm adjusts the p values of the
    means over human tasks, and those of their equivalence; Benjamini and Hochberg those of single
    tasks. 'withheld' says why there is no verdict. Rows of a task also have tests for normal data.
    """
    shared = shared_tasks(costs, pairs)
    costs_of_pairs = [both for tasks in shared.values() for both in tasks.values()]
    entries = {(of.model, of.task, of.items): of for both in costs_of_pairs for of in both}
    draws_of = dict(zip(entries, bootstrap.alignment(entries.values()), strict=True))
    rows = []
    for (a, b), tasks in shared.items():
        sides = {
            task: [Side(e, e.r, draws_of[e.model, e.task, e.items]) for e in both]
            for task, both in tasks.items()
        }
        for task, (side_a, side_b) in sides.items():
            on = {"a": a, "b": b, "task": task, "mean": None}
            row = _row(on, [side_a], [side_b], equivalence_bound, task_weights)
            rows.append(row | _normal_theory(side_a, side_b))
        for source in ("human", "analytic"):
            of_source = [both for both in sides.values() if both[0].entry.cost_source == source]
            kept = [
                usable([side.entry for side in of_model], [side.draws for side in of_model])
                for of_model in zip(*of_source, strict=True)
            ]
            used = list(compress(of_source, map(all, zip(*kept, strict=True))))
            on = {"a": a, "b": b, "task": None, "mean": source}
            if used:
                sides_a, sides_b = zip(*used, strict=True)
                row = _row(on, sides_a, sides_b, equivalence_bound, task_weights)
                rows.append(row | dict.fromkeys(NORMAL_THEORY))
            elif of_source:
                why = withheld([side for both in of_source for side in both]) or "r is ±1"
                row = {**on, "tasks": [], "n": 0, "flags": [], "withheld": why}
                for name, of_model in zip("ab", zip(*of_source, strict=True), strict=True):
                    accuracy = accuracy_means([side.entry for side in of_model])
                    row[f"accuracy_{name}"] = stats.finite_or_none(accuracy)
                rows.append(dict.fromkeys(rows[-1]) | row | {"draws_left_out": 0})
    for row in rows:
        row |= dict.fromkeys(("p_holm", "p_equivalence_holm", "p_bh"))
    means = [row for row in rows if row["mean"] == "human"]
    add_corrected(means, "p", "p_holm", stats.holm)
    add_corrected(means, "p_equivalence", "p_equivalence_holm", stats.holm)
    of_tasks = [row for row in rows if row["mean"] is None]
    add_corrected(of_tasks, "p", "p_bh", stats.benjamini_hochberg)
    beside = outcomes(costs, pairs, bootstrap)
    for row in rows:
        row["outcomes"] = beside.get((row["a"], row["b"], row["task"], row["mean"]))
        row["equivalence_bound"] = equivalence_bound
        row["verdict"] = Verdict.of(row).words
    return rows


def add_corrected(
    rows: Sequence[dict], key: str, corrected: str, method: Callable[[FloatArray], FloatArray]
) -> None:
    """Add to each row its p value ``key``, corrected over all of them by ``method``."""
    p_values = np.array([np.nan if row[key] is None else row[key] for row in rows])
    for row, adjusted in zip(rows, method(p_values), strict=True):
        row[corrected] = stats.finite_or_none(adjusted)


def _row(
    on: dict, sides_a: Sequence[Side], sides_b: Sequence[Side], bound: float, task_weights: str
) -> dict:
    """One contrast; over several tasks, of the Fisher-z means."""
    weights = weights_of([side.entry for side in sides_a], task_weights)
    (r_a, draws_a), (r_b, draws_b) = (
        (
            float(stats.fisher_mean(np.array([side.r for side in sides]), weights)),
            stats.fisher_mean(np.stack([side.draws for side in sides]), weights, axis=0),
        )
        for sides in (sides_a, sides_b)
    )
    difference = float(settled_difference(np.asarray(r_a - r_b)))
    draws = settled_difference(draws_a - draws_b)
    draws = widened(draws, difference, from_other_people(r_a, r_b, sides_a, sides_b, weights))
    sizes = [len(side.entry.items) for side in sides_a]
    ci = stats.finite_or_none(interval(draws, sizes))
    reason = withheld([*sides_a, *sides_b])
    if ci is None and not reason:
        reason = f"{100 * np.isnan(draws).mean():.0f} % of the draws are undefined"
    shown = {
        "p": p_value(draws, sizes),
        "p_equivalence": equivalence_p(draws, sizes, bound),
        "bf01": bayes_factor(difference, draws, sizes),
    }
    return {
        **on,
        "tasks": [side.entry.task for side in sides_a],
        "r_a": stats.finite_or_none(r_a),
        "r_b": stats.finite_or_none(r_b),
        "difference": stats.finite_or_none(difference),
        "ci": ci,
        "ci90": stats.finite_or_none(interval(draws, sizes, 0.90)),
        **{name: None if reason else stats.finite_or_none(of) for name, of in shown.items()},
        "withheld": reason,
        "accuracy_a": stats.finite_or_none(accuracy_means([side.entry for side in sides_a])),
        "accuracy_b": stats.finite_or_none(accuracy_means([side.entry for side in sides_b])),
        "flags": [
            f"{entry.model}, {entry.task}: {flag}"
            for entry, _, _ in (*sides_a, *sides_b)
            for flag in flags(rates(entry))
        ],
        "n": sum(sizes),
        "draws_left_out": int(np.isnan(draws).sum()),
    }


def withheld(sides: Sequence[Side]) -> str | None:
    """Reason why correlations of these models on these tasks carry no verdict; None if they do."""
    reasons = []
    for entry, _, draws in sides:
        why = why_unusable(entry, draws)
        if not why and not entry.reasons:
            why = f"{100 * entry.no_reasoning_rate:.0f} % of answers without reasoning"
        if why:
            reasons.append(f"{entry.model}, {entry.task}: {why}")
    return "; ".join(reasons) or None


def notes_on_items(costs: CostsByModel, rows: Sequence[dict]) -> list[str]:
    """Name contrasts on whose items a model's r differs by .05 from that on all of its own."""
    notes = []
    for row in (row for row in rows if row["task"] is not None):
        for model, r in ((row["a"], row["r_a"]), (row["b"], row["r_b"])):
            own = costs[model][row["task"]].thinking()
            if r is not None and not abs(own.r - r) < 0.05:
                notes.append(
                    f"{row['a']} against {row['b']}, {row['task']}: on the {row['n']} items of "
                    f"both, r of {model} is {decimal(r)}; on all its {len(own.items)} items, "
                    f"{decimal(own.r)}"
                )
    return notes


def from_other_people(
    r_a: float, r_b: float, sides_a: Sequence[Side], sides_b: Sequence[Side], weights: FloatArray
) -> float:
    """Variance that other people would add to a difference of (mean) correlations."""
    total = 0.0
    for side_a, side_b, weight in zip(sides_a, sides_b, weights, strict=True):
        a, b = side_a.entry, side_b.entry
        if a.participants is not None and abs(side_a.r) < 1 and abs(side_b.r) < 1:
            gradient = (1 - r_a**2) * stats.gradient_of_z(a.log_cost, a.log_difficulty)
            gradient = gradient - (1 - r_b**2) * stats.gradient_of_z(b.log_cost, b.log_difficulty)
            total += a.participants.few * a.participants.shared_variance(weight * gradient)
    return total


def _normal_theory(side_a: Side, side_b: Side) -> dict:
    """Tests of one task that hold for normal data, by the correlations alone."""
    r_ab = stats.pearson(side_a.entry.log_cost, side_b.entry.log_cost)
    if np.isnan(r_ab + side_a.r + side_b.r):
        return dict.fromkeys(NORMAL_THEORY)
    of = side_a.r, side_b.r, r_ab, len(side_a.entry.items)
    found = (r_ab, *stats.williams(*of), *stats.steiger(*of), stats.zou(*of))
    return dict(zip(NORMAL_THEORY, map(stats.finite_or_none, found), strict=True))


def settled_difference(difference: FloatArray) -> FloatArray:
    """Differences of correlations, 0 where rounding alone is left."""
    return np.where(np.abs(difference) < _ROUNDING, 0.0, difference)


def power_table(
    costs: CostsByModel, equivalence_bound: float, task_weights: str = stats.INVERSE_VARIANCE
) -> list[dict]:
    """Power of the items at hand: one row a human task, and one for their mean ('task' null).

    For models as alike as these: ``r_ab`` is the Fisher-z mean of the correlations of their log
    costs, .4 for a single model. 'Reported' is the paper's difference, .64 against .34.
    """
    tasks: dict[str, list[TaskCosts]] = {}
    for entry in (entry for of_model in costs.values() for entry in of_model.values()):
        if entry.cost_source == "human":
            tasks.setdefault(entry.task, []).append(entry.thinking())

    def row(task: str | None, num_items: float, r_ab: float) -> dict:
        (strong, weak), sizes = stats.REPORTED, [num_items]
        found = {
            "r_ab": r_ab,
            "power_reported": stats.power(strong, weak, r_ab, sizes),
            "detectable_80": stats.detectable(strong, r_ab, sizes, 0.80),
            "detectable_95": stats.detectable(strong, r_ab, sizes, 0.95),
            "power_equivalence": stats.equivalence_power(strong, r_ab, sizes, equivalence_bound),
        }
        known = {name: stats.finite_or_none(value) for name, value in found.items()}
        needed = stats.items_needed(strong, weak, r_ab, 0.80)
        return {"task": task, "n": num_items, **known, "items_needed_80": needed}

    rows = []
    for task, entries in tasks.items():
        num_items = min(len(entry.items) for entry in entries)
        columns = [entry.log_cost for entry in entries if len(entry.items) == num_items]
        found = [stats.pearson(a, b) for i, a in enumerate(columns) for b in columns[:i]]
        found = [r for r in found if not np.isnan(r) and r * r < 1]
        likeness = float(stats.fisher_mean(np.array(found))) if found else stats.TYPICAL_R_AB
        rows.append(row(task, num_items, likeness))
    if len(rows) > 1:
        counted = [of["n"] for of in rows if of["n"] >= stats.MIN_ITEMS]
        effective = stats.effective_items(counted, task_weights) if counted else 0
        mean = float(np.mean([of["r_ab"] for of in rows]))
        rows.append(row(None, effective, mean) | {"n": sum(counted)})
    return rows
