"""Alignment of arms that were trained several times, right for other seeds and other items.

The variance of a mean over S seeds is that over items plus s² / S, less noise of both together
(clustering in two ways, Cameron, Gelbach and Miller 2011); s² of few seeds counts (t / z)² times.
Draws are moved away from their centre by what is added. ``docs/methods.md`` has more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from handan.alignment import correlation as stats
from handan.alignment.bootstrap import Bootstrap, equivalence_p, interval, p_value, widened
from handan.alignment.contrasts import Side, Verdict, from_other_people, settled_difference
from handan.alignment.correlation import FloatArray, finite_or_none, fisher_mean
from handan.alignment.items import TaskCosts, participant_variance, usable, weights_of, why_unusable
from handan.alignment.pairs import shared_tasks

Seed = int | None  # None is a model that is not trained, such as a base
BySeed = Mapping[Seed, Sequence[TaskCosts]]  # one entry a task
Costs = Mapping[str, TaskCosts]  # by task
Part = Callable[[Costs], list[TaskCosts]]


class Repeated(NamedTuple):
    """One number of every seed of an arm; a mean correlation has the costs behind it too."""

    seeds: tuple[Seed, ...]  # (None,) for a model without seeds
    values: FloatArray  # shape (seeds,), NaN where undefined
    draws: FloatArray  # under every draw of items, shape (seeds, draws)
    sizes: tuple[int, ...]  # items of each task, those of the seed with the fewest
    sides: tuple[tuple[Side, ...], ...] = ()  # for each seed a side a task
    weights: tuple[FloatArray, ...] = ()  # of tasks in the mean, for each seed of shape (tasks,)
    reasons: tuple[str, ...] = ()  # why a value is undefined, a sentence each


def mean_r(
    entries_by_seed: BySeed, bootstrap: Bootstrap, task_weights: str = stats.INVERSE_VARIANCE
) -> Repeated:
    """Fisher-z mean of r over tasks of one kind, by seed; NaN if one is in no mean or missing."""
    tasks = list(dict.fromkeys(e.task for entries in entries_by_seed.values() for e in entries))
    thinking = {
        seed: {e.task: e.thinking() for e in sorted(entries, key=lambda e: tasks.index(e.task))}
        for seed, entries in entries_by_seed.items()
    }
    every = [entry for of_seed in thinking.values() for entry in of_seed.values()]
    if len({entry.cost_source for entry in every}) > 1:
        raise ValueError("human and analytic tasks never share a mean")
    drawn = iter(bootstrap.alignment(every))
    values, draws, sides, weights, reasons = [], [], [], [], []
    for seed, of_seed in thinking.items():
        of_tasks = {task: Side(entry, entry.r, next(drawn)) for task, entry in of_seed.items()}
        sides.append(tuple(of_tasks.values()))
        weights.append(weights_of(list(of_seed.values()), task_weights))
        kept = usable(list(of_seed.values()), [side.draws for side in of_tasks.values()])
        in_mean = set(compress(of_tasks, kept))
        missing = [task for task in tasks if task not in in_mean]
        of_seed_text = "" if seed is None else f"seed {seed}, "
        for task in missing:
            why = "no costs"
            if side := of_tasks.get(task):
                exact = f"r is exactly {side.r:+.0f}, which has no finite z"
                why = why_unusable(side.entry, side.draws) or exact
            reasons.append(f"{of_seed_text}{task}: {why}")
        if not tasks or missing:
            values.append(np.nan)
            draws.append(np.full(bootstrap.num_draws, np.nan))
        else:
            values.append(float(fisher_mean(np.array([side.r for side in sides[-1]]), weights[-1])))
            of_draws = np.stack([side.draws for side in sides[-1]])
            draws.append(fisher_mean(of_draws, weights[-1], axis=0))
    whole = [of_seed for of_seed, value in zip(sides, values, strict=True) if not np.isnan(value)]
    sizes = [min(len(s.entry.items) for s in of_task) for of_task in zip(*whole, strict=True)]
    every_draw = np.array(draws).reshape(len(thinking), bootstrap.num_draws)
    behind = tuple(sides), tuple(weights), tuple(reasons)
    return Repeated(tuple(thinking), np.array(values), every_draw, tuple(sizes), *behind)


def paired_mean_r(
    a: BySeed, b: BySeed, bootstrap: Bootstrap, task_weights: str = stats.INVERSE_VARIANCE
) -> tuple[Repeated, Repeated]:
    """``mean_r`` of two arms for one ``difference``: of the seeds and items of both."""
    of_a: dict[Seed, list[TaskCosts]] = {}
    of_b: dict[Seed, list[TaskCosts]] = {}
    for seed, in_a, in_b in _pairs_of_seeds(tuple(a), tuple(b)):
        of_two = (("a", a[in_a]), ("b", b[in_b]))
        costs = {name: {entry.task: entry for entry in entries} for name, entries in of_two}
        shared = shared_tasks(costs, [("a", "b")])["a", "b"]
        of_a[seed] = [side for side, _ in shared.values()]
        of_b[seed] = [side for _, side in shared.values()]
    # All at once: quicker, and rounded like the contrasts of ``handan align``.
    bootstrap.alignment(e for of in (of_a, of_b) for entries in of.values() for e in entries)
    return mean_r(of_a, bootstrap, task_weights), mean_r(of_b, bootstrap, task_weights)


def _pairs_of_seeds(a: tuple[Seed, ...], b: tuple[Seed, ...]) -> list[tuple[Seed, Seed, Seed]]:
    """Seeds of a difference, and which seed of a and of b each is; a model goes with every one."""
    if b == (None,):
        return [(seed, seed, None) for seed in a]
    if a == (None,):
        return [(seed, None, seed) for seed in b]
    return [(seed, seed, seed) for seed in a if seed in b]


def estimate(repeated: Repeated, correlation: bool) -> dict[str, Any]:
    """Mean over seeds with 'ci' for other seeds and items, and 'ci_items' for other items alone.

    'by_seed' is in the order of 'of_seeds', null where undefined, for 'reasons'; 'n' of all tasks.
    """
    both = zip(repeated.sides, repeated.weights, strict=False)
    people = [participant_variance([side.entry for side in of], weights) for of, weights in both]
    found = _mean(repeated, people, correlation)
    return {"value": finite_or_none(found.value), **_report(repeated, found, repeated.reasons)}


def difference(a: Repeated, b: Repeated, bound: float) -> dict[str, Any]:
    """Mean over the seeds of both of the difference a - b, of ``paired_mean_r``, with its verdict.

    Those within ``bound`` either way count as none. ValueError if correlations are of different
    items.
    """
    pairs = _pairs_of_seeds(a.seeds, b.seeds)
    in_a = [a.seeds.index(seed) for _, seed, _ in pairs]
    in_b = [b.seeds.index(seed) for _, _, seed in pairs]
    values_a, values_b = a.values[in_a], b.values[in_b]
    pairs_of_sides = zip(in_a, in_b, strict=True) if a.sides and b.sides else ()
    both = [(a.sides[i], b.sides[j], a.weights[i]) for i, j in pairs_of_sides]
    for side_a, side_b, _ in both:
        if [side.entry.items for side in side_a] != [side.entry.items for side in side_b]:
            raise ValueError("correlations of different items are not compared: pair them first")
    of_seeds = Repeated(
        tuple(seed for seed, _, _ in pairs),
        settled_difference(values_a - values_b),
        settled_difference(a.draws[in_a] - b.draws[in_b]),
        tuple(map(min, zip(a.sizes, b.sizes, strict=False))),
    )
    levels = zip(values_a, values_b, both, strict=False)
    people = [from_other_people(float(r_a), float(r_b), *sides) for r_a, r_b, sides in levels]
    found = _mean(of_seeds, people, correlation=False)
    reasons = [f"a, {reason}" for reason in a.reasons] + [f"b, {reason}" for reason in b.reasons]
    if not pairs:
        reasons.append("no seed that both have")
    defined = np.isfinite(of_seeds.values)
    r_a, r_b = (float(r[defined].mean()) if defined.any() else np.nan for r in (values_a, values_b))
    sizes = of_seeds.sizes
    p = _p(found, lambda draws: p_value(draws, sizes), tails=2)
    p_equivalence = _p(found, lambda draws: equivalence_p(draws, sizes, bound), tails=1)
    row = {
        "r_a": finite_or_none(r_a),
        "r_b": finite_or_none(r_b),
        "difference": finite_or_none(found.value),
        **_report(of_seeds, found, reasons),
        "ci90": finite_or_none(interval(_draws(found, 0.05), sizes, 0.90)),
        "p": finite_or_none(p),
        "p_equivalence": finite_or_none(p_equivalence),
        "equivalence_bound": bound,
    }
    return row | {"verdict": Verdict.of(row).words}


class _Mean(NamedTuple):
    """A mean over seeds; a correlation is widened on Fisher's z."""

    value: float
    of_items: FloatArray  # its draws with the spread over items, shape (draws,)
    values: FloatArray  # what it is over, shape (seeds,)
    draws: FloatArray  # shape (seeds, draws)
    correlation: bool


