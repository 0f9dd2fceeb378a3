"""Where the YAML's columns lead in a row, and what stands there.

A row is what a stranger wrote: text where a list was announced, null, an entry without its role. So
a path ends at a value or in the reason why it does not, and what is found is never taken for
something that it is not.
"""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

NAME, INDEX = r"[^.\[\]]+", r"\[-?\d{1,6}\]"
ENTRY = rf"\[{NAME}=[^\[\]]*\](?:{INDEX})?"
PATH = re.compile(rf"{NAME}(?:\.{NAME}|{ENTRY}|{INDEX})*")
STEP = re.compile(
    rf"(?P<name>{NAME})|\[(?P<key>{NAME})=(?P<value>[^\[\]]*)\](?:\[(?P<nth>-?\d+)\])?"
    r"|\[(?P<index>-?\d+)\]"
)
# Unquoted in a YAML all of these are booleans, so a set's own 'on' cannot be asked for otherwise.
BOOLEANS = {True: ("true", "yes", "on"), False: ("false", "no", "off")}
TEXT_PARTS = ("text", "input_text", "output_text")
SHOWN_CHARACTERS = 60


class Unusable(Exception):
    """What is no trace.

    Attributes:
        reason: under which it is counted, in one word.
        found: what stood in the row, for the reader of the YAML.
    """

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(reason)
        self.reason, self.found = reason, found


class Step(NamedTuple):
    """One step of a path: into an object by its name, or into a list by an entry's key or place."""

    name: str | None = None
    key: str | None = None
    value: str | None = None
    index: int | None = None


class Visit(NamedTuple):
    """A list on the way, which of its entries the path goes through, and the key it is known by."""

    place: str
    entries: Sequence[Any]
    index: int
    key: str | None


@cache
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path such as ``messages[role=user].content`` or ``choices[-1].text``.

    What is written otherwise is taken for a column's plain name.
    """
    if not PATH.fullmatch(path):
        return (Step(path),)
    found = []
    for match in STEP.finditer(path):
        index = match["index"] or match["nth"]
        number = None if index is None else int(index)
        found.append(Step(match["name"], match["key"], match["value"], number))
    return tuple(found)


def find(row: dict, path: str, part: str) -> tuple[Any, list[Visit]]:
    """What a path leads to, and the lists on the way.

    A name asks every entry of a list. Text on the way that is JSON is read as what it holds.

    Args:
        row: of the set.
        path: a column's name, or steps into a column.
        part: what is looked for, as it stands in the reasons.

    Raises:
        Unusable: ``no_PART`` where nothing stands, ``mistyped_PART`` where the path cannot go on,
            ``entry_without_KEY``, or ``several_turns`` where more than one entry would do.
    """
    if path in row:
        return plain(row[path]), []
    value: Any = row
    place, visits = "", []
    for step in steps(path):
        value = opened(value)
        if value is None:
            raise Unusable(f"no_{part}", f"'{place}' holds nothing")
        if step.name is not None:
            value = _member(value, step.name, place, part)
            place = f"{place}.{step.name}" if place else step.name
            continue
        entries = _entries(value, place, part)
        position = _position(entries, step, place, part)
        visits.append(Visit(place, entries, position, step.key))
        value = entries[position]
        place += f"[{position}]" if step.key is None else f"[{step.key}={step.value}]"
    return plain(value), visits


def _member(value: Any, name: str, place: str, part: str) -> Any:
    if isinstance(value, list):
        return [_member_or_reason(opened(entry), name, place, part) for entry in value]
    if not isinstance(value, dict):
        raise Unusable(f"mistyped_{part}", f"'{place}' holds {kind(value)}, which has no '{name}'")
    if name not in value:
        holder = f"'{place}' is" if place else "the row is"
        raise Unusable(f"no_{part}", f"{holder} {kind(value)}, and has no '{name}'")
    return value[name]


def _member_or_reason(entry: Any, name: str, place: str, part: str) -> Any:
    """Of one entry of a list: the reason is raised when that entry is read, not for the others."""
    if entry is None:
        return None
    try:
        return _member(entry, name, place, part)
    except Unusable as reason:
        return reason


def _entries(value: Any, place: str, part: str) -> list[Any]:
    if isinstance(value, dict) and value:
        columns = {name: plain(column) for name, column in value.items()}
        if all(isinstance(column, list) for column in columns.values()):
            # A list of objects as the library 'datasets' may store it: an object of lists.
            number = max(map(len, columns.values()))
            if all(len(column) == number for column in columns.values()):
                return [{name: columns[name][i] for name in columns} for i in range(number)]
    if not isinstance(value, list):
        raise Unusable(f"mistyped_{part}", f"'{place}' holds {kind(value)}, not a list")
    return value


def _position(entries: list[Any], step: Step, place: str, part: str) -> int:
    among = list(range(len(entries)))
    if step.key is not None:
        known = [_label(opened(entry), step.key, place) for entry in entries]
        among = [i for i, label in enumerate(known) if matches(step.value, label)]
        if not among:
            there = ", ".join(dict.fromkeys(map(shown, known))) or "no entries"
            raise Unusable(f"no_{part}", f"'{place}' has for '{step.key}' {there}")
        if step.index is None and len(among) > 1:
            raise Unusable(
                "several_turns", f"'{place}' has {len(among)} entries '{step.key}={step.value}'"
            )
    index = step.index or 0
    if not -len(among) <= index < len(among):
        raise Unusable(f"no_{part}", f"'{place}' has {len(among)} such entries, so none [{index}]")
    return among[index]


def _label(entry: Any, key: str, place: str) -> Any:
    """What an entry is known by; without it nobody knows whose turn it is."""
    label = plain(entry.get(key)) if isinstance(entry, dict) else None
    if label is None:
        raise Unusable(f"entry_without_{key}", f"an entry of '{place}' is {kind(entry)}")
    return label


def plain(value: Any) -> Any:
    """A value in Python's own types; None for NaN, with which tables say that there is none."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def opened(value: Any) -> Any:
    """The same, and what it holds if it is the text of a JSON list or object."""
    value = plain(value)
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def scalar(value: Any) -> str | None:
    """Text, a number or a boolean as text, 42.0 as '42'; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value):
        digits = format(Decimal(str(value)), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return None


def matches(wanted: Any, value: Any) -> bool:
    """Whether a value is the one that the YAML asks for, whichever of the two is text."""
    if wanted is None or value is None:
        return wanted is value
    if isinstance(wanted, bool):
        if isinstance(value, str):
            return value.strip().casefold() in BOOLEANS[wanted]
        return isinstance(value, int | float) and value == wanted
    if isinstance(wanted, str) and isinstance(value, bool):
        return wanted.strip().casefold() == str(value).casefold()
    text = scalar(value)
    if text is None:
        return False
    if isinstance(wanted, str):
        return wanted in (text, str(value))
    return value == wanted if isinstance(value, bool) else text.strip() == scalar(wanted)


def is_content(value: Any) -> bool:
    """Whether a list holds the parts of one message, each with its type."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in value)
    )


