"""Whether two single answers are the same: numbers, numerals of a base, choices, words, formulas.

Integers, fractions and decimals are exact. Only a decimal of at least five significant digits also
stands for the value from which it is rounded or cut, which leaves a relative error below 1e-4; a
relative error of 2e-15 is taken for rounding of the machine.
"""

import re
from fractions import Fraction
from typing import NamedTuple

from handan.tasks import closed_forms

FEWEST_DIGITS, MACHINE, MOST_CHARACTERS = 5, Fraction(2, 10**15), 400

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
    r"(?P<sign>-?)(?:\\frac\{(?P<a>-?\d+)\}\{(?P<b>-?\d+)\}|(?P<c>\d+)/(?P<d>\d+))"
)
MIXED = re.compile(
    r"(?P<sign>-?)(?P<whole>\d+)(?:\s*\\frac\{(?P<a>\d+)\}\{(?P<b>\d+)\}| +(?P<c>\d+)/(?P<d>\d+))"
)
BASED = re.compile(
    r"\(?(?P<digits>[0-9A-Fa-f][0-9A-Za-z]*)\)?_\{?(?:\\text\{)?\(?(?P<base>\d{1,2}|[a-z]{3,7})[)}]*"
)
BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
BASES |= {"ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16}
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
POWERS_OF_TEN = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
# Units whose names are known: what is measured, and in multiples of what.
SIZES = {
    "mm": ("m", "1/1000"), "cm": ("m", "1/100"), "m": ("m", "1"), "km": ("m", "1000"),
    "in": ("in", "1"), "ft": ("in", "12"), "yd": ("in", "36"), "mi": ("in", "63360"),
    "mg": ("g", "1/1000"), "g": ("g", "1"), "kg": ("g", "1000"), "ml": ("l", "1/1000"),
    "l": ("l", "1"), "s": ("s", "1"), "min": ("s", "60"), "h": ("s", "3600"),
    "day": ("s", "86400"), "week": ("s", "604800"), "cent": ("cent", "1"),
    "dollar": ("cent", "100"), "am": ("am", "1"), "pm": ("pm", "1"),
}  # fmt: skip
NAMES = {
    "millimeter": "mm", "centimeter": "cm", "meter": "m", "kilometer": "km", "inche": "in",
    "inch": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi", "gram": "g",
    "milligram": "mg", "kilogram": "kg", "second": "s", "sec": "s", "minute": "min", "hour": "h",
    "hr": "h", "liter": "l", "milliliter": "ml",
}  # fmt: skip


class Scalar(NamedTuple):
    """A single answer without its unit, and the unit's name ('' if unknown) and power."""

    text: str
    unit: str = ""
    power: int = 1


def same(right: str, given: str) -> bool | None:
    """Whether two single answers in one spelling are the same; None if that is not certain.

    A unit may be left out and a percentage given by its number or its value; units that are both
    known count. A numeral without a base is one of the base that the other names.
    """
    if squeezed(right) == squeezed(given):
        return True
    numerals = _numeral(right), _numeral(given)
    if numerals[0] or numerals[1]:
        return _same_numeral(right, given, *numerals)
    a, b = _scalar(right), _scalar(given, answer=True)
    if _is_text(a.text) or _is_text(b.text):
        return _unwrapped(a.text) == _unwrapped(b.text)
    if a.unit and b.unit and (a.unit, a.power) != (b.unit, b.power):
        return _same_quantity(a, b)
    return same_value(a.text, b.text)


def squeezed(text: str) -> str:
    """``text`` without spaces, but for those between digits."""
    return SPACES.sub("", text)


def _unwrapped(text: str) -> str:
    return squeezed(TEXT.sub(r"\1", text)).casefold().replace(".", "")


def _is_text(text: str) -> bool:
    """Whether an answer is one of words: not products of letters, nor numbers in ``\\text``."""
    inner = TEXT.sub(r" \1 ", text).strip()
    if "\\" in inner or not any(character.isalpha() for character in inner):
        return False
    marked = inner != text.strip()
    return marked or bool(WORDS.fullmatch(inner) and WORD.search(inner))


def _scalar(text: str, answer: bool = False) -> Scalar:
    """An answer without its unit; a letter behind a number is a unit only in a given answer."""
    text = text.strip()
    if (whole := TEXT.fullmatch(text)) and whole[1].strip()[:1].isdigit():
        text = whole[1].strip()
    match = UNIT.search(text)
    if match is None or (match["letter"] and not answer):
        return Scalar(squeezed(text) if not MIXED.fullmatch(text) else text)
    head = text[: match.start()].strip()
    if not any(character.isdigit() for character in head) and not head.endswith(("}", ")")):
        return Scalar(squeezed(text))
    named = match["text"] or match["plain"] or match["glued"] or match["letter"] or ""
    words = named.replace(".", "").lower().split()
    if words and words[0] in POWERS_OF_TEN:
        head += f"\\times10^{{{POWERS_OF_TEN[words.pop(0)]}}}"
    power = int(match["power"] or 1)
    if words and words[0] in ("square", "sq", "cubic", "cu"):
        power = 2 if words.pop(0).startswith("sq") else 3
    name = "".join(words)
    name = name if name in SIZES else name.removesuffix("s")
    name = NAMES.get(name, name)
    head = head if MIXED.fullmatch(head) else squeezed(head)
    return Scalar(head, name if name in SIZES else "", power)


def without_unit(text: str) -> str:
    """An answer without the name of what it counts."""
    return _scalar(text).text


def _same_quantity(a: Scalar, b: Scalar) -> bool | None:
    """The same for two answers with known units that differ."""
    if SIZES[a.unit][0] != SIZES[b.unit][0] or a.power != b.power:
        return False
    sizes = [Fraction(SIZES[of.unit][1]) ** of.power for of in (a, b)]
    numbers = plain_number(a.text), plain_number(b.text)
    if numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0][0] * sizes[0] == numbers[1][0] * sizes[1]


