"""The embedded world's evaluation items, and how they are recognised.

Binary items are those people solved, worded anew; others are fixed draws with an analytic cost.
"""

import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial

from handan.files import content_hash
from handan.tasks.base import Grade, Item, Task
from handan.tasks.worked_solutions import concise_words
from handan.tiny.families import FAMILIES, HUMAN_WIDTH, Problem, binary_problem, random_problem

# Tasks of long problems, and the family of each: for models that were trained on problems as long.
LONG_TASKS = {"decimal_addition_long": "decimal_addition", "ordering_long": "ordering"}
LONG_DECIMAL_DIGITS = (4, 5, 6)
LONG_PREMISES = (5, 6, 7)
OPERATORS = {"binary_addition": "+", "binary_subtraction": "-"}


def item_from_problem(problem: Problem, formats: Iterable[str] = ("carry-cost",)) -> Item:
    """An item in compact notation, with the number of tokens of each format's noise-free trace."""
    lengths = {
        f"oracle_tokens_{name}": float(len(concise_words(problem.steps(name, random.Random(0)))))
        for name in formats
    }
    covariates = {"analytic_cost": problem.analytic_cost, **lengths}
    question, answer = " ".join(problem.prompt), " ".join(problem.answer)
    return Item(problem.family, problem.key, question, answer, covariates)


def grade(item: Item, text: str) -> Grade:
    """Read a compact answer: digits from the least significant one, or one name."""
    words = text.split()
    if LONG_TASKS.get(item.task, item.task) == "ordering":
        readable = len(words) == 1 and words[0].isupper()
        return Grade(words[0], words[0] == item.answer) if readable else Grade(None, False)
    digits = "01" if item.task in OPERATORS else "0123456789"
    if not words or any(len(w) != 1 or w not in digits for w in words):
        return Grade(None, False)
    right = item.answer.replace(" ", "")[::-1].lstrip("0")
    given = "".join(words)[::-1].lstrip("0")
    return Grade(given or "0", given == right)


@cache
def problems(task: str) -> tuple[Problem, ...]:
    """The evaluation problems of a task, always the same ones in the same order."""
    if operator := OPERATORS.get(task):
        top = 2**HUMAN_WIDTH
        pairs = [(a, b) for a in range(top) for b in range(top if operator == "+" else a + 1)]
        return tuple(
            binary_problem(operator, a, b, HUMAN_WIDTH, random.Random(f"gaps of {a}{operator}{b}"))
            for a, b in pairs
        )
    rng = random.Random(f"evaluation items of {task}")
    drawn: dict[str, Problem] = {}
    sizes = (LONG_DECIMAL_DIGITS, LONG_PREMISES) if task in LONG_TASKS else ()
    while len(drawn) < 100:
        problem = random_problem(LONG_TASKS.get(task, task), rng, [], *sizes)
        # Two small numbers are a short problem, whatever they were drawn from.
        digits = max(map(len, problem.key.split("+")))
        if task != "decimal_addition_long" or digits >= min(LONG_DECIMAL_DIGITS):
            drawn.setdefault(problem.key, problem)
    return tuple(drawn.values())


def _items(task: str) -> list[Item]:
    formats = ("carry-cost", "constant")
    return [item_from_problem(replace(p, family=task), formats) for p in problems(task)]


TASKS = {task: Task(task, partial(_items, task), grade) for task in (*FAMILIES, *LONG_TASKS)}


def identity_hash(task: str, key: str) -> str:
    """Hash a problem as such: gaps do not matter, nor zeros that pad it beyond four bits."""
    family = LONG_TASKS.get(task, task)
    if operator := OPERATORS.get(family):
        operands = key.split(operator)
        width = max(len(o.lstrip("0")) for o in operands)
        if len(operands[0]) >= HUMAN_WIDTH:
            operands = [o.lstrip("0").zfill(max(HUMAN_WIDTH, width)) for o in operands]
        key = operator.join(operands)
    return content_hash([family, key])


@cache
def held_out() -> frozenset[str]:
    """Identity hashes of every evaluation item."""
    return frozenset(identity_hash(task, p.key) for task in TASKS for p in problems(task))
