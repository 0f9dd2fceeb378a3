"""Problem families of the embedded world: generator, compact notation, answer, worked steps.

Two families have human data at width 4, which is never trained in any form: binary addition and
subtraction, written column by column from the least significant bit, with random gaps between
columns (without gaps the unseen width is not learned; with them it is). Two have none and are
compared with an analytic cost only: ordering (walk along a chain of premises) and decimal addition.

How many tokens a step takes is decided by the *format*, and the format decides alignment:
``carry-cost`` writes an extra step for a carry, as people pay an extra moment for it; ``constant``
writes every column with the same number of tokens; ``mixed`` picks short or long at random.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from handan.errors import UserError

FORMATS = ("carry-cost", "constant", "mixed")
KEYS = {  # an example of each family's keys
    "binary_addition": "0101+0011",
    "binary_subtraction": "0101-0011",
    "decimal_addition": "45+72",
    "ordering": "ABC:10:CA",
}
FAMILIES = tuple(KEYS)
GAP = "_"
GAP_CHOICES = (0, 0, 0, 1, 2)
HUMAN_WIDTH = 4
NAMES = tuple("ABCDEFGH")
# Sizes of the families without human data, drawn uniformly: a size named twice comes twice as
# often.
DECIMAL_DIGITS = (1, 2, 2, 3)
PREMISES = (2, 3, 3, 4)


@dataclass(frozen=True)
class Problem:
    """One problem of a family, before it is worded.

    Attributes:
        family: name of the family, also that of the task which holds its short problems.
        key: identifies the problem, in the notation of the human items where there are any.
        prompt: words of the compact notation.
        answer: words of the right answer.
        analytic_cost: expected effort from the structure of the problem, arbitrary units.
        steps: maps a format (and a generator of random numbers, used by ``mixed`` alone) to the
            worked solution, a list of steps, each a list of words.
    """

    family: str
    key: str
    prompt: list[str]
    answer: list[str]
    analytic_cost: float
    steps: Callable[[str, random.Random], list[list[str]]]


class Column(NamedTuple):
    """A column of a written addition or subtraction: operands, carry in, digit below, carry out."""

    x: str
    y: str
    carry: int
    digit: int
    carry_out: int


def _columns(operator: str, left: str, right: str, base: int) -> list[Column]:
    """Add or subtract two numbers of equal width, least significant digit first."""
    columns, carry = [], 0
    for x, y in zip(reversed(left), reversed(right), strict=True):
        total = int(x) + int(y) + carry if operator == "+" else int(x) - int(y) - carry
        carry_out = int(not 0 <= total < base)
        columns.append(Column(x, y, carry, total % base, carry_out))
        carry = carry_out
    return columns


def _column_steps(
    operator: str, columns: list[Column], trace_format: str, rng: random.Random
) -> list[list[str]]:
    steps = []
    for x, y, carry, digit, carry_out in columns:
        if trace_format == "carry-cost":
            carried = [operator, "1"] if carry else []
            steps.append([x, operator, y, *carried, "=", str(digit)])
            if carry_out:
                steps.append(["carry" if operator == "+" else "borrow", "1"])
        elif trace_format == "mixed" and rng.random() < 0.5:
            steps.append(["=", str(digit)])
        else:
            steps.append([x, operator, y, operator, str(carry), "=", str(carry_out), str(digit)])
    return steps


def binary_problem(operator: str, a: int, b: int, width: int, gaps: random.Random) -> Problem:
    """A binary addition or subtraction of two operands of ``width`` bits, written in columns."""
    left, right = f"{a:0{width}b}", f"{b:0{width}b}"
    columns = _columns(operator, left, right, base=2)

    def gap() -> list[str]:
        return [GAP] * gaps.choice(GAP_CHOICES)

    prompt = [*gap(), operator, *gap()]
    for column in columns:
        prompt += [column.x, column.y, ";", *gap()]
    added = operator == "+"
    answer = f"{a + b:0{width + 1}b}" if added else f"{a - b:0{width}b}"
    return Problem(
        family="binary_addition" if added else "binary_subtraction",
        key=f"{left}{operator}{right}",
        prompt=[*prompt, "="],
        answer=list(reversed(answer)),
        analytic_cost=float(width + sum(column.carry_out for column in columns)),
        steps=partial(_column_steps, operator, columns),
    )


def decimal_problem(a: int, b: int) -> Problem:
    """A decimal addition; cost counts columns and carries."""
    width = max(len(str(a)), len(str(b)))
    columns = _columns("+", str(a).zfill(width), str(b).zfill(width), base=10)
    written = [word for column in columns for word in (column.x, column.y, ";")]
    return Problem(
        family="decimal_addition",
        key=f"{a}+{b}",
        prompt=["sum", *written, "="],
        answer=list(reversed(str(a + b).zfill(width + 1))),
        analytic_cost=float(width + sum(column.carry_out for column in columns)),
        steps=partial(_column_steps, "+", columns),
    )


def ordering_problem(chain: list[str], order: list[int], first: str, second: str) -> Problem:
    """Premises 'x > y' in some order, and the question which of two entities is the greater.

    Args:
        chain: entities from greatest to least.
        order: the order in which the premises (index i: chain[i] > chain[i + 1]) are stated.
        first, second: the two entities asked about.
    """
    premises = [[chain[i], ">", chain[i + 1]] for i in range(len(chain) - 1)]
    stated = [word for i in order for word in (*premises[i], ";")]
    top, bottom = sorted((chain.index(first), chain.index(second)))

    def steps(trace_format: str, rng: random.Random) -> list[list[str]]:
        if trace_format == "constant":
            return premises  # as many steps as there are premises, whatever the distance
        walked = premises[top:bottom]
        if trace_format == "mixed":
            return [step if rng.random() < 0.5 else step[2:] for step in walked]
        return walked

    breaks = sum(abs(a - b) != 1 for a, b in itertools.pairwise(order))
    return Problem(
        family="ordering",
        key="".join(chain) + ":" + "".join(map(str, order)) + ":" + first + second,
        prompt=[*stated, "?", first, second, "="],
        answer=[chain[top]],
        analytic_cost=float(bottom - top) + 0.25 * breaks,
        steps=steps,
    )


def problem_of_key(family: str, key: str) -> Problem:
    """The problem that a key stands for, with some gaps: the inverse of ``Problem.key``."""
    _check_family(family)
    try:
        problem = _parse(family, key)
    except (ValueError, IndexError, TypeError):
        problem = None
    if problem is None or problem.key != key:
        raise UserError(f"'{key}' is no key of {family}; write one like '{KEYS[family]}'")
    return problem


def _check_family(family: str) -> None:
    if family not in FAMILIES:
        raise UserError(f"unknown family '{family}'; known: {', '.join(FAMILIES)}")


def _parse(family: str, key: str) -> Problem | None:
    if family == "ordering":
        chain, stated, asked = key.split(":")
        order = list(map(int, stated))
        whole = sorted(order) == list(range(len(chain) - 1)) and len(set(asked)) == 2
        known = set(chain) <= set(NAMES) and len(set(chain)) == len(chain)
        return ordering_problem(list(chain), order, *asked) if whole and known else None
    operator = "-" if family == "binary_subtraction" else "+"
    left, right = key.split(operator)
    if family == "decimal_addition":
        return decimal_problem(int(left), int(right))
    a, b = int(left, 2), int(right, 2)
    if operator == "-" and a < b:
        return None
    return binary_problem(operator, a, b, len(left), random.Random(key))


def random_problem(
    family: str,
    rng: random.Random,
    widths: list[int],
    decimal_digits: Sequence[int] = DECIMAL_DIGITS,
    premises: Sequence[int] = PREMISES,
) -> Problem:
    """Draw one problem of a family.

    Args:
        family: one of ``FAMILIES``.
        rng: of the draw.
        widths: operand widths of the binary families, in bits.
        decimal_digits: most digits of an operand of a decimal addition; both are uniform up to it.
        premises: numbers of premises of an ordering problem, one less than its entities.
    """
    _check_family(family)
    if family == "ordering":
        return _random_ordering(rng, premises)
    if family == "decimal_addition":
        if min(decimal_digits, default=0) < 1:
            raise UserError(
                "decimal_digits must hold numbers of digits, at least 1 each: [1, 2, 3]"
            )
        digits = rng.choice(decimal_digits)
        return decimal_problem(rng.randrange(10**digits), rng.randrange(10**digits))
    return _random_binary("-" if family == "binary_subtraction" else "+", rng, widths)


def _random_binary(operator: str, rng: random.Random, widths: list[int]) -> Problem:
    if not widths:
        raise UserError("widths is empty; name widths of the binary families, such as [1, 2, 3]")
    while True:
        width = rng.choice(widths)
        a, b = rng.randrange(2**width), rng.randrange(2**width)
        if operator == "-" and a < b:
            a, b = b, a
        # A wide problem with two small values is a human item padded with zeros.
        if width <= HUMAN_WIDTH or max(a, b) >= 2**HUMAN_WIDTH:
            return binary_problem(operator, a, b, width, rng)


def _random_ordering(rng: random.Random, choices: Sequence[int]) -> Problem:
    most = len(NAMES) - 1
    if min(choices, default=0) < 1 or max(choices) > most:
        raise UserError(f"premises must hold numbers of premises from 1 to {most}, such as [2, 3]")
    premises = rng.choice(choices)
    chain = rng.sample(NAMES, premises + 1)
    order = list(range(premises))
    rng.shuffle(order)
    first, second = rng.sample(chain, 2)
    return ordering_problem(chain, order, first, second)
