"""The entry points called as a user's commands call them, but within the process of the tests."""

import importlib.util
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from embedded import ROOT

from handan.cli import command
from handan.errors import run_main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@cache
def main_of(script: str) -> Callable[[], object]:
    """``main`` of a script of the project; importing it takes seconds the first time."""
    place = ROOT / script
    name = f"script_{place.stem}"
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.main


def run(words: list[Any], monkeypatch: Any, capsys: Any) -> Ended:
    """Run ``handan ...`` or ``some/script.py ...`` in the root of the project."""
    first, *rest = map(str, words)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [first, *rest])
    if first == "handan":

        def function() -> None:
            command(rest)
    else:
        function = main_of(first)  # type: ignore[assignment]
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as caught:
            run_main(function)
    finally:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
    return Ended(caught.value.code, *capsys.readouterr())


def content(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder with what it holds."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
