"""Does the shown conclusion follow? Fifteen syllogisms with everyday content (cogmods, 2021).

In eight of them premise and conclusion begin with 'no' ('matching'). Validity is derived, with
existential import; two differ from the study's ``truth``: 'Some vehicles are not boats' and 'Some
men do not have ova', which the premises entail.
"""

import csv
from collections import namedtuple
from pathlib import Path

from handan.tasks import syllogisms
from handan.tasks.answers import find_verdicts, grader
from handan.tasks.base import Item, Task
from handan.tasks.syllogisms import FIGURES, Statement, entails
from handan.tasks.wording import NUMBERS, TWO_PREMISES, in_both_orders, worded

MOOD_OF = {"All": "A", "Some": "I", "No": "E", "Some not": "O"}
# Quantifier;subject;predicate of both premises and the conclusion; both in English.
Problem = namedtuple("Problem", "first second conclusion premises_said conclusion_said")
with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as _file:
    PROBLEMS = [Problem(**row) for row in csv.DictReader(_file)]

QUESTION = (
    "Does the conclusion follow with logical necessity from the {number} premises? There is at "
    "least one of everything that is mentioned.\n\n{premises} Conclusion: {conclusion}\n\n"
    "Answer with valid or invalid only."
)
VERDICTS = [
    (r"valid\b", r"invalid\b", "valid/invalid"),
    (r"(?:follows?|entailed|implied)\b", r"(?!)", "valid/invalid"),
    (r"yes\b", r"no(?=\W*(?:\Z|[.,;:!\n*]))", "valid/invalid"),
    (r"(?:correct|true)\b", r"(?:incorrect|false)\b", "valid/invalid"),
]


def verification_key(problem: Problem) -> str:
    """Return the key of a problem: its conclusion as one word, e.g. ``some_not_vehicle_boat``."""
    return problem.conclusion.lower().replace(";", "_").replace(" ", "_").replace("-", "_")


def statements(problem: Problem) -> tuple[tuple[Statement, Statement], Statement]:
    """Code premises and conclusion: a and c for their end terms, b for the middle one."""
    parts = [part.split(";") for part in problem[:3]]
    first, second = set(parts[0][1:]), set(parts[1][1:])
    (a,), (b,), (c,) = first - second, first & second, second - first
    letter = {a: "a", b: "b", c: "c"}
    one, two, conclusion = (MOOD_OF[mood] + letter[x] + letter[y] for mood, x, y in parts)
    return (one, two), conclusion


def is_valid(problem: Problem) -> bool:
    """Tell whether the shown conclusion follows, existential import included."""
    return entails(*statements(problem))


def make_item(problem: Problem) -> Item:
    """Make the item of a problem; its answer is 'valid' or 'invalid'."""
    valid, ((first, second), conclusion) = is_valid(problem), statements(problem)
    figure = next(f for f, order in FIGURES.items() if order == (first[1:], second[1:]))
    question = QUESTION.format(
        number="two", premises=problem.premises_said, conclusion=problem.conclusion_said
    )
    covariates = {
        "valid": float(valid), "matching": float(conclusion[0] == "E"),
        "figure": figure, "conclusion_reversed": float(conclusion[1:] == "ca"),
    }  # fmt: skip
    key, answer = verification_key(problem), "valid" if valid else "invalid"
    return worded("syllogism_verification", key, question, answer, **covariates)


def make_chain(code: str, conclusion: Statement) -> Item:
    """Make the item that shows a conclusion of a chain of premises (``syllogisms.premises_of``)."""
    terms = syllogisms.terms_of(code)
    valid = conclusion in syllogisms.valid_conclusions(code)
    *premises, shown = (
        syllogisms.sentence(statement, terms) + "."
        for statement in (*syllogisms.premises_of(code), conclusion)
    )
    question = QUESTION.format(
        number=NUMBERS[len(premises)], premises=" ".join(premises), conclusion=shown
    )
    answer = "valid" if valid else "invalid"
    key = f"{code}:{conclusion}"
    return worded("syllogism_verification", key, question, answer, valid=float(valid))


def paraphrases(item: Item) -> list[str]:
    """Word the item as exercise books and data sets do."""
    problem = next(p for p in PROBLEMS if verification_key(p) == item.key)
    first, second = problem.premises_said.rstrip(".").split(". ")
    return [
        f"{form} {more} {problem.conclusion_said}"
        for form in in_both_orders(first, second, TWO_PREMISES)
        for more in ("Therefore", "Does it follow that", "Conclusion:")
    ]


grade = grader(lambda item, text: find_verdicts(text, VERDICTS))
TASK = Task(
    "syllogism_verification", lambda: list(map(make_item, PROBLEMS)), grade, paraphrases, 902
)
