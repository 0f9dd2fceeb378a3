"""Engines: what turns prompts into completions, in this process or on a server (docs/models.md)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from handan.config import build, read_yaml
from handan.errors import UserError
from handan.generation.chat import UNCOUNTED, Usage
from handan.generation.formats import ReasoningFormat
from handan.generation.prompting import Request

ENGINES = ("transformers", "vllm", "openai")


@dataclass(frozen=True)
class Completion:
    """One response, as an engine tells it."""

    ids: list[int] | None  # up to and including the end of sequence; None where a server keeps them
    ended: bool | None  # whether the model ended it itself; None if the engine does not say
    prompt_ids: list[int] | None = None  # where the engine made the prompt itself and tells them
    reasoning: str | None = ""  # what a server has set apart; None where it hides it
    text: str = ""  # everything else that was said, where there are no ids
    usage: Usage = UNCOUNTED  # a server's own counts
    # Columns of its row: the model that answered, and the server's word for why it ended.
    server: dict[str, str | None] = field(default_factory=dict)


# A request, and its completion or what kept it from being drawn.
Drawn = tuple[Request, Completion | UserError]


@dataclass(frozen=True)
class EngineSettings:
    """Keys of every engine's settings file; each engine's module has its own beside them."""

    engine: str
    # Commit of the code that a model brings along and that may run; null: none may.
    trust_remote_code: str | None = field(default=None, kw_only=True)


class Engine(Protocol):
    """The interface of all engines."""

    tokenizer: Any  # None if a server's is not known here
    form: ReasoningFormat
    ends: list[int]  # every id that ends a sequence
    identity: dict[str, Any]  # versions and settings that may change a response
    fingerprint: str  # hash of the weights, as far as they are known
    address: str | None  # of the server
    independent: bool  # whether a response depends on its own request and seed alone
    remote: bool  # whether responses come from a server, which may hide or change things

    def stream(self, batches: Iterable[Sequence[Request]], seed: int) -> Iterator[list[Drawn]]:
        """Yield what is finished, as it is finished.

        Where the engine has a scheduler of its own, no request waits for the longest response of
        the batch before.
        """
        ...


def load_engine(path: Path | None) -> EngineSettings:
    """Read and check the settings of an engine; without a file it is transformers."""
    content = {"engine": "transformers"} if path is None else read_yaml(path)
    name = content.get("engine")
    if name not in ENGINES:
        raise UserError(f"{path}: engine is {name!r}; use {', '.join(ENGINES)}")
    return build(content, import_module(f"handan.generation.{name}_engine").Settings, str(path))


def open_engine(
    settings: EngineSettings,
    model: str,
    revision: str | None = None,
    reasoning_format: str = "auto",
    device: Any = "cpu",
) -> Engine:
    """Make an engine ready for a directory, a hub name, or what a server calls its model.

    Format ``auto`` is what a recipe recorded, or else what the chat template shows.
    """
    module = import_module(f"handan.generation.{settings.engine}_engine")
    return module.open_engine(settings, model, revision, reasoning_format, device)
