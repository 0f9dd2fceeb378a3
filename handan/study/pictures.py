"""The pictures of the results page, as SVG files that are the same bytes from the same figures."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handan.report.notation import MINUS, correlation
from handan.report.pictures.axes import BOTH_COLUMNS, SMALL
from handan.report.pictures.drawing import INK, LOOKS, MUTED, new_figure, style, write_figure
from handan.study.cells import GREEDY, SAMPLED
from handan.study.declared import Study

ROW_INCHES = 0.19
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


def alignment(study: Study, found: Found) -> Picture:
    """Mean r of every arm at both temperatures, factor by factor."""
    rows: list[tuple[str, str | None]] = []  # label, arm; None for a heading
    for name, factor in study.factors.items():
        rows.append((name, None))
        rows += [(arm, arm) for arm in (factor.against, *factor.arms) if arm in found["arms"]]
    with style():
        figure = new_figure(BOTH_COLUMNS, ROW_INCHES * len(rows) + 0.8)
        axes = figure.add_subplot()
        for place, (_, arm) in enumerate(rows):
            for at in (SAMPLED, GREEDY) if arm else ():
                _point(axes, found["arms"][arm].get(at, {}).get("r"), place + SHIFT[at], at)
        _labels(axes, rows)
        base = found["arms"].get("base", {}).get(GREEDY, {}).get("r", {}).get("value")
        if found["oracle"] and found["oracle"]["value"] is not None:
            axes.axvline(found["oracle"]["value"], color=INK, linestyle=":", linewidth=1)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel("mean r of log tokens with log response time, two human tasks")
        _legend(axes)
        svg = _svg(figure, "alignment")
    del base
    caption = (
        "Mean r with people, 95 % intervals over seeds and items; small points are single seeds. "
        "Dotted: the noise-free length of the carry-cost format. In each group the first row is "
        "what the others are compared with."
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


def _labels(axes: Axes, rows: Sequence[tuple[str, str | None]]) -> None:
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=SMALL)
    for tick, (_, arm) in zip(axes.get_yticklabels(), rows, strict=True):
        if arm is None:
            tick.set_fontweight("bold")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value:.1f}".replace("-", MINUS).replace("0.", ".")
    )


def _legend(axes: Axes) -> None:
    for at in (SAMPLED, GREEDY):
        axes.plot([], [], MARKERS[at], color=COLOURS[at], label=at.replace("=", " = "))
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=SMALL
    )


def tests(study: Study, found: Found) -> Picture:
    """The confirmatory differences."""
    rows = [test for test in found["tests"] if test["measure"] == "difference"]
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in rows))
    bound = found["settings"]["equivalence_bound"]
    with style():
        figure = new_figure(BOTH_COLUMNS, 0.34 * len(pairs) + 0.9)
        axes = figure.add_subplot()
        axes.axvspan(-bound, bound, color=MUTED, alpha=0.12, linewidth=0)
        for row in rows:
            place = pairs.index((row["a"], row["b"])) + SHIFT[row["at"]]
            _point(axes, {**row, "value": row["difference"]}, place, row["at"])
        _labels(axes, [(f"{a} {MINUS} {b}", a) for a, b in pairs])
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("difference of mean r")
        _legend(axes)
        svg = _svg(figure, "tests")
    said = "; ".join(
        f"{row['a']} less {row['b']}, {row['at']}: {correlation(row['difference'])}" for row in rows
    )
    caption = (
        "The confirmatory differences, 95 % intervals over seeds and items; small points are "
        "single seeds; shaded: differences that count as none."
    )
    return Picture(svg, caption, f"Differences of mean r: {said}")


def traces(study: Study, found: Found) -> Picture:
    """A student's allocation against that of what it imitates."""
    points = []
    for arm, of in study.arms.items():
        sets = found["traces"].get(of.traces or "")
        own = found["arms"].get(arm, {}).get(SAMPLED, {}).get("r_oracle")
        if sets and own and own["value"] is not None:
            x = sets["r_oracle_binary"]["value"]
            if x is not None:
                points.append((arm, x, own))
    with style():
        figure = new_figure(BOTH_COLUMNS, 4.4)
        axes = figure.add_subplot()
        axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.8, linestyle="--")
        for arm, x, own in points:
            if own["ci"] is not None:
                axes.plot([x, x], own["ci"], color=COLOURS[SAMPLED], linewidth=1, alpha=0.6)
            axes.plot(x, own["value"], MARKERS[SAMPLED], color=COLOURS[SAMPLED], markersize=4.5)
            axes.annotate(
                arm, (x, own["value"]), (4, 3), textcoords="offset points", fontsize=SMALL
            )
        axes.set_xlabel("r(length, oracle) of the traces, training prompts")
        axes.set_ylabel("of the student, human items, T = 1")
        svg = _svg(figure, "traces")
    caption = (
        "Allocation that students imitate and the allocation they show on items that were never "
        "trained: r of log length with the log of the noise-free length. Intervals over seeds "
        "and items; dashed: equal."
    )
    said = "; ".join(
        f"{arm}: {correlation(x)} and {correlation(own['value'])}" for arm, x, own in points
    )
    return Picture(svg, caption, f"Allocation of traces and of students: {said}")


PICTURES: dict[str, Callable[[Study, Found], Picture]] = {
    "alignment": alignment,
    "tests": tests,
    "traces": traces,
}
