"""The tasks in natural language that people were given too, for real models."""

from handan.errors import UserError
from handan.tasks import directions, syllogism_verification, syllogisms
from handan.tasks.base import Grade, Item, Task
from handan.tasks.binary import BINARY_TASKS
from handan.tasks.digits import DIGIT_TASKS
from handan.tasks.mathematics import MATH, MATH_TASK

TASKS: dict[str, Task] = {
    **BINARY_TASKS,
    **DIGIT_TASKS,
    **{task.TASK.name: task.TASK for task in (syllogisms, syllogism_verification, directions)},
}

__all__ = ["TASKS", "Grade", "Item", "Task", "load"]


def load(name: str) -> Task:
    """The task called ``name``: one of those people were given, or ``math`` of prompt files.

    Raises:
        UserError: there is no such task.
    """
    if name == MATH:
        return MATH_TASK
    if name not in TASKS:
        raise UserError(f"unknown task '{name}'; known tasks: {', '.join([*TASKS, MATH])}")
    return TASKS[name]
