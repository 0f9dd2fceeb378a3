"""r before and after training: each arm's line begins at its base."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handan.report.comparison import Arm, Group
from handan.report.formatting import bounds, correlation, name, plain, sentence, short
from handan.report.pictures.axes import ceiling_line, of_arm, of_correlations
from handan.report.pictures.drawing import PAPER, Look, new_figure, style
from handan.report.pictures.picture import Picture

# Labels of values that would overlap are moved at least this far apart, as a share of the axis.
LABEL_GAP = 0.06
WIDTH = 5.2  # inches
ONTO = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
PANELS = (("with sampling", False), ("without sampling (T = 0)", True))

Looks = Mapping[str, Look]


class _Value(NamedTuple):
    """r of an arm with its interval; None where it is unknown."""

    r: float | None
    interval: Sequence[float] | None


def pictures(group: Group, looks: Looks) -> list[Picture]:
    """The mean over human tasks, then each task; none if no arm has its base beside it."""
    tasks = group.tasks("human")
    if not any(arm.base for arm in group.arms):
        return []
    parts: list[str | None] = [None, *tasks] if len(tasks) > 1 else list(tasks)
    return [_picture(group, looks, task) for task in parts]


def _picture(group: Group, looks: Looks, task: str | None) -> Picture:
    num_tasks = len(group.tasks("human"))
    what = sentence(name(task)) if task else f"Mean of {num_tasks} human tasks"
    said = [
        f"{plain(arm.greedy if cold else arm.name)} {correlation(value.r)} {bounds(value.interval)}"
        for arm in group.arms
        for _, cold in PANELS
        if (value := _value(group, arm, task, cold)).r is not None
    ]
    ceiling = _ceiling(group, task)
    caption = (
        f"Each line begins at an arm's base and ends at the arm; bars are 95 % intervals over "
        f"items, n = {num_items(group, task)} items; a dashed line with a band is a teacher. r of "
        f"log tokens with log time: {'; '.join(said) or 'unknown'}."
    )
    if ceiling is not None:
        caption += f" The human ceiling is {correlation(ceiling)}."
    return Picture(
        kind="slopes",
        parts=(task,) if task else (),
        title=f"{what}: r before and after training",
        caption=caption,
        draw=lambda: draw(group, looks, task, what),
        task=task,
    )


def num_items(group: Group, task: str | None) -> int:
    """Items of a human task, or of all, at most over arms."""
    tasks = [task] if task else group.tasks("human")
    return max(
        sum(len(group.costs[arm.name][of].items) for of in tasks if of in group.costs[arm.name])
        for arm in group.arms
    )


def draw(group: Group, looks: Looks, task: str | None, what: str) -> Figure:
    """One panel with sampling and one at T = 0, on one task or on the mean over human tasks."""
    # All figures of a group share an axis that begins below everything.
    values = [
        value
        for arm in group.arms
        for of in (None, *group.tasks("human"))
        for _, cold in PANELS
        for value in _bounds(_value(group, arm, of, cold))
    ]
    low = float(np.floor(10 * min(values, default=0.0) - 0.5)) / 10
    with style():
        figure = new_figure(WIDTH, 3.3)
        title = f"{short(what, 50)}, n = {num_items(group, task)} items"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (label, cold) in zip(panels, PANELS, strict=True):
            axes.set_title(label)
            axes.set_xlim(-0.5, 2.0)
            axes.set_xticks([0, 1], ["base", "trained"])
            axes.grid(visible=False, axis="x")
            of_correlations(axes, low)
            ceiling_line(axes, _ceiling(group, task), "center")
            _teachers(axes, group, looks, task, cold)
            _lines(axes, group, looks, task, cold)
        panels[0].set_ylabel("r of log tokens with log time")
    return figure


def _value(group: Group, arm: Arm, task: str | None, cold: bool) -> _Value:
    figures = group.figures(arm.greedy if cold else arm.name)
    if figures is None:
        return _Value(None, None)
    if task is None:
        return _Value(figures["mean_r_loglog"], figures["mean_r_loglog_ci"])
    of_task: Mapping[str, Any] = figures["tasks"].get(task, {})
    return _Value(of_task.get("r_loglog"), of_task.get("r_loglog_ci"))


def _bounds(value: _Value) -> list[float]:
    return [of for of in (value.r, *(value.interval or ())) if of is not None]


def _ceiling(group: Group, task: str | None) -> float | None:
    return group.task_figure(task, "ceiling") if task else group.ceiling()


def _teachers(axes: Axes, group: Group, looks: Looks, task: str | None, cold: bool) -> None:
    """Teachers as horizontal lines with the band of their intervals."""
    for arm in (arm for arm in group.arms if arm.kind == "teacher"):
        value = _value(group, arm, task, cold)
        if value.r is None:
            continue
        colour = looks[arm.name].light
        of_arm(axes.axhline(value.r, color=colour, linestyle="--", linewidth=1.4), arm.name)
        if value.interval is not None:
            band = axes.axhspan(*value.interval, color=colour, alpha=0.13, linewidth=0)
            of_arm(band, arm.name)


def _lines(axes: Axes, group: Group, looks: Looks, task: str | None, cold: bool) -> None:
    trained = [arm for arm in group.arms if arm.base]
    labels: list[tuple[float, str, str]] = []
    bases: dict[str, tuple[float, str, str]] = {}
    for place, arm in enumerate(trained):
        base = group.arm(arm.base)
        before, after = (_value(group, of, task, cold) for of in (base, arm))
        if before.r is None or after.r is None:
            continue
        x = 1 + 0.09 * (place - (len(trained) - 1) / 2)
        look = looks[arm.name]
        line = axes.plot(
            [0, x], [before.r, after.r], color=look.light, linestyle=look.line, linewidth=1.8
        )
        of_arm(line[0], arm.name)
        _point(axes, (0, before.r), before.interval, looks[base.name], base.name)
        _point(axes, (x, after.r), after.interval, look, arm.name)
        # Bases that are alike to two digits share a label.
        bases.setdefault(correlation(before.r), (before.r, correlation(before.r), base.name))
        labels.append((after.r, f"{correlation(after.r)} {short(arm.name, 14)}", arm.name))
    for arm in (arm for arm in group.arms if arm.kind == "teacher" and not arm.base):
        value = _value(group, arm, task, cold)
        if value.r is not None:
            label = f"{correlation(value.r)} {short(arm.name, 14)}"
            labels.append((value.r, label, arm.name))
    _labels(axes, -0.1, "right", sorted(bases.values()))
    _labels(axes, 1.24, "left", sorted(labels))


def _labels(axes: Axes, x: float, side: str, labels: Sequence[tuple[float, str, str]]) -> None:
    """Height, text and arm of each, from below."""
    for (_, text, arm), height in zip(labels, _apart(labels, axes), strict=True):
        of_arm(axes.text(x, height, text, ha=side, va="center", fontsize=8, bbox=ONTO), arm)


def _point(
    axes: Axes,
    at: tuple[float, float],
    interval: Sequence[float] | None,
    look: Look,
    arm: str,
) -> None:
    if interval is not None:
        of_arm(axes.vlines(at[0], *interval, color=look.light, linewidth=1.3), arm)
    of_arm(axes.plot(*at, marker=look.marker, color=look.light, markersize=6)[0], arm)


def _apart(labels: Sequence[tuple[float, str, str]], axes: Axes) -> list[float]:
    """Heights of labels, from below, each at least a gap above the one before."""
    low, high = axes.get_ylim()
    gap = LABEL_GAP * (high - low)
    heights: list[float] = []
    for value, *_ in labels:
        heights.append(max(value, heights[-1] + gap) if heights else value)
    overshoot = max(0.0, heights[-1] - high + gap / 2) if heights else 0.0
    return [height - overshoot for height in heights]
