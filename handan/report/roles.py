"""Bases, teachers and students among runs, inferred from hashes of weights, never from names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handan.alignment.data.pairs import Comparisons, Pairs, choose_pairs
from handan.budgets import root
from handan.training.arms import described

# What a sentence calls an arm of each kind, in the order of tables.
KINDS = {
    "base": "the base model",
    "teacher": "the teacher",
    "student": "the {method} student",
    "trained": "the {method} model",
    "control": "the {method} control",
    "model": "model",
}


@dataclass(frozen=True, eq=False)
class Arm:
    """One run of one model.

    Attributes:
        name: in all tables.
        run_dir: its directory.
        run, config: run.json and config.yaml.
        metrics: rows of metrics.jsonl.
        sweep: rows of sweep/metrics.jsonl, which were measured on its checkpoints afterwards.
        greedy: name of its answers at temperature 0, None if there are none.
        base: arm whose weights its training began with, None if that was not evaluated.
        teacher: arm whose traces it was trained on, None if it has none that was evaluated.
        kind: 'base'; 'teacher'; 'student', which imitates a teacher; 'control', a student of a
            model that was itself trained from the student's base; 'trained', on its own answers;
            'model', related to no other arm.
    """

    name: str
    run_dir: Path
    run: Mapping[str, Any]
    config: Mapping[str, Any]
    metrics: tuple[dict, ...] = ()
    sweep: tuple[dict, ...] = ()
    greedy: str | None = None
    base: str | None = None
    teacher: str | None = None
    kind: str = "model"

    @property
    def training(self) -> Mapping[str, Any]:
        """What run.json says of its training; empty if it was not trained."""
        return self.run.get("training", {})

    @property
    def training_config(self) -> Mapping[str, Any]:
        """Settings of its training."""
        return self.config.get("training", {})

    @property
    def published(self) -> Mapping[str, Any]:
        """What a zoo says of the training of a published model; empty if it is not of a zoo."""
        return self.run.get("published", {})

    @property
    def started_from(self) -> str | None:
        """Hash of the weights its training began with, evaluated or not."""
        return self.training_config.get("model_fingerprint") or self.published.get("base")

    @property
    def root(self) -> str | None:
        """Hash of the weights at the start of the first of the trainings that led to this arm."""
        return root(self.training, self.started_from)

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """What run.json says of its evaluation."""
        return self.run.get("evaluation", {})

    @property
    def suite(self) -> Mapping[str, Any]:
        """The suite it was evaluated on."""
        return self.config.get("evaluation", {}).get("suite") or {}

    @property
    def fingerprint(self) -> str | None:
        """Hash of the evaluated weights."""
        return self.config.get("evaluation", {}).get("model_fingerprint")

    @property
    def recipe(self) -> str | None:
        """The recipe it was trained by."""
        return self.training.get("recipe") or self.published.get("recipe")

    @property
    def method(self) -> str | None:
        """Its recipe in words."""
        return described(self.recipe).method if self.recipe else None

    @property
    def taught_by(self) -> Mapping[str, Any]:
        """Its teacher's name and hash of weights as run.json has them, evaluated or not."""
        return self.training.get("teacher") or self.published.get("teacher") or {}

    @property
    def teacher_said(self) -> str | None:
        """Name of its teacher in run.json, evaluated or not."""
        return self.taught_by.get("arm")

    @property
    def noun(self) -> str:
        """What a sentence calls it, with its name where that adds something."""
        noun = KINDS[self.kind].format(method=self.method)
        return noun if self.name.casefold() in noun.casefold().split() else f"{noun} {self.name}"

    @property
    def role(self) -> str:
        """Its place in the experiment, for tables."""
        start = f" from {self.base}" if self.base else ""
        if self.kind == "base":
            return "base model"
        if self.kind == "teacher":
            trained = f", trained by {self.method}{start}" if self.method else ""
            return f"teacher{trained}"
        if self.kind in ("student", "control"):
            whom = self.teacher or self.teacher_said or "an unrecorded teacher"
            relation = ", which has the same base" if self.kind == "control" else ""
            how = described(self.recipe).by_teacher
            return f"{self.kind}: {self.method}{start} {how} {whom}{relation}"
        if self.kind == "trained":
            return f"{self.method}{start}"
        return "not related to another arm"


