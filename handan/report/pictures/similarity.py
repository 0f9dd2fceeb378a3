"""Do two models find the same items hard? r of the difficulty fingerprints of every pair."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from handan.alignment.costs import split_name
from handan.report.comparison import Group
from handan.report.formatting import bounds, correlation, plain, short
from handan.report.pictures.axes import BOTH_COLUMNS, COLUMN, MAX_LETTERS, r_tick
from handan.report.pictures.drawing import MUTED, Look, new_figure, style
from handan.report.pictures.picture import Picture

COLOURS = colormaps["PuOr_r"]  # orange above 0, purple below, white at 0: safe for the colour-blind
STEPS = 40  # of the scale: few enough to be drawn as shapes, not as an image
DARK_TEXT, LIGHT_TEXT = "#101010", "#ffffff"  # on the colours of cells, in either theme
STRONG = 0.7  # beyond this the colour is dark
MAX_WITH_INTERVALS = 7  # models, so that the intervals can be read


def pictures(group: Group, looks: Mapping[str, Look]) -> list[Picture]:
    """One with sampling and one at T = 0, for two models or more each."""
    conditions = {
        "sampling": [arm.name for arm in group.arms],
        "t0": [arm.greedy for arm in group.arms if arm.greedy],
    }
    return [
        _picture(models, rows, part)
        for part, models in conditions.items()
        if (rows := _rows(group, models))
    ]


def _rows(group: Group, models: Sequence[str]) -> list[Mapping[str, Any]]:
    return [
        row
        for row in group.result["study"]["similarity"]
        if row["a"] in models and row["b"] in models and row["r"] is not None
    ]


def _picture(models: Sequence[str], rows: Sequence[Mapping[str, Any]], part: str) -> Picture:
    condition = "at T = 0" if part == "t0" else "with sampling"
    said = [
        f"{plain(row['a'])} and {plain(row['b'])} {correlation(row['r'])} {bounds(row['ci'])}, "
        f"n = {row['n']} items"
        for row in rows
    ]
    return Picture(
        kind="similarity",
        parts=(part,),
        title=f"Similarity of difficulty fingerprints {condition}",
        caption=(
            "Pearson's r over items of two models' log tokens, z-scored within tasks, with its "
            "95 % interval from a bootstrap over items. Orange above 0, purple and hatched below "
            f"0. {'; '.join(said)}."
        ),
        draw=lambda: draw(models, rows, condition),
    )


def draw(models: Sequence[str], rows: Sequence[Mapping[str, Any]], condition: str) -> Figure:
    """The lower triangle of the matrix: r and its interval in each cell."""
    size = len(models)
    values = {frozenset((row["a"], row["b"])): row for row in rows}
    sizes = sorted({row["n"] for row in rows})
    names = [short(split_name(model)[0], MAX_LETTERS) for model in models]
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    with style():
        width = COLUMN if size <= 3 else BOTH_COLUMNS
        figure = new_figure(width, max(2.2, min(0.5 * size, 6.0)) + 0.6)
        title = f"Similarity of fingerprints {condition}\nn = {n} items"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        axes = figure.subplots()
        for down in range(1, size):
            for right in range(down):
                row = values.get(frozenset((models[down], models[right])))
                if row is not None:
                    _cell(axes, down, right, row, size)
        axes.set_xlim(-0.5, size - 1.5)
        axes.set_ylim(size - 0.5, 0.5)
        axes.set_xticks(range(size - 1), names[:-1])
        axes.set_yticks(range(1, size), names[1:])
        axes.tick_params(length=0)
        if size > MAX_WITH_INTERVALS:
            axes.tick_params(axis="x", rotation=90)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        scale = figure.colorbar(
            ScalarMappable(Normalize(-1, 1), COLOURS.resampled(STEPS)), ax=axes, shrink=0.8
        )
        places = [-1, -0.5, 0, 0.5, 1]
        scale.set_ticks(places, labels=[r_tick(place) for place in places])
        scale.set_label("r")
    return figure


def _cell(axes: Axes, down: int, right: int, row: Mapping[str, Any], size: int) -> None:
    r = row["r"]
    axes.add_patch(
        Rectangle(
            (right - 0.49, down - 0.49),
            *(0.98, 0.98),
            facecolor=COLOURS((r + 1) / 2),
            edgecolor=MUTED,
            linewidth=0.5,
            hatch="////" if r < 0 else None,
        )
    )
    text = correlation(r)
    if size <= MAX_WITH_INTERVALS:
        text += f"\n{bounds(row['ci'])}"
    colour = LIGHT_TEXT if abs(r) > STRONG else DARK_TEXT
    axes.text(right, down, text, ha="center", va="center", fontsize=8, color=colour)
