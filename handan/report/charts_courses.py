"""Charts of what was measured along training."""

from collections.abc import Sequence
from typing import Any

from handan.report.charts_panel import Panel, table
from handan.report.comparison import FULL, Arm, Comparison, Group, course
from handan.report.formatting import correlation, listing, name, number, plain

REFERENCES = ("measure", "arm", "value", "label")

MEAN_R = "alignment/mean_r_loglog"
# Measures along training that have one chart over all tasks: title, and whether it is a share.
MEASURES = {
    "status/accuracy": ("Right answers, share", True),
    "cost/reasoning_tokens": ("Reasoning tokens, mean", False),
    "inflation/k": ("k: tokens, times those of step 0", False),
    "inflation/b": ("b: slope of log tokens on those of step 0", False),
    "status/cap_rate": ("Answers cut at the cap, share", True),
}
BOUNDS = ("_ci_low", "_ci_high")


def course_data(study: Comparison, arms: Sequence[Arm]) -> dict[str, Any]:
    """Tables of what was measured at each step, and of the horizontal lines beside it."""
    return {
        "courses": _courses(arms),
        "references": table(REFERENCES, _references(study.main)),
    }


def course_panels(study: Comparison, arms: Sequence[Arm]) -> list[Panel]:
    """One panel for each measure, all arms in it."""
    references = _references(study.main)
    panels = []
    for place, (measure, title, task) in enumerate(_measures(study, arms)):
        lines = [row[2] for row in references if row[0] == measure]
        low, high = _limits(measure, arms, lines)
        panels.append(
            Panel(
                identity=f"course-{place}",
                kind="course",
                title=title,
                caption="",
                description=f"Line chart along training. {_ends(arms, measure)}",
                parameters={"measure": measure, "y_low": low, "y_high": high},
                task=task,
            )
        )
    return panels


def _courses(arms: Sequence[Arm]) -> dict[str, Any]:
    """One row an arm and step, with all measures under their names in metrics.jsonl."""
    rows = [(arm.name, row) for arm in arms for row in course(arm)]
    columns = sorted({key for _, row in rows for key in row})
    return table(["arm", *columns], ([arm, *map(row.get, columns)] for arm, row in rows))


def _measures(study: Comparison, arms: Sequence[Arm]) -> list[tuple[str, str, str | None]]:
    """Key, title and task of every measure along training that has a value."""
    tasks = study.main.tasks("human")
    wanted: list[tuple[str, str, str | None]] = [(MEAN_R, "Mean r over human tasks", None)]
    if len(tasks) > 1:
        wanted += [(_task_r(task), f"r on {name(task)}", task) for task in tasks]
    wanted += [(key, title, None) for key, (title, _) in MEASURES.items()]
    rows = [row for arm in arms for row in course(arm)]
    return [
        entry
        for entry in wanted
        if any(row.get(prefix + entry[0]) is not None for row in rows for prefix in ("", FULL))
    ]


def _task_r(task: str) -> str:
    return f"alignment/{task}/r_loglog"


def _references(group: Group) -> list[list[Any]]:
    """Horizontal lines: ceilings, what teachers reach on all items, and the value of no change."""
    tasks = group.tasks("human")
    ceilings = {MEAN_R: group.ceiling()}
    ceilings |= {_task_r(task): group.task_figure(task, "ceiling") for task in tasks}
    rows: list[list[Any]] = [
        [measure, "", value, f"human ceiling {correlation(value)}"]
        for measure, value in ceilings.items()
        if value is not None
    ]
    rows += [[measure, "", 1.0, "as at step 0"] for measure in ("inflation/k", "inflation/b")]
    for arm in (arm for arm in group.arms if arm.kind == "teacher"):
        figures = group.figures(arm.name) or {}
        reached = {MEAN_R: figures["mean_r_loglog"]}
        reached |= {_task_r(task): figures["tasks"].get(task, {}).get("r_loglog") for task in tasks}
        reached["status/accuracy"] = group.over_tasks(arm.name, "accuracy")
        reached["cost/reasoning_tokens"] = group.over_tasks(arm.name, "mean_tokens")
        rows += [
            [measure, arm.name, value, f"{plain(arm.noun)}, all items"]
            for measure, value in reached.items()
            if value is not None
        ]
    return rows


def _limits(measure: str, arms: Sequence[Arm], lines: Sequence[float]) -> tuple[float, float]:
    """Ends of the y axis: 0 is always on it, and so is 1 for r and shares."""
    keys = [f"{prefix}{measure}{end}" for prefix in ("", FULL) for end in ("", *BOUNDS)]
    rows = [row for arm in arms for row in course(arm)]
    values = [row[key] for row in rows for key in keys if row.get(key) is not None]
    is_share = "alignment/" in measure or MEASURES.get(measure, ("", False))[1]
    low = min(0.0, *values, *lines)
    high = 1.0 if is_share else max(*values, *lines, 0.0)
    margin = 0.04 * (high - low)
    return low - margin if low < 0 else low, high + margin


def _ends(arms: Sequence[Arm], measure: str) -> str:
    parts = []
    for arm in arms:
        values = [row[measure] for row in course(arm) if row.get(measure) is not None]
        if values:
            ends = f"from {number(values[0], 2)} to {number(values[-1], 2)}"
            parts.append(f"{plain(arm.name)} {ends}")
    return f"{listing(parts)}." if parts else "Only measured on all items."
