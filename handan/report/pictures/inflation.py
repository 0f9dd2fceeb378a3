"""Is an arm its base, only wordier? Item log tokens of one against the other, and residuals."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from handan.alignment.correlation import FloatArray
from handan.alignment.pairs import shared_tasks
from handan.alignment.regression import fit_line
from handan.report.comparison import Arm, Group
from handan.report.formatting import bounds, correlation, name, number, plain, sentence, short
from handan.report.pictures.axes import (
    BOTH_COLUMNS,
    COLUMN,
    MAX_LETTERS,
    SMALL,
    logarithmic,
    of_arm,
)
from handan.report.pictures.drawing import INK, MUTED, Look, new_figure, style
from handan.report.pictures.lines import band
from handan.report.pictures.picture import Picture

TIMES = "\N{MULTIPLICATION SIGN}"
MAX_COLUMNS = 3  # tasks beside each other in one figure
# Residuals are shown within this factor at least, so that none looks large for want of others.
MIN_FACTOR = 1.5


class Points(NamedTuple):
    """Items of a task that an arm and its base both thought on; log tokens, shape (items,)."""

    task: str
    items: tuple[str, ...]
    base: FloatArray
    student: FloatArray
    fit: Mapping[str, Any]


def pictures(group: Group, looks: Mapping[str, Look]) -> list[Picture]:
    """For each arm with a base one with sampling and one at T = 0."""
    out = []
    for arm in (arm for arm in group.arms if arm.base):
        base = group.arm(arm.base)
        for cold, of_arm_, of_base in (
            (False, arm.name, base.name),
            (True, arm.greedy, base.greedy),
        ):
            if of_arm_ and of_base and (points := _points(group, of_arm_, of_base)):
                out += [
                    _picture(group, arm, looks[arm.name], points[at : at + MAX_COLUMNS], cold)
                    for at in range(0, len(points), MAX_COLUMNS)
                ]
    return out


def _points(group: Group, student: str, base: str) -> list[Points]:
    fits = {
        row["task"]: row
        for row in group.result["inflation"]
        if (row["student"], row["base"]) == (student, base) and row["task"] is not None
    }
    shared = shared_tasks(group.costs, [(student, base)])[student, base]
    return [
        Points(task, of_student.items, of_base.log_cost, of_student.log_cost, fits[task])
        for task, (of_student, of_base) in shared.items()
        if task in fits
    ]


def _picture(group: Group, arm: Arm, look: Look, points: Sequence[Points], cold: bool) -> Picture:
    condition = "at T = 0" if cold else "with sampling"
    said = [f"{sentence(name(of.task))}: {_numbers(of.fit)}." for of in points]
    return Picture(
        kind="inflation",
        parts=(arm.name, "t0" if cold else "sampling", *(of.task for of in points)),
        title=f"{plain(arm.name)} against its base {plain(arm.base)}, item by item, {condition}",
        caption=(
            "One point an item: geometric mean tokens of the arm against those of its base, both "
            "axes logarithmic. Dotted: as many tokens as the base. Solid: k times as many, with k "
            "the geometric mean of the ratios. Dashed: least-squares line of slope b with its 95 % "
            "band; a constant multiple has b = 1. Below: what is left of each item beside the "
            f"line, as a factor; the grey band is one residual standard deviation. {' '.join(said)}"
        ),
        draw=lambda: draw(group, arm, look, points, condition),
        arm=arm.name,
    )


def _numbers(fit: Mapping[str, Any]) -> str:
    k = f"k = {number(fit['geometric_mean_ratio'], 2)} {_plain_bounds(fit)}"
    b = f"b = {correlation(fit['b'])} {bounds(fit['b_ci'])}"
    return f"{k}, {b}, n = {fit['n']} items"


def _plain_bounds(fit: Mapping[str, Any]) -> str:
    interval = fit["geometric_mean_ratio_ci"]
    return bounds(None) if interval is None else f"[{', '.join(number(of, 2) for of in interval)}]"


def draw(group: Group, arm: Arm, look: Look, points: Sequence[Points], condition: str) -> Figure:
    """A column for each task: the items above, their residuals below."""
    columns = len(points)
    with style():
        width = COLUMN if columns == 1 else BOTH_COLUMNS
        figure = new_figure(width, 4.3)
        title = f"{short(arm.name, MAX_LETTERS)}, {condition}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels = figure.subplots(
            *(2, columns), sharex="col", squeeze=False, gridspec_kw={"height_ratios": (2.4, 1)}
        )
        for (above, below), of_task in zip(panels.T, points, strict=True):
            _items(above, group, arm, look, of_task)
            _residuals(below, arm, look, of_task)
        panels[0, 0].set_ylabel(f"tokens of {short(arm.name, MAX_LETTERS)} (log scale)")
        panels[1, 0].set_ylabel("residual\n(factor)")
        for axes in panels[1]:
            axes.set_xlabel(f"tokens of {short(arm.base, MAX_LETTERS)} (log scale)")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=2 if columns == 1 else 4,
            frameon=False,
            fontsize=SMALL,
        )
    return figure


def _items(axes: Axes, group: Group, arm: Arm, look: Look, points: Points) -> None:
    x, y = np.exp(points.base), np.exp(points.student)
    dots = axes.scatter(x, y, s=10, marker=look.marker, color=look.light, alpha=0.55, linewidths=0)
    of_arm(dots, arm.name)
    logarithmic(axes.xaxis, x)
    logarithmic(axes.yaxis, np.concatenate([x, y]))
    ends = np.array(axes.get_xlim())
    axes.plot(ends, ends, color=MUTED, linestyle=":", linewidth=1.3, label="as many (identity)")
    ratio = points.fit["geometric_mean_ratio"]
    axes.plot(ends, ratio * ends, color=INK, linewidth=1.2, label="k times as many")
    line = band(group, points.task, points.items, points.base, points.student)
    if line is not None:
        low, high = np.exp(line.low), np.exp(line.high)
        axes.fill_between(
            np.exp(line.x),
            low,
            high,
            color=INK,
            alpha=0.18,
            linewidth=0,
            label="95 % band of the line",
        )
        fitted = np.exp(line.x), np.exp(line.y)
        axes.plot(*fitted, color=INK, linestyle="--", linewidth=1.6, label="least squares, slope b")
    title = sentence(short(name(points.task), 30))
    axes.set_title(f"{title}\n{_numbers(points.fit).replace(', b', chr(10) + 'b')}", fontsize=8)


def _residuals(axes: Axes, arm: Arm, look: Look, points: Points) -> None:
    line = fit_line(points.base, points.student)
    if np.isnan(line.slope):
        axes.text(0.5, 0.5, "the base is constant", transform=axes.transAxes, ha="center")
        return
    residuals = points.student - line.intercepts[0] - line.slope * points.base
    dots = axes.scatter(
        np.exp(points.base),
        np.exp(residuals),
        s=7,
        marker=look.marker,
        color=look.light,
        alpha=0.55,
        linewidths=0,
    )
    of_arm(dots, arm.name)
    axes.axhline(1, color=INK, linewidth=1.2)
    if np.isfinite(line.residual_sd):
        spread = np.exp([-line.residual_sd, line.residual_sd])
        axes.axhspan(*spread, color=MUTED, alpha=0.2, linewidth=0)
    most = max(np.log(MIN_FACTOR), float(np.abs(residuals).max()) * 1.1)
    axes.set_yscale("log")
    axes.set_ylim(np.exp(-most), np.exp(most))
    axes.yaxis.set_major_locator(
        FixedLocator([1 / 1.5, 1, 1.5]) if most < np.log(2) else LogLocator(base=2, numticks=5)
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{TIMES}{value:.2g}"))
    axes.yaxis.set_minor_locator(NullLocator())
