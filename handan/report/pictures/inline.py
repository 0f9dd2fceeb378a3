"""Figures as they stand on the page: inline SVG, each with its numbers in words."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from handan.report.course import course
from handan.report.data import Group, Study
from handan.report.notation import (
    bounds,
    correlation,
    listing,
    name,
    number,
    plain,
    sentence,
    short,
)
from handan.report.pictures import curves
from handan.report.pictures.drawing import Look, svg

Looks = Mapping[str, Look]


def slope_pictures(group: Group, looks: Looks) -> list[Markup]:
    """Before and after training: the mean over human tasks, then each task."""
    tasks = group.tasks("human")
    if not tasks or not any(arm.base for arm in group.arms):
        return []
    parts: list[str | None] = [None, *tasks] if len(tasks) > 1 else list(tasks)
    out = []
    for place, task in enumerate(parts):
        shown = []
        for arm in group.arms:
            for model in (arm.name, arm.greedy):
                of_model = group.figures(model)
                if of_model is None:
                    continue
                if task is None:
                    r, interval = of_model["mean_r_loglog"], of_model["mean_r_loglog_ci"]
                else:
                    of_task = of_model["tasks"].get(task, {})
                    r, interval = of_task.get("r_loglog"), of_task.get("r_loglog_ci")
                shown.append(f"{plain(model)} {correlation(r)} {bounds(interval)}")
        title = sentence(short(name(task), 40)) if task else f"Mean of {len(tasks)} tasks"
        figure = figures.slopes(group, looks, task, title)
        out.append(
            svg(
                figure,
                f"slope-{place}",
                f"{title}: r before and after training",
                f"{'; '.join(shown)}.",
            )
        )
    return out


def scatter_pictures(group: Group, looks: Looks) -> list[tuple[str, list[Markup]]]:
    """For each human task one panel an arm: tokens against time."""
    out = []
    for row, task in enumerate(group.tasks("human")):
        panels = []
        for column, arm in enumerate(group.arms):
            if (
                task not in group.costs[arm.name]
                or not group.costs[arm.name][task].thinking().items
            ):
                continue
            of_task = group.result["models"][arm.name]["tasks"][task]
            figure = figures.scatter(group, arm, looks[arm.name], task)
            title = f"{plain(arm.name)}, {name(task)}: reasoning tokens against people's time"
            described = (
                f"{of_task['n']} items, r = {correlation(of_task['r_loglog'])} "
                f"{bounds(of_task['r_loglog_ci'])}, mean {number(of_task['mean_tokens'])} tokens."
            )
            panels.append(svg(figure, f"scatter-{row}-{column}", title, described))
        out.append((task, panels))
    return out


def course_pictures(study: Study, looks: Looks) -> list[Markup]:
    """Probed measures along training, all arms on the same axes."""
    arms = [arm for arm in study.arms if len(course(arm)) > 1]
    if not arms:
        return []
    rows = [row for arm in arms for row in course(arm)]
    tasks = [
        task
        for task in study.main.tasks("human")
        if any(f"alignment/{task}/r_loglog" in row for row in rows)
    ]
    r, share = "r on the probe", "% of the arm's steps"
    ceiling = study.main.ceiling()
    wanted: list[tuple[str, str, tuple[str, str, str], float | None]] = [
        ("share", "alignment/mean_r_loglog", ("Mean r over human tasks", share, r), ceiling),
        ("share", "status/accuracy", ("Right answers", share, "share of answers"), None),
        ("share", "cost/reasoning_tokens", ("Reasoning tokens", share, "mean tokens"), None),
    ]
    for task in tasks if len(tasks) > 1 else []:
        own = study.main.task_figure(task, "ceiling")
        labels = (sentence(short(name(task), 40)), share, r)
        wanted.append(("share", f"alignment/{task}/r_loglog", labels, own))
    steps = ("Mean r, step by step", "optimizer step", r)
    wanted.append(("step", "alignment/mean_r_loglog", steps, ceiling))
    if all("tokens" in row for row in rows):
        tokens = ("Mean r, token by token", "tokens processed", r)
        wanted.append(("tokens", "alignment/mean_r_loglog", tokens, ceiling))
    out = []
    for place, (x, measure, labels, reference) in enumerate(wanted):
        if any(row.get(measure) is not None for row in rows):
            figure = curves.curves(arms, looks, x, measure, labels, reference)
            title = f"{labels[0]} along training"
            out.append(svg(figure, f"course-{place}", title, _ends(arms, measure)))
    return out


def _ends(arms: list[Any], measure: str) -> str:
    parts = []
    for arm in arms:
        values = [row[measure] for row in course(arm) if row.get(measure) is not None]
        if values:
            parts.append(
                f"{plain(arm.name)} from {number(values[0], 2)} to {number(values[-1], 2)}"
            )
    return f"{listing(parts)}." if parts else "No values."
