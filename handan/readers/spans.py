"""Where reasoning ends and the answer begins in logged text, and what status follows.

The rule is that of ``handan.thinking``, for token ids and text alike.
"""

from collections.abc import Iterable
from typing import NamedTuple

from handan.finish import ended
from handan.thinking import cut


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
    found = cut(text, tags.open, tags.close, opened_by_prompt)
    reasoning = "".join(text[begin:end] for begin, end in found.spans)
    answer = text[slice(*found.answer)]
    return Span(reasoning if reasoning.strip() else "", answer, found.closed, found.marked)


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
        finish: why generation ended. Where the log does not say, or says nothing that is known, an
            open span counts as cut.
        span: the response.
        reasoning_tokens: its cost, however counted.
    """
    by_itself = ended(finish)
    if by_itself is False or (by_itself is None and not span.closed):
        return "truncated"
    if not span.closed or not span.answer.strip():
        return "unparsed"
    return "complete" if reasoning_tokens else "no_reasoning"
