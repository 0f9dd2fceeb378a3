"""From samples to items: what a model spent on each item of a task, beside what it cost people.

The cost of an item, in log measures, is the mean of log(reasoning_tokens) over its *thinking*
samples, those with at least one reasoning token. A direct answer has 0 tokens: it is counted
(``no_reasoning_rate``) and kept out of the logarithm, because log(1 + 0) lies so far from all
other values that the share of direct answers would decide every correlation. An item without a
thinking sample has no log cost: it is left out of log measures and counted (``items_dropped``).
Raw measures use the arithmetic mean of the tokens over all samples, direct answers included.

Where many answers are direct, whether the model reasons comes before how long it does: see
``reasons``, and ``r_reasons`` in ``alignment.json``.

A truncated sample counts with the tokens it had reached: that is a lower bound of its cost, and
``cap_rate`` says how many such samples there are.

``demand`` stands for what the item asks: the human response time in seconds (over participants
its arithmetic mean, in log measures the mean of the logs), or the analytic cost. Of norms and runs
it is the geometric mean, whose logarithm is the mean of the logs; ``raw_demand`` is the arithmetic
mean wherever it is known.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from handan.alignment.correlation import MIN_ITEMS, FloatArray, mean_of_known, pearson
from handan.alignment.costs import CostTable
from handan.alignment.participants import People

# What is known of each sample, by its name in the table or made from the status.
OF_SAMPLES = {
    "tokens": "reasoning_tokens",
    "correct": "correct",
    "looping": "looping",
    "prompt_tokens": "prompt_tokens",
    "answer_tokens": "answer_tokens",
    "characters": "reasoning_characters",
}


# Below this share of right answers a correlation takes part in no mean and no verdict.
MIN_ACCURACY = 0.1
# Above this share of answers without reasoning, r is only of lengths where the model reasons.
MAX_NO_REASONING = 0.05


@dataclass(frozen=True, eq=False)
class TaskCosts:
    """One model's samples on one task at one step, items sorted by name.

    Attributes:
        model, task: names; those of models are as of ``costs.decoded_name``.
        decoding: 'sampled' or 'greedy'.
        step: training step, None for the end.
        cost_source: 'human' or 'analytic': what ``demand`` is.
        norms: the source of the human figures, None if the file brings its own.
        counted_by: how the tokens were counted, ' + ' between several ways; None if the file does
            not say.
        cost_rule: 'span' or 'response': which tokens of a response are its cost.
        items: item names, the first axis of all arrays.
        of_samples: shape (items, samples) each, NaN where unknown or where an item has fewer
            samples: tokens, characters, prompt_tokens, answer_tokens, and 1 or 0 for correct,
            looping, truncated, unparsed.
        of_items: shape (items,) each: demand, raw_demand, log_demand, oracle (noise-free
            length of the trace format, NaN if not given) and every covariate.
        people: the participants behind the demand, None if only their mean is known.
        accuracy, no_reasoning_rate: shares of all samples of the task, also of items that are
            not among ``items``; NaN where they are not recorded.
    """

    model: str
    decoding: str
    task: str
    step: int | None
    cost_source: str
    norms: str | None
    counted_by: str | None
    cost_rule: str
    items: tuple[str, ...]
    of_samples: Mapping[str, FloatArray]
    of_items: Mapping[str, FloatArray]
    people: People | None = None
    accuracy: float = np.nan
    no_reasoning_rate: float = np.nan

    @property
    def tokens(self) -> FloatArray:
        """Reasoning tokens, shape (items, samples)."""
        return self.of_samples["tokens"]

    @property
    def correct(self) -> FloatArray:
        """1 for a right answer, 0 for a wrong one, shape (items, samples)."""
        return self.of_samples["correct"]

    @property
    def demand(self) -> FloatArray:
        """What the items ask, shape (items,)."""
        return self.of_items["demand"]

    @property
    def raw_demand(self) -> FloatArray:
        """Arithmetic mean of what they ask where it is known, else ``demand``; shape (items,)."""
        return self.of_items["raw_demand"]

    @property
    def log_demand(self) -> FloatArray:
        """Mean log of what they ask, shape (items,)."""
        return self.of_items["log_demand"]

    @property
    def oracle(self) -> FloatArray:
        """Noise-free length of the trace format, shape (items,)."""
        return self.of_items["oracle"]

    @property
    def covariates(self) -> dict[str, FloatArray]:
        """Numbers that describe the items of this task, without their prefix."""
        return {
            name.removeprefix("covariate_"): values
            for name, values in self.of_items.items()
            if name.startswith("covariate_") and np.isfinite(values).all()
        }

    @cached_property
    def log_tokens(self) -> FloatArray:
        """Log tokens of thinking samples, shape (items, samples), NaN elsewhere."""
        return log_of_positive(self.tokens)

    @cached_property
    def log_cost(self) -> FloatArray:
        """Mean log tokens over thinking samples, shape (items,), NaN where there is none."""
        return row_means(self.log_tokens)

    @cached_property
    def r(self) -> float:
        """Log-log correlation of cost and demand; NaN under ``MIN_ITEMS`` items or if undefined."""
        few = len(self.items) < MIN_ITEMS
        return float("nan") if few else pearson(self.log_cost, self.log_demand)

    @property
    def answers(self) -> bool:
        """Whether the model can do the task at all, as far as it is known.

        Lengths of answers that are nearly all wrong are no allocation of effort to the problem.
        """
        return not self.accuracy < MIN_ACCURACY

    @property
    def reasons(self) -> bool:
        """Whether the model reasons in (nearly) all its responses."""
        return not self.no_reasoning_rate > MAX_NO_REASONING

    @cached_property
    def mean_tokens(self) -> FloatArray:
        """Mean tokens over all samples, direct answers included, shape (items,)."""
        return row_means(self.tokens)

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
            of_samples={name: values[kept] for name, values in self.of_samples.items()},
            of_items={name: values[kept] for name, values in self.of_items.items()},
            people=self.people.select(kept) if self.people else None,
        )

    def where(self, keep: FloatArray) -> "TaskCosts":
        """These costs with only the samples where ``keep``, shape (items, samples), is 1."""
        kept = {
            name: np.where(keep == 1, values, np.nan) for name, values in self.of_samples.items()
        }
        return replace(self, of_samples=kept)

    def thinking(self) -> "TaskCosts":
        """These costs with only the items that have a thinking sample."""
        known = np.isfinite(self.log_cost)
        return self.select({item for item, kept in zip(self.items, known, strict=True) if kept})


def log_of_positive(values: FloatArray) -> FloatArray:
    """Natural logarithm of what is above 0, NaN elsewhere."""
    positive = np.nan_to_num(values, nan=0.0) > 0
    return np.where(positive, np.log(np.where(positive, values, 1.0)), np.nan)


def row_means(values: FloatArray) -> FloatArray:
    """Means over the last axis without NaN, NaN where nothing else is there."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def item_costs(table: CostTable, people: Mapping[str, People] | None = None) -> list[TaskCosts]:
    """A checked table, grouped by model, step and task in order of first appearance.

    Args:
        table: of ``handan.alignment.costs``.
        people: participants of some tasks, which then give their response times; those of a
            table with a column 'participant' by default. An item nobody answered is left out.
    """
    if people is None:
        people = People.of_table(table)
    codes = table.groups("model", "step", "task")
    order = np.argsort(codes, kind="stable")
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    return [
        costs for rows in np.split(order, ends) if (costs := _task_costs(table, rows, people)).items
    ]


