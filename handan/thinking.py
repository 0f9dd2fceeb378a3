"""Where reasoning ends and the answer begins, decided on the generated token ids.

Cost is counted on the ids the model produced, never on text that was decoded and tokenised again:
retokenised text has another length, and length is what this project measures.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# A loop is a block repeated this often, over at least so many tokens.
LOOP_REPEATS, LOOP_TOKENS = 4, 32


@dataclass(frozen=True)
class ReasoningTags:
    """The strings that open and close a reasoning span, e.g. ``<think>`` and ``</think>``."""

    open: str
    close: str


@dataclass(frozen=True)
class Split:
    """A completion cut in two.

    Attributes:
        reasoning_ids: ids inside the span, without the tags.
        answer_ids: ids after the span, without tags and end-of-sequence token.
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


def split_completion(
    tokenizer: Any,
    completion_ids: Sequence[int],
    tags: ReasoningTags,
    opened_by_prompt: bool,
    eos_ids: Sequence[int],
) -> Split:
    """Cut a completion into reasoning and answer.

    Args:
        tokenizer: of the model that generated the ids.
        completion_ids: generated ids, without the prompt, up to and including end of sequence.
        tags: the model's reasoning tags.
        opened_by_prompt: whether the prompt already ends with the opening tag, as R1's does.
        eos_ids: every id that ends a sequence for this model.
    """
    ids = list(completion_ids)
    ended = bool(ids) and ids[-1] in eos_ids
    if ended:
        ids.pop()
    opening = None if opened_by_prompt else find_tag(tokenizer, ids, tags.open)
    start = opening[1] if opening else 0
    closing = find_tag(tokenizer, ids[start:], tags.close)
    if closing:
        reasoning, answer = ids[start : start + closing[0]], ids[start + closing[1] :]
    elif opened_by_prompt or opening:
        reasoning, answer = ids[start:], []
    else:
        reasoning, answer = [], ids
    if not tokenizer.decode(reasoning, skip_special_tokens=False).strip():
        reasoning = []  # an empty span, as some models write when thinking is switched off
    closed = closing is not None or not (opened_by_prompt or opening)
    return Split(reasoning, answer, closed, ended)
