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

from handan.errors import UserError

FORMATS = ("carry-cost", "constant", "mixed")
GAP = "_"
GAP_CHOICES = (0, 0, 0, 1, 2)
HUMAN_WIDTH = 4
NAMES = tuple("ABCDEFGH")
# Sizes of the families that people were not given, drawn uniformly: a size named twice comes twice
# as often.
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


def _bits(value: int, width: int) -> list[str]:
    """Binary digits of ``value``, least significant first."""
    return list(format(value, f"0{width}b"))[::-1]


def binary_problem(operator: str, a: int, b: int, width: int, gaps: random.Random) -> Problem:
    """A binary addition or subtraction of two operands of ``width`` bits, written in columns."""
    columns = list(zip(_bits(a, width), _bits(b, width), strict=True))

    def gap() -> list[str]:
        return [GAP] * gaps.choice(GAP_CHOICES)

    prompt = [*gap(), operator, *gap()]
    for x, y in columns:
        prompt += [x, y, ";", *gap()]
    prompt.append("=")
    carry_word = "carry" if operator == "+" else "borrow"

    def column_sums() -> list[tuple[str, str, int, int, int]]:
        """Each column's digits, the carry that comes in, the digit written, the carry out."""
        rows, carry = [], 0
        for x, y in columns:
            total = int(x) + int(y) + carry if operator == "+" else int(x) - int(y) - carry
            carry_out = int(total > 1) if operator == "+" else int(total < 0)
            rows.append((x, y, carry, total % 2, carry_out))
            carry = carry_out
        return rows

    def steps(trace_format: str, rng: random.Random) -> list[list[str]]:
        lines = []
        for x, y, carry, digit, carry_out in column_sums():
            if trace_format == "carry-cost":
                carried = [operator, "1"] if carry else []
                lines.append([x, operator, y, *carried, "=", str(digit)])
                if carry_out:
                    lines.append([carry_word, "1"])
            elif trace_format == "mixed" and rng.random() < 0.5:
                lines.append(["=", str(digit)])
            else:
                lines.append(
                    [x, operator, y, operator, str(carry), "=", str(carry_out), str(digit)]
                )
        return lines

    result, answer_width = (a + b, width + 1) if operator == "+" else (a - b, width)
    carries = sum(row[4] for row in column_sums())
    return Problem(
        family="binary_addition" if operator == "+" else "binary_subtraction",
        key=f"{a:0{width}b}{operator}{b:0{width}b}",
        prompt=prompt,
        answer=_bits(result, answer_width),
        analytic_cost=float(width + carries),
        steps=steps,
    )


def decimal_problem(a: int, b: int) -> Problem:
    """A decimal addition; cost counts columns and carries."""
    width = max(len(str(a)), len(str(b)))
    left, right = str(a).zfill(width)[::-1], str(b).zfill(width)[::-1]
    prompt = ["sum"]
    for x, y in zip(left, right, strict=True):
        prompt += [x, y, ";"]
    prompt.append("=")

    def steps(trace_format: str, rng: random.Random) -> list[list[str]]:
        lines, carry = [], 0
        for x, y in zip(left, right, strict=True):
            total = int(x) + int(y) + carry
            if trace_format == "carry-cost":
                carried = ["+", "1"] if carry else []
                lines.append([x, "+", y, *carried, "=", str(total % 10)])
                if total > 9:
                    lines.append(["carry", "1"])
            elif trace_format == "mixed" and rng.random() < 0.5:
                lines.append(["=", str(total % 10)])
            else:
                lines.append([x, "+", y, "+", str(carry), "=", str(total // 10), str(total % 10)])
            carry = total // 10
        return lines

    carries, carry = 0, 0
    for x, y in zip(left, right, strict=True):
        carry = (int(x) + int(y) + carry) // 10
        carries += carry
    return Problem(
        family="decimal_addition",
        key=f"{a}+{b}",
        prompt=prompt,
        answer=list(str(a + b).zfill(width + 1)[::-1]),
        analytic_cost=float(width + carries),
        steps=steps,
    )


def ordering_problem(chain: list[str], order: list[int], first: str, second: str) -> Problem:
    """Premises 'x > y' in some order, and the question which of two entities is the greater.

    Args:
        chain: entities from greatest to least.
        order: the order in which the premises (index i: chain[i] > chain[i + 1]) are stated.
        first: one of the two entities asked about.
        second: the other one.
    """
    prompt = []
    for index in order:
        prompt += [chain[index], ">", chain[index + 1], ";"]
    prompt += ["?", first, second, "="]
    top, bottom = sorted((chain.index(first), chain.index(second)))

    def steps(trace_format: str, rng: random.Random) -> list[list[str]]:
        walked = [[chain[i], ">", chain[i + 1]] for i in range(top, bottom)]
        if trace_format == "carry-cost":
            return walked
        if trace_format == "mixed":
            return [step if rng.random() < 0.5 else step[2:] for step in walked]
        # As many steps as there are premises, whatever the distance.
        return [[chain[i], ">", chain[i + 1]] for i in range(len(chain) - 1)]

    breaks = sum(abs(a - b) != 1 for a, b in itertools.pairwise(order))
    return Problem(
        family="ordering",
        key="".join(chain) + ":" + "".join(map(str, order)) + ":" + first + second,
        prompt=prompt,
        answer=[chain[top]],
        analytic_cost=float(bottom - top) + 0.25 * breaks,
        steps=steps,
    )


def problem_of_key(family: str, key: str) -> Problem:
    """The problem that a key stands for, with some gaps: the inverse of ``Problem.key``.

    Raises:
        UserError: the family is unknown, or the key is none of its problems.
    """
    if family not in FAMILIES:
        raise UserError(f"unknown family '{family}'; known: {', '.join(FAMILIES)}")
    try:
        problem = _parse(family, key)
    except (ValueError, IndexError, TypeError):
        problem = None
    if problem is None or problem.key != key:
        raise UserError(f"'{key}' is no key of {family}; write one like '{KEYS[family]}'")
    return problem


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
    return (
        None
        if operator == "-" and a < b
        else binary_problem(operator, a, b, len(left), random.Random(key))
    )


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


def _random_decimal(rng: random.Random, decimal_digits: Sequence[int]) -> Problem:
    if min(decimal_digits, default=0) < 1:
        raise UserError("decimal_digits must hold numbers of digits, at least 1 each: [1, 2, 3]")
    digits = rng.choice(decimal_digits)
    return decimal_problem(rng.randrange(10**digits), rng.randrange(10**digits))


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

    Raises:
        UserError: there is no such family, or none of such sizes.
    """
    if family == "binary_addition":
        return _random_binary("+", rng, widths)
    if family == "binary_subtraction":
        return _random_binary("-", rng, widths)
    if family == "decimal_addition":
        return _random_decimal(rng, decimal_digits)
    if family == "ordering":
        return _random_ordering(rng, premises)
    raise UserError(f"unknown family '{family}'; known: {', '.join(FAMILIES)}")


KEYS = {  # an example of each family's keys
    "binary_addition": "0101+0011",
    "binary_subtraction": "0101-0011",
    "decimal_addition": "45+72",
    "ordering": "ABC:10:CA",
}
FAMILIES = tuple(KEYS)
