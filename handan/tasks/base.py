"""Tasks: items, each with its question and answer key, and one grader.

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
        answer: the derived correct answer, in canonical form; several are separated by ' | '.
        covariates: properties of the problem that may explain cost (carries, operand size, ...).
    """

    task: str
    key: str
    question: str
    answer: str
    covariates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Grade:
    """The grader's reading of a response.

    Attributes:
        answer: the canonical answer; None if the text states none.
        correct: whether it is right; None if that could not be decided within the grader's limits,
            in which case the response counts neither as right nor as wrong.
    """

    answer: str | None
    correct: bool | None


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
        expected_tokens: of a strong reasoning model on an item, to estimate the work of an
            evaluation; None for the cap. Means of DeepSeek-R1 in the nearest task of de Varda et
            al. (PNAS 2025, figure): numeric arithmetic 318, verbal arithmetic 334, syllogisms
            902, relational reasoning 1,816.
    """

    name: str
    items: Callable[[], list[Item]]
    grade: Callable[[Item, str], Grade]
    paraphrases: Callable[[Item], list[str]] = lambda item: []
    expected_tokens: int | None = None
