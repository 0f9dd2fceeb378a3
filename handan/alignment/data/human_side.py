"""Response times that do not stand in ``costs.csv``: from tables of norms, or from trials."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from handan import norms
from handan.alignment.data.cost_table import CostTable
from handan.alignment.data.people import People
from handan.errors import UserError
from handan.norms.cleaning import Cleaning, clean_task
from handan.norms.own_trials import read_trials

# As those of ``handan norms compute``.
FLOOR_S, CEILING_S = 0.2, 300.0


def with_norms(table: CostTable, directory: Path) -> tuple[CostTable, list[str]]:
    """The table with response times of a folder of norms in place of its own.

    A task takes the source that its column 'norms' names, or else the packaged default or the
    folder's first source of the task. Rows of items without a norm are left out. Notes say what
    was replaced, how many items have no norm, and which tasks the folder does not have, which
    keep their own times.

    Raises:
        UserError: the folder has no norms, or not those of a task that needs them, or of none of a
            task's items; no task is of people; times are those of single participants.
    """
    there = norms.available(directory)
    human, analytic = (table.numbers[name] for name in ("human_rt_s", "analytic_cost"))
    of_people = np.isnan(analytic)
    if not of_people.any():
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
    for code in np.unique(tasks[of_people]):
        rows = np.flatnonzero((tasks == code) & of_people).tolist()
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
        notes += _uncovered(task, set(items), found, directory)
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


def _uncovered(task: str, items: set[str], found: norms.Norms, directory: Path) -> list[str]:
    missing = items - found.items.keys()
    if missing == items:
        raise UserError(
            f"{directory}: none of the items of task '{task}' has a norm of {found.source}; items "
            f"are matched by name, such as '{min(items)}' with '{min(found.items)}'"
        )
    if not missing:
        return []
    return [
        f"task '{task}': {len(missing)} of {len(items)} items have no norm of {found.source} and "
        f"are left out, such as '{min(missing)}'"
    ]


def check_sources(table: CostTable, directory: Path | None = None) -> None:
    """Check that times that name a source of norms are the times of that source.

    Times are the geometric means exp(``mean_log_rt``), to 1 % or a hundredth of a second.

    Args:
        table: of costs.
        directory: searched for the sources before the packaged ones.

    Raises:
        UserError: an item is not in the named source or takes another time there, or there is no
            such source.
    """
    _, first = np.unique(table.groups("task", "item"), return_index=True)
    for row in np.sort(first).tolist():
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
    """Norms of a folder if it has them, or else the packaged ones.

    Raises:
        UserError: neither has them.
    """
    if directory is not None and (task, source) in norms.available(directory):
        return norms.load(task, source, directory)
    return norms.load(task, source)


def raw_notes(table: CostTable) -> list[str]:
    """What is said of tasks whose raw correlations are over other than arithmetic mean times."""
    geometric = (
        np.isfinite(table.numbers["human_rt_s"])
        & np.isnan(table.numbers["human_mean_rt_s"])
        & np.array([name != "" for name in table.text["norms"]], dtype=bool)
        & np.array([name == "" for name in table.text["participant"]], dtype=bool)
    )
    tasks = dict.fromkeys(table.text["task"][row] for row in np.flatnonzero(geometric).tolist())
    if not tasks:
        return []
    return [
        f"r raw of {', '.join(tasks)} is over geometric mean times: the costs have no "
        "human_mean_rt_s, the arithmetic ones"
    ]


def _same_time(a: float, b: float) -> bool:
    return abs(a - b) <= max(0.01 * b, 0.01)


def people_of_trials(path: Path, table: CostTable) -> tuple[dict[str, People], list[str]]:
    """Participants of every human task of a table, and what was left out, one sentence each.

    Trials are cleaned by the defaults of ``handan norms compute``: .2 to 300 s, correct answers
    only in tasks where any answer is scored.

    Raises:
        UserError: the trials cannot be read, or a task has none that can be used.
    """
    trials, notes = read_trials(path)
    analytic = np.isfinite(table.numbers["analytic_cost"])
    items: dict[str, set[str]] = {}
    for row, task in enumerate(table.text["task"]):
        if not analytic[row]:
            items.setdefault(task, set()).add(table.text["item"][row])
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
        people[task] = People.of_trials(
            [trial.participant for trial in cleaned.kept],
            [trial.item for trial in cleaned.kept],
            [trial.rt_s for trial in cleaned.kept],
        )
        notes.append(
            f"task '{task}': response times of {path}, {len(cleaned.kept)} of "
            f"{len(trials[task])} trials ({rules.rule})"
        )
    return people, notes + _replaced(table, people)


def _replaced(table: CostTable, people: Mapping[str, People]) -> list[str]:
    tasks = {
        task
        for task, time in zip(table.text["task"], table.numbers["human_rt_s"], strict=True)
        if task in people and np.isfinite(time)
    }
    if not tasks:
        return []
    return [f"human_rt_s of {', '.join(sorted(tasks))} in costs.csv gives way to the trials"]
