"""A task made from a table of questions and answers, which needs no code.

A CSV with the columns ``item``, ``question``, ``answer`` (several separated by ' | ') and perhaps
``options``, by default all answers; other columns are covariates. Where all options are numbers a
number is read, else one of them, word for word.
"""

import re
from fractions import Fraction
from pathlib import Path

from handan import tasks
from handan.errors import UserError
from handan.inputs import plain_number, read_table
from handan.tasks.answers import TIMES, Stated, before, grader, numbers_line, plain
from handan.tasks.base import Grade, Item, Task
from handan.tasks.wording import worded

COLUMNS = ("item", "question", "answer")
SEPARATOR = " | "
NUMBER = re.compile(
    r"(?<![\w.,])-?(?:\d+/0*[1-9]\d*|(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?![\w/]|[.,]\d)"
)
# Numbers that are operands or number a line state no result.
OPERAND_BEFORE = re.compile(rf"[\d)] ?[-+*/^÷{TIMES}] ?\Z")
OPERAND_AFTER = re.compile(rf" ?[-+*/^÷={TIMES}] ?\(?\d")


def table_task(name: str, path: Path) -> Task:
    """Make the task of a table, under a name that no packaged task has."""
    if name in (*tasks.TASKS, tasks.MATH):
        raise UserError(f"{path}: '{name}' is a task of handan; give yours another name")
    header, rows = read_table(path)
    if missing := [column for column in COLUMNS if column not in header]:
        raise UserError(f"{path}, line 1: no column '{missing[0]}'; add it")
    covariates = [column for column in header if column not in (*COLUMNS, "options")]
    items: dict[str, Item] = {}
    own_options: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    for place, row in rows:
        if empty := [column for column in COLUMNS if not row[column]]:
            raise UserError(f"{place}: empty {empty[0]}; fill it in")
        key = row["item"]
        if key in items:
            raise UserError(f"{place}: same item as {places[key]}; remove one")
        values = {column: plain_number(place, column, row[column]) for column in covariates}
        answer = SEPARATOR.join(map(_canonical, row["answer"].split("|")))
        items[key] = worded(name, key, row["question"], answer, **values)
        own_options[key] = [_canonical(one) for one in row.get("options", "").split("|") if one]
        places[key] = place
    known = {answer for item in items.values() for answer in item.answer.split(SEPARATOR)}

    def find(item: Item, text: str) -> list[Stated]:
        return _stated(text, own_options[item.key] or known)

    grade = grader(find)
    for key, item in items.items():
        for answer in item.answer.split(SEPARATOR):
            if grade(item, answer) != Grade(answer, True):
                raise UserError(
                    f"{places[key]}: the answer '{answer}' cannot be read from a response; name it "
                    "among the options"
                )
    return Task(name, lambda: list(items.values()), grade)


def _canonical(answer: str) -> str:
    """Return an answer as ``plain`` leaves it of a response; numbers by value."""
    answer = " ".join(plain(answer).split())
    return str(_value(answer)) if NUMBER.fullmatch(answer) else answer


def _value(numeral: str) -> Fraction:
    return Fraction(numeral.replace(",", ""))


def _stated(text: str, options: set[str] | list[str]) -> list[Stated]:
    if all(map(NUMBER.fullmatch, options)):
        return [
            Stated(match.start(), match.end(), str(_value(match[0])))
            for match in NUMBER.finditer(text)
            if not OPERAND_BEFORE.search(before(text, match.start()))
            and not OPERAND_AFTER.match(text, match.end())
            and not numbers_line(text, match.start(), match.end())
        ]
    named = {option.casefold(): option for option in options}

    def pattern(option: str) -> str:
        # A single letter names a choice in its own case only, for 'a' is a word.
        words = r"\s+".join(map(re.escape, option.split()))
        return words if len(option) == 1 else f"(?i:{words})"

    words = "|".join(map(pattern, sorted(options, key=len, reverse=True)))
    return [
        Stated(match.start(), match.end(), named[" ".join(match[0].split()).casefold()])
        for match in re.finditer(rf"(?<!\w)(?:{words})(?!\w)", text)
    ]
