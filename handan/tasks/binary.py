"""Arithmetic with two four-bit binary numbers: five operations, as in Cho et al. (2019).

The designs are complete: all ordered pairs for addition and multiplication, no negative difference
for subtraction, no zero divisor for division and modulo. People were given all additions and
subtractions and random draws of the other designs; an item is kept if the packaged human norms
have it.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from handan import norms
from handan.tasks.answers import Stated, before, grade_by, numbers_line
from handan.tasks.base import Item, Task
from handan.tasks.wording import worded

BITS = 4
NUMBERS = range(2**BITS)
TIMES = "\N{MULTIPLICATION SIGN}"


def carries_of_addition(a: int, b: int) -> int:
    """Count the carries in the column addition of ``a`` and ``b``.

    Each carry replaces two ones by a one in the next column, so the carries are the ones that
    disappear: s(a) + s(b) - s(a + b), with s the number of ones (Legendre, Kummer).
    """
    return a.bit_count() + b.bit_count() - (a + b).bit_count()


def borrows_of_subtraction(a: int, b: int) -> int:
    """Count the borrows in the column subtraction ``a - b``, a >= b.

    They sit in the columns where the addition (a - b) + b carries.
    """
    return carries_of_addition(a - b, b)


def carries_of_multiplication(a: int, b: int) -> int:
    """Count the carries when shifted copies of ``a`` are summed by column: s(a) s(b) - s(a b)."""
    return a.bit_count() * b.bit_count() - (a * b).bit_count()


def borrows_of_division(a: int, b: int) -> int:
    """Count the borrows in all subtractions of the long division of ``a`` by ``b``.

    The study's own files count those of the last digit's subtraction only.
    """
    rest = borrows = 0
    for position in reversed(range(max(BITS, a.bit_length()))):
        rest = 2 * rest + (a >> position & 1)
        if rest >= b:
            borrows += borrows_of_subtraction(rest, b)
            rest -= b
    return borrows


@dataclass(frozen=True)
class Operation:
    """An operation on two numbers.

    Attributes:
        symbol: stands between the operands in an item's key.
        request: the question's first sentence; ``{a}`` and ``{b}`` are the operands.
        allowed: which pairs of operands belong to the design.
        result: the answer as a number.
        carries: carries or borrows of the written method.
        named: other wordings of the problem, with ``{a}`` and ``{b}``.
        aside: pattern of words after which a number is something else than what was asked for.
    """

    symbol: str
    request: str
    allowed: Callable[[int, int], bool]
    result: Callable[[int, int], int]
    carries: Callable[[int, int], int]
    named: tuple[str, ...]
    aside: str = r"(?!)"


OPERATIONS = {
    "binary_addition": Operation(
        "+",
        "Add the binary numbers {a} and {b}: {a} + {b}.",
        lambda a, b: True,
        operator.add,
        carries_of_addition,
        ("the sum of the binary numbers {a} and {b}", "adding {a} and {b} in binary"),
    ),
    "binary_subtraction": Operation(
        "-",
        "Subtract the binary number {b} from the binary number {a}: {a} - {b}.",
        operator.ge,
        operator.sub,
        borrows_of_subtraction,
        ("the difference of the binary numbers {a} and {b}",),
    ),
    "binary_multiplication": Operation(
        "*",
        f"Multiply the binary numbers {{a}} and {{b}}: {{a}} {TIMES} {{b}}.",
        lambda a, b: True,
        operator.mul,
        carries_of_multiplication,
        ("the product of the binary numbers {a} and {b}",),
    ),
    "binary_division": Operation(
        "/",
        "Divide the binary number {a} by the binary number {b} and give the quotient without "
        "remainder: {a} ÷ {b}.",
        lambda a, b: b > 0,
        operator.floordiv,
        borrows_of_division,
        ("the quotient of the binary numbers {a} and {b}",),
        r"\br(?:emainder)?\b",
    ),
    "binary_modulo": Operation(
        "%",
        "Divide the binary number {a} by the binary number {b} and give the remainder only: "
        "{a} mod {b}.",
        lambda a, b: b > 0,
        operator.mod,
        borrows_of_division,
        ("the remainder when the binary number {a} is divided by {b}",),
        r"\bquotient\b",
    ),
}


def binary_key(symbol: str, a: int, b: int, bits: int = BITS) -> str:
    """Return the key of an item, e.g. ``0101+0011``: operands of four bits around + - * / or %."""
    return f"{a:0{bits}b}{symbol}{b:0{bits}b}"


def design(name: str) -> list[tuple[int, int]]:
    """List all pairs of operands of a task's complete design, in ascending order."""
    allowed = OPERATIONS[name].allowed
    return [(a, b) for a in NUMBERS for b in NUMBERS if allowed(a, b)]


