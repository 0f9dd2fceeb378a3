"""From samples to items: what a model spent on each item of a task, beside how difficult it was.

An item's log cost is the mean of log(reasoning_tokens) over its *thinking* samples, those with at
least one token: log(1 + 0) would decide every correlation. Raw measures use all samples.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress

import numpy as np

from handan.alignment import correlation as stats
from handan.alignment.correlation import MIN_ITEMS, FloatArray, mean_of_known, pearson
from handan.alignment.costs import RESPONSE, SPAN, CostTable
from handan.alignment.participants import Participants, divided

# What is known of each sample, beside its status, and its column in the table.
OF_SAMPLES = {"tokens": "reasoning_tokens", "characters": "reasoning_characters"}
OF_SAMPLES |= {of: of for of in ("correct", "looping", "prompt_tokens", "answer_tokens")}
# Below this share of right answers a correlation takes part in no mean and no verdict.
MIN_ACCURACY = 0.1
# Above this share of samples without reasoning, r is only of lengths where the model reasons.
MAX_NO_REASONING = 0.05


@dataclass(frozen=True, eq=False)
class TaskCosts:
    """One model's samples on one task at one step, items sorted by name.

    ``of_samples`` have shape (items, samples), NaN where unknown or where an item has fewer: those
    of ``OF_SAMPLES``, and 1 or 0 for truncated and unparsed. ``of_items`` have shape (items,):
    difficulty (human response time or analytic cost), raw_difficulty (the arithmetic mean wherever
    it is known), log_difficulty (the mean log), oracle (noise-free length of the trace format, NaN
    if not given) and every covariate.
    """

    model: str  # as of costs.decoded_name
    decoding: str
    task: str
    step: int | None  # of training, None for the end
    cost_source: str  # 'human' or 'analytic': what the difficulty is
    norms: str | None  # the source of the human times, None if the file brings its own
    counted_by: str | None  # how tokens were counted, ' + ' between several ways; None if unknown
    cost_rule: str
    items: tuple[str, ...]
    of_samples: Mapping[str, FloatArray]
    of_items: Mapping[str, FloatArray]
    participants: Participants | None = None  # None if only their mean is known
    accuracy: float = np.nan  # as the next, of all samples, also of items that are not in items
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
    def no_reasoning(self) -> FloatArray:
        """1 for a sample without a reasoning token, else 0, shape (items, samples)."""
        return np.where(np.isfinite(self.tokens), self.tokens == 0, np.nan)

    @property
    def log_difficulty(self) -> FloatArray:
        """Mean log difficulty, shape (items,)."""
        return self.of_items["log_difficulty"]

    @cached_property
    def log_tokens(self) -> FloatArray:
        """Log tokens of thinking samples, shape (items, samples), NaN elsewhere."""
        return log_of_positive(self.tokens)

    @cached_property
    def log_cost(self) -> FloatArray:
        """Mean log tokens over thinking samples, shape (items,), NaN where there is none."""
        return row_means(self.log_tokens)

    @cached_property
    def mean_tokens(self) -> FloatArray:
        """Mean tokens over all samples, shape (items,)."""
        return row_means(self.tokens)

    @cached_property
    def r(self) -> float:
        """Log-log correlation of cost and difficulty; NaN under ``MIN_ITEMS`` or if undefined."""
        few = len(self.items) < MIN_ITEMS
        return float("nan") if few else pearson(self.log_cost, self.log_difficulty)

    @property
    def answers(self) -> bool:
        """Whether the model can do the task: lengths of wrong answers are no allocation."""
        return not self.accuracy < MIN_ACCURACY

    @property
    def reasons(self) -> bool:
        """Whether the model reasons in (nearly) all its responses."""
        return not self.no_reasoning_rate > MAX_NO_REASONING

    def select(self, items: Set[str]) -> "TaskCosts":
        """These costs with only some of the items."""
        kept = np.array([item in items for item in self.items], dtype=bool)
        if kept.all():
            return self
        return replace(
            self,
            items=tuple(compress(self.items, kept)),
            of_samples={name: values[kept] for name, values in self.of_samples.items()},
            of_items={name: values[kept] for name, values in self.of_items.items()},
            participants=self.participants.select(kept) if self.participants else None,
        )

    def where(self, keep: FloatArray) -> "TaskCosts":
        """These costs with only the samples where ``keep``, shape (items, samples), is 1."""
        kept = {of: np.where(keep == 1, values, np.nan) for of, values in self.of_samples.items()}
        return replace(self, of_samples=kept)

    def thinking(self) -> "TaskCosts":
        """These costs with only the items that have a thinking sample."""
        return self.select(set(compress(self.items, np.isfinite(self.log_cost))))


def log_of_positive(values: FloatArray) -> FloatArray:
    """Natural logarithm of what is above 0, NaN elsewhere."""
    positive = np.nan_to_num(values, nan=0.0) > 0
    return np.where(positive, np.log(np.where(positive, values, 1.0)), np.nan)


def row_means(values: FloatArray) -> FloatArray:
    """Means over the last axis without NaN, NaN where nothing else is there."""
    known = np.isfinite(values)
    return divided(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def item_costs(
    table: CostTable, participants: Mapping[str, Participants] | None = None
) -> list[TaskCosts]:
    """A checked table, grouped by model, step and task in order of first appearance.

    ``participants`` (of column 'participant' by default) give the response times of their tasks.
    An item nobody answered is left out.
    """
    if participants is None:
        participants = Participants.of_table(table)
    codes = table.groups("model", "step", "task")
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return [costs for rows in parts if (costs := _task_costs(table, rows, participants)).items]


def final_costs(costs: Iterable[TaskCosts]) -> dict[str, dict[str, TaskCosts]]:
    """{model: {task: costs}} at the end: where step is empty, or else at the model's last step."""
    by_step: dict[str, dict[int | None, dict[str, TaskCosts]]] = {}
    for entry in costs:
        by_step.setdefault(entry.model, {}).setdefault(entry.step, {})[entry.task] = entry
    return {
        model: steps[None] if None in steps else steps[max(s for s in steps if s is not None)]
        for model, steps in by_step.items()
    }


