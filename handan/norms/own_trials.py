"""Trials of anyone: a CSV, one row a trial, in the columns ``task,item,participant`` and ``rt_s``
(seconds) or ``rt_ms`` (milliseconds), ``correct`` where answers are scored and ``trial`` where the
order is known (``docs/add-human-data.md``).
"""

import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from handan.csv_input import TRUTH, check_header, plain_number, read_cells
from handan.errors import UserError
from handan.norms.trials import Trial

REQUIRED = ("task", "item", "participant")
# Columns of response times, in units to the second.
TIMES = {"rt_s": 1, "rt_ms": 1000}
COLUMNS = (*REQUIRED, *TIMES, "correct", "trial")

# Medians beyond these bounds are taken for the other unit.
MAX_MEDIAN_RT_S = 100
MIN_MEDIAN_RT_MS = 200
# A participant whose median is so many times that of the others is taken to be in another unit, and
# so are trials that are so many times off, if there are more of them than a few stray ones.
ODD_PARTICIPANT = 100
MIN_TRIALS_OF_PARTICIPANT = 3
ODD_TRIAL = 300
MAX_STRAY, MAX_STRAY_SHARE = 4, 0.01


def read_trials(path: Path) -> tuple[dict[str, list[Trial]], list[str]]:
    """Read trials by task in order of appearance, and one sentence for each thing let pass.

    Let pass are unknown columns, and further trials of a participant on an item, which are taken
    for repeated presentations. Names of columns may be in capitals.

    Raises:
        UserError: the file cannot be read or a column is missing; a cell is empty or unreadable; a
            time is not positive; times are probably in another unit, all of them or some; a task
            cannot name a file.
    """
    header, rows = read_cells(path)
    header = [name.lower() if name.lower() in COLUMNS else name for name in header]
    check_header(f"{path}, line 1", header)
    time_column = _time_column(path, header)
    trials: dict[str, list[Trial]] = {}
    places: dict[str, list[str]] = {}
    for place, cells in rows:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        for column in REQUIRED:
            _check_printable(place, column, row[column])
        if row["task"] not in trials:
            check_file_name(place, "task", row["task"])
        trials.setdefault(row["task"], []).append(_trial(place, row, time_column))
        places.setdefault(row["task"], []).append(place)
    for task, of_task in trials.items():
        _check_one_unit(task, of_task, places[task], time_column)
        _check_unit(path, task, of_task, time_column)
    notes = []
    if unknown := [name or "(no name)" for name in header if name not in COLUMNS]:
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
            f"{path}: no column {', '.join(missing)}; found: {', '.join(header)}: rename "
            "or add it in line 1, or remove what stands above the line that names the columns"
        )
    times = [name for name in TIMES if name in header]
    if len(times) != 1:
        raise UserError(
            f"{path}: columns rt_s and rt_ms; remove one of them"
            if times
            else f"{path}: no column rt_s (seconds) or rt_ms (milliseconds); add one"
        )
    return times[0]


def _trial(place: str, row: Mapping[str, str], time_column: str) -> Trial:
    if not row[time_column]:
        raise UserError(f"{place}: empty {time_column}; fill it in or remove the row")
    time = _number(place, time_column, row[time_column])
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
        number=_number(place, "trial", row["trial"]) if "trial" in row else None,
    )


def _number(place: str, column: str, cell: str) -> float:
    try:
        return plain_number(place, column, cell)
    except UserError as error:
        raise UserError(
            f"{error}; write it so, or remove the row if it is no trial with a response"
        ) from None


def _check_printable(place: str, what: str, name: str) -> None:
    if not name:
        raise UserError(f"{place}: empty {what}; fill it in or remove the row")
    if not name.isprintable():
        raise UserError(f"{place}: {what} '{name}' has a control or invisible character; remove it")


def _check_unit(path: Path, task: str, trials: list[Trial], time_column: str) -> None:
    """Check that the median is one of the unit that the column is named after."""
    median = statistics.median(trial.rt_s for trial in trials) * TIMES[time_column]
    if time_column == "rt_s" and median > MAX_MEDIAN_RT_S:
        unit, cure = "milliseconds", "rt_ms, or convert times that truly are so long to it"
    elif time_column == "rt_ms" and median < MIN_MEDIAN_RT_MS:
        unit, cure = "seconds", "rt_s"
    else:
        return
    raise UserError(
        f"{path}: the median {time_column} of task '{task}' is {median:g}, probably {unit}: "
        f"name the column {cure}"
    )


def _check_one_unit(task: str, trials: list[Trial], places: list[str], time_column: str) -> None:
    """Check that no participant, and no part of the trials, is in another unit than the rest."""
    times_s: dict[str, list[float]] = {}
    for trial in trials:
        times_s.setdefault(trial.participant, []).append(trial.rt_s)
    medians = {name: statistics.median(times) for name, times in times_s.items()}
    # One of the medians: between two units lies a mean that is far from neither.
    usual_s = statistics.median_low(medians.values())

    def is_off(time_s: float, factor: float) -> bool:
        return not usual_s / factor < time_s < usual_s * factor

    strange = {
        name
        for name, median_s in medians.items()
        if len(times_s[name]) >= MIN_TRIALS_OF_PARTICIPANT and is_off(median_s, ODD_PARTICIPANT)
    }
    odd = [row for row, trial in enumerate(trials) if is_off(trial.rt_s, ODD_TRIAL)]
    if strange:
        row = next(row for row, trial in enumerate(trials) if trial.participant in strange)
        found = (
            f"the medians of {len(strange)} of {len(medians)} participants, such as "
            f"'{trials[row].participant}', are over {ODD_PARTICIPANT} times off"
        )
    elif len(odd) > max(MAX_STRAY, MAX_STRAY_SHARE * len(trials)):
        row = odd[0]
        found = f"{len(odd)} of {len(trials)} trials are over {ODD_TRIAL} times off"
    else:
        return
    unit = TIMES[time_column]
    raise UserError(
        f"{places[row]}: {time_column} is {trials[row].rt_s * unit:g}, but participants of task "
        f"'{task}' usually take {usual_s * unit:g}; {found}: give all times in one unit and "
        "without marks between thousands, or remove these rows"
    )
