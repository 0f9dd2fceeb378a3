"""Equality of two answers to a problem of mathematics, without evaluating any text.

Answers are taken apart; expressions are left to the algebra of the caller. Numbers are compared
exactly; only a decimal of at least five significant digits also stands for what it is rounded or
cut from (a relative error below 1e-4), and a relative error of 2e-15 for rounding of the machine.
"""

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

from handan.config import read_yaml
from handan.tasks.closed_forms import surely_equal
from handan.tasks.final_answers import bare, in_brackets, outside, spelled, split

# Decides about two parts for which no rule here does; None if it cannot either.
Ask = Callable[[str, str], bool | None]
MAX_ENTRIES, MAX_CHARACTERS = 100, 400
MIN_DIGITS, MACHINE = 5, Fraction(2, 10**15)
DOTS = "\\ldots"

NUMBER = re.compile(
    r"(?P<sign>[-+]*)(?:(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?:\.(?P<decimals>\d+))?"
    r"|(?P<points>\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:\.\d{3})+(?=,\d))(?:,(?P<comma>\d+))?)\.?"
    r"(?:(?:[eE]|(?:\\times|\\cdot)10\^)(?P<power>[-+]?\d{1,3}|\{[-+]?\d{1,3}\}))?"
)
REPEATING = re.compile(
    r"(?P<sign>-?)(?P<whole>\d*)\.(?P<once>\d*)(?:\\(?:overline|bar|dot)\{?(?P<again>\d+)\}?"
    r"|(?P<last>\d)(?P=last){2,}\\ldots)"
)
FRACTION = re.compile(
    r"(?P<sign>-?)(?:(?P<whole>\d+)(?:\s*(?=\\)| +(?=\d)))?"
    r"(?:\\frac\{(?P<a>-?\d+)\}\{(?P<b>-?\d+)\}|(?P<c>\d+)/(?P<d>\d+))"
)
BASED = re.compile(
    r"\(?(?P<digits>[0-9A-Fa-f][0-9A-Za-z]*)\)?_\{?(?:\\text\{)?\(?(?P<base>\d{1,2}|[a-z]{3,7})[)}]*"
)
# Names of units with their sizes, of the bases of numerals, and of powers of ten.
KNOWN = read_yaml(Path(__file__).with_name("units.yaml"))
SIZES, BASES, POWERS_OF_TEN = KNOWN["sizes"], KNOWN["bases"], KNOWN["powers_of_ten"]
# '1 2' is not 12.
SPACES = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
WORDS = re.compile(r"[^\W\d_][\w' .,/()-]*")
WORD = re.compile(r"[^\W\d_]{4,}")

# Behind a number, a bracket or a command: words that name what is counted.
UNIT = re.compile(
    r"(?<=[\w)}.%\]])\s*(?:\^\\circ(?:\s*(?:\\text\{\s*)?(?P<scale>[CFK])\}?)?"
    r"|\\text\{\s*(?P<text>[^{}\d]*[a-zA-Z][^{}\d]*)\}"
    r"|(?<=[\d)}.])(?P<plain>\s+[a-zA-Z]{2}[a-zA-Z. -]*)"
    r"|(?<=\d)(?P<glued>[mck]m|[mk]?g|m?l|ft|yd|mi|in|min|am|pm)|(?<=\d)\s*(?P<letter>[msghLd]))"
    r"(?:\s*\^\s*\{?\s*(?P<power>[23])\s*\}?)?\.?\s*\Z"
)

