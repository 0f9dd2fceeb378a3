"""Settings files: YAML into frozen dataclasses, where an unknown or missing key is an error."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from handan import credentials
from handan.errors import UserError

Settings = TypeVar("Settings")
MAX_VALUES = 100_000  # written out; our largest file has under a thousand
SHOWN_CHARACTERS = 200
UNIONS = (types.UnionType, typing.Union)
NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "'key: value' lines",
    types.NoneType: "null",
}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping, loaded safely.

    Raises:
        UserError: the file is missing, not YAML, not a mapping, or holds a secret.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = _load(text, str(path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply for settings") from None
    credentials.refuse_in_text(text, str(path))
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected 'key: value' lines")
    return content


def _load(text: str, place: str) -> Any:
    """Load one document, unless its aliases, shared when read, stand for billions of values."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}, place) > MAX_VALUES:
            raise UserError(f"{place}: its aliases stand for over {MAX_VALUES:,} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _values(node: yaml.Node, counted: dict[int, int], place: str) -> int:
    """Count the values a node stands for, aliases written out; each node is looked at once."""
    if id(node) in counted:
        if not counted[id(node)]:
            raise UserError(f"{place}: an alias stands for something that it is part of")
        return counted[id(node)]
    counted[id(node)] = 0  # until it is known
    number = 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and not value.tag.endswith(":null"):
                credentials.refuse_key(key.value, place)
            number += _values(key, counted, place) + _values(value, counted, place)
    elif isinstance(node, yaml.SequenceNode):
        number += sum(_values(entry, counted, place) for entry in node.value)
    counted[id(node)] = number
    return number


def load_yaml(path: Path, kind: type[Settings]) -> Settings:
    """Read a YAML file into the dataclass ``kind``, every key checked.

    Raises:
        UserError: a key is unknown, missing or of the wrong type; the message names file and key.
    """
    return build(read_yaml(path), kind, str(path))


def build(content: Any, kind: type[Settings], place: str) -> Settings:
    """Turn a mapping into the dataclass ``kind``; ``place`` says where it came from."""
    if not isinstance(content, dict):
        raise UserError(f"{place}: expected 'key: value' lines, found {_shown(content)}")
    values = check_values(content, (kind,), place)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        defaults = (field.default, field.default_factory)
        if field.name not in values and defaults == (dataclasses.MISSING, dataclasses.MISSING):
            raise UserError(f"{place}: key '{field.name}' is missing; add it")
    return kind(**values)


def check_values(
    content: dict, kinds: Sequence[type], place: str, words: bool = False
) -> dict[str, Any]:
    """Check the keys of a mapping, and each value against the annotation of its key.

    Args:
        content: the mapping.
        kinds: dataclasses whose fields are the known keys.
        place: where it came from, for messages.
        words: whether a text may stand for whatever argparse makes of it, and null for a default.

    Returns:
        The values by key, those of dataclasses built, whole numbers as numbers where these belong.

    Raises:
        UserError: a key is unknown, or a value of another type; names the key.
    """
    fields: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    for kind in kinds:
        fields |= {field.name: field for field in dataclasses.fields(kind) if field.init}
        hints |= typing.get_type_hints(kind)
    values = {}
    for key, value in content.items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            cure = f"did you mean '{near[0]}'?" if near else "remove it"
            raise UserError(f"{place}: unknown key '{key}'; {cure}")
        if not (words and value is None and fields[key].default is None):
            value = _convert(value, hints[key], f"{place}: {key}", words)
        values[key] = value
    return values


def _convert(value: Any, hint: Any, place: str, words: bool) -> Any:
    """Return ``value`` as the annotated type; only an int may stand in for a float."""
    if hint is Any:
        return value
    if isinstance(value, str) and "\0" in value:
        raise UserError(f"{place}: holds a NUL character; remove it")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{place}: {value} is no finite number; give one")
    hints = typing.get_args(hint) if typing.get_origin(hint) in UNIONS else (hint,)
    if value is None and types.NoneType in hints:
        return None
    for one in hints:
        kind, arguments = typing.get_origin(one) or one, typing.get_args(one)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return build(value, kind, place)
        if kind is list and arguments and isinstance(value, list):
            return [
                _convert(entry, arguments[0], f"{place}[{i}]", words)
                for i, entry in enumerate(value)
            ]
        if kind is dict and arguments and isinstance(value, dict):
            return {
                _convert(key, arguments[0], place, words): _convert(
                    entry, arguments[1], f"{place}.{key}", words
                )
                for key, entry in value.items()
            }
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is kind or (
            words and isinstance(value, str) and kind not in (dict, types.NoneType)
        ):
            return value
    names = [NAMES.get(typing.get_origin(one) or one, "text") for one in hints]
    scalar = value is not None and not isinstance(value, list | dict)
    cure = "; write it in quotes" if scalar and "text" in names else ""
    wanted = " or ".join(dict.fromkeys(names))
    raise UserError(f"{place}: expected {wanted}, found {_shown(value)}{cure}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
