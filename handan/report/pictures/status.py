"""What became of the responses: complete, cut at the cap, unparsed, without reasoning."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handan.alignment.correlation import mean_of_known
from handan.alignment.items import TaskCosts
from handan.report.comparison import Group
from handan.report.formatting import count, listing, name, percent, plain, sentence, short
from handan.report.pictures.axes import BOTH_COLUMNS, SMALL, arm_axis
from handan.report.pictures.drawing import GRID, INK, MUTED, Look, new_figure, style
from handan.report.pictures.picture import Picture
from handan.report.pictures.slopes import PANELS

# Colour and hatch of each status; hatches tell them apart in grey, too.
FILLS = {
    "complete": (GRID, ""),
    "cut at the cap": ("#d55e00", "////"),
    "unparsed": ("#e69f00", "xxxx"),
    "no reasoning": ("#56b4e9", "\\\\\\\\"),
    "status not recorded": ("none", "++"),
}


def pictures(group: Group, looks: Mapping[str, Look]) -> list[Picture]:
    """One for each task, human ones first."""
    return [_picture(group, task) for task in (*group.tasks("human"), *group.tasks("analytic"))]


def shares(costs: TaskCosts) -> dict[str, float]:
    """Share of responses by what became of them; each counts once, under the first that holds."""
    given = np.isfinite(costs.tokens)
    cut, unparsed = costs.of_samples["truncated"], costs.of_samples["unparsed"]
    conditions = [cut == 1, unparsed == 1, costs.tokens == 0, np.isfinite(cut)]
    labels = ["cut at the cap", "unparsed", "no reasoning", "complete"]
    of_each = np.select([mask & given for mask in conditions], labels, "status not recorded")
    return {label: float(np.mean(of_each[given] == label)) for label in FILLS}


def _picture(group: Group, task: str) -> Picture:
    said = [
        f"{plain(model)}: {_numbers(group.costs[model][task])}"
        for arm in group.arms
        for model in (arm.name, arm.greedy)
        if model and task in group.costs[model]
    ]
    cap = group.conditions.get("max_new_tokens", "unknown")
    return Picture(
        kind="status",
        parts=(task,),
        title=f"{sentence(name(task))}: what became of the responses",
        caption=(
            "Shares of all responses. Each counts once, under the first that holds: cut at the cap "
            f"({cap} tokens), unparsed, without a reasoning token, complete. The diamond and the "
            f"number beside it are right answers among all. {'; '.join(said)}."
        ),
        draw=lambda: draw(group, task),
        task=task,
    )


def _numbers(costs: TaskCosts) -> str:
    parts = [f"{percent(share)} {label}" for label, share in shares(costs).items() if share]
    known = int(np.isfinite(costs.tokens).sum())
    return f"{listing(parts)}, {percent(_accuracy(costs))} right, n = {count(known)} responses"


def _accuracy(costs: TaskCosts) -> float | None:
    accuracy = mean_of_known(costs.correct)
    return None if np.isnan(accuracy) else accuracy


def draw(group: Group, task: str) -> Figure:
    """One bar an arm; with sampling on the left, at T = 0 on the right, if that was measured."""
    any_cold = any(arm.greedy for arm in group.arms)
    parts = [(label, cold) for label, cold in PANELS if any_cold or not cold]
    with style():
        figure = new_figure(BOTH_COLUMNS, 1.25 + 0.3 * len(group.arms))
        title = f"{sentence(short(name(task), 50))}: what became of the responses"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels = figure.subplots(1, len(parts), squeeze=False)[0]
        for axes, (label, cold) in zip(panels, parts, strict=True):
            _panel(axes, group, task, cold)
            axes.set_title(label)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=len(handles),
            frameon=False,
            fontsize=SMALL,
            columnspacing=1.2,
        )
    return figure


def _panel(axes: Axes, group: Group, task: str, cold: bool) -> None:
    arm_axis(axes, group.arms, labelled=not cold)
    found = {
        row: group.costs[model][task]
        for row, arm in enumerate(group.arms)
        if (model := arm.greedy if cold else arm.name) and task in group.costs[model]
    }
    left = np.zeros(len(found))
    for label, (colour, hatch) in FILLS.items():
        widths = np.array([100 * shares(costs)[label] for costs in found.values()])
        if not widths.any() and label == "status not recorded":
            continue
        axes.barh(
            list(found),
            widths,
            left=left,
            height=0.66,
            color=colour,
            hatch=hatch,
            edgecolor=MUTED,
            linewidth=0.6,
            label=label,
        )
        left += widths
    known = {row: of for row, costs in found.items() if (of := _accuracy(costs)) is not None}
    axes.plot(
        [100 * of for of in known.values()],
        list(known),
        linestyle="none",
        marker="D",
        markersize=5,
        color=INK,
        markeredgecolor="#ffffff",
        clip_on=False,
        zorder=5,
        label="right answers",
    )
    for row, costs in found.items():
        text = f"{percent(known.get(row))} right, n = {count(int(np.isfinite(costs.tokens).sum()))}"
        axes.annotate(text, (104, row), fontsize=SMALL, va="center", annotation_clip=False)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of responses")
