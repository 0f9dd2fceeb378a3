"""What the axes of several kinds of figures have in common: scales, names of arms, legends."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator

from handan.report.comparison import Arm
from handan.report.formatting import MINUS, correlation, plain, short
from handan.report.pictures.drawing import INK, MUTED, Look

# Inches: a column of a paper, and both columns with the space between them.
COLUMN, BOTH_COLUMNS = 3.4, 7.0
SMALL = 7.5  # points, of the text inside a figure
MAX_LETTERS = 22  # of an arm's name in a figure
MAX_IN_A_LEGEND_ROW = 4
# Where a log axis that spans less than a factor is labelled, within a power of ten.
TICKS = ((12, (1, 2, 3, 5, 7)), (100, (1, 2, 5)), (1000, (1, 3)))


def of_arm(artist: Any, arm: str) -> Any:
    """The artist, marked as one that belongs to an arm; the page can hide it with the arm."""
    artist.set_gid(f"arm:{plain(arm)}")
    return artist


def grid(num_panels: int, most_columns: int = 4) -> tuple[int, int]:
    """Rows and columns for so many panels, the rows of nearly equal length."""
    rows = -(-num_panels // most_columns)
    return rows, -(-num_panels // rows)


def logarithmic(axis: Axis, values: Any) -> None:
    """A logarithmic axis that holds these positive values and has plain numbers at its ticks."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known) & (known > 0)]
    low, high = (known.min(), known.max()) if len(known) else (1.0, 10.0)
    if isinstance(axis, XAxis):
        axis.axes.set(xscale="log", xlim=(0.85 * low, 1.18 * high))
    else:
        axis.axes.set(yscale="log", ylim=(0.85 * low, 1.18 * high))
    places = next((ticks for factor, ticks in TICKS if high < factor * low), (1,))
    axis.set_major_locator(LogLocator(subs=places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def of_correlations(axes: Axes, lowest: float, highest: float = 1.0) -> None:
    """A y axis for r that holds 0 line and all values, negative ones too; 1 is at its top."""
    axes.set_ylim(lowest - 0.03, max(highest, 1.0) + 0.03)
    axes.yaxis.set_major_locator(MultipleLocator(0.2 if lowest > -0.6 else 0.5))
    axes.yaxis.set_major_formatter(FuncFormatter(r_tick))
    if lowest < 0:
        axes.axhline(0, color=MUTED, linewidth=0.8)


def r_tick(value: float, _: Any = None) -> str:
    """'.5', '0', '1' and negative values with their sign; for ticks."""
    return correlation(value, 1) if round(value, 1) % 1 else f"{round(value)}".replace("-", MINUS)


def ceiling_line(
    axes: Axes, ceiling: float | None, side: Literal["center", "right"] = "right"
) -> None:
    """The human ceiling as a dotted line with its value over it, if it is known."""
    if ceiling is None:
        return
    axes.axhline(ceiling, color=INK, linestyle=":", linewidth=1)
    axes.annotate(
        f"ceiling {correlation(ceiling)}",
        (1 if side == "right" else 0.4, ceiling),
        xycoords=("axes fraction", "data"),
        xytext=(0, 1.5),
        textcoords="offset points",
        fontsize=SMALL,
        ha=side,
    )


def legend(figure: Figure, arms: Sequence[Arm], looks: Mapping[str, Look]) -> None:
    """Below the figure: line and marker of every arm."""
    handles = [
        Line2D(
            *([], []),
            color=looks[arm.name].light,
            linestyle=looks[arm.name].line,
            marker=looks[arm.name].marker,
            markersize=5,
            label=short(arm.name, MAX_LETTERS),
        )
        for arm in arms
    ]
    _, columns = grid(len(handles), MAX_IN_A_LEGEND_ROW)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8,
        handlelength=2.6,
        columnspacing=1.2,
    )


def arm_axis(axes: Axes, arms: Sequence[Arm], labelled: bool) -> None:
    """A y axis with one row an arm, the first at the top."""
    axes.set_ylim(len(arms) - 0.4, -0.75)
    names = [short(arm.name, MAX_LETTERS) if labelled else "" for arm in arms]
    axes.set_yticks(range(len(arms)), names)
    for label, arm in zip(axes.get_yticklabels(), arms, strict=True):
        of_arm(label, arm.name)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def magnitude(value: float, _: Any = None) -> str:
    """'60', '400 k', '1.2 M', '3 G', '1 T', '2e+15'; for ticks."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size <= abs(value) < 1000 * size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
