"""Item tables of human response times, computed from published trials.

Cleaning rules, the same for every source (README.md says why):

1. A trial is valid if its response time is recorded and lies between a floor and 300 s. The floor
   is 0.2 s where the answer can be prepared before timing starts, and 1 s where the problem itself
   is read within the time. Invalid trials count nowhere.
2. Response times are those of correct trials where one answer is right; where people could tick
   several conclusions (syllogisms), and on items without a right answer, those of all valid trials.
3. There is no trimming by participant or by item: logarithms tame the slow tail, and a bound set
   by someone's own mean would cut hard items more than easy ones.
4. Accuracy is the share of right answers among all valid trials.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handan.errors import UserError
from handan.norms.reliability import split_half_reliability
from handan.norms.trials import (
    Trial,
    read_binary,
    read_children,
    read_directions,
    read_syllogisms,
    read_verification,
)
from handan.records import write_csv

CEILING_S = 300.0
PREPARED_FLOOR_S = 0.2
READING_FLOOR_S = 1.0

# With these the packaged tables come out again, byte for byte.
PACKAGED_SPLITS = 5000
PACKAGED_SEED = 0

ITEM_COLUMNS = ["item", "n", "accuracy", "mean_rt_s", "mean_log_rt", "se_log_rt"]
SUMMARY_COLUMNS = [
    "task",
    "source",
    "items",
    "participants",
    "trials",
    "trials_kept",
    "reliability",
    "reliability_low",
    "reliability_high",
    "splits",
    "rule",
]


@dataclass(frozen=True)
class Source:
    """Where a table comes from and which trials count.

    Attributes:
        task: the task's name.
        source: short name of the study.
        file: the file of trials.
        read: turns the file into trials.
        floor_s: shortest valid response time.
        correct_only: whether wrong answers are left out of the response times.
    """

    task: str
    source: str
    file: str
    read: Callable[[Path], list[Trial]]
    floor_s: float
    correct_only: bool

    @property
    def rule(self) -> str:
        """The cleaning rule in words."""
        which = "correct trials" if self.correct_only else "all trials"
        return f"{which}; {self.floor_s:g} to {CEILING_S:g} s"


BINARY = "binary_arithmetic_trials.csv"
CHILDREN = "child_arithmetic_trials.csv"


def _binary(task: str, source: str, experiment: str) -> Source:
    read = partial(read_binary, task=task, experiment=experiment)
    return Source(task, source, BINARY, read, READING_FLOOR_S, True)


def _children(task: str) -> Source:
    read = partial(read_children, task=task)
    return Source(task, "ds001486", CHILDREN, read, PREPARED_FLOOR_S, True)


SOURCES = [
    _binary("binary_addition", "iccm2019", "iccm2019_final"),
    _binary("binary_addition", "cogsci2019", "cogsci2019"),
    _binary("binary_subtraction", "iccm2019", "iccm2019_final"),
    _binary("binary_subtraction", "cogsci2019", "cogsci2019"),
    _binary("binary_multiplication", "cogsci2019", "cogsci2019"),
    _binary("binary_division", "cogsci2019", "cogsci2019"),
    _binary("binary_modulo", "cogsci2019", "cogsci2019"),
    _children("products"),
    _children("differences"),
    Source(
        "syllogisms",
        "brand_ragni_2023",
        "syllogism_trials.csv",
        read_syllogisms,
        READING_FLOOR_S,
        False,
    ),
    Source(
        "syllogism_verification",
        "cogmods_2021",
        "syllogism_verification_trials.csv",
        read_verification,
        READING_FLOOR_S,
        True,
    ),
    Source(
        "cardinal_directions",
        "ragni_2018",
        "cardinal_direction_trials.csv",
        read_directions,
        PREPARED_FLOOR_S,
        True,
    ),
]


def build(trials_dir: Path, output_dir: Path, splits: int, seed: int) -> list[dict[str, Any]]:
    """Compute all tables of norms and write them.

    Args:
        trials_dir: folder with the files of trials.
        output_dir: gets ``<task>.<source>.csv`` for every source, and ``summary.csv``.
        splits: number of random splits behind each reliability.
        seed: every table has its own random stream, so that none depends on the others.

    Returns:
        the rows of ``summary.csv``.

    Raises:
        UserError: a file or column is missing, a cell cannot be read, or there are too few trials.
    """
    if splits < 1:
        raise UserError(f"splits is {splits}; give at least 1")
    summaries = []
    for source in SOURCES:
        name = f"{source.task}.{source.source}"
        trials = source.read(trials_dir / source.file)
        valid, kept = clean(trials, source)
        if not kept:
            raise UserError(f"{trials_dir / source.file}: no usable trials for {name}; add some")
        rows = item_table(valid, kept)
        stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
        values, counts = participant_item_sums(kept)
        reliability, low, high = split_half_reliability(values, counts, splits, stream)
        write_csv(output_dir / f"{name}.csv", ITEM_COLUMNS, rows)
        summary = {
            "task": source.task,
            "source": source.source,
            "items": len(rows),
            "participants": len(values),
            "trials": len(valid),
            "trials_kept": len(kept),
            "reliability": f"{reliability:.4f}",
            "reliability_low": f"{low:.4f}",
            "reliability_high": f"{high:.4f}",
            "splits": splits,
            "rule": source.rule,
        }
        summaries.append(summary)
        dropped = len({t.item for t in valid}) - len(rows)
        print(
            f"{name}: {len(trials)} trials, {len(trials) - len(valid)} invalid, {len(kept)} kept, "
            f"{len(rows)} items ({dropped} without a kept trial left out), "
            f"reliability {reliability:.3f} [{low:.3f}, {high:.3f}]",
            flush=True,
        )
    write_csv(output_dir / "summary.csv", SUMMARY_COLUMNS, summaries)
    return summaries


def clean(trials: list[Trial], source: Source) -> tuple[list[Trial], list[Trial]]:
    """The valid trials, and those of them that enter the response times."""
    # A missing response time is NaN, and every comparison with NaN is false.
    valid = [trial for trial in trials if source.floor_s <= trial.rt_s <= CEILING_S]
    kept = [trial for trial in valid if not source.correct_only or trial.correct is not False]
    return valid, kept


def item_table(valid: list[Trial], kept: list[Trial]) -> list[dict[str, Any]]:
    """One row an item with at least one kept trial, in ascending order of keys, rounded."""
    right: dict[str, list[bool | None]] = {}
    times: dict[str, list[float]] = {}
    for trial in valid:
        right.setdefault(trial.item, []).append(trial.correct)
    for trial in kept:
        times.setdefault(trial.item, []).append(trial.rt_s)
    rows = []
    for item in sorted(times):
        rt_s = np.array(times[item])
        log_rt = np.log(rt_s)
        n = len(rt_s)
        scored = [correct for correct in right[item] if correct is not None]
        rows.append(
            {
                "item": item,
                "n": n,
                "accuracy": f"{np.mean(scored):.4f}" if scored else None,
                "mean_rt_s": f"{rt_s.mean():.3f}",
                "mean_log_rt": f"{log_rt.mean():.5f}",
                "se_log_rt": f"{log_rt.std(ddof=1) / math.sqrt(n):.5f}" if n > 1 else None,
            }
        )
    return rows


def participant_item_sums(kept: list[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of log response times and numbers of trials, both of shape (participants, items)."""
    participants = {name: i for i, name in enumerate(sorted({t.participant for t in kept}))}
    items = {key: i for i, key in enumerate(sorted({t.item for t in kept}))}
    values = np.zeros((len(participants), len(items)))
    counts = np.zeros_like(values)
    for trial in kept:
        cell = participants[trial.participant], items[trial.item]
        values[cell] += math.log(trial.rt_s)
        counts[cell] += 1
    return values, counts
