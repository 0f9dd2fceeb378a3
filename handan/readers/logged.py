"""What every reader takes and returns, and what all of them decide in the same way."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from handan.chat import Usage
from handan.errors import UserError
from handan.finish import class_of
from handan.readers import checks
from handan.readers.spans import Span, Tags


class LoggedSample(NamedTuple):
    """One response of one model to one item.

    Attributes:
        place: file and line or member, for messages.
        model, task, item, sample: names; together they identify the response.
        usage: tokens as the provider counted them.
        said: the text, cut in reasoning and answer.
        finish: why generation ended, in the log's word; None if unknown.
        correct: None if unknown.
    """

    place: str
    model: str
    task: str
    item: str
    sample: str
    usage: Usage
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


class LeftOut:
    """Responses of one file that cannot be used, by why.

    Args:
        path: the file.
        what: its responses are called.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.names: dict[str, list[str]] = {}
        self.reasons: dict[str, str] = {}

    def add(self, name: str, place: str, why: object) -> None:
        """Leave one out, for a reason that need not repeat the place."""
        reason = str(why).removeprefix(f"{place}: ")
        # Reasons that differ in their figures are one, told with the first one's.
        first = self.reasons.setdefault(re.sub(r"[0-9]+", "0", reason), reason)
        self.names.setdefault(first, []).append(name)

    def notes(self, num_kept: int) -> list[str]:
        """One sentence for each reason."""
        num_all = num_kept + sum(map(len, self.names.values()))
        return [
            f"{self.path}: left out {len(names)} of {num_all} {self.what}, {why}: {some(names)}"
            for why, names in self.names.items()
        ]

    def refuse_if_all(self, num_kept: int) -> None:
        """Stop where nothing is left.

        Raises:
            UserError: says why.
        """
        if not num_kept and self.names:
            raise UserError("; ".join(self.notes(0)))


def check_reasoning(
    path: Path, samples: Sequence[LoggedSample], options: Options, cure: str
) -> None:
    """Refuse a file in which reasoning seems to have been lost rather than not written.

    Raises:
        UserError: no sample of some model has a tag, a reasoning text or a count of reasoning.
    """
    if options.allow_no_reasoning:
        return
    reasons = {sample.model for sample in samples if sample.said.marked or sample.usage.reasoning}
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


def unknown_end_note(path: Path, samples: Sequence[LoggedSample]) -> list[str]:
    """A note on responses whose finish reason says nothing."""
    words = Counter(sample.finish for sample in samples if class_of(sample.finish) is None)
    if not words:
        return []
    shown = ", ".join(f"{word or 'null'} ({number})" for word, number in words.most_common(3))
    return [
        f"{path}: {words.total()} of {len(samples)} responses have no finish reason that is known: "
        f"{shown}; they are not taken for cut, but where their span does not end"
    ]


class Scores:
    """Scores of one file that should be 1 or 0, and those that are neither."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, 0
        self.partial: dict[str, str] = {}

    def read(self, name: str, place: str, what: str, value: object) -> bool | None:
        """Right or wrong; None where a score does not say."""
        self.number += 1
        try:
            return checks.correct(place, what, value)
        except UserError as error:
            self.partial[name] = str(error)
            return None

    def notes(self) -> list[str]:
        """One sentence on scores that are neither 1 nor 0.

        Raises:
            UserError: all of them are.
        """
        if not self.partial:
            return []
        if len(self.partial) == self.number:
            raise UserError(next(iter(self.partial.values())))
        return [
            f"{self.path}: {len(self.partial)} of {self.number} scores are neither 1 nor 0, so "
            f"'correct' is empty there: {some(list(self.partial))}"
        ]


def some(names: Sequence[str]) -> str:
    """Up to three names, none of them long, and how many more there are."""
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more
