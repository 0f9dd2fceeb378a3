"""Rewards: the evaluator's verdict, and functions of one's own with TRL's signature."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from handan.errors import UserError
from handan.files import file_hash

VERIFIABLE = "verifiable"


def verifiable(correct: list[bool | None], **columns: Any) -> list[bool | None]:
    """Reward a right answer with 1, a wrong one with 0; None is no verdict, and no reward."""
    return correct


class Reward(NamedTuple):
    """A function with its weight in the sum, and the hash of its file if it is one's own."""

    function: Callable[..., Iterable[float | None]] = verifiable
    weight: float = 1.0
    sha256: str | None = None

    def values(self, name: str, number: int, columns: dict) -> list[float | None]:
        """Reward ``number`` completions."""
        found = self.function(**columns)
        try:
            values = [None if value is None else float(value) for value in found]
        except (TypeError, ValueError):
            values = []
        if len(values) != number or not all(v is None or math.isfinite(v) for v in values):
            raise UserError(
                f"reward {name} gave {str(found)[:80]}; give {number} finite numbers, one for each "
                "completion, or None for no reward"
            )
        return values


def load_rewards(reward: str | Mapping[str, float] | None) -> dict[str, Reward]:
    """Load what ``reward`` names: one as ``module:function``, or several with their weights."""
    try:
        found = yaml.safe_load(reward) if isinstance(reward, str) else reward
        weights = found if isinstance(found, Mapping) else {found or VERIFIABLE: 1.0}
        weights = {str(name): float(weight) for name, weight in weights.items()}
    except (TypeError, ValueError, yaml.YAMLError):
        weights = {}
    if not weights or not all(map(math.isfinite, weights.values())):
        raise UserError(f"reward is {reward!r}; give module:function, or 'name: weight' of several")
    return {name: _load(name, weight) for name, weight in weights.items()}


def _load(name: str, weight: float) -> Reward:
    if name == VERIFIABLE:
        return Reward(weight=weight)
    module, _, function = name.partition(":")
    path = Path(*module.split(".")).with_suffix(".py").absolute()
    if not function or not path.is_file():
        raise UserError(
            f"reward {name}: no file {path}; give {VERIFIABLE}, or module:function of a file in "
            "the working directory, such as my_rewards:brief of my_rewards.py"
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), function, None)
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise UserError(f"reward {name}: {path} has no function '{function}'")
    return Reward(found, weight, file_hash(path))