CHOICE = re.compile(
    r"(?:(?i:option|choice|answer)\s*)?(?:\\text\{)?\s*(?:\((?P<a>[A-Ja-j])\)|(?P<b>[A-J])\s*[).:]"
    r"|(?P<c>[A-J])(?=\s*\}?\s*\Z))\s*[.:]?\s*\}?\s*(?P<rest>.*)"
)
ASSIGNED = re.compile(
    r"(?s)\s*(?P<name>(?:[a-zA-Z]'?(?:_\{?\w{1,3}\}?)?(?:\([a-zA-Z](?:,\s*[a-z])*\))?|[A-Z]{2,3}"
    r"|[a-zA-Z]{4,}|\\text\{[^{}]*\}|\\[a-z]+|\([a-z](?:,\s*[a-z])*\)))"
    r"\s*(?:=|\\in(?![a-zA-Z]))\s*(?P<value>.+)"
)
RELATION = re.compile(r"<|>|\\(?:leq|geq|neq|mid|cup|cap|setminus|to|implies|iff)(?![a-zA-Z])|:=")
MATRIX = re.compile(
    r"(?s)\\begin\{(?P<kind>(?:[pb]|small)?matrix|array)\}(?:\{[lcr| ]*\})?(?P<rows>.*)"
    r"\\end\{(?P=kind)\}"
)
CUT = re.compile(r"\A(-?\d*\.\d+)\s*\\ldots\Z")
NUMERAL_INDEX = re.compile(r"\d[})]?\s*_")


class Number(NamedTuple):
    """A plain number: its value, and what its last decimal counts; None where it is exact."""

    value: Fraction
    unit: Fraction | None = None


class Listed(NamedTuple):
    """An answer of several parts: brackets ('' if there are none), entries, and their names."""

    brackets: str
    entries: list[str]
    names: list[str | None]


def _nobody(right: str, given: str) -> None:
    """No decision."""


def same_answer(right: str, given: str, ask: Ask = _nobody) -> bool | None:
    """Tell whether an answer is right; None if uncertain. ``ask`` decides where algebra must."""

    def careful(right: str, given: str) -> bool | None:
        # Algebra drops dots and indices of numerals.
        known = DOTS not in right + given and not NUMERAL_INDEX.search(f"{right} {given}")
        return ask(right, given) if known else False

    return _same(spelled(bare(right)), spelled(bare(given)), careful)


def every(verdicts: Iterable[bool | None]) -> bool | None:
    """Return False if one is, else None if one is, else True."""
    found: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        found = None if verdict is None else found
    return found


def _same(right: str, given: str, ask: Ask) -> bool | None:
    if squeezed(right) == squeezed(given):
        return True
    choices = CHOICE.fullmatch(right), CHOICE.fullmatch(given)
    if choices[0] or choices[1]:
        # The letter or the value is enough; where both are given both must agree.
        letters = [c and (c["a"] or c["b"] or c["c"]).upper() for c in choices]
        rests = [c["rest"] if c else one for c, one in zip(choices, (right, given), strict=True)]
        if all(letters) and (letters[0] != letters[1] or not all(rests)):
            return letters[0] == letters[1]
        if choices[0] and choices[0]["a"] and not rests[0]:
            return letters[0] == given.upper()
        return _same(rests[0], rests[1], ask) if all(rests) else False
    # A decimal may have dots behind it, unless they repeat a digit.
    right, given = (
        text if REPEATING.fullmatch(squeezed(text)) else CUT.sub(r"\1", text)
        for text in (right, given)
    )
    numbers = plain_number(squeezed(right)), plain_number(squeezed(given))
    if numbers[0] and numbers[1] and same_scalar(right, given):
        return True
    if any(DOTS in outside(in_brackets(_value(text))[1]) for text in (right, given)):
        return _same_sequence(_value(right), _value(given), ask)
    rows, others = _cells(right), _cells(given)
    if rows and others:
        pairs = zip(chain(*rows), chain(*others), strict=True)
        alike = list(map(len, rows)) == list(map(len, others))
        return alike and every(_same(x, y, ask) for x, y in pairs)
    a, b = _listed(right), _listed(given)
    if a is None or b is None:
        # '1,000' is a number, but not where '1, 000' is asked for.
        a, b = (None if numbers[0] else a), (None if numbers[1] else b)
    return _same_list(right, given, (a, b), ask) if a or b else _same_single(right, given, ask)


