"""Rebuild the packaged norms from the published trials.

    python tools/build_norms.py --trials DIR [--output DIR]

With the default seed and splits the tables of ``handan/norms`` come out again, byte for byte.
``handan/norms/README.md`` names the sources and gives the reasons for the cleaning rules. The
readers only translate and score; which trials count is decided by the ``Cleaning`` of a source.
"""

import argparse
import math
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handan import norms
from handan.errors import UserError, run_main
from handan.inputs import plain_number, read_table
from handan.norms.compute import Table, check_splits, compute_table, write_tables
from handan.norms.trials import Cleaning, Trial
from handan.tasks.binary import BITS, OPERATIONS, binary_key
from handan.tasks.digits import FALSE_DIFFERENCES, FALSE_PRODUCTS, digits_key, true_result
from handan.tasks.directions import SAME_PLACE, STEPS, direction_key, direction_of_c
from handan.tasks.syllogism_verification import PROBLEMS, is_valid, verification_key
from handan.tasks.syllogisms import CODES, CONCLUSIONS, valid_conclusions

# With these the packaged tables come out again.
PACKAGED_SPLITS = 5000
PACKAGED_SEED = 0

# The floor is 0.2 s where the answer can be prepared before timing starts, and 1 s where the
# problem itself is read within the time.
PREPARED = Cleaning(0.2, 300.0, correct_only=True)
READING = Cleaning(1.0, 300.0, correct_only=True)
READING_ALL_TRIALS = Cleaning(1.0, 300.0, correct_only=False)

BINARY = "binary_arithmetic_trials.csv"
CHILDREN = "child_arithmetic_trials.csv"
OPERATORS = {
    "binary_addition": "add",
    "binary_subtraction": "subtract",
    "binary_multiplication": "multiply",
    "binary_division": "divide",
    "binary_modulo": "modulo",
}


