"""Where the YAML's columns lead in a row of a published set."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from handan.traces.cells import Unusable, kind, matches, opened, plain, shown, sure

NAME, ENTRY, INDEX = r"[^.\[\]]+", r"\[[^.=\[\]]+=[^\[\]]*\]", r"\[-?\d{1,6}\]"
PATH = re.compile(rf"{NAME}(?:\.{NAME}|{ENTRY}|{INDEX})*")
STEP = re.compile(
    rf"(?P<name>{NAME})|\[(?P<key>[^.=\[\]]+)=(?P<value>[^\[\]]*)\]|\[(?P<at>-?\d+)\]"
)


class Step(NamedTuple):
    """One step of a path: into an object by its name, or into a list by an entry's key or place."""

    name: str | None = None
    key: str | None = None
    value: str | None = None
    at: int | None = None


class Visit(NamedTuple):
    """A list on the way, which of its entries the path goes through, and the key it is known by."""

    place: str
    entries: Sequence[Any]
    at: int
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
        at = None if match["at"] is None else int(match["at"])
        found.append(Step(match["name"], match["key"], match["value"], at))
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
        if step.name is not None:
            value = _member(value, step.name, place, part)
            place = f"{place}.{step.name}" if place else step.name
            continue
        entries = _entries(value, place, part)
        position = _position(entries, step, place, part)
        visits.append(Visit(place, entries, position, step.key))
        value = sure(entries[position])
        place += f"[{position}]" if step.key is None else f"[{step.key}={step.value}]"
    return plain(value), visits


def _member(value: Any, name: str, place: str, part: str) -> Any:
    """What an object has by a name; of a list, what each entry has, or the reason it has nothing.

    The reason is raised when that entry is read, and not for the others.
    """
    if not isinstance(value, list):
        return _of_object(value, name, place, part)
    members: list[Any] = []
    for entry in value:
        try:
            members.append(_of_object(opened(entry), name, f"{place}[]", part))
        except Unusable as reason:
            members.append(reason)
    return members


def _of_object(value: Any, name: str, place: str, part: str) -> Any:
    value = sure(value)
    if value is None:
        raise Unusable(f"no_{part}", f"'{place}' holds nothing")
    if not isinstance(value, dict):
        raise Unusable(f"mistyped_{part}", f"'{place}' holds {kind(value)}, which has no '{name}'")
    if name not in value:
        holder = f"'{place}' is" if place else "the row is"
        raise Unusable(f"no_{part}", f"{holder} {kind(value)}, and has no '{name}'")
    return value[name]


def _entries(value: Any, place: str, part: str) -> list[Any]:
    if isinstance(value, dict) and value:
        columns = {name: plain(column) for name, column in value.items()}
        if all(isinstance(column, list) for column in columns.values()):
            # A list of objects as the library 'datasets' may store it: an object of lists.
            number = max(map(len, columns.values()))
            if all(len(column) == number for column in columns.values()):
                return [{name: columns[name][i] for name in columns} for i in range(number)]
    if value is None:
        raise Unusable(f"no_{part}", f"'{place}' holds nothing")
    if not isinstance(value, list):
        raise Unusable(f"mistyped_{part}", f"'{place}' holds {kind(value)}, not a list")
    return value


def _position(entries: list[Any], step: Step, place: str, part: str) -> int:
    """Which entry a step goes to, from the front."""
    if step.at is not None:
        if not -len(entries) <= step.at < len(entries):
            raise Unusable(f"no_{part}", f"'{place}' has {len(entries)} entries, none [{step.at}]")
        return step.at % len(entries)
    labels = [_label(opened(entry), step.key or "", place) for entry in entries]
    found = [i for i, label in enumerate(labels) if matches(step.value, label)]
    if len(found) > 1:
        raise Unusable("several_turns", f"'{place}' has {len(found)} of {step.key}={step.value}")
    if not found:
        there = ", ".join(dict.fromkeys(map(shown, labels))) or "no entries"
        raise Unusable(f"no_{part}", f"'{place}' has as '{step.key}' {there}, not '{step.value}'")
    return found[0]


def _label(entry: Any, key: str, place: str) -> Any:
    """What an entry is known by; without it nobody knows whose turn it is."""
    label = plain(entry.get(key)) if isinstance(entry, dict) else None
    if label is None:
        raise Unusable(f"entry_without_{key}", f"an entry of '{place}' is {kind(entry)}")
    return label