def _mean(repeated: Repeated, people: Sequence[float], correlation: bool) -> _Mean:
    """Mean over the seeds with a defined value; NaN if there are none.

    ``people`` is the variance that other people add to each seed (on Fisher's z for a correlation),
    empty if none; seeds share people, so it is averaged.
    """
    kept = np.flatnonzero(~np.isnan(repeated.values)).tolist()
    values, draws = repeated.values[kept], repeated.draws[kept]
    if not kept:
        return _Mean(np.nan, np.full(draws.shape[1], np.nan), values, draws, correlation)
    of_people = float(np.mean([people[place] for place in kept])) if people else 0.0
    # The mean of one is itself, to the last bit.
    of_items = draws[0] if len(kept) == 1 else draws.mean(axis=0)
    mean = _Mean(float(values.mean()), of_items, values, draws, correlation)
    return mean._replace(of_items=_widened(mean, of_people)) if of_people else mean


def _draws(mean: _Mean, tail: float = 0.025) -> FloatArray:
    """Draws of a mean with the spread over items and seeds; NaN if only seeds differ."""
    extra = variance_over_seeds(mean.values, mean.draws, tail)
    if extra == 0:
        return mean.of_items
    known = mean.of_items[~np.isnan(mean.of_items)]
    if not (len(known) and np.var(known) > 0):
        return np.full(len(mean.of_items), np.nan)
    # On z, a variance of r is larger by the square of dz/dr = 1 / (1 - r²).
    return _widened(mean, extra / (1 - mean.value**2) ** 2 if mean.correlation else extra)


