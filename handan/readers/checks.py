"""Checks of untrusted JSON: logs are files of other programs around text of a model.

Every value is checked before it is used, and what does not fit is one sentence with its place, or
without where the place is ''.
Messages name what was expected and never repeat long content.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handan.alignment.data.cells import MOST_COUNT
from handan.errors import UserError

_NUMBER = re.compile(r"-?[0-9]+(\.0*)?", re.ASCII)
MOST_DIGITS = 30  # of a number as text


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def json_lines(path: Path) -> Iterator[tuple[str, dict]]:
    """The objects of a JSON-lines file, each with its place.

    Raises:
        UserError: the file cannot be read, or a line is not a JSON object in UTF-8.
    """
    found = False
    for number, line in enumerate(read_bytes(path).split(b"\n"), start=1):
        if line.strip():
            found = True
            yield f"{path}, line {number}", json_object(f"{path}, line {number}", line)
    if not found:
        raise UserError(f"{path}: empty; it needs one JSON object a line")


def json_object(place: str, content: bytes) -> dict:
    """The JSON object in some bytes (UTF-8, with or without a byte order mark).

    Raises:
        UserError: there is none.
    """
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{place}: not UTF-8; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{place}: not valid JSON ({error.msg} at character {error.pos}); mend it"
        ) from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, or thousands of brackets.
        raise UserError(f"{place}: JSON of absurd size or depth; remove it") from None
    if not isinstance(value, dict):
        raise UserError(f"{place}: expected a JSON object, not {_kind(value)}")
    return value


def get(place: str, row: dict, name: str) -> Any:
    """A field that must be there.

    Raises:
        UserError: it is not.
    """
    if name not in row:
        raise UserError(f"{place}: no field '{name}'; is --from the tool that wrote this file?")
    return row[name]


def dotted(place: str, row: dict, path: str) -> Any:
    """The value at a dotted path such as ``doc.item``.

    Raises:
        UserError: a part of the path is missing.
    """
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UserError(
                f"{place}: no field '{path}' for the name of the item; choose another --item_field"
            )
        value = value[part]
    return value


def table(place: str, what: str, value: object) -> dict:
    """A JSON object.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, dict):
        raise _misfit(place, f"{what} is {_kind(value)}, not a JSON object")
    return value


def listed(place: str, what: str, value: object) -> list:
    """A JSON list.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, list):
        raise _misfit(place, f"{what} is {_kind(value)}, not a list")
    return value


def name(place: str, what: str, value: object) -> str:
    """A name: text or a whole number, without the space around it.

    Raises:
        UserError: it is something else, or empty.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(f"{place}: {what} is {_kind(value)}, not text or a whole number")
    text = str(value).strip()
    if not text:
        raise UserError(f"{place}: {what} is empty; give it a name")
    if text != _valid(text):
        raise UserError(f"{place}: {what} holds half a character (a lone surrogate); mend it")
    return text


def text(place: str, what: str, value: object) -> str:
    """Some text, '' for null; half characters (lone surrogates) become question marks.

    Raises:
        UserError: it is something else.
    """
    if value is not None and not isinstance(value, str):
        raise _misfit(place, f"{what} is {_kind(value)}, not text")
    return _valid(value or "")


def count(place: str, what: str, value: object) -> int | None:
    """A count of tokens, or None for null and for -1, by which some say that they do not count.

    A whole number written as text or as a decimal (``"49"``, ``49.0``) is read.

    Raises:
        UserError: it is not a whole number from 0 to ``MOST_COUNT``.
    """
    if value is None:
        return None
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value) if len(value) < MOST_DIGITS else math.inf
    if isinstance(number, bool) or not isinstance(number, int | float) or number % 1:
        raise _misfit(place, f"{what} is {_kind(value)}, not a whole number")
    if number == -1:
        return None
    if not 0 <= number <= MOST_COUNT:
        sign = "negative" if number < 0 else "huge"
        raise _misfit(place, f"{what} is {sign}; a count is from 0 to {MOST_COUNT:g}")
    return int(number)


def correct(place: str, what: str, value: object) -> bool | None:
    """Right or wrong from a score of 1 or 0; None for no score (null, NaN).

    Raises:
        UserError: it is another score.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    shown = f"{value:.4g}" if isinstance(value, float) else _kind(value)
    raise UserError(
        f"{place}: {what} is {shown}, not 1 or 0; choose another --metric, or --metric none"
    )


def _misfit(place: str, sentence: str) -> UserError:
    """What a value is, with its place if the caller does not add it."""
    return UserError(f"{place}: {sentence}" if place else sentence)


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _kind(value: object) -> str:
    """What a JSON value is, in words that do not repeat its content."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds = {str: "text", int: "a number", float: "a decimal", list: "a list", dict: "an object"}
    return kinds.get(type(value), "something else")
