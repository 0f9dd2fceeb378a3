"""Which claims of the study these arms can answer at all, by what the claims require."""

from collections.abc import Iterator
from dataclasses import replace

from handan.report.data import Group
from handan.report.notation import sentence as capital
from handan.report.words.claim import Claim
from handan.report.words.requirements import NOT_TESTABLE, Figure, Known, Requirement, check

NO_VERDICT = "no verdict"
LEAST_RISE, LEAST_LEVEL, LEAST_ROOM, LEAST_RATIO = 0.1, 0.1, 0.15, 1.5


def tested(group: Group, claim: Claim) -> Claim:
    """The claim, or one that is not testable, with the requirement that is not met as first note.

    What is compared is said and shown as before; it neither confirms nor refutes the claim. Where
    there is no verdict there is nothing to take back.
    """
    if claim.label.startswith(NO_VERDICT):
        return claim
    known = Known(
        r=lambda name: _r(group, name),
        ratio=lambda a, b: _ratio(group, a, b),
        ceiling=group.ceiling(),
        called=lambda name: group.arm(name).noun if name else "the model it was trained from",
    )
    found = [check(required, known) for required in _required(group, claim)]
    lacking = [
        f"{capital(one['said'])}; so this is {NOT_TESTABLE}." for one in found if not one["met"]
    ]
    if not lacking:
        return claim
    return replace(claim, label=NOT_TESTABLE, tone="open", notes=[*lacking, *claim.notes])


def _required(group: Group, claim: Claim) -> Iterator[Requirement]:
    """What a claim requires of its two arms."""
    if claim.about == "student-teacher":
        student, teacher = claim.arms
        base = group.arm(student).base or ""
        yield Requirement("difference", teacher, LEAST_RISE, base)
    elif claim.about == "student-base":
        yield Requirement("r", claim.arms[1], LEAST_LEVEL)
    elif claim.about == "teacher-base" and group.ceiling() is not None:
        yield Requirement("room", claim.arms[1], LEAST_ROOM)
    elif claim.about == "multiplier":
        yield Requirement("ratio", claim.arms[0], LEAST_RATIO, claim.arms[1])


def _r(group: Group, name: str) -> Figure:
    figures = group.figures(name)
    if figures is None:
        return Figure(None)
    return Figure(figures["mean_r_loglog"], *(figures["mean_r_loglog_ci"] or (None, None)))


def _ratio(group: Group, a: str, b: str) -> Figure:
    """With sampling, or at T = 0 where there is nothing else."""
    arms = group.arm(a), group.arm(b)
    for pair in ((a, b), tuple(arm.greedy for arm in arms)):
        for fit in group.result["inflation"]:
            if (fit["student"], fit["base"], fit["task"]) == (*pair, None):
                interval = fit["geometric_mean_ratio_ci"] or (None, None)
                return Figure(fit["geometric_mean_ratio"], *interval)
    return Figure(None)
