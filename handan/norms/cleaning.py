"""Cleaning rules: one implementation for the published sources and for anyone's own trials.

README.md gives the reasons for the rules of the published sources.
"""

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from handan.errors import UserError
from handan.norms.trials import Trial

# Medians outside these are named: few tasks of a study are so short or long, and wrong units are.
SHORT_MEDIAN_S, LONG_MEDIAN_S = 0.3, 100.0
# A pile of trials at the longest time: so many within this share of it (equal ones, or those of a
# deadline that a screen meets to a frame), and so many times more than in the next band below.
PILES = ((1e-6, 3), (0.01, 10))
PILE_EXCESS = 3


@dataclass(frozen=True)
class Cleaning:
    """The rules, in the order in which they are applied.

    Attributes:
        floor_s, ceiling_s: shortest and longest valid response time, both included. A trial
            outside them, or without a time, counts nowhere. All other rules leave a trial out of
            the response times only, not out of the accuracy.
        correct_only: wrong answers are left out; unscored ones stay.
        trim_sd: leave out a participant's trials whose log response time is further than this many
            standard deviations (n - 1) from the mean of that participant's; None: no trimming.
        least_trials: items with fewer trials left than this are left out.

    Raises:
        UserError: a bound is out of order.
    """

    floor_s: float
    ceiling_s: float
    correct_only: bool
    trim_sd: float | None = None
    least_trials: int = 1

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
        parts = ["correct trials" if self.correct_only else "all trials"]
        parts.append(f"{self.floor_s:g} to {self.ceiling_s:g} s")
        if self.trim_sd is not None:
            parts.append(f"within {self.trim_sd:g} SD of the participant's mean log time")
        if self.least_trials > 1:
            parts.append(f"items with {self.least_trials} trials or more")
        return "; ".join(parts)


class Cleaned(NamedTuple):
    """Trials after cleaning.

    Attributes:
        valid: those that enter the accuracy.
        kept: those that enter the response times.
        left_out: number of trials by rule, in the order of the rules; every trial that is not
            kept is counted once.
    """

    valid: list[Trial]
    kept: list[Trial]
    left_out: dict[str, int]

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

    def keep(rule: str, remaining: list[Trial]) -> list[Trial]:
        left_out[rule] = len(kept) - len(remaining)
        return remaining

    if cleaning.correct_only:
        kept = keep("with a wrong answer", [t for t in kept if t.correct is not False])
    if cleaning.trim_sd is not None:
        rule = f"further than {cleaning.trim_sd:g} SD from the participant's mean"
        kept = keep(rule, _trimmed(kept, cleaning.trim_sd))
    if cleaning.least_trials > 1:
        num_trials = Counter(trial.item for trial in kept)
        kept = keep(
            f"of items with under {cleaning.least_trials} trials left",
            [trial for trial in kept if num_trials[trial.item] >= cleaning.least_trials],
        )
    return Cleaned(valid, kept, left_out)


def clean_task(
    path: Path, name: str, trials: list[Trial], cleaning: Cleaning
) -> tuple[Cleaned, list[str]]:
    """``clean``, and one sentence for each thing that makes the times doubtful.

    Args:
        path, name: the file and what its trials are called, for messages.
        trials: of one task.
        cleaning: which of them count.

    Raises:
        UserError: no trial is kept, or the median is outside the bounds, so that the unit or the
            bounds are wrong.
    """
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
    doubts = _deadline(name, cleaned)
    if not SHORT_MEDIAN_S <= median_s <= LONG_MEDIAN_S:
        doubts.append(f"{name}: the median response time is {median_s:g} s: is the unit right?")
    return cleaned, doubts


def _deadline(name: str, cleaned: Cleaned) -> list[str]:
    """A sentence on trials that pile up at the longest time, as those cut at a deadline do."""
    times = [trial.rt_s for trial in cleaned.valid]
    longest_s = max(times)
    for band, least in PILES:
        from_s, below_s = (1 - band) * longest_s, (1 - 2 * band) * longest_s
        num_pile = sum(time >= from_s for time in times)
        if num_pile >= max(least, PILE_EXCESS * sum(below_s <= time < from_s for time in times)):
            num_items = len({trial.item for trial in cleaned.valid if trial.rt_s >= from_s})
            counted = sum(trial.rt_s >= from_s for trial in cleaned.kept)
            return [
                f"{name}: {num_pile} trials on {num_items} items end at its longest time, "
                f"{longest_s:g} s, and {counted} of them are in the means; if that is a deadline, "
                "people needed longer: leave these items out, for without these trials they look "
                "easier than they are"
            ]
    return []


def _trimmed(trials: list[Trial], trim_sd: float) -> list[Trial]:
    """The trials within so many standard deviations of their participant's mean log time."""
    log_rt: dict[str, list[float]] = {}
    for trial in trials:
        log_rt.setdefault(trial.participant, []).append(math.log(trial.rt_s))
    bounds = {}
    for participant, values in log_rt.items():
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        # A participant whose times are all the same keeps them, whatever the rounding.
        bounds[participant] = mean, trim_sd * math.sqrt(squares / max(1, len(values) - 1)) + 1e-12

    def within(trial: Trial) -> bool:
        mean, most = bounds[trial.participant]
        return abs(math.log(trial.rt_s) - mean) <= most

    return [trial for trial in trials if within(trial)]