def _numeral(text: str) -> tuple[str, int] | None:
    """Digits and base of a numeral that names its base; None for anything else."""
    match = BASED.fullmatch(squeezed(text)) if len(text) < MOST_CHARACTERS else None
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


def _same_numeral(
    right: str, given: str, a: tuple[str, int] | None, b: tuple[str, int] | None
) -> bool:
    """Numerals of the same value, or of the same digits where one of them has no base."""
    if a and b:
        return int(*a) == int(*b)
    digits = (a or b or ("", 0))[0]
    other = squeezed(given if a else right).replace(",", "").lower()
    return (other.lstrip("0") or "0") == digits


def same_value(right: str, given: str) -> bool | None:
    """Whether two expressions without spaces have the same value, percentages either way."""
    percent = right.endswith("%"), given.endswith("%")
    right, given = right.removesuffix("%"), given.removesuffix("%")
    if percent[0] == percent[1]:
        return _same_number(right, given)
    if percent[0]:
        others = f"\\frac{{{right}}}{{100}}", given
    else:
        others = right, f"\\frac{{{given}}}{{100}}"
    verdicts = [_same_number(right, given), _same_number(*others)]
    return True if True in verdicts else None if None in verdicts else False


def plain_number(text: str) -> tuple[Fraction, Fraction | None] | None:
    """An integer, decimal, fraction or mixed number, and what its last decimal counts.

    The latter is None where the number is exact. None for anything else.
    """
    if len(text) > MOST_CHARACTERS:
        return None
    if (match := NUMBER.fullmatch(text)) and any(character.isdigit() for character in text):
        return _decimal(match)
    if match := REPEATING.fullmatch(text):
        again, once = match["again"] or match["last"], match["once"]
        value = Fraction(int((match["whole"] or "0") + once), 10 ** len(once))
        value += Fraction(int(again), (10 ** len(again) - 1) * 10 ** len(once))
    elif match := FRACTION.fullmatch(text):
        above, below = int(match["a"] or match["c"]), int(match["b"] or match["d"])
        if below == 0:
            return None
        value = Fraction(above, below)
    elif match := MIXED.fullmatch(text):
        above, below = int(match["a"] or match["c"]), int(match["b"] or match["d"])
        if above >= below:
            return None
        value = int(match["whole"]) + Fraction(above, below)
    else:
        return None
    return (-value if match["sign"] else value), None


def _decimal(match: re.Match) -> tuple[Fraction, Fraction | None] | None:
    whole = (match["whole"] or match["points"] or "").replace(",", "").replace(".", "")
    decimals = match["decimals"] or match["comma"] or ""
    if not whole + decimals:
        return None
    power = int(match["power"].strip("{}")) if match["power"] else 0
    value = int(whole + decimals) * Fraction(10) ** (power - len(decimals))
    value = -value if match["sign"].count("-") % 2 else value
    digits = len((whole + decimals).lstrip("0"))
    exact = not decimals or digits < FEWEST_DIGITS
    unit = None if exact else Fraction(10) ** (power - len(decimals))
    return value, unit


def rounds(exact: closed_forms.Value, decimal: Fraction, unit: Fraction | None) -> bool:
    """Whether ``decimal``, whose last digit counts ``unit``, is ``exact`` rounded or cut.

    A decimal without a unit is exact.
    """
    if unit is None:
        return exact == decimal
    if not isinstance(exact, Fraction):
        if abs(exact.imag) > 1e-12 * abs(exact.real):
            return False
        exact = Fraction(exact.real)
    gap = (exact - decimal) * (1 if decimal > 0 else -1)
    slack = MACHINE * abs(decimal)
    return -unit / 2 - slack <= gap < unit or abs(gap) <= slack


def _same_number(right: str, given: str) -> bool | None:
    numbers = plain_number(right), plain_number(given)
    values = [
        found[0] if found else closed_forms.number(text)
        for found, text in zip(numbers, (right, given), strict=True)
    ]
    a, b = values
    if numbers[0] and numbers[1]:
        units = [found[1] for found in numbers if found and found[1]]
        if a == b or not units:
            return a == b
    for found, other in ((numbers[0], b), (numbers[1], a)):
        if found and found[1] and other is not None and rounds(other, *found):
            return True
    if numbers[0] and numbers[1]:
        return False
    return closed_forms.surely_equal(_written(right, numbers[0]), _written(given, numbers[1]))


def _written(text: str, number: tuple[Fraction, Fraction | None] | None) -> str:
    """A plain number as the parser of expressions reads it; other text as it is."""
    return text if number is None else f"\\frac{{{number[0].numerator}}}{{{number[0].denominator}}}"