def _listed(text: str) -> Listed | None:
    """Return the parts of a list, tuple, interval or set in one spelling, if there are any."""
    body = _value(text)
    brackets, inside = in_brackets(body.strip())
    cells = _cells(body)
    if cells and 1 in (len(cells), max(map(len, cells))):
        flat = list(chain(*cells))
        return Listed("()", flat, [None] * len(flat))
    if RELATION.search(outside(inside)):
        return None
    entries = []
    for entry in split(inside):
        signs = "+-" if entry.count("\\pm") == 1 else ["\\pm"]
        entries += [entry.replace("\\pm", sign).strip() for sign in signs]
    if brackets == "\\{\\}":
        entries = list(dict.fromkeys(map(squeezed, entries)))
    elif len(entries) < 2:
        return None
    if not all(entries) or len(entries) > MAX_ENTRIES:
        return None
    named = [_assigned(entry) for entry in entries]
    values = [m["value"] if m else entry for m, entry in zip(named, entries, strict=True)]
    return Listed(brackets, values, [match and squeezed(match["name"]) for match in named])


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
        return False if plain_number(squeezed(single)) else ask(right, given)
    kinds = {of.brackets for of in (a, b)} - {""}
    pair = len(a.entries) == 2
    if len(a.entries) != len(b.entries) or (len(kinds) == 2 and (pair or "\\{\\}" in kinds)):
        return False
    if pair and "" in (a.brackets, b.brackets) and kinds - {"()", "\\{\\}"}:
        return False  # an interval
    names = [_distinct(of.names) for of in (a, b)]
    if names[0] and names[1]:
        if names[0].keys() != names[1].keys():
            return False
        a, b = (
            of._replace(entries=[of.entries[place] for _, place in sorted(by.items())])
            for of, by in ((a, names[0]), (b, names[1]))
        )
    # 'x_1 = 3, x_2 = 2' are two solutions, 'x = 3, y = 2' is a pair.
    letters = {name[0] for name in names[0] or names[1] or ()}
    if kinds - {"\\{\\}"} or all(names) or len(letters) > 1:
        return every(_same(x, y, ask) for x, y in zip(a.entries, b.entries, strict=True))
    return _matched(a.entries, b.entries, ask)


def _distinct(names: list[str | None]) -> dict[str, int] | None:
    """Return the place of each name, if every entry has one of its own."""
    places = {name: place for place, name in enumerate(names) if name is not None}
    return places if len(places) == len(names) > 1 else None


def _assigned(text: str) -> re.Match | None:
    """Match name and value of an answer such as 'x = 5'; None for an equation that is none."""
    match = ASSIGNED.fullmatch(text)
    return match if match and "=" not in outside(match["value"]) else None


def _value(text: str) -> str:
    match = _assigned(text)
    return match["value"] if match else text


def _matched(right: list[str], given: list[str], ask: Ask) -> bool | None:
    """Compare two lists of entries in any order."""
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
    """Return the rows of cells of a matrix in whatever brackets; None for anything else."""
    match = MATRIX.fullmatch(_value(text).strip()) or MATRIX.fullmatch(in_brackets(text)[1].strip())
    rows = [row for row in match["rows"].split("\\\\") if row.strip()] if match else []
    return [[cell.strip() for cell in row.split("&")] for row in rows] or None


def _same_sequence(right: str, given: str, ask: Ask) -> bool | None:
    """Compare sequences of which a part is left out by the terms that are given."""
    first, second = _around_dots(right), _around_dots(given)
    if DOTS not in given:
        first, second = second, first
    (a_sign, a_begin, a_end), (b_sign, b_begin, b_end) = first, second
    if a_sign != b_sign:
        return False
    if a_end is None:
        # All terms against a part of them.
        if b_end is None or len(b_begin) < 2 or not b_end or not _one_law(a_begin):
            return False
        a_end = a_begin[-len(b_end) :]
    elif b_end is None or len(a_end) != len(b_end):
        return False
    elif len(a_begin) != len(b_begin):
        shorter, longer = sorted((a_begin, b_begin), key=len)
        # Two terms show a difference, three a factor.
        if len(shorter) < 2 or not _one_law(longer, factor=len(shorter) > 2):
            return False
    terms = [*zip(a_begin, b_begin, strict=False), *zip(a_end, b_end, strict=True)]
    return every(_same(x, y, ask) for x, y in terms)


