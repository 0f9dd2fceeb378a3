"""Mathematics problems of prompt files and published traces, graded by symbolic equality.

The task has no items of its own. The given answer is the content of the last ``\\boxed``, or what
math-verify finds in a text without one. Plain numbers are compared here, exactly; everything else
in killable processes. An answer that cannot be compared within the limits gets no verdict: it is
neither right nor wrong, and whoever asked counts it and leaves it out.
"""

import re
from fractions import Fraction

from handan.errors import UserError
from handan.tasks import math_pool
from handan.tasks.base import Grade, Item, Task
from handan.tasks.closed_forms import as_list, same_lists, surely_different
from handan.tasks.reading import last_box

MATH = "math"
# Of a text without a box only the end is searched; longer answers are no answers.
TEXT_CHARACTERS, ANSWER_CHARACTERS = 4_000, 1_000
# Numbers that differ by less are left to math-verify, which rounds.
ROUNDING = Fraction(1, 10_000)

# '1 2' is not 12.
SPACES = re.compile(r"(?<!\d)(?:\\[,;:! ]|~|\s)+|(?:\\[,;:! ]|~|\s)+(?!\d)")
SIZES = re.compile(r"\\(?:left|right)(?=[()\[\]]|\\[{}])")
NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>0|[1-9]\d{0,2}(?:,\d{3}){1,3}|[1-9]\d{0,11})(?P<decimals>\.\d{1,6})?"
)
FRACTION = re.compile(
    r"(?P<sign>-?)(?:\\frac\{(?P<a>[1-9]\d{0,5})\}\{(?P<b>[1-9]\d{0,5})\}"
    r"|(?P<c>[1-9]\d{0,5})/(?P<d>[1-9]\d{0,5}))"
)


# Where math-verify finds the same, because nothing comes after it.
CLOSING = re.compile(
    r"(?:\A|[.!?:]\s+|\n)\W{0,4}(?:(?:So|Thus|Hence|Therefore),? )?[Tt]he (?:final )?answer is:?\s+"
    r"\$(?P<answer>[^$\n]{1,200})\$\.?\s*\Z"
)


def tidy(answer: str) -> str:
    """An answer without spaces, dollar signs and variants of notation that mean the same."""
    text = SIZES.sub("", SPACES.sub("", answer.replace("$", "")))
    return text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


def bare(text: str) -> str:
    """An answer without the dollar signs, asterisks and the full stop around it."""
    text = text.strip(" \n\t*").removesuffix(".").strip(" \n\t*")
    alone = text.count("$") == 2 and text[0] == text[-1] == "$"
    return text[1:-1].strip() if alone else text


def plain_number(text: str) -> Fraction | None:
    """The value of a tidy integer, decimal or fraction; None for anything else."""
    if match := NUMBER.fullmatch(text):
        value = Fraction(match["whole"].replace(",", "") + (match["decimals"] or ""))
    elif match := FRACTION.fullmatch(text):
        value = Fraction(int(match["a"] or match["c"]), int(match["b"] or match["d"]))
    else:
        return None
    return -value if match["sign"] == "-" else value


def quick_outcome(reference: str, answer: str) -> str | None:
    """``correct`` or ``wrong`` where that is certain without algebra, else None."""
    right, given = tidy(reference), tidy(answer)
    if right == given:
        return "correct"
    a, b = plain_number(right), plain_number(given)
    if a is None or b is None:
        return _without_numbers(right, given)
    if a == b:
        return "correct"
    return "wrong" if abs(a - b) > ROUNDING else None


def _without_numbers(right: str, given: str) -> str | None:
    """The same for two tidy answers that are not both plain numbers."""
    lists = _numbers(right), _numbers(given)
    if lists[0] is None or lists[1] is None:
        return "wrong" if surely_different(right, given) else None
    same = same_lists(lists[0], lists[1], ROUNDING)
    return None if same is None else "correct" if same else "wrong"


def _numbers(text: str) -> tuple[str, list[Fraction]] | None:
    """Brackets and entries of a tidy list of plain numbers; None for anything else."""
    found = as_list(text)
    if found is None:
        return None
    numbers = [number for entry in found[1] if (number := plain_number(entry)) is not None]
    return (found[0], numbers) if len(numbers) == len(found[1]) else None


def stated(text: str) -> str | None:
    """The answer of a text without a box, where it is a number alone or its closing sentence."""
    answer = bare(text)
    if plain_number(tidy(answer)) is not None:
        return answer
    match = CLOSING.search(text)
    return match["answer"].strip() if match else None


def reference_answer(text: str | None) -> str | None:
    """The answer in a published solution: its last box, or a text short enough to be an answer."""
    if not text:
        return None
    box = last_box(text)
    answer = bare(text if box is None else box)
    longest = 100 if box is None else ANSWER_CHARACTERS
    return answer if 0 < len(answer) <= longest and "\n" not in answer else None


def judge(reference: str, text: str, pool: math_pool.Pool) -> tuple[str, str | None]:
    """Outcome and answer of a response.

    Args:
        reference: the right answer.
        text: what a model wrote after its reasoning.
        pool: compares what is not plain.

    Returns:
        ``correct``, ``wrong``, ``unreadable`` or ``timeout``, and the answer that was read.
    """
    box, reference = last_box(text), bare(reference)
    if box is None:
        end = text[-TEXT_CHARACTERS:]
        box = stated(end)
        if box is None or quick_outcome(reference, box) is None:
            return pool.judge(reference, end)
    box = bare(box)
    if not box or len(box) > ANSWER_CHARACTERS:
        return "unreadable", None
    outcome = quick_outcome(reference, box)
    if outcome is None:
        outcome, _ = pool.judge(reference, f"\\boxed{{{box}}}")
    return outcome, None if outcome == "unreadable" else box


def grade(item: Item, text: str) -> Grade:
    """Grade a response.

    Raises:
        UserError: the prompt has no reference answer.
    """
    if not item.answer:
        raise UserError(
            f"'{item.key}' of {item.task} has no reference answer, so no response to it can be "
            "graded; use prompts with answers"
        )
    outcome, answer = judge(item.answer, text, math_pool.shared())
    verdict = {"correct": True, "timeout": None}.get(outcome, False)
    # Without a verdict there still was an answer, or the response would count as unreadable.
    return Grade(answer or "" if verdict is None else answer, verdict)


def items() -> list[Item]:
    """There are none to evaluate.

    Raises:
        UserError: always.
    """
    raise UserError("the task 'math' grades prompt files and has no items that people solved")


MATH_TASK = Task(MATH, items, grade)
