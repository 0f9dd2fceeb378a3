"""What a study declares beyond an experiment: factors, claims with predicted outcomes, a page."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from handan.alignment.statistics.basic import INVERSE_VARIANCE, TASK_WEIGHTS
from handan.errors import UserError
from handan.experiment import load
from handan.experiment.declared import Experiment
from handan.report.words.requirements import OF_TWO, Requirement

# What a claim's test may look at, and the outcomes that can be predicted of it.
EXPECTED = {
    "r": ("positive",),
    "difference": ("lower", "higher", "kept"),
    "law": ("constant multiplier", "additive", "decoupled"),
    "effort": ("alike",),
}


@dataclass(frozen=True)
class Factor:
    """Arms that differ in one thing.

    Attributes:
        question: what they are to answer.
        against: the model or arm they are compared with.
        arms: the others.
    """

    question: str
    against: str
    arms: list[str]


@dataclass(frozen=True)
class Test:
    """One test of a claim, at each temperature.

    Attributes:
        measure: ``r``, mean alignment over the human tasks; ``difference``, a's less b's; ``law``
            that the lengths of a follow from those of b; ``effort``, a's mean tokens / b's.
        a, b: arms or models; ``r`` has no b.
        expect: the predicted outcome, one of ``EXPECTED``.
    """

    measure: str
    a: str
    expect: str
    b: str | None = None


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        says: the claim in a sentence.
        tests: what must be found for it to be reproduced.
        requires: what must hold, at a temperature, for its tests there to say anything about it.
    """

    says: str
    tests: list[Test]
    requires: list[Requirement] = field(default_factory=list)


@dataclass(frozen=True)
class Study(Experiment):
    """The content of a YAML in recipes/studies.

    Attributes:
        page: the results page; its text is written by hand around generated parts.
        factors: by name, a table of the page each.
        claims: by name.
        equivalence_bound: differences within this count as none.
        equivalence_unit: of that bound: ``r``, or ``z`` for Fisher's z.
        task_weights: in a mean over tasks, ``inverse_variance`` or ``equal``.
    """

    page: str = ""
    factors: dict[str, Factor] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    equivalence_bound: float = 0.1
    equivalence_unit: str = "r"
    task_weights: str = INVERSE_VARIANCE

    @property
    def tests(self) -> list[Test]:
        """All tests of all claims, each once."""
        return list(dict.fromkeys(test for claim in self.claims.values() for test in claim.tests))

    def start_of(self, name: str) -> str | None:
        """What an arm begins with, by name; None for a model."""
        return self.arms[name].start if name in self.arms else None

    def teacher_of(self, name: str) -> str | None:
        """Who wrote what an arm imitates or scored its samples; None if nobody in the study did."""
        if name not in self.arms:
            return None
        arm = self.arms[name]
        if arm.teacher is not None or arm.traces is None:
            return arm.teacher
        traces = self.traces[arm.traces]
        while traces.choose_from is not None:
            traces = self.traces[traces.choose_from]
        return traces.teacher


def load_study(path: Path, seed: int | None = None, accelerate_config: str | None = None) -> Study:
    """Read a study, as the command line changes it, and check what it refers to.

    Raises:
        UserError: a key or a name is wrong, or a file is missing; says which.
    """
    study = load(path, seed, accelerate_config, Study)
    for problem in _problems(study):
        raise UserError(f"{path}: {problem}")
    return study


def _problems(study: Study) -> Iterator[str]:
    known = {**study.models, **study.arms}
    if not study.page or not study.factors or not study.claims:
        yield (
            "a study names a page, factors and claims; an experiment without them is run by "
            "handan experiment"
        )
    if not 0 < study.equivalence_bound < 1:
        yield f"equivalence_bound is {study.equivalence_bound:g}; give one between 0 and 1"
    if study.equivalence_unit not in ("r", "z"):
        yield f"equivalence_unit is '{study.equivalence_unit}'; use r or z (Fisher's z)"
    if study.task_weights not in TASK_WEIGHTS:
        yield f"task_weights is '{study.task_weights}'; use {' or '.join(TASK_WEIGHTS)}"
    for name, arm in study.arms.items():
        if arm.start is None:
            yield f"arms.{name}: name the model or arm it begins with as start"
    for name, factor in study.factors.items():
        for named in (factor.against, *factor.arms):
            if named not in known:
                yield f"factors.{name}: '{named}' is no model and no arm"
    shown = {arm for factor in study.factors.values() for arm in (factor.against, *factor.arms)}
    for name in study.arms:
        if name not in shown:
            yield f"arms.{name}: in no factor, so that it would be in no table; add it to one"
    for name, claim in study.claims.items():
        for required in claim.requires:
            if required.measure not in OF_TWO:
                allowed = ", ".join(OF_TWO)
                yield f"claims.{name}: '{required.measure}' is no requirement; use {allowed}"
            elif bool(required.b) != OF_TWO[required.measure]:
                sides = "a and b" if OF_TWO[required.measure] else "a alone"
                yield f"claims.{name}: requirement {required.measure} needs {sides}"
            for of in filter(None, (required.a, required.b)):
                if of not in known:
                    yield f"claims.{name}: '{of}' is no model and no arm"
        for test in claim.tests:
            if test.measure not in EXPECTED or test.expect not in EXPECTED[test.measure]:
                allowed = "; ".join(f"{k}: {', '.join(v)}" for k, v in EXPECTED.items())
                yield f"claims.{name}: '{test.measure}: {test.expect}' is no test; use {allowed}"
            for side in (test.a, test.b):
                if side is not None and side not in known:
                    yield f"claims.{name}: '{side}' is no model and no arm"
            by_measure = {"law": study.start_of(test.a), "effort": study.teacher_of(test.a)}
            if test.b is not None and by_measure.get(test.measure, test.b) != test.b:
                yield (
                    f"claims.{name}: measure {test.measure} is of an arm beside what it starts "
                    f"from (law) or its teacher (effort), and '{test.b}' is not that of '{test.a}'"
                )
            if (test.b is None) != (test.measure == "r"):
                yield f"claims.{name}: measure {test.measure} needs a and b; r needs a alone"
