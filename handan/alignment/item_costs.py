"""From samples to items: what a model spent on each item of a task, beside what it cost people.

The cost of an item, in log measures, is the mean of log(reasoning_tokens) over its *thinking*
samples, those with at least one reasoning token. A direct answer has 0 tokens: it is counted
(``no_reasoning_rate``) and kept out of the logarithm, because log(1 + 0) lies so far from all
other values that the share of direct answers would decide every correlation. An item without a
thinking sample has no log cost: it is left out of log measures and counted (``items_dropped``).
Raw measures use the arithmetic mean of the tokens over all samples, direct answers included.

A truncated sample counts with the tokens it had reached: that is a lower bound of its cost, and
``cap_rate`` says how many such samples there are.

``demand`` stands for what the item asks: the human response time in seconds (over participants
its arithmetic mean, in log measures the mean of the logs), or the analytic cost.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from handan.alignment.cost_rows import CostRow
from handan.alignment.statistics import FloatArray


@dataclass(frozen=True, eq=False)
class TaskCosts:
    """One model's samples on one task at one step, items sorted by name.

    Attributes:
        model, task: names.
        step: training step, None for the end.
        cost_source: 'human' or 'analytic': what ``demand`` is.
        norms: the packaged source of the human figures, None if the file brings its own.
        items: item names, the first axis of all arrays.
        tokens: reasoning tokens, shape (items, samples), NaN where an item has fewer samples.
        correct, truncated, unparsed: 1, 0, or NaN if unknown, shape (items, samples).
        demand, log_demand: shape (items,).
        oracle: noise-free length of the trace format, shape (items,), NaN if not given.
    """

    model: str
    task: str
    step: int | None
    cost_source: str
    norms: str | None
    items: tuple[str, ...]
    tokens: FloatArray
    correct: FloatArray
    truncated: FloatArray
    unparsed: FloatArray
    demand: FloatArray
    log_demand: FloatArray
    oracle: FloatArray

    @cached_property
    def log_tokens(self) -> FloatArray:
        """Log tokens of thinking samples, shape (items, samples), NaN elsewhere."""
        thinking = np.nan_to_num(self.tokens, nan=0.0) > 0
        return np.where(thinking, np.log(np.where(thinking, self.tokens, 1.0)), np.nan)

    @cached_property
    def log_cost(self) -> FloatArray:
        """Mean log tokens over thinking samples, shape (items,), NaN where there is none."""
        return _row_means(self.log_tokens)

    @cached_property
    def mean_tokens(self) -> FloatArray:
        """Mean tokens over all samples, direct answers included, shape (items,)."""
        return _row_means(self.tokens)

    @property
    def direct(self) -> FloatArray:
        """1 for a sample without a reasoning token, else 0, shape (items, samples)."""
        return np.where(np.isfinite(self.tokens), self.tokens == 0, np.nan)

    def select(self, items: Set[str]) -> "TaskCosts":
        """These costs with only some of the items."""
        kept = np.array([item in items for item in self.items], dtype=bool)
        if kept.all():
            return self
        return replace(
            self,
            items=tuple(item for item in self.items if item in items),
            tokens=self.tokens[kept],
            correct=self.correct[kept],
            truncated=self.truncated[kept],
            unparsed=self.unparsed[kept],
            demand=self.demand[kept],
            log_demand=self.log_demand[kept],
            oracle=self.oracle[kept],
        )

    def thinking(self) -> "TaskCosts":
        """These costs with only the items that have a thinking sample."""
        known = np.isfinite(self.log_cost)
        return self.select({item for item, kept in zip(self.items, known, strict=True) if kept})


def item_costs(rows: Iterable[CostRow]) -> list[TaskCosts]:
    """Checked rows, grouped by model, step and task in order of first appearance."""
    groups: dict[tuple, list[CostRow]] = {}
    demands: dict[tuple, dict[str, float]] = {}
    for row in rows:
        groups.setdefault((row.model, row.step, row.task), []).append(row)
        # check_rows has made sure that exactly one of the two is there.
        value = row.analytic_cost if row.human_rt_s is None else row.human_rt_s
        demands.setdefault((row.task, row.item), {})[row.participant] = float(value or 0)
    return [_task_costs(group, demands) for group in groups.values()]


def final_costs(costs: Iterable[TaskCosts]) -> dict[str, dict[str, TaskCosts]]:
    """{model: {task: costs}} at the end: where step is empty, or else at the model's last step."""
    by_step: dict[str, dict[int | None, dict[str, TaskCosts]]] = {}
    for entry in costs:
        by_step.setdefault(entry.model, {}).setdefault(entry.step, {})[entry.task] = entry
    return {
        model: steps[None] if None in steps else steps[max(s for s in steps if s is not None)]
        for model, steps in by_step.items()
    }


def _task_costs(rows: list[CostRow], demands: dict[tuple, dict[str, float]]) -> TaskCosts:
    """Rows of one model, step and task, with the demands of all (task, item, participant)."""
    samples: dict[str, dict[str, CostRow]] = {}
    for row in rows:
        # Rows of other participants repeat the sample; check_rows has made sure they agree.
        samples.setdefault(row.item, {}).setdefault(row.sample, row)
    items = sorted(samples)
    shape = len(items), max(len(of_item) for of_item in samples.values())
    tokens, correct, truncated, unparsed = (np.full(shape, np.nan) for _ in range(4))
    for i, item in enumerate(items):
        for j, sample in enumerate(sorted(samples[item])):
            row = samples[item][sample]
            tokens[i, j] = row.reasoning_tokens
            if row.correct is not None:
                correct[i, j] = row.correct
            if row.status is not None:
                truncated[i, j] = row.status == "truncated"
                unparsed[i, j] = row.status == "unparsed"
    first = rows[0]
    people = [list(demands[first.task, item].values()) for item in items]
    oracle = [next(iter(samples[item].values())).oracle_tokens for item in items]
    return TaskCosts(
        model=first.model,
        task=first.task,
        step=first.step,
        cost_source="human" if first.analytic_cost is None else "analytic",
        norms=first.norms,
        items=tuple(items),
        tokens=tokens,
        correct=correct,
        truncated=truncated,
        unparsed=unparsed,
        demand=np.array([np.mean(values) for values in people]),
        log_demand=np.array([np.mean(np.log(values)) for values in people]),
        oracle=np.array([np.nan if value is None else value for value in oracle]),
    )


def _row_means(values: FloatArray) -> FloatArray:
    """Means over the last axis without NaN, NaN where nothing else is there."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
