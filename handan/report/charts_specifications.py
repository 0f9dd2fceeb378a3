"""The interactive charts as Vega-Lite specifications, compiled to Vega.

One specification draws all panels of a kind. What differs from panel to panel are parameters and
named data, which page.js sets from ``chart_data``. Colours are CSS variables, so that the charts
follow the page's theme.
"""

import functools
from collections.abc import Mapping
from typing import Any

import altair as alt
import vl_convert

from handan.report.pictures.drawing import GRID, INK, MUTED, PAPER, Look, colour, css

# Vega's names of matplotlib's markers, and its dashes for matplotlib's lines.
SHAPES = {
    "o": "circle",
    "D": "diamond",
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "P": "cross",
    "X": "M-.7,-1L0,-.3L.7,-1L1,-.7L.3,0L1,.7L.7,1L0,.3L-.7,1L-1,.7L-.3,0L-1,-.7Z",
    "*": "M0,-1L.25,-.3L1,-.3L.4,.15L.6,.9L0,.45L-.6,.9L-.4,.15L-1,-.3L-.25,-.3Z",
}
DASHES = {"-": [1, 0], "--": [6, 3], "-.": [6, 2, 1, 2], ":": [2, 2]}
POINT_SIZE, CHOSEN_SIZE, COURSE_POINT_SIZE, FULL_POINT_SIZE = 42, 150, 40, 110
HEIGHT = 270  # pixels, with axes; also in style.css
SHORT_NUMBERS = "~s"  # 1.2M, 400k
_UNIT_DECADE = {"low": 1, "high": 10, "ticks": [1, 10]}  # what page.js replaces
# '.8' as in the tables, not '0.8'.
WITHOUT_ZERO = "abs(datum.value) < 1 ? replace(datum.label, '0.', '.') : datum.label"
AUTOSIZE = {"type": "fit", "contains": "padding"}
CONFIG = {
    "background": None,
    "padding": {"left": 2, "right": 8, "top": 6, "bottom": 2},
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": css(MUTED),
        "gridColor": css(GRID),
        "labelColor": css(INK),
        "labelFontSize": 11,
        "tickColor": css(MUTED),
        "titleColor": css(INK),
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "text": {"color": css(INK), "fontSize": 11},
}


def specifications(looks: Mapping[str, Look]) -> dict[str, dict[str, Any]]:
    """Compiled Vega of the three kinds of chart: 'scatter', 'inflation' and 'course'."""
    charts = {"scatter": _scatter(), "inflation": _inflation(), "course": _course(looks)}
    return {kind: _compiled(chart) for kind, chart in charts.items()}


def _compiled(chart: alt.LayerChart) -> dict[str, Any]:
    properties = {"width": "container", "height": HEIGHT, "config": CONFIG, "autosize": AUTOSIZE}
    specification: dict[str, Any] = chart.to_dict(context={"pre_transform": False})
    return dict(vl_convert.vegalite_to_vega(specification | properties))


@functools.cache
def library() -> str:
    """Vega and Vega-Embed as one script; made once, because it takes seconds."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def look_parameters(look: Look) -> dict[str, str]:
    """Colour and shape of an arm in a panel of its own."""
    return {"colour": colour(look), "shape": SHAPES[look.marker]}


def _parameters(**values: Any) -> list[alt.Parameter]:
    return [alt.param(name=name, value=value) for name, value in values.items()]


def _scatter() -> alt.LayerChart:
    """Reasoning tokens against people's time, with the fitted line and its band."""
    x, y = _logarithmic("seconds", "people's time, s"), _logarithmic("tokens", "reasoning tokens")
    lines = alt.Chart(alt.NamedData("fits"))
    band = lines.mark_area(opacity=0.16, color=css(INK), clip=True, aria=False).encode(
        alt.X("seconds:Q", **x), alt.Y("low:Q", **y), alt.Y2("high:Q")
    )
    line = lines.mark_line(color=css(INK), strokeWidth=1.4, clip=True, aria=False).encode(
        alt.X("seconds:Q", **x), alt.Y("tokens:Q", **y)
    )
    return alt.layer(band, line, *_points(x, y)).add_params(*_panel_parameters())


def _inflation() -> alt.LayerChart:
    """An arm's tokens against its base's, with three lines: no change, k times, the fitted one."""
    x = _logarithmic("base_tokens", "tokens of the base")
    y = _logarithmic("tokens", "tokens of the arm")
    lines = (
        alt.Chart(alt.NamedData("lines"))
        .mark_line(color=css(INK), strokeWidth=1.4, clip=True, aria=False)
        .encode(
            alt.X("base_tokens:Q", **x),
            alt.Y("tokens:Q", **y),
            alt.StrokeDash(
                "line:N",
                scale=alt.Scale(domain=["same", "k", "fit"], range=[[2, 3], [1, 0], [6, 3]]),
                legend=None,
            ),
        )
    )
    return alt.layer(lines, *_points(x, y)).add_params(*_panel_parameters())


def _panel_parameters() -> list[alt.Parameter]:
    sides = {f"{side}_{part}": value for side in "xy" for part, value in _UNIT_DECADE.items()}
    return _parameters(colour="", shape="circle", chosen="", **sides)