def _widened(mean: _Mean, extra: float) -> FloatArray:
    """Draws of a mean, widened by a variance: that of Fisher's z for a correlation."""
    if not mean.correlation:
        return widened(mean.of_items, mean.value, extra)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.tanh(widened(np.arctanh(mean.of_items), float(np.arctanh(mean.value)), extra))


def variance_over_seeds(values: FloatArray, draws: FloatArray, tail: float = 0.025) -> float:
    """Estimate what other seeds add to the variance of a mean over seeds, beyond other items.

    For values of shape (seeds,) and draws of (seeds, draws) it is
    (t / z)² s² / S, less v / S, noise of seed and item together, which the draws of the mean hold
    already: v is the variance over draws of a seed's deviation from the mean of seeds. At least 0.
    """
    num_seeds = len(values)
    if num_seeds < 2 or (values == values[0]).all():
        return 0.0
    few = float((stdtrit(num_seeds - 1, tail) / ndtri(tail)) ** 2)
    between = float(values.var(ddof=1))
    deviations = draws[:, np.isfinite(draws).all(axis=0)]
    deviations = deviations - deviations.mean(axis=0)
    both = float(deviations.var(axis=1).sum()) / (num_seeds - 1) if deviations.size else 0.0
    return max(0.0, few * between - both) / num_seeds


def _p(mean: _Mean, p_of: Callable[[FloatArray], float], tails: int) -> float:
    """Find the p of draws that are right at the tail of this very p, as Holm's steps need.

    By bisection: the smaller the tail, the wider the draws, the larger their p, so one agrees.
    """
    if (mean.values == mean.values[:1]).all():
        return p_of(mean.of_items)
    low, high = np.log(1e-9), 0.0
    for _ in range(18):  # to a ten-thousandth of p
        middle = (low + high) / 2
        # t / z has no value at a tail of one half, and hardly changes near it.
        found = p_of(_draws(mean, min(np.exp(middle) / tails, 0.4)))
        if np.isnan(found):
            return found
        low, high = (middle, high) if found > np.exp(middle) else (low, middle)
    return float(np.exp(high))


