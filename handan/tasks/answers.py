"""Whether two answers are the same: choices, lists, tuples, sets, matrices, equations.

What an answer consists of is taken apart here, without evaluating anything; single parts are
compared by ``handan.tasks.scalars``. What stays uncertain is left to algebra, which is asked for by
the caller.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from handan.tasks import closed_forms, scalars
from handan.tasks.notation import bare, in_brackets, outside, spelled, split
from handan.tasks.scalars import squeezed
from handan.tasks.sequences import DOTS, every, same_sequence

# Decides about two parts for which no rule here does; None if it cannot either.
Ask = Callable[[str, str], bool | None]
MOST_ENTRIES, ROUGHLY = 100, Fraction(1, 20)

CHOICE = re.compile(
    r"(?:(?i:option|choice|answer)\s*)?(?:\\text\{)?\s*(?:\((?P<a>[A-Ja-j])\)|(?P<b>[A-J])\s*[).:]"
    r"|(?P<c>[A-J])(?=\s*\}?\s*\Z))\s*[.:]?\s*\}?\s*(?P<rest>.*)"
)
NAME = (
    r"(?:[a-zA-Z]'?(?:_\{?\w{1,3}\}?)?(?:\([a-zA-Z](?:,\s*[a-z])*\))?|[A-Z]{2,3}|[a-zA-Z]{4,}"
    r"|\\text\{[^{}]*\}|\\[a-z]+|\([a-z](?:,\s*[a-z])*\))"
)
ASSIGNED = re.compile(rf"\s*(?P<name>{NAME})\s*(?:=|\\in(?![a-zA-Z]))\s*(?P<value>.+)", re.DOTALL)
RELATION = re.compile(r"<|>|\\(?:leq|geq|neq|mid|cup|cap|setminus|to|implies|iff)(?![a-zA-Z])|:=")
MATRIX = re.compile(
    r"\\begin\{(?P<kind>(?:[pb]|small)?matrix|array)\}(?:\{[lcr| ]*\})?(?P<rows>.*)"
    r"\\end\{(?P=kind)\}",
    re.DOTALL,
)
CUT = re.compile(r"(-?\d*\.\d+)\s*\\ldots")
NUMERAL_INDEX = re.compile(r"\d[})]?\s*_")


def _nobody(right: str, given: str) -> None:
    """No decision."""


class Listed(NamedTuple):
    """An answer of several parts: brackets ('' if there are none) and entries."""

    brackets: str
    entries: list[str]
    names: list[str | None]


def same_answer(right: str, given: str, ask: Ask = _nobody) -> bool | None:
    """Whether an answer is the right one; None if that is not certain.

    Args:
        right: the reference.
        given: the answer.
        ask: decides about parts that need algebra; by default nothing does.
    """

    def careful(right: str, given: str) -> bool | None:
        # Algebra drops dots and indices of numerals.
        known = DOTS not in right + given and not NUMERAL_INDEX.search(f"{right} {given}")
        return ask(right, given) if known else False

    return _same(spelled(bare(right)), spelled(bare(given)), careful)


def _same(right: str, given: str, ask: Ask) -> bool | None:
    if squeezed(right) == squeezed(given):
        return True
    choices = CHOICE.fullmatch(right), CHOICE.fullmatch(given)
    if choices[0] or choices[1]:
        return _same_choice(right, given, choices, ask)
    right, given = (_decimal(text) for text in (right, given))
    numbers = scalars.plain_number(squeezed(right)), scalars.plain_number(squeezed(given))
    if numbers[0] and numbers[1] and scalars.same(right, given):
        return True
    if any(DOTS in outside(in_brackets(_value(text))[1]) for text in (right, given)):
        return same_sequence(_value(right), _value(given), lambda x, y: _same(x, y, ask))
    rows, other_rows = _cells(right), _cells(given)
    if rows and other_rows:
        return _same_matrix(rows, other_rows, ask)
    a, b = listed(right), listed(given)
    if a is None or b is None:
        # '1,000' is a number, but not where '1, 000' is asked for.
        a, b = (None if numbers[0] else a), (None if numbers[1] else b)
    if a or b:
        return _same_list(right, given, (a, b), ask)
    return _same_single(right, given, ask)


def _decimal(text: str) -> str:
    """A decimal without the dots behind it, unless they repeat a digit."""
    match = CUT.fullmatch(text)
    return match[1] if match and not scalars.REPEATING.fullmatch(squeezed(text)) else text


def _same_choice(
    right: str, given: str, choices: tuple[re.Match | None, re.Match | None], ask: Ask
) -> bool | None:
    """The letter or the value is enough; where both are given both must agree."""
    letters = [c and (c["a"] or c["b"] or c["c"]).upper() for c in choices]
    rests = [c["rest"] if c else whole for c, whole in zip(choices, (right, given), strict=True)]
    if all(letters):
        if letters[0] != letters[1]:
            return False
        return _same(rests[0], rests[1], ask) if all(rests) else True
    if choices[0] and choices[0]["a"] and not rests[0]:
        return letters[0] == given.upper()
    return _same(rests[0], rests[1], ask) if all(rests) else False


def listed(text: str) -> Listed | None:
    """The parts of a list, tuple, interval or set in one spelling; None if there are none."""
    assigned = _assigned(text)
    body = assigned["value"] if assigned else text
    brackets, inside = in_brackets(body.strip())
    cells = _cells(body)
    if cells and 1 in (len(cells), max(map(len, cells))):
        flat = [cell for row in cells for cell in row]
        return Listed("()", flat, [None] * len(flat))
    if RELATION.search(outside(inside)):
        return None
    entries = [one for entry in split(inside) for one in _both_signs(entry)]
    if brackets == "\\{\\}":
        entries = list(dict.fromkeys(map(squeezed, entries)))
    elif len(entries) < 2:
        return None
    entries = [entry.strip() for entry in entries]
    if any(not entry for entry in entries) or len(entries) > MOST_ENTRIES:
        return None
    named = [_assigned(entry) for entry in entries]
    values = [
        match["value"] if match else entry for match, entry in zip(named, entries, strict=True)
    ]
    return Listed(brackets, values, [match and squeezed(match["name"]) for match in named])


def _both_signs(entry: str) -> list[str]:
    """The two answers of plus-minus."""
    if entry.count("\\pm") != 1:
        return [entry]
    return [entry.replace("\\pm", sign) for sign in ("+", "-")]


def _same_list(
    right: str, given: str, lists: tuple[Listed | None, Listed | None], ask: Ask
) -> bool | None:
    a, b = (
        found or Listed("", [_value(text)], [None])
        for found, text in zip(lists, (right, given), strict=True)
    )
    if lists[0] is None and not b.brackets:
        # Several answers to a question that has one: all of them must be right.
        return every(_same(a.entries[0], entry, ask) for entry in b.entries)
    if None in lists and (a.brackets or b.brackets) and len(a.entries) != len(b.entries):
        # The other may be '\\mathbb{R}' or 'x > 2'.
        single = given if lists[0] else right
        return False if scalars.plain_number(squeezed(single)) else ask(right, given)
    kinds = {of.brackets for of in (a, b)} - {""}
    pair = len(a.entries) == 2
    if len(a.entries) != len(b.entries) or (len(kinds) == 2 and (pair or "\\{\\}" in kinds)):
        return False
    if pair and "" in (a.brackets, b.brackets) and kinds - {"()", "\\{\\}"}:
        return False  # an interval
    names = [_distinct(of.names) for of in (a, b)]
    if names[0] and names[1]:
        if names[0] != names[1]:
            return False
        a, b = _by_name(a), _by_name(b)
    # 'x_1 = 3, x_2 = 2' are two solutions, 'x = 3, y = 2' is a pair.
    letters = {name[0] for name in names[0] or names[1] or []}
    if kinds - {"\\{\\}"} or all(names) or len(letters) > 1:
        return every(_same(x, y, ask) for x, y in zip(a.entries, b.entries, strict=True))
    return _matched(a.entries, b.entries, ask)


def _assigned(text: str) -> re.Match | None:
    """Name and value of an answer such as 'x = 5'; None for an equation that is none."""
    match = ASSIGNED.fullmatch(text)
    return match if match and "=" not in outside(match["value"]) else None


def _value(text: str) -> str:
    match = _assigned(text)
    return match["value"] if match else text


def _distinct(names: list[str | None]) -> list[str] | None:
    """The names in order, if every entry has one of its own."""
    known = sorted(name for name in names if name is not None)
    return known if len(set(known)) == len(names) > 1 else None


def _by_name(of: Listed) -> Listed:
    order = sorted(range(len(of.entries)), key=lambda index: of.names[index] or "")
    return Listed(of.brackets, [of.entries[i] for i in order], [of.names[i] for i in order])


def _matched(right: list[str], given: list[str], ask: Ask) -> bool | None:
    """Whether two lists hold the same entries in any order."""
    left, uncertain = list(given), False
    for entry in right:
        verdicts = [_same(entry, other, _nobody) for other in left]
        if True not in verdicts:
            for index in [index for index, verdict in enumerate(verdicts) if verdict is None]:
                verdicts[index] = _same(entry, left[index], ask)
                if verdicts[index]:
                    break
        if True in verdicts:
            left.pop(verdicts.index(True))
        elif None in verdicts:
            uncertain = True
        else:
            return False
    return None if uncertain else True


def _cells(text: str) -> list[list[str]] | None:
    """Rows of cells of a matrix in whatever brackets; None for anything else."""
    match = MATRIX.fullmatch(_value(text).strip()) or MATRIX.fullmatch(in_brackets(text)[1].strip())
    if match is None:
        return None
    rows = [row for row in match["rows"].split("\\\\") if row.strip()]
    return [[cell.strip() for cell in row.split("&")] for row in rows] or None


def _same_matrix(right: list[list[str]], given: list[list[str]], ask: Ask) -> bool | None:
    if [len(row) for row in right] != [len(row) for row in given]:
        return False
    rows = zip(right, given, strict=True)
    return every(_same(x, y, ask) for row in rows for x, y in zip(*row, strict=True))


def _same_single(right: str, given: str, ask: Ask) -> bool | None:
    """The same for two answers of one part each: unions, relations, equations, values."""
    if "\\cup" in right and "\\cup" in given:
        unions = right.split("\\cup"), given.split("\\cup")
        if _matched(*unions, _nobody) and len(unions[0]) == len(unions[1]):
            return True
    relations = bool(RELATION.search(right)), bool(RELATION.search(given))
    if any(relations):
        other = right if relations[1] else given
        number = not all(relations) and closed_forms.value(squeezed(_value(other))) is not None
        return False if number else ask(right, given)
    about = [part.strip() for part in given.split("\\approx")]
    given = about[0] or given
    names, sides = [], []
    for text in (right, given):
        assigned = _assigned(text)
        names.append(squeezed(assigned["name"]) if assigned else "")
        sides.append([side.strip() for side in split(text, "=", words=False)])
    equations = [len(of) == 2 and not name for of, name in zip(sides, names, strict=True)]
    if equations[0] or (names[0] and equations[1]):
        if len(sides[1]) < 2:
            return False
        return closed_forms.proportional(*map(_difference, sides)) or ask(right, given)
    if names[0] != names[1] and len(names[0]) == len(names[1]) == 1:
        return False
    if _contradictory(sides[1]) or _contradictory(about):
        return False
    right, given = sides[0][-1], sides[1][-1]
    verdict = scalars.same(right, given)
    return (
        ask(scalars.without_unit(right), scalars.without_unit(given))
        if verdict is None
        else verdict
    )


def _contradictory(sides: list[str]) -> bool:
    """Whether '5 = 6' is said, which is two answers; '2/3 = 0.67' is not."""
    values = [closed_forms.number(squeezed(side)) for side in sides]
    known = [value for value in values if isinstance(value, Fraction)]
    return any(abs(x - y) > ROUGHLY * max(abs(x), abs(y)) for x, y in pairwise(known))


def _difference(sides: list[str]) -> str:
    return f"({squeezed(sides[0])})-({squeezed(sides[1])})"