def rows_of(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a file of trials with their places, once it has the columns."""
    header, rows = read_table(path)
    for column in columns:
        if column not in header:
            raise UserError(f"{path}: no column '{column}'; add it or take the original file")
    return rows


def number(row: dict[str, str], column: str, place: str) -> float:
    """The finite number in a cell."""
    return plain_number(place, column, row[column])


def position(row: dict[str, str], column: str, place: str) -> float | None:
    """The place of a trial in its session, where the file tells."""
    return number(row, column, place) if column in row else None


def known(value: str, allowed: Container[str], column: str, place: str) -> str:
    """``value`` if it is in ``allowed``."""
    if value not in allowed:
        raise UserError(
            f"{place}: unknown '{value}' in column '{column}'; correct or delete the row"
        )
    return value


def bits(row: dict[str, str], column: str, place: str) -> int:
    """The binary number in a cell."""
    if not re.fullmatch("[01]+", row[column]):
        raise UserError(
            f"{place}: '{row[column]}' in column '{column}' is no binary number; "
            "correct or delete the row"
        )
    return int(row[column], 2)


def read_binary(path: Path, task: str, experiment: str) -> list[Trial]:
    """Trials of one operation in one experiment; an answer may have more or fewer leading zeros."""
    columns = "experiment session_hash operator operand_digits operand1 operand2 answer"
    operation = OPERATIONS[task]
    trials = []
    for place, row in rows_of(path, *columns.split(), "solving_time_s"):
        wanted = (experiment, OPERATORS[task], str(BITS))
        if (row["experiment"], row["operator"], row["operand_digits"]) != wanted:
            continue
        a, b = bits(row, "operand1", place), bits(row, "operand2", place)
        if not operation.allowed(a, b) or max(a, b) >= 2**BITS:
            raise UserError(f"{place}: operands outside the design; correct or delete the row")
        correct = bits(row, "answer", place) == operation.result(a, b)
        key, rt_s = binary_key(operation.symbol, a, b), number(row, "solving_time_s", place)
        turn = position(row, "trial", place)
        trials.append(Trial(row["session_hash"], key, rt_s, correct, turn))
    return trials


def read_children(path: Path, task: str) -> list[Trial]:
    """Trials of children's products or differences.

    The source marks a trial it cannot use by 'err' and a missing answer by 'n/a'; a few rows pair a
    trial type with another problem's result. All three get no response time.
    """
    name, symbol, false_results = {
        "products": ("Mult", "*", FALSE_PRODUCTS),
        "differences": ("Sub", "-", FALSE_DIFFERENCES),
    }[task]
    columns = ["participant", "task", "trial_type", "problem", "shown_answer", "accuracy", "rt_s"]
    trials = []
    for place, row in rows_of(path, *columns):
        if row["task"] != name:
            continue
        problem = re.fullmatch(r"(\d) [x-] (\d) =", row["problem"])
        operands = (int(problem[1]), int(problem[2])) if problem else None
        if operands not in false_results:
            raise UserError(
                f"{place}: unknown problem '{row['problem']}'; correct or delete the row"
            )
        shown = int(number(row, "shown_answer", place))
        told_true = row["trial_type"].lower().endswith("true")
        expected = true_result(symbol, *operands) if told_true else false_results[operands]
        usable = shown == expected and row["rt_s"] not in ("err", "n/a")
        rt_s = number(row, "rt_s", place) if usable else math.nan
        correct = usable and number(row, "accuracy", place) == 1
        key = digits_key(symbol, *operands, shown)
        trials.append(Trial(row["participant"], key, rt_s, correct))
    return trials


def read_syllogisms(path: Path) -> list[Trial]:
    """Trials of the 64 syllogisms.

    People could tick several conclusions. An answer counts as right if everything ticked follows,
    be it one of several valid conclusions or 'no valid conclusion' where there is none.
    """
    codes = {c[0].lower() + c[1:]: c for c in CONCLUSIONS} | {"nvc": "nvc"}
    trials = []
    for place, row in rows_of(path, "id", "syllogism", "responses", "rt_ms"):
        code = known(row["syllogism"], CODES, "syllogism", place)
        ticked = re.findall(r"[a-z]+", row["responses"])
        for response in ticked or [""]:
            known(response, codes, "responses", place)
        right = set(valid_conclusions(code)) or {"nvc"}
        correct = {codes[response] for response in ticked} <= right
        rt_s = number(row, "rt_ms", place) / 1000
        trials.append(Trial(row["id"], code, rt_s, correct, position(row, "sequence", place)))
    return trials


def read_verification(path: Path) -> list[Trial]:
    """Trials of the verification of syllogisms.

    ``response`` is True where the conclusion was accepted (README.md says how that is known); it is
    scored against the derived validity, not against the file's ``truth``.
    """
    problems = {f"{problem.first}/{problem.second}": problem for problem in PROBLEMS}
    trials = []
    for place, row in rows_of(path, "id", "task", "response", "response_time"):
        problem = problems[known(row["task"], problems, "task", place)]
        accepted = known(row["response"], ("True", "False"), "response", place) == "True"
        key, correct = verification_key(problem), accepted == is_valid(problem)
        rt_s = number(row, "response_time", place) / 1000
        trials.append(Trial(row["id"], key, rt_s, correct, position(row, "sequence", place)))
    return trials


def read_directions(path: Path) -> list[Trial]:
    """Trials of the cardinal directions, timed from the question on."""
    trials = []
    for place, row in rows_of(path, "id", "premises", "response", "question_rt_ms"):
        first, second = (part.split(";")[0] for part in (row["premises"] + "/").split("/")[:2])
        for direction in (first, second):
            known(direction, STEPS, "premises", place)
        response = known(row["response"].split(";")[0], STEPS, "response", place)
        right = direction_of_c(first, second)
        correct = None if right == SAME_PLACE else response == right
        key, rt_s = direction_key(first, second), number(row, "question_rt_ms", place) / 1000
        trials.append(Trial(row["id"], key, rt_s, correct, position(row, "sequence", place)))
    return trials


@dataclass(frozen=True)
class Source:
    """The trials of one table.

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


def _binary(task: str, source: str, experiment: str) -> Source:
    read = partial(read_binary, task=task, experiment=experiment)
    return Source(task, source, BINARY, read, READING)


SOURCES = [
    _binary("binary_addition", "iccm2019", "iccm2019_final"),
    _binary("binary_addition", "cogsci2019", "cogsci2019"),
    _binary("binary_subtraction", "iccm2019", "iccm2019_final"),
    _binary("binary_subtraction", "cogsci2019", "cogsci2019"),
    _binary("binary_multiplication", "cogsci2019", "cogsci2019"),
    _binary("binary_division", "cogsci2019", "cogsci2019"),
    _binary("binary_modulo", "cogsci2019", "cogsci2019"),
    *(
        Source(task, "ds001486", CHILDREN, partial(read_children, task=task), PREPARED)
        for task in ("products", "differences")
    ),
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
        table = compute_table(
            path, source.task, source.source, source.read(path), source.cleaning, splits, seed
        )
        if table.reliability.value is None:
            raise UserError(f"{path}: {table.name} has no reliability: {table.reliability.why}")
        print(table.report, flush=True)
        tables.append(table)
    write_tables(output_dir, tables, keep=[])
    return tables


def main() -> None:
    """Command line of this tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=Path, required=True, help="folder of the trial files")
    parser.add_argument("--output", type=Path, default=norms.PACKAGED, help="default: the package")
    parser.add_argument("--splits", type=int, default=PACKAGED_SPLITS)
    parser.add_argument("--seed", type=int, default=PACKAGED_SEED)
    arguments = parser.parse_args()
    build(arguments.trials, arguments.output, arguments.splits, arguments.seed)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    run_main(main, "build_norms")
