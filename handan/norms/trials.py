"""Reading the published trials: one reader a file layout, all into the same ``Trial``.

The layouts are those of the sources with trimmed columns; README.md tells the sources. Readers only
translate and score; which trials count is decided in ``handan.norms.cleaning``.
"""

import csv
import math
import re
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from handan.errors import UserError
from handan.tasks.binary import BITS, OPERATIONS, binary_key
from handan.tasks.digits import FALSE_DIFFERENCES, FALSE_PRODUCTS, digits_key, true_result
from handan.tasks.directions import SAME_PLACE, STEPS, direction_key, direction_of_c
from handan.tasks.syllogism_verification import PROBLEMS, is_valid, verification_key
from handan.tasks.syllogisms import CODES, CONCLUSIONS, valid_conclusions


class Trial(NamedTuple):
    """One answer of one person.

    Attributes:
        participant: whose it is.
        item: the item's key.
        rt_s: response time in seconds; NaN where the source records none or contradicts itself.
        correct: whether the answer is right; None where the item has no right answer.
        number: place of the trial among those of its participant, from whatever number on; None
            where the order is not known.
    """

    participant: str
    item: str
    rt_s: float
    correct: bool | None
    number: float | None = None


def read_rows(path: Path, columns: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV file, each with its place ('file, line 7') for error messages.

    Raises:
        UserError: the file or a column is missing, or a row is too short.
    """
    try:
        file = open(path, encoding="utf-8", newline="")  # noqa: SIM115 (closed by the with below)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it holds the trials the norms come from") from None
    with file:
        reader = csv.DictReader(file)
        for column in columns:
            if column not in (reader.fieldnames or []):
                raise UserError(f"{path}: no column '{column}'; add it or take the original file")
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            short = next((column for column in columns if row[column] is None), None)
            if short is not None:
                raise UserError(f"{place}: nothing in column '{short}'; complete or delete the row")
            yield place, row


def number(row: dict[str, str], column: str, place: str) -> float:
    """A finite number from a row.

    Raises:
        UserError: the cell is no number.
    """
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{place}: '{row[column]}' in column '{column}' is no number; correct or delete the row"
        )
    return value


def order(row: dict[str, str], column: str, place: str) -> float | None:
    """The number of a trial, where the file has it.

    Raises:
        UserError: the cell is no number.
    """
    return number(row, column, place) if column in row else None


def known(value: str, allowed: Container[str], column: str, place: str) -> str:
    """``value`` if it is in ``allowed``.

    Raises:
        UserError: it is not.
    """
    if value not in allowed:
        raise UserError(
            f"{place}: unknown '{value}' in column '{column}'; correct or delete the row"
        )
    return value


def bits(row: dict[str, str], column: str, place: str) -> int:
    """A binary number from a row.

    Raises:
        UserError: the cell is no binary number.
    """
    if not re.fullmatch("[01]+", row[column]):
        raise UserError(
            f"{place}: '{row[column]}' in column '{column}' is no binary number; "
            "correct or delete the row"
        )
    return int(row[column], 2)


OPERATOR_OF_TASK = {
    "binary_addition": "add",
    "binary_subtraction": "subtract",
    "binary_multiplication": "multiply",
    "binary_division": "divide",
    "binary_modulo": "modulo",
}


def read_binary(path: Path, task: str, experiment: str) -> list[Trial]:
    """Trials of one operation in one experiment; an answer may have more or fewer leading zeros."""
    columns = "experiment session_hash operator operand_digits operand1 operand2 answer"
    trials = []
    for place, row in read_rows(path, [*columns.split(), "solving_time_s"]):
        wanted = (experiment, OPERATOR_OF_TASK[task], str(BITS))
        if (row["experiment"], row["operator"], row["operand_digits"]) != wanted:
            continue
        a, b = bits(row, "operand1", place), bits(row, "operand2", place)
        operation = OPERATIONS[task]
        if not operation.allowed(a, b) or max(a, b) >= 2**BITS:
            raise UserError(f"{place}: operands outside the design; correct or delete the row")
        correct = bits(row, "answer", place) == operation.result(a, b)
        key = binary_key(operation.symbol, a, b)
        trials.append(
            Trial(
                row["session_hash"],
                key,
                number(row, "solving_time_s", place),
                correct,
                order(row, "trial", place),
            )
        )
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
    for place, row in read_rows(path, columns):
        if row["task"] != name:
            continue
        problem = re.fullmatch(r"(\d) [x-] (\d) =", row["problem"])
        operands = (int(problem[1]), int(problem[2])) if problem else None
        if operands not in false_results:
            raise UserError(
                f"{place}: unknown problem '{row['problem']}'; correct or delete the row"
            )
        shown = int(number(row, "shown_answer", place))
        result = true_result(symbol, *operands)
        told_true = row["trial_type"].lower().endswith("true")
        consistent = shown == (result if told_true else false_results[operands])
        usable = consistent and row["rt_s"] not in ("err", "n/a")
        rt_s = number(row, "rt_s", place) if usable else math.nan
        correct = usable and number(row, "accuracy", place) == 1
        trials.append(
            Trial(row["participant"], digits_key(symbol, *operands, shown), rt_s, correct)
        )
    return trials


def read_syllogisms(path: Path) -> list[Trial]:
    """Trials of the 64 syllogisms.

    People could tick several conclusions. An answer counts as right if everything ticked follows,
    be it one of several valid conclusions or 'no valid conclusion' where there is none.
    """
    codes = {c[0].lower() + c[1:]: c for c in CONCLUSIONS} | {"nvc": "nvc"}
    trials = []
    for place, row in read_rows(path, ["id", "syllogism", "responses", "rt_ms"]):
        code = known(row["syllogism"], CODES, "syllogism", place)
        ticked = re.findall(r"[a-z]+", row["responses"])
        for response in ticked or [""]:
            known(response, codes, "responses", place)
        right = set(valid_conclusions(code)) or {"nvc"}
        correct = {codes[response] for response in ticked} <= right
        rt_s = number(row, "rt_ms", place) / 1000
        trials.append(Trial(row["id"], code, rt_s, correct, order(row, "sequence", place)))
    return trials


def read_verification(path: Path) -> list[Trial]:
    """Trials of the verification of syllogisms.

    ``response`` is True where the conclusion was accepted (README.md says how that is known); it is
    scored against the derived validity, not against the file's ``truth``.
    """
    problems = {f"{problem.first}/{problem.second}": problem for problem in PROBLEMS}
    trials = []
    for place, row in read_rows(path, ["id", "task", "response", "response_time"]):
        problem = problems[known(row["task"], problems, "task", place)]
        accepted = known(row["response"], ("True", "False"), "response", place) == "True"
        rt_s = number(row, "response_time", place) / 1000
        correct = accepted == is_valid(problem)
        turn = order(row, "sequence", place)
        trials.append(Trial(row["id"], verification_key(problem), rt_s, correct, turn))
    return trials


def read_directions(path: Path) -> list[Trial]:
    """Trials of the cardinal directions, timed from the question on."""
    trials = []
    for place, row in read_rows(path, ["id", "premises", "response", "question_rt_ms"]):
        first, second = (part.split(";")[0] for part in (row["premises"] + "/").split("/")[:2])
        for direction in (first, second):
            known(direction, STEPS, "premises", place)
        response = known(row["response"].split(";")[0], STEPS, "response", place)
        right = direction_of_c(first, second)
        correct = None if right == SAME_PLACE else response == right
        rt_s = number(row, "question_rt_ms", place) / 1000
        turn = order(row, "sequence", place)
        trials.append(Trial(row["id"], direction_key(first, second), rt_s, correct, turn))
    return trials
