"""Tasks: items, each with its question and answer key, and one grader.

The same grader serves evaluation, the filtering of traces and the reward of reinforcement learning.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One problem as a model sees it, with what may explain its cost (carries, operand size, ...).

    Its key joins it with human norms, e.g. ``0101+0011``; right answers are separated by ' | '.
    """

    task: str
    key: str
    question: str
    answer: str
    covariates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Grade:
    """The answer that a response states, or None; ``correct`` is None if that was undecided."""

    answer: str | None
    correct: bool | None


@dataclass(frozen=True)
class Task:
    """A set of items, always in the same order, with one grader.

    ``grade`` gets an item and the text after the reasoning span, never evaluates it, and takes time
    linear in its length or has a limit. By its question and ``paraphrases`` an item is recognised
    among training prompts. ``expected_tokens`` of a strong reasoning model (None: the cap) are
    means of DeepSeek-R1 in the nearest task of de Varda et al. (PNAS 2025, figure).
    """

    name: str
    items: Callable[[], list[Item]]
    grade: Callable[[Item, str], Grade]
    paraphrases: Callable[[Item], list[str]] = lambda item: []
    expected_tokens: int | None = None
