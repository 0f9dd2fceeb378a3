"""A task of one's own, without code: a folder with ``task.yaml`` and ``items.csv``.

The table has the columns ``item``, ``question``, ``answer`` (several right ones separated by '|'),
perhaps ``human_rt_s`` and ``choices``; others are covariates. docs/own-task.md shows both files.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from handan import tasks
from handan.config import load_yaml
from handan.errors import UserError
from handan.files import content_hash
from handan.inputs import plain_number, read_table
from handan.norms.trials import check_file_name
from handan.tasks import mathematics
from handan.tasks.answers import CUE, MARKUP, TIMES, Stated, before, numbers_line, plain, read
from handan.tasks.base import Grade, Item, Task

SETTINGS, ITEMS = "task.yaml", "items.csv"
# Each grader, and what a right answer is not that it would not read from a response.
GRADERS = {
    "exact": "is longer than a line, or nothing but marks",
    "choice": "is not among the choices, or is no single one",
    "number": "is no number such as 12, 3.5 or 3/4",
    "math": "",
}
COLUMNS = ("item", "question", "answer")
HUMAN, CHOICES = "human_rt_s", "choices"
# More choices are rather answers of their own; so many characters are no answer.
MAX_CHOICES, ANSWER_CHARACTERS = 100, 200
NUMBER = re.compile(
    r"(?<![\w.,])-?(?:\d+/0*[1-9]\d*|(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?![\w/]|[.,]\d)"
)
# Numbers that are operands or number a line state no result.
OPERAND_BEFORE = re.compile(rf"[\d)] ?[-+*/^÷{TIMES}] ?\Z")
OPERAND_AFTER = re.compile(rf" ?[-+*/^÷={TIMES}] ?\(?\d")
LINE = re.compile(rf"\s*(?P<said>[^\n]{{0,{2 * ANSWER_CHARACTERS}}})")


@dataclass(frozen=True)
class Settings:
    """``task.yaml``."""

    name: str  # in all tables, and in the names of its norms
    grader: str  # one of GRADERS
    instruction: str | None = None  # a line below every question


def is_own(name: str) -> bool:
    """Whether the name of a task is the path of a folder with one."""
    return Path(name, SETTINGS).is_file()


def load(folder: Path) -> Task:
    """Load a task, again only if one of its files has changed since."""
    files = (folder / SETTINGS, folder / ITEMS)
    return _load(folder, tuple(file.stat().st_mtime_ns for file in files if file.exists()))


@lru_cache(maxsize=16)
def _load(folder: Path, changed: tuple[int, ...]) -> Task:
    task, problems = check(folder)
    if problems:
        others = f" ({len(problems) - 1} more: handan task check {folder})" if problems[1:] else ""
        raise UserError(problems[0] + others)
    return task


class Entry(NamedTuple):
    """An item, where it stands, its question without the instruction, and its own choices."""

    place: str
    item: Item
    question: str
    choices: list[str]

    @property
    def decisive(self) -> list:
        """What decides responses and grades."""
        return [self.item.key, self.item.question, self.item.answer, self.choices]


def check(folder: Path) -> tuple[Task, list[str]]:
    """Read a task, and one sentence for everything that is wrong with it."""
    settings, path = load_yaml(folder / SETTINGS, Settings), folder / ITEMS
    problems = [f"{folder / SETTINGS}: {what}" for what in _of_settings(settings)]
    header, rows = read_table(path)
    if missing := [column for column in COLUMNS if column not in header]:
        there = f"found: {', '.join(header)}"
        raise UserError(f"{path}: no column {', '.join(missing)}; {there}: rename or add it")
    if CHOICES in header and settings.grader != "choice":
        problems.append(f"{path}: column 'choices' is of 'grader: choice'; set it or remove this")
    entries: list[Entry] = []
    seen: dict[tuple[str, str], str] = {}
    try:
        for place, row in rows:
            for column in filter(row.get, ("item", "question")):
                if (first := seen.setdefault((column, row[column]), place)) != place:
                    problems.append(f"{place}: same {column} as {first}; remove one")
            entry, wrong = _read_row(settings, place, row)
            problems += wrong
            entries.append(entry)
    except UserError as error:  # no CSV from here on
        problems.append(str(error))
    every = {answer for entry in entries for answer in map(canonical, answers(entry.item))}
    own = {entry.item.key: entry.choices for entry in entries if entry.choices}
    grade = _grader(settings.grader, lambda item: own.get(item.key) or every)
    if settings.grader == "choice" and len(own) < len(entries) and len(every) > MAX_CHOICES:
        cure = "give each item its choices, or set 'grader: exact'"
        problems.append(f"{path}: {len(every)} different answers are too many choices; {cure}")
    elif what := GRADERS.get(settings.grader):
        for entry in entries:
            for answer in answers(entry.item):
                if not grade(entry.item, answer).correct:
                    problems.append(f"{entry.place}: answer '{answer}' {what}; mend it")
    alone = {entry.item.key: entry.question for entry in entries}
    return Task(
        settings.name,
        lambda: [entry.item for entry in entries],
        grade,
        lambda item: [alone[item.key]],
        content=content_hash([settings.grader, [e.decisive for e in entries]]),
    ), problems


def answers(item: Item) -> list[str]:
    """Return the right answers of an item, as they stand in the table."""
    return [answer for answer in map(str.strip, item.answer.split("|")) if answer]


def _of_settings(settings: Settings) -> Iterator[str]:
    try:
        check_file_name("name", "it is", settings.name)
    except UserError as error:
        yield str(error)
    if settings.name in (*tasks.TASKS, *tasks.FRESH, tasks.MATH):
        yield f"'{settings.name}' is a task of handan; give yours another name"
    if settings.grader not in GRADERS:
        yield f"grader '{settings.grader}' is not known; use {', '.join(GRADERS)}"


def _read_row(settings: Settings, place: str, row: Mapping[str, str]) -> tuple[Entry, list[str]]:
    """Make the entry of a row of ``items.csv``, and say what is wrong with its cells."""
    values: dict[str, float] = {}
    problems = []
    for column, cell in row.items():
        if not cell and column not in (HUMAN, CHOICES):
            problems.append(f"{place}: empty {column}; fill it in")
        elif cell and column not in (*COLUMNS, CHOICES):
            try:
                values[column] = plain_number(place, column, cell)
            except UserError as error:
                problems.append(str(error))
    if values.get(HUMAN, 1) <= 0:
        problems.append(f"{place}: {HUMAN} is {row[HUMAN]}; give seconds, above 0")
    if not row["item"].isprintable():
        problems.append(f"{place}: item has a control or invisible character; remove it")
    question = "\n".join(filter(None, (row["question"], settings.instruction)))
    values["question_characters"] = len(question)
    item = Item(settings.name, row["item"], question, row["answer"], values)
    choices = [canonical(one) for one in row.get(CHOICES, "").split("|") if one]
    return Entry(place, item, row["question"], choices), problems


def _grader(kind: str, choices: Callable[[Item], Collection[str]]) -> Callable[[Item, str], Grade]:
    if kind == "math":
        return mathematics.grade

    def grade(item: Item, text: str) -> Grade:
        right = [(_bare if kind == "exact" else canonical)(answer) for answer in answers(item)]

        def find(part: str) -> list[Stated]:
            if kind == "exact":
                return _lines(part, right)
            return _numbers(part) if kind == "number" else _chosen(part, choices(item))

        answer = read(text, find)
        return Grade(answer, answer in right)

    return grade


def canonical(answer: str) -> str:
    """Return an answer as ``plain`` leaves it of a response; numbers by value."""
    answer = " ".join(plain(answer).split())
    return str(_value(answer)) if NUMBER.fullmatch(answer) else answer


def _bare(text: str) -> str:
    return " ".join(plain(text).split()).strip(MARKUP + ".!").casefold()


def _value(numeral: str) -> Fraction:
    return Fraction(numeral.replace(",", ""))


def _lines(text: str, right: list[str]) -> list[Stated]:
    """Find what a line has behind 'the answer is', or else the last line."""
    found = []
    last = text.rstrip().rfind("\n") + 1
    for begin in [cue.end() for cue in CUE.finditer(text)] or [last]:
        line = LINE.match(text, begin)
        assert line is not None
        said = " ".join(line["said"].split())
        for answer in right:
            if re.match(rf"(?i:{re.escape(answer)})[.!] (?=[A-Z])", said.lstrip(MARKUP)):
                said = answer  # and another sentence
        if 0 < len(said := _bare(said)) <= ANSWER_CHARACTERS:
            found.append(Stated(line.start("said"), line.end(), said))
    return found


def _numbers(text: str) -> list[Stated]:
    return [
        Stated(match.start(), match.end(), str(_value(match[0])))
        for match in NUMBER.finditer(text)
        if not OPERAND_BEFORE.search(before(text, match.start()))
        and not OPERAND_AFTER.match(text, match.end())
        and not numbers_line(text, match.start(), match.end())
    ]


def _chosen(text: str, choices: Collection[str]) -> list[Stated]:
    """Find the choices that are named; where all are numbers, any number."""
    if all(map(NUMBER.fullmatch, choices)):
        return _numbers(text)
    named = {choice.casefold(): choice for choice in choices}

    def pattern(choice: str) -> str:
        # A single letter names a choice in its own case only, for 'a' is a word.
        words = r"\s+".join(map(re.escape, choice.split()))
        return words if len(choice) == 1 else f"(?i:{words})"

    words = "|".join(map(pattern, sorted(choices, key=len, reverse=True)))
    return [
        Stated(match.start(), match.end(), named[" ".join(match[0].split()).casefold()])
        for match in re.finditer(rf"(?<!\w)(?:{words})(?!\w)", text)
    ]
