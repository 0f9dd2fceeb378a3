"""Trials: reading anyone's (docs/own-data.md), and the rules by which they count (README.md)."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from handan.errors import UserError
from handan.inputs import TRUTH, check_header, plain_number, read_cells

REQUIRED = ("task", "item", "participant")
TIMES = {"rt_s": 1, "rt_ms": 1000}  # columns of response times, in units to the second
COLUMNS = (*REQUIRED, *TIMES, "correct", "trial")
# A participant whose median is so many times that of the others is taken to be in another unit, and
# so are trials that are so many times off, if there are more of them than a few stray ones.
ODD_PARTICIPANT, ODD_TRIAL = 100, 300


class Trial(NamedTuple):
    """One answer of one participant to an item, by its key."""

    participant: str
    item: str
    rt_s: float  # NaN where the source records none or contradicts itself
    correct: bool | None  # None where the item has no right answer
    number: float | None = None  # place among the trials of its participant, where it is known


def their_columns(words: Sequence[str]) -> dict[str, str]:
    """Names of columns in a file by our own, from ``participant=subj,rt=time,unit=ms``."""
    pairs = [pair.partition("=") for word in words for pair in word.split(",")]
    given = {ours: theirs for ours, _, theirs in pairs}
    if given.keys() & {"rt", "unit"}:
        given[f"rt_{given.pop('unit', '')}"] = given.pop("rt", "")
    if given.keys() - set(COLUMNS) or not all(given.values()):
        raise UserError(
            f"--columns {' '.join(words)}: give NAME=COLUMN with the names "
            f"{', '.join((*REQUIRED, 'correct', 'trial'))}, and rt=COLUMN,unit=ms or unit=s"
        )
    return given


def read_trials(
    path: Path,
    columns: Mapping[str, str] | None = None,
    task: str | None = None,
    drop_invalid: bool = False,
) -> tuple[dict[str, list[Trial]], list[str]]:
    """Read trials by task in order of appearance, and one sentence for each thing let pass.

    ``columns`` are ``their_columns``, ``task`` is that of a file without such a column.
    """
    header, rows = read_cells(path)
    ours = {theirs: name for name, theirs in (columns or {}).items()}
    if absent := [name for name in ours if name not in header]:
        there = f"found: {', '.join(header)}"
        raise UserError(f"{path}: no column '{absent[0]}', which --columns names; {there}")
    plain = [name.lower() if name.lower() in COLUMNS else name for name in header]
    plain = [f"{name} (unread)" if name in ours.values() else name for name in plain]
    header = [ours.get(name, other) for name, other in zip(header, plain, strict=True)]
    check_header(f"{path}, line 1", header)
    if task is not None and "task" in header:
        raise UserError(f"{path}: has a column of tasks; leave out --task")
    here = header if task is None else [*header, "task"]
    if missing := [name for name in REQUIRED if name not in here]:
        raise UserError(
            f"{path}: no column {', '.join(missing)}; found: {', '.join(header)}: rename "
            "or add it in line 1, or remove what stands above the line that names the columns, or "
            "have 'handan norms compute' read other names with --columns, and a --task without one"
        )
    times = [name for name in TIMES if name in header]
    if not times:
        raise UserError(
            f"{path}: no column rt_s (seconds) or rt_ms (milliseconds); add one, or name yours to "
            "'handan norms compute' with --columns rt=COLUMN,unit=ms"
        )
    if len(times) > 1:
        raise UserError(f"{path}: columns rt_s and rt_ms; remove one of them")
    trials: dict[str, list[Trial]] = {}
    places: dict[str, list[str]] = {}
    invalid: Counter[str] = Counter()
    for place, cells in rows:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        row.setdefault("task", task or "")
        try:
            for column in REQUIRED:
                _check_printable(place, column, row[column])
            if row["task"] not in trials:
                check_file_name(place, "task", row["task"])
            trial = _trial(place, row, times[0])
        except UserError as error:
            if not drop_invalid:
                cure = "'handan norms compute --drop_invalid' leaves all such rows out"
                raise UserError(f"{error}; {cure}") from None
            invalid[str(error).removeprefix(f"{place}: ").partition(";")[0]] += 1
            continue
        trials.setdefault(row["task"], []).append(trial)
        places.setdefault(row["task"], []).append(place)
    for name, of_task in trials.items():
        _check_unit(path, name, of_task, places[name], times[0])
    notes = []
    if invalid:
        reasons = ", ".join(f"{number} where {what}" for what, number in invalid.most_common(5))
        notes += [f"{path}: {invalid.total()} invalid rows are left out: {reasons}"]
    if unknown := [name or "(no name)" for name in header if name not in COLUMNS]:
        notes += [f"{path}: ignored unknown columns: {', '.join(unknown)}"]
    presented = Counter((task, t.participant, t.item) for task in trials for t in trials[task])
    if num_repeated := presented.total() - len(presented):
        rows_repeat = f"{num_repeated} rows repeat a participant and item of another row"
        notes += [f"{path}: {rows_repeat}; they count as repeated presentations"]
    return trials, notes


def check_file_name(place: str, what: str, name: str) -> None:
    """Check a name that becomes part of ``<task>.<source>.csv``; a source has no dot at all."""
    _check_printable(place, what, name)
    forbidden = '/\\:*?"<>|' + ("." if what == "source" else "")
    found = next((mark for mark in forbidden if mark in name), None)
    if found or name.startswith("."):
        raise UserError(
            f"{place}: {what} '{name}' names a file, so it cannot have {found or '. in front'}; "
            "use letters, digits, _ and -"
        )


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
    time_s = time / TIMES[time_column]
    number = _number(place, "trial", row["trial"]) if "trial" in row else None
    return Trial(row["participant"], row["item"], time_s, TRUTH.get(correct), number)


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


def _check_unit(
    path: Path, task: str, trials: list[Trial], places: list[str], time_column: str
) -> None:
    """Check that all participants and trials are in one unit, and in that of the column."""
    times_s: dict[str, list[float]] = {}
    for trial in trials:
        times_s.setdefault(trial.participant, []).append(trial.rt_s)
    medians = {name: statistics.median(times) for name, times in times_s.items()}
    # One of the medians: between two units lies a mean that is far from neither.
    usual_s = statistics.median_low(medians.values())

    def is_off(time_s: float, factor: float) -> bool:
        return not usual_s / factor < time_s < usual_s * factor

    often = [name for name, times in times_s.items() if len(times) >= 3]
    strange = {name for name in often if is_off(medians[name], ODD_PARTICIPANT)}
    odd = [row for row, trial in enumerate(trials) if is_off(trial.rt_s, ODD_TRIAL)]
    unit, found = TIMES[time_column], ""
    if strange:
        row = next(row for row, trial in enumerate(trials) if trial.participant in strange)
        found = (
            f"the medians of {len(strange)} of {len(medians)} participants, such as "
            f"'{trials[row].participant}', are over {ODD_PARTICIPANT} times off"
        )
    elif len(odd) > max(4, 0.01 * len(trials)):
        row = odd[0]
        found = f"{len(odd)} of {len(trials)} trials are over {ODD_TRIAL} times off"
    if found:
        raise UserError(
            f"{places[row]}: {time_column} is {trials[row].rt_s * unit:g}, but participants of "
            f"task '{task}' usually take {usual_s * unit:g}; {found}: give all times in one unit "
            "and without marks between thousands, or remove these rows"
        )
    median = statistics.median(trial.rt_s for trial in trials) * unit
    found = f"{path}: the median {time_column} of task '{task}' is {median:g}, probably "
    if time_column == "rt_s" and median > 100:
        convert = "convert times that truly are so long to it"
        raise UserError(f"{found}milliseconds: name the column rt_ms, or {convert}")
    if time_column == "rt_ms" and median < 200:
        raise UserError(f"{found}seconds: name the column rt_s")


@dataclass(frozen=True)
class Cleaning:
    """The rules in order: trials outside the first two count nowhere, the others spare accuracy."""

    floor_s: float  # shortest valid response time
    ceiling_s: float  # longest
    correct_only: bool  # wrong answers are left out; unscored ones stay
    trim_sd: float | None = None  # most SDs (n - 1) of log times from a participant's mean
    least_trials: int = 1  # items with fewer left are left out
    drop_invalid: bool = False  # what is no trial was left out of the file

    def __post_init__(self) -> None:
        # Every comparison with NaN is false, so NaN is refused too.
        if not 0 <= self.floor_s < self.ceiling_s:
            raise UserError(
                f"floor_s is {self.floor_s:g} and ceiling_s {self.ceiling_s:g}; "
                "give a floor of at least 0 and a larger ceiling, in seconds"
            )
        if self.trim_sd is not None and not self.trim_sd > 0:
            raise UserError(f"trim_sd is {self.trim_sd:g}; give a positive number or leave it out")
        if self.least_trials < 1:
            raise UserError(f"least_trials is {self.least_trials}; give at least 1")

    @property
    def rule(self) -> str:
        """The rules in words."""
        which = "correct trials" if self.correct_only else "all trials"
        parts = [which, f"{self.floor_s:g} to {self.ceiling_s:g} s"]
        if self.trim_sd is not None:
            parts.append(f"within {self.trim_sd:g} SD of the participant's mean log time")
        if self.least_trials > 1:
            parts.append(f"items with {self.least_trials} trials or more")
        if self.drop_invalid:
            parts.append("invalid rows dropped")
        return "; ".join(parts)


class Cleaned(NamedTuple):
    """Trials after cleaning."""

    valid: list[Trial]  # those that enter the accuracy
    kept: list[Trial]  # those that enter the response times
    left_out: dict[str, int]  # number by the rule that did it first

    @property
    def counts(self) -> str:
        """The number of trials that each rule left out, in words."""
        return ", ".join(f"{count} {rule}" for rule, count in self.left_out.items())


def clean(trials: list[Trial], cleaning: Cleaning) -> Cleaned:
    """Apply the rules to the trials of one task, and count what each leaves out."""
    floor_s, ceiling_s = cleaning.floor_s, cleaning.ceiling_s
    # A missing response time is NaN, and every comparison with NaN is false.
    valid = [trial for trial in trials if floor_s <= trial.rt_s <= ceiling_s]
    left_out = {
        f"under {floor_s:g} s": sum(trial.rt_s < floor_s for trial in trials),
        f"over {ceiling_s:g} s": sum(trial.rt_s > ceiling_s for trial in trials),
    }
    if num_missing := sum(math.isnan(trial.rt_s) for trial in trials):
        left_out["without a response time"] = num_missing
    kept = valid
    if cleaning.correct_only:
        kept = [trial for trial in kept if trial.correct is not False]
        left_out["with a wrong answer"] = len(valid) - len(kept)
    if cleaning.trim_sd is not None:
        before, kept = kept, _trimmed(kept, cleaning.trim_sd)
        rule = f"further than {cleaning.trim_sd:g} SD from the participant's mean"
        left_out[rule] = len(before) - len(kept)
    if cleaning.least_trials > 1:
        before, num_trials = kept, Counter(trial.item for trial in kept)
        kept = [trial for trial in kept if num_trials[trial.item] >= cleaning.least_trials]
        rule = f"of items with under {cleaning.least_trials} trials left"
        left_out[rule] = len(before) - len(kept)
    return Cleaned(valid, kept, left_out)


def clean_task(
    path: Path, name: str, trials: list[Trial], cleaning: Cleaning
) -> tuple[Cleaned, list[str]]:
    """Clean the trials of one task; also one sentence for each thing that makes times doubtful."""
    cleaned = clean(trials, cleaning)
    times = [trial.rt_s for trial in trials if not math.isnan(trial.rt_s)]
    median_s = statistics.median(times) if times else cleaning.floor_s
    out = not cleaning.floor_s <= median_s <= cleaning.ceiling_s
    if not cleaned.kept or out:
        unit = f"; the median is {median_s:g} s: is the unit right?" if out else ""
        raise UserError(
            f"{path}: {'too few' if cleaned.kept else 'no'} usable trials for {name} "
            f"({cleaned.counts}); add some or change the rules{unit}"
        )
    doubts = []
    times = [trial.rt_s for trial in cleaned.valid]
    longest_s = max(times)
    # Trials cut at a deadline pile up: so many are equal, or within the share that a frame takes.
    for band, least in ((1e-6, 3), (0.01, 10)):
        from_s, below_s = (1 - band) * longest_s, (1 - 2 * band) * longest_s
        num_pile = sum(time >= from_s for time in times)
        if num_pile >= max(least, 3 * sum(below_s <= time < from_s for time in times)):
            num_items = len({trial.item for trial in cleaned.valid if trial.rt_s >= from_s})
            counted = sum(trial.rt_s >= from_s for trial in cleaned.kept)
            doubts.append(
                f"{name}: {num_pile} trials on {num_items} items end at its longest time, "
                f"{longest_s:g} s, and {counted} of them are in the means; if that is a deadline, "
                "people needed longer: leave these items out, for without these trials they look "
                "easier than they are"
            )
            break
    if not 0.3 <= median_s <= 100.0:
        doubts.append(f"{name}: the median response time is {median_s:g} s: is the unit right?")
    return cleaned, doubts


def _trimmed(trials: list[Trial], trim_sd: float) -> list[Trial]:
    """The trials within so many standard deviations of their participant's mean log time."""
    log_rt: dict[str, list[float]] = {}
    for trial in trials:
        log_rt.setdefault(trial.participant, []).append(math.log(trial.rt_s))
    means = {name: statistics.fmean(values) for name, values in log_rt.items()}
    sds = {name: statistics.stdev(of) if len(of) > 1 else 0.0 for name, of in log_rt.items()}
    # A participant whose times are all the same keeps them, whatever the rounding.
    return [
        trial
        for trial in trials
        if abs(math.log(trial.rt_s) - means[trial.participant])
        <= trim_sd * sds[trial.participant] + 1e-12
    ]
