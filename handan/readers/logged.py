"""Reasoning and answer of logged text, and the status of a response.

Text is cut by the rule of ``handan.generation.spans``, as generated token ids are.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from handan.errors import UserError
from handan.generation.chat import Count, Said, Unusable, Usage, check_text, class_of, count, ended
from handan.generation.spans import cut
from handan.json_input import json_object, kind_of, read_bytes


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


# Samples as the readers return them, and the decisions that all readers share.

ITEM_CURE = "it should hold the name of the item; choose another --item_field"


class LoggedSample(NamedTuple):
    """One response of one model to one item.

    Attributes:
        place: file and line or member, for messages.
        model, task, item, sample: names; together they identify the response.
        usage: tokens as the provider counted them.
        said: the response as logged.
        correct: None if unknown.
        prompt_opens: whether the prompt ended with the opening tag; None without a prompt.
        span: the response cut in reasoning and answer.
    """

    place: str
    model: str
    task: str
    item: str
    sample: str
    usage: Usage
    said: Said
    correct: bool | None
    prompt_opens: bool | None = None
    span: Span = Span("", "", True, False)


class Log(NamedTuple):
    """The samples of a log and, one sentence each, what was left out or inferred."""

    samples: list[LoggedSample]
    notes: list[str]


class Options(NamedTuple):
    """Options for reading a log.

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


class Collected:
    """Samples of one file while it is read, and what cannot be used of it.

    Args:
        path: the file.
        what: its responses are called.
        options: for reading it.
    """

    def __init__(self, path: Path, what: str, options: Options) -> None:
        self.path, self.what, self.options = path, what, options
        self.samples: list[LoggedSample] = []
        self._left_out: dict[str, tuple[str, list[str]]] = {}
        self._num_scores, self._partial = 0, {}

    def leave_out(self, name: str, why: UserError) -> None:
        """Leave a response out; reasons that differ in their figures are told as one."""
        reason = re.sub(r"[0-9]+", "0", str(why))
        self._left_out.setdefault(reason, (str(why), []))[1].append(name)

    def score(self, name: str, place: str, what: str, value: object) -> bool | None:
        """Return right or wrong from a score of 1 or 0; None for no score, or another one."""
        self._num_scores += 1
        try:
            return correct(what, value)
        except UserError as error:
            self._partial[name] = f"{place}: {error}"
            return None

    def log(self, cure: str, tells_end: bool = True) -> Log:
        """Cut the responses, and tell what was left out.

        Args:
            cure: what brings reasoning into such a log.
            tells_end: whether the tool logs why generation ended.

        Raises:
            UserError: nothing is left, no score is 1 or 0, or reasoning seems to have been lost.
        """
        notes = self._notes()
        if not self.samples and notes:
            raise UserError("; ".join(notes))
        if self._partial and len(self._partial) == self._num_scores:
            raise UserError(next(iter(self._partial.values())))
        if self._partial:
            notes.append(
                f"{self.path}: {len(self._partial)} of {self._num_scores} scores are neither 1 nor "
                f"0, so 'correct' is empty there: {some(list(self._partial))}"
            )
        samples = self._cut()
        self._check_reasoning(samples, cure)
        words = Counter(s.said.finish for s in samples if class_of(s.said.finish) is None)
        if words and tells_end:
            shown = ", ".join(f"{word or 'null'} ({n})" for word, n in words.most_common(3))
            notes.append(
                f"{self.path}: {words.total()} of {len(samples)} responses have no finish reason "
                f"that is known: {shown}; they are not taken for cut, but where their span does "
                "not end"
            )
        inferred = [sample.span for sample in samples if sample.prompt_opens is None]
        if unclosed := sum(not (span.closed or span.marked) for span in inferred):
            notes.append(
                f"{self.path}: {unclosed} of {len(samples)} responses without a tag were taken for "
                "reasoning that does not end, as the others only close a span: the prompt must "
                "open it"
            )
        return Log(samples, notes)

    def _notes(self) -> list[str]:
        """One sentence for each reason of leaving out."""
        num_all = len(self.samples) + sum(len(names) for _, names in self._left_out.values())
        return [
            f"{self.path}: left out {len(names)} of {num_all} {self.what}, {why}: {some(names)}"
            for why, names in self._left_out.values()
        ]

    def _cut(self) -> list[LoggedSample]:
        tags = self.options.tags
        texts: dict[str, list[str]] = {}
        for sample in self.samples:
            if sample.said.reasoning == "":
                texts.setdefault(sample.model, []).append(sample.said.text)
        inferred = {model: opened_by_prompt(of, tags) for model, of in texts.items()}
        closes = {model: any(tags.close in text for text in of) for model, of in texts.items()}

        def opened(sample: LoggedSample) -> bool:
            if sample.prompt_opens is None:
                return inferred.get(sample.model, False)
            # Where nothing closes a span, reasoning was taken off, whatever the prompt opened.
            return sample.prompt_opens and closes.get(sample.model, False)

        return [s._replace(span=split(s.said, tags, opened(s))) for s in self.samples]

    def _check_reasoning(self, samples: Sequence[LoggedSample], cure: str) -> None:
        """Refuse a file in which reasoning seems to have been lost rather than not written."""
        if self.options.allow_no_reasoning:
            return
        reasons = {
            sample.model for sample in samples if sample.span.marked or sample.usage.reasoning
        }
        silent = next((sample.model for sample in samples if sample.model not in reasons), None)
        if silent is not None:
            raise UserError(
                f"{self.path}: no response of {silent} holds reasoning or "
                f"{self.options.tags.close}; {cure}, or pass --allow_no_reasoning if the model "
                "does not reason"
            )


