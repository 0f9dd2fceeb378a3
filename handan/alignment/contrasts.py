"""Is one model's alignment lower than another's, or shown to be about the same?

All contrasts are paired: both correlations of a pair are over the same items, and in each
bootstrap draw over the same resampled items. A verdict needs an interval, never a large p:
'preserved' is shown by a 90 % interval inside the equivalence bound (two one-sided tests at 5 %),
and where neither is shown the verdict is 'no evidence either way'.

The confirmatory family are the contrasts on the mean over human tasks: their p values, and only
theirs, are adjusted by Holm. Contrasts of single tasks and on analytic cost are descriptive.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from handan.alignment.bootstrap import bootstrap_p, correlation_draws, percentile_interval
from handan.alignment.cost_rows import GREEDY_SUFFIX
from handan.alignment.item_costs import TaskCosts
from handan.alignment.statistics import (
    FloatArray,
    finite_or_none,
    fisher_mean,
    holm,
    mean_of_known,
    pearson,
)
from handan.alignment.tables import decimal
from handan.errors import UserError

CostsByModel = Mapping[str, Mapping[str, TaskCosts]]

MOST_MODELS_FOR_ALL_PAIRS = 6
# Correlations that are equal by algebra, as those of exact multiples, differ by less than this.
_ROUNDING = 1e-9
# Accuracies further apart than this are another explanation of a difference in alignment.
ACCURACY_TOLERANCE = 0.1
# What the paper calls a student whose alignment is lower than that of the model in this role.
CLAIMS = {"teacher": "collapse", "base": "negative transfer"}


def choose_pairs(models: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    """Every model against the reference; without one all pairs, or none beyond six models.

    Greedy models are paired with greedy ones if the reference has a greedy twin, so that a contrast
    is one of models and not of decodings.
    """
    if reference is None:
        few = len(models) <= MOST_MODELS_FOR_ALL_PAIRS
        return [pair for pair in combinations(models, 2) if _alike(*pair)] if few else []
    twin = reference.removesuffix(GREEDY_SUFFIX)
    twins = {False: twin, True: twin + GREEDY_SUFFIX}
    if not set(twins.values()) <= set(models):
        return [(model, reference) for model in models if model != reference]
    pairs = [(model, twins[model.endswith(GREEDY_SUFFIX)]) for model in models]
    return [(model, other) for model, other in pairs if model != other]


def _alike(a: str, b: str) -> bool:
    return a.endswith(GREEDY_SUFFIX) == b.endswith(GREEDY_SUFFIX)


def shared_tasks(
    costs: CostsByModel, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, tuple[TaskCosts, TaskCosts]]]:
    """For each pair and task of both: the costs of both on the items where both have a log cost.

    Raises:
        UserError: a pair names a model that is not there.
    """
    for name in [name for pair in pairs for name in pair]:
        if name not in costs:
            raise UserError(f"no model '{name}'; there are: {', '.join(costs)}")
    shared: dict[tuple[str, str], dict[str, tuple[TaskCosts, TaskCosts]]] = {}
    for a, b in pairs:
        shared[a, b] = {}
        for task in (task for task in costs[a] if task in costs[b]):
            of_a, of_b = costs[a][task].thinking(), costs[b][task].thinking()
            items = set(of_a.items) & set(of_b.items)
            shared[a, b][task] = of_a.select(items), of_b.select(items)
    return shared


def contrasts(
    costs: CostsByModel,
    pairs: Sequence[tuple[str, str]],
    bootstrap: int = 10_000,
    seed: int = 0,
    equivalence_bound: float = 0.1,
) -> list[dict]:
    """Differences of log-log correlations, r of a minus r of b, with intervals and verdicts.

    Args:
        costs: {model: {task: costs}}, as of ``handan.alignment.item_costs.final_costs``.
        pairs: (a, b), names of models.
        bootstrap: number of draws of items.
        seed: of the draws.
        equivalence_bound: differences within plus or minus this count as none.

    Returns:
        For each pair one row per shared task ('task' is its name, 'mean' null) and one for the
        mean over the human and over the analytic tasks ('task' null, 'mean' 'human' or
        'analytic'). The mean difference is that of the Fisher-z means over the tasks where both
        correlations are defined; its accuracies are means over the same tasks; n counts items.

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
    all_draws = correlation_draws(list(entries.values()), bootstrap, seed)
    draws_of = dict(zip(entries, all_draws, strict=True))

    rows = []
    for (a, b), tasks in shared.items():
        sides = {
            task: [
                _Side(
                    entry,
                    pearson(entry.log_cost, entry.log_demand),
                    draws_of[entry.model, entry.task, entry.items],
                )
                for entry in both
            ]
            for task, both in tasks.items()
        }
        for task, (side_a, side_b) in sides.items():
            rows.append(_row(a, b, {"task": task, "mean": None}, [side_a], [side_b]))
        for source in ("human", "analytic"):
            defined = [
                (side_a, side_b)
                for side_a, side_b in sides.values()
                if side_a.entry.cost_source == source and not np.isnan(side_a.r + side_b.r)
            ]
            if defined:
                sides_a, sides_b = zip(*defined, strict=True)
                rows.append(_row(a, b, {"task": None, "mean": source}, sides_a, sides_b))
    family = [row for row in rows if row["mean"] == "human"]
    p_values = np.array([np.nan if row["p"] is None else row["p"] for row in family])
    for row, p_holm in zip(family, holm(p_values), strict=True):
        row["p_holm"] = finite_or_none(p_holm)
    for row in rows:
        row["equivalence_bound"] = equivalence_bound
        row["verdict"] = verdict(row["ci"], row["ci90"], equivalence_bound)
    return rows


