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
# Those of problems that nobody was given, and how many premises such a problem may have.
FRESH_PROFESSIONS = [
    "teachers", "soldiers", "trainers", "managers", "cleaners", "gamblers",
    "planters", "breeders", "students", "scholars", "athletes", "officers",
]  # fmt: skip
FRESH_PLACES = [
    "library", "station", "theatre", "airport", "factory", "harbour",
    "stadium", "cottage", "gallery", "orchard", "brewery", "mansion",
]  # fmt: skip
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
# How exercise books and data sets join two premises.
TWO_PREMISES = ["{first}. {second}.", "{first} and {second}."]
TWO_PREMISES += ["Premise 1: {first}. Premise 2: {second}.", "If {first} and if {second},"]
SPELLED = {
    r"\bdivided by\b|÷": "/", r"\bmultiplied by\b|\btimes\b|\*|\bx(?= ?\d)": TIMES,
    r"\bplus\b": "+", r"\bminus\b": "-", r"\b(?:mod|modulo)\b": "%",
    r"\bequals?\b(?: to\b)?": "=",
}  # fmt: skip
# A numeral's base, as prefix or subscript; the words 'binary' and 'base 2' stay.
BASE = re.compile(r"\b0b(?=[01])|(?<=[01])\)?_\(?2\b\)?")
WORD = re.compile(rf"[^\W_]+|[-+%/=<>{TIMES}]")


def three_terms(nouns: Sequence[str], index: int) -> tuple[str, str, str]:
    """Choose three of twelve nouns for an item: 64 items never repeat a triple."""
    # The first moves on with every item, the distance to the others grows every twelve items.
    first, distance = index % 12, 1 + index // 12
    places = (first, first + distance, first + 2 * distance + 1)
    a, b, c = (nouns[place % 12] for place in places)
    return a, b, c


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
    for pattern, symbol in SPELLED.items():
        text = re.sub(pattern, f" {symbol} ", text)
    return WORD.findall(text)
