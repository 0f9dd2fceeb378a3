"""Typed values of JSON that others wrote; errors name values and never repeat long content."""

import contextlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from handan.errors import UserError

Kind = TypeVar("Kind", dict, list, str)

MAX_COUNT = 10**9
_NUMBER = re.compile(r"-?[0-9]+(\.0*)?", re.ASCII)
_WANTED: dict[type, str] = {dict: "a JSON object", list: "a list", str: "text"}
_KINDS = {str: "text", int: "a number", float: "a decimal", list: "a list", dict: "an object"}


@contextlib.contextmanager
def at(place: str) -> Iterator[None]:
    """Put a place in front of the sentence of any ``UserError`` inside."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{place}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """Read a file, or say why it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def json_lines(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield the objects of a JSON-lines file, each with its place."""
    found = False
    for number, line in enumerate(read_bytes(path).split(b"\n"), start=1):
        if line.strip():
            found = True
            yield f"{path}, line {number}", json_object(f"{path}, line {number}", line)
    if not found:
        raise UserError(f"{path}: empty; it needs one JSON object a line")


def json_object(place: str, content: bytes) -> dict:
    """Parse a JSON object in UTF-8, with or without a byte order mark."""
    with at(place):
        try:
            value = json.loads(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise UserError("not UTF-8; save the file as UTF-8") from None
        except json.JSONDecodeError as error:
            found = f"{error.msg} at character {error.pos}"
            raise UserError(f"not valid JSON ({found}); mend it") from None
        except (ValueError, RecursionError):
            # A number of thousands of digits, or thousands of brackets.
            raise UserError("JSON of absurd size or depth; remove it") from None
        if not isinstance(value, dict):
            raise UserError(f"expected a JSON object, not {kind_of(value)}")
        return value


def expect(what: str, value: object, kind: type[Kind]) -> Kind:
    """Return a value that must be an object, a list or text."""
    if not isinstance(value, kind):
        raise UserError(f"{what} is {kind_of(value)}, not {_WANTED[kind]}")
    return value


def part(row: dict, key: str, kind: type[Kind]) -> Kind:
    """Return the object, list or text at a key; an empty one for null or no such key."""
    return expect(key, row.get(key) or kind(), kind)


def field(row: dict, path: str, cure: str = "is --from the tool that wrote this file?") -> Any:
    """Return the value at a dotted path such as ``doc.item``, which must be there."""
    value: Any = row
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            raise UserError(f"no field '{path}'; {cure}")
        value = value[key]
    return value


def name(what: str, value: object) -> str:
    """Return a name: text or a whole number, without the space around it, not empty."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(f"{what} is {kind_of(value)}, not text or a whole number")
    found = str(value).strip()
    if not found:
        raise UserError(f"{what} is empty; give it a name")
    if found != text(what, found):
        raise UserError(f"{what} holds half a character (a lone surrogate); mend it")
    return found


def text(what: str, value: object) -> str:
    """Return text, '' for null; half characters (lone surrogates) become question marks."""
    found = expect(what, "" if value is None else value, str)
    return found.encode("utf-8", "replace").decode("utf-8")


def count(what: str, value: object) -> int | None:
    """Return a count, also from ``"49"`` and ``49.0``; None for null and -1, which some mean so."""
    if value is None:
        return None
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value) if len(value) < 30 else math.inf
    if isinstance(number, bool) or not isinstance(number, int | float) or number % 1:
        raise UserError(f"{what} is {kind_of(value)}, not a whole number")
    if number == -1:
        return None
    if not 0 <= number <= MAX_COUNT:
        sign = "negative" if number < 0 else "huge"
        raise UserError(f"{what} is {sign}; a count is from 0 to {MAX_COUNT:g}")
    return int(number)


def kind_of(value: object) -> str:
    """Name the kind of a JSON value without repeating its content."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _KINDS.get(type(value), "something else")
