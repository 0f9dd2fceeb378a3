"""What the tasks share in putting questions: neutral nouns and the length of the question."""

from collections.abc import Sequence

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


def three_terms(nouns: Sequence[str], index: int) -> tuple[str, str, str]:
    """Three different nouns for the item at ``index`` of its design, the same ones every time.

    ``nouns`` holds twelve; the first noun moves on with every item and the distance to the others
    grows every twelve items, so that 64 items never repeat a triple.
    """
    first, distance = index % 12, 1 + index // 12
    second = (first + distance) % 12
    third = (first + 2 * distance + 1) % 12
    return nouns[first], nouns[second], nouns[third]


def worded(task: str, key: str, question: str, answer: str, **covariates: float) -> Item:
    """An item with its covariates, among them the length of its question in characters."""
    covariates["question_characters"] = len(question)
    return Item(task, key, question, answer, covariates)


def in_both_orders(first: str, second: str, forms: list[str]) -> list[str]:
    """Every form with two sentences as ``{first}`` and ``{second}``, and the other way round."""
    pairs = ((first, second), (second, first))
    return [form.format(first=x, second=y) for form in forms for x, y in pairs]
