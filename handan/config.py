"""Settings: YAML files and command lines into dataclasses, every key and type checked.

What stands on a command line or in a YAML ends up in logs, in run.json and at trackers, so a secret
is refused there before anything is written: it comes from the environment.
"""

import dataclasses
import difflib
import math
import os
import re
import sys
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from handan.errors import UserError
from handan.files import shipped

Settings = TypeVar("Settings")
MAX_VALUES = 100_000  # written out; our largest file has under a thousand
SHOWN_CHARACTERS = 200
NAMES: dict[Any, str] = {str: "text", int: "a whole number", float: "a number", list: "a list"}
NAMES |= {bool: "true or false", dict: "'key: value' lines", types.NoneType: "null"}
# Variables of the environment that hold a secret.
VARIABLE = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD)(_|$)")
# Keys of settings, and options, whose value is a secret as far as anybody may think of one.
KEY = re.compile(
    r"(?:\w*_)?(?:(?:hub|hf|access|auth|bearer)_token|api_?key|passwords?|passwd|secrets?"
    r"|authorization|credentials?)",
    re.IGNORECASE,
)
SHAPES = re.compile(rb"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[opsu]_[A-Za-z0-9]{30,})\b")
IN_ADDRESS = re.compile(
    r"\bhttps?://[^\s/?#@\"']+@"
    r"|[?&](?:api[_-]?key|key|(?:access_|auth_)?token|password|secret)=[^\s&#\"']",
    re.IGNORECASE,
)
CURE = (
    "secrets come from the environment only, as HF_TOKEN, WANDB_API_KEY or the variable that an "
    "engine's api_key_env names; remove it here"
)


def secrets_in(content: bytes, more: dict[str, str]) -> list[str]:
    """Names of the secrets in a text: variables of the environment, ``more``, shapes of tokens."""
    long = {name: value for name, value in os.environ.items() if len(value) >= 8}
    known = {name: value for name, value in long.items() if VARIABLE.search(name.upper())} | more
    found = [name for name, value in known.items() if os.fsencode(value) in content]
    return found + ["something that looks like an access token"] * bool(SHAPES.search(content))


def refuse_in_text(text: str, place: str) -> None:
    """Stop at a secret in a text, without repeating it."""
    found = secrets_in(text.encode(), {})
    if IN_ADDRESS.search(text):
        found.append("an address with a password or key in it")
    if found:
        raise UserError(f"{place}: holds {found[0]}; {CURE}")


def refuse_key(key: str, place: str) -> None:
    """Stop at a setting that is there for a secret."""
    if KEY.fullmatch(key.replace("-", "_")):
        raise UserError(f"{place}: '{key}' is for a secret; {CURE}")


def refuse_in_words(words: Iterable[str]) -> None:
    """Stop at a command line that holds a secret."""
    for word in words:
        if word.startswith("--"):
            refuse_key(word[2:].partition("=")[0], "command line")
        refuse_in_text(word, "command line")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping, without a secret or aliases that stand for very many values."""
    import yaml  # here alone, as every command passes this module

    try:
        text = shipped(path).read_text(encoding="utf-8")
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None and _count_values(node, {}, str(path)) > MAX_VALUES:
                raise UserError(f"{path}: its aliases stand for over {MAX_VALUES:,} values")
            content = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply for settings") from None
    refuse_in_text(text, str(path))
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected 'key: value' lines")
    return content


def _count_values(node: Any, counted: dict[int, int], place: str) -> int:
    """Count the values a node stands for, aliases written out; each node is looked at once."""
    if id(node) in counted:
        if not counted[id(node)]:
            raise UserError(f"{place}: an alias stands for something that it is part of")
        return counted[id(node)]
    counted[id(node)] = 0  # until it is known
    inside = node.value if node.id == "sequence" else []
    for key, value in node.value if node.id == "mapping" else []:
        if key.id == "scalar" and not value.tag.endswith(":null"):
            refuse_key(key.value, place)
        inside += [key, value]
    counted[id(node)] = 1 + sum(_count_values(entry, counted, place) for entry in inside)
    return counted[id(node)]


def load_yaml(path: Path, kind: type[Settings]) -> Settings:
    """Read a YAML file into the dataclass ``kind``, every key checked."""
    return build(read_yaml(path), kind, str(path))


def build(content: Any, kind: type[Settings], place: str) -> Settings:
    """Turn a mapping into the dataclass ``kind``; ``place`` says where it came from."""
    if not isinstance(content, dict):
        raise UserError(f"{place}: expected 'key: value' lines, found {_shown(content)}")
    values, unset = check_values(content, (kind,), place), (dataclasses.MISSING,) * 2
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    needed = [field.name for field in fields if (field.default, field.default_factory) == unset]
    if missing := [repr(name) for name in needed if name not in values]:
        several = "keys {} are missing; add them" if missing[1:] else "key {} is missing; add it"
        raise UserError(f"{place}: {several.format(', '.join(missing))}")
    return kind(**values)


def check_values(content: dict, kinds: Sequence[type], place: str, words: bool = False) -> dict:
    """Check and convert the values of a mapping by the annotations of ``kinds``; with ``words``
    text may stand for whatever argparse makes of it, and null for a default."""
    fields: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    for kind in kinds:
        fields |= {field.name: field for field in dataclasses.fields(kind) if field.init}
        hints |= typing.get_type_hints(kind)
    values = {}
    for key, value in content.items():
        _check_key(str(key), fields, place)
        if not (words and value is None and fields[key].default is None):
            value = _convert(value, hints[key], f"{place}: {key}", words)
        values[key] = value
    return values


def _check_key(key: str, known: Iterable[str], place: str) -> None:
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        cure = f"did you mean '{near[0]}'?" if near else "remove it"
        raise UserError(f"{place}: unknown key '{key}'; {cure}")


def _convert(value: Any, hint: Any, place: str, words: bool) -> Any:
    """Return ``value`` as the annotated type; only an int may stand in for a float."""
    if hint is Any:
        return value
    if isinstance(value, str) and "\0" in value:
        raise UserError(f"{place}: holds a NUL character; remove it")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{place}: {value} is no finite number; give one")
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    hints = typing.get_args(hint) if union else (hint,)
    if value is None and types.NoneType in hints:
        return None
    for one in hints:
        kind, arguments = typing.get_origin(one) or one, typing.get_args(one)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return build(value, kind, place)
        if kind is list and arguments and isinstance(value, list):
            inside = [(entry, f"{place}[{i}]") for i, entry in enumerate(value)]
            return [_convert(entry, arguments[0], there, words) for entry, there in inside]
        if kind is dict and arguments and isinstance(value, dict):
            keys = [_convert(key, arguments[0], place, words) for key in value]
            pairs = [(entry, f"{place}.{key}") for key, entry in value.items()]
            entries = [_convert(entry, arguments[1], there, words) for entry, there in pairs]
            return dict(zip(keys, entries, strict=True))
        if kind is float and type(value) is int:
            return float(value)
        takes_words = words and kind not in (dict, types.NoneType)
        if type(value) is kind or (takes_words and isinstance(value, str)):
            return value
    names = [NAMES.get(typing.get_origin(one) or one, "text") for one in hints]
    scalar = value is not None and not isinstance(value, list | dict)
    cure = "; write it in quotes" if scalar and "text" in names else ""
    wanted = " or ".join(dict.fromkeys(names))
    raise UserError(f"{place}: expected {wanted}, found {_shown(value)}{cure}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def key(text: str, default: Any = dataclasses.MISSING) -> Any:
    """A field of a script's arguments: its help, and its default if it has one."""
    return dataclasses.field(default=default, metadata={"help": text})


