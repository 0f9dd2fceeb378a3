"""Engines: what turns prompts into completions.

``transformers`` and ``vllm`` run in this process, ``openai`` asks a server. ``docs/models.md`` says
when to use which, and what a server can hide. Everything else, from the prompts to the grades, is
the same whichever engine runs. An engine's module is imported only when it is asked for.
"""

from collections.abc import Sequence
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
    """One response, as an engine tells it.

    Attributes:
        ids: generated ids up to and including the end of sequence; None where a server keeps them.
        ended: whether the model ended the response itself; None if the engine does not say.
        prompt_ids: the prompt's ids, where the engine made the prompt itself and tells them.
        reasoning: the reasoning's text, where a server has set it apart; None where it hides it.
        text: everything else that was said, where there are no ids.
        usage: a server's own counts.
        server: further columns of its row: ``served_by``, the model that answered, and
            ``finish_reason``, the server's word for why the response ended.
    """

    ids: list[int] | None
    ended: bool | None
    prompt_ids: list[int] | None = None
    reasoning: str | None = ""
    text: str = ""
    usage: Usage = UNCOUNTED
    server: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineSettings:
    """Keys of every engine's settings file; each engine's module has its own beside them.

    ``trust_remote_code`` is the commit of the code that a model brings along and that may run;
    null: none may. A hub model must be at that revision.
    """

    engine: str
    trust_remote_code: str | None = field(default=None, kw_only=True)


class Engine(Protocol):
    """The interface of all engines.

    Attributes:
        tokenizer: of the model; None if a server's is not known here.
        form: the model's reasoning format.
        ends: every id that ends a sequence.
        identity: engine, versions and settings that may change a response; part of the settings
            hash of every response.
        fingerprint: hash of the weights, as far as they are known.
        independent: whether a response depends on its own request and seed alone. If not, batches
            are drawn whole.
        address: of the server; None in this process.
        remote: whether responses come from a server, which may hide or change things.
    """

    tokenizer: Any
    form: ReasoningFormat
    ends: list[int]
    identity: dict[str, Any]
    fingerprint: str
    address: str | None
    independent: bool
    remote: bool

    def complete(self, batch: Sequence[Request], seed: int) -> list[Completion | UserError]:
        """Return one completion for each request of a batch, or what kept it from being drawn."""
        ...


def load_engine(path: Path | None) -> EngineSettings:
    """Read and check the settings of an engine; without a file it is transformers."""
    content = {"engine": "transformers"} if path is None else read_yaml(path)
    name = content.get("engine")
    if name not in ENGINES:
        raise UserError(f"{path}: engine is {name!r}; use {', '.join(ENGINES)}")
    return build(content, _module(name).Settings, str(path))


def open_engine(
    settings: EngineSettings,
    model: str,
    revision: str | None = None,
    reasoning_format: str = "auto",
    device: Any = "cpu",
) -> Engine:
    """Make an engine ready to generate.

    Args:
        settings: of ``load_engine``.
        model: a local directory, a name on the hub, or what a server calls it.
        revision: of the hub repository.
        reasoning_format: a key of ``FORMATS``, or ``auto``: what a recipe recorded, or else what
            the chat template shows.
        device: where a model in this process is put.
    """
    module = _module(settings.engine)
    return module.open_engine(settings, model, revision, reasoning_format, device)


def _module(name: str) -> Any:
    return import_module(f"handan.generation.{name}_engine")
