"""Reading anyone's trials: a CSV, one row a trial, in the columns ``task,item,participant`` and
``rt_s`` (seconds) or ``rt_ms`` (milliseconds), and ``correct`` where answers are scored.

``docs/add-human-data.md`` describes the columns to those who have such data.
"""

import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from handan.csv_input import TRUTH, plain_number, read_table
from handan.errors import UserError
from handan.norms.trials import Trial

REQUIRED = ("task", "item", "participant")
# Columns of response times, in units to the second.
TIMES = {"rt_s": 1, "rt_ms": 1000}

# Medians beyond these bounds are taken for the other unit.
MOST_MEDIAN_RT_S = 300
LEAST_MEDIAN_RT_MS = 50


def read_trials(path: Path) -> tuple[dict[str, list[Trial]], list[str]]:
    """Trials by task in order of appearance, and one sentence for each thing that was let pass.

    Let pass are unknown columns, and further trials of a participant on an item, which are taken
    for repeated presentations.

    Raises:
        UserError: the file cannot be read or a column is missing; a cell is empty or unreadable; a
            time is not positive or probably in another unit; a task cannot name a file.
    """
    header, rows = read_table(path)
    time_column = _time_column(path, header)
    trials: dict[str, list[Trial]] = {}
    for place, row in rows:
        for column in REQUIRED:
            _check_printable(place, column, row[column])
        if row["task"] not in trials:
            check_file_name(place, "task", row["task"])
        trials.setdefault(row["task"], []).append(_trial(place, row, time_column))
    for task, of_task in trials.items():
        _check_unit(path, task, of_task, time_column)
    notes = []
    known = (*REQUIRED, time_column, "correct")
    unknown = [name or "(no name)" for name in header if name not in known]
    if unknown:
        notes.append(f"{path}: ignored unknown columns: {', '.join(unknown)}")
    presented = Counter((task, t.participant, t.item) for task in trials for t in trials[task])
    if num_repeated := presented.total() - len(presented):
        notes.append(
            f"{path}: {num_repeated} rows repeat a participant and item of another row; they count "
            "as repeated presentations"
        )
    return trials, notes


def check_file_name(place: str, what: str, name: str) -> None:
    """Check a name that becomes part of the name of a table's file.

    A source has no dot, so that the last part of ``<task>.<source>.csv`` is the source.

    Raises:
        UserError: it cannot be part of a file name on every system, or would lead elsewhere.
    """
    _check_printable(place, what, name)
    forbidden = '/\\:*?"<>|' + ("." if what == "source" else "")
    found = next((mark for mark in forbidden if mark in name), None)
    if found or name.startswith("."):
        raise UserError(
            f"{place}: {what} '{name}' names a file, so it cannot have {found or '. in front'}; "
            "use letters, digits, _ and -"
        )


def _time_column(path: Path, header: list[str]) -> str:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise UserError(
            f"{path}: no column {', '.join(missing)}; found: {', '.join(header)}: rename or add it"
        )
    times = [name for name in TIMES if name in header]
    if not times:
        raise UserError(f"{path}: no column rt_s (seconds) or rt_ms (milliseconds); add one")
    if len(times) > 1:
        raise UserError(f"{path}: columns rt_s and rt_ms; remove one of them")
    return times[0]


def _trial(place: str, row: Mapping[str, str], time_column: str) -> Trial:
    if not row[time_column]:
        raise UserError(f"{place}: empty {time_column}; fill it in or remove the row")
    time = plain_number(place, time_column, row[time_column])
    if time <= 0:
        raise UserError(
            f"{place}: {time_column} is {row[time_column]}; a response time is positive: correct "
            "or remove the row"
        )
    correct = row.get("correct", "").lower()
    if correct and correct not in TRUTH:
        raise UserError(
            f"{place}: correct is '{row['correct']}'; use true, false, 1, 0, or leave it empty "
            "where no answer is right or it is unknown"
        )
    return Trial(
        participant=row["participant"],
        item=row["item"],
        rt_s=time / TIMES[time_column],
        correct=TRUTH[correct] if correct else None,
    )


def _check_printable(place: str, what: str, name: str) -> None:
    if not name:
        raise UserError(f"{place}: empty {what}; fill it in or remove the row")
    if not name.isprintable():
        raise UserError(f"{place}: {what} '{name}' has a control or invisible character; remove it")


def _check_unit(path: Path, task: str, trials: list[Trial], time_column: str) -> None:
    median_s = statistics.median(trial.rt_s for trial in trials)
    if time_column == "rt_s" and median_s > MOST_MEDIAN_RT_S:
        raise UserError(
            f"{path}: the median rt_s of task '{task}' is {median_s:g}, probably milliseconds: "
            "name the column rt_ms, or convert times that truly are so long to it"
        )
    if time_column == "rt_ms" and median_s * 1000 < LEAST_MEDIAN_RT_MS:
        raise UserError(
            f"{path}: the median rt_ms of task '{task}' is {median_s * 1000:g}, probably seconds: "
            "name the column rt_s"
        )
