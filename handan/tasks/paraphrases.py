"""Other wordings of the items people were given, to recognise them among training prompts.

A handful per item, as exercise books and data sets put such problems. They are compared word by
word after ``words`` has taken layout, LaTeX and the spelling of operators away.
"""

import re
import unicodedata
from collections.abc import Callable

from handan import tasks
from handan.tasks import binary, directions, syllogism_verification, syllogisms
from handan.tasks.base import Item
from handan.tasks.reading import plain

SPELLED = [
    (re.compile(r"\bdivided by\b|÷"), "/"),
    (re.compile(r"\bmultiplied by\b|\btimes\b|\*|\bx(?= ?\d)"), "\N{MULTIPLICATION SIGN}"),
    (re.compile(r"\bplus\b"), "+"),
    (re.compile(r"\bminus\b"), "-"),
    (re.compile(r"\b(?:mod|modulo)\b"), "%"),
]
# A numeral's base, as prefix or subscript; the words 'binary' and 'base 2' stay.
BASE = re.compile(r"\b0b(?=[01])|(?<=[01])\)?_\(?2\b\)?")
WORD = re.compile(r"[^\W_]+|[-+%/=<>\N{MULTIPLICATION SIGN}]")


def words(text: str) -> list[str]:
    """Words, numbers and operators of a text, in one spelling, without punctuation."""
    text = " ".join(unicodedata.normalize("NFKC", plain(text)).casefold().split())
    text = BASE.sub("", text)
    for pattern, symbol in SPELLED:
        text = pattern.sub(f" {symbol} ", text)
    return WORD.findall(text)


def _binary(item: Item) -> list[str]:
    operation = binary.OPERATIONS[item.task]
    a, b = item.key.split(operation.symbol)
    out = []
    for x, y in {(a, b), (a.lstrip("0") or "0", b.lstrip("0") or "0")}:
        expression = f"{x} {operation.symbol} {y}"
        named = {
            "+": [f"the sum of the binary numbers {x} and {y}", f"adding {x} and {y} in binary"],
            "-": [f"the difference of the binary numbers {x} and {y}"],
            "*": [f"the product of the binary numbers {x} and {y}"],
            "/": [f"the quotient of the binary numbers {x} and {y}"],
            "%": [f"the remainder when the binary number {x} is divided by {y}"],
        }[operation.symbol]
        forms = [f"{expression} in binary", f"{expression} in base 2", *named]
        out += [expression, f"{expression} =", *forms]
        out += [f"{ask} {form}" for ask in ("what is", "compute", "find") for form in forms]
        out += [f"compute {expression}", f"what is {expression}", f"calculate {expression}"]
    return out


def _digits(item: Item) -> list[str]:
    expression, shown = item.key.split("=")
    return [
        f"{expression} = {shown}",
        f"is {expression} = {shown}",
        f"is {expression} equal to {shown}",
        f"does {expression} equal {shown}",
        f"true or false: {expression} = {shown}",
        f"is it true that {expression} = {shown}",
        f"is the equation {expression} = {shown} correct",
    ]


def _in_both_orders(first: str, second: str, forms: list[str]) -> list[str]:
    pairs = ((first, second), (second, first))
    return [form.format(first=x, second=y) for form in forms for x, y in pairs]


TWO_PREMISES = [
    "{first}. {second}.",
    "{first} and {second}.",
    "Premise 1: {first}. Premise 2: {second}.",
    "If {first} and if {second},",
]


def _syllogism(item: Item) -> list[str]:
    terms = syllogisms.terms_of(item.key)
    single = {letter: noun[:-1] for letter, noun in terms.items()}
    singular = {
        "A": "Every {x} is a {y}",
        "I": "Some {x} is a {y}",
        "E": "No {x} is a {y}",
        "O": "Some {x} is not a {y}",
    }
    premises = syllogisms.premises_of(item.key)
    plural = [syllogisms.sentence(premise, terms) for premise in premises]
    other = [singular[mood].format(x=single[x], y=single[y]) for mood, x, y in map(tuple, premises)]
    return [
        form for pair in (plural, other) for form in _in_both_orders(pair[0], pair[1], TWO_PREMISES)
    ]


def _verification(item: Item) -> list[str]:
    problem = next(
        p
        for p in syllogism_verification.PROBLEMS
        if syllogism_verification.verification_key(p) == item.key
    )
    premises, conclusion = problem.question.split(" Conclusion: ")
    first, second = re.split(r"\. ", premises.rstrip("."), maxsplit=1)
    return [
        f"{form} {more} {conclusion}"
        for form in _in_both_orders(first, second, TWO_PREMISES)
        for more in ("Therefore", "Does it follow that", "Conclusion:")
    ]


def _direction(item: Item) -> list[str]:
    first, second = item.key.split("+")
    a, b, c = directions.terms_of(first, second)
    forms = [
        (f"The {a} is {first} of the {b}", f"The {b} is {second} of the {c}"),
        (f"The {a} is to the {first} of the {b}", f"The {b} is to the {second} of the {c}"),
        (f"The {a} lies {first} of the {b}", f"the {b} lies {second} of the {c}"),
    ]
    return [form for pair in forms for form in _in_both_orders(*pair, TWO_PREMISES)]


WORDINGS: dict[str, Callable[[Item], list[str]]] = {
    **dict.fromkeys(binary.BINARY_TASKS, _binary),
    "products": _digits,
    "differences": _digits,
    "syllogisms": _syllogism,
    "syllogism_verification": _verification,
    "cardinal_directions": _direction,
}


def wordings(item: Item) -> list[str]:
    """The question of an item, and other wordings of it; always the same number for a task."""
    return [item.question, *WORDINGS[item.task](item)]


def human_items() -> list[Item]:
    """Every item that people were given, of all tasks."""
    return [item for task in tasks.TASKS.values() for item in task.items()]
