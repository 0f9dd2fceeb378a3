"""Rows of published trace sets, read into question, reasoning, answer and reference.

Sets differ in where they keep these and in how they mark reasoning. The YAML says where; here the
parts are taken out as they are, or refused for a reason that is counted. A list of responses is as
many traces, and other lists of the row have an entry for each.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from handan.formats import FORMATS
from handan.tasks.mathematics import reference_answer
from handan.traces.cells import (
    Unusable,
    is_content,
    kind,
    matches,
    opened,
    plain,
    scalar,
    shown,
    sure,
    text_of,
)
from handan.traces.columns import find
from handan.traces.settings import PublishedSettings

TAGS = sorted({tag for form in FORMATS.values() for tag in (form.open, form.close) if tag})
# In a student's vocabulary these are tokens of their own: they would end or nest a sequence.
MARKUP = re.compile(
    "|".join(map(re.escape, TAGS))
    + r"|<\|[\w ]{1,60}\|>|<\uff5c[^<>\uff5c]{1,60}\uff5c>|</?s>|\[/?INST\]"
)
HASHES = "####"  # begins the last line of a solution in the manner of GSM8K

# Orders of opening (O) and closing (C) marks in a response that leave no single span, and the
# reasons. Whatever could be cut in two ways is refused: the shorter one would be a false length.
NO_SPAN = (
    ("O+", "unclosed_reasoning", "{open} stands there, and no {close}"),
    ("", "no_reasoning_span", "there is no {close} in {response}"),
    ("O?(CO)+C", "several_spans", "{close} ends more than one span"),
    ("O?CC+", "several_closing_tags", "{close} stands there {closings} times"),
    ("(?!O?C$).+", "stray_markup", "{open} stands inside the reasoning or the answer"),
)


@dataclass(frozen=True)
class Parts:
    """One trace, without any marks.

    Attributes:
        question: as it was put to the teacher.
        reasoning, answer: what it thought, and what it said after that.
        reference: the right answer; None if the set does not tell.
        without_reference: why there is none.
        left_out: who else spoke in the conversation, such as ``system``.
    """

    question: str
    reasoning: str
    answer: str
    reference: str | None
    without_reference: Unusable | None
    left_out: tuple[str, ...]


def read_row(row: dict, settings: PublishedSettings) -> Iterator[Parts | Unusable]:
    """Read the traces of a row, as many as it has responses, each or the reason why it is none.

    Args:
        row: as the set has it.
        settings: where the parts are; ``docs/traces.md`` lists the reasons.
    """
    try:
        responses = _column(row, settings.response, "response", settings)
        number = len(responses) if _is_list(responses) and responses else 1
    except Unusable:
        number = 1  # and the reason is told below, unless the row is not asked for at all
    for index in range(number):
        try:
            yield _Entry(row, settings, index, number).trace()
        except Unusable as reason:
            yield reason


@dataclass(frozen=True)
class _Entry:
    """One response of a row of ``number``, and what the row has to it."""

    row: dict
    settings: PublishedSettings
    index: int
    number: int

    def trace(self) -> Parts:
        settings = self.settings
        for column, wanted in settings.where.items():
            value = self._condition(column)
            if not matches(wanted, value):
                raise Unusable("other_rows", f"'{column}' is {shown(value)}, not {shown(wanted)}")
        question = self._text(settings.question, "question")
        # An answer apart from its reasoning may be a number.
        apart = settings.reasoning is not None
        answer = self._text(settings.response, "response", numbers=apart)
        left_out = _left_out(self.row, settings)
        if settings.reasoning is not None:
            span = self._text(settings.reasoning, "reasoning_span")
        else:
            span, answer = _cut(answer, settings.open, settings.close or "")
        for mark in settings.strip:
            answer = answer.replace(mark, "")
        if not answer.strip():
            raise Unusable("no_answer", f"'{settings.response}' holds nothing after the reasoning")
        for where, content in (("question", question), ("reasoning", span), ("answer", answer)):
            if mark_inside := MARKUP.search(content):
                raise Unusable("stray_markup", f"{mark_inside[0]} stands inside the {where}")
        reference, without = None, None
        try:
            reference = self._reference()
        except Unusable as reason:
            without = reason
        return Parts(question.strip(), span.strip(), answer.strip(), reference, without, left_out)

    def _value(self, path: str, part: str) -> Any:
        """The value of this response, which may be that of all.

        Raises:
            Unusable: ``uneven_lists`` if a list has not one entry for each response, or one
                reasoning stands for several answers.
        """
        value, number = _column(self.row, path, part, self.settings), self.number
        if not _is_list(value):
            if part != "reasoning_span" or number == 1:
                return value
        elif not value:
            raise Unusable(f"no_{part}", f"'{path}' holds an empty list")
        elif len(value) == number:
            return sure(value[self.index])
        elif len(value) == 1 and part != "reasoning_span":
            return sure(value[0])
        raise Unusable("uneven_lists", f"'{path}' holds {kind(value)} beside {number} responses")

    def _text(self, path: str, part: str, numbers: bool = False) -> str:
        return text_of(self._value(path, part), path, part, numbers)

    def _condition(self, path: str) -> Any:
        try:
            value = self._value(path, "where")
        except Unusable as reason:
            if reason.reason == "no_where":
                return None
            raise
        if value is not None and scalar(value) is None:
            raise Unusable("mistyped_where", f"'{path}' holds {kind(value)}")
        return value

    def _reference(self) -> str | None:
        """The right answer; None without a column of them.

        Raises:
            Unusable: ``no_reference``, also where a long text does not say which words of it are
                the answer, ``mistyped_reference``, ``uneven_lists`` or ``broken_characters``.
        """
        path = self.settings.reference
        if path is None:
            return None
        text = self._text(path, "reference", numbers=True)
        last_line = text.rstrip().rpartition("\n")[2]
        stated = last_line.removeprefix(HASHES) if last_line.startswith(HASHES) else text
        answer = reference_answer(stated)
        if answer is None:
            raise Unusable(
                "no_reference", f"'{path}' holds {kind(text)}, without a box or {HASHES}"
            )
        return answer


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and not is_content(value)


def _column(row: dict, path: str, part: str, settings: PublishedSettings) -> Any:
    """The value in a row, for all of its traces.

    Prose that is a JSON list as a whole is a list that was stored as text. An answer apart from its
    reasoning may be such a list, and so may be a reference, unless it is a list of texts.
    """
    value, _ = find(row, path, part)
    if part in ("question", "reasoning_span") or (part == "response" and not settings.reasoning):
        return opened(value)
    texts = opened(value)
    if part == "reference" and _is_list(texts) and all(isinstance(one, str) for one in texts):
        return texts
    return value


def _left_out(row: dict, settings: PublishedSettings) -> tuple[str, ...]:
    """The other speakers in the list that holds both question and response.

    Raises:
        Unusable: ``not_adjacent`` if the response does not follow its question at once, so that it
            also answers something else, such as a tool.
    """
    _, asked = find(row, settings.question, "question")
    _, said = find(row, settings.response, "response")
    if not asked or not said or asked[0].place != said[0].place:
        return ()
    place, entries, first, key = asked[0]
    last = said[0].at
    if last - first not in (0, 1):
        raise Unusable(
            "not_adjacent", f"in '{place}' the response is entry {last}, the question {first}"
        )
    if key is None:
        return ()
    others = [opened(entry) for i, entry in enumerate(entries) if i not in (first, last)]
    return tuple(str(scalar(plain(entry[key]))) for entry in others)


def _cut(response: str, opening: str | None, closing: str) -> tuple[str, str]:
    """Span and answer of a response that begins with its span, whether or not it is opened."""
    marks = [re.escape(mark) for mark in (closing, opening) if mark]
    found = re.findall("|".join(marks), response)
    order = "".join("C" if mark == closing else "O" for mark in found)
    for pattern, reason, sentence in NO_SPAN:
        if re.fullmatch(pattern, order):
            facts = {"open": opening, "close": closing, "closings": order.count("C")}
            raise Unusable(reason, sentence.format(**facts, response=kind(response)))
    span, _, answer = response.partition(closing)
    if order == "OC":
        before, _, span = span.partition(opening or "")
        if before.strip():
            raise Unusable("text_before_reasoning", f"{kind(before)} stands before {opening}")
    if not span.strip():
        raise Unusable("empty_reasoning", f"nothing stands before {closing}")
    return span, answer
