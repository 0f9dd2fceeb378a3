"""What each arm consumed, the teacher's traces included, and where budgets are unequal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handan.report.data import Study
from handan.report.notation import count, listing, number
from handan.report.roles import Arm

# Budgets further apart than this are another explanation of a difference.
TOLERANCE = 0.25


@dataclass(frozen=True)
class Spent:
    """What one arm consumed; None is unknown or does not apply.

    Attributes:
        arm: whose training it was.
        steps: optimizer steps.
        trained_tokens: tokens with a loss.
        processed_tokens: tokens that went forward and backward.
        generated_tokens: by the arm itself, in training.
        trace_tokens: by its teacher, for its traces.
        train_seconds, trace_seconds: device seconds of training and of making the traces.
        model_flops: of training, and trace_flops of making the traces, as the ledger counts them.
        probe_seconds: spent on measuring along training; not part of train_seconds.
        evaluation_tokens, evaluation_seconds: of the final evaluation.
        peak_memory_gib: resident size of the training process.
    """

    arm: Arm
    steps: float | None
    trained_tokens: float | None
    processed_tokens: float | None
    generated_tokens: float | None
    trace_tokens: float | None
    train_seconds: float | None
    trace_seconds: float | None
    model_flops: float | None
    trace_flops: float | None
    probe_seconds: float | None
    evaluation_tokens: float | None
    evaluation_seconds: float | None
    peak_memory_gib: float | None

    @property
    def all_generated(self) -> float | None:
        """Generated tokens, the teacher's included; None if the teacher's are unknown."""
        return _total(self.generated_tokens, self.trace_tokens, self._imitates)

    @property
    def all_seconds(self) -> float | None:
        """Device seconds of training and of making its traces."""
        return _total(self.train_seconds, self.trace_seconds, self._imitates)

    @property
    def all_flops(self) -> float | None:
        """Model FLOPs of training and of making its traces."""
        return _total(self.model_flops, self.trace_flops, self._imitates)

    @property
    def _imitates(self) -> bool:
        return bool(self.arm.training.get("traces"))


MEASURES = {
    "trained tokens": "trained_tokens",
    "generated tokens (with the teacher's)": "all_generated",
    "model FLOPs (with those of the traces)": "all_flops",
    "device seconds (with those of the traces)": "all_seconds",
}


def spent(study: Study, arm: Arm) -> Spent:
    """The ledger of one arm."""
    budget = arm.training.get("budget") or {}
    evaluation = arm.evaluation.get("budget") or {}
    traces = (study.traces.get(arm.name) or {}).get("budget") or {}
    trace_tokens = traces.get("generated_tokens")
    teacher = next((other for other in study.arms if other.name == arm.teacher), None)
    size = teacher.training.get("parameters_without_embeddings") if teacher else None
    return Spent(
        arm=arm,
        steps=arm.training.get("steps"),
        **{
            key: budget.get(key)
            for key in (
                *("trained_tokens", "processed_tokens", "generated_tokens"),
                *("train_seconds", "probe_seconds", "model_flops", "peak_memory_gib"),
            )
        }
        | {"train_seconds": budget.get("device_seconds")},
        trace_tokens=trace_tokens,
        trace_seconds=traces.get("device_seconds"),
        # 2 N for each generated token, as in the ledger of training.
        trace_flops=2.0 * size * trace_tokens if size and trace_tokens else None,
        evaluation_tokens=evaluation.get("generated_tokens"),
        evaluation_seconds=evaluation.get("device_seconds"),
    )


def unequal(a: Spent, b: Spent) -> list[tuple[str, float]]:
    """Measures on which a's budget is beyond tolerance of b's, with a's share of b's."""
    found = []
    for measure, column in MEASURES.items():
        of_a, of_b = getattr(a, column), getattr(b, column)
        if of_a is not None and of_b and abs(of_a / of_b - 1) > TOLERANCE:
            found.append((measure, of_a / of_b))
    return found


def _total(own: float | None, traces: float | None, has_traces: bool) -> float | None:
    if not has_traces:
        return own
    return None if own is None or traces is None else own + traces


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
    """Command, versions, revision and hardware, as ``handan.rundir.facts`` wrote them."""
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