def same_start(a: Arm, b: Arm) -> bool:
    """Whether the trainings of both began with the same weights."""
    return a.started_from is not None and a.started_from == b.started_from


def relate(arms: Sequence[Arm]) -> list[Arm]:
    """The arms of a group with base, teacher and kind, in the order of ``KINDS``."""
    by_weights = {arm.fingerprint: arm for arm in reversed(arms) if arm.fingerprint}

    def found(weights: Any, seeker: Arm) -> Arm | None:
        arm = by_weights.get(weights)
        return None if arm is None or arm.name == seeker.name else arm

    base_of = {arm.name: found(arm.started_from, arm) for arm in arms}
    teacher_of = {arm.name: found(arm.taught_by.get("model_fingerprint"), arm) for arm in arms}

    def control(arm: Arm) -> bool:
        teacher = teacher_of[arm.name]
        return teacher is not None and same_start(arm, teacher)

    bases = {arm.name for arm in base_of.values() if arm}
    teachers = {
        teacher.name for arm in arms if (teacher := teacher_of[arm.name]) and not control(arm)
    }

    def kind(arm: Arm) -> str:
        if arm.method and (arm.teacher_said or arm.training.get("traces")):
            return "control" if control(arm) else "student"
        if arm.name in bases and not arm.method:
            return "base"
        if arm.name in teachers:
            return "teacher"
        return "trained" if arm.method else "model"

    related = []
    for arm in arms:
        base, teacher = base_of[arm.name], teacher_of[arm.name]
        related.append(
            replace(
                arm,
                base=base.name if base else None,
                teacher=teacher.name if teacher else None,
                kind=kind(arm),
            )
        )
    return sorted(related, key=lambda arm: list(KINDS).index(arm.kind))


def comparisons(arms: Sequence[Arm]) -> Comparisons:
    """Pairs to contrast, to regress and to compare in effort, each also at temperature 0.

    Every arm is contrasted with its teacher and its base, students with the arms that were trained
    from the same base on their own answers, and those with the students' teachers. An arm that was
    trained in several stages is contrasted with all that were trained from where it began.
    Unrelated arms are contrasted all with all, if they are few.
    """
    pairs = [(arm.name, arm.teacher) for arm in arms if arm.teacher]
    pairs += [(arm.name, arm.base) for arm in arms if arm.base]
    pairs += [
        (arm.name, other.name)
        for arm in arms
        for other in arms
        if arm.root != arm.started_from and other.started_from == arm.root
        if other.name != arm.base
    ]
    beside = [
        (student, other)
        for student in arms
        for other in arms
        if student.kind == "student" and other.kind == "trained"
        if same_start(student, other)
    ]
    pairs += [(student.name, other.name) for student, other in beside]
    pairs += [
        (other.name, student.teacher)
        for student, other in beside
        if student.teacher and (student.teacher, other.name) not in pairs
    ]
    if not pairs:
        pairs = choose_pairs([arm.name for arm in arms], None)
    fits = [(arm.name, arm.base) for arm in arms if arm.base]
    greedy = {arm.name: arm.greedy for arm in arms}
    effort = [(arm.name, arm.teacher) for arm in arms if arm.teacher]
    roles = {
        pair: (arm.kind, role)
        for arm in arms
        for name, role in ((arm.teacher, "teacher"), (arm.base, "base"))
        if name and arm.kind in ("student", "teacher")
        for pair in _also_greedy([(arm.name, name)], greedy)
    }
    return Comparisons(
        _also_greedy(pairs, greedy),
        _also_greedy(fits, greedy),
        _also_greedy(effort, greedy),
        roles,
    )


def _also_greedy(pairs: Pairs, greedy: Mapping[str, str | None]) -> Pairs:
    unique = list(dict.fromkeys(pairs))
    cold = [(greedy[a], greedy[b]) for a, b in unique]
    return unique + [(a, b) for a, b in cold if a and b]
