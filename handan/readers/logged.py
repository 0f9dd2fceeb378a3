"""What every reader takes and returns, and what all of them decide in the same way."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from handan.errors import UserError
from handan.readers.spans import Span, Tags


class LoggedSample(NamedTuple):
    """One response of one model to one item.

    Attributes:
        place: file and line or member, for messages.
        model, task, item, sample: names; together they identify the response.
        prompt_tokens, reasoning_tokens, answer_tokens, completion_tokens: as the provider counted
            them; None where it did not. ``completion_tokens`` is everything that was generated.
        said: the text, cut in reasoning and answer.
        finish: why generation ended, in the log's word; None if unknown.
        correct: None if unknown.
    """

    place: str
    model: str
    task: str
    item: str
    sample: str
    prompt_tokens: int | None
    reasoning_tokens: int | None
    answer_tokens: int | None
    completion_tokens: int | None
    said: Span
    finish: str | None
    correct: bool | None


class Log(NamedTuple):
    """The samples of a log and, one sentence each, what was left out or inferred."""

    samples: list[LoggedSample]
    notes: list[str]


class Options(NamedTuple):
    """How to read a log.

    Attributes:
        model: name of the model in all rows; None for the one in the log.
        tags: of the reasoning span.
        allow_no_reasoning: whether a file without any sign of reasoning is a result.
        item_field: dotted path of the item's name; None for the format's own.
        metric: the metric or scorer that says what is correct; None for the only one, 'none' to
            leave it open.
    """

    model: str | None
    tags: Tags
    allow_no_reasoning: bool = False
    item_field: str | None = None
    metric: str | None = None


def answer_tokens(
    place: str, prompt: int | None, reasoning: int | None, completion: int | None, total: int | None
) -> int | None:
    """Tokens of the answer by the provider's counts.

    Most count reasoning as a part of the completion; some beside it, as the total then shows.

    Raises:
        UserError: there is more reasoning than completion.
    """
    if reasoning is None or completion is None:
        return None
    if reasoning and prompt is not None and total == prompt + completion + reasoning:
        return completion
    if reasoning > completion:
        raise UserError(
            f"{place}: usage counts {reasoning} reasoning tokens in a completion of {completion}; "
            "remove one of these counts"
        )
    return completion - reasoning


def check_reasoning(
    path: Path, samples: Sequence[LoggedSample], options: Options, cure: str
) -> None:
    """Refuse a file in which reasoning seems to have been lost rather than not written.

    Raises:
        UserError: no sample of some model has a tag, a reasoning text or a count of reasoning.
    """
    if options.allow_no_reasoning:
        return
    reasons = {sample.model for sample in samples if sample.said.marked or sample.reasoning_tokens}
    silent = next((sample.model for sample in samples if sample.model not in reasons), None)
    if silent is not None:
        raise UserError(
            f"{path}: no response of {silent} holds reasoning or {options.tags.close}; {cure}, or "
            "pass --allow_no_reasoning if the model does not reason"
        )


def unclosed_note(path: Path, samples: Sequence[LoggedSample]) -> list[str]:
    """A note on responses without any tag that were taken for reasoning without an end."""
    number = sum(not (sample.said.closed or sample.said.marked) for sample in samples)
    if not number:
        return []
    return [
        f"{path}: {number} of {len(samples)} responses without a tag were taken for reasoning that "
        "does not end, as the others only close a span: the prompt must open it"
    ]


def some(names: Sequence[str]) -> str:
    """Up to three names, none of them long, and how many more there are."""
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more
