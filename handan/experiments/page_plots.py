"""The plots of the results page, as SVG files that are the same bytes from the same numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from handan.experiments.declare import GREEDY, SAMPLED, Experiment
from handan.report import plot_styles as styles
from handan.report.formatting import MINUS, correlation
from handan.report.plot_styles import INK, MUTED, SHORT, Row, Spec, field, mark, named, plot, side
from handan.report.plots import written

SHIFT = {SAMPLED: -0.16, GREEDY: 0.16}
Found = Mapping[str, Any]
Drawn = tuple[str, str, str]  # an SVG file, what stands under it, what it shows in words


def alignment(study: Experiment, found: Found) -> Drawn:
    """Mean r of every arm at both temperatures, factor by factor."""
    names: list[str] = []
    headings: list[int] = []
    rows: list[Row] = []
    said = []
    for name, factor in study.factors.items():
        there = [arm for arm in (factor.against, *factor.arms) if arm in found["arms"]]
        headings += [len(names)] if there else []
        names += [name] if there else []
        for arm in there:
            for at in (SAMPLED, GREEDY):
                rows += _points(found["arms"][arm].get(at, {}).get("r"), len(names), at)
            if SAMPLED in found["arms"][arm]:
                r = found["arms"][arm][SAMPLED]["r"]["value"]
                said.append(f"{arm}: {correlation(r)} at T = 1")
            names.append(arm)
    lines = [mark("rule", {"x": {"datum": 0}}, color=MUTED, strokeWidth=0.8)]
    if found["oracle"] and found["oracle"]["value"] is not None:
        at_oracle = {"x": {"datum": found["oracle"]["value"]}}
        lines.append(mark("rule", at_oracle, color=INK, strokeDash=styles.DOTTED))
    title = "mean r of log tokens with log response time over the human tasks"
    drawn = _rows(names, headings, lines, title, 13.5, {"domainMax": 1})
    caption = (
        "Mean r with people, 95 % intervals over seeds and items, not over people; small points "
        "are single seeds. Dotted: the noise-free length of the carry-cost format. In each group "
        "the first row is what the others are compared with."
    )
    return _drawn(rows, drawn, caption, f"Mean r by arm: {'; '.join(said)}")


def _points(measured: Mapping[str, Any] | None, place: int, at: str) -> list[Row]:
    """An estimate with its interval, and those of single seeds."""
    if not measured or measured["value"] is None:
        return []
    low, high = measured["ci"] or (None, None)
    row = {"row": place + SHIFT[at], "at": at}
    single = [value for value in measured.get("by_seed", []) if value is not None]
    seeds = [{**row, "seed": value} for value in single] if len(single) > 1 else []
    return [*seeds, {**row, "value": measured["value"], "low": low, "high": high}]


def _by_temperature(orient: str | None) -> dict[str, Spec]:
    """Colour and shape by temperature, with a legend if it is said where."""
    legend: Any = orient and {"orient": orient, "labelExpr": "replace(datum.label, '=', ' = ')"}
    legend = legend and {**legend, "symbolSize": 50, "symbolOpacity": 1}
    of = {"field": "at", "type": "nominal", "title": None, "legend": legend}
    domain = {"domain": [SAMPLED, GREEDY]}
    colours = {**domain, "range": [styles.LOOKS[3].light, styles.LOOKS[2].light]}
    shapes = {**domain, "range": ["circle", "diamond"]}
    return {"color": {**of, "scale": colours}, "shape": {**of, "scale": shapes}}


def _rows(
    names: list[str], headings: list[int], under: list[Spec], title: str, height: float, scale: Spec
) -> Spec:
    """A named row for each place, with points, intervals and single seeds on one axis."""
    channels = _by_temperature("top")
    colour = {"color": channels["color"]}
    bold = {"test": f"indexof({headings}, datum.value) >= 0", "value": "bold"}
    places: Spec = {"values": list(range(len(names))), "labelExpr": named(names)}
    places["labelFontWeight"] = {"condition": bold, "value": "normal"}
    y = side("row", None, {"domain": [len(names) - 0.5, -0.5]}, **places, grid=False, ticks=False)
    x = side("value", title, {**scale, "padding": 4}, **SHORT, tickCount=10)
    interval = {"x": field(x, "low"), "x2": "high", "y": y, **colour}
    layers = [
        *under,
        mark("rule", interval, "low", strokeWidth=1.4),
        mark("circle", {"x": field(x, "seed"), "y": y, **colour}, "seed", size=6),
        mark("point", {"x": x, "y": y, **channels}, "value", size=26, filled=True, opacity=1),
    ]
    width = styles.BOTH_COLUMNS - 5 * max(map(len, names))
    return {"layer": layers, "width": width, "height": height * len(names)}


def tests(study: Experiment, found: Found) -> Drawn:
    shown = [test for test in found["tests"] if test["measure"] == "difference"]
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in shown))
    rows: list[Row] = []
    said = []
    for row in shown:
        measured = {**row, "value": row["difference"]}
        rows += _points(measured, pairs.index((row["a"], row["b"])), row["at"])
        said.append(f"{row['a']} less {row['b']}, {row['at']}: {correlation(row['difference'])}")
    behind = [mark("rule", {"x": {"datum": 0}}, color=INK, strokeWidth=0.8)]
    caption = (
        "The confirmatory differences, 95 % intervals over seeds and items, not over people; small "
        "points are single seeds"
    )
    if found["settings"]["equivalence_unit"] == "r":
        bound = found["settings"]["equivalence_bound"]
        ends = {"x": {"datum": -bound}, "x2": {"datum": bound}}
        behind.insert(0, mark("rect", ends, color=MUTED, opacity=0.12))
        caption += "; shaded: differences that count as none"
    names = [f"{a} {MINUS} {b}" for a, b in pairs]
    drawn = _rows(names, [], behind, "difference of mean r", 24, {})
    return _drawn(rows, drawn, f"{caption}.", f"Differences of mean r: {'; '.join(said)}")


def traces(study: Experiment, found: Found) -> Drawn:
    """A student's allocation against that of what it imitates, at both temperatures."""
    rows: list[Row] = []
    said = []
    for arm, of in study.arms.items():
        x = (found["traces"].get(of.traces or "") or {}).get("r_oracle_same_width", {}).get("value")
        if x is None or arm not in found["arms"]:
            continue
        shown = {}
        for panel, at in enumerate((SAMPLED, GREEDY)):
            own = found["arms"][arm].get(at, {}).get("r_oracle")
            if own and own["value"] is not None:
                low, high = own["ci"] if own["ci"] and own["seeds_defined"] > 1 else (None, None)
                place = {"panel": panel, "at": at, "x": x, "label": arm}
                rows.append({**place, "r": own["value"], "low": low, "high": high})
                shown[at] = own["value"]
        said.append(f"{arm}: {correlation(x)} and {correlation(shown.get(SAMPLED))}")
    channels = _by_temperature(None)
    colour = {"color": channels["color"]}
    across = {"domain": [-0.1, 1.45]}
    x = side("x", "of the traces, problems of the same width", across, values=[0, 0.5, 1], **SHORT)
    y = side("r", "of the student, human items", {"domain": [-0.5, 1.3]}, **SHORT, tickCount=8)
    name = {"x": field(x, "name"), "y": field(y, "height")}
    interval = {"x": x, "y": field(y, "low"), "y2": "high", **colour}
    layers = [
        mark("rule", interval, "low", strokeWidth=0.8, opacity=0.5, clip=True),
        mark("rule", {"x": x, "y": y, "x2": "name", "y2": "height"}, color=MUTED, strokeWidth=0.4),
        *written(name, "left", dx=1, fontSize=6, baseline="middle"),
        mark("point", {"x": x, "y": y, **channels}, "r", size=24, filled=True, opacity=1),
    ]
    titles = [[at.replace("=", " = ")] for at in (SAMPLED, GREEDY)]
    drawn = styles.panels(layers, titles, 2, (225, 290))
    caption = (
        "Allocation that students imitate and the allocation they show on items that were never "
        "trained: r of log length with the log of the noise-free length; of single traces, and of "
        "means of eight responses at T = 1. Lines: 95 % intervals over seeds and items."
    )
    description = f"Allocation of traces and of students, T = 1: {'; '.join(said)}"
    return _drawn(_named_apart(rows), drawn, caption, description)


def _named_apart(rows: Sequence[Row]) -> list[Row]:
    """Rows with the place of their names, moved up where these would cover each other."""
    placed: list[Row] = []
    step = 0.052  # height of a name
    for row in sorted(rows, key=lambda row: row["r"]):
        height = row["r"] - 0.02
        for other in placed:
            near = other["panel"] == row["panel"] and abs(other["x"] - row["x"]) < 0.45
            height = max(height, other["height"] + step) if near else height
        placed.append({**row, "height": height, "name": row["x"] + 0.07})
    return placed


def _drawn(rows: Sequence[Row], drawn: Spec, caption: str, description: str) -> Drawn:
    """The SVG has a line for each element."""
    svg = styles.svg(plot(rows, "", drawn)).replace("><", ">\n<")
    return f"{svg}\n", caption, description


PLOTS = {"alignment": alignment, "tests": tests, "traces": traces}
