"""Human response times beside the costs: participants' trials, and tables of norms."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from handan.norms import compute
from handan.norms.compute import Reliability
from handan.norms.trials import Cleaning, Trial, clean_task, read_trials

SPLITS = 5_000


@dataclass(frozen=True, eq=False)
class Participants:
    """Sums of log response times and of times (s), and numbers of trials: (participants, items)."""

    items: tuple[str, ...]
    log_sums: FloatArray
    time_sums: FloatArray
    counts: FloatArray
    # Those that the sums are of; none where items were chosen.
    trials: Sequence[Trial] = field(default=(), kw_only=True)

    @staticmethod
    def of_trials(trials: Sequence[Trial]) -> "Participants":
        """Sums of these trials."""
        people, items, rt_s = zip(*(trial[:3] for trial in trials), strict=True)
        times = np.asarray(rt_s, float)
        columns = np.log(times), times, np.ones(len(times))
        names, sums = compute.sums_by_cell(people, items, *columns)
        return Participants(tuple(names), *sums, trials=trials)

    @staticmethod
    def of_table(table: CostTable) -> dict[str, "Participants"]:
        """Participants of the tasks whose rows name one."""
        named = np.array([name != "" for name in table.text["participant"]], dtype=bool)
        first = table.first_rows("task", "item", "participant") == np.arange(len(table))
        trials = table.rows(named & first)
        found = {}
        for task in trials.names("task"):
            of = trials.rows(np.array([name == task for name in trials.text["task"]]))
            columns = of.text["participant"], of.text["item"], of.numbers["human_rt_s"].tolist()
            rows = zip(*columns, strict=True)
            found[task] = Participants.of_trials([Trial(*row, correct=None) for row in rows])
        return found

    @property
    def mean_log_rt(self) -> FloatArray:
        """Mean log response time of each item, shape (items,); NaN where nobody answered."""
        return divided(self.log_sums.sum(axis=0), self.counts.sum(axis=0))

    @property
    def mean_rt_s(self) -> FloatArray:
        """Mean response time of each item in seconds, shape (items,); NaN as above."""
        return divided(self.time_sums.sum(axis=0), self.counts.sum(axis=0))

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
        """Split-half reliability of the items' mean log times, as ``handan.norms.compute``."""
        took_part = self.counts.sum(axis=1) > 0
        sums = compute.in_order_of_values(self.log_sums[took_part], self.counts[took_part])
        return compute.split_half_reliability(*sums, SPLITS, generator)

    def shared_variance(self, gradient: FloatArray) -> float:
        """Variance of a measure that other people would add, beyond that of other items.

        A measure f of the items' mean log times y moves by gradient · dy, with df/dy of shape
        (items,). Its variance over people is the sum over participants of (gradient · d_p) squared,
        where d_p is what participant p contributes to the deviations of the means, less the part in
        which items move independently, which the resampling of items has (clustering in two ways,
        Cameron, Gelbach and Miller 2011). At least 0.
        """
        if self.number < 2:
            return 0.0
        trials = self.counts.sum(axis=0)
        weighted = (self.log_sums - self.counts * self.mean_log_rt) / trials * gradient
        shared = (weighted.sum(axis=1) ** 2 - (weighted**2).sum(axis=1)).sum()
        return max(0.0, float(shared) * self.number / (self.number - 1))

    @property
    def few(self) -> float:
        """(t / z)^2 with a degree of freedom fewer than participants: factor of their variance."""
        freedom = self.number - 1
        return float((stdtrit(freedom, 0.025) / ndtri(0.025)) ** 2) if freedom > 0 else 1.0


def divided(total: FloatArray, count: FloatArray) -> FloatArray:
    """Total / count, NaN where nothing was counted."""
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


# -- response times that do not stand in costs.csv -------------------------------------------------


def with_norms(table: CostTable, directory: Path) -> tuple[CostTable, list[str]]:
    """Replace the response times of a table by those of a folder of norms.

    A task takes the source that its column 'norms' names, or else the packaged default or the
    folder's first. Rows of items without a norm are left out; tasks that are not there keep their
    times.
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
    numbers = {**table.numbers, "human_rt_s": times, "human_mean_rt_s": means}
    filled = replace(table, text={**table.text, "norms": sources}, numbers=numbers)
    return filled.rows(np.isfinite(times) | np.isfinite(analytic)), notes


def check_sources(table: CostTable, directory: Path | None = None) -> None:
    """Check that times are those of the norms they name, to 1 % or a hundredth of a second."""
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
    named = ", ".join(dict.fromkeys(tasks[of] for of in rows if sources[of] and not people[of]))
    why = "the costs have no human_mean_rt_s, the arithmetic ones"
    return [f"r raw of {named} is over geometric mean times: {why}"] if named else []


def _same_time(a: float, b: float) -> bool:
    return abs(a - b) <= max(0.01 * b, 0.01)


def participants_of_trials(
    path: Path, table: CostTable
) -> tuple[dict[str, Participants], list[str]]:
    """Participants of every human task of a table, and what was left out, one sentence each.

    Trials are cleaned by the defaults of ``handan norms compute``: .2 to 300 s, and correct answers
    only if any is scored.
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
        rules = Cleaning(0.2, 300.0, correct_only=scored)
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
        people[task] = Participants.of_trials(cleaned.kept)
        notes.append(
            f"task '{task}': response times of {path}, {len(cleaned.kept)} of "
            f"{len(trials[task])} trials ({rules.rule})"
        )
    if timed := of_people.rows(np.isfinite(of_people.numbers["human_rt_s"])).names("task"):
        replaced = ", ".join(sorted(timed))
        notes.append(f"human_rt_s of {replaced} in costs.csv gives way to the trials")
    return people, notes