def _logarithmic(field: str, title: str) -> dict[str, Any]:
    """Scale and axis of one side of a scatter, with the panel's limits."""
    side = "y" if field == "tokens" else "x"
    limits = [alt.expr(f"{side}_low"), alt.expr(f"{side}_high")]
    return {
        "scale": alt.Scale(type="log", domain=limits, nice=False),
        "axis": alt.Axis(format="~g", values=alt.expr(f"{side}_ticks"), labelOverlap="greedy"),
        "title": title,
    }


def _points(x: Mapping[str, Any], y: Mapping[str, Any]) -> tuple[alt.Chart, alt.Chart]:
    """The items of a panel, and the chosen one once more, larger and outlined."""
    horizontal = "base_tokens:Q" if "base" in str(x["title"]) else "seconds:Q"
    items = alt.Chart(alt.NamedData("items"))
    points = items.mark_point(
        size=POINT_SIZE,
        shape=alt.expr("shape"),
        fill=alt.expr("colour"),
        fillOpacity=0.55,
        strokeWidth=0,
        cursor="pointer",
        clip=True,
        aria=False,
    ).encode(alt.X(horizontal, **x), alt.Y("tokens:Q", **y))
    chosen = (
        items.transform_filter("datum.item === chosen")
        .mark_point(
            size=CHOSEN_SIZE,
            shape=alt.expr("shape"),
            fill=alt.expr("colour"),
            stroke=css(INK),
            strokeWidth=2,
            cursor="pointer",
            clip=True,
            aria=False,
        )
        .encode(alt.X(horizontal, **x), alt.Y("tokens:Q", **y))
    )
    return points, chosen


def _course(looks: Mapping[str, Look]) -> alt.LayerChart:
    """A measure along training: all arms on the same axes, with bands and references.

    The x axis is the field that the parameter 'axis' names; 'arms' are those that are shown.
    """
    shown = "indexof(arms, datum.arm) >= 0"
    scale: dict[str, Any] = {"domain": list(looks)}
    colours = alt.Color(
        "arm:N", scale=alt.Scale(range=[colour(look) for look in looks.values()], **scale)
    ).legend(None)
    shapes = alt.Shape(
        "arm:N", scale=alt.Scale(range=[SHAPES[look.marker] for look in looks.values()], **scale)
    ).legend(None)
    dashes = alt.StrokeDash(
        "arm:N", scale=alt.Scale(range=[DASHES[look.line] for look in looks.values()], **scale)
    ).legend(None)
    rows = (
        alt.Chart(alt.NamedData("courses"))
        .transform_calculate(
            at="datum[axis]",
            value="datum[measure]",
            low="datum[measure + '_ci_low']",
            high="datum[measure + '_ci_high']",
            full="datum['full/' + measure]",
        )
        .transform_filter(f"{shown} && isValid(datum.at)")
    )
    measured = rows.transform_filter("isValid(datum.value)")
    x = alt.X(
        "at:Q", axis=alt.Axis(format=SHORT_NUMBERS, tickCount=5, title=None, grid=False, offset=4)
    )
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[alt.expr("y_low"), alt.expr("y_high")], nice=False),
        axis=alt.Axis(format=SHORT_NUMBERS, labelExpr=WITHOUT_ZERO, tickCount=6, title=None),
    )
    band = (
        measured.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_area(opacity=0.14, clip=True, aria=False)
        .encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colours)
    )
    line = measured.mark_line(strokeWidth=1.8, clip=True, aria=False).encode(x, y, colours, dashes)
    points = measured.mark_point(
        size=COURSE_POINT_SIZE, filled=True, opacity=1, cursor="pointer", aria=False
    ).encode(x, y, colours, shapes)
    full = (
        rows.transform_filter("isValid(datum.full)")
        .mark_point(
            size=FULL_POINT_SIZE,
            filled=False,
            strokeWidth=2,
            cursor="pointer",
            aria=False,
        )
        .encode(x, alt.Y("full:Q"), colours, shapes)
    )
    rules, *names = _references(shown, looks)
    return alt.layer(rules, band, line, points, full, *names).add_params(
        *_parameters(axis="step", measure="", arms=list(looks), y_low=0, y_high=1)
    )


def _references(shown: str, looks: Mapping[str, Look]) -> list[alt.Chart]:
    """Horizontal lines: the human ceiling, a teacher, the value of no change; and their names.

    A name is written twice, first as its own ground in the colour of the paper.
    """
    rows = alt.Chart(alt.NamedData("references")).transform_filter(
        f"datum.measure === measure && (datum.arm === '' || {shown})"
    )
    scale = alt.Scale(
        domain=["", *looks], range=[css(INK), *(colour(look) for look in looks.values())]
    )
    color = alt.Color("arm:N", scale=scale, legend=None)
    rules = rows.mark_rule(strokeWidth=1.2, strokeDash=[2, 3], clip=True, aria=False).encode(
        alt.Y("value:Q"), color
    )
    text = {"align": "left", "baseline": "bottom", "dx": 3, "dy": -2, "aria": False}
    ground = {"stroke": css(PAPER), "strokeWidth": 3, "strokeOpacity": 0.8}
    names = [
        rows.mark_text(**text, **more).encode(alt.Y("value:Q"), alt.Text("label:N"), x=alt.value(0))
        for more in (ground, {})
    ]
    return [rules, *names]
