"""Rows of published trace sets, read into question, reasoning, answer and reference.

Sets differ in where they keep these and in how they mark reasoning. The YAML says where; here the
parts are taken out as they are, or a row is refused for a reason that is counted.
"""

import re
from dataclasses import dataclass
from typing import Any

from handan.errors import UserError
from handan.formats import FORMATS
from handan.tasks.mathematics import reference_answer
from handan.traces.settings import PublishedSettings

COLUMN = re.compile(
    r"(?P<column>[^\[\]]+)(?:\[(?P<key>[^=\[\]]+)=(?P<value>[^\[\]]+)\]\.(?P<field>.+))?"
)
TAGS = sorted({tag for form in FORMATS.values() for tag in (form.open, form.close) if tag})
# In a student's vocabulary these are tokens of their own: they would end or nest a sequence.
MARKUP = re.compile(
    "|".join(map(re.escape, TAGS))
    + r"|<\|[\w ]{1,60}\|>|<\uff5c[^<>\uff5c]{1,60}\uff5c>|</?s>|\[/?INST\]"
)


@dataclass(frozen=True)
class Parts:
    """One trace, without any marks.

    Attributes:
        question: as it was put to the teacher.
        reasoning: what it thought.
        answer: what it said after that.
        reference: the right answer; None if the set does not tell.
    """

    question: str
    reasoning: str
    answer: str
    reference: str | None


class Unusable(Exception):
    """A row that is no trace; the message is the reason under which it is counted."""


def read_column(row: dict, path: str, place: str) -> list[str]:
    """The texts that a column's name points to: one as a rule, none if the row has none.

    Raises:
        UserError: the row has no such column.
    """
    match = COLUMN.fullmatch(path)
    name = match["column"] if match else path
    if match is None or name not in row:
        raise UserError(
            f"{place}: there is no column '{path}'; the set has: {', '.join(row)}; correct the YAML"
        )
    values: Any = row[name]
    if match["key"] is not None:
        values = [
            entry[match["field"]] for entry in values if entry[match["key"]] == match["value"]
        ]
    else:
        values = [values]
    return [value for value in values if isinstance(value, str) and value.strip()]


def read_row(row: dict, settings: PublishedSettings, place: str) -> Parts:
    """The parts of a row.

    Args:
        row: as the set has it.
        settings: where the parts are.
        place: the set, for messages.

    Raises:
        Unusable: with one of the reasons ``no_question``, ``no_response``, ``several_turns``,
            ``no_reasoning_span``, ``no_answer``, ``stray_markup``.
        UserError: a column does not exist.
    """
    question = _only(read_column(row, settings.question, place), "no_question")
    response = _only(read_column(row, settings.response, place), "no_response")
    if settings.reasoning is not None:
        span = _only(read_column(row, settings.reasoning, place), "no_reasoning_span")
        answer = response
    else:
        span, answer = _cut(response, settings.open, settings.close or "")
    for mark in settings.strip:
        answer = answer.replace(mark, "")
    if not span.strip():
        raise Unusable("no_reasoning_span")
    if not answer.strip():
        raise Unusable("no_answer")
    if MARKUP.search(span) or MARKUP.search(answer) or MARKUP.search(question):
        raise Unusable("stray_markup")
    reference = None
    if settings.reference is not None:
        reference = reference_answer("".join(read_column(row, settings.reference, place)[:1]))
    return Parts(question.strip(), span.strip(), answer.strip(), reference)


def _only(values: list[str], missing: str) -> str:
    if not values:
        raise Unusable(missing)
    if len(values) > 1:
        raise Unusable("several_turns")
    return values[0]


def _cut(response: str, opening: str | None, closing: str) -> tuple[str, str]:
    """Span and answer of a response that begins with its span, whether or not it is opened."""
    span, found, answer = response.partition(closing)
    if not found:
        raise Unusable("no_reasoning_span")
    if opening is not None and opening in span:
        before, _, span = span.partition(opening)
        if before.strip():
            raise Unusable("no_reasoning_span")
    return span, answer
