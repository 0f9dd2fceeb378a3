"""Training problems in natural language: the human tasks' wording, never their items.

People solved all 4-bit problems and single-digit products and differences, so larger numbers are
drawn. Syllogisms and directions are complete designs: no item of these tasks is left to train on.
"""

import random

from handan.errors import UserError
from handan.tasks import binary, digits
from handan.tasks.base import Item

DIVISIONS = ("binary_division", "binary_modulo")
SYMBOLS = {"products": "*", "differences": "-"}
FAMILIES = (*binary.OPERATIONS, *SYMBOLS)
# A shown result that is wrong is so by this much, as in the human items, or by one operand.
MAX_ERROR = 10


def random_item(family: str, rng: random.Random, widths: list[int], lengths: list[int]) -> Item:
    """Draw one problem.

    Args:
        family: a task of arithmetic.
        rng: the source of the draw.
        widths: of operands of the binary tasks, in bits; one operand is beyond four bits.
        lengths: of operands of products and differences, in decimal digits, from 2 on.

    Raises:
        UserError: the family is unknown, or its sizes are those of human items.
    """
    if family in binary.OPERATIONS:
        return _binary(family, rng, widths)
    if family not in SYMBOLS:
        raise UserError(f"no natural problems of '{family}'; there are: {', '.join(FAMILIES)}")
    if not lengths or min(lengths) < 2:
        raise UserError(f"digits {lengths}: natural products and differences need 2 or more")
    a, b = (rng.randrange(10 ** (length - 1), 10**length) for length in rng.choices(lengths, k=2))
    if family == "differences" and a < b:
        a, b = b, a
    symbol = SYMBOLS[family]
    shown = result = digits.true_result(symbol, a, b)
    if rng.random() < 0.5:
        error = rng.choice([*range(1, MAX_ERROR + 1), b])
        shown = result + rng.choice([-error, error]) if result > error else result + error
    return digits.make_item(family, symbol, a, b, shown)


def _binary(family: str, rng: random.Random, widths: list[int]) -> Item:
    if not widths or min(widths) <= binary.BITS:
        raise UserError(f"widths {widths}: natural binary problems need more than 4 bits")
    width = rng.choice(widths)
    while True:
        a, b = rng.randrange(2**width), rng.randrange(2**width)
        if family in DIVISIONS:  # most divisors of full width would leave nothing to divide
            b = rng.randrange(2 ** rng.randint(1, width))
        # Two small numbers would be a human item padded with zeros.
        if max(a, b) >= 2**binary.BITS and binary.OPERATIONS[family].allowed(a, b):
            return binary.make_item(family, a, b, width)