def _report(repeated: Repeated, found: _Mean, reasons: Sequence[str]) -> dict[str, Any]:
    """Describe what an estimate and a difference have in common."""
    defined, draws = repeated.values[~np.isnan(repeated.values)], _draws(found)
    ci = finite_or_none(interval(draws, repeated.sizes))
    if len(defined) and np.isnan(draws).all() and not np.isnan(found.of_items).all():
        reasons = [*reasons, "no spread over items: no interval over seeds"]
    return {
        "ci": ci,
        "ci_items": finite_or_none(interval(found.of_items, repeated.sizes)),
        "seeds": len(repeated.seeds),
        "seeds_defined": len(defined),
        "over_seeds": len(defined) > 1 and ci is not None,
        "sd_seeds": finite_or_none(defined.std(ddof=1)) if len(defined) > 1 else None,
        "of_seeds": list(repeated.seeds),
        "by_seed": [finite_or_none(value) for value in repeated.values],
        "reasons": list(reasons),
        "n": sum(repeated.sizes),
        "draws_left_out": int(np.isnan(draws).sum()),
    }


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and range over seeds; None where no seed has a value."""
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    return {
        "value": float(np.mean(known)) if known else None,
        "low": min(known, default=None),
        "high": max(known, default=None),
        "seeds": len(known),
    }


def human(tasks: Costs) -> list[TaskCosts]:
    """The tasks with human response times."""
    return [costs for costs in tasks.values() if costs.cost_source == "human"]


def right(tasks: Costs) -> list[TaskCosts]:
    """The human tasks, with right responses alone."""
    return [
        replace(kept, model=f"right responses of {kept.model}")
        for costs in human(tasks)
        if (kept := costs.where(costs.correct)).items
    ]


def _with_oracle(tasks: Costs) -> list[TaskCosts]:
    """The human tasks, with the noise-free length in the carry-cost format in people's place."""
    out = []
    for costs in human(tasks):
        of_items = {**costs.of_items, "log_difficulty": np.log(costs.of_items["oracle"])}
        model = f"{costs.model} against the oracle"
        out.append(replace(costs, model=model, of_items=of_items, participants=None))
    return out


def oracle_entries(tasks: Costs) -> list[TaskCosts]:
    """The human tasks, with that length in place of a model's."""
    out = []
    for costs in human(tasks):
        of_samples = {**costs.of_samples, "tokens": costs.of_items["oracle"][:, None]}
        out.append(replace(costs, model="the oracle", of_samples=of_samples))
    return out


def arm_numbers(
    by_seed: Mapping[Seed, Costs], bootstrap: Bootstrap, task_weights: str
) -> dict[str, Any]:
    """Alignment, accuracy and tokens of an arm, over the tasks of a kind and on each task."""
    parts = {
        seed: {
            "r": human(costs),
            "r_analytic": [entry for entry in costs.values() if entry.cost_source == "analytic"],
            "r_oracle": _with_oracle(costs),
            "r_right": right(costs),
            **{f"r_{task}": [entry] for task, entry in costs.items()},
        }
        for seed, costs in by_seed.items()
    }
    tasks, out = next(iter(by_seed.values())), {}
    for key in next(iter(parts.values())):
        entries = {seed: of[key] for seed, of in parts.items()}
        out[key] = estimate(mean_r(entries, bootstrap, task_weights), correlation=True)
    for key in ("human", "analytic", *tasks):
        of_seeds = [of["r" if key == "human" else f"r_{key}"] for of in parts.values()]
        accuracy = [[stats.mean_of_known(entry.correct) for entry in of] for of in of_seeds]
        tokens = [[np.mean(entry.mean_tokens) for entry in of] for of in of_seeds]
        for column, values in (("accuracy", accuracy), ("tokens", tokens)):
            out[f"{column}_{key}"] = spread([float(np.mean(of)) if of else None for of in values])
    return out
