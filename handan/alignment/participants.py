"""Human response times beside the costs: participants' trials, and tables of norms.

Where single trials are known, participants give what item means alone cannot: the reliability of
these means (the noise ceiling), means over the trials that count, and how far all items move
together if other people had been asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from handan import norms
from handan.alignment.correlation import FloatArray
from handan.alignment.costs import CostTable
from handan.errors import UserError
from handan.norms.reliability import Reliability, in_order_of_values, split_half_reliability
from handan.norms.trials import Cleaning, clean_task, read_trials

SPLITS = 5_000
# As those of ``handan norms compute``.
FLOOR_S, CEILING_S = 0.2, 300.0


@dataclass(frozen=True, eq=False)
class Participants:
    """Trials of one task, summed within participant and item; shape (participants, items) each.

    Attributes:
        items: names, the last axis.
        log_sums, time_sums: sums of log response times and of response times, in seconds.
        counts: numbers of trials.
    """

    items: tuple[str, ...]
    log_sums: FloatArray
    time_sums: FloatArray
    counts: FloatArray

    @staticmethod
    def of_trials(
        participants: Sequence[str], items: Sequence[str], rt_s: Sequence[float] | FloatArray
    ) -> "Participants":
        """Sums of trials given as three columns of equal length."""
        names, item_codes = np.unique(np.array(items, dtype=str), return_inverse=True)
        people, person_codes = np.unique(np.array(participants, dtype=str), return_inverse=True)
        times = np.asarray(rt_s, float)
        cells = person_codes * len(names) + item_codes

        def summed(values: FloatArray | None) -> FloatArray:
            flat = np.bincount(cells, values, minlength=len(people) * len(names))
            return flat.reshape(len(people), len(names)).astype(float)

        return Participants(
            tuple(names.tolist()), summed(np.log(times)), summed(times), summed(None)
        )

    @staticmethod
    def of_table(table: CostTable) -> dict[str, "Participants"]:
        """Participants of the tasks whose rows name one."""
        named = np.array([name != "" for name in table.text["participant"]], dtype=bool)
        first = table.first_rows("task", "item", "participant") == np.arange(len(table))
        trials = table.rows(named & first)
        found = {}
        for task in trials.names("task"):
            of_task = trials.rows(np.array([name == task for name in trials.text["task"]]))
            times = of_task.numbers["human_rt_s"]
            found[task] = Participants.of_trials(
                of_task.text["participant"], of_task.text["item"], times
            )
        return found

    @property
    def mean_log_rt(self) -> FloatArray:
        """Mean log response time of each item, shape (items,); NaN where nobody answered."""
        return _divided(self.log_sums.sum(axis=0), self.counts.sum(axis=0))

    @property
    def mean_rt_s(self) -> FloatArray:
        """Mean response time of each item in seconds, shape (items,); NaN as above."""
        return _divided(self.time_sums.sum(axis=0), self.counts.sum(axis=0))

    @property
    def number(self) -> int:
        """Participants with a trial."""
        return int(np.count_nonzero(self.counts.sum(axis=1)))

    def select(self, kept: NDArray[np.bool_]) -> "Participants":
        """Only the items where ``kept``, shape (items,)."""
        sums = (of[:, kept] for of in (self.log_sums, self.time_sums, self.counts))
        return Participants(tuple(compress(self.items, kept)), *sums)

    def of_items(self, items: Sequence[str]) -> "Participants":
        """These items in this order, without trials where nobody answered one."""
        place = {item: index for index, item in enumerate(self.items)}
        known = np.array([item in place for item in items], dtype=bool)
        columns = np.array([place.get(item, 0) for item in items], dtype=np.intp)
        sums = (self.log_sums, self.time_sums, self.counts)
        return Participants(tuple(items), *(np.where(known, of[:, columns], 0.0) for of in sums))

    def reliability(self, generator: np.random.Generator) -> Reliability:
        """Split-half reliability of the items' mean log times, as ``handan.norms.reliability``."""
        took_part = self.counts.sum(axis=1) > 0
        sums = in_order_of_values(self.log_sums[took_part], self.counts[took_part])
        return split_half_reliability(*sums, SPLITS, generator)

    def shared_variance(self, gradient: FloatArray) -> float:
        """Variance of a measure that other people would add, beyond that of other items.

        A measure f of the items' mean log times y moves by gradient · dy. Its variance over people
        is the sum over participants of (gradient · d_p) squared, where d_p is what participant p
        contributes to the deviations of the means. The part in which items move independently of
        each other is in the resampling of items already, so it is subtracted, as in variances
        clustered in two ways (Cameron, Gelbach and Miller 2011). What is left are people who
        differ in which items they find hard. It may come out below 0, and is 0 then.

        Args:
            gradient: df/dy, shape (items,).
        """
        if self.number < 2:
            return 0.0
        trials = self.counts.sum(axis=0)
        weighted = (self.log_sums - self.counts * self.mean_log_rt) / trials * gradient
        shared = (weighted.sum(axis=1) ** 2 - (weighted**2).sum(axis=1)).sum()
        return max(0.0, float(shared) * self.number / (self.number - 1))

    @property
    def few(self) -> float:
        """(t / z)^2 of Student's t with as many degrees of freedom as participants, less 1.

        A variance over few people is known poorly: where it widens an interval it is multiplied by
        this.
        """
        if self.number < 2:
            return 1.0
        return float((stdtrit(self.number - 1, 0.025) / ndtri(0.025)) ** 2)


