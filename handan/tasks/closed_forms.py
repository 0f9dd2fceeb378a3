"""Equality of expressions of numbers and letters, where it is certain without algebra.

Every letter (and \\pi, e) has one value that no answer is made for, so that equal values mean equal
functions. Roots of whole numbers have 60 digits, so that their equality is never certain; other
roots, and i in products, are letters. What reads in two ways, or is too large, has no value.
"""

import ast
import operator
import random
import re
from fractions import Fraction
from functools import lru_cache
from math import isqrt

MAX_CHARACTERS, MAX_BITS = 400, 40_000
AMBIGUOUS = re.compile(r"[/\s]|[a-zA-Z}]\d|[a-zA-Z]\(|\d(?:\\frac|\(\d)|\^(?:\w+|\{[^{}]*\})\^")
ATOM = re.compile(r"\\sqrt\{[^{}]*\}|\\[a-zA-Z]+|[a-zA-Z]|\d+(?:\.\d+)?|\.\d+")
ROOT = re.compile(r"\\sqrt\{(\d+)\}")
LETTER = re.compile(r"\\sqrt.*|\\(?:pi|alpha|beta|gamma|theta|lambda|mu|phi|omega|sigma)|[a-zA-Z]")
NOT_LINEAR = re.compile(r"[\^(/]|\\frac")
DIFFERENT = Fraction(1, 10**20)
PYTHON = {
    re.compile(r"\\frac *\{([^{}]*)\} *\{([^{}]*)\}"): r"((\1)/(\2))",
    re.compile(r"\^ *\{([^{}]*)\}"): r"**(\1)",
}
TIMES = re.compile(r"\\(?:cdot|times)(?![a-zA-Z])")
PRODUCT = re.compile(r"(?<=[\d)])\s*(?=[v(])")
OPERATIONS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def surely_equal(a: str, b: str) -> bool | None:
    """Tell whether two expressions without spaces are equal; None where that is not certain."""
    first, second = value(a), value(b)
    if first is None or second is None:
        return None
    if first == second:
        return True
    rest = ROOT.sub("", f"{a} {b}")
    imaginary = re.sub(r"\\[a-zA-Z]+", "", rest).count("i")
    if "\\sqrt" in rest or (imaginary and (NOT_LINEAR.search(rest) or imaginary > 2)):
        return None
    close = abs(first - second) <= DIFFERENT * max(abs(first), abs(second))
    return None if close and "\\sqrt" in a + b else False


@lru_cache(1_000)
def value(text: str) -> Fraction | None:
    """Return the value of an expression without spaces; None if it is not understood."""
    text = TIMES.sub("*", text)
    if len(text) > MAX_CHARACTERS or AMBIGUOUS.search(text):
        return None
    atoms: dict[str, Fraction] = {}

    def named(match: re.Match) -> str:
        atom, name = match[0], f"v{len(atoms)}"
        if root := ROOT.fullmatch(atom):
            radicand, scale = int(root[1]), 10**60
            atoms[name] = Fraction(isqrt(radicand * scale**2), scale)
        elif LETTER.fullmatch(atom):
            draw = random.Random(atom)
            atoms[name] = Fraction(draw.randrange(10**6, 10**7), draw.randrange(10**5, 10**6))
        elif atom[0] != "\\":
            atoms[name] = Fraction(atom)
        else:
            return atom
        return f" {name} "

    source, before = ATOM.sub(named, text), ""
    while source != before:
        before = source
        for pattern, replacement in PYTHON.items():
            source = pattern.sub(replacement, source)
    source = PRODUCT.sub("*", source.replace("^", "**"))
    if not re.fullmatch(r"[v\d+\-*/() ]*", source):
        return None
    try:
        return _value(ast.parse(source.strip(), mode="eval").body, atoms)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr, atoms: dict[str, Fraction]) -> Fraction:
    if isinstance(node, ast.Name):
        return atoms[node.id]
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, atoms)
        return -inner if isinstance(node.op, ast.USub) else inner
    if not isinstance(node, ast.BinOp):
        raise ValueError
    left, right = _value(node.left, atoms), _value(node.right, atoms)
    if not isinstance(node.op, ast.Pow):
        found = OPERATIONS[type(node.op)](left, right)
    elif right.denominator > 1 or abs(right) * _bits(left) > MAX_BITS:
        raise ValueError
    else:
        found = left ** int(right)
    if _bits(found) > MAX_BITS:
        raise ValueError
    return found


def _bits(number: Fraction) -> int:
    return number.numerator.bit_length() + number.denominator.bit_length()