def _around_dots(text: str) -> tuple[str, list[str], list[str] | None]:
    """Return separator, terms before the dots, and terms after them (None without dots)."""
    text = in_brackets(text.strip())[1]
    separator = next((sign for sign in ",;:+" if sign in outside(text)), ",")
    terms = [term.strip() for term in split(text, separator)]
    if terms.count(DOTS) != 1:
        return separator, terms, None
    at = terms.index(DOTS)
    return separator, terms[:at], [term for term in terms[at + 1 :] if term]


def _one_law(terms: list[str], factor: bool = False) -> bool:
    """Tell whether numbers grow by one difference, or by one factor if that may be."""
    numbers = [plain_number(squeezed(term)) for term in terms]
    values = [number.value for number in numbers if number]
    if len(values) < max(3, len(terms)):
        return False
    if len({y - x for x, y in pairwise(values)}) == 1:
        return True
    return factor and all(values) and len({y / x for x, y in pairwise(values)}) == 1


def _same_single(right: str, given: str, ask: Ask) -> bool | None:
    """Compare two answers of one part each: unions, relations, equations, values."""
    if "\\cup" in right and "\\cup" in given:
        unions = right.split("\\cup"), given.split("\\cup")
        if _matched(*unions, _nobody) and len(unions[0]) == len(unions[1]):
            return True
    relations = bool(RELATION.search(right)), bool(RELATION.search(given))
    if any(relations):
        other = right if relations[1] else given
        number = not all(relations) and plain_number(squeezed(_value(other)))
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
        return ask(right, given) if len(sides[1]) > 1 else False
    if names[0] != names[1] and len(names[0]) == len(names[1]) == 1:
        return False
    if _contradictory(sides[1]) or _contradictory(about):
        return False
    right, given = sides[0][-1], sides[1][-1]
    verdict = same_scalar(right, given)
    return ask(_scalar(right)[0], _scalar(given)[0]) if verdict is None else verdict


def _contradictory(sides: list[str]) -> bool:
    """Tell whether '5 = 6' is said, which is two answers; '2/3 = 0.67' is not."""
    numbers = [number.value for side in sides if (number := plain_number(squeezed(side)))]
    return any(abs(x - y) > max(abs(x), abs(y)) / 20 for x, y in pairwise(numbers))


def same_scalar(right: str, given: str) -> bool | None:
    """Compare single answers; a unit, a percent sign or the base of a numeral may be left out."""
    if squeezed(right) == squeezed(given):
        return True
    if TEXT.search(right) and _unwrapped(right) == _unwrapped(given):
        return True
    numerals = _numeral(right), _numeral(given)
    if numerals[0] and numerals[1]:
        return int(*numerals[0]) == int(*numerals[1])
    if based := numerals[0] or numerals[1]:
        digits = squeezed(given if numerals[0] else right).replace(",", "").lower()
        return (digits.lstrip("0") or "0") == based[0]
    (a, unit, power), (b, other, other_power) = _scalar(right), _scalar(given, answer=True)
    if _is_text(a) or _is_text(b):
        return _unwrapped(a) == _unwrapped(b)
    if unit and other and (unit, power) != (other, other_power):
        x, y = plain_number(a), plain_number(b)
        if SIZES[unit][0] != SIZES[other][0] or power != other_power:
            return False
        if x is None or y is None:
            return None
        size, other_size = (Fraction(SIZES[of][1]) ** power for of in (unit, other))
        return x.value * size == y.value * other_size
    percent = a.endswith("%"), b.endswith("%")
    x, y = (plain_number(text.removesuffix("%")) for text in (a, b))
    if x is None or y is None:
        # Algebra knows what a decimal may be rounded from.
        rounded = (x and x.unit) or (y and y.unit)
        return None if rounded or any(percent) else surely_equal(a, b)
    if rounds(y.value, x) or rounds(x.value, y):
        return True
    x = Number(x.value / 100) if percent[0] else x
    y = Number(y.value / 100) if percent[1] else y
    return percent[0] != percent[1] and (rounds(y.value, x) or rounds(x.value, y))


def squeezed(text: str) -> str:
    """Return ``text`` without spaces, but for those between digits."""
    return SPACES.sub("", text)


def _unwrapped(text: str) -> str:
    return squeezed(TEXT.sub(r"\1", text)).casefold().replace(".", "")


