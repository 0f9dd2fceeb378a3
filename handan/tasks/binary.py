"""Arithmetic with two four-bit binary numbers: five operations, as in Cho et al. (2019).

Complete designs, without negative differences and zero divisors, as far as there are human norms:
people were given all sums and differences and draws of the rest.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from handan import norms
from handan.tasks.answers import TIMES, Stated, before, grader, numbers_line
from handan.tasks.base import Item, Task
from handan.tasks.wording import worded

BITS = 4


def carries_of_addition(a: int, b: int) -> int:
    """Count carries: s(a) + s(b) - s(a + b), with s the number of ones (Legendre, Kummer)."""
    return a.bit_count() + b.bit_count() - (a + b).bit_count()


def borrows_of_subtraction(a: int, b: int) -> int:
    """Count the borrows in the columns of ``a - b``, a >= b: the carries of (a - b) + b."""
    return carries_of_addition(a - b, b)


def carries_of_multiplication(a: int, b: int) -> int:
    """Count the carries when shifted copies of ``a`` are summed by column: s(a) s(b) - s(a b)."""
    return a.bit_count() * b.bit_count() - (a * b).bit_count()


def borrows_of_division(a: int, b: int) -> int:
    """Count the borrows in all steps of a long division; the study counts the last digit's only."""
    rest = borrows = 0
    for position in reversed(range(max(BITS, a.bit_length()))):
        rest = 2 * rest + (a >> position & 1)
        if rest >= b:
            borrows += borrows_of_subtraction(rest, b)
            rest -= b
    return borrows


@dataclass(frozen=True)
class Operation:
    """An operation with its design, results and wordings."""

    symbol: str  # in keys
    request: str  # first sentence of the question
    allowed: Callable[[int, int], bool]
    result: Callable[[int, int], int]
    carries: Callable[[int, int], int]  # of the written method, or borrows
    named: tuple[str, ...]  # the problem in other words
    aside: str = r"(?!)"  # words after which a number is something else than what was asked for


OPERATIONS = {
    "binary_addition": Operation(
        "+", "Add the binary numbers {a} and {b}: {a} + {b}.",
        lambda a, b: True, operator.add, carries_of_addition,
        ("the sum of the binary numbers {a} and {b}", "adding {a} and {b} in binary"),
    ),
    "binary_subtraction": Operation(
        "-", "Subtract the binary number {b} from the binary number {a}: {a} - {b}.",
        operator.ge, operator.sub, borrows_of_subtraction,
        ("the difference of the binary numbers {a} and {b}",),
    ),
    "binary_multiplication": Operation(
        "*", f"Multiply the binary numbers {{a}} and {{b}}: {{a}} {TIMES} {{b}}.",
        lambda a, b: True, operator.mul, carries_of_multiplication,
        ("the product of the binary numbers {a} and {b}",),
    ),
    "binary_division": Operation(
        "/", "Divide the binary number {a} by the binary number {b} and give the quotient without "
        "remainder: {a} ÷ {b}.",
        lambda a, b: b > 0, operator.floordiv, borrows_of_division,
        ("the quotient of the binary numbers {a} and {b}",), r"\br(?:emainder)?\b",
    ),
    "binary_modulo": Operation(
        "%", "Divide the binary number {a} by the binary number {b} and give the remainder only: "
        "{a} mod {b}.",
        lambda a, b: b > 0, operator.mod, borrows_of_division,
        ("the remainder when the binary number {a} is divided by {b}",), r"\bquotient\b",
    ),
}  # fmt: skip


def binary_key(symbol: str, a: int, b: int, bits: tuple[int, int] = (BITS, BITS)) -> str:
    """Return the key of an item, e.g. ``0101+0011``: padded operands around + - * / or %."""
    return f"{a:0{bits[0]}b}{symbol}{b:0{bits[1]}b}"


def design(name: str) -> list[tuple[int, int]]:
    """List all pairs of operands of a task's complete design, in ascending order."""
    allowed, numbers = OPERATIONS[name].allowed, range(2**BITS)
    return [(a, b) for a in numbers for b in numbers if allowed(a, b)]


