"""Paths from a column's name in the YAML into a row of a published set."""

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
    at: str | None = None


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
    return tuple(Step(**match.groupdict()) for match in STEP.finditer(path))


def find(row: dict, path: str, part: str) -> tuple[Any, list[Visit]]:
    """Follow a path to a value, and note the lists on the way.

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
    """The member of an object by its name; of a list, that of each entry, or why it has none.

    Such a reason is raised when that entry is read, and not for the others.
    """
    if isinstance(value, list):
        members: list[Any] = []
        for entry in value:
            try:
                members.append(_member_of_one(opened(entry), name, f"{place}[]", part))
            except Unusable as reason:
                members.append(reason)
        return members
    return _member_of_one(value, name, place, part)


def _member_of_one(value: Any, name: str, place: str, part: str) -> Any:
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
        # A list of objects as the library 'datasets' may store it: an object of lists.
        columns = {name: plain(column) for name, column in value.items()}
        lengths = {len(of) if isinstance(of, list) else None for of in columns.values()}
        if len(lengths) == 1 and None not in lengths:
            return [
                dict(zip(columns, of, strict=True)) for of in zip(*columns.values(), strict=True)
            ]
    if value is None:
        raise Unusable(f"no_{part}", f"'{place}' holds nothing")
    if not isinstance(value, list):
        raise Unusable(f"mistyped_{part}", f"'{place}' holds {kind(value)}, not a list")
    return value


def _position(entries: list[Any], step: Step, place: str, part: str) -> int:
    """The place, from the front, of the entry that a step goes to."""
    if step.at is not None:
        at = int(step.at)
        if not -len(entries) <= at < len(entries):
            raise Unusable(f"no_{part}", f"'{place}' has {len(entries)} entries, none [{at}]")
        return at % len(entries)
    labels = []
    for entry in map(opened, entries):
        label = plain(entry.get(step.key)) if isinstance(entry, dict) else None
        if label is None:  # nobody knows whose turn it is
            raise Unusable(f"entry_without_{step.key}", f"an entry of '{place}' is {kind(entry)}")
        labels.append(label)
    found = [i for i, label in enumerate(labels) if matches(step.value, label)]
    if len(found) > 1:
        raise Unusable("several_turns", f"'{place}' has {len(found)} of {step.key}={step.value}")
    if not found:
        there = ", ".join(dict.fromkeys(map(shown, labels))) or "no entries"
        raise Unusable(f"no_{part}", f"'{place}' has as '{step.key}' {there}, not '{step.value}'")
    return found[0]
