"""Rows of the page's tables, as plain dicts; the template formats the numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handan.report.course import course
from handan.report.data import Group
from handan.report.notation import bounds, correlation, listing
from handan.report.roles import Arm
from handan.report.words.verdicts import shown_verdict


def arm_rows(group: Group) -> list[dict[str, Any]]:
    """The table of arms: one row an arm, over human tasks."""
    rows = []
    for arm in group.arms:
        figures, cold = group.figures(arm.name) or {}, group.figures(arm.greedy) or {}
        rows.append(
            {
                "arm": arm,
                "tasks": [figures["tasks"].get(task) for task in group.tasks("human")],
                "mean": figures["mean_r_loglog"],
                "mean_ci": figures["mean_r_loglog_ci"],
                "cold": cold.get("mean_r_loglog"),
                "cold_ci": cold.get("mean_r_loglog_ci"),
            }
            | {
                column: group.over_tasks(arm.name, column)
                for column in (
                    *("accuracy", "mean_tokens", "reliability_model", "cap_rate"),
                    *("no_reasoning_rate", "unparsed_rate"),
                )
            }
        )
    return rows


def detail_rows(group: Group, source: str) -> list[dict[str, Any]]:
    """Every figure of every arm, with sampling and at T = 0, on every task of one source."""
    rows = []
    for task in group.tasks(source):
        for arm in group.arms:
            for model in (arm.name, arm.greedy):
                figures = (group.figures(model) or {"tasks": {}})["tasks"].get(task)
                if figures is not None:
                    reliability = figures["reliability_model"]
                    usable = reliability is not None and reliability > 0
                    known = usable and figures["r_loglog"] is not None
                    corrected = figures["r_loglog"] / reliability**0.5 if known else None
                    rows.append(
                        {**figures, "task": task, "model": model, "without_noise": corrected}
                    )
    return rows


def analytic_rows(group: Group) -> list[dict[str, Any]]:
    """One row an arm: r with the analytic cost, task by task, and the mean over them."""
    rows = []
    for arm in group.arms:
        figures, cold = group.figures(arm.name) or {}, group.figures(arm.greedy) or {}
        rows.append(
            {
                "arm": arm,
                "tasks": [figures["tasks"].get(task) for task in group.tasks("analytic")],
                "mean": figures["mean_r_loglog_analytic"],
                "mean_ci": figures["mean_r_loglog_analytic_ci"],
                "cold": cold.get("mean_r_loglog_analytic"),
                "accuracy": group.over_tasks(arm.name, "accuracy", "analytic"),
            }
        )
    return rows


def analytic_sentences(group: Group) -> list[str]:
    """Contrasts on the mean over analytic tasks, with sampling and at T = 0."""
    names = [arm.name for arm in group.arms]
    said = []
    for row in group.result["contrasts"]:
        if row["mean"] == "analytic" and row["a"] in names:
            a, b = group.arm(row["a"]), group.arm(row["b"])
            text = f"{a.name} against {b.name}: {_found(row)}"
            cold = group.contrast(a.greedy, b.greedy, mean="analytic")
            said.append(f"{text}; at T = 0 {_found(cold)}." if cold else f"{text}.")
    return said


def _found(row: Mapping[str, Any]) -> str:
    return f"{shown_verdict(row)}, {correlation(row['difference'])} {bounds(row['ci'])}"


def format_rows(group: Group) -> list[dict[str, Any]]:
    """Length with oracle and with people, task by task, for every arm and its T = 0 answers."""
    rows = []
    for arm in group.arms:
        for model in (arm.name, arm.greedy):
            figures = group.figures(model)
            if figures is not None:
                tasks = [figures["tasks"].get(task) for task in group.tasks("human")]
                rows.append({"model": model, "tasks": tasks})
    return rows


def format_sentences(group: Group) -> list[str]:
    """What the noise-free length of a group's format has to do with people, task by task."""
    said = []
    for task in group.tasks("human"):
        called = group.format_of(task)
        lengths = next(
            (
                group.costs[arm.name][task].oracle
                for arm in group.arms
                if task in group.costs[arm.name]
            ),
            np.array([]),
        )
        if not len(lengths) or not np.isfinite(lengths).all():
            continue
        oracle = group.task_figure(task, "oracle_human")
        if oracle is None:
            said.append(
                f"{_called(task, called)}: every flawless trace has the same length "
                f"({lengths[0]:g} tokens), so the format carries no difficulty and r with people "
                f"is {_rs(group, task)}."
            )
        else:
            said.append(
                f"{_called(task, called)}: flawless traces have {lengths.min():g} to "
                f"{lengths.max():g} tokens and r = {correlation(oracle)} with people; the arms "
                f"have {_rs(group, task)}."
            )
    return said


def _called(task: str, called: str | None) -> str:
    name = task.replace("_", " ")
    return f"{name}, format '{called}'" if called else name


def _rs(group: Group, task: str) -> str:
    parts = []
    for arm in group.arms:
        figures = _of_task(group, arm, task)
        if figures is not None:
            parts.append(
                f"{arm.name} {correlation(figures['r_loglog'])} {bounds(figures['r_loglog_ci'])}"
            )
    return listing(parts)


def _of_task(group: Group, arm: Arm, task: str) -> Mapping[str, Any] | None:
    figures = group.figures(arm.name)
    return None if figures is None else figures["tasks"].get(task)


def course_rows(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """What was probed along the training of each arm, one row a step; unknown values are None."""
    rows = []
    for arm in arms:
        for row in course(arm):
            low, high = (row.get(f"alignment/mean_r_loglog_ci_{end}") for end in ("low", "high"))
            rows.append(
                {
                    "arm": arm,
                    "step": row["step"],
                    "mean": row.get("alignment/mean_r_loglog"),
                    "mean_ci": None if low is None or high is None else (low, high),
                    "accuracy": row.get("status/accuracy"),
                    "tokens": row.get("cost/reasoning_tokens"),
                    "cap_rate": row.get("status/cap_rate"),
                    "k": row.get("inflation/k"),
                    "b": row.get("inflation/b"),
                    "trained_tokens": row.get("budget/trained_tokens"),
                }
            )
    return rows
