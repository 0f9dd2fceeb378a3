"""Engines: what turns prompts into completions.

``transformers`` and ``vllm`` run in this process, ``openai`` asks a server. ``docs/models.md`` says
when to use which, and what a server can hide.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from handan.config import build, read_yaml
from handan.engines.base import Completion, Engine, EngineSettings
from handan.errors import UserError

__all__ = ["ENGINES", "Completion", "Engine", "EngineSettings", "load_engine", "open_engine"]

ENGINES = ("transformers", "vllm", "openai")


def load_engine(path: Path | None) -> EngineSettings:
    """Read and check the settings of an engine; without a file it is transformers.

    Raises:
        UserError: names the file, the key and the cure.
    """
    content = {"engine": "transformers"} if path is None else read_yaml(path)
    name = content.get("engine")
    if name not in ENGINES:
        raise UserError(f"{path}: engine is {name!r}; use {', '.join(ENGINES)}")
    return build(content, import_module(f"handan.engines.{name}").Settings, str(path))


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
        reasoning_format: a key of ``FORMATS``, or ``auto``: the one a recipe recorded, or else the
            one that the chat template shows.
        device: where a model in this process is put.

    Raises:
        UserError: the model, its tokenizer or the engine's package is missing.
    """
    module = import_module(f"handan.engines.{settings.engine}")
    return module.open_engine(settings, model, revision, reasoning_format, device)
