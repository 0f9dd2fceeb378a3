"""Where reasoning ends and the answer begins in logged text, and what status follows.

The rules are those of ``handan.thinking`` for token ids: a text is cut once, what precedes an
opening tag belongs to neither part, and a span of white space is empty.
"""

from collections.abc import Iterable
from typing import NamedTuple

# Why generation ended, in the words of the tools, where the model did not end it.
CUT = ("length", "max_tokens", "model_length", "content_filter")
# And where it did. Any other word says as little as none.
ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call")


class Tags(NamedTuple):
    """The strings around a reasoning span."""

    open: str
    close: str


class Span(NamedTuple):
    """A response cut in two.

    Attributes:
        reasoning: the text inside the span, '' for an empty one; None if the log hides it.
        answer: the text after it.
        closed: False if a span was opened and never closed.
        marked: whether anything showed where reasoning is, be it an empty span.
    """

    reasoning: str | None
    answer: str
    closed: bool
    marked: bool


def split(text: str, tags: Tags, opened_by_prompt: bool) -> Span:
    """Cut a text at its first span.

    Args:
        text: the response.
        tags: of the model.
        opened_by_prompt: whether the prompt ended with the opening tag, so that the response
            begins inside the span. A response that holds only the closing tag shows this itself.
    """
    opening, closing = text.find(tags.open), text.find(tags.close)
    if opening >= 0 and (opening < closing or closing < 0):
        # Inside a span that the prompt opened, a further opening tag is only one more word.
        opens = not opened_by_prompt or not text[:opening].strip()
    else:
        opens = False
    start = opening + len(tags.open) if opens else 0
    closing = text.find(tags.close, start)
    if closing >= 0:
        reasoning, answer = text[start:closing], text[closing + len(tags.close) :]
    elif opens or opened_by_prompt:
        reasoning, answer = text[start:], ""
    else:
        reasoning, answer = "", text
    closed = closing >= 0 or not (opens or opened_by_prompt)
    marked = closing >= 0 or opens
    return Span(reasoning if reasoning.strip() else "", answer, closed, marked)


def apart(reasoning: str | None, answer: str) -> Span:
    """A response whose reasoning the server or the tool has set apart; None if it hides it."""
    if reasoning is not None and not reasoning.strip():
        reasoning = ""
    return Span(reasoning, answer, closed=bool(answer.strip()), marked=True)


def opened_by_prompt(texts: Iterable[str], tags: Tags) -> bool:
    """Whether responses close a span that none of them opened, so that the prompt must have."""
    closes = False
    for text in texts:
        if tags.open in text.partition(tags.close)[0]:
            return False
        closes = closes or tags.close in text
    return closes


def status(finish: str | None, span: Span, reasoning_tokens: int) -> str:
    """The status of a response, as ``costs.csv`` has it.

    Args:
        finish: why generation ended. Where the log does not say, an open span counts as cut.
        span: the response.
        reasoning_tokens: its cost, however counted.
    """
    if finish in CUT or (finish not in ENDED and not span.closed):
        return "truncated"
    if not span.closed or not span.answer.strip():
        return "unparsed"
    return "complete" if reasoning_tokens else "no_reasoning"
