"""The packaged tables: published sources, and which of their trials count.

Cleaning rules, the same for every source (README.md says why):

1. A trial is valid if its response time is recorded and lies between a floor and 300 s. The floor
   is 0.2 s where the answer can be prepared before timing starts, and 1 s where the problem itself
   is read within the time. Invalid trials count nowhere.
2. Response times are those of correct trials where one answer is right; where people could tick
   several conclusions (syllogisms), and on items without a right answer, those of all valid trials.
3. There is no trimming by participant or by item: logarithms tame the slow tail, and a bound set
   by someone's own mean cuts the hardest or the easiest items most often.
4. Accuracy is the share of right answers among all valid trials.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handan.errors import UserError
from handan.norms.cleaning import Cleaning
from handan.norms.tables import Table, check_splits, compute_table, write_tables
from handan.norms.trials import (
    Trial,
    read_binary,
    read_children,
    read_directions,
    read_syllogisms,
    read_verification,
)

CEILING_S = 300.0
PREPARED_FLOOR_S = 0.2
READING_FLOOR_S = 1.0

# With these the packaged tables come out again, byte for byte.
PACKAGED_SPLITS = 5000
PACKAGED_SEED = 0

PREPARED = Cleaning(PREPARED_FLOOR_S, CEILING_S, correct_only=True)
READING = Cleaning(READING_FLOOR_S, CEILING_S, correct_only=True)
READING_ALL_TRIALS = Cleaning(READING_FLOOR_S, CEILING_S, correct_only=False)


@dataclass(frozen=True)
class Source:
    """Where a table comes from and which trials count.

    Attributes:
        task: the task's name.
        source: short name of the study.
        file: the file of trials.
        read: turns the file into trials.
        cleaning: which trials count.
    """

    task: str
    source: str
    file: str
    read: Callable[[Path], list[Trial]]
    cleaning: Cleaning


BINARY = "binary_arithmetic_trials.csv"
CHILDREN = "child_arithmetic_trials.csv"


def _binary(task: str, source: str, experiment: str) -> Source:
    read = partial(read_binary, task=task, experiment=experiment)
    return Source(task, source, BINARY, read, READING)


def _children(task: str) -> Source:
    read = partial(read_children, task=task)
    return Source(task, "ds001486", CHILDREN, read, PREPARED)


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
        READING_ALL_TRIALS,
    ),
    Source(
        "syllogism_verification",
        "cogmods_2021",
        "syllogism_verification_trials.csv",
        read_verification,
        READING,
    ),
    Source(
        "cardinal_directions",
        "ragni_2018",
        "cardinal_direction_trials.csv",
        read_directions,
        PREPARED,
    ),
]


def build(trials_dir: Path, output_dir: Path, splits: int, seed: int) -> list[Table]:
    """Compute all tables of norms, print what was left out, and write them.

    Args:
        trials_dir: folder with the files of trials.
        output_dir: gets ``<task>.<source>.csv`` for every source, and ``summary.csv``.
        splits: number of random splits behind each reliability.
        seed: every table has its own random stream, so that none depends on the others.

    Raises:
        UserError: a file or column is missing, a cell cannot be read, there are too few trials, or
            a table cannot be written.
    """
    check_splits(splits, seed)
    tables = []
    for source in SOURCES:
        path = trials_dir / source.file
        trials = source.read(path)
        table = compute_table(
            path, source.task, source.source, trials, source.cleaning, splits, seed
        )
        if table.reliability.value is None:
            raise UserError(f"{path}: {table.name} has no reliability: {table.reliability.why}")
        print(table.report, flush=True)
        tables.append(table)
    write_tables(output_dir, tables, keep=[])
    return tables
