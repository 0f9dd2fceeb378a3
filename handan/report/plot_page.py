"""The plots of the page: charts that ``page.js`` fills in, and inline SVG of the other kinds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import vl_convert
from markupsafe import Markup

from handan.formatting import TIE, bounds, correlation, name, number, plain
from handan.report import plot_data
from handan.report import plot_styles as styles
from handan.report.comparison import Arm, Comparison, Group, course, known_axes
from handan.report.plot_data import Fit, fit_rows, inflation_fits, item_rows, known_curves
from handan.report.plot_styles import CONFIG, INK, Axis, Looks, Row, Spec, logarithmic
from handan.report.plots import KINDS, Plot, curve_layers, curve_said, item_layers

PAGE_CONFIG = {**CONFIG, "background": None, "font": "system-ui, sans-serif"}
PAGE_CONFIG["padding"] = {"left": 2, "right": 8, "top": 6, "bottom": 2}
PAGE_CONFIG["axis"] = {**CONFIG["axis"], "labelFontSize": 11, "titleFontSize": 12}
PAGE_CONFIG["text"] = {"color": INK, "fontSize": 11}


class Chart(NamedTuple):
    """One interactive chart, of one arm and task where these are given."""

    identity: str  # unique on the page
    kind: str
    title: str
    caption: str  # its numbers in short, under the title
    description: str  # its numbers in full, for those who do not see it
    parameters: Mapping[str, Any]  # of its kind's specification
    arm: str | None = None
    task: str | None = None


def charts(study: Comparison, of: Looks) -> tuple[dict[str, list[Chart]], dict[str, Any]]:
    """{kind: interactive charts} of the main group, and what page.js needs of them, as JSON."""
    group, arms = study.main, [arm for arm in study.arms if len(course(arm)) > 1]
    fits = inflation_fits(group)
    rows: dict[str, list[Row]] = {"items": [], "scatter": [], "inflation": []}
    drawn: dict[str, list[Chart]] = {"scatter": [], "inflation": []}
    for task in group.tasks("human"):
        items = {
            arm.name: item_rows(group, arm.name, task, fits.get((arm.name, task)))
            for arm in plot_data.thinking_arms(group, task)
        }
        if not items:
            continue
        every = [row for own in items.values() for row in own]
        seconds, tokens = (logarithmic([row[of] for row in every]) for of in ("seconds", "tokens"))
        for arm, own in items.items():
            found = {"items": own, "scatter": fit_rows(group, task, own, "seconds")}
            made = {"scatter": (_scatter_said(group, task, arm), _axes(seconds, tokens))}
            if fit := fits.get((arm, task)):
                found["inflation"] = plot_data.multiples(fit, tokens.low, tokens.high)
                found["inflation"] += fit_rows(group, task, own, "base_tokens")
                made["inflation"] = (_inflation_said(task, arm, fit), _axes(tokens, tokens))
            for kind, (words, axes) in made.items():
                place = f"{kind}-{len(drawn[kind])}"
                drawn[kind].append(Chart(place, kind, *words, axes, arm, task))
            for table, of_arm in found.items():
                rows[table] += [{"arm": arm, "task": task, **row} for row in of_arm]
    rows["courses"] = [{"arm": arm.name, **row} for arm in arms for row in course(arm)]
    drawn["course"], rows["references"] = _curve_charts(group, arms)
    panels = {}
    for chart in (chart for of_kind in drawn.values() for chart in of_kind):
        names = {"arm": chart.arm and plain(chart.arm), "task": chart.task and plain(chart.task)}
        known = {"kind": chart.kind, "title": chart.title, "parameters": chart.parameters}
        panels[chart.identity] = {**known, **names}
    of_people = {"seconds": "people's time, s", "tokens": "reasoning tokens"}
    of_base = {"base_tokens": "tokens of the base", "tokens": "tokens of the arm"}
    return drawn, {
        "specifications": {
            "scatter": _items(of_people, of, styles.SOLID),
            "inflation": _items(of_base, of, styles.DASHED),
            "course": _curves(of),
        },
        "data": {table: _table(found) for table, found in rows.items()},
        "axes": known_axes(arms),
        "panels": panels,
    }


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    """Named columns and rows of values, as JSON: no name is repeated row by row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    values = [[styles.rounded(row.get(of)) for of in columns] for row in rows]
    return {"columns": columns, "rows": values}


def _axes(x: Axis, y: Axis) -> dict[str, Any]:
    axes = {"x": x, "y": y}
    return {f"{side}_{part}": of for side in axes for part, of in axes[side]._asdict().items()}


def _scatter_said(group: Group, task: str, arm: str) -> tuple[str, str, str]:
    """Title, caption and description."""
    of_task = group.result["models"][arm]["tasks"][task]
    r = f"r = {correlation(of_task['r_loglog'])} {bounds(of_task['r_loglog_ci'])}"
    ceiling = group.task_figure(task, "ceiling")
    known = "" if ceiling is None else f", human{TIE}ceiling{TIE}{correlation(ceiling)}"
    title = f"{plain(arm)}, {name(task)}: reasoning tokens against people's time"
    tokens = f"{number(of_task['mean_tokens'])} reasoning tokens on average"
    said = f"Scatter plot with a fitted line. {of_task['n']} items, {r}{known}; {tokens}."
    return title, f"{r}, n = {of_task['n']} items{known}", said


