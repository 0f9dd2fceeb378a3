"""Problems beside the human items, in their wording, that nobody was given: of all ten tasks.

Arithmetic has larger numbers; directions and syllogisms, whose designs are complete, have longer
chains and other nouns. A tenth of all problems, by a hash of their structure, is for evaluation
alone; ``TASK_fresh`` are fixed draws of it, with the number of worked steps as analytic cost.
"""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from handan.errors import UserError
from handan.files import content_hash
from handan.tasks import digits, directions, syllogism_verification, syllogisms
from handan.tasks.base import FRESH, Item, Task
from handan.tasks.binary import BITS, OPERATIONS, make_item
from handan.tasks.worked_solutions import analytic_cost

SYMBOLS = {"products": "*", "differences": "-"}
NUM_ITEMS = 60


@dataclass(frozen=True)
class Sizes:
    """Sizes of problems, drawn uniformly: one named twice comes twice as often."""

    widths: list[int] = field(default_factory=lambda: [5, 6, 7])  # bits of an operand
    digits: list[int] = field(default_factory=lambda: [1, 2])  # of an operand
    premises: list[int] = field(default_factory=lambda: [3, 4])


def draw(task: str, rng: random.Random, sizes: Sizes, held_out: bool = False) -> Item:
    """Draw one problem in a human task's wording that no one was given, ``held_out`` or not."""
    _check(task, sizes)
    while True:
        if task in OPERATIONS:
            item = _binary(task, rng, sizes.widths)
        elif task in SYMBOLS:
            item = _equation(task, rng, sizes.digits)
        else:
            item = CHAINS[task](rng, rng.choice(sizes.premises), held_out)
        if is_held_out(task, item.key) == held_out:
            return item


def _check(task: str, sizes: Sizes) -> None:
    """Raise UserError where the sizes are those of problems that people were given."""
    if task in OPERATIONS:
        if max(sizes.widths, default=0) <= BITS:
            raise UserError(f"widths {sizes.widths}: natural binary problems need more than 4 bits")
    elif task in SYMBOLS:
        if max(sizes.digits, default=0) < 2 or min(sizes.digits) < 1:
            raise UserError(
                f"digits {sizes.digits}: natural products and differences need 2 or more"
            )
    elif task not in CHAINS:
        known = ", ".join((*OPERATIONS, *SYMBOLS, *CHAINS))
        raise UserError(f"no natural problems of '{task}'; there are: {known}")
    elif not sizes.premises or not 3 <= min(sizes.premises) <= max(sizes.premises) <= 6:
        raise UserError(
            f"premises {sizes.premises}: natural directions and syllogisms need 3 to 6, for people "
            "were given all problems of two"
        )


def _binary(task: str, rng: random.Random, widths: list[int]) -> Item:
    """Draw operands of which one has a value above four bits."""
    while True:
        left, right = rng.choices(widths, k=2)
        a, b = rng.randrange(2**left), rng.randrange(2**right)
        # Most divisors of full width would leave nothing to divide.
        if task in ("binary_division", "binary_modulo"):
            right, b = left, rng.randrange(2 ** rng.randint(1, left))
        # Two small numbers would be a human item padded with zeros.
        if max(a, b) >= 2**BITS and OPERATIONS[task].allowed(a, b):
            return make_item(task, a, b, (left, right))


def _equation(task: str, rng: random.Random, lengths: list[int]) -> Item:
    """Draw operands of which one has two digits or more, and a result that is true or near."""
    a = b = 0
    while max(a, b) < 10:
        a, b = (rng.randrange(10 ** (n - 1), 10**n) for n in rng.choices(lengths, k=2))
    if task == "differences" and a < b:
        a, b = b, a
    symbol = SYMBOLS[task]
    shown = result = digits.true_result(symbol, a, b)
    if rng.random() < 0.5:
        error = rng.choice([*range(1, 11), b])  # as in the human items, or by one operand
        shown = result + rng.choice([-error, error]) if result > error else result + error
    return digits.make_item(task, symbol, a, b, shown)


def _chain(rng: random.Random, number: int, held_out: bool) -> str:
    """Draw premises that can be true together, as the code of a syllogism."""
    letters = "abcdefg"[: number + 1]
    while True:
        pairs = [rng.choice((x + y, y + x)) for x, y in itertools.pairwise(letters)]
        moods = "".join(rng.choices(syllogisms.MOODS, k=number))
        code = f"{moods}:{','.join(pairs)}"
        # Of premises that contradict each other anything would follow.
        possible = is_held_out("syllogisms", code) == held_out
        if possible and syllogisms.find_model(syllogisms.premises_of(code)) is not None:
            return code


def _verification(rng: random.Random, number: int, held_out: bool) -> Item:
    """Draw a chain with a conclusion, as often one that follows as one that does not."""
    valid = rng.random() < 0.5
    while True:
        code = _chain(rng, number, held_out)
        offered = syllogisms.offered_conclusions(code)
        follows = set(syllogisms.valid_conclusions(code))
        if known := [c for c in offered if (c in follows) == valid]:
            return syllogism_verification.make_chain(code, rng.choice(known))


CHAINS = {
    "cardinal_directions": lambda rng, number, _: directions.make_item(
        *rng.choices(directions.DIRECTIONS, k=number)
    ),
    "syllogisms": lambda *drawn: syllogisms.make_item(_chain(*drawn)),
    "syllogism_verification": _verification,
}


def structure(task: str, key: str) -> list[Any]:
    """Return what makes problems the same, whatever their order, zeros, nouns, shown results.

    Two binary numbers are held out of all five operations together.
    """
    if task in OPERATIONS:
        return sorted(int(operand, 2) for operand in key.split(OPERATIONS[task].symbol))
    if task in SYMBOLS:
        return sorted(map(int, key.split("=")[0].split(SYMBOLS[task])))
    # A conclusion that is verified gives away what follows from its premises.
    return [":".join(key.split(":")[:2])]


def is_held_out(task: str, key: str) -> bool:
    """Tell whether a problem is for evaluation alone: a tenth of all are, by their structure."""
    try:
        return int(content_hash(structure(task, key))[:8], 16) % 10 == 0
    except ValueError:  # a key of one's own, in a file of prompts: its question decides
        return False


@cache
def _items(task: str) -> list[Item]:
    rng, sizes = random.Random(f"fresh items of {task}"), Sizes()
    found: dict[str, Item] = {}
    while len(found) < NUM_ITEMS:
        item = draw(task, rng, sizes, held_out=True)
        costs = {**item.covariates, "analytic_cost": analytic_cost(item)}
        found[item.key] = replace(item, task=task + FRESH, covariates=costs)
    return list(found.values())


def fresh_tasks(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return the tasks of fresh items, which are graded as the human ones are."""
    return {
        task.name + FRESH: replace(
            task,
            name=task.name + FRESH,
            items=partial(_items, task.name),
            # They are known by their structure, however they are worded.
            paraphrases=lambda item: [],
        )
        for task in tasks
    }