def _task_costs(
    table: CostTable, rows: np.ndarray, participants: Mapping[str, Participants]
) -> TaskCosts:
    """Costs of the rows of one model, step and task."""
    text, numbers = table.text, table.numbers
    first = int(rows[0])
    task = text["task"][first]
    # Rows of other participants repeat the sample; check_table has made sure they agree.
    _, once = np.unique(table.groups("item", "sample")[rows], return_index=True)
    rows = rows[np.sort(once)]
    names, row_items = np.unique([text["item"][row] for row in rows], return_inverse=True)
    order = np.lexsort((np.array([text["sample"][row] for row in rows]), row_items))
    rows, row_items = rows[order], row_items[order]
    starts = np.searchsorted(row_items, np.arange(len(names)))
    places = np.arange(len(rows)) - starts[row_items]

    def spread(values: FloatArray) -> FloatArray:
        """Values of rows as (items, samples)."""
        out = np.full((len(names), int(places.max()) + 1), np.nan)
        out[row_items, places] = values
        return out

    cost_rule = text["cost_rule"][first] or SPAN
    of_samples = {name: spread(numbers[column][rows]) for name, column in OF_SAMPLES.items()}
    if cost_rule == RESPONSE:
        # The answer is a part of the cost, so nothing is learned from holding it constant.
        of_samples["answer_tokens"] = np.full_like(of_samples["tokens"], np.nan)
    status = np.array([text["status"][row] for row in rows])
    for name in ("truncated", "unparsed"):
        of_samples[name] = spread(np.where(status == "", np.nan, status == name))

    of_item = {name: values[rows[starts]] for name, values in numbers.items()}
    is_analytic = bool(np.isfinite(of_item["analytic_cost"]).any())
    answered = participants[task].of_items(names.tolist()) if task in participants else None
    if answered is not None:
        difficulty = raw = answered.mean_rt_s
        log_difficulty = answered.mean_log_rt
    else:
        difficulty = of_item["analytic_cost" if is_analytic else "human_rt_s"]
        arithmetic = of_item["human_mean_rt_s"]
        raw = np.where(np.isfinite(arithmetic), arithmetic, difficulty)
        log_difficulty = np.log(difficulty)
    of_items = {name: of_item[name] for name in table.covariates}
    of_items |= {"difficulty": difficulty, "raw_difficulty": raw, "log_difficulty": log_difficulty}
    of_items["oracle"] = of_item["oracle_tokens"]
    step = numbers["step"][first]
    costs = TaskCosts(
        model=text["model"][first],
        decoding=text["decoding"][first],
        task=task,
        step=None if np.isnan(step) else int(step),
        cost_source="analytic" if is_analytic else "human",
        norms=text["norms"][first] or None,
        counted_by=" + ".join(sorted({text["counted_by"][row] for row in rows})) or None,
        cost_rule=cost_rule,
        items=tuple(names.tolist()),
        of_samples=of_samples,
        of_items=of_items,
        participants=answered,
    ).select(set(compress(names.tolist(), np.isfinite(difficulty))))
    accuracy, no_reasoning_rate = mean_of_known(costs.correct), mean_of_known(costs.no_reasoning)
    return replace(costs, accuracy=accuracy, no_reasoning_rate=no_reasoning_rate)


# -- what takes part in a mean over tasks, and how it weighs ---------------------------------------


def why_unusable(entry: TaskCosts, draws: FloatArray) -> str | None:
    """Reason why r, with draws of shape (draws,), is in no mean and no verdict; None if it is."""
    if len(entry.items) < MIN_ITEMS:
        return f"{len(entry.items)} items; a correlation needs {MIN_ITEMS}"
    if np.isnan(entry.r):
        return "constant cost or demand, so no correlation"
    if (undefined := np.isnan(draws).mean()) > stats.MAX_UNDEFINED_DRAWS:
        return f"a column is constant in {100 * undefined:.0f} % of the draws, so no interval"
    if not entry.answers:
        return f"{100 * entry.accuracy:.1f} % right, so its lengths are those of no solution"
    return None


def usable(entries: Sequence[TaskCosts], draws: Sequence[FloatArray]) -> list[bool]:
    """Whether each entry of one model takes part in a mean.

    An r of exactly +1 or -1 does not beside another one: it has no finite z, and would decide the
    mean alone.
    """
    known = [why_unusable(*of) is None for of in zip(entries, draws, strict=True)]
    r = [entry.r if use else None for use, entry in zip(known, entries, strict=True)]
    equal = len(set(r) - {None}) == 1
    return [of is not None and (equal or of * of != 1) for of in r]


def weights_of(entries: Sequence[TaskCosts], task_weights: str) -> FloatArray:
    """Weights of these tasks in a mean of Fisher's z, shape (tasks,)."""
    return stats.z_weights([len(entry.items) for entry in entries], task_weights)


def participant_variance(entries: Sequence[TaskCosts], weights: FloatArray) -> float:
    """Variance that other people would add to the mean Fisher z of one model over these tasks."""
    return sum(
        weight**2
        * entry.participants.few
        * entry.participants.shared_variance(
            stats.gradient_of_z(entry.log_cost, entry.log_difficulty)
        )
        for entry, weight in zip(entries, weights, strict=True)
        if entry.participants is not None
    )
