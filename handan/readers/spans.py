"""Reasoning and answer of logged text, and the status of a response.

Text is cut by the rule of ``handan.thinking``, as generated token ids are.
"""

from collections.abc import Iterable
from typing import NamedTuple

from handan.chat import Said
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


def split(said: Said, tags: Tags, opened: bool) -> Span:
    """Cut a response at its first span, unless its reasoning was set apart.

    Args:
        said: the response.
        tags: of the model.
        opened: whether the prompt ended with the opening tag, so that the response begins inside
            the span. A response that holds only the closing tag shows this itself.
    """
    if said.reasoning != "":
        reasoning = said.reasoning if said.reasoning is None or said.reasoning.strip() else ""
        return Span(reasoning, said.text, closed=bool(said.text.strip()), marked=True)
    found = cut(said.text, tags.open, tags.close, opened)
    reasoning = "".join(said.text[begin:end] for begin, end in found.spans)
    answer = said.text[slice(*found.answer)]
    return Span(reasoning if reasoning.strip() else "", answer, found.closed, found.marked)


def opened_by_prompt(texts: Iterable[str], tags: Tags) -> bool:
    """Tell whether the prompt opened the span: responses close one and none opens it."""
    closes = False
    for text in texts:
        if tags.open in text.partition(tags.close)[0]:
            return False
        closes = closes or tags.close in text
    return closes


def status(finish: str | None, span: Span, reasoning_tokens: int) -> str:
    """Return the status of a response, as ``costs.csv`` has it.

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