def final_costs(costs: Iterable[TaskCosts]) -> dict[str, dict[str, TaskCosts]]:
    """{model: {task: costs}} at the end: where step is empty, or else at the model's last step."""
    by_step: dict[str, dict[int | None, dict[str, TaskCosts]]] = {}
    for entry in costs:
        by_step.setdefault(entry.model, {}).setdefault(entry.step, {})[entry.task] = entry
    return {
        model: steps[None] if None in steps else steps[max(s for s in steps if s is not None)]
        for model, steps in by_step.items()
    }


def _task_costs(table: CostTable, rows: np.ndarray, people: Mapping[str, People]) -> TaskCosts:
    """Rows of one model, step and task."""
    first = int(rows[0])
    task = table.text["task"][first]
    # Rows of other participants repeat the sample; check_table has made sure they agree.
    _, once = np.unique(table.groups("item", "sample")[rows], return_index=True)
    rows = rows[np.sort(once)]
    names, row_items = np.unique([table.text["item"][row] for row in rows], return_inverse=True)
    sample_names = np.array([table.text["sample"][row] for row in rows])
    order = np.lexsort((sample_names, row_items))
    rows, row_items = rows[order], row_items[order]
    starts = np.searchsorted(row_items, np.arange(len(names)))
    places = np.arange(len(rows)) - starts[row_items]
    shape = len(names), int(places.max()) + 1

    def spread(values: FloatArray) -> FloatArray:
        out = np.full(shape, np.nan)
        out[row_items, places] = values
        return out

    cost_rule = table.text["cost_rule"][first] or "span"
    status = np.array([table.text["status"][row] for row in rows])
    of_samples = {name: spread(table.numbers[column][rows]) for name, column in OF_SAMPLES.items()}
    if cost_rule == "response":
        # The answer is a part of the cost, so nothing is learned from holding it constant.
        of_samples["answer_tokens"] = np.full(shape, np.nan)
    for name in ("truncated", "unparsed"):
        of_samples[name] = spread(np.where(status == "", np.nan, status == name))
    heads = rows[starts]
    of_items = {name: table.numbers[name][heads] for name in table.covariates}
    of_items["oracle"] = table.numbers["oracle_tokens"][heads]
    human, analytic = (table.numbers[name][heads] for name in ("human_rt_s", "analytic_cost"))
    is_analytic = bool(np.isfinite(analytic).any())
    step = table.numbers["step"][first]
    costs = TaskCosts(
        model=table.text["model"][first],
        decoding=table.text["decoding"][first],
        task=task,
        step=None if np.isnan(step) else int(step),
        cost_source="analytic" if is_analytic else "human",
        norms=table.text["norms"][first] or None,
        counted_by=" + ".join(sorted({table.text["counted_by"][row] for row in rows})) or None,
        cost_rule=cost_rule,
        items=tuple(names.tolist()),
        of_samples=of_samples,
        of_items=of_items,
    )
    if task in people:
        costs = _with_people(costs, people[task])
    else:
        demand = analytic if is_analytic else human
        arithmetic = table.numbers["human_mean_rt_s"][heads]
        raw = np.where(np.isfinite(arithmetic), arithmetic, demand)
        of_items |= {"demand": demand, "raw_demand": raw, "log_demand": np.log(demand)}
    return replace(
        costs,
        accuracy=mean_of_known(costs.correct),
        no_reasoning_rate=mean_of_known(costs.direct),
    )


def _with_people(costs: TaskCosts, people: People) -> TaskCosts:
    """The costs of the items that people answered, with these people's times as the demand."""
    answered = people.of_items(costs.items)
    demand, log_demand = answered.mean_rt_s, answered.mean_log_rt
    times = {"demand": demand, "raw_demand": demand, "log_demand": log_demand}
    of_items = {**costs.of_items, **times}
    joined = replace(costs, of_items=of_items, people=answered)
    return joined.select({i for i, d in zip(costs.items, demand, strict=True) if np.isfinite(d)})
