"""What a task is: items, each with its question and answer key, and one grader.

The same grader serves evaluation, the filtering of traces and the reward of reinforcement learning.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One problem as a model sees it.

    Attributes:
        task: name of the task.
        key: identifies the item within its task and joins it with human norms, e.g. ``0101+0011``.
        question: what is put to the model, in the task's wording.
        answer: the derived correct answer, in canonical form.
        covariates: properties of the problem that may explain cost (carries, operand size, ...).
    """

    task: str
    key: str
    question: str
    answer: str
    covariates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Grade:
    """What the grader read.

    Attributes:
        answer: the canonical answer; None if the text states none.
        correct: whether it is right; None if that could not be decided within the grader's limits,
            in which case the response counts neither as right nor as wrong.
    """

    answer: str | None
    correct: bool | None


def no_paraphrases(item: Item) -> list[str]:
    """For a task whose items are put in one way."""
    return []


@dataclass(frozen=True)
class Task:
    """A set of items with one grader.

    Attributes:
        name: the task's name, as in suites and ``costs.csv``.
        items: returns all items, always in the same order.
        grade: maps an item and the text after the reasoning span to a ``Grade``. It never
            evaluates the text, and takes time linear in its length or has a limit.
        paraphrases: other wordings of an item, by which it is recognised among training prompts.
            Without any it is recognised by the words of its question alone.
    """

    name: str
    items: Callable[[], list[Item]]
    grade: Callable[[Item, str], Grade]
    paraphrases: Callable[[Item], list[str]] = no_paraphrases