class _Side(NamedTuple):
    """One model of a pair on one task."""

    entry: TaskCosts
    r: float
    draws: FloatArray


def _row(a: str, b: str, on: dict, sides_a: Sequence[_Side], sides_b: Sequence[_Side]) -> dict:
    """One contrast; over several tasks, of the Fisher-z means."""
    r_a, r_b = (fisher_mean(np.array([side.r for side in sides])) for sides in (sides_a, sides_b))
    draws_a, draws_b = (
        fisher_mean(np.stack([side.draws for side in sides]), axis=0)
        for sides in (sides_a, sides_b)
    )
    draws = _without_rounding(draws_a - draws_b)
    interval = percentile_interval(draws)
    return {
        "a": a,
        "b": b,
        **on,
        "difference": finite_or_none(_without_rounding(r_a - r_b)),
        "ci": finite_or_none(interval),
        "ci90": finite_or_none(percentile_interval(draws, 0.90)),
        "p": finite_or_none(bootstrap_p(draws)),
        "p_holm": None,
        "accuracy_a": finite_or_none(
            np.mean([mean_of_known(side.entry.correct) for side in sides_a])
        ),
        "accuracy_b": finite_or_none(
            np.mean([mean_of_known(side.entry.correct) for side in sides_b])
        ),
        "n": sum(len(side.entry.items) for side in sides_a),
        "draws_left_out": int(np.isnan(draws).sum()),
    }


def _without_rounding(difference: FloatArray) -> FloatArray:
    return np.where(np.abs(difference) < _ROUNDING, 0.0, difference)


def verdict(
    ci: Sequence[float] | None, ci90: Sequence[float] | None, equivalence_bound: float
) -> str | None:
    """What the 95 % and the 90 % interval of a difference show; None without intervals."""
    if ci is None or ci90 is None:
        return None
    within = f"within ±{equivalence_bound:g}"
    equivalent = -equivalence_bound < ci90[0] and ci90[1] < equivalence_bound
    direction = "lower" if ci[1] < 0 else "higher" if ci[0] > 0 else None
    if direction:
        return f"{direction}, but {within}" if equivalent else direction
    return f"preserved {within}" if equivalent else "no evidence either way"


def in_words(contrast: Mapping, role_a: str, role_b: str) -> str:
    """One sentence on a contrast between models in roles such as 'student', 'teacher', 'base'.

    A student lower than its teacher is a 'collapse', a student lower than its base 'negative
    transfer', in either order of the pair. Both names claim that the allocation was lost, so both
    carry a caveat where the accuracies are unknown or differ by more than 0.1.
    """
    if role_b == "student" and role_a in CLAIMS:
        return in_words(_reversed(contrast), role_b, role_a)
    where = f"task {contrast['task']}" if contrast["task"] else f"mean of {contrast['mean']} tasks"
    subject = f"{role_a} {contrast['a']} against {role_b} {contrast['b']}, {where}"
    if contrast["verdict"] is None:
        return f"{subject}: no interval (n = {contrast['n']})"
    claimed = role_a == "student" and role_b in CLAIMS and contrast["verdict"] == "lower"
    low, high = contrast["ci"]
    return (
        f"{subject}: {CLAIMS[role_b] if claimed else contrast['verdict']} "
        f"(difference {decimal(contrast['difference'])}, 95 % interval {decimal(low)} to "
        f"{decimal(high)}, n = {contrast['n']}){_accuracy_caveat(contrast) if claimed else ''}"
    )


def _accuracy_caveat(contrast: Mapping) -> str:
    if contrast["accuracy_a"] is None or contrast["accuracy_b"] is None:
        return ", with accuracy unknown: perhaps a weaker model, not allocation alone"
    gain = contrast["accuracy_a"] - contrast["accuracy_b"]
    if gain < -ACCURACY_TOLERANCE - _ROUNDING:
        return f", with accuracy lower by {decimal(-gain)}: a weaker model, not allocation alone"
    if gain > ACCURACY_TOLERANCE + _ROUNDING:
        return f", with accuracy higher by {decimal(gain)}: not allocation alone"
    return ""


def _reversed(contrast: Mapping) -> dict:
    """The same contrast as b against a."""
    swapped = {"lower": "higher", "higher": "lower"}
    words = (contrast["verdict"] or "").split(",")
    words[0] = swapped.get(words[0], words[0])
    difference = contrast["difference"]
    return {
        **contrast,
        "a": contrast["b"],
        "b": contrast["a"],
        "accuracy_a": contrast["accuracy_b"],
        "accuracy_b": contrast["accuracy_a"],
        "difference": None if difference is None else -difference,
        "ci": contrast["ci"] and [-bound for bound in reversed(contrast["ci"])],
        "ci90": contrast["ci90"] and [-bound for bound in reversed(contrast["ci90"])],
        "verdict": ",".join(words) or None,
    }
