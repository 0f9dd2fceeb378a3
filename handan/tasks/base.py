"""Tasks: items with answer keys, and one grader for evaluation, traces and rewards alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One problem as a model sees it, with what may explain its cost (carries, operand size)."""

    task: str
    key: str  # joins it with human norms, e.g. ``0101+0011``
    question: str
    answer: str  # right ones are separated by ' | '
    covariates: Mapping[str, float] = field(default_factory=dict)


FRESH = "_fresh"  # ends the names of tasks of problems beside a human task's (``tasks.fresh``)


def base_task(item: Item) -> str:
    """Return the human task that an item is of, or beside."""
    return item.task.removesuffix(FRESH)


@dataclass(frozen=True)
class Grade:
    """The answer that a response states, or None; ``correct`` is None if that was undecided."""

    answer: str | None
    correct: bool | None


@dataclass(frozen=True)
class Task:
    """A set of items, always in the same order, with one grader."""

    name: str
    items: Callable[[], list[Item]]
    # Of the text after the reasoning span, which is never evaluated, in linear time or a limit.
    grade: Callable[[Item, str], Grade]
    # By these and its question an item is recognised among training prompts.
    paraphrases: Callable[[Item], list[str]] = lambda item: []
    # Means of DeepSeek-R1, nearest task of de Varda et al. (PNAS 2025, figure); None: the cap.
    expected_tokens: int | None = None
    # Hash of the questions and answers of a task of one's own, which may be others tomorrow.
    content: str | None = None
