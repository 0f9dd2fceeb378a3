"""Settings files: YAML into frozen dataclasses, where an unknown or missing key is an error."""

import dataclasses
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from handan import credentials
from handan.errors import UserError

Settings = TypeVar("Settings")
MOST_VALUES = 100_000  # written out; our largest file has under a thousand
SHOWN_CHARACTERS = 200


def read_yaml(path: Path) -> dict[str, Any]:
    """One YAML mapping, loaded safely.

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
    """The content of one document, once it is known not to grow when it is looked at.

    Aliases are shared when they are read, and a few lines of them can stand for billions of values.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}, place) > MOST_VALUES:
            raise UserError(f"{place}: its aliases stand for over {MOST_VALUES:,} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _values(node: yaml.Node, counted: dict[int, int], place: str) -> int:
    """How many values a node stands for, aliases written out; each node is looked at once."""
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
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [key for key in content if key not in fields]
    if unknown:
        raise UserError(f"{place}: unknown key '{unknown[0]}'; known keys: {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in content:
            values[name] = _convert(content[name], hints[name], f"{place}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"{place}: key '{name}' is missing; add it")
    return kind(**values)


def _convert(value: Any, hint: Any, place: str) -> Any:
    """``value`` as the annotated type; only an int may stand in for a float."""
    if hint is Any:
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        hint = next(a for a in arguments if a is not type(None))
        return _convert(value, hint, place)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(value, hint, place)
    if origin is list and isinstance(value, list):
        return [_convert(v, arguments[0], f"{place}[{i}]") for i, v in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {
            _convert(k, arguments[0], place): _convert(v, arguments[1], f"{place}.{k}")
            for k, v in value.items()
        }
    expected = origin or hint
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and "\0" in value:
        raise UserError(f"{place}: holds a NUL character; remove it")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{place}: {value} is no finite number; give one")
    if isinstance(value, expected) and not (isinstance(value, bool) and hint is not bool):
        return value
    raise UserError(f"{place}: expected {expected.__name__}, found {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
