"""The course of training: what was measured along it, and on which axes it is shown."""

from collections.abc import Iterable, Mapping
from typing import Any

from handan.report.roles import Arm

# Keys of a row of ``course``, and what the axis says.
AXES = {
    "step": "optimizer step",
    "share": "% of the arm's own steps",
    "budget/trained_tokens": "trained tokens",
    "budget/processed_tokens": "processed tokens",
    "budget/model_flops": "model FLOPs",
    "budget/device_seconds": "device-seconds",
}
FULL = "full/"  # prefix of what was measured on the full suite


def course(arm: Arm) -> list[dict[str, Any]]:
    """What was measured at each step of an arm's training, sorted by step.

    A row holds the numbers of metrics.jsonl under their names there, 'step', and 'share', the
    percentage of the training's steps. Where the trainer measured nothing, it is what a sweep over
    the checkpoints measured afterwards, see ``swept``.
    """
    steps_in_all = max((row["step"] for row in _with_step(arm.metrics + arm.sweep)), default=0)
    rows = _measured(arm.metrics) or _measured(arm.sweep)
    return [
        {**rows[step], "share": 100 * step / steps_in_all if steps_in_all else 0.0}
        for step in sorted(rows)
    ]


def swept(arm: Arm) -> bool:
    """Whether the course of an arm was measured on its checkpoints, not while it was trained."""
    return not _measured(arm.metrics) and bool(_measured(arm.sweep))


def known_axes(arms: Iterable[Arm]) -> dict[str, str]:
    """Those of ``AXES`` that every row of every arm's course knows."""
    rows = [row for arm in arms for row in course(arm)]
    return {key: label for key, label in AXES.items() if all(key in row for row in rows)}


def _with_step(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The numbers of the rows that have a step."""
    return [
        {key: value for key, value in row.items() if isinstance(value, (int, float))}
        for row in rows
        if isinstance(row.get("step"), (int, float))
    ]


def _measured(rows: Iterable[Mapping[str, Any]]) -> dict[float, dict[str, Any]]:
    """{step: row} of the rows with an alignment; several rows of one step become one."""
    found: dict[float, dict[str, Any]] = {}
    for row in _with_step(rows):
        if any(key.startswith(("alignment/", f"{FULL}alignment/")) for key in row):
            found[row["step"]] = found.get(row["step"], {}) | row
    return found
