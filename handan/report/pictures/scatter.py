"""Tokens against people's time, item by item: one figure a task, one panel an arm."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handan.report.comparison import Arm, Group
from handan.report.formatting import bounds, correlation, name, plain, sentence, short
from handan.report.pictures.axes import (
    BOTH_COLUMNS,
    COLUMN,
    MAX_LETTERS,
    SMALL,
    grid,
    logarithmic,
    of_arm,
)
from handan.report.pictures.drawing import INK, Look, new_figure, style
from handan.report.pictures.lines import band
from handan.report.pictures.picture import Picture

DEMANDS = {"human": "people's time, s", "analytic": "analytic cost"}


def pictures(group: Group, looks: Mapping[str, Look]) -> list[Picture]:
    """One for each task, human ones first."""
    return [
        _picture(group, looks, task, demand)
        for source, demand in DEMANDS.items()
        for task in group.tasks(source)
        if _arms(group, task)
    ]


def _arms(group: Group, task: str) -> list[Arm]:
    """Arms with an item of the task that has a log cost."""
    return [
        arm
        for arm in group.arms
        if task in group.costs[arm.name] and group.costs[arm.name][task].thinking().items
    ]


def _picture(group: Group, looks: Mapping[str, Look], task: str, demand: str) -> Picture:
    said = []
    for arm in _arms(group, task):
        figures = group.result["models"][arm.name]["tasks"][task]
        r, interval = correlation(figures["r_loglog"]), bounds(figures["r_loglog_ci"])
        said.append(f"{plain(arm.name)} r = {r} {interval}, n = {figures['n']} items")
    ceiling = group.task_figure(task, "ceiling")
    caption = (
        f"One point an item: geometric mean of its reasoning tokens over the responses that think, "
        f"against {demand}; both axes are logarithmic. Least-squares line with its 95 % band and "
        f"95 % interval of r, from a bootstrap over items. {sentence('; '.join(said))}."
    )
    if ceiling is not None:
        caption += f" The human ceiling is {correlation(ceiling)}."
    return Picture(
        kind="scatter",
        parts=(task,),
        title=f"{sentence(name(task))}: reasoning tokens against {demand.removesuffix(', s')}",
        caption=caption,
        draw=lambda: draw(group, looks, task, demand),
        task=task,
    )


def draw(group: Group, looks: Mapping[str, Look], task: str, demand: str) -> Figure:
    """Panels with the same axes; r, its interval and n over each."""
    arms = _arms(group, task)
    rows, columns = grid(len(arms))
    with style():
        width = COLUMN if columns == 1 else BOTH_COLUMNS
        figure = new_figure(width, 0.35 + rows * min(width / columns, 2.35))
        ceiling = group.task_figure(task, "ceiling")
        known = f"; human ceiling {correlation(ceiling)}" if ceiling is not None else ""
        title = f"{sentence(short(name(task), 50))}{known}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, arm in zip(panels.flat, arms, strict=False):
            _panel(axes, group, arm, looks[arm.name], task)
        for axes in panels.flat[len(arms) :]:
            axes.set_axis_off()
        shown = [group.costs[arm.name][task].thinking() for arm in arms]
        first = panels.flat[0]
        logarithmic(first.xaxis, np.exp(np.concatenate([of.log_demand for of in shown])))
        logarithmic(first.yaxis, np.exp(np.concatenate([of.log_cost for of in shown])))
        figure.supxlabel(f"{demand} (log scale)", fontsize=9)
        figure.supylabel("reasoning tokens (log scale)", fontsize=9)
    return figure


def _panel(axes: Axes, group: Group, arm: Arm, look: Look, task: str) -> None:
    costs = group.costs[arm.name][task].thinking()
    figures = group.result["models"][arm.name]["tasks"][task]
    x, y = costs.log_demand, costs.log_cost
    points = axes.scatter(
        np.exp(x), np.exp(y), s=9, marker=look.marker, color=look.light, alpha=0.55, linewidths=0
    )
    of_arm(points, arm.name)
    if (line := band(group, task, costs.items, x, y)) is not None:
        low, high = np.exp(line.low), np.exp(line.high)
        axes.fill_between(np.exp(line.x), low, high, color=INK, alpha=0.16, linewidth=0)
        axes.plot(np.exp(line.x), np.exp(line.y), color=INK, linewidth=1.2)
    r, interval = correlation(figures["r_loglog"]), bounds(figures["r_loglog_ci"])
    axes.set_title(
        f"{short(arm.name, MAX_LETTERS)}\nr = {r} {interval}\nn = {figures['n']} items",
        fontsize=SMALL,
    )
