"""Claims of the study that these runs cannot answer, each with the run that would."""

from typing import NamedTuple

from handan.report.data import Group
from handan.report.notation import listing
from handan.report.roles import Arm
from handan.report.words.verdicts import claims

EVALUATE = "evaluate it on the same suite with eval/run.py"


class Missing(NamedTuple):
    """A question of the study, and in one sentence which run would answer it."""

    question: str
    answered_by: str


def missing(group: Group) -> list[Missing]:
    """The claims of the study that no arm of the group speaks to, in the study's order."""
    found = {claim.about for claim in claims(group)}
    asked = {
        "teacher": ("Does a teacher spend tokens where people spend time?", _teacher),
        "teacher-base": ("Is the teacher above the model it was trained from?", _teacher_base),
        "student-teacher": ("Does imitation lose the teacher's allocation?", _student_teacher),
        "student-base": ("Does imitation leave a model below where it began?", _student_base),
        "multiplier": ("Is a trained model its base, times a constant?", _multiplier),
        "trained-base": ("Does reinforcement learning keep the alignment?", _trained_base),
    }
    return [
        Missing(question, answer(group))
        for about, (question, answer) in asked.items()
        if about not in found
    ]


def _teacher(group: Group) -> str:
    students = _kind(group, "student")
    if named := sorted({arm.teacher_said for arm in students if arm.teacher_said}):
        return f"The teacher {listing(named)} was not evaluated; {EVALUATE}."
    return (
        "No teacher was evaluated; evaluate one and a student of its traces, which shows its role."
    )


def _teacher_base(group: Group) -> str:
    if teachers := _kind(group, "teacher"):
        return (
            f"The model that {listing([arm.name for arm in teachers])} was trained from was not "
            f"evaluated; {EVALUATE}."
        )
    return "No teacher was evaluated; evaluate one, its student and the model it was trained from."


def _student_teacher(group: Group) -> str:
    if students := _kind(group, "student"):
        return f"The teacher of {listing([arm.name for arm in students])} was not evaluated here."
    return _no_student("the teacher's")


def _student_base(group: Group) -> str:
    if students := _kind(group, "student"):
        return (
            f"The model that {listing([arm.name for arm in students])} began with was not "
            f"evaluated; {EVALUATE}."
        )
    return _no_student("a teacher's")


def _no_student(whose: str) -> str:
    return (
        f"No student was evaluated; train one on {whose} traces with recipes/sft_distill.py, and "
        "evaluate it and the model it began with on the same suite."
    )


def _multiplier(group: Group) -> str:
    return f"No arm's base was evaluated, or there are too few items; for a base, {EVALUATE}."


def _trained_base(group: Group) -> str:
    if trained := _kind(group, "trained"):
        return (
            f"The model that {listing([arm.name for arm in trained])} began with was not "
            f"evaluated; {EVALUATE}."
        )
    bases = sorted({arm.base for arm in group.arms if arm.base and arm.kind != "teacher"})
    whose = f"from {listing(bases)}" if bases else "from the base of a student"
    return (
        f"No model trained by reinforcement {whose} was evaluated; train one with "
        "recipes/grpo.py, and evaluate it on the same suite."
    )


def _kind(group: Group, kind: str) -> list[Arm]:
    return [arm for arm in group.arms if arm.kind == kind]
