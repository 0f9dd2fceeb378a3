"""Is the shown result right? Single-digit products and differences, as given to children.

All 96 items of OpenNeuro ds001486 (Suarez-Pellicioni et al., 2019), whose response times run from
the result on, which was shown after the problem.
"""

from handan.tasks.answers import TIMES, find_verdicts, grader
from handan.tasks.base import Item, Task
from handan.tasks.wording import worded

# Problem -> the false result that was shown. The choice is the experimenters' and has no rule.
FALSE_PRODUCTS = {
    (2, 3): 9, (2, 4): 12, (2, 5): 15, (3, 2): 8, (3, 4): 8, (3, 5): 10,
    (4, 2): 10, (4, 3): 9, (4, 5): 15, (5, 2): 12, (5, 3): 12, (5, 4): 16,
    (6, 7): 49, (6, 8): 56, (6, 9): 45, (7, 6): 48, (7, 8): 64, (7, 9): 54,
    (8, 6): 54, (8, 7): 63, (8, 9): 63, (9, 6): 48, (9, 7): 56, (9, 8): 64,
}  # fmt: skip
FALSE_DIFFERENCES = {
    (3, 2): 2, (4, 3): 2, (5, 2): 2, (5, 3): 1, (5, 4): 2, (6, 2): 5,
    (6, 4): 1, (6, 5): 2, (7, 2): 6, (7, 3): 3, (7, 4): 2, (7, 5): 1,
    (7, 6): 3, (8, 2): 7, (8, 3): 4, (8, 5): 2, (8, 6): 4, (8, 7): 3,
    (9, 2): 8, (9, 3): 5, (9, 4): 4, (9, 6): 5, (9, 7): 4, (9, 8): 3,
}  # fmt: skip

NO_OTHER_NOUN = r"(?! (?:answer|product|result|value|difference|sum|number))"
VERDICTS = [
    ("true", "false", "true/false"),
    (rf"(?:correct|right){NO_OTHER_NOUN}", r"(?:incorrect|wrong)", "true/false"),
    (r"yes\b", r"no(?=\W*(?:\Z|[.,;:!\n*]))", "true/false"),
]


def digits_key(symbol: str, a: int, b: int, shown: int) -> str:
    """Return the key of an item, e.g. ``3*5=15`` or ``7-2=6``."""
    return f"{a}{symbol}{b}={shown}"


def true_result(symbol: str, a: int, b: int) -> int:
    """Return the product (``*``) or difference (``-``) of two digits."""
    return a * b if symbol == "*" else a - b


def make_item(name: str, symbol: str, a: int, b: int, shown: int) -> Item:
    """Make the item that shows ``shown`` as the result of ``a`` and ``b``."""
    result = true_result(symbol, a, b)
    sign = TIMES if symbol == "*" else "-"
    statement = f"{a} {sign} {b} = {shown}"
    question = f"Is this statement true or false? {statement}. Answer with true or false only."
    covariates = {
        "shown_is_true": float(shown == result), "distance": abs(shown - result),
        "operand_sum": a + b, "larger_operand": max(a, b), "smaller_operand": min(a, b),
        "result": result, "result_digits": len(str(result)),
    }  # fmt: skip
    answer = "true" if shown == result else "false"
    return worded(name, digits_key(symbol, a, b, shown), question, answer, **covariates)


def paraphrases(item: Item) -> list[str]:
    """Word the item as exercise books and data sets do."""
    forms = (
        "{0} = {1}", "is {0} = {1}", "is {0} equal to {1}", "does {0} equal {1}",
        "true or false: {0} = {1}", "is it true that {0} = {1}",
        "is the equation {0} = {1} correct",
    )  # fmt: skip
    return [form.format(*item.key.split("=")) for form in forms]


def _task(name: str, symbol: str, false_results: dict[tuple[int, int], int]) -> Task:
    def items() -> list[Item]:
        return [
            make_item(name, symbol, a, b, shown)
            for (a, b), false_result in sorted(false_results.items())
            for shown in (true_result(symbol, a, b), false_result)
        ]

    grade = grader(lambda item, text: find_verdicts(text, VERDICTS))
    return Task(name, items, grade, paraphrases, 334)


DIGIT_TASKS = {
    "products": _task("products", "*", FALSE_PRODUCTS),
    "differences": _task("differences", "-", FALSE_DIFFERENCES),
}
