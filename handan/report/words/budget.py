"""What each arm consumed, the teacher's traces included, and where budgets are unequal."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handan import budgets
from handan.report.data import Study
from handan.report.notation import count, listing, number
from handan.report.roles import Arm


@dataclass(frozen=True)
class Spent:
    """What one arm consumed; None is unknown or does not apply.

    Attributes:
        arm: whose training it was.
        steps: optimizer steps.
        own: the budget of its training as run.json has it, of this arm alone.
        evaluation: the budget of its final evaluation.
        total: of all that led to its weights, by measure; None if it was not trained.
    """

    arm: Arm
    steps: float | None
    own: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    total: Mapping[str, float | None] | None


def spent(arm: Arm) -> Spent:
    """The ledger of one arm."""
    return Spent(
        arm=arm,
        steps=arm.training.get("steps"),
        own=defaultdict(lambda: None, arm.training.get("budget") or {}),
        evaluation=defaultdict(lambda: None, arm.evaluation.get("budget") or {}),
        total=budgets.total(arm.run),
    )


def compared(study: Study) -> list[dict[str, Any]]:
    """Budgets of the arms of a group that began with the same weights, pair by pair.

    An arm is not compared with those that its own training went on from.
    """
    found = []
    for group in study.groups:
        trained = [arm for arm in group.arms if arm.training.get("budget")]
        for index, a in enumerate(trained):
            found += [compared_pair(a, b, study.tolerance) for b in trained[index + 1 :]]
    return [row for row in found if row is not None]


def compared_pair(a: Arm, b: Arm, tolerance: float) -> dict[str, Any] | None:
    """The budgets of two arms; None if they did not begin alike or one went on from the other."""
    if a.root is None or a.root != b.root or a.base == b.name or b.base == a.name:
        return None
    return budgets.compare((a.name, a.run), (b.name, b.run), tolerance)


def facts(study: Study, arm: Arm) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each stage of an arm its title and what was recorded of it, by name."""
    stages = []
    if arm.training:
        settings = arm.training_config
        more = {
            "seed": settings.get("seed"),
            "data seed": settings.get("data_seed"),
            "learning rate": settings.get("learning_rate"),
            "prompts": settings.get("prompts"),
            "weights it began with, hash": settings.get("model_fingerprint"),
            "traces, SHA-256": arm.training.get("traces"),
        }
        stages.append(("Training", _stage(arm.training) | more))
    if (traces := study.traces.get(arm.name)) is not None:
        stages.append(("Traces it was trained on", _stage(traces)))
    if arm.evaluation:
        conditions = arm.run["comparability"]
        more = {
            "seed": arm.suite.get("seed"),
            "suite": conditions.get("suite"),
            "suite, hash": conditions.get("suite_hash"),
            "reasoning format": arm.evaluation.get("reasoning_format"),
            "engine": _engine(arm.evaluation.get("engine") or {}),
            "weights, hash": arm.fingerprint,
            "generations.jsonl, SHA-256": arm.evaluation.get("generations_sha256"),
        }
        stages.append(("Evaluation", _stage(arm.evaluation) | more))
    return [
        (title, [(key, str(value)) for key, value in values.items() if value is not None])
        for title, values in stages
    ]


def _engine(identity: Mapping[str, Any]) -> str | None:
    """What generated, with its version and settings."""
    return ", ".join(f"{key} {value}" for key, value in identity.items() if value) or None


def _stage(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Command, versions, revision and hardware, as ``handan.provenance.facts`` wrote them."""
    git, hardware = recorded.get("git") or {}, recorded.get("hardware") or {}
    versions = {"Python": recorded.get("python"), **(recorded.get("versions") or {})}
    revision = "not recorded: not run in a git checkout"
    if git:
        revision = f"{git.get('commit')}{', with changes' if git.get('dirty') else ''}"
    parts = {
        "{} {}": (hardware.get("system"), hardware.get("machine")),
        "{} cores": (hardware.get("cores"),),
        "{} processes": (hardware.get("processes"),),
        "{} threads a process": (hardware.get("threads"),),
        "accelerators: {}": (", ".join(hardware.get("accelerators") or []) or "none",),
    }
    shown = [text.format(*values) for text, values in parts.items() if None not in values]
    return {
        "command": recorded.get("command", "not recorded"),
        "started": recorded.get("started"),
        "git revision": revision,
        "versions": ", ".join(f"{name} {of}" for name, of in versions.items() if of) or None,
        "hardware": ", ".join(shown) if hardware else None,
    }


def trace_sentences(study: Study) -> list[str]:
    """What was dropped from the traces each student was trained on."""
    said = []
    for arm in study.arms:
        if not arm.training.get("traces"):
            continue
        traces = study.traces.get(arm.name)
        if traces is None:
            said.append(
                f"Traces of {arm.name}: the run that made them was not found, so what they cost "
                "and what was dropped from them is unknown; name its directory, too."
            )
            continue
        counts = traces.get("counts") or {}
        dropped = [f"{count(of)} {why}" for why, of in (counts.get("dropped") or {}).items()]
        said.append(
            f"Traces of {arm.name}: {count(counts.get('kept'))} of "
            f"{count(counts.get('responses'))} responses kept; dropped: "
            f"{listing(dropped) or 'none'}. Mean reasoning tokens: "
            f"{number(counts.get('mean_reasoning_tokens_kept'))} in kept, "
            f"{number(counts.get('mean_reasoning_tokens_dropped'))} in dropped ones. What is "
            "dropped changes the lengths a student sees."
        )
    return said