def make_item(name: str, a: int, b: int, bits: int = BITS) -> Item:
    """Make the item of task ``name`` with two operands; its answer has no leading zeros.

    Human items have operands of four bits; training problems are wider.
    """
    operation = OPERATIONS[name]
    result = operation.result(a, b)
    request = operation.request.format(a=f"{a:0{bits}b}", b=f"{b:0{bits}b}")
    return worded(
        name,
        binary_key(operation.symbol, a, b, bits),
        f"{request} Answer with the result as a binary number only.",
        f"{result:b}",
        carries=operation.carries(a, b),
        operand_ones=a.bit_count() + b.bit_count(),
        operand_sum=a + b,
        operand_digits=a.bit_length() + b.bit_length(),
        result=result,
        result_digits=max(1, result.bit_length()),
        result_ones=result.bit_count(),
    )


NUMERAL = re.compile(
    r"(?<![\w.^\\])(?<!\d,)(?P<sign>-?)(?:0[bB])?(?P<bits>[01]{1,4}(?:[ _][01]{4})+|[01]+)"
    r"(?:_\(?(?:2|two|bin(?:ary)?|base 2)\)?|b)?(?!\w|\.\d|,\d)"
)
OPERATOR = (
    rf"\)?\s{{0,4}}(?:[-+*/%÷&{TIMES}]"
    r"|\b(?:plus|minus|times|mod|modulo|divided by|multiplied by|and|from|by)\b)\s{0,4}\(?"
)
OPERAND_BEFORE = re.compile(r"[01](?:_2)?" + OPERATOR + r"\Z", re.IGNORECASE)
OPERAND_AFTER = re.compile(OPERATOR + r"(?:0b)?[01]", re.IGNORECASE)
DECIMAL = r"(?:decimal|denary|base[- ]?(?:10|ten))"
DECIMAL_AFTER = re.compile(rf"\s?\)?\s?\(?,?\s?(?:in |as an? )?{DECIMAL}", re.IGNORECASE)
OTHER_BEFORE = re.compile(
    rf"(?:\b{DECIMAL}(?: (?:is|value|equivalent|form|number|result|of))*[\s:=(*,]*"
    r"|\bbase[- ]*"
    r"|[01](?:_2)? ?\((?:i\.e\.,? |which is |or |= ?)?"
    r"|\b(?:carry|carrying|carries|borrow|bit|column|step|position|digit)(?: (?:of|a|the|is))*"
    r"[\s*:]*)\Z",
    re.IGNORECASE,
)


def find_numbers(item: Item, text: str) -> list[Stated]:
    """Find binary numerals that may be an answer, and give them without leading zeros.

    Left out: operands ('0101 + 0011', '0101 and 0011'), decimals ('10 in decimal'), carries and
    column numbers ('carry 1'), list markers ('1. '), and what follows the operation's ``aside``.
    """
    aside = OPERATIONS[item.task].aside
    other_quantity = re.compile(rf"(?:{aside})(?: (?:is|of))*[\s:=*]*\Z", re.IGNORECASE)
    found = []
    for match in NUMERAL.finditer(text):
        left, end = before(text, match.start()), match.end()
        if (
            OPERAND_BEFORE.search(left)
            or OPERAND_AFTER.match(text, end)
            or DECIMAL_AFTER.match(text, end)
            or OTHER_BEFORE.search(left)
            or other_quantity.search(left)
            or (len(match["bits"]) <= 2 and numbers_line(text, match.start(), end))
        ):
            continue
        digits = match["bits"].replace(" ", "").replace("_", "").lstrip("0") or "0"
        sign = match["sign"] if digits != "0" else ""
        found.append(Stated(match.start(), end, sign + digits))
    return found


def paraphrases(item: Item) -> list[str]:
    """Word the item as exercise books and data sets do."""
    operation = OPERATIONS[item.task]
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
    """The items of a complete design that have human norms."""
    known = norms.load(name).items
    candidates = [make_item(name, a, b) for a, b in design(name)]
    return [item for item in candidates if item.key in known]


BINARY_TASKS = {
    name: Task(name, partial(_items, name), partial(grade_by, find_numbers), paraphrases, 318)
    for name in OPERATIONS
}
