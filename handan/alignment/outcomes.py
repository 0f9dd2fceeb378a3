"""How often two models are right and how long they think, side by side, paired by item."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from handan.alignment.bootstrap import Bootstrap, interval
from handan.alignment.correlation import NO_INTERVAL, FloatArray, Interval, finite_or_none
from handan.alignment.items import TaskCosts, row_means
from handan.alignment.pairs import CostsByModel

# Means that differ by less than this in every draw differ by rounding.
_ROUNDING = 1e-12


class Outcome(NamedTuple):
    """A model's mean accuracy and the log of its mean tokens on one task, with their draws."""

    means: FloatArray  # shape (2,)
    draws: FloatArray  # shape (draws, 2)
    num_items: int


def outcomes(
    costs: CostsByModel, pairs: Sequence[tuple[str, str]], bootstrap: Bootstrap
) -> dict[tuple, dict]:
    """{(a, b, task, None) or (a, b, None, source): a beside b} on the items both were asked.

    Difference a - b of accuracy and ratio a / b of mean tokens, with intervals of the draws that r
    has. Over the tasks of a source: the mean of accuracies, the geometric mean of mean tokens.
    """
    asked: dict[tuple[str, tuple[str, ...]], dict[str, TaskCosts]] = {}
    shared = []
    for a, b in pairs:
        for task in (task for task in costs[a] if task in costs[b]):
            of_a, of_b = costs[a][task], costs[b][task]
            items = set(of_a.items) & set(of_b.items)
            if items:
                of_a, of_b = of_a.select(items), of_b.select(items)
                asked.setdefault((task, of_a.items), {}).update({a: of_a, b: of_b})
                shared.append((a, b, of_a.cost_source, (task, of_a.items)))
    found = {key: _of_models(*key, models, bootstrap) for key, models in asked.items()}
    together: dict[tuple, list[tuple[Outcome, Outcome]]] = {}
    for a, b, source, key in shared:
        for on in ((key[0], None), (None, source)):
            together.setdefault((a, b, *on), []).append((found[key][a], found[key][b]))
    return {key: _beside(of_tasks) for key, of_tasks in together.items()}


def _of_models(
    task: str, items: Sequence[str], models: dict[str, TaskCosts], bootstrap: Bootstrap
) -> dict[str, Outcome]:
    columns = [of for e in models.values() for of in (row_means(e.correct), e.mean_tokens)]
    means, draws = np.mean(columns, axis=1), bootstrap.means(task, items, np.column_stack(columns))
    with np.errstate(divide="ignore"):  # a model that never thinks
        for of in (means, draws.T):
            of[1::2] = np.log(of[1::2])
    parts = [slice(at, at + 2) for at in range(0, len(columns), 2)]
    made = [Outcome(means[part], draws[:, part], len(items)) for part in parts]
    return dict(zip(models, made, strict=True))


def _beside(tasks: Sequence[tuple[Outcome, Outcome]]) -> dict:
    """Outcomes of a and b over one or several tasks."""
    sizes = [of_a.num_items for of_a, _ in tasks]
    sides = zip(*tasks, strict=True)
    of_a, of_b = (np.mean([of.means for of in side], axis=0) for side in sides)
    with np.errstate(invalid="ignore"):
        draws = np.mean([a.draws - b.draws for a, b in tasks], axis=0)
        difference = of_a - of_b
    low_high = [_interval(column, sizes) for column in draws.T]
    found = {
        "accuracy_a": of_a[0],
        "accuracy_b": of_b[0],
        "accuracy_difference": difference[0],
        "accuracy_ci": low_high[0],
        "tokens_a": np.exp(of_a[1]),
        "tokens_b": np.exp(of_b[1]),
        "tokens_ratio": np.exp(difference[1]),
        "tokens_ratio_ci": (float(np.exp(low_high[1][0])), float(np.exp(low_high[1][1]))),
    }
    return {"n": sum(sizes)} | {name: finite_or_none(value) for name, value in found.items()}


def _interval(draws: FloatArray, sizes: Sequence[int]) -> Interval:
    """NaN where no item tells the models apart: nothing varies then that could be resampled."""
    known = draws[np.isfinite(draws)]
    if len(known) and np.ptp(known) < _ROUNDING:
        return NO_INTERVAL
    return interval(np.where(np.isfinite(draws), draws, np.nan), sizes)
