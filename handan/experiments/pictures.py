"""The pictures of the results page, as SVG files that are the same bytes from the same figures."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from handan.experiments.declare import GREEDY, SAMPLED, Experiment
from handan.report.formatting import MINUS, correlation
from handan.report.pictures.axes import BOTH_COLUMNS, SMALL, r_tick
from handan.report.pictures.drawing import INK, LOOKS, MUTED, new_figure, style, write_figure

ROW_INCHES = 0.19
NAME_HEIGHT = 0.048  # of a name in a scatter of correlations
COLOURS = {SAMPLED: LOOKS[3].light, GREEDY: LOOKS[2].light}
MARKERS = {SAMPLED: "o", GREEDY: "D"}
SHIFT = {SAMPLED: -0.16, GREEDY: 0.16}
Found = Mapping[str, Any]


class Picture(NamedTuple):
    """An SVG file with what stands under it and what it shows in words."""

    svg: str
    caption: str
    description: str


def _svg(figure: Figure, name: str) -> str:
    """The figure as a file of its own, on white, letters as outlines so that it looks the same."""
    buffer = io.StringIO()
    figure.set_facecolor("white")
    plain = {"svg.hashsalt": name, "svg.fonttype": "path", "savefig.facecolor": "white"}
    with matplotlib.rc_context(plain):
        write_figure(figure, buffer, "svg", dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def alignment(study: Experiment, found: Found) -> Picture:
    """Mean r of every arm at both temperatures, factor by factor."""
    rows: list[tuple[str, str | None]] = []  # label, arm; None for a heading
    for name, factor in study.factors.items():
        there = [arm for arm in (factor.against, *factor.arms) if arm in found["arms"]]
        rows += [(name, None), *((arm, arm) for arm in there)] if there else []
    with style():
        figure = new_figure(BOTH_COLUMNS, ROW_INCHES * len(rows) + 0.8)
        axes = figure.add_subplot()
        for place, (_, arm) in enumerate(rows):
            for at in (SAMPLED, GREEDY) if arm else ():
                _point(axes, found["arms"][arm].get(at, {}).get("r"), place + SHIFT[at], at)
        _labels(axes, rows, 0.2)
        if found["oracle"] and found["oracle"]["value"] is not None:
            axes.axvline(found["oracle"]["value"], color=INK, linestyle=":", linewidth=1)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel("mean r of log tokens with log response time over the human tasks")
        _legend(axes)
        axes.set_xlim(right=1)
        svg = _svg(figure, "alignment")
    caption = (
        "Mean r with people, 95 % intervals over seeds and items, not over people; small points "
        "are single seeds. Dotted: the noise-free length of the carry-cost format. In each group "
        "the first row is what the others are compared with."
    )
    said = "; ".join(
        f"{arm}: {correlation(found['arms'][arm][SAMPLED]['r']['value'])} at T = 1"
        for _, arm in rows
        if arm and SAMPLED in found["arms"][arm]
    )
    return Picture(svg, caption, f"Mean r by arm: {said}")


def _point(axes: Axes, figure: Mapping[str, Any] | None, place: float, at: str) -> None:
    if not figure or figure["value"] is None:
        return
    colour = COLOURS[at]
    if figure["ci"] is not None:
        axes.plot(figure["ci"], [place, place], color=colour, linewidth=1.4, zorder=2)
    single = [value for value in figure.get("by_seed", []) if value is not None]
    if len(single) > 1:
        axes.plot(single, [place] * len(single), ".", color=colour, alpha=0.45, markersize=3)
    axes.plot(figure["value"], place, MARKERS[at], color=colour, markersize=4.5, zorder=3)


def _labels(axes: Axes, rows: Sequence[tuple[str, str | None]], step: float) -> None:
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=SMALL)
    for tick, (_, arm) in zip(axes.get_yticklabels(), rows, strict=True):
        if arm is None:
            tick.set_fontweight("bold")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(r_tick))


def _legend(axes: Axes) -> None:
    for at in (SAMPLED, GREEDY):
        axes.plot([], [], MARKERS[at], color=COLOURS[at], label=at.replace("=", " = "))
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=SMALL
    )


def tests(study: Experiment, found: Found) -> Picture:
    """The confirmatory differences."""
    rows = [test for test in found["tests"] if test["measure"] == "difference"]
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in rows))
    bound = found["settings"]["equivalence_bound"]
    with style():
        figure = new_figure(BOTH_COLUMNS, 0.34 * len(pairs) + 0.9)
        axes = figure.add_subplot()
        if found["settings"]["equivalence_unit"] == "r":
            axes.axvspan(-bound, bound, color=MUTED, alpha=0.12, linewidth=0)
        for row in rows:
            place = pairs.index((row["a"], row["b"])) + SHIFT[row["at"]]
            _point(axes, {**row, "value": row["difference"]}, place, row["at"])
        _labels(axes, [(f"{a} {MINUS} {b}", a) for a, b in pairs], 0.1)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("difference of mean r")
        _legend(axes)
        svg = _svg(figure, "tests")
    said = "; ".join(
        f"{row['a']} less {row['b']}, {row['at']}: {correlation(row['difference'])}" for row in rows
    )
    caption = (
        "The confirmatory differences, 95 % intervals over seeds and items, not over people; small "
        "points are single seeds"
    )
    shaded = found["settings"]["equivalence_unit"] == "r"
    caption += "; shaded: differences that count as none." if shaded else "."
    return Picture(svg, caption, f"Differences of mean r: {said}")


def traces(study: Experiment, found: Found) -> Picture:
    """A student's allocation against that of what it imitates, at both temperatures."""
    points = []
    for arm, of in study.arms.items():
        x = (found["traces"].get(of.traces or "") or {}).get("r_oracle_same_width", {})
        if x.get("value") is not None and arm in found["arms"]:
            points.append((arm, x["value"]))
    with style():
        figure = new_figure(BOTH_COLUMNS, 4.6)
        for place, at in enumerate((SAMPLED, GREEDY)):
            axes = figure.add_subplot(1, 2, place + 1)
            shown = [
                (arm, x, own)
                for arm, x in points
                if (own := found["arms"][arm].get(at, {}).get("r_oracle"))
                and own["value"] is not None
            ]
            for _, x, own in shown:
                if own["ci"] is not None and own["seeds_defined"] > 1:
                    axes.plot([x, x], own["ci"], color=COLOURS[at], linewidth=0.8, alpha=0.5)
                axes.plot(x, own["value"], MARKERS[at], color=COLOURS[at], markersize=4)
            _names(axes, [(arm, x, own["value"]) for arm, x, own in shown])
            axes.set_title(at.replace("=", " = "))
            axes.set_xlabel("of the traces, problems of the same width")
            axes.set_xlim(-0.1, 1.45)
            axes.set_ylim(-0.5, 1.3)
            axes.set_xticks([0, 0.5, 1])
            axes.set_ylabel("of the student, human items" if place == 0 else "")
        svg = _svg(figure, "traces")
    caption = (
        "Allocation that students imitate and the allocation they show on items that were never "
        "trained: r of log length with the log of the noise-free length; of single traces, and of "
        "means of eight responses at T = 1. Lines: 95 % intervals over seeds and items."
    )
    said = "; ".join(
        f"{arm}: {correlation(x)} and "
        f"{correlation(found['arms'][arm].get(SAMPLED, {}).get('r_oracle', {}).get('value'))}"
        for arm, x in points
    )
    return Picture(svg, caption, f"Allocation of traces and of students, T = 1: {said}")


def _names(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside points, moved up where they would cover each other."""
    placed: list[tuple[float, float]] = []
    for arm, x, y in sorted(points, key=lambda point: point[2]):
        height = y - 0.02
        for other, at in placed:
            if abs(other - x) < 0.45 and height < at + NAME_HEIGHT:
                height = at + NAME_HEIGHT
        placed.append((x, height))
        axes.annotate(
            arm,
            (x, y),
            (x + 0.06, height),
            fontsize=SMALL - 2,
            va="center",
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.4},
        )


PICTURES: dict[str, Callable[[Experiment, Found], Picture]] = {
    "alignment": alignment,
    "tests": tests,
    "traces": traces,
}
