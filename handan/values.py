"""Whether the values of a YAML are of the kinds that its keys stand for.

argparse converts words only: a list or a number from a YAML would reach the training as it is, and
fail there, or be taken for something else.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Collection, Sequence
from typing import Any

from handan.errors import UserError

WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "'key: value' lines",
    types.NoneType: "null",
}


def check_values(content: dict, kinds: Sequence[type], place: str) -> None:
    """Stop at a key of a YAML that is unknown, or whose value is of another kind than the key's.

    Args:
        content: of the YAML.
        kinds: dataclasses whose fields are the known keys.
        place: the YAML, for messages.

    Raises:
        UserError: names the key, and what it may be.
    """
    fields: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    for kind in kinds:
        fields |= {f.name: f for f in dataclasses.fields(kind) if f.init}
        hints |= typing.get_type_hints(kind)
    for key, value in content.items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            meant = f"did you mean '{near[0]}'?" if near else "remove it"
            raise UserError(f"{place}: unknown key '{key}'; {meant}")
        if isinstance(value, str) and "\0" in value:
            raise UserError(f"{place}: {key}: holds a NUL character; remove it")
        if value is None and fields[key].default is None:
            continue
        if not _fits(value, hints[key]):
            wanted = " or ".join(dict.fromkeys(_names(hints[key])))
            scalar = value is not None and not isinstance(value, list | dict)
            cure = "; write it in quotes" if scalar and _fits(str(value), hints[key]) else ""
            raise UserError(f"{place}: {key}: expected {wanted}, found {value!r}{cure}")


def check_finite(parts: Sequence[Any], given: Collection[str], place: str) -> None:
    """Stop at a number that is none.

    Args:
        parts: dataclasses that have been filled.
        given: keys that were set.
        place: where, for messages.

    Raises:
        UserError: names the key.
    """
    for part in parts:
        for field in dataclasses.fields(part):
            value = getattr(part, field.name, None)
            if isinstance(value, float) and field.name in given and not math.isfinite(value):
                raise UserError(f"{place}: {field.name} is {value}; give a finite number")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value may stand for a hint; argparse makes of a word what is needed."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, argument) for argument in arguments)
    if isinstance(value, str):
        return (origin or hint) not in (dict, types.NoneType)
    if isinstance(value, list) and origin is list:
        return all(_fits(one, arguments[0]) for one in value)
    if type(value) is int:  # and no bool
        return hint in (int, float)
    return type(value) is (origin or hint)


def _names(hint: Any) -> list[str]:
    """How the kinds that a hint admits are called in a YAML."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return [name for argument in typing.get_args(hint) for name in _names(argument)]
    return [WORDS.get(typing.get_origin(hint) or hint, "text")]
