"""One figure of every seed of an arm, and of two arms on the seeds and items of both."""

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.data.pairs import shared_tasks
from handan.alignment.figures.contrasts import Side
from handan.alignment.figures.means import usable, weights_of, why_unusable
from handan.alignment.statistics.basic import INVERSE_VARIANCE, FloatArray, fisher_mean
from handan.alignment.statistics.bootstrap import Bootstrap

# A seed's number; None is a model that is not trained, such as a base.
Seed = int | None
# Costs of every seed, one entry a task. {None: ...} is a model without seeds.
BySeed = Mapping[Seed, Sequence[TaskCosts]]


class Repeated(NamedTuple):
    """One figure of every seed of an arm.

    Attributes:
        seeds: their numbers, (None,) for a model without seeds.
        values: the figure of each, shape (seeds,), NaN where undefined.
        draws: the same under every draw of items, shape (seeds, draws).
        sizes: items of each task, those of the seed with the fewest.
        sides: costs behind a mean correlation, for each seed a side a task; empty for others.
        weights: of these tasks in the mean, for each seed of shape (tasks,).
        reasons: why a value is undefined, a sentence each.
    """

    seeds: tuple[Seed, ...]
    values: FloatArray
    draws: FloatArray
    sizes: tuple[int, ...]
    sides: tuple[tuple[Side, ...], ...] = ()
    weights: tuple[FloatArray, ...] = ()
    reasons: tuple[str, ...] = ()


def mean_r(
    entries_by_seed: BySeed, bootstrap: Bootstrap, task_weights: str = INVERSE_VARIANCE
) -> Repeated:
    """Of every seed the Fisher-z mean over tasks of the log-log correlation.

    Args:
        entries_by_seed: costs of the tasks in question: human ones or analytic ones.
        bootstrap: the draws of items, the same for all seeds and arms.
        task_weights: how tasks weigh in a mean.

    Returns:
        NaN for a seed whose correlation takes part in no mean on a task (``means.why_unusable``),
        or that lacks a task of another seed: its mean would be one over other tasks.
    """
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
        missing = [_reason(seed, task, of_tasks.get(task)) for task in tasks if task not in in_mean]
        reasons += missing
        if not tasks or missing:
            values.append(np.nan)
            draws.append(np.full(bootstrap.num_draws, np.nan))
        else:
            r = np.array([side.r for side in sides[-1]])
            values.append(float(fisher_mean(r, weights[-1])))
            of_draws = np.stack([side.draws for side in sides[-1]])
            draws.append(fisher_mean(of_draws, weights[-1], axis=0))
    whole = [of_seed for of_seed, value in zip(sides, values, strict=True) if not np.isnan(value)]
    sizes = [min(map(len, of_task)) for of_task in zip(*map(items_of, whole), strict=True)]
    return Repeated(
        tuple(thinking),
        np.array(values),
        np.array(draws).reshape(len(thinking), bootstrap.num_draws),
        tuple(sizes),
        tuple(sides),
        tuple(weights),
        tuple(reasons),
    )


def _reason(seed: Seed, task: str, side: Side | None) -> str:
    """Say why a correlation takes part in no mean."""
    who = "" if seed is None else f"seed {seed}, "
    if side is None:
        return f"{who}{task}: no costs"
    exact = f"r is exactly {side.r:+.0f}, which has no finite z"
    return f"{who}{task}: {why_unusable(side.entry, side.draws) or exact}"


def items_of(sides: Sequence[Side]) -> list[tuple[str, ...]]:
    """Items of each task."""
    return [side.entry.items for side in sides]


def paired_mean_r(
    a: BySeed, b: BySeed, bootstrap: Bootstrap, task_weights: str = INVERSE_VARIANCE
) -> tuple[Repeated, Repeated]:
    """``mean_r`` of two arms for ``difference``: of the seeds of both, on the items of both.

    Each seed of a is on the items for which it and b's seed have a log cost. A model without seeds
    is beside every seed of the other arm. So both are for this one difference.
    """
    of_a: dict[Seed, list[TaskCosts]] = {}
    of_b: dict[Seed, list[TaskCosts]] = {}
    for seed, in_a, in_b in pairs_of_seeds(tuple(a), tuple(b)):
        costs = {
            name: {entry.task: entry for entry in entries}
            for name, entries in (("a", a[in_a]), ("b", b[in_b]))
        }
        shared = shared_tasks(costs, [("a", "b")])["a", "b"]
        of_a[seed] = [side for side, _ in shared.values()]
        of_b[seed] = [side for _, side in shared.values()]
    # All at once: quicker, and rounded like the contrasts of ``handan align``.
    bootstrap.alignment(e for of in (of_a, of_b) for entries in of.values() for e in entries)
    return mean_r(of_a, bootstrap, task_weights), mean_r(of_b, bootstrap, task_weights)


def pairs_of_seeds(a: tuple[Seed, ...], b: tuple[Seed, ...]) -> list[tuple[Seed, Seed, Seed]]:
    """The seeds of a difference, and which seed of a and of b each is."""
    if b == (None,):
        return [(seed, seed, None) for seed in a]
    if a == (None,):
        return [(seed, None, seed) for seed in b]
    return [(seed, seed, seed) for seed in a if seed in b]
