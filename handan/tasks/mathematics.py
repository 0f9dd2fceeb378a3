"""Mathematics problems of prompt files and published traces, graded by their values.

The task has no items of its own. ``final_answers`` reads what a text gives as its answer,
``answers`` compares it part by part and exactly, and what needs algebra goes to killable processes.
An answer that cannot be compared within the limits gets no verdict: it is neither right nor wrong,
and whoever asked counts it and leaves it out.
"""

from handan.errors import UserError
from handan.tasks import math_pool
from handan.tasks.answers import every, same_answer
from handan.tasks.base import Grade, Item, Task
from handan.tasks.final_answers import final_answers, statements
from handan.tasks.notation import bare

MATH = "math"
# Longer answers are no answers, and more parts than these are not compared.
ANSWER_CHARACTERS, REFERENCE_CHARACTERS, MOST_QUESTIONS = 1_000, 100, 60


def quick_outcome(reference: str, answer: str) -> str | None:
    """``correct`` or ``wrong`` where that is certain without algebra, else None."""
    same = same_answer(reference, answer)
    return None if same is None else "correct" if same else "wrong"


def reference_answer(text: str | None) -> str | None:
    """The answer in a published solution: what it states, or a text short enough to be one."""
    if not text:
        return None
    given = final_answers(text) if statements(text) else (text,)
    answer = bare(", ".join(dict.fromkeys(map(bare, given or ()))))
    longest = ANSWER_CHARACTERS if statements(text) else REFERENCE_CHARACTERS
    return answer if 0 < len(answer) <= longest and "\n" not in answer else None


def judge(reference: str, text: str, pool: math_pool.Pool) -> tuple[str, str | None]:
    """Outcome and answer of a response.

    Args:
        reference: the right answer.
        text: what a model wrote after its reasoning.
        pool: compares what needs algebra.

    Returns:
        ``correct``, ``wrong``, ``unreadable`` or ``timeout``, and the answer that was read:
        alternatives are told apart by 'or'.
    """
    given = final_answers(text)
    if given is None or any(not 0 < len(bare(one)) <= ANSWER_CHARACTERS for one in given):
        return "unreadable", None
    if not given:
        return "wrong", ""
    asked: list[str] = []

    def ask(right: str, answer: str) -> bool | None:
        if "timeout" in asked or len(asked) >= MOST_QUESTIONS:
            return None
        asked.append(pool.judge(right, f"\\boxed{{{answer}}}")[0])
        return None if asked[-1] == "timeout" else asked[-1] == "correct"

    given = tuple(dict.fromkeys(map(bare, given)))
    same = every(same_answer(reference, one, ask) for one in given)
    if same is False and len(given) > 1:
        same = same_answer(reference, ", ".join(given), ask)  # the parts of one answer
    if same is None:
        return "timeout", " or ".join(given)
    return "correct" if same else "wrong", " or ".join(given)


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
