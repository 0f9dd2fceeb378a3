"""How long do the arms think? Distributions of reasoning tokens over single responses."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handan.alignment.correlation import FloatArray
from handan.report.comparison import Arm, Group
from handan.report.formatting import count, name, number, percent, plain, sentence, short
from handan.report.pictures.axes import BOTH_COLUMNS, SMALL, arm_axis, logarithmic, of_arm
from handan.report.pictures.drawing import INK, MUTED, Look, new_figure, style
from handan.report.pictures.picture import Picture
from handan.report.pictures.slopes import PANELS

BINS = 40  # of the histogram on the logarithmic axis
HEIGHT = 0.62  # of the highest histogram, in rows
QUARTILES, WHISKERS = (25, 50, 75), (5, 95)


def pictures(group: Group, looks: Mapping[str, Look]) -> list[Picture]:
    """One for each task with a response that thinks, human ones first."""
    tasks = [*group.tasks("human"), *group.tasks("analytic")]
    return [
        _picture(group, looks, task)
        for task in tasks
        if any((_tokens(group, arm.name, task) > 0).any() for arm in group.arms)
    ]


def _tokens(group: Group, model: str | None, task: str) -> FloatArray:
    """Reasoning tokens of every response of a model on a task, shape (responses,)."""
    costs = group.costs.get(model, {}).get(task) if model else None
    return np.array([]) if costs is None else costs.tokens[np.isfinite(costs.tokens)]


def _picture(group: Group, looks: Mapping[str, Look], task: str) -> Picture:
    said = []
    for arm in group.arms:
        for model in (arm.name, arm.greedy):
            tokens = _tokens(group, model, task)
            if len(tokens):
                said.append(f"{plain(model)} {_numbers(tokens)}")
    return Picture(
        kind="distributions",
        parts=(task,),
        title=f"{sentence(name(task))}: reasoning tokens of single responses",
        caption=(
            "Histograms of the reasoning tokens of single responses on a logarithmic axis, each "
            "scaled to the same height; below each a box from the first to the third quartile "
            "with the median, and whiskers from the 5th to the 95th percentile. Responses without "
            "a reasoning token have no place on the axis: histograms and boxes leave them out, and "
            f"their share is printed. {sentence('; '.join(said))}."
        ),
        draw=lambda: draw(group, looks, task),
        task=task,
    )


def _numbers(tokens: FloatArray) -> str:
    thinking = tokens[tokens > 0]
    median = f"median {number(float(np.median(thinking)), 0)}" if len(thinking) else "no thinking"
    zero = percent(1 - len(thinking) / len(tokens))
    return f"{median}, {zero} without reasoning, n = {count(len(tokens))} responses"


def draw(group: Group, looks: Mapping[str, Look], task: str) -> Figure:
    """One row an arm; with sampling on the left, at T = 0 on the right, if that was measured."""
    shown = [
        (
            label,
            [_tokens(group, arm.greedy if cold else arm.name, task) for arm in group.arms],
        )
        for label, cold in PANELS
        if not cold or any(arm.greedy for arm in group.arms)
    ]
    everything = np.concatenate([tokens for _, rows in shown for tokens in rows])
    cap = group.conditions.get("max_new_tokens")
    with style():
        figure = new_figure(BOTH_COLUMNS, 0.95 + 0.44 * len(group.arms))
        title = f"{sentence(short(name(task), 50))}: reasoning tokens of single responses"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, (label, rows) in zip(panels, shown, strict=True):
            arm_axis(axes, group.arms, labelled=axes is panels[0])
            _panel(axes, group.arms, looks, rows, everything)
            axes.set_title(label)
            axes.set_xlabel("reasoning tokens (log scale)")
            low, high = axes.get_xlim()
            if isinstance(cap, (int, float)) and low <= cap <= high:
                axes.axvline(cap, color=INK, linestyle=":", linewidth=1)
                axes.text(cap, -0.75, " cap", fontsize=SMALL, va="top")
    return figure


def _panel(
    axes: Axes,
    arms: Sequence[Arm],
    looks: Mapping[str, Look],
    rows: Sequence[FloatArray],
    everything: FloatArray,
) -> None:
    logarithmic(axes.xaxis, everything)
    low, high = axes.get_xlim()
    edges = np.geomspace(low, high, BINS + 1)
    for row, (arm, tokens) in enumerate(zip(arms, rows, strict=True)):
        thinking = tokens[tokens > 0]
        if len(thinking):
            _histogram(axes, looks[arm.name], row, thinking, edges, arm.name)
            _box(axes, row, thinking, arm.name)
        if len(tokens):
            zero = 1 - len(thinking) / len(tokens)
            text = f"n = {count(len(tokens))}\n0 tokens: {percent(zero)}"
            label = axes.annotate(
                text,
                (1.01, row),
                xycoords=("axes fraction", "data"),
                fontsize=SMALL,
                va="center",
                annotation_clip=False,
            )
            of_arm(label, arm.name)


def _histogram(
    axes: Axes, look: Look, row: int, thinking: FloatArray, edges: FloatArray, arm: str
) -> None:
    heights, _ = np.histogram(thinking, edges)
    outline = row - HEIGHT * heights / heights.max()
    shape = axes.stairs(outline, edges, baseline=row, fill=True, color=look.light, alpha=0.55)
    of_arm(shape, arm)
    of_arm(axes.stairs(outline, edges, baseline=row, color=look.light, linewidth=0.8), arm)


def _box(axes: Axes, row: int, thinking: FloatArray, arm: str) -> None:
    at = row + 0.14
    first, median, third = np.percentile(thinking, QUARTILES)
    low, high = np.percentile(thinking, WHISKERS)
    parts = [
        *axes.plot([low, high], [at, at], color=MUTED, linewidth=1),
        *axes.plot([first, third], [at, at], color=INK, linewidth=3, solid_capstyle="butt"),
        *axes.plot(median, at, marker="|", color=INK, markersize=9, markeredgewidth=1.8),
    ]
    for part in parts:
        of_arm(part, arm)
