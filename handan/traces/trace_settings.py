"""Settings of trace sets: one YAML for each set, one dataclass for each value of its ``source``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handan.config import build, given_keys, key, load_yaml, parse, read_yaml
from handan.errors import UserError
from handan.generation.formats import AUTO
from handan.tasks.worked_solutions import TraceStyle, check_style


@dataclass
class GenerateSettings:
    """Settings of traces drawn from a teacher; every key is set in the YAML."""

    output_dir: str = key("run directory of the traces")
    arm: str = key("name of the teacher in all tables")
    model_name_or_path: str = key("the teacher")
    prompts: str = key("training prompts, the same as the students'")
    samples: int = key("responses to each prompt")
    temperature: float = key("0 is greedy")
    top_p: float = key("nucleus; 1 is off")
    max_new_tokens: int = key("the cap on a response")
    batch_size: int = key("responses generated together")
    seed: int = key("of the samples")
    keep: str = key("correct: complete and right responses; all: complete")
    source: str = key("generate", "generate")
    revision: str | None = key("revision of a hub model", None)
    engine: str | None = key("YAML of the engine; null: transformers in this process", None)
    reasoning_format: str = key("how the teacher marks its reasoning; auto: as its template", AUTO)


@dataclass
class PublishedSettings:
    """Settings of the import of a published set; every key is set in the YAML.

    A column is named as ``question``, or by a path: ``reward_model.ground_truth``, ``turns[-1]``,
    or ``messages[role=user].content``, of the one entry of ``messages`` with that ``role``.
    """

    output_dir: str = key("run directory of the traces")
    arm: str = key("name of the teacher in all tables")
    source: str = key("published")
    dataset: str = key("OWNER/NAME on the hub, or a .jsonl or .parquet file")
    subset: str | None = key("configuration of the set; null: its only one")
    revision: str | None = key("commit of the set; null for a file")
    split: str = key("split of the set")
    where: dict[str, Any] = key("columns, and the value each must have")
    question: str = key("column of the question")
    response: str = key("column of the response or of its final part; a list: of as many traces")
    reasoning: str | None = key("column of the reasoning; null: it is a span of the response")
    open: str | None = key("what opens the span")
    close: str | None = key("what closes the span")
    strip: list[str] = key("marks to take out of the final part")
    reference: str | None = key("column of the right answer; null: none")
    limit: int | None = key("rows to read; null: all")
    shuffle_buffer: int = key("rows held to draw the next one from; 0: in the order of the set")
    seed: int = key("of the order")
    keep: str = key("correct: verified answers only; all: every whole trace")
    ngram: int = key("words in a row that give an evaluation item away")
    prompt_similarity: float | None = key(
        "Jaccard similarity from which prompts are the same; null: no search"
    )
    trace_similarity: float | None = key(
        "the same for traces of one prompt; null: only identical ones go"
    )


@dataclass
class RunSettings:
    """Settings of a choice among the traces of a run; every key is set in the YAML."""

    output_dir: str = key("run directory of the chosen traces")
    arm: str = key("name of the teacher in all tables")
    source: str = key("run")
    run: str = key("run directory of the traces to choose from")
    policy: str = key("as_is, concise, fixed_length, length_shuffled: see docs/traces.md")
    min_samples: int = key("prompts with fewer traces are left out; set all arms to the same")
    max_remaining: float | None = key(
        "share of what the policy removes that may remain; null: only report it"
    )
    seed: int = key("of what is chosen at random")


@dataclass
class WorkedSettings:
    """Settings of worked solutions by rule; every key is set in the YAML."""

    output_dir: str = key("run directory of the traces")
    arm: str = key("name of the teacher in all tables")
    source: str = key("worked")
    prompts: str = key("training prompts")
    style: dict[str, Any] = key("fields of handan.tasks.worked_solutions.TraceStyle")
    model_name_or_path: str = key("the student; only its tokenizer is used")
    samples: int = key("traces of each prompt")
    seed: int = key("of the style and of the format 'mixed'")
    reasoning_format: str = key("how the traces mark their reasoning; auto: as its template", AUTO)

    def trace_style(self, place: str = "style") -> TraceStyle:
        """``style``, checked."""
        return check_style(build(self.style, TraceStyle, place), place)


KINDS: dict[str, type] = {
    "generate": GenerateSettings, "published": PublishedSettings, "run": RunSettings,
    "worked": WorkedSettings,
}  # fmt: skip
# Bounds of numbers, whichever source has them.
MINIMA = dict.fromkeys(("samples", "max_new_tokens", "batch_size", "ngram"), 1)
MINIMA |= dict.fromkeys(("temperature", "shuffle_buffer"), 0)


def load(path: Path) -> Any:
    """Load the settings in a YAML, of whichever source."""
    return check(load_yaml(path, kind_of(path)), str(path))


def kind_of(place: Path) -> type:
    """The dataclass of the settings in a YAML, by its ``source``."""
    source = read_yaml(place).get("source", "generate")
    if not isinstance(source, str) or source not in KINDS:
        raise UserError(f"{place}: source '{source}' is not known; use {', '.join(KINDS)}")
    return KINDS[source]


def from_command_line() -> Any:
    """Take the settings of ``--config FILE`` with the keys of the command line."""
    place, _ = given_keys()
    kind = kind_of(Path(place)) if place != "command line" else GenerateSettings
    (settings,) = parse((kind,))
    return check(settings, place)


def check(settings: Any, place: str) -> Any:
    """The settings, once no key has an impossible value."""
    if KINDS.get(settings.source) is not type(settings):
        raise UserError(f"{place}: set 'source' in the YAML itself; it decides about other keys")
    keep = getattr(settings, "keep", "all")
    if keep not in ("correct", "all"):
        raise UserError(f"{place}: keep is '{keep}'; use correct or all")
    for name, least in MINIMA.items():
        if (value := getattr(settings, name, least)) < least:
            raise UserError(f"{place}: {name} is {value}; give at least {least}")
    for name in ("top_p", "prompt_similarity", "trace_similarity"):
        value = getattr(settings, name, None)
        if value is not None and not 0 < value <= 1:
            raise UserError(f"{place}: {name} is {value}; give a number above 0 and at most 1")
    if isinstance(settings, WorkedSettings):
        settings.trace_style(f"{place}: style")
    if not isinstance(settings, PublishedSettings):
        return settings
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
    return settings