def _divided(total: FloatArray, count: FloatArray) -> FloatArray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


# -- response times that do not stand in costs.csv -------------------------------------------------


def with_norms(table: CostTable, directory: Path) -> tuple[CostTable, list[str]]:
    """Replace the response times of a table by those of a folder of norms.

    A task takes the source that its column 'norms' names, or else the packaged default or the
    folder's first source of the task. Rows of items without a norm are left out. Notes say what
    was replaced, how many items have no norm, and which tasks the folder does not have, which
    keep their own times.
    """
    there = norms.available(directory)
    human, analytic = (table.numbers[name] for name in ("human_rt_s", "analytic_cost"))
    if np.isfinite(analytic).all():
        raise UserError(f"{directory}: no effect, as all tasks have an analytic_cost: leave it out")
    if any(table.text["participant"]):
        raise UserError(
            f"{directory}: norms are item means, but the costs name participants; leave out one of "
            "them, or give their trials"
        )
    times, means = human.copy(), table.numbers["human_mean_rt_s"].copy()
    sources = list(table.text["norms"])
    notes = []
    tasks = table.groups("task")
    for code in np.unique(tasks[np.isnan(analytic)]):
        rows = np.flatnonzero((tasks == code) & np.isnan(analytic)).tolist()
        task, named = table.text["task"][rows[0]], sources[rows[0]]
        of_named = f" of norms '{named}'" if named else ""
        known = [source for name, source in there if name == task]
        timed = bool(np.isfinite(human[rows]).all())
        if not known and timed:
            notes.append(f"task '{task}': not in {directory}, so it keeps its human_rt_s{of_named}")
            continue
        if not known or (named not in ("", *known) and not timed):
            raise UserError(
                f"{directory}: no norms of task '{task}'{f' from {named!r}' if named else ''}; "
                f"there are: {', '.join(f'{name} ({source})' for name, source in there)}"
            )
        found = norms.load(task, named if named in known else None, directory)
        items = [table.text["item"][row] for row in rows]
        missing = set(items) - found.items.keys()
        if missing == set(items):
            raise UserError(
                f"{directory}: none of the items of task '{task}' has a norm of {found.source}; "
                f"items are matched by name, such as '{min(items)}' with '{min(found.items)}'"
            )
        if missing:
            notes.append(
                f"task '{task}': {len(missing)} of {len(set(items))} items have no norm of "
                f"{found.source} and are left out, such as '{min(missing)}'"
            )
        for row, item in zip(rows, items, strict=True):
            sources[row], norm = found.source, found.items.get(item)
            times[row] = np.exp(norm.mean_log_rt) if norm else np.nan
            means[row] = norm.mean_rt_s if norm else np.nan
        if np.isfinite(human[rows]).any():
            pairs = zip(items, human[rows], times[rows], strict=True)
            differ = {item for item, old, new in pairs if not _same_time(old, new)}
            notes.append(
                f"task '{task}': human_rt_s{of_named} gives way to norms '{found.source}' of "
                f"{directory}; {len(differ & found.items.keys())} items have another time there"
            )
    filled = replace(
        table,
        text={**table.text, "norms": sources},
        numbers={**table.numbers, "human_rt_s": times, "human_mean_rt_s": means},
    )
    return filled.rows(np.isfinite(times) | np.isfinite(analytic)), notes


