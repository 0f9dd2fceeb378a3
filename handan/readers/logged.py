"""Samples as the readers return them, their costs, and the decisions that all readers share."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from handan.alignment.costs import DEMANDS
from handan.errors import UserError
from handan.generation import chat
from handan.generation.chat import Count, Counts, Said, Unusable, Usage, class_of, count, ended
from handan.generation.formats import ReasoningFormat
from handan.generation.spans import SplitText, split_text
from handan.inputs import at, json_object, kind_of, read_bytes

ITEM_COLUMNS = ("task", "item", *DEMANDS, "human_mean_rt_s", "norms")
ITEM_CURE = "it should hold the name of the item; choose another --item_field"


class LoggedSample(NamedTuple):
    """One response; ``prompt_opens`` if the prompt ends with the opening tag (None: no prompt)."""

    place: str
    model: str
    task: str
    item: str
    sample: str
    usage: Usage
    said: Said
    correct: bool | None
    prompt_opens: bool | None = None
    parts: SplitText = SplitText("", "", True, False)


class Log(NamedTuple):
    """The samples of a log and, one sentence each, what was left out or inferred."""

    samples: list[LoggedSample]
    notes: list[str]
    items: dict[tuple[str, ...], str] = {}  # noqa: RUF012 - cells of ITEMS and their place


class Options(NamedTuple):
    """Options for reading a log, as of ``handan costs``; None for what the log itself says."""

    model: str | None
    tags: ReasoningFormat
    allow_no_reasoning: bool = False
    item_field: str | None = None
    metric: str | None = None


class NoText(UserError):
    """A file without generated text, as of tasks that compare likelihoods."""


def read_files(
    path: Path, pattern: str, cure: str, read: Callable[[Path, Options], Log], options: Options
) -> Log:
    """Read a file, or those of a folder and its subfolders; of these one may be without text."""
    if not path.is_dir():
        return read(path, options)
    files = sorted(path.rglob(pattern))
    if not files:
        raise UserError(f"{path}: no {pattern} in this folder; {cure}")
    samples: list[LoggedSample] = []
    notes: list[str] = []
    for file in files:
        try:
            log = read(file, options)
        except NoText as error:
            log = Log([], [f"left out {error}"])
        samples += log.samples
        notes += log.notes
    if not samples:
        raise UserError("; ".join(notes))
    return Log(samples, notes)


class Collected:
    """Samples of one file while it is read, and what cannot be used of it."""

    def __init__(self, path: Path, what: str, options: Options) -> None:
        self.path, self.what, self.options = path, what, options
        self.samples: list[LoggedSample] = []
        self._left_out: dict[str, tuple[str, list[str]]] = {}
        self._num_scores = 0
        self._partial: dict[str, str] = {}

    def leave_out(self, name: str, why: UserError) -> None:
        """Leave a response out; reasons that differ in their figures are told as one."""
        reason = re.sub(r"[0-9]+", "0", str(why))
        self._left_out.setdefault(reason, (str(why), []))[1].append(name)

    def metric(self, given: dict) -> str | None:
        """Choose among the scores of a response; None if there is none, or none is wanted."""
        metric = self.options.metric
        if not given or metric == "none":
            return None
        if metric is None and len(given) == 1:
            (metric,) = given
        if metric not in given:
            what = f"no score '{metric}'" if metric else "several scores"
            raise UserError(f"{what}; choose one with --metric, or 'none': {some(list(given))}")
        return metric

    def score(self, name: str, place: str, what: str, value: object) -> bool | None:
        """Return right or wrong from a score of 1 or 0; None for no score, or another one."""
        self._num_scores += 1
        try:
            return correct(what, value)
        except UserError as error:
            self._partial[name] = f"{place}: {error}"
            return None

    def log(self, cure: str, tells_end: bool = True) -> Log:
        """Cut the responses, and tell what was left out; ``cure`` brings reasoning into a log."""
        num_all = len(self.samples) + sum(len(names) for _, names in self._left_out.values())
        notes = [
            f"left out {len(names)} of {num_all} {self.what}, {why}: {some(names)}"
            for why, names in self._left_out.values()
        ]
        if not self.samples and notes:
            raise UserError("; ".join(f"{self.path}: {note}" for note in notes))
        if self._partial:
            if len(self._partial) == self._num_scores:
                raise UserError(next(iter(self._partial.values())))
            notes.append(
                f"{len(self._partial)} of {self._num_scores} scores are neither 1 nor 0, so "
                f"'correct' is empty there: {some(list(self._partial))}"
            )
        samples = self._cut()
        reasons = {s.model for s in samples if s.parts.marked or s.usage.reasoning}
        silent = next((sample.model for sample in samples if sample.model not in reasons), None)
        if silent is not None and not self.options.allow_no_reasoning:
            raise UserError(
                f"{self.path}: no response of {silent} holds reasoning or "
                f"{self.options.tags.close}; {cure}, or pass --allow_no_reasoning if the model "
                "does not reason"
            )
        words = Counter(s.said.finish for s in samples if class_of(s.said.finish) is None)
        if words and tells_end:
            shown = ", ".join(f"{word or 'null'} ({n})" for word, n in words.most_common(3))
            notes.append(
                f"{words.total()} of {len(samples)} responses have no finish reason that is known: "
                f"{shown}; they are not taken for cut, but where their span does not end"
            )
        inferred = [sample.parts for sample in samples if sample.prompt_opens is None]
        if unclosed := sum(not (parts.closed or parts.marked) for parts in inferred):
            notes.append(
                f"{unclosed} of {len(samples)} responses without a tag were taken for reasoning "
                "that does not end, as the others only close a span: the prompt must open it"
            )
        return Log(samples, [f"{self.path}: {note}" for note in notes])

    def _cut(self) -> list[LoggedSample]:
        tags = self.options.tags
        opening, closing = str(tags.open), str(tags.close)
        texts = [(s.model, s.said.text) for s in self.samples if s.said.reasoning == ""]
        closes = {model for model, text in texts if closing in text}
        opens = {model for model, text in texts if opening in text.partition(closing)[0]}
        found = []
        for sample in self.samples:
            reasoning, text, _ = sample.said
            if reasoning == "":
                opened = sample.prompt_opens
                if opened is None:
                    # The prompt must open a span that responses close and none of them opens.
                    opened = sample.model not in opens
                # Where nothing closes a span, reasoning was taken off, whatever the prompt opened.
                parts = split_text(text, tags, opened and sample.model in closes)
            else:
                reasoning = reasoning if reasoning is None or reasoning.strip() else ""
                parts = SplitText(reasoning, text, closed=bool(text.strip()), marked=True)
            found.append(sample._replace(parts=parts))
        return found


def correct(what: str, value: object) -> bool | None:
    """Return right or wrong from a score of 1 or 0; None for no score (null, NaN)."""
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


def load_tokenizer(name: str) -> Count:
    """Return a counter of tokens by a folder, a ``tokenizer.json`` or a name of the hub."""
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
        none = "neither a folder or file here nor a name the hub knows"
        raise UserError(f"--tokenizer {name}: {none}") from None
    except Exception as error:
        # tokenizers reports a malformed file as a bare Exception; anything narrower is a bug.
        if type(error) is not Exception:
            raise
        raise UserError(f"{path}: not a tokenizer of the tokenizers package ({error})") from None
    # What is saved with a tokenizer would cut or pad every text.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def cost(sample: LoggedSample, tokens: Count | None, characters: bool) -> dict:
    """Count a response, in columns of ``costs.csv``; ``Unusable`` if nothing can count it."""
    reasoning, answer, *_ = sample.parts
    by_itself = ended(sample.said.finish)
    if not characters:
        cure = "pass the model's --tokenizer, or --count characters"
        with at(sample.place):
            counts = count(reasoning, answer, sample.usage, by_itself, tokens, cure)
    elif reasoning is None:
        raise Unusable("its reasoning is hidden, so nothing counts its characters")
    else:
        chat.check_text(reasoning + answer, sample.usage.generated, None)
        counts = Counts(len(reasoning), len(answer), None, "characters")
    return {
        "reasoning_tokens": counts.reasoning, "answer_tokens": counts.answer,
        "prompt_tokens": None if characters else sample.usage.prompt,
        "reasoning_characters": None if reasoning is None else len(reasoning),
        "status": status(by_itself, sample.parts, counts.reasoning),
        "counted_by": counts.counted_by,
    }  # fmt: skip


def status(by_itself: bool | None, parts: SplitText, reasoning_tokens: int) -> str:
    """Return the status of a response; where nobody says its end, an open span counts as cut."""
    if by_itself is False or (by_itself is None and not parts.closed):
        return "truncated"
    if not parts.closed or not parts.answer.strip():
        return "unparsed"
    return "complete" if reasoning_tokens else "no_reasoning"


def agreement(samples: Iterable[LoggedSample], rows: Iterable[dict]) -> list[str]:
    """Compare text counted again with what the provider says it generated, in a sentence."""
    ratios = [
        (row["reasoning_tokens"] + row["answer_tokens"]) / sample.usage.generated
        for sample, row in zip(samples, rows, strict=True)
        if row["counted_by"] == "retokenized" and sample.usage.generated
    ]
    if not ratios:
        return []
    found = f"the tokenizer finds {median(ratios):.2f} of the tokens the provider counted"
    where = "tags and end of sequence are not in the text"
    return [f"{found} (median of {len(ratios)}; {where})"]
