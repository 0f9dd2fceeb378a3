"""The figures of the page. Each takes a group and returns a matplotlib figure, drawn once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullFormatter

from handan.alignment.data.cost_table import GREEDY_SUFFIX
from handan.report.data import Group
from handan.report.notation import bounds, correlation, short
from handan.report.pictures.drawing import INK, MUTED, PAPER, Look, new_figure, style
from handan.report.roles import Arm

# Labels of values that would overlap are moved at least this far apart, as a share of the axis.
LABEL_GAP = 0.06
ONTO = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}


def slopes(group: Group, looks: Mapping[str, Look], task: str | None, title: str) -> Figure:
    """r before and after training: each arm's line begins at its base.

    One panel with sampling and one at T = 0, on one task or on the mean over human tasks.
    """
    values = [
        value
        for arm in group.arms
        for part in (None, *group.tasks("human"))
        for value in _values(group, arm, part)
    ]
    # All panels share an axis that begins below everything; it has no bars and need not hold 0.
    low = float(np.floor(10 * min(values, default=0.0) - 0.5)) / 10
    with style():
        figure = new_figure(5.2, 3.1)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, cold, label in zip(
            panels, (False, True), ("with sampling", "without (T = 0)"), strict=True
        ):
            axes.set_title(label)
            axes.set_xlim(-0.55, 2.25)
            axes.set_ylim(low, 1.03)
            axes.set_xticks([0, 1], ["base", "trained"])
            axes.grid(visible=False, axis="x")
            axes.yaxis.set_major_locator(MultipleLocator(0.1 if low > 0.1 else 0.2))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: correlation(value, 1)))
            if low < 0:
                axes.axhline(0, color=MUTED, linewidth=0.8)
            _references(axes, group, looks, task, cold)
            _slope_lines(axes, group, looks, task, cold)
        panels[0].set_ylabel("r of log tokens with log time")
    return figure


def _figure_of(
    group: Group, arm: Arm, task: str | None, cold: bool
) -> tuple[float | None, Sequence[float] | None]:
    figures = group.figures(arm.greedy if cold else arm.name)
    if figures is None:
        return None, None
    if task is None:
        return figures["mean_r_loglog"], figures["mean_r_loglog_ci"]
    of_task = figures["tasks"].get(task, {})
    return of_task.get("r_loglog"), of_task.get("r_loglog_ci")


def _values(group: Group, arm: Arm, task: str | None) -> list[float]:
    out: list[float] = []
    for cold in (False, True):
        r, interval = _figure_of(group, arm, task, cold)
        out += [value for value in (r, *(interval or ())) if value is not None]
    return out


def _references(
    axes: Axes, group: Group, looks: Mapping[str, Look], task: str | None, cold: bool
) -> None:
    """The human ceiling and the teachers as horizontal lines."""
    ceiling = group.task_figure(task, "ceiling") if task else group.ceiling()
    if ceiling is not None:
        axes.axhline(ceiling, color=INK, linestyle=":", linewidth=1)
        axes.text(-0.52, ceiling, f"ceiling {correlation(ceiling)}", fontsize=7.5, va="bottom")
    for arm in (arm for arm in group.arms if arm.kind == "teacher"):
        r, interval = _figure_of(group, arm, task, cold)
        if r is None:
            continue
        colour = looks[arm.name].light
        axes.axhline(r, color=colour, linestyle="--", linewidth=1.4)
        if interval is not None:
            axes.axhspan(interval[0], interval[1], color=colour, alpha=0.13, linewidth=0)


def _slope_lines(
    axes: Axes, group: Group, looks: Mapping[str, Look], task: str | None, cold: bool
) -> None:
    trained = [arm for arm in group.arms if arm.base]
    labels: list[tuple[float, str]] = []
    for place, arm in enumerate(trained):
        base = group.arm(arm.base)
        before, before_interval = _figure_of(group, base, task, cold)
        after, after_interval = _figure_of(group, arm, task, cold)
        if before is None or after is None:
            continue
        x = 1 + 0.09 * (place - (len(trained) - 1) / 2)
        look = looks[arm.name]
        axes.plot([0, x], [before, after], color=look.light, linestyle=look.line, linewidth=1.8)
        for at, value, interval, of in (
            (0.0, before, before_interval, looks[base.name]),
            (x, after, after_interval, look),
        ):
            if interval is not None:
                axes.vlines(at, interval[0], interval[1], color=of.light, linewidth=1.3)
            axes.plot(at, value, marker=of.marker, color=of.light, markersize=6)
        axes.text(-0.1, before, correlation(before), ha="right", va="center", fontsize=8, bbox=ONTO)
        labels.append((after, f"{correlation(after)} {short(arm.name, 12)}"))
    for (_, text), height in zip(sorted(labels), _apart(sorted(labels), axes), strict=True):
        axes.text(1.24, height, text, va="center", fontsize=8, bbox=ONTO)


def _apart(labels: Sequence[tuple[float, str]], axes: Axes) -> list[float]:
    """Heights of labels, from below, each at least a gap above the one before."""
    low, high = axes.get_ylim()
    gap = LABEL_GAP * (high - low)
    heights: list[float] = []
    for value, _ in labels:
        heights.append(max(value, heights[-1] + gap) if heights else value)
    overshoot = max(0.0, heights[-1] - high + gap / 2) if heights else 0.0
    return [height - overshoot for height in heights]


def scatter(group: Group, arm: Arm, look: Look, task: str) -> Figure:
    """Tokens of one arm on the items of one task, against people's time; both axes are log."""
    costs = group.costs[arm.name][task].thinking()
    figures = group.result["models"][arm.name]["tasks"][task]
    everyone = [
        np.exp(entry[task].thinking().log_cost)
        for model, entry in group.costs.items()
        if task in entry and not model.endswith(GREEDY_SUFFIX)
    ]
    tokens = np.concatenate(everyone)
    with style():
        figure = new_figure(2.5, 2.5)
        axes = figure.subplots()
        axes.scatter(
            np.exp(costs.log_demand),
            np.exp(costs.log_cost),
            s=11,
            marker=look.marker,
            color=look.light,
            alpha=0.55,
            linewidths=0,
        )
        axes.set_title(
            f"{short(arm.name, 30)}\nr = {correlation(figures['r_loglog'])} "
            f"{bounds(figures['r_loglog_ci'])}, n = {figures['n']}"
        )
        _logarithmic(axes, tokens, np.exp(costs.log_demand))
        axes.set_xlabel("people's time, s")
        axes.set_ylabel("reasoning tokens")
    return figure


def _logarithmic(axes: Axes, tokens: Any, times: Any) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis, values, limit in (
        (axes.xaxis, times, axes.set_xlim),
        (axes.yaxis, tokens, axes.set_ylim),
    ):
        if len(values):
            limit(0.85 * float(np.min(values)), 1.18 * float(np.max(values)))
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
        axis.set_tick_params(which="minor", length=0)
