"""A claim of the study with what the numbers say of it, as all reports show it."""

from collections.abc import Sequence
from dataclasses import dataclass

from handan.report.words.confounds import Confound

# The questions of the study, in its order.
ORDER = (
    "teacher",
    "teacher-base",
    "student-teacher",
    "student-base",
    "multiplier",
    "trained-base",
    "trained-teacher",
    "student-trained",
    "control",
)
REPORTED = {
    "teacher": "mean r = .64 for teachers trained by reinforcement learning.",
    "student-teacher": "yes, 'collapse': mean r = .34 for students, .64 for teachers.",
    "student-base": "yes, 'negative transfer'.",
    "multiplier": "yes, the 'linear inflation law': students need about 2.44 times the tokens, "
    "however hard the task.",
    "student-trained": "yes, it concludes from published checkpoints that human-like allocation "
    "comes from reinforcement, not from imitation.",
}


@dataclass(frozen=True)
class Claim:
    """One question of the study and what the numbers say.

    Attributes:
        about: one of ``ORDER``, or 'other'.
        question: that is asked.
        between: the two arms that are contrasted, or the one that is looked at.
        label: the verdict in a few words.
        tone: 'lower', 'higher', 'same' or 'open'.
        statement: the verdict as a sentence.
        evidence: effect, interval, n.
        notes: what qualifies the verdict, one or two sentences each.
        arms: names of the arms it is about.
        effect: the effect with its interval alone, for tables.
        num_items: how many items it rests on.
        power: what these items could have shown, a sentence; None if it is not known.
        confounds: what else could explain it, of these arms alone.
    """

    about: str
    question: str
    between: str
    label: str
    tone: str
    statement: str
    evidence: str
    notes: list[str]
    arms: tuple[str, ...] = ()
    effect: str = ""
    num_items: int | None = None
    power: str | None = None
    confounds: Sequence[Confound] = ()

    @property
    def reported(self) -> str | None:
        """What the study reports on this question, if it does."""
        return REPORTED.get(self.about)
