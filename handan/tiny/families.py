"""Problem families of the embedded world: generator, compact notation, answer, worked steps.

The binary families have human data at width 4, which is never trained. Steps in ``carry-cost``
write an extra one for a carry, in ``constant`` as many tokens for every column, in ``mixed`` one or
the other at random (docs/embedded-world.md).
"""

import itertools
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from handan.errors import UserError
from handan.tasks.worked_solutions import Column, column_parts, columns, in_format

# An example of each family's keys.
KEYS = {
    "binary_addition": "0101+0011", "binary_subtraction": "0101-0011",
    "decimal_addition": "45+72", "ordering": "ABC:10:CA",
}  # fmt: skip
FAMILIES = tuple(KEYS)
GAP = "_"
GAP_CHOICES = (0, 0, 0, 1, 2)  # between columns; without gaps the unseen width is not learned
HUMAN_WIDTH = 4
NAMES = tuple("ABCDEFGH")
# Sizes of the other families, drawn uniformly: a size named twice comes twice as often.
DECIMAL_DIGITS = (1, 2, 2, 3)
PREMISES = (2, 3, 3, 4)


@dataclass(frozen=True)
class Problem:
    """One problem of a family, before it is worded."""

    family: str  # also the name of the task that holds its short problems
    key: str  # in the notation of the human items where there are any
    prompt: list[str]  # words of the compact notation
    answer: list[str]
    analytic_cost: float  # expected effort from the structure, arbitrary units
    steps: Callable[[str, random.Random], list[list[str]]]  # the solution in a format, in words


def _written(
    operator: str, family: str, key: str, prompt: list[str], answer: str, written: list[Column]
) -> Problem:
    """A problem that is written in columns; its cost counts these and the carries."""
    cost = float(len(written) + sum(carry_out for *_, carry_out in written))
    steps = partial(in_format, column_parts(operator, written))
    return Problem(family, key, [*prompt, "="], list(reversed(answer)), cost, steps)


def binary_problem(operator: str, a: int, b: int, width: int, gaps: random.Random) -> Problem:
    """A binary addition or subtraction of two operands of ``width`` bits, written in columns."""
    left, right = f"{a:0{width}b}", f"{b:0{width}b}"
    written = columns(operator, left, right, base=2)

    def gap() -> list[str]:
        return [GAP] * gaps.choice(GAP_CHOICES)

    prompt = [*gap(), operator, *gap()]
    for x, y, *_ in written:
        prompt += [x, y, ";", *gap()]
    family, answer = "binary_addition", f"{a + b:0{width + 1}b}"
    if operator == "-":
        family, answer = "binary_subtraction", f"{a - b:0{width}b}"
    return _written(operator, family, f"{left}{operator}{right}", prompt, answer, written)


def decimal_problem(a: int, b: int) -> Problem:
    """A decimal addition."""
    width = max(len(str(a)), len(str(b)))
    written = columns("+", str(a).zfill(width), str(b).zfill(width), base=10)
    prompt = ["sum", *(word for x, y, *_ in written for word in (x, y, ";"))]
    answer = str(a + b).zfill(width + 1)
    return _written("+", "decimal_addition", f"{a}+{b}", prompt, answer, written)


def ordering_problem(chain: list[str], order: list[int], first: str, second: str) -> Problem:
    """Premises chain[i] > chain[i + 1], i in ``order``; which of two entities is the greater?"""
    premises = [[chain[i], ">", chain[i + 1]] for i in range(len(chain) - 1)]
    stated = [word for i in order for word in (*premises[i], ";")]
    top, bottom = sorted((chain.index(first), chain.index(second)))

    def steps(trace_format: str, rng: random.Random) -> list[list[str]]:
        if trace_format == "constant":
            return premises  # as many steps as there are premises, whatever the distance
        walked = premises[top:bottom]
        if trace_format != "mixed":
            return walked
        return [step if rng.random() < 0.5 else step[2:] for step in walked]

    breaks = sum(abs(a - b) != 1 for a, b in itertools.pairwise(order))
    key = "".join(chain) + ":" + "".join(map(str, order)) + ":" + first + second
    prompt, cost = [*stated, "?", first, second, "="], float(bottom - top) + 0.25 * breaks
    return Problem("ordering", key, prompt, [chain[top]], cost, steps)


def problem_of_key(family: str, key: str) -> Problem:
    """The problem that a key stands for, with some gaps: the inverse of ``Problem.key``."""
    _check_family(family)
    operator = "-" if family == "binary_subtraction" else "+"
    problem = None
    with suppress(ValueError, IndexError, TypeError):
        if family == "ordering":
            chain, stated, asked = key.split(":")
            order = list(map(int, stated))
            whole = sorted(order) == list(range(len(chain) - 1)) and len(set(asked)) == 2
            if whole and set(chain) <= set(NAMES) and len(set(chain)) == len(chain):
                problem = ordering_problem(list(chain), order, *asked)
        elif family == "decimal_addition":
            problem = decimal_problem(*map(int, key.split("+")))
        else:
            left, right = key.split(operator)
            a, b = int(left, 2), int(right, 2)
            if operator == "+" or a >= b:
                problem = binary_problem(operator, a, b, len(left), random.Random(key))
    if problem is None or problem.key != key:
        raise UserError(f"'{key}' is no key of {family}; write one like '{KEYS[family]}'")
    return problem


def _check_family(family: str) -> None:
    if family not in FAMILIES:
        raise UserError(f"unknown family '{family}'; known: {', '.join(FAMILIES)}")


def random_problem(
    family: str,
    rng: random.Random,
    widths: list[int],
    decimal_digits: Sequence[int] = DECIMAL_DIGITS,
    premises: Sequence[int] = PREMISES,
) -> Problem:
    """Draw one problem; operands have one of the widths in bits, or are uniform up to digits."""
    _check_family(family)
    if family == "ordering":
        most = len(NAMES) - 1
        if min(premises, default=0) < 1 or max(premises) > most:
            raise UserError(
                f"premises must hold numbers of premises from 1 to {most}, such as [2, 3]"
            )
        number = rng.choice(premises)
        chain = rng.sample(NAMES, number + 1)
        order = list(range(number))
        rng.shuffle(order)
        first, second = rng.sample(chain, 2)
        return ordering_problem(chain, order, first, second)
    if family == "decimal_addition":
        if min(decimal_digits, default=0) < 1:
            raise UserError(
                "decimal_digits must hold numbers of digits, at least 1 each: [1, 2, 3]"
            )
        digits = rng.choice(decimal_digits)
        return decimal_problem(rng.randrange(10**digits), rng.randrange(10**digits))
    if not widths:
        raise UserError("widths is empty; name widths of the binary families, such as [1, 2, 3]")
    operator = "-" if family == "binary_subtraction" else "+"
    while True:
        width = rng.choice(widths)
        a, b = rng.randrange(2**width), rng.randrange(2**width)
        if operator == "-" and a < b:
            a, b = b, a
        # A wide problem with two small values is a human item padded with zeros.
        if width <= HUMAN_WIDTH or max(a, b) >= 2**HUMAN_WIDTH:
            return binary_problem(operator, a, b, width, rng)
