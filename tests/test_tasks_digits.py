"""Single-digit products and differences with a shown result."""

import pytest

from handan.tasks import TASKS
from handan.tasks.digits import FALSE_DIFFERENCES, FALSE_PRODUCTS, make_item


def test_products_are_all_pairs_of_different_small_or_large_digits():
    pairs = {(a, b) for low in (2, 6) for a in range(low, low + 4) for b in range(low, low + 4)}
    assert set(FALSE_PRODUCTS) == {(a, b) for a, b in pairs if a != b}


def test_false_results_are_false():
    assert all(shown != a * b for (a, b), shown in FALSE_PRODUCTS.items())
    assert all(shown != a - b for (a, b), shown in FALSE_DIFFERENCES.items())
    assert len(FALSE_DIFFERENCES) == 24


def test_items_come_in_pairs_of_true_and_false():
    first, second = TASKS["products"].items()[:2]
    assert (first.key, first.answer, second.key, second.answer) == (
        "2*3=6",
        "true",
        "2*3=9",
        "false",
    )
    assert TASKS["differences"].items()[-1].key == "9-8=3"
    assert second.covariates["distance"] == 3


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("True", "true"),
        ("yes", "true"),
        ("Correct!", "true"),
        ("It is not false.", "true"),
        ("FALSE.", "false"),
        ("\\boxed{\\text{False}}", "false"),
        ("The statement is not true.", "false"),
        ("This isn't correct.", "false"),
        ("False. The correct answer is 6.", "false"),
        ("Wrong, the right result is 6", "false"),
        ("No, 2 \u00d7 3 is 6, not 9.", "false"),
        ("The answer is false, because 2 \u00d7 3 = 6; true would be 6.", "false"),
        ("You asked: true or false. Answer: False", "false"),
        ("The answer is not true but false", "false"),
        ("True or false?", None),
        ("true or false", None),
        ("untrue", None),
        ("9", None),
    ],
)
def test_grades_of_a_false_statement(text, answer):
    item = make_item("products", "*", 2, 3, 9)
    grade = TASKS["products"].grade(item, text)
    assert (grade.answer, grade.correct) == (answer, answer == "false")