def correct(what: str, value: object) -> bool | None:
    """Return right or wrong from a score of 1 or 0; None for no score (null, NaN).

    Raises:
        UserError: it is another score.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    shown = f"{value:.4g}" if isinstance(value, float) else kind_of(value)
    raise UserError(f"{what} is {shown}, not 1 or 0; choose another --metric, or --metric none")


def some(names: Sequence[str]) -> str:
    """Name up to three, none of them at length, and say how many more there are."""
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more


# From a logged response to its cost: whose count it is, and what status the response has.


def load_tokenizer(name: str) -> Count:
    """A function that counts the tokens of a text, without special ones around it.

    Args:
        name: a folder with ``tokenizer.json``, such a file, or a name on the Hugging Face hub.

    Raises:
        UserError: there is no tokenizer, or no package to read it with.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UserError("--tokenizer needs a package: pip install 'handan[train]'") from None
    path = Path(name) / "tokenizer.json" if Path(name).is_dir() else Path(name)
    is_file = path.suffix == ".json"
    if is_file:
        json_object(str(path), read_bytes(path))
    try:
        tokenizer = Tokenizer.from_file(str(path)) if is_file else Tokenizer.from_pretrained(name)
    except (OSError, ValueError):
        raise UserError(
            f"--tokenizer {name}: neither a folder or file here nor a name the hub knows"
        ) from None
    except Exception as error:
        # tokenizers reports a malformed file as a bare Exception; anything narrower is a bug.
        if type(error) is not Exception:
            raise
        raise UserError(f"{path}: not a tokenizer of the tokenizers package ({error})") from None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def cost(sample: LoggedSample, tokens: Count | None, characters: bool) -> dict:
    """Counts, their source and the status of a response, as columns of ``costs.csv``.

    Args:
        sample: the response.
        tokens: counts the tokens of a text; None without a tokenizer.
        characters: count characters of everything instead.

    Raises:
        Unusable: nothing can count this response.
        UserError: a tokenizer is needed.
    """
    span = sample.span
    counts: tuple[int, int | None, str]
    if characters:
        counts = *_characters(sample), "characters"
    else:
        cure = "pass the model's --tokenizer, or --count characters"
        by_itself = ended(sample.said.finish)
        try:
            found = count(span.reasoning, span.answer, sample.usage, by_itself, tokens, cure)
        except Unusable:
            raise
        except UserError as error:
            raise UserError(f"{sample.place}: {error}") from None
        counts = found.reasoning, found.answer, found.counted_by
    return {
        "reasoning_tokens": counts[0],
        "answer_tokens": counts[1],
        "prompt_tokens": None if characters else sample.usage.prompt,
        "reasoning_characters": None if span.reasoning is None else len(span.reasoning),
        "status": status(sample.said.finish, span, counts[0]),
        "counted_by": counts[2],
    }


def _characters(sample: LoggedSample) -> tuple[int, int]:
    """Characters of reasoning and answer."""
    reasoning, answer = sample.span.reasoning, sample.span.answer
    if reasoning is None:
        raise Unusable("its reasoning is hidden, so nothing counts its characters")
    check_text(reasoning + answer, sample.usage.generated, None)
    return len(reasoning), len(answer)


def agreement(samples: Sequence[LoggedSample], rows: Sequence[dict]) -> str | None:
    """How text counted again compares with what the provider says it generated, in words."""
    ratios = [
        (row["reasoning_tokens"] + row["answer_tokens"]) / sample.usage.generated
        for sample, row in zip(samples, rows, strict=True)
        if row["counted_by"] == "retokenized" and sample.usage.generated
    ]
    if not ratios:
        return None
    return (
        f"the tokenizer finds {median(ratios):.2f} of the tokens the provider counted (median of "
        f"{len(ratios)}; tags and end of sequence are not in the text)"
    )