def _inflation_said(task: str, arm: str, fit: Fit) -> tuple[str, str, str]:
    """Title, caption and description."""
    ratio, base = number(fit["geometric_mean_ratio"], 2), plain(fit["base"])
    slope = f"b = {correlation(fit['b'])} {bounds(fit['b_ci'])}"
    title = f"{plain(arm)}, {name(task)}: tokens against those of {base}"
    times = f"On average {plain(arm)} writes {ratio} times the tokens of {base}"
    said = f"Scatter plot of {fit['n']} items with three lines. {times}; {slope}."
    return title, f"k = {ratio}, {slope}, n = {fit['n']} items", said


def _curve_charts(group: Group, arms: Sequence[Arm]) -> tuple[list[Chart], list[Row]]:
    """One chart for each measure along training, all arms in it, and their horizontal lines."""
    found, references = [], []
    for place, curve in enumerate(known_curves(group, arms)):
        rows = plot_data.curve_rows(arms, curve.key, "step")
        lines = plot_data.reference_rows(group, curve, rows)
        references += [{"measure": curve.key, **row} for row in lines]
        words = (curve.title, "", f"Line chart along training. {curve_said(rows, curve)}.")
        measure = {"measure": curve.key}
        found.append(Chart(f"course-{place}", "course", *words, measure, task=curve.task))
    return found, references


def _items(titles: Mapping[str, str], of: Looks, dash: list[int]) -> Spec:
    """The items of a chart by {field: title}, the chosen one once more, larger and outlined."""
    axes = [Axis(*({"expr": f"{side}_{part}"} for part in Axis._fields)) for side in "xy"]
    x, y = (styles.log_side(*of, axis) for of, axis in zip(titles.items(), axes, strict=True))
    layers = item_layers(x, y, of, dash, 42)
    chosen = {**layers[-1], "transform": [{"filter": "datum.item === chosen"}]}
    shown = {"size": 150, "fillOpacity": 1, "stroke": INK, "strokeWidth": 2}
    chosen["mark"] = {**chosen["mark"], **shown}
    values = {"chosen": ""} | _axes(Axis(1, 10, [1, 10]), Axis(1, 10, [1, 10]))
    return _compiled({"data": {"name": "rows"}, "layer": [*layers, chosen]}, values)


def _curves(of: Looks) -> Spec:
    """A measure along training; ``axis`` names the field of the x axis, ``arms`` those shown."""
    rows, references = curve_layers(of, (None, None), 40)
    shown = "indexof(arms, datum.arm) >= 0"
    fields = {"at": "axis", "value": "measure", "full": "'full/' + measure"}
    fields |= {end: f"measure + '_ci_{end}'" for end in ("low", "high")}
    read: list[Spec] = [{"calculate": f"datum[{of}]", "as": field} for field, of in fields.items()]
    read.append({"filter": f"{shown} && isValid(datum.at)"})
    of_measure = [{"filter": f"datum.measure === measure && (datum.arm === '' || {shown})"}]
    layers = [
        {"data": {"name": "courses"}, "transform": read, "layer": rows},
        {"data": {"name": "references"}, "transform": of_measure, "layer": references},
    ]
    values = {"axis": "step", "measure": "", "arms": list(map(plain, of))}
    return _compiled({"layer": layers}, values)


def _compiled(spec: Spec, parameters: Mapping[str, Any]) -> Spec:
    """A chart as Vega with parameters, in the colours of the page's theme."""
    size = {"width": "container", "height": 270}  # pixels, with axes; also in style.css
    given = [{"name": parameter, "value": value} for parameter, value in parameters.items()]
    autosize = {"type": "fit", "contains": "padding"}
    whole = {**spec, **size, "params": given, "autosize": autosize, "config": PAGE_CONFIG}
    return dict(json.loads(styles.themed(json.dumps(vl_convert.vegalite_to_vega(whole)))))


def inline_plots(group: Group, of: Looks) -> dict[str, list[tuple[Plot, Markup]]]:
    """{kind: plots with their SVG} of other kinds: of human tasks, inflation at T = 0, if any."""
    found, human = {}, group.tasks("human")
    for kind in ("slopes", "inflation", "distributions", "status", "similarity"):
        plots = KINDS[kind].plots(group, of)
        greedy = {plot.arm for plot in plots if "t0" in plot.parts}
        if kind == "inflation":
            plots = [plot for plot in plots if ("t0" in plot.parts) == (plot.arm in greedy)]
        elif kind != "slopes" and human:
            plots = [plot for plot in plots if plot.task is None or plot.task in human]
        found[kind] = [
            (plot, styles.inline_svg(plot.spec, f"{kind}-figure-{place}", plot.title, plot.caption))
            for place, plot in enumerate(plots)
        ]
    return found