def _is_text(text: str) -> bool:
    """Tell whether an answer is of words: not products of letters, nor numbers in ``\\text``."""
    inner = TEXT.sub(r" \1 ", text).strip()
    if "\\" in inner or not any(map(str.isalpha, inner)):
        return False
    return inner != text.strip() or bool(WORDS.fullmatch(inner) and WORD.search(inner))


def _scalar(text: str, answer: bool = False) -> tuple[str, str, int]:
    """Split off the unit's name ('' if unknown) and power; a letter is one only in answers."""
    text = text.strip()
    if (whole := TEXT.fullmatch(text)) and whole[1].strip()[:1].isdigit():
        text = whole[1].strip()
    match = UNIT.search(text)
    if match is None or (match["letter"] and not answer):
        return squeezed(text) if not FRACTION.fullmatch(text) else text, "", 1
    head = text[: match.start()].strip()
    if not any(map(str.isdigit, head)) and not head.endswith(("}", ")")):
        return squeezed(text), "", 1
    named = match["text"] or match["plain"] or match["glued"] or match["letter"] or ""
    words = named.replace(".", "").lower().split()
    if words and words[0] in POWERS_OF_TEN:
        head += f"\\times10^{{{POWERS_OF_TEN[words.pop(0)]}}}"
    power = int(match["power"] or 1)
    if words and words[0] in ("square", "sq", "cubic", "cu"):
        power = 2 if words.pop(0).startswith("sq") else 3
    name = "".join(words)
    name = name if name in SIZES else name.removesuffix("s")
    name = KNOWN["names"].get(name, name)
    head = head if FRACTION.fullmatch(head) else squeezed(head)
    return head, name if name in SIZES else "", power


def _numeral(text: str) -> tuple[str, int] | None:
    """Return digits and base of a numeral that names its base; None for anything else."""
    match = BASED.fullmatch(squeezed(text)) if len(text) < MAX_CHARACTERS else None
    if match is None:
        return None
    base = BASES.get(match["base"]) or (int(match["base"]) if match["base"].isdigit() else 0)
    digits = match["digits"].lower()
    if digits.isalpha() and (len(digits) == 1 or match["digits"].islower()):
        return None  # an index
    try:
        int(digits, base if base > 1 else 37)
    except ValueError:
        return None
    return digits.lstrip("0") or "0", base


def plain_number(text: str) -> Number | None:
    """Read an integer, decimal, fraction or mixed number; None for anything else."""
    if len(text) > MAX_CHARACTERS:
        return None
    if (match := NUMBER.fullmatch(text)) and any(map(str.isdigit, text)):
        whole = (match["whole"] or match["points"] or "").replace(",", "").replace(".", "")
        decimals = match["decimals"] or match["comma"] or ""
        if not whole + decimals:
            return None
        power = int(match["power"].strip("{}")) if match["power"] else 0
        unit = Fraction(10) ** (power - len(decimals))
        value = int(whole + decimals) * unit * (-1) ** match["sign"].count("-")
        exact = not decimals or len((whole + decimals).lstrip("0")) < MIN_DIGITS
        return Number(value, None if exact else unit)
    if match := REPEATING.fullmatch(text):
        again, once = match["again"] or match["last"], match["once"]
        value = Fraction(int((match["whole"] or "0") + once), 10 ** len(once))
        value += Fraction(int(again), (10 ** len(again) - 1) * 10 ** len(once))
    elif match := FRACTION.fullmatch(text):
        above, below = int(match["a"] or match["c"]), int(match["b"] or match["d"])
        if below == 0 or (match["whole"] and not 0 <= above < below):
            return None
        value = int(match["whole"] or 0) + Fraction(above, below)
    else:
        return None
    return Number(-value if match["sign"] else value)


def rounds(exact: Fraction, decimal: Number) -> bool:
    """Tell whether a decimal is ``exact`` rounded or cut; without a unit it must be equal."""
    if decimal.unit is None:
        return exact == decimal.value
    gap = (exact - decimal.value) * (1 if decimal.value > 0 else -1)
    slack = MACHINE * abs(decimal.value)
    return -decimal.unit / 2 - slack <= gap < decimal.unit or abs(gap) <= slack