def make_item(name: str, a: int, b: int, bits: tuple[int, int] = (BITS, BITS)) -> Item:
    """Make an item of operands of so many bits, its answer without leading zeros."""
    operation = OPERATIONS[name]
    result = operation.result(a, b)
    request = operation.request.format(a=f"{a:0{bits[0]}b}", b=f"{b:0{bits[1]}b}")
    question = f"{request} Answer with the result as a binary number only."
    covariates = {
        "carries": operation.carries(a, b), "operand_ones": a.bit_count() + b.bit_count(),
        "operand_sum": a + b, "operand_digits": a.bit_length() + b.bit_length(),
        "result": result, "result_digits": max(1, result.bit_length()),
        "result_ones": result.bit_count(),
    }  # fmt: skip
    key = binary_key(operation.symbol, a, b, bits)
    return worded(name, key, question, f"{result:b}", **covariates)


def operation_of(item: Item) -> Operation:
    """Return the operation whose symbol stands in an item's key."""
    return next(o for o in OPERATIONS.values() if o.symbol in item.key)


NUMERAL = re.compile(
    r"(?<![\w.^\\])(?<!\d,)(?P<sign>-?)(?:0[bB])?(?P<bits>[01]{1,4}(?:[ _][01]{4})+|[01]+)"
    r"(?:_\(?(?:2|two|bin(?:ary)?|base 2)\)?|b)?(?!\w|\.\d|,\d)"
)
OPERATOR = (
    rf"\)?\s{{0,4}}(?:[-+*/%÷&{TIMES}]"
    r"|\b(?:plus|minus|times|mod|modulo|divided by|multiplied by|and|from|by)\b)\s{0,4}\(?"
)
DECIMAL = r"(?:decimal|denary|base[- ]?(?:10|ten))"
# Operands, decimals, and the numbers of columns and carries.
AFTER = re.compile(rf"(?i){OPERATOR}(?:0b)?[01]|\s?\)?\s?\(?,?\s?(?:in |as an? )?{DECIMAL}")
BEFORE = re.compile(
    rf"(?i)(?:[01](?:_2)?{OPERATOR}"
    rf"|\b{DECIMAL}(?: (?:is|value|equivalent|form|number|result|of))*[\s:=(*,]*"
    r"|\bbase[- ]*|[01](?:_2)? ?\((?:i\.e\.,? |which is |or |= ?)?"
    r"|\b(?:carry|carrying|carries|borrow|bit|column|step|position|digit)(?: (?:of|a|the|is))*"
    r"[\s*:]*)\Z"
)


def find_numbers(item: Item, text: str) -> list[Stated]:
    """Find numerals that may be an answer, without what follows the operation's ``aside``."""
    aside = rf"(?i)(?:{operation_of(item).aside})(?: (?:is|of))*[\s:=*]*\Z"
    found = []
    for match in NUMERAL.finditer(text):
        left, end = before(text, match.start()), match.end()
        marker = len(match["bits"]) <= 2 and numbers_line(text, match.start(), end)
        other = BEFORE.search(left) or AFTER.match(text, end) or re.search(aside, left)
        if marker or other:
            continue
        digits = match["bits"].replace(" ", "").replace("_", "").lstrip("0") or "0"
        sign = match["sign"] if digits != "0" else ""
        found.append(Stated(match.start(), end, sign + digits))
    return found


def paraphrases(item: Item) -> list[str]:
    """Word the item as exercise books and data sets do."""
    operation = operation_of(item)
    a, b = item.key.split(operation.symbol)
    out = []
    for x, y in {(a, b), (a.lstrip("0") or "0", b.lstrip("0") or "0")}:
        expression = f"{x} {operation.symbol} {y}"
        forms = [f"{expression} in binary", f"{expression} in base 2"]
        forms += [form.format(a=x, b=y) for form in operation.named]
        out += [expression, f"{expression} =", *forms, f"calculate {expression}"]
        out += [f"{ask} {form}" for ask in ("what is", "compute", "find") for form in forms]
        out += [f"{ask} {expression}" for ask in ("what is", "compute")]
    return out


def _items(name: str) -> list[Item]:
    known = norms.load(name).items
    return [item for a, b in design(name) if (item := make_item(name, a, b)).key in known]


BINARY_TASKS = {
    name: Task(name, partial(_items, name), grader(find_numbers), paraphrases, 318)
    for name in OPERATIONS
}