def line_keys() -> set[str]:
    """Every key that is set on the command line."""
    return {a[2:].split("=")[0].replace("-", "_") for a in sys.argv[1:] if a.startswith("--")}


def given_keys() -> tuple[str, set[str]]:
    """The source of this command's settings, and every key that is set there or on the line."""
    arguments, keys = sys.argv[1:], line_keys()
    if "--config" not in arguments:
        return "command line", keys
    position = arguments.index("--config") + 1
    if position == len(arguments):
        raise UserError("--config needs the path of a YAML file")
    return arguments[position], keys | set(map(str, read_yaml(Path(arguments[position]))))


def parse(
    kinds: tuple[type, ...],
    required: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
    example: str = "",
) -> tuple[Any, ...]:
    """Fill a dataclass each from ``--config FILE`` and the command line, with ``more`` words.

    ``example`` is a whole command, told where ``required`` keys are missing.
    """
    from trl import TrlParser

    refuse_in_words(sys.argv[1:])
    place, given = given_keys()
    if "trust_remote_code" in line_keys():
        raise UserError(
            "--trust_remote_code: whose code is trusted is said in a YAML only, with the commit it "
            "is at"
        )
    if "env" in given:
        raise UserError(f"{place}: 'env' would change the environment; set variables there")

    class Parser(TrlParser):
        """TRL's parser, with errors of one line."""

        def error(self, message: str) -> Any:
            raise UserError(f"{place}: {message}")

    words = [*sys.argv[1:], *more]
    if place != "command line":
        check_values(read_yaml(Path(place)), kinds, place, words=True)
        words[words.index("--config") + 1] = shipped(place)
    parser = Parser(kinds, allow_abbrev=False)  # a misspelt key must not pass for another one
    known = {"help", "config"}.union(*([f.name for f in dataclasses.fields(k)] for k in kinds))
    for key in sorted(line_keys()):
        _check_key(key if key in known else key.removeprefix("no_"), known, "command line")
    if absent := [key for key in required if key not in given]:
        why = "what decides the result has no default"
        raise UserError(f"{place}: set {', '.join(absent)}; {why}; a whole command: {example}")
    try:
        parsed = parser.parse_args_and_config(words)
    except (ValueError, TypeError) as error:
        raise UserError(f"{place}: {' '.join(str(error).split())}") from None
    except ZeroDivisionError:
        raise UserError(
            f"{place}: a number that the trainer divides by is 0, such as num_generations or "
            "gradient_accumulation_steps; give at least 1"
        ) from None
    # argparse takes 'nan' on a command line for a number.
    for key, value in (item for part in parsed for item in vars(part).items()):
        if key in given and isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{place}: {key}: {value} is no finite number; give one")
    return parsed