def text_of(value: Any, path: str, part: str, numbers: bool = False) -> str:
    """A value that must be text, or parts of a message that are; with ``numbers`` any scalar.

    Raises:
        Unusable: ``no_PART``, ``mistyped_PART``, ``other_content`` or ``broken_characters``.
    """
    if isinstance(value, Unusable):
        raise value
    if is_content(value):
        value = "".join(_text_part(entry, path) for entry in value)
    text = scalar(value) if numbers else value
    if value is None or (isinstance(text, str) and not text.strip()):
        raise Unusable(f"no_{part}", f"'{path}' holds {'nothing' if value is None else 'no words'}")
    if not isinstance(text, str):
        raise Unusable(f"mistyped_{part}", f"'{path}' holds {kind(value)}, not text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unusable("broken_characters", f"'{path}' holds half of a character") from None
    return text


def _text_part(entry: dict, path: str) -> str:
    if entry["type"] not in TEXT_PARTS or not isinstance(entry.get("text"), str):
        raise Unusable("other_content", f"'{path}' has a part that is {kind(entry)}")
    return entry["text"]


def shown(value: Any) -> str:
    """A value in a message: a scalar as Python writes it, and not all of a long one."""
    if value is not None and scalar(value) is None:
        return kind(value)
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def kind(value: Any) -> str:
    """The type of a value, with the names or the beginning of what is in it."""
    value = plain(value)
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"text ({shown(value)})"
    if isinstance(value, bool | int | float | Decimal):
        return f"{'a boolean' if isinstance(value, bool) else 'a number'} ({value})"
    if isinstance(value, list):
        of = [kind(entry) for entry in value[:1] if not isinstance(entry, list)]
        return f"a list of {len(value)}" + "".join(f", first {first}" for first in of)
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(map(str, value)) or '(none)'}"
    return f"a value of type {type(value).__name__}"
