"""Where reasoning ends and the answer begins, decided on the generated token ids.

Cost is counted on the ids the model produced, never on text that was decoded and tokenised again:
retokenised text has another length, and length is what this project measures.
"""

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from handan.formats import ReasoningFormat

# A loop is a block repeated this often, over at least so many tokens.
LOOP_REPEATS, LOOP_TOKENS = 4, 32


@dataclass(frozen=True)
class Split:
    """A completion cut in two.

    Attributes:
        reasoning_ids: ids inside the span, or spans, without the tags.
        answer_ids: ids after it, without tags and end-of-sequence token.
        closed: False if a span was opened and never closed.
        ended: whether the model ended the sequence itself.
    """

    reasoning_ids: list[int]
    answer_ids: list[int]
    closed: bool
    ended: bool


def find_tag(tokenizer: Any, ids: Sequence[int], tag: str) -> tuple[int, int] | None:
    """First occurrence of ``tag`` as a half-open range of positions in ``ids``, or None.

    A tag that is one token is looked up as an id. Otherwise tokens may merge across its edges, so
    the range is the shortest one whose decoding still contains the tag.
    """
    tag_id = tokenizer.convert_tokens_to_ids(tag)
    if tag_id is not None and tag_id != tokenizer.unk_token_id:
        return (i, i + 1) if (i := _index(ids, tag_id)) is not None else None

    def contains(begin: int, end: int) -> bool:
        return tag in tokenizer.decode(ids[begin:end], skip_special_tokens=False)

    if not contains(0, len(ids)):
        return None
    end = bisect.bisect_left(range(len(ids) + 1), True, key=lambda n: contains(0, n))
    begin = end - bisect.bisect_left(range(end + 1), True, key=lambda n: contains(end - n, end))
    return begin, end


def _index(ids: Sequence[int], wanted: int) -> int | None:
    return next((i for i, token in enumerate(ids) if token == wanted), None)


def is_looping(ids: Sequence[int]) -> bool:
    """Whether the end of these ids is one block over and over.

    That is: the last tokens, at least 32 of them, are four or more repetitions of a block. Only
    what was cut at the token cap can be looping; what ended by itself got out of it.
    """
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
    """Whether the prompt ends with the opening tag, as R1's does."""
    if form.open is None:
        return False
    # Only the end is looked at: the tag and white space after it are far fewer tokens than this.
    end = tokenizer.decode(list(prompt_ids)[-64:], skip_special_tokens=False)
    return end.rstrip().endswith(form.open)


def split_completion(
    tokenizer: Any,
    completion_ids: Sequence[int],
    form: ReasoningFormat,
    opened: bool,
    eos_ids: Sequence[int],
) -> Split:
    """Cut a completion into reasoning and answer.

    The first closing tag ends the span, and what follows it is the answer, whatever tags it holds.
    Only a format whose answer has a mark of its own may have several spans: they are added up, and
    other text before the mark belongs to neither part.

    Args:
        tokenizer: of the model that generated the ids.
        completion_ids: generated ids, without the prompt, up to and including end of sequence.
        form: the model's reasoning format.
        opened: whether the prompt already ends with the opening tag.
        eos_ids: every id that ends a sequence for this model.
    """
    ids = list(completion_ids)
    ended = bool(ids) and ids[-1] in eos_ids
    if ended:
        ids.pop()

    def find(part: list[int], tag: str) -> tuple[int, int] | None:
        return find_tag(tokenizer, part, tag)

    reasoning, answer, closed = _cut(ids, form, opened, find)
    if not tokenizer.decode(reasoning, skip_special_tokens=False).strip():
        reasoning = []  # an empty span, as some models write when thinking is switched off
    return Split(reasoning, answer, closed, ended)


def split_text(text: str, form: ReasoningFormat, opened: bool) -> tuple[str, str, bool]:
    """Reasoning, answer and whether the span is closed, cut from a text by the same rules."""

    def find(part: str, tag: str) -> tuple[int, int] | None:
        begin = part.find(tag)
        return (begin, begin + len(tag)) if begin >= 0 else None

    reasoning, answer, closed = _cut(text, form, opened, find)
    return reasoning if reasoning.strip() else "", answer, closed


Part = TypeVar("Part", list[int], str)
Find = Callable[[Part, str], tuple[int, int] | None]


def _cut(whole: Part, form: ReasoningFormat, opened: bool, find: Find) -> tuple[Part, Part, bool]:
    """Reasoning, answer, and whether the span is closed."""
    if form.open is None or form.close is None:
        return whole[:0], whole, True
    if form.answer is not None:
        return _cut_marked(whole, form.open, form.close, form.answer, find)
    opening = None if opened else find(whole, form.open)
    start = opening[1] if opening else 0
    closing = find(whole[start:], form.close)
    if closing:
        return whole[start : start + closing[0]], whole[start + closing[1] :], True
    if opened or opening:
        return whole[start:], whole[:0], False
    return whole[:0], whole, True


def _cut_marked(
    whole: Part, opens: str, closes: str, answers: str, find: Find
) -> tuple[Part, Part, bool]:
    """The same where all parts are marked: any number of spans, then the answer."""
    mark = find(whole, answers)
    rest = whole[: mark[0]] if mark else whole
    reasoning, closed = whole[:0], True
    while closed and (opening := find(rest, opens)):
        rest = rest[opening[1] :]
        closing = find(rest, closes)
        reasoning += rest[: closing[0]] if closing else rest
        closed = closing is not None
        rest = rest[closing[1] :] if closing else rest[:0]
    return reasoning, whole[mark[1] :] if mark else whole[:0], closed or mark is not None
