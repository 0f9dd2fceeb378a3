"""The wording of questions: neutral nouns, other wordings, and the words by which they compare."""

import re
import unicodedata
from collections.abc import Sequence

from handan.tasks.answers import TIMES, plain
from handan.tasks.base import Item

# All of one length within a list, so that the choice of nouns does not move the prompt's length.
PROFESSIONS = [
    "dentists", "chemists", "florists", "painters", "plumbers", "swimmers",
    "climbers", "cyclists", "drummers", "builders", "printers", "surgeons",
]  # fmt: skip
PLACES = [
    "church", "market", "museum", "school", "bridge", "castle",
    "garden", "tavern", "temple", "palace", "prison", "office",
]  # fmt: skip
# How exercise books and data sets join two premises.
TWO_PREMISES = [
    "{first}. {second}.",
    "{first} and {second}.",
    "Premise 1: {first}. Premise 2: {second}.",
    "If {first} and if {second},",
]
SPELLED = [
    (re.compile(r"\bdivided by\b|÷"), "/"),
    (re.compile(r"\bmultiplied by\b|\btimes\b|\*|\bx(?= ?\d)"), TIMES),
    (re.compile(r"\bplus\b"), "+"),
    (re.compile(r"\bminus\b"), "-"),
    (re.compile(r"\b(?:mod|modulo)\b"), "%"),
    (re.compile(r"\bequals?\b(?: to\b)?"), "="),
]
# A numeral's base, as prefix or subscript; the words 'binary' and 'base 2' stay.
BASE = re.compile(r"\b0b(?=[01])|(?<=[01])\)?_\(?2\b\)?")
WORD = re.compile(rf"[^\W_]+|[-+%/=<>{TIMES}]")


def three_terms(nouns: Sequence[str], index: int) -> tuple[str, str, str]:
    """Choose three nouns for the item at ``index`` of its design, the same ones every time.

    ``nouns`` holds twelve; the first noun moves on with every item and the distance to the others
    grows every twelve items, so that 64 items never repeat a triple.
    """
    first, distance = index % 12, 1 + index // 12
    second = (first + distance) % 12
    third = (first + 2 * distance + 1) % 12
    return nouns[first], nouns[second], nouns[third]


def worded(task: str, key: str, question: str, answer: str, **covariates: float) -> Item:
    """Make an item with its covariates, among them the length of its question in characters."""
    covariates["question_characters"] = len(question)
    return Item(task, key, question, answer, covariates)


def in_both_orders(first: str, second: str, forms: list[str]) -> list[str]:
    """Fill two sentences into every form as ``{first}`` and ``{second}``, in both orders."""
    pairs = ((first, second), (second, first))
    return [form.format(first=x, second=y) for form in forms for x, y in pairs]


def words(text: str) -> list[str]:
    """Return words, numbers and operators in one spelling, without LaTeX and punctuation."""
    text = " ".join(unicodedata.normalize("NFKC", plain(text)).casefold().split())
    text = BASE.sub("", text)
    for pattern, symbol in SPELLED:
        text = pattern.sub(f" {symbol} ", text)
    return WORD.findall(text)
