"""Values of expressions of numbers and letters, exact where they are rational.

Every letter has one value that no answer is made for, so two expressions that are rational there
are the same function exactly when their values are equal; \\pi and e are such letters too. Roots
and the imaginary unit make a value a complex floating-point number: then only a difference beyond
rounding is certain. Whatever a reader could take in two ways (an index, a slash before a product,
functions) has no value, and neither has what would be too large to count.
"""

import cmath
import re
from collections.abc import Mapping
from fractions import Fraction
from math import comb, factorial, inf, isqrt

Value = Fraction | complex
GREEK = ("alpha", "beta", "gamma", "theta", "lambda", "mu", "phi", "omega", "sigma")
# Far from each other and from anything that cancels.
LETTERS = {
    letter: Fraction(1_000_003 + 7_919 * place**2, 611_953 + 1_009 * place)
    for place, letter in enumerate("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
} | {"\\pi": Fraction(7_420_738_134_810, 2_362_094_115_149)}
for _place, _greek in enumerate(GREEK):
    LETTERS[f"\\{_greek}"] = Fraction(2_000_003 + 104_729 * _place, 811_953)
SECOND: dict[str, Value] = {letter: value**2 + Fraction(3, 7) for letter, value in LETTERS.items()}
CONSTANTS: dict[str, Value] = {"i": 1j, "e": complex(cmath.e), "\\pi": complex(cmath.pi)}
TOKEN = re.compile(
    r"\d+(?:\.\d+)?|\.\d+|\\(?:frac|sqrt|binom|cdot|times|pi|alpha|beta|gamma|theta|lambda|mu|phi"
    r"|omega|sigma)(?![a-zA-Z])|[a-zA-Z+\-^(){}!/\[\]]"
)
COMMAND = re.compile(r"\\[a-zA-Z]+")
MIXED = re.compile(r"\d(?:\\frac|\(\d)")
MAX_CHARACTERS, MAX_TOKENS, MAX_BITS, MAX_COUNT = 3_000, 80, 40_000, 3_000
# Relative, and beyond every rounding of floating point.
DIFFERENT = 1e-9


class _Unknown(Exception):
    """The text is not of the kind that is understood here, or too large."""


def surely_equal(a: str, b: str) -> bool | None:
    """Whether two expressions without spaces are equal; None where that is not certain."""
    first, second = value(a), value(b)
    if first is None or second is None:
        return None
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        if first == second:
            return True
        if "i" not in COMMAND.sub("", a + b):
            return False
    return False if surely_different(a, b) else None


def surely_different(a: str, b: str) -> bool:
    """Whether two expressions differ in value by more than rounding; False if not certain."""
    first, second = _evaluated(a, CONSTANTS), _evaluated(b, CONSTANTS)
    if first is None or second is None:
        return False
    try:
        x, y = complex(first[0]), complex(second[0])
        return abs(x - y) > DIFFERENT * max(first[1], second[1]) * max(abs(x), abs(y))
    except OverflowError:
        return False


def proportional(a: str, b: str) -> bool:
    """Whether one expression is certainly a multiple of the other, as at two points."""
    found = [_evaluated(text, point) for point in ({}, SECOND) for text in (a, b)]
    values = [of[0] for of in found if of is not None and isinstance(of[0], Fraction)]
    return len(values) == 4 and all(values) and values[0] * values[3] == values[1] * values[2]


def value(text: str) -> Value | None:
    """The value of an expression without spaces; None if it is not understood."""
    found = _evaluated(text, {})
    return None if found is None else found[0]


def number(text: str) -> Value | None:
    """The value of an expression whose only letters are \\pi, e and i; else None."""
    if set(re.findall("[a-zA-Z]", COMMAND.sub("", text))) - {"e", "i"}:
        return None
    found = _evaluated(text, CONSTANTS)
    return None if found is None else found[0]


def _evaluated(text: str, constants: Mapping[str, Value]) -> tuple[Value, float] | None:
    """Value at the point of this module, and by how much sums magnified rounding."""
    tokens = TOKEN.findall(text) if len(text) <= MAX_CHARACTERS else []
    if "".join(tokens) != text or not 0 < len(tokens) <= MAX_TOKENS or MIXED.search(text):
        return None
    parser = _Parser(tokens, constants)
    try:
        found = parser.sum()
    except (_Unknown, ZeroDivisionError, OverflowError):
        return None
    return None if parser.tokens else (found, parser.loss)


def _counted(number: Value) -> Value:
    """``number``, unless it is too large to count with."""
    if isinstance(number, Fraction):
        if number.numerator.bit_length() + number.denominator.bit_length() > MAX_BITS:
            raise _Unknown
    elif not cmath.isfinite(number):
        raise _Unknown
    return number


class _Parser:
    """Sums of products of powers, read from left to right."""

    def __init__(self, tokens: list[str], constants: Mapping[str, Value]) -> None:
        self.tokens = tokens[::-1]
        self.constants = constants
        # The root of a square is the letter itself only where that is positive.
        self.lettered = any(token in LETTERS for token in tokens)
        self.loss = 1.0

    def _next(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _take(self, expected: str = "") -> str:
        if not self.tokens or (expected and self.tokens[-1] != expected):
            raise _Unknown
        return self.tokens.pop()

    def sum(self) -> Value:
        total: Value = Fraction(0)
        largest: float = 0.0
        sign = self._take() if self._next() in ("+", "-") else "+"
        while True:
            term = self._product()
            total = _counted(total + term if sign == "+" else total - term)
            if not isinstance(total, Fraction):
                largest = max(largest, abs(complex(term)), abs(total))
            if self._next() not in ("+", "-"):
                if largest:
                    self.loss *= largest / abs(complex(total)) if total else inf
                return total
            sign = self._take()
            if sign == "+" and self._next() == "-":
                sign = self._take()  # '14 + -1'

    def _product(self) -> Value:
        product = self._power()
        while self._next() not in ("", "+", "-", ")", "}", "]"):
            factor: Value
            divided = self._next() == "/"
            if self._next() in ("\\cdot", "\\times", "/"):
                self._take()
                sign = -1 if self._next() == "-" and self._take() else 1
                factor = sign * self._power()
            elif self._next()[0].isdigit():
                raise _Unknown  # 'x2' may be an index
            else:
                factor = self._power()
            product = _counted(product / factor if divided else product * factor)
            if divided and self._next() not in ("", "+", "-", ")", "}", "]", "\\cdot", "\\times"):
                raise _Unknown  # '1/2x'
        return product

    def _power(self) -> Value:
        base = self._factor()
        while self._next() == "!":
            self._take()
            base = Fraction(factorial(_count(base)))
        if self._next() != "^":
            return base
        self._take()
        if self._next() == "{":
            exponent = self._group("{", "}")
        elif self._next().isdigit():
            exponent = Fraction(self._take())  # '2^10' is meant as 2^{10}
        elif len(self._next()) == 1 and self._next().isalpha():
            exponent = self._factor()
        elif self._next() == "(":
            exponent = self._group("(", ")")
        elif self._next() == "-":
            self._take()
            exponent = -Fraction(self._take()) if self._next().isdigit() else _unknown()
        else:
            raise _Unknown
        if self._next() == "^":
            raise _Unknown
        return self._raised(base, exponent)

    def _factor(self) -> Value:
        token = self._take()
        if token[0].isdigit() or token[0] == ".":
            return _counted(Fraction(token))
        if token in self.constants or token in LETTERS:
            # 'f(x)' is no product.
            if self._next() == "(" and token != "\\pi":
                raise _Unknown
            return self.constants.get(token) or LETTERS[token]
        if token in ("(", "{"):
            inner = self.sum()
            self._take(")" if token == "(" else "}")
            return inner
        if token == "\\frac":
            above = self._group("{", "}")
            return _counted(above / self._group("{", "}"))
        if token == "\\binom":
            of = _count(self._group("{", "}"))
            return Fraction(comb(of, _count(self._group("{", "}"))))
        if token == "\\sqrt":
            degree = self._group("[", "]") if self._next() == "[" else Fraction(2)
            if degree == 0:
                raise _Unknown
            return self._raised(self._group("{", "}"), 1 / degree)
        raise _Unknown

    def _group(self, opening: str, closing: str) -> Value:
        self._take(opening)
        inner = self.sum()
        self._take(closing)
        return inner

    def _raised(self, base: Value, exponent: Value) -> Value:
        """A power, exact where base and result are rational; roots are principal ones."""
        if isinstance(base, Fraction) and isinstance(exponent, Fraction):
            if exponent.denominator == 1:
                size = base.numerator.bit_length() + base.denominator.bit_length()
                if base not in (0, 1, -1) and size * abs(exponent) > MAX_BITS:
                    raise _Unknown
                return base ** int(exponent % 2 if base == -1 else exponent)
            if exponent.denominator == 2 and base >= 0 and not self.lettered:
                above, below = isqrt(base.numerator), isqrt(base.denominator)
                if above**2 == base.numerator and below**2 == base.denominator:
                    return self._raised(Fraction(above, below), exponent * 2)
            if base < 0 and exponent.denominator > 2:
                raise _Unknown  # the real root or the principal one
        base, exponent = complex(base), complex(exponent)
        if base == 0 or abs(exponent) > 500:
            raise _Unknown
        found = base**exponent
        if found == 0:
            raise _Unknown  # too small for floating point
        return _counted(found)


def _unknown() -> Fraction:
    raise _Unknown


def _count(number: Value) -> int:
    """``number`` as a small whole number."""
    if not isinstance(number, Fraction) or number.denominator > 1:
        raise _Unknown
    if not 0 <= number <= MAX_COUNT:
        raise _Unknown
    return int(number)
