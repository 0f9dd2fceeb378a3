"""Responses in the files of runs: found line by line, read only where they are wanted.

A run can hold a hundred thousand responses of twenty thousand characters. So one pass over a file
notes where each response begins, by the names at the head of its line, and only the few that are
shown are decoded.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from handan.errors import UserError
from handan.formats import FORMATS, ReasoningFormat
from handan.records import repeated, whole_lines
from handan.report.notation import plain
from handan.report.roles import Arm
from handan.thinking import split_text

ALONG = ("probe.jsonl", "full.jsonl")
# Longer texts are kept with their beginning and end.
MOST_CHARACTERS, BEGINNING, END = 1_800, 1_200, 500
# How evaluation and probes write the head of a line. Within a JSON string every quote has a
# backslash before it, so no text of a model can look like this.
_HEAD = re.compile(rb'"task": "([^"\\]*)", "item": "([^"\\]*)", "sample": (-?\d{1,9}),')
_STEP = re.compile(rb'"step": (\d{1,12}),')


class Place(NamedTuple):
    """Where a response stands.

    ``step`` is the training step it was drawn at, None for the final evaluation; ``offset`` is the
    byte its line begins at, ``line`` the number of that line.
    """

    task: str
    item: str
    sample: int
    step: int | None
    path: Path
    line: int
    offset: int


class Response(NamedTuple):
    """One response, cut into thinking and answer; its texts are plain and of bounded length.

    ``correct`` is None where it was not graded, a count None where it is unknown.
    """

    place: Place
    status: str
    correct: bool | None
    reasoning_tokens: int | None
    answer_tokens: int | None
    thinking: str
    answer: str

    @property
    def grade(self) -> str:
        """'right', 'wrong' or 'not graded'."""
        return "not graded" if self.correct is None else "right" if self.correct else "wrong"


def places(arm: Arm) -> Iterator[Place]:
    """All responses of an arm: of its final evaluation, and along its training.

    Along training they are those to the small and to the full suite, or of a sweep over its
    checkpoints if it was not measured while it was trained.

    Raises:
        UserError: a line is no JSON object, or repeats a response: two runs wrote the file.
    """
    yield from _places(arm.run_dir / "generations.jsonl", None)
    measured = [path for name in ALONG if (path := arm.run_dir / name).exists()]
    for path in measured:
        yield from (place for place in _places(path, None) if place.step is not None)
    if measured:
        return
    for folder in (arm.run_dir / "sweep").glob("step-*"):
        step = folder.name.removeprefix("step-")
        if step.isdecimal():
            yield from _places(folder / "generations.jsonl", int(step))


def _places(path: Path, step: int | None) -> Iterator[Place]:
    if not path.exists():
        return
    offset, seen = 0, dict[tuple, int]()
    for number, line in enumerate(whole_lines(path), start=1):
        if line.strip() and (names := _names(line, path, number)):
            if names in seen:
                raise repeated(path, number, ("task", "item", "sample", "step"), seen[names])
            seen[names] = number
            task, item, sample, own_step = names
            yield Place(
                task, item, sample, own_step if step is None else step, path, number, offset
            )
        offset += len(line)


def _names(line: bytes, path: Path, number: int) -> tuple[str, str, int, int | None] | None:
    """Task, item, sample and step of a line; None if it has no response's names."""
    head = _HEAD.search(line)
    if head and head[0].isascii():
        step = _STEP.search(line, 0, head.start())
        task, item = head[1].decode(), head[2].decode()
        return task, item, int(head[3]), int(step[1]) if step else None
    row = _decode(line, path, number)
    names = row.get("task"), row.get("item"), row.get("sample"), row.get("step")
    match names:
        case (str(task), str(item), int(sample), int() | None as own_step):
            return task, item, sample, own_step
    return None


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file one by one; a file that is missing has none.

    Raises:
        UserError: a line is no JSON object.
    """
    if path.exists():
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _decode(line, path, number)


def _decode(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise UserError(
            f"{path}, line {number}: not valid JSON ({why}); evaluate the run again"
        ) from None
    if not isinstance(row, dict):
        raise UserError(f"{path}, line {number}: expected a JSON object")
    return row


def read_response(file: BinaryIO, place: Place) -> Response:
    """The response at a place of its opened file.

    Raises:
        UserError: the line is no JSON object.
    """
    file.seek(place.offset)
    row = _decode(file.readline(), place.path, place.line)
    form = FORMATS.get(str(row.get("reasoning_format")), FORMATS["tiny"])
    thinking, answer = parts_of(str(row.get("text", "")), form, row.get("reasoning_tokens"))
    correct = row.get("correct")
    return Response(
        place,
        bounded(row.get("status", "status unknown")),
        correct if isinstance(correct, bool) else None,
        _count(row.get("reasoning_tokens")),
        _count(row.get("answer_tokens")),
        bounded(thinking),
        bounded(answer),
    )


def parts_of(text: str, form: ReasoningFormat, reasoning_tokens: Any) -> tuple[str, str]:
    """Thinking and answer of a response's text; the counts were made on token ids, not here."""
    opened = bool(reasoning_tokens) and form.open is not None and form.open not in text
    thinking, answer, _ = split_text(text, form, opened)
    return thinking.strip(), answer.strip()


def bounded(text: object) -> str:
    """Text of others, plain, with its middle left out if it is long; that is said in its place."""
    whole = str(text)
    if len(whole) <= MOST_CHARACTERS:
        return plain(whole)
    left_out = f"\n[… {len(whole) - BEGINNING - END:,} characters left out …]\n"
    return plain(whole[:BEGINNING]) + left_out + plain(whole[-END:])


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
