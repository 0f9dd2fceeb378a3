"""The tasks in natural language that people were given too, for real models."""

from handan.errors import UserError
from handan.tasks import directions, syllogism_verification, syllogisms
from handan.tasks.base import Grade, Item, Task
from handan.tasks.binary import BINARY_TASKS
from handan.tasks.digits import DIGIT_TASKS
from handan.tasks.fresh import fresh_tasks
from handan.tasks.mathematics import MATH, MATH_TASK

TASKS: dict[str, Task] = {
    **BINARY_TASKS,
    **DIGIT_TASKS,
    **{task.TASK.name: task.TASK for task in (syllogisms, syllogism_verification, directions)},
}

FRESH = fresh_tasks(TASKS.values())

__all__ = [
    "FRESH",
    "TASKS",
    "Grade",
    "Item",
    "Task",
    "evaluation_items",
    "human_items",
    "load",
    "wordings",
]


def load(name: str) -> Task:
    """Return a task: of people, of fresh problems beside theirs, or ``math`` of prompt files."""
    known = TASKS | FRESH | {MATH: MATH_TASK}
    if name not in known:
        own = "no folder with a task.yaml here"
        raise UserError(f"unknown task '{name}', and {own}; known tasks: {', '.join(known)}")
    return known[name]


def human_items() -> list[Item]:
    """Return every item that people were given, of all tasks."""
    return [item for task in TASKS.values() for item in task.items()]


def evaluation_items() -> list[Item]:
    """Return the items that people were given, and the fresh ones beside them."""
    return [*human_items(), *(item for task in FRESH.values() for item in task.items())]


def wordings(item: Item) -> list[str]:
    """Return an item's question and its task's other wordings of it, as many for every item."""
    return [item.question, *load(item.task).paraphrases(item)]
