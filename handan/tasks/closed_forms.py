"""Answers that can be told apart without algebra: expressions of numbers and letters, and lists.

Two expressions that differ at one point are different, so each is evaluated once, at values of the
letters that no answer is made for. Only 'different' is certain: two that agree there may still be
told apart by algebra. Nothing but the few commands below is understood, and whatever a reader could
take in two ways (mixed numbers, ``2^10``, a slash, functions) is not.
"""

import cmath
import re
from fractions import Fraction

# Values of letters. i and e may be meant as letters too; then they may have any value, and these.
CONSTANTS: dict[str, complex] = {"i": 1j, "e": complex(cmath.e), "\\pi": complex(cmath.pi)}
LETTERS = {letter: 1.0 + (ord(letter) * 0.6180339887) % 1 for letter in "abcdkmnpqrstuvwxyz"}
TOKEN = re.compile(r"\d+(?:\.\d+)?|\\(?:frac|sqrt|pi|cdot|times)(?![a-zA-Z])|[a-z+\-^(){}]")
MIXED = re.compile(r"\d(?:\\frac|\(\d)")
# Longer or steeper ones are left to those who can count further.
MOST_TOKENS, MOST_EXPONENT, MOST_SIZE = 60, 12, 1e12
# Far more than rounding, and than what math-verify rounds away.
DIFFERENT = 1e-3

WITH_UNIT = re.compile(r"[\d)}][a-z]+$")

LIST = re.compile(r"(\(|\[|\\\{)(.+)(\)|\]|\\\})")


class _Unknown(Exception):
    """The text is not of the kind that is understood here."""


def surely_different(a: str, b: str) -> bool:
    """Whether two tidy expressions differ in value; False where that is not certain.

    Letters at the end may be a unit ('5cm'), which math-verify drops.
    """
    if WITH_UNIT.search(a) or WITH_UNIT.search(b):
        return False
    values = value(a), value(b)
    if values[0] is None or values[1] is None:
        return False
    return abs(values[0] - values[1]) > DIFFERENT * max(1.0, abs(values[0]))


def value(text: str) -> complex | None:
    """The value of a tidy expression at the point of this module; None if it is not understood."""
    tokens = TOKEN.findall(text)
    if "".join(tokens) != text or not 0 < len(tokens) <= MOST_TOKENS or MIXED.search(text):
        return None
    try:
        parser = _Parser(tokens)
        found = parser.sum()
        if parser.tokens:
            return None
    except (_Unknown, ZeroDivisionError, OverflowError):
        return None
    return found if abs(found) < MOST_SIZE else None


class _Parser:
    """Sums of products of powers, read from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens[::-1]

    def _next(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _take(self, expected: str = "") -> str:
        if not self.tokens or (expected and self.tokens[-1] != expected):
            raise _Unknown
        return self.tokens.pop()

    def sum(self) -> complex:
        total = 0j
        sign = self._take() if self._next() in ("+", "-") else "+"
        while True:
            term = self._product()
            total += term if sign == "+" else -term
            if self._next() not in ("+", "-"):
                return total
            sign = self._take()

    def _product(self) -> complex:
        product = self._power()
        while self._next() not in ("", "+", "-", ")", "}"):
            if self._next() in ("\\cdot", "\\times"):
                self._take()
            elif self._next()[0].isdigit():
                raise _Unknown  # 'x2' may be an index
            product *= self._power()
        return product

    def _power(self) -> complex:
        base = self._factor()
        if self._next() != "^":
            return base
        self._take()
        if self._next() == "{":
            exponent = self._braces()
        elif len(self._next()) == 1 and self._next().isdigit():
            exponent = complex(self._take())
        else:
            raise _Unknown
        if self._next() == "^" or abs(exponent) > MOST_EXPONENT:
            raise _Unknown
        return base**exponent

    def _factor(self) -> complex:
        token = self._take()
        if token[0].isdigit():
            return complex(token)
        if token in CONSTANTS:
            return CONSTANTS[token]
        if token in LETTERS:
            if self._next() == "(":
                raise _Unknown  # 'f(x)' is no product
            return complex(LETTERS[token])
        if token == "(":
            inner = self.sum()
            self._take(")")
            return inner
        if token == "\\frac":
            above = self._braces()
            return above / self._braces()
        if token == "\\sqrt":
            return cmath.sqrt(self._braces())
        raise _Unknown

    def _braces(self) -> complex:
        self._take("{")
        inner = self.sum()
        self._take("}")
        return inner


def as_list(text: str) -> tuple[str, list[str]] | None:
    """Brackets and entries of a tidy pair, interval or set; None for anything else."""
    match = LIST.fullmatch(text)
    if match is None:
        return None
    opened, inside, closed = match.groups()
    if (opened == "\\{") != (closed == "\\}"):
        return None
    entries = inside.split(",")
    return (opened + closed, entries) if len(entries) > 1 or opened == "\\{" else None


def same_lists(
    a: tuple[str, list[Fraction]], b: tuple[str, list[Fraction]], rounding: Fraction
) -> bool | None:
    """Whether two lists of numbers are equal; None if that is not certain.

    Args:
        a, b: brackets, and the numbers between them.
        rounding: numbers that differ, but by less, are neither.
    """
    first, second = a[1], b[1]
    sets = [of[0] == "\\{\\}" for of in (a, b)]
    if sets[0] != sets[1] or len(first) != len(second):
        return None
    if sets[0]:
        first, second = sorted(first), sorted(second)
        if len(set(first)) < len(first) or len(set(second)) < len(second):
            return None
    gaps = [abs(x - y) for x, y in zip(first, second, strict=True)]
    if max(gaps) == 0:
        # Of equal numbers, '[1,2]' and '(1,2)' may be meant alike.
        return True if a[0] == b[0] else None
    return False if max(gaps) > rounding else None
