"""Response times that do not stand in ``costs.csv``: from tables of norms, or from trials."""

from collections.abc import Mapping
from dataclasses import replace
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
    """The table with response times of a folder of norms where it has none of its own.

    A task takes the source that its column 'norms' names, or else the packaged default or the
    folder's first source of the task. Rows of items without a norm are left out, and a note counts
    the items.

    Raises:
        UserError: the folder has no norms, or not those of a task that needs them.
    """
    there = norms.available(directory)
    human, analytic = (table.numbers[name] for name in ("human_rt_s", "analytic_cost"))
    needed = np.isnan(human) & np.isnan(analytic)
    times, sources = human.copy(), list(table.text["norms"])
    notes = []
    tasks = table.groups("task")
    for code in np.unique(tasks[needed]):
        rows = np.flatnonzero((tasks == code) & needed).tolist()
        task, named = table.text["task"][rows[0]], sources[rows[0]]
        if task not in [name for name, source in there if named in ("", source)]:
            known = ", ".join(f"{name} ({source})" for name, source in there)
            raise UserError(
                f"{directory}: no norms of task '{task}'{f' from {named!r}' if named else ''}; "
                f"there are: {known}"
            )
        found = norms.load(task, named or None, directory)
        source, of_items = found.source, found.items
        items = [table.text["item"][row] for row in rows]
        if missing := sorted(set(items) - of_items.keys()):
            notes.append(
                f"task '{task}': {len(missing)} of {len(set(items))} items have no norm of "
                f"{source} and are left out, such as '{missing[0]}'"
            )
        for row, item in zip(rows, items, strict=True):
            sources[row] = source
            times[row] = np.exp(of_items[item].mean_log_rt) if item in of_items else np.nan
    filled = replace(
        table,
        text={**table.text, "norms": sources},
        numbers={**table.numbers, "human_rt_s": times},
    )
    kept = np.isfinite(times) | np.isfinite(analytic)
    if not kept.any():
        raise UserError(f"{directory}: none of the items has a norm; items are matched by name")
    return filled.rows(kept), notes


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