def check_sources(table: CostTable, directory: Path | None = None) -> None:
    """Check that times that name a source of norms are the times of that source.

    Times are the geometric means exp(``mean_log_rt``), to 1 % or a hundredth of a second.

    Args:
        table: of costs.
        directory: searched for the sources before the packaged ones.
    """
    for row in np.unique(table.first_rows("task", "item")).tolist():
        task, source, item = (table.text[name][row] for name in ("task", "norms", "item"))
        time = table.numbers["human_rt_s"][row]
        if not source or table.text["participant"][row] or np.isnan(time):
            continue
        norm = named_norms(task, source, directory).items.get(item)
        if norm is None or not _same_time(time, np.exp(norm.mean_log_rt)):
            there = f"{np.exp(norm.mean_log_rt):.4g} there" if norm else "not there"
            raise UserError(
                f"{table.places[row]}: norms are '{source}', but human_rt_s of item '{item}', "
                f"{time:.4g}, is {there} (exp of mean_log_rt); take the source's times, such as "
                "with --norms, or leave column 'norms' empty"
            )


@lru_cache(maxsize=256)
def named_norms(task: str, source: str, directory: Path | None) -> norms.Norms:
    """Norms of a folder if it has them, or else the packaged ones."""
    if directory is not None and (task, source) in norms.available(directory):
        return norms.load(task, source, directory)
    return norms.load(task, source)


def raw_notes(table: CostTable) -> list[str]:
    """Name tasks whose raw correlations are over geometric mean times."""
    human, arithmetic = (table.numbers[of] for of in ("human_rt_s", "human_mean_rt_s"))
    rows = np.flatnonzero(np.isfinite(human) & np.isnan(arithmetic)).tolist()
    tasks, sources, people = (table.text[of] for of in ("task", "norms", "participant"))
    named = dict.fromkeys(tasks[row] for row in rows if sources[row] and not people[row])
    if not named:
        return []
    return [
        f"r raw of {', '.join(named)} is over geometric mean times: the costs have no "
        "human_mean_rt_s, the arithmetic ones"
    ]


def _same_time(a: float, b: float) -> bool:
    return abs(a - b) <= max(0.01 * b, 0.01)


def participants_of_trials(
    path: Path, table: CostTable
) -> tuple[dict[str, Participants], list[str]]:
    """Participants of every human task of a table, and what was left out, one sentence each.

    Trials are cleaned by the defaults of ``handan norms compute``: .2 to 300 s, correct answers
    only in tasks where any answer is scored.
    """
    trials, notes = read_trials(path)
    of_people = table.rows(np.isnan(table.numbers["analytic_cost"]))
    items: dict[str, set[str]] = {}
    for task, item in zip(of_people.text["task"], of_people.text["item"], strict=True):
        items.setdefault(task, set()).add(item)
    if not items:
        raise UserError(f"{path}: no effect, as all tasks have an analytic_cost: leave it out")
    if others := [task for task in trials if task not in items]:
        notes.append(
            f"{path}: no costs of people's tasks {', '.join(others)}; their trials count nowhere"
        )
    people = {}
    for task, of_task in items.items():
        if task not in trials:
            raise UserError(f"{path}: no trials of task '{task}'; there are: {', '.join(trials)}")
        scored = any(trial.correct is not None for trial in trials[task])
        rules = Cleaning(FLOOR_S, CEILING_S, correct_only=scored)
        cleaned, doubts = clean_task(path, task, trials[task], rules)
        notes += doubts
        answered = {trial.item for trial in cleaned.kept}
        if not answered & of_task:
            raise UserError(
                f"{path}: no usable trial on the items of task '{task}'; items are matched by "
                f"name, such as '{min(of_task)}'"
            )
        if missing := of_task - answered:
            notes.append(
                f"task '{task}': {len(missing)} of {len(of_task)} items have no usable trial and "
                f"are left out, such as '{min(missing)}'"
            )
        columns = zip(*((of.participant, of.item, of.rt_s) for of in cleaned.kept), strict=True)
        people[task] = Participants.of_trials(*columns)
        notes.append(
            f"task '{task}': response times of {path}, {len(cleaned.kept)} of "
            f"{len(trials[task])} trials ({rules.rule})"
        )
    replaced = of_people.rows(np.isfinite(of_people.numbers["human_rt_s"])).names("task")
    if replaced:
        notes.append(
            f"human_rt_s of {', '.join(sorted(replaced))} in costs.csv gives way to the trials"
        )
    return people, notes
