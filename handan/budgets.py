"""Budgets of arms and their comparison; docs/methods.md has the formulas.

A budget counts all that led to an arm: its training, its teacher's part, trainings it started from.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from handan.files import read_json

TOLERANCE = 0.1  # budgets further apart than this share are another explanation of a difference
MEASURES = {
    "trained_tokens": "trained tokens",
    "generated_tokens": "generated tokens (with the teacher's)",
    "model_flops": "model FLOPs (with the teacher's)",
    "device_seconds": "device-seconds (with the teacher's)",
    "peak_memory_gib": "peak memory",
}
# Where run.json has what a teacher adds to a measure: 0 without one, null if it is unknown.
TEACHERS = {
    "generated_tokens": "teacher_generated_tokens",
    "model_flops": "teacher_flops",
    "device_seconds": "teacher_device_seconds",
}


def total(run: Mapping[str, Any]) -> dict[str, float | None] | None:
    """Each of ``MEASURES`` over all that led to a run's weights, None if a part is unknown."""
    trainings = [run.get("training") or {}]
    if "budget" not in trainings[0]:
        return None
    while before := trainings[-1].get("started_from"):
        trainings.append(before)
    together: dict[str, float | None] = {}
    for measure in MEASURES:
        values = [_own(training.get("budget") or {}, measure) for training in trainings]
        known = [value for value in values if value is not None]
        combine = max if measure == "peak_memory_gib" else sum
        together[measure] = combine(known) if len(known) == len(values) else None
    return together


def _own(budget: Mapping[str, Any], measure: str) -> float | None:
    value = budget.get(measure)
    if measure == "peak_memory_gib" and budget.get("peak_gpu_memory_gib") is not None:
        return budget["peak_gpu_memory_gib"]
    of_teacher = budget.get(TEACHERS[measure]) if measure in TEACHERS else 0
    return None if value is None or of_teacher is None else value + of_teacher


def root(training: Mapping[str, Any], began_with: str | None) -> str | None:
    """Hash of the weights under the first of the trainings that led to an arm, of which
    ``training`` is the last and began with weights of the hash ``began_with``."""
    while before := training.get("started_from"):
        training, began_with = before, before.get("began_with")
    return began_with


def time_share(measuring_s: float, training_s: float) -> float:
    """Share of the time that went into measuring, from 0 to 1; NaN before any has passed."""
    spent = measuring_s + training_s
    return measuring_s / spent if spent else math.nan


def of_traces(traces: Path, sha256: str) -> dict[str, float | None]:
    """Read the teacher's part in a training on its unchanged traces: all it wrote, kept or not."""
    path = traces.with_name("run.json")
    made = (read_json(path).get("traces") or {}) if path.exists() else {}
    budget = made.get("budget") or {} if made.get("traces_sha256") == sha256 else {}
    return {teacher: budget.get(measure) for measure, teacher in TEACHERS.items()}


def compare(
    a: tuple[str, Mapping[str, Any]], b: tuple[str, Mapping[str, Any]], tolerance: float
) -> dict[str, Any] | None:
    """Compare two arms, each a name and its run.json; None if one of them was not trained.

    ``tolerance`` is the share by which the larger budget may exceed the smaller. In the rows of
    'measures', 'ratio' and 'within' are None where unknown.
    """
    of_a, of_b = total(a[1]), total(b[1])
    if of_a is None or of_b is None:
        return None
    rows: list[dict[str, Any]] = []
    matched, apart, unknown = [], [], []
    for measure, label in MEASURES.items():
        left, right = of_a[measure], of_b[measure]
        ratio = within = None
        if left is None or right is None:
            unknown.append(label)
        else:
            low, high = sorted((left, right))
            ratio = left / right if right else None
            within = low == high or (low > 0 and high <= low * (1 + tolerance))
            more, less = (a[0], b[0]) if left > right else (b[0], a[0])
            share = f"{high / low:.3g} times {less}'s" if low else f"all, {less} nothing"
            if within:
                matched.append(label)
            else:
                apart.append(f"{label} ({more} used {share})")
        rows.append({"measure": measure, "a": left, "b": right, "ratio": ratio, "within": within})
    clauses = {f"matched within {100 * tolerance:.3g} % on": matched}
    clauses |= {"not on" if matched else "not matched on": apart, "unknown:": unknown}
    said = "; ".join(f"{how} {', '.join(labels)}" for how, labels in clauses.items() if labels)
    sentence = f"Budgets of {a[0]} and {b[0]}: {said}."
    return {"a": a[0], "b": b[0], "tolerance": tolerance, "measures": rows, "sentence": sentence}


def compare_pairs(
    pairs: Iterable[tuple[str, str]], runs: Mapping[str, Mapping[str, Any]], tolerance: float
) -> list[dict[str, Any]]:
    """Compare the budgets of every pair of arms that were both trained, each once."""
    known = {frozenset(pair): pair for pair in pairs if set(pair) <= runs.keys()}
    found = (compare((a, runs[a]), (b, runs[b]), tolerance) for a, b in known.values())
    return [row for row in found if row is not None]
