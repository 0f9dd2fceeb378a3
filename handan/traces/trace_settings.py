"""Settings of trace sets: one dataclass for each source, one YAML for each set.

The key ``source`` says which: ``generate`` draws traces from a model, ``published`` imports a
published set, ``run`` chooses among the traces of an earlier run by a policy, ``worked`` writes
worked solutions by rule.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handan.config import build, given_keys, load_yaml, parse, read_yaml
from handan.errors import UserError
from handan.generation.formats import AUTO
from handan.tiny.solutions import TraceStyle, check_style

KEEP = ("correct", "all")


@dataclass
class GenerateSettings:
    """Settings of traces drawn from a teacher; every key is set in the YAML."""

    output_dir: str = field(metadata={"help": "run directory of the traces"})
    arm: str = field(metadata={"help": "name of the teacher in all tables"})
    model_name_or_path: str = field(metadata={"help": "the teacher"})
    prompts: str = field(metadata={"help": "training prompts, the same as the students'"})
    samples: int = field(metadata={"help": "responses to each prompt"})
    temperature: float = field(metadata={"help": "0 is greedy"})
    top_p: float = field(metadata={"help": "nucleus; 1 is off"})
    max_new_tokens: int = field(metadata={"help": "the cap on a response"})
    batch_size: int = field(metadata={"help": "responses generated together"})
    seed: int = field(metadata={"help": "of the samples"})
    keep: str = field(metadata={"help": "correct: complete and right responses; all: complete"})
    source: str = field(default="generate", metadata={"help": "generate"})
    revision: str | None = field(default=None, metadata={"help": "revision of a hub model"})
    engine: str | None = field(
        default=None, metadata={"help": "YAML of the engine; null: transformers in this process"}
    )
    reasoning_format: str = field(
        default=AUTO,
        metadata={"help": "how the teacher marks its reasoning; auto: as its template"},
    )


@dataclass
class PublishedSettings:
    """Settings of the import of a published set; every key is set in the YAML.

    A column is named as ``question``, or by a path: ``reward_model.ground_truth``, ``turns[-1]``,
    or ``messages[role=user].content``, the ``content`` of the one entry of the list ``messages``
    whose ``role`` is ``user``.
    """

    output_dir: str = field(metadata={"help": "run directory of the traces"})
    arm: str = field(metadata={"help": "name of the teacher in all tables"})
    source: str = field(metadata={"help": "published"})
    dataset: str = field(metadata={"help": "OWNER/NAME on the hub, or a .jsonl or .parquet file"})
    subset: str | None = field(metadata={"help": "configuration of the set; null: its only one"})
    revision: str | None = field(metadata={"help": "commit of the set; null for a file"})
    split: str = field(metadata={"help": "split of the set"})
    where: dict[str, Any] = field(metadata={"help": "columns, and the value each must have"})
    question: str = field(metadata={"help": "column of the question"})
    response: str = field(
        metadata={"help": "column of the response or of its final part; a list: of as many traces"}
    )
    reasoning: str | None = field(
        metadata={"help": "column of the reasoning; null: it is a span of the response"}
    )
    open: str | None = field(metadata={"help": "what opens the span"})
    close: str | None = field(metadata={"help": "what closes the span"})
    strip: list[str] = field(metadata={"help": "marks to take out of the final part"})
    reference: str | None = field(metadata={"help": "column of the right answer; null: none"})
    limit: int | None = field(metadata={"help": "rows to read; null: all"})
    shuffle_buffer: int = field(
        metadata={"help": "rows held to draw the next one from; 0: in the order of the set"}
    )
    seed: int = field(metadata={"help": "of the order"})
    keep: str = field(metadata={"help": "correct: verified answers only; all: every whole trace"})
    ngram: int = field(metadata={"help": "words in a row that give an evaluation item away"})
    prompt_similarity: float | None = field(
        metadata={"help": "Jaccard similarity from which prompts are the same; null: no search"}
    )
    trace_similarity: float | None = field(
        metadata={"help": "the same for traces of one prompt; null: only identical ones go"}
    )


@dataclass
class RunSettings:
    """Settings of a choice among the traces of a run; every key is set in the YAML."""

    output_dir: str = field(metadata={"help": "run directory of the chosen traces"})
    arm: str = field(metadata={"help": "name of the teacher in all tables"})
    source: str = field(metadata={"help": "run"})
    run: str = field(metadata={"help": "run directory of the traces to choose from"})
    policy: str = field(
        metadata={"help": "as_is, concise, fixed_length, length_shuffled: see docs/traces.md"}
    )
    min_samples: int = field(
        metadata={"help": "prompts with fewer traces are left out; set all arms to the same"}
    )
    max_remaining: float | None = field(
        metadata={"help": "share of what the policy removes that may remain; null: only report it"}
    )
    seed: int = field(metadata={"help": "of what is chosen at random"})


@dataclass
class WorkedSettings:
    """Settings of worked solutions by rule; every key is set in the YAML."""

    output_dir: str = field(metadata={"help": "run directory of the traces"})
    arm: str = field(metadata={"help": "name of the teacher in all tables"})
    source: str = field(metadata={"help": "worked"})
    prompts: str = field(metadata={"help": "training prompts in compact wording"})
    style: dict[str, Any] = field(metadata={"help": "fields of handan.tiny.solutions.TraceStyle"})
    model_name_or_path: str = field(
        metadata={"help": "a model of the embedded world; only its tokenizer is used"}
    )
    samples: int = field(metadata={"help": "traces of each prompt"})
    seed: int = field(metadata={"help": "of the style and of the format 'mixed'"})

    def trace_style(self, place: str = "style") -> TraceStyle:
        """``style``, checked."""
        return check_style(build(self.style, TraceStyle, place), place)


KINDS: dict[str, type] = {
    "generate": GenerateSettings,
    "published": PublishedSettings,
    "run": RunSettings,
    "worked": WorkedSettings,
}
# Bounds of numbers, whichever source has them.
MINIMA = {
    "samples": 1,
    "max_new_tokens": 1,
    "batch_size": 1,
    "temperature": 0,
    "ngram": 1,
    "shuffle_buffer": 0,
}
SHARES = ("top_p", "prompt_similarity", "trace_similarity")


def load(path: Path) -> Any:
    """Load the settings in a YAML, of whichever source."""
    return check(load_yaml(path, _kind_of(path)), str(path))


def _kind_of(place: Path) -> type:
    source = read_yaml(place).get("source", "generate")
    if not isinstance(source, str) or source not in KINDS:
        raise UserError(f"{place}: source '{source}' is not known; use {', '.join(KINDS)}")
    return KINDS[source]


def from_command_line() -> Any:
    """Take the settings of ``--config FILE`` with the keys of the command line."""
    place, _ = given_keys()
    kind = _kind_of(Path(place)) if place != "command line" else GenerateSettings
    (settings,) = parse((kind,))
    return check(settings, place)


def check(settings: Any, place: str) -> Any:
    """The settings, once no key has an impossible value."""
    if KINDS.get(settings.source) is not type(settings):
        raise UserError(f"{place}: set 'source' in the YAML itself; it decides about other keys")
    keep = getattr(settings, "keep", "all")
    if keep not in KEEP:
        raise UserError(f"{place}: keep is '{keep}'; use {' or '.join(KEEP)}")
    for key, least in MINIMA.items():
        if (value := getattr(settings, key, least)) < least:
            raise UserError(f"{place}: {key} is {value}; give at least {least}")
    for key in SHARES:
        value = getattr(settings, key, None)
        if value is not None and not 0 < value <= 1:
            raise UserError(f"{place}: {key} is {value}; give a number above 0 and at most 1")
    if isinstance(settings, WorkedSettings):
        settings.trace_style(f"{place}: style")
    if isinstance(settings, PublishedSettings):
        _check_columns(settings, place)
    return settings


def _check_columns(settings: PublishedSettings, place: str) -> None:
    if (settings.reasoning is None) != (settings.close is not None):
        raise UserError(
            f"{place}: give either 'reasoning', the column, or 'open' and 'close', the marks "
            "of the span in the response, and set the other to null"
        )
    for column, value in settings.where.items():
        if not isinstance(column, str):
            raise UserError(f"{place}: where has the key {column!r}; give a column, in quotes")
        if value is not None and not isinstance(value, str | int | float):
            raise UserError(
                f"{place}: where.{column} is {value!r}; give text, a number, true, false or "
                "null, a date in quotes"
            )
    if settings.keep == "correct" and settings.reference is None:
        raise UserError(
            f"{place}: without a column of reference answers nothing can be verified; set "
            "keep: all, or name the column as 'reference'"
        )
