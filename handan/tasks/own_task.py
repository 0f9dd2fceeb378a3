"""A task of one's own, without code: a folder with ``task.yaml`` and ``items.csv``.

The table has the columns ``item``, ``question``, ``answer`` (several right ones separated by '|'),
perhaps ``human_rt_s`` and ``choices``; others are covariates. docs/own-task.md shows both files.
"""

import contextlib
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from handan import tasks
from handan.config import load_yaml
from handan.errors import UserError
from handan.files import content_hash
from handan.inputs import plain_number, read_table
from handan.norms.trials import check_file_name
from handan.tasks import mathematics
from handan.tasks.answers import CUE, MARKUP, TIMES, Stated, before, grader, numbers_line, plain
from handan.tasks.base import Grade, Item, Task

SETTINGS, ITEMS = "task.yaml", "items.csv"
GRADERS = ("exact", "choice", "number", "math")
# What is wrong with a right answer that would not be read from a response.
UNREAD = {
    "exact": "is longer than a line, or nothing but marks",
    "choice": "is not among the choices, or is no single one",
    "number": "is no number such as 12, 3.5 or 3/4",
}
COLUMNS = ("item", "question", "answer")
HUMAN, CHOICES = ("human_rt_s", "human_mean_rt_s"), "choices"  # means as of norms
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


def check(folder: Path) -> tuple[Task, list[str]]:
    """Read a task, and one sentence for everything that is wrong with it."""
    settings, path = load_yaml(folder / SETTINGS, Settings), folder / ITEMS
    problems: list[str] = []

    @contextlib.contextmanager
    def noted() -> Iterator[None]:
        try:
            yield
        except UserError as error:
            problems.append(str(error))

    def note(place: object, wrong: bool, what: str) -> None:
        problems.extend([f"{place}: {what}"] if wrong else [])

    with noted():
        check_file_name(str(folder / SETTINGS), "name", settings.name)
    taken = settings.name in (*tasks.TASKS, *tasks.FRESH, tasks.MATH)
    note(folder / SETTINGS, taken, f"'{settings.name}' is a task of handan; choose another name")
    unknown = f"grader '{settings.grader}' is not known; use {', '.join(GRADERS)}"
    note(folder / SETTINGS, settings.grader not in GRADERS, unknown)
    header, rows = read_table(path)
    if missing := [column for column in COLUMNS if column not in header]:
        there = f"found: {', '.join(header)}"
        raise UserError(f"{path}: no column {', '.join(missing)}; {there}: rename or add it")
    idle = CHOICES in header and settings.grader != "choice"
    note(path, idle, "column 'choices' is of 'grader: choice'; set it or remove this")
    places, items, choices = list[str](), list[Item](), dict[str, list[str]]()
    alone: dict[str, str] = {}  # the question without the instruction
    seen: dict[tuple[str, str], str] = {}
    with noted():  # behind a line that is no CSV nothing is read
        for place, row in rows:
            values: dict[str, float] = {}
            for column, cell in row.items():
                if not cell:
                    note(place, column not in (*HUMAN, CHOICES), f"empty {column}; fill it in")
                elif column in ("item", "question"):
                    first = seen.setdefault((column, cell), place)
                    note(place, first != place, f"same {column} as {first}; remove one")
                elif column not in ("answer", CHOICES):
                    with noted():
                        values[column] = plain_number(place, column, cell)
            key, answer = row["item"], row["answer"]
            for column in HUMAN:
                wrong = values.get(column, 1) <= 0
                note(place, wrong, f"{column} is {row.get(column)}; give seconds, above 0")
            note(place, not key.isprintable(), "item has an invisible character; remove it")
            question = "\n".join(filter(None, (row["question"], settings.instruction)))
            values["question_characters"] = len(question)
            places.append(place)
            items.append(Item(settings.name, key, question, answer, values))
            alone[key] = row["question"]
            choices[key] = list(map(_canonical, answers(row.get(CHOICES, ""))))
    every = list({_canonical(answer): 0 for item in items for answer in answers(item.answer)})
    grade = _grader(settings.grader, lambda item: choices.get(item.key) or every)
    lacking = settings.grader == "choice" and not all(choices.values())
    crowd = lacking and len(every) > MAX_CHOICES
    cure = "give each item its own, or set 'grader: exact'"
    note(path, crowd, f"{len(every)} different answers are too many choices; {cure}")
    for place, item in zip(places, items, strict=True) if not crowd else ():
        for answer in answers(item.answer) if settings.grader in UNREAD else ():
            read_back = grade(item, answer).correct is True
            note(place, not read_back, f"answer '{answer}' {UNREAD[settings.grader]}; mend it")
    asked = [[item.key, item.question, item.answer, choices[item.key]] for item in items]
    content = content_hash([settings.grader, asked])
    task = Task(settings.name, lambda: items, grade, lambda item: [alone[item.key]], None, content)
    return task, problems


def answers(cell: str) -> list[str]:
    """Split the answers of a cell."""
    return [answer for answer in map(str.strip, cell.split("|")) if answer]


def _grader(kind: str, choices: Callable[[Item], Collection[str]]) -> Callable[[Item, str], Grade]:
    if kind == "math":
        return mathematics.grade
    spelled = _bare if kind == "exact" else _canonical

    def find(item: Item, part: str) -> list[Stated]:
        if kind == "exact":
            return _lines(part, list(map(spelled, answers(item.answer))))
        return _numbers(part) if kind == "number" else _chosen(part, choices(item))

    return grader(find, spelled)


def _canonical(answer: str) -> str:
    """Return an answer as ``plain`` leaves it of a response; numbers by value."""
    answer = " ".join(plain(answer).split())
    short = len(answer) <= ANSWER_CHARACTERS
    return str(_value(answer)) if short and NUMBER.fullmatch(answer) else answer


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
        if len(match[0]) <= ANSWER_CHARACTERS
        and not OPERAND_BEFORE.search(before(text, match.start()))
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
