"""Cutting a response into reasoning and answer, by one rule on its text, and ids where their text
is: cost is counted on the ids the model produced, as text tokenised again has another length."""

import bisect
import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from handan.generation.formats import ReasoningFormat

Ids = Sequence[int]
# A loop is a block repeated this often, over at least so many tokens.
LOOP_REPEATS, LOOP_TOKENS = 4, 32


class Cut(NamedTuple):
    """The parts of a response as half-open ranges of its characters, without the tags."""

    spans: list[tuple[int, int]]
    answer: tuple[int, int]
    closed: bool  # False if a span was opened and never closed
    marked: bool  # whether a tag showed where reasoning is, be it an empty span


@dataclass(frozen=True)
class Split:
    """A completion cut in two, without tags and end-of-sequence token."""

    reasoning_ids: list[int]
    answer_ids: list[int]
    closed: bool  # False if a span was opened and never closed
    ended: bool  # whether the model ended the sequence itself
    answer_head: str = ""  # how the answer begins, where it shares a token with the tag


def cut(text: str, opens: str, closes: str, opened: bool, answers: str | None = None) -> Cut:
    """Find reasoning and answer in a response.

    The first closing tag ends the span, and what follows it is the answer, whatever tags it holds.
    A closing tag alone shows that the response began inside the span. Where the prompt opened the
    span and the response begins with the opening tag again, that tag is no part of the reasoning;
    any other opening tag inside a span is a word of it. What precedes an opening tag belongs to
    neither part. Where the format marks with what it ``answers``, there may be several spans.
    """
    size = len(text)
    if answers is not None:
        mark = text.find(answers)
        end = size if mark < 0 else mark
        spans, here, closed = [], 0, True
        while closed and (opening := text.find(opens, here, end)) >= 0:
            begin = opening + len(opens)
            closing = text.find(closes, begin, end)
            closed = closing >= 0
            spans.append((begin, closing if closed else end))
            here = closing + len(closes)
        answer = (size if mark < 0 else mark + len(answers)), size
        return Cut(spans, answer, closed or mark >= 0, marked=bool(spans) or mark >= 0)
    closing = text.find(closes)
    end = size if closing < 0 else closing
    opening = text.find(opens, 0, end)
    if opened and text[: max(opening, 0)].strip():
        opening = -1
    inside = opened or opening >= 0
    if closing < 0 and not inside:
        return Cut([], (0, size), closed=True, marked=False)
    span = (opening + len(opens) if opening >= 0 else 0), end
    answer = (size if closing < 0 else closing + len(closes)), size
    return Cut([span], answer, closed=closing >= 0, marked=closing >= 0 or opening >= 0)


class _Ids:
    """Generated ids beside their text; where a tag is a token, its place is looked up first."""

    def __init__(self, tokenizer: Any, ids: list[int], tags: Sequence[str | None]) -> None:
        self.tokenizer, self.ids = tokenizer, ids
        self._lengths: dict[int, int] = {}
        self.text = self._decode(len(ids))
        known = {tokenizer.convert_tokens_to_ids(tag) for tag in tags if tag is not None}
        places = [place for place, token in enumerate(ids) if token in known]
        around = {place + step for place in places for step in (-1, 0, 1)}
        self._near = sorted(around & set(range(len(ids) + 1)))

    def within(self, begin: int, end: int) -> slice:
        """The ids whose text lies wholly inside a range, but for one that merges with a tag."""
        size, number = len(self.text), len(self.ids)
        last = self._reaching(end + 1) - 1 if end < size else number
        if not 0 < begin < size:
            return slice(number if begin else 0, last)
        first = self._reaching(begin)
        return slice(first, max(first, last))

    def length(self, number: int) -> int:
        """Characters of the text that the first ids say wholly; bytes of one are none."""
        if number not in self._lengths:
            same = map(operator.eq, self._decode(number), self.text)
            self._lengths[number] = sum(itertools.takewhile(bool, same))
        return self._lengths[number]

    def _reaching(self, position: int) -> int:
        """The least number of ids with so many characters, or one more than there are."""
        place = bisect.bisect_left(self._near, position, key=self.length)
        low, high = [0, *self._near, len(self.ids) + 1][place : place + 2]
        return low + bisect.bisect_left(range(low, high), position, key=self.length)

    def _decode(self, number: int) -> str:
        # With its spaces as they are, so that the text of a beginning begins the whole text.
        return self.tokenizer.decode(
            self.ids[:number], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )


def is_looping(ids: Sequence[int]) -> bool:
    """Tell whether the last ids, at least 32 of them, are four or more repetitions of a block."""
    tail = np.asarray(ids)
    for period in range(1, len(tail) // LOOP_REPEATS + 1):
        span = max(LOOP_REPEATS * period, LOOP_TOKENS)
        if span > len(tail):
            break
        end = tail[-span:]
        if end[-1] == end[-1 - period] and np.array_equal(end[period:], end[:-period]):
            return True
    return False


def opened_by_prompt(tokenizer: Any, prompt_ids: Sequence[int], form: ReasoningFormat) -> bool:
    """Tell whether the prompt ends with the opening tag, as R1's does."""
    # The tag and white space after it are far fewer tokens than these.
    end = tokenizer.decode(list(prompt_ids)[-64:], skip_special_tokens=False)
    return form.open is not None and end.rstrip().endswith(form.open)


def split_completion(
    tokenizer: Any, completion_ids: Ids, form: ReasoningFormat, opened: bool, eos_ids: Ids
) -> Split:
    """Cut a completion, up to and including one of ``eos_ids``, by the rule of ``cut``."""
    ids = list(completion_ids)
    ended = bool(ids) and ids[-1] in eos_ids
    if ended:
        ids.pop()
    if form.open is None or form.close is None:
        return Split([], ids, True, ended)
    pieces = _Ids(tokenizer, ids, (form.open, form.close))
    found = cut(pieces.text, form.open, form.close, opened, form.answer)
    # A span of white space is none: some models write it when thinking is switched off.
    spans = found.spans if _reasoning(pieces.text, found).strip() else []
    reasoning = [token for span in spans for token in ids[pieces.within(*span)]]
    answer = pieces.within(*found.answer)
    head = pieces.text[found.answer[0] : pieces.length(answer.start)]
    return Split(reasoning, ids[answer], found.closed, ended, head)


class SplitText(NamedTuple):
    """A text cut in two, as ``Cut``."""

    reasoning: str | None  # '' for an empty span; None if it is hidden
    answer: str
    closed: bool
    marked: bool


def split_text(text: str, form: ReasoningFormat, opened: bool) -> SplitText:
    """Cut a text by the rule of ``cut``; its reasoning is never hidden."""
    if form.open is None or form.close is None:
        return SplitText("", text, closed=True, marked=False)
    found = cut(text, form.open, form.close, opened, form.answer)
    reasoning, answer = _reasoning(text, found), text[slice(*found.answer)]
    return SplitText(reasoning if reasoning.strip() else "", answer, found.closed, found.marked)


def _reasoning(text: str, found: Cut) -> str:
    return "".join(text[begin:end] for begin, end in found.spans)
