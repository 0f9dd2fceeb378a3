"""All plots of a report, each with its numbers in words; ``plot_page`` draws some layers, too."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from handan import formatting
from handan.alignment.correlation import mean_of_known
from handan.alignment.costs import split_name
from handan.alignment.items import TaskCosts
from handan.alignment.measures import CURVES, R
from handan.files import make_directory, write, write_text
from handan.formatting import bounds, correlation, escape, name, number, plain, sentence, short
from handan.report import plot_data
from handan.report import plot_styles as styles
from handan.report.comparison import AXES, WORDS, Arm, Comparison, Group, course
from handan.report.plot_data import Curve, Fit, fit_rows, item_rows, multiples
from handan.report.plot_styles import INK, MUTED, OWNED, Looks, Row, Spec, field, mark, named, plot

CAPTIONS = WORDS["captions"]
DEMANDS = {"human": "people's time, s", "analytic": "analytic cost"}
MAX_COLUMNS = 3  # tasks beside each other in one plot of inflation
MAX_LETTERS = 22  # of an arm's name
CONDITIONS = [["with sampling"], ["without sampling (T = 0)"]]
NOT_RECORDED = "status not recorded"
# What became of a response; dark and light enough to be told apart in grey, too.
FILLS = {"complete": styles.GRID, "cut at the cap": "#d55e00", "unparsed": "#4a2c00"}
FILLS |= {"no reasoning": "#56b4e9", NOT_RECORDED: "#ffffff"}
POINT: dict[str, Any] = {"fillOpacity": 0.55, "strokeWidth": 0, "clip": True, "cursor": "pointer"}


class Plot(NamedTuple):
    """One plot, of one task or arm where these are given."""

    kind: str
    parts: tuple[str, ...]  # that tell it from others of its kind
    title: str
    caption: str  # how to read it, and all its numbers
    spec: Spec
    task: str | None = None
    arm: str | None = None


Drawing = Callable[[Group, Looks], list[Plot]]


def _of_each_task(draw: Callable[[Group, Looks, str], Plot | None]) -> Drawing:
    """Plots of all tasks where there is one, human tasks first."""

    def draw_all(group: Group, of: Looks) -> list[Plot]:
        tasks = [task for source in DEMANDS for task in group.tasks(source)]
        return [drawn for task in tasks if (drawn := draw(group, of, task))]

    return draw_all


def _span(numbers: Iterable[int]) -> str:
    """'64', '64 to 128', 'unknown'."""
    known = sorted(set(numbers))
    return " to ".join(map(str, dict.fromkeys([*known[:1], *known[-1:]]))) or "unknown"


def _models(group: Group) -> list[tuple[Row, str]]:
    """Every model with its panel, row and arm: with sampling, then at T = 0."""
    return [
        ({"panel": panel, "row": row, "arm": arm.name}, model)
        for panel in (0, 1)
        for row, arm in enumerate(group.arms)
        if (model := arm.greedy if panel else arm.name)
    ]


def _answers(group: Group, task: str) -> list[tuple[Row, str, TaskCosts]]:
    """Panel, row and arm, model, and costs, where a model has responses on a task."""
    return [
        (place, model, costs)
        for place, model in _models(group)
        if (costs := group.costs[model].get(task)) is not None and np.isfinite(costs.tokens).any()
    ]


def written(channels: Mapping[str, Any], align: Any, **properties: Any) -> list[Spec]:
    """Labels, each twice: first as its own ground in the colour of the paper."""
    ground = {"stroke": styles.PAPER, "strokeWidth": 3, "strokeOpacity": 0.8}
    text = {"text": "label:N", **channels}
    more = {"align": align, **properties}
    return [mark("text", text, "label", **more, **under) for under in (ground, {})]


def item_layers(
    x: Spec, y: Spec, of: Looks, dash: list[int], size: float, legend: Spec | None = None
) -> list[Spec]:
    """The items of an arm, the dashed or solid line through them with its band, other lines."""
    dashes = {"domain": ["same", "k", "fit"], "range": [styles.DOTTED, styles.SOLID, dash]}
    kind = {"field": "line", "type": "nominal", "scale": dashes, "legend": legend}
    low, fitted = field(y, "low"), field(y, "fitted")
    ink: dict[str, Any] = {"color": INK, "clip": True}
    return [
        mark("area", {"x": x, "y": low, "y2": "high"}, "low", fillOpacity=0.16, **ink),
        mark("line", {"x": x, "y": fitted, "strokeDash": kind}, "fitted", strokeWidth=1.3, **ink),
        _points(x, y, of, "tokens", size),
    ]


def _points(x: Spec, y: Spec, of: Looks, where: str, size: float) -> Spec:
    channels = styles.of_arms(of)
    looks = {"fill": channels["color"], "shape": channels["shape"]}
    return mark("point", {"x": x, "y": y, **looks}, where, size=size, **POINT)


@_of_each_task
def scatter(group: Group, of: Looks, task: str) -> Plot | None:
    """Tokens against what items ask, one panel an arm."""
    arms = plot_data.thinking_arms(group, task)
    if not arms:
        return None
    demand = DEMANDS["human" if task in group.tasks("human") else "analytic"]
    rows: list[Row] = []
    titles, said = [], []
    for panel, arm in enumerate(arms):
        items = item_rows(group, arm.name, task)
        found = [*items, *fit_rows(group, task, items, "seconds")]
        rows += [{"panel": panel, "arm": arm.name, **row} for row in found]
        figures = group.result["models"][arm.name]["tasks"][task]
        r = f"r = {correlation(figures['r_loglog'])} {bounds(figures['r_loglog_ci'])}"
        n = f"n = {figures['n']} items"
        titles.append([short(arm.name, MAX_LETTERS), r, n])
        said.append(f"{plain(arm.name)} {r}, {n}")
    columns = styles.columns_for(len(arms), 4)
    width = styles.width_of(columns, 40, narrow=columns == 1)
    labels = {"seconds": demand, "tokens": "reasoning tokens"}
    axes = {of: styles.logarithmic([row[of] for row in rows if of in row]) for of in labels}
    x, y = (styles.log_side(of, f"{label} (log scale)", axes[of]) for of, label in labels.items())
    ceiling = group.task_figure(task, "ceiling")
    known = f"; human ceiling {correlation(ceiling)}" if ceiling is not None else ""
    of_ceiling = f" The human ceiling is {correlation(ceiling)}." if ceiling is not None else ""
    layers = item_layers(x, y, of, styles.SOLID, 9)
    drawn = styles.panels(layers, titles, columns, (width, min(width, 150)))
    title = f"{sentence(name(task))}: reasoning tokens against {demand.removesuffix(', s')}"
    caption = CAPTIONS["scatter"].format(
        demand=demand, said=sentence("; ".join(said)), ceiling=of_ceiling
    )
    spec = plot(rows, sentence(short(name(task), 50)) + known, drawn)
    return Plot("scatter", (task,), title, caption, spec, task)


def inflation(group: Group, of: Looks) -> list[Plot]:
    """Tokens of an arm against those of its base: for each arm one with sampling and at T = 0."""
    out = []
    for arm in group.arms:
        for greedy in (False, True):
            fits = plot_data.inflation_fits(group, greedy)
            own = [(task, fit) for (of_arm, task), fit in fits.items() if of_arm == arm.name]
            for at in range(0, len(own), MAX_COLUMNS):
                out.append(_inflation(group, of, arm, dict(own[at : at + MAX_COLUMNS]), greedy))
    return out


def _inflation(group: Group, of: Looks, arm: Arm, fits: dict[str, Fit], greedy: bool) -> Plot:
    items = {  # that the base thought on, too
        task: [row for row in item_rows(group, fit["student"], task, fit) if row["base_tokens"] > 0]
        for task, fit in fits.items()
    }
    every = [row for found in items.values() for row in found]
    x_axis = styles.logarithmic([row["base_tokens"] for row in every])
    y_axis = styles.logarithmic([row[of] for row in every for of in ("tokens", "base_tokens")])
    rows: list[Row] = []
    titles, said = [], []
    for panel, (task, fit) in enumerate(fits.items()):
        sd = fit["residual_sd"] or 0.0
        others: list[Row] = [{"sd_low": np.exp(-sd), "sd_high": np.exp(sd)}]
        others += multiples(fit, x_axis.low, x_axis.high)
        others += fit_rows(group, task, items[task], "base_tokens")
        rows += [{"panel": panel, "arm": arm.name, **row} for row in (*items[task], *others)]
        interval = fit["geometric_mean_ratio_ci"] or ()
        known = f"[{', '.join(number(of, 2) for of in interval)}]" if interval else bounds(None)
        k = f"k = {number(fit['geometric_mean_ratio'], 2)} {known}"
        b = f"b = {correlation(fit['b'])} {bounds(fit['b_ci'])}, n = {fit['n']} items"
        titles.append([sentence(short(name(task), 30)), k, b])
        said.append(f"{sentence(name(task))}: {k}, {b}.")
    arm_name, base_name = (
        f"tokens of {short(of, MAX_LETTERS)} (log scale)" for of in (arm.name, arm.base)
    )
    columns = len(fits)
    width = styles.width_of(columns, 50, narrow=columns == 1)
    names = {"same": "as many", "k": "k times as many", "fit": "least squares, slope b, 95 % band"}
    legend: Spec = {"title": None, "orient": "bottom", "symbolSize": 600}
    legend["labelExpr"] = named(names, "label")
    bare = styles.log_side("base_tokens", None, x_axis, labels=False)
    x = styles.log_side("base_tokens", base_name, x_axis)
    y = styles.log_side("tokens", arm_name, y_axis)
    layers = item_layers(bare, y, of, styles.DASHED, 10, legend)
    above = styles.panels(layers, titles, columns, (width, 180))
    below = styles.panels(_residual_layers(every, x, of), [], columns, (width, 64))
    flush = {"bounds": "flush"}  # so that the panels of both rows are below each other
    condition = "at T = 0" if greedy else "with sampling"
    heading = f"{short(arm.name, MAX_LETTERS)}, {condition}"
    title = f"{plain(arm.name)} against its base {plain(arm.base)}, item by item, {condition}"
    caption = CAPTIONS["inflation"].format(said=" ".join(said))
    parts = (arm.name, "t0" if greedy else "sampling", *items)
    drawn = plot(rows, heading, {"vconcat": [above | flush, below | flush]})
    return Plot("inflation", parts, title, caption, drawn, arm=arm.name)


def _residual_layers(items: Sequence[Row], x: Spec, of: Looks) -> list[Spec]:
    """What is left of each item beside the fitted line, as a factor."""
    logs = [abs(np.log(row["residual"])) for row in items if np.isfinite(row["residual"])]
    # None looks large for want of others.
    most = max(np.log(1.5), 1.1 * max(logs, default=0.0))
    steps = int(most / np.log(2))
    powers = [2.0**step for step in range(-steps, steps + 1, 1 + steps // 3)]
    axis = styles.Axis(np.exp(-most), np.exp(most), powers if steps else [1 / 1.5, 1, 1.5])
    factor = "'\N{MULTIPLICATION SIGN}' + format(datum.value, '.2~r')"
    y = styles.log_side("residual", "residual (factor)", axis, labelExpr=factor)
    spread = {"y": field(y, "sd_low"), "y2": "sd_high"}
    return [
        mark("rect", spread, "sd_low", color=MUTED, opacity=0.2),
        mark("rule", {"y": {"datum": 1}}, color=INK, strokeWidth=1.2),
        _points(x, y, of, "residual", 7),
    ]


def curve_layers(
    of: Looks, titles: tuple[str | None, str | None], size: float, legend: Spec | None = None
) -> tuple[list[Spec], list[Spec]]:
    """Layers of rows and of references of ``plot_data``; open points are of all items."""
    channels = styles.of_arms(of, legend)
    colour = {"color": channels["color"]}
    shape = {**colour, "shape": channels["shape"]}
    numbers = {**styles.SHORT, "format": "~s"}
    sparse = {**numbers, **styles.NO_OVERLAP}
    x = styles.side("at", titles[0], {}, **sparse, tickCount=5, grid=False, offset=4)
    y = styles.side("value", titles[1], {"padding": 4}, **numbers, tickCount=6)
    full = {"x": x, "y": field(y, "full"), **shape}
    band = {"x": x, "y": field(y, "low"), "y2": "high", **colour}
    line = {"x": x, "y": y, **colour, "strokeDash": channels["strokeDash"]}
    height = {"y": field(y, "reference"), **colour}
    return [
        mark("area", band, "low", fillOpacity=0.14),
        mark("line", line, "value", strokeWidth=1.6),
        mark("point", {"x": x, "y": y, **shape}, "value", size=size, filled=True, opacity=1),
        mark("point", full, "full", size=3 * size, filled=False, strokeWidth=2),
    ], [
        mark("rule", {"y": field(y, "limit")}, "limit", opacity=0),
        mark("rule", height, "reference", strokeWidth=1.2, strokeDash=styles.DOTTED),
        *written({**height, "x": {"value": 3}}, "left", dy=-6),
    ]


def curves(group: Group, of: Looks) -> list[Plot]:
    """Alignment against step and every recorded budget, then the other measures against step."""
    arms = [arm for arm in group.arms if len(course(arm)) > 1]
    every = plot_data.known_curves(group, arms)
    alignment, others = ([curve for curve in every if curve.is_r is r] for r in (True, False))
    out = []
    for axis in ("step", "budget/trained_tokens", "budget/model_flops", "budget/device_seconds"):
        known = [arm for arm in arms if all(axis in row for row in course(arm))]
        out.append(_curves(group, of, known, alignment, axis, "alignment"))
    out.append(_curves(group, of, arms, others, "step", "measures"))
    return [drawn for drawn in out if drawn]


def _curves(
    group: Group, of: Looks, arms: Sequence[Arm], every: Sequence[Curve], axis: str, part: str
) -> Plot | None:
    """The plot of all curves in which an arm has a value that is not 0, if there are any."""
    values = [(curve, plot_data.curve_rows(arms, curve.key, axis)) for curve in every]
    shown = [(curve, own) for curve, own in values if any(row["value"] for row in own)]
    if not shown:
        return None
    items = {plain(arm.name): plot_data.num_probed_items(arm) for arm in arms}
    counts = formatting.listing([f"{arm} {num or 'unknown'}" for arm, num in items.items()])
    rows: list[Row] = []
    titles, said = [], []
    for panel, (curve, own) in enumerate(shown):
        others = [row for row in plot_data.reference_rows(group, curve, own) if not row["arm"]]
        rows += [{"panel": panel, **row} for row in (*own, *others)]
        unit = "r on the probe" if curve.is_r else curve.measure.axis
        titles.append([*wrap(curve.title, 36), f"({unit})" if unit else ""])
        said.append(f"{curve.title}: {curve_said(own, curve)}.")
        labels = [row["label"] for row in others if "label" in row and curve.is_r]
        said += [f"{curve.title}: the {label}." for label in labels]
    caption = CAPTIONS["course"].format(counts=counts, said=" ".join(said))
    title = f"Alignment along training, by {AXES[axis]}"
    if part == "measures":
        title = "Accuracy, length and status along training"
        measures = [curve.measure for curve, _ in shown]
        if empty := [of.heading for of in CURVES if of.unit != R and of not in measures]:
            left_out = formatting.listing(empty)
            caption += f" Left out, as 0 throughout or not recorded: {left_out}."
    if axis.startswith("budget/"):
        caption += " Each arm's own training is counted, its teacher's part is not."
    names = {plain(arm.name): short(arm.name, MAX_LETTERS) for arm in arms}
    label = named(names, "label")
    legend: Spec = {"values": list(names), "labelExpr": label, "orient": "bottom", "columns": 4}
    legend |= {"symbolSize": 60, "symbolDash": styles.SOLID, "symbolStrokeWidth": 0}
    own_looks = {arm.name: of[arm.name] for arm in arms}
    columns = styles.columns_for(len(shown), 3)
    layers, references = curve_layers(own_looks, (AXES[axis], None), 18, legend)
    size = (styles.width_of(columns, 32 * columns), 112)
    drawn = styles.panels([*layers, *references], titles, columns, size)
    drawn |= {"resolve": {"scale": {"y": "independent"}}}
    n = _span(num for num in items.values() if num)
    whole = f"{title}, n = {n} items" if any(items.values()) else f"{title}, n unknown"
    parts = (part, axis.removeprefix("budget/"))
    return Plot("course", parts, title, caption, plot(rows, whole, drawn))


def curve_said(rows: Sequence[Row], curve: Curve) -> str:
    """First and last value of each arm, with their intervals."""
    parts = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        known = [row for row in rows if row["arm"] == arm and row["value"] is not None]
        ends = []
        for row in (known[0], known[-1]) if known else ():
            value = correlation(row["value"]) if curve.is_r else number(row["value"], 2)
            interval = "" if row["low"] is None else f" {bounds((row['low'], row['high']))}"
            ends.append(value + interval)
        if ends:
            parts.append(f"{plain(arm)} from {' to '.join(ends)}")
    return formatting.listing(parts) or "measured on all items only"


def _by_arm(group: Group, layers: Sequence[Spec], note_width: int, height: int, dy: int) -> Spec:
    """One row an arm; a panel with sampling, and one without if that was measured."""
    arms = group.arms
    columns = 2 if any(arm.greedy for arm in arms) else 1
    name_width = styles.LETTER * max(len(short(arm.name, MAX_LETTERS)) for arm in arms)
    width = styles.width_of(columns, name_width + note_width * columns)
    note = {"x": {"value": width + 6}, "y": _row_of("row", arms), "text": "note:N"}
    text = {"align": "left", "baseline": "middle", "lineBreak": "\n", "dy": dy, **OWNED}
    layers = [*layers, mark("text", note, "note", **text)]
    return styles.panels(layers, CONDITIONS, columns, (width, height * len(arms)))


def _row_of(field: str, arms: Sequence[Arm]) -> Spec:
    """The y channel of rows with the names of arms, the first at the top."""
    label = named([short(arm.name, MAX_LETTERS) for arm in arms])
    axis = {"values": list(range(len(arms))), "labelExpr": label, "grid": False}
    scale = {"domain": [len(arms) - 0.4, -0.75]}
    return styles.side(field, None, scale, **axis, domain=False, ticks=False)


@_of_each_task
def distributions(group: Group, of: Looks, task: str) -> Plot | None:
    """Histograms of the reasoning tokens of single responses, with quartiles, a row an arm."""
    if not plot_data.thinking_arms(group, task):
        return None
    found = _answers(group, task)
    axis = styles.logarithmic(np.concatenate([of.tokens[of.tokens > 0] for *_, of in found]))
    edges = np.geomspace(axis.low, axis.high, 41)  # of 40 bins
    rows: list[Row] = []
    said = []
    for place, model, costs in found:
        tokens = costs.tokens[np.isfinite(costs.tokens)]
        thinking = tokens[tokens > 0]
        without = formatting.percent(1 - len(thinking) / len(tokens))
        n = f"n = {formatting.count(len(tokens))}"
        rows.append({**place, "note": f"{n}\n0 tokens: {without}"})
        median = "no thinking"
        if len(thinking):
            median = f"median {number(float(np.median(thinking)), 0)}"
            heights = np.append(np.histogram(thinking, edges)[0], 0)
            outline = zip(edges, place["row"] - 0.62 * heights / heights.max(), strict=True)
            rows += [{**place, "tokens": edge, "top": top} for edge, top in outline]
            quantiles = np.percentile(thinking, (5, 25, 50, 75, 95))
            box = dict(zip(("low", "first", "median", "third", "high"), quantiles, strict=True))
            rows.append({**place, **box, "box": place["row"] + 0.14})
        said.append(f"{plain(model)} {median}, {without} without reasoning, {n} responses")
    x = styles.log_side("tokens", "reasoning tokens (log scale)", axis)
    top = {"x": x, "y": _row_of("top", group.arms), "color": styles.of_arms(of)["color"]}
    box_row = _row_of("box", group.arms)
    steps: dict[str, Any] = {"interpolate": "step-after", **OWNED}
    tick: dict[str, Any] = {"thickness": 1.8, "height": 9, "orient": "vertical", **OWNED}
    whiskers = {"x": field(x, "low"), "x2": "high", "y": box_row}
    middle_half = {"x": field(x, "first"), "x2": "third", "y": box_row}
    layers = [
        mark("area", {**top, "y2": "row"}, "top", fillOpacity=0.55, **steps),
        mark("line", top, "top", strokeWidth=0.8, **steps),
        mark("rule", whiskers, "box", color=MUTED, strokeWidth=1, **OWNED),
        mark("rule", middle_half, "box", color=INK, strokeWidth=3, **OWNED),
        mark("tick", {"x": field(x, "median"), "y": box_row}, "box", color=INK, **tick),
    ]
    cap = group.conditions.get("max_new_tokens")
    if isinstance(cap, (int, float)) and axis.low <= cap <= axis.high:
        at_cap = {"x": {"datum": cap}}
        text = {**at_cap, "y": {"value": 0}, "text": {"value": "cap"}}
        layers.append(mark("rule", at_cap, color=INK, strokeDash=styles.DOTTED))
        layers.append(mark("text", text, align="left", dx=3, baseline="top"))
    title = "reasoning tokens of single responses"
    caption = CAPTIONS["distributions"].format(said=sentence("; ".join(said)))
    heading = f"{sentence(short(name(task), 50))}: {title}"
    spec = plot(rows, heading, _by_arm(group, layers, 60, 32, -5))
    title = f"{sentence(name(task))}: {title}"
    return Plot("distributions", (task,), title, caption, spec, task)


def shares(costs: TaskCosts) -> dict[str, float]:
    """Share of responses by what became of them; each counts once, under the first that holds."""
    given = np.isfinite(costs.tokens)
    cut, unparsed = costs.of_samples["truncated"], costs.of_samples["unparsed"]
    conditions = [cut == 1, unparsed == 1, costs.tokens == 0, np.isfinite(cut)]
    labels = ["cut at the cap", "unparsed", "no reasoning", "complete"]
    of_each = np.select([mask & given for mask in conditions], labels, NOT_RECORDED)
    return {label: float(np.mean(of_each[given] == label)) for label in FILLS}


@_of_each_task
def status(group: Group, of: Looks, task: str) -> Plot | None:
    """Shares of responses by what became of them, and right answers, a row an arm."""
    rows: list[Row] = []
    said = []
    for place, model, costs in _answers(group, task):
        accuracy = mean_of_known(costs.correct)
        right = None if np.isnan(accuracy) else accuracy
        n = formatting.count(int(np.isfinite(costs.tokens).sum()))
        note = f"{formatting.percent(right)} right, n = {n}"
        answers = None if right is None else 100 * right
        rows.append({**place, "note": note, "answers": answers, "what": "right answers"})
        end, parts = 0.0, []
        for label, share in shares(costs).items():
            start, end = end, end + 100 * share
            height = {"top": place["row"] - 0.33, "bottom": place["row"] + 0.33}
            if share:
                rows.append({**place, "status": label, "share": start, "end": end, **height})
                parts.append(f"{formatting.percent(share)} {label}")
        said.append(f"{plain(model)}: {formatting.listing(parts)}, {note} responses")
    if not rows:
        return None
    unrecorded = any(row.get("status") == NOT_RECORDED for row in rows)
    fills = [label for label in FILLS if label != NOT_RECORDED or unrecorded]
    legend: Spec = {"title": None, "orient": "bottom"}
    scale = {"domain": fills, "range": [FILLS[label] for label in fills]}
    fill = {"field": "status", "type": "nominal", "scale": scale}
    fill["legend"] = {**legend, "symbolType": "square"}
    x = styles.side("share", "% of responses", {"domain": [0, 100]})
    shape = {"field": "what", "type": "nominal", "scale": {"range": ["diamond"]}}
    shape["legend"] = {**legend, "symbolFillColor": INK}
    diamond = {"x": field(x, "answers"), "y": _row_of("row", group.arms), "shape": shape}
    point: dict[str, Any] = {"fill": INK, "stroke": "white", "strokeWidth": 1, "size": 45}
    bar = {"x": x, "x2": "end", "y": _row_of("top", group.arms), "y2": "bottom", "color": fill}
    layers = [
        mark("rect", bar, "status", stroke=MUTED, strokeWidth=0.6, **OWNED),
        mark("point", diamond, "answers", opacity=1, **point, **OWNED),
    ]
    cap = group.conditions.get("max_new_tokens", "unknown")
    title = "what became of the responses"
    caption = CAPTIONS["status"].format(cap=cap, said="; ".join(said))
    heading = f"{sentence(short(name(task), 50))}: {title}"
    spec = plot(rows, heading, _by_arm(group, layers, 95, 21, 0))
    return Plot("status", (task,), f"{sentence(name(task))}: {title}", caption, spec, task)


def similarity(group: Group, of: Looks) -> list[Plot]:
    """r of difficulty fingerprints of every two models, with sampling and at T = 0."""
    out = []
    for greedy in (False, True):
        models = [model for place, model in _models(group) if place["panel"] == greedy]
        every = group.result["study"]["similarity"]
        rows = [row for row in every if {row["a"], row["b"]} <= {*models} and row["r"] is not None]
        out += [_similarity(models, rows, greedy)] if rows else []
    return out


def _similarity(models: Sequence[str], rows: Sequence[Mapping[str, Any]], greedy: bool) -> Plot:
    size = len(models)
    roomy = size <= 7  # models beside each other, so that the intervals can be read
    cells, said = [], []
    for row in rows:
        right, down = sorted(models.index(row[side]) for side in "ab")
        r, interval = correlation(row["r"]), bounds(row["ci"])
        label = f"{r}\n{interval}" if roomy else r
        cells.append({"right": right, "down": down, "r": row["r"], "text": label})
        pair = f"{plain(row['a'])} and {plain(row['b'])}"
        said.append(f"{pair} {r} {interval}, n = {row['n']} items")
    names = [short(split_name(model)[0], MAX_LETTERS) for model in models]
    axis: Spec = {"labelExpr": named(names), "domain": False, "ticks": False}
    cell = {"type": "ordinal", "title": None}
    place = {"x": {**cell, "field": "right", "axis": {**axis, "labelAngle": 0 if roomy else -90}}}
    place["y"] = {**cell, "field": "down", "axis": axis}
    # Orange above 0, purple below, white at 0: safe for the colour-blind.
    scale = {"scheme": "purpleorange", "domain": [-1, 1]}
    colour = {"field": "r", "type": "quantitative", "scale": scale}
    colour["legend"] = {"gradientLength": 120, "tickCount": 5, **styles.SHORT}
    contrast = {"value": {"expr": "abs(datum.r) > .7 ? '#ffffff' : '#101010'"}}
    text = {**place, "text": "text:N", "color": contrast}
    layers = [
        mark("rect", {**place, "color": colour}, stroke=MUTED, strokeWidth=0.5),
        mark("text", text, lineBreak="\n", dy=-5 if roomy else 0, fontSize=8),
    ]
    letters = styles.LETTER * max(map(len, names))
    width = styles.width_of(1, 60 + letters, narrow=size <= 3)
    height = 36 * (size - 1) if roomy else min(30 * size, 400)
    n = f"n = {_span(row['n'] for row in rows)} items"
    title = f"Similarity of difficulty fingerprints {'at T = 0' if greedy else 'with sampling'}"
    caption = CAPTIONS["similarity"].format(said="; ".join(said))
    spec = plot(cells, [title, n], {"layer": layers, "width": width, "height": height})
    return Plot("similarity", ("t0" if greedy else "sampling",), title, caption, spec)


def slopes(group: Group, of: Looks) -> list[Plot]:
    """r before and after training, of the mean over human tasks, then of each."""
    if not any(arm.base for arm in group.arms):
        return []
    tasks = group.tasks("human")
    every = {task: _values(group, task) for task in (None, *tasks)}
    pairs = [pair for values in every.values() for pair in values.values()]
    known = [bound for r, interval in pairs for bound in (r, *(interval or ()))]
    # All plots of a group share an axis that begins below everything.
    lowest = float(np.floor(10 * min(known, default=0.0) - 0.5)) / 10
    shown = list(every) if len(tasks) > 1 else tasks
    return [_slopes(group, of, task, every[task], lowest) for task in shown]


Values = Mapping[str, tuple[float, Sequence[float] | None]]


def _values(group: Group, task: str | None) -> Values:
    """{model: r and its interval} on a task, or on the mean, where they are known."""
    found = {}
    key = "r_loglog" if task else "mean_r_loglog"
    for _, model in _models(group):
        figures = group.figures(model) or {"tasks": {}}
        of: Mapping[str, Any] = figures["tasks"].get(task, {}) if task else figures
        if of.get(key) is not None:
            found[model] = (of[key], of[f"{key}_ci"])
    return found


def _slopes(group: Group, of: Looks, task: str | None, values: Values, lowest: float) -> Plot:
    tasks = [task] if task else group.tasks("human")
    what = sentence(name(task)) if task else f"Mean of {len(tasks)} human tasks"
    ceiling = group.task_figure(task, "ceiling") if task else group.ceiling()
    costs = [[group.costs[arm.name].get(of) for of in tasks] for arm in group.arms]
    n = f"n = {max(sum(len(of.items) for of in own if of is not None) for own in costs)} items"
    known: list[dict[str, Any]] = [{}, {}]
    for place, model in _models(group):
        known[place["panel"]] |= {place["arm"]: values[model]} if model in values else {}
    of_panels = [_slope_rows(group.arms, of_panel, lowest) for of_panel in known]
    rows = [{"panel": panel, **row} for panel in (0, 1) for row in of_panels[panel]]
    channels = styles.of_arms(of)
    colour = {"color": channels["color"]}
    label = named(["base", "trained"])
    x = styles.side("x", None, {"domain": [-0.5, 2]}, values=[0, 1], labelExpr=label, grid=False)
    ticks = [tick / 10 for tick in range(-10, 11, 2 if lowest > -0.6 else 5) if tick / 10 >= lowest]
    scale = {"domain": [lowest - 0.03, 1.03]}
    y = styles.side("r", "r of log tokens with log time", scale, values=ticks, **styles.SHORT)
    band = {"y": field(y, "low"), "y2": "high", **colour}
    level, dashed = {"y": y, **colour}, styles.DASHED
    line = {"x": x, **level, "strokeDash": channels["strokeDash"]}
    point: dict[str, Any] = {"size": 50, "filled": True, "opacity": 1, **OWNED}
    layers = [
        mark("rule", {"y": {"datum": 0}}, color=MUTED, strokeWidth=0.8),
        mark("rect", band, "teacher", fillOpacity=0.13, **OWNED),
        mark("rule", level, "teacher", strokeWidth=1.4, strokeDash=dashed, **OWNED),
        mark("line", line, "line", strokeWidth=1.8, **OWNED),
        mark("rule", {"x": x, **band}, "end", strokeWidth=1.3, **OWNED),
        mark("point", {"x": x, **level, "shape": channels["shape"]}, "end", **point),
    ]
    if ceiling is not None:
        height = {"y": {"datum": ceiling}}
        text = {"value": f"ceiling {correlation(ceiling)}"}
        layers.append(mark("rule", height, color=INK, strokeDash=styles.DOTTED))
        layers.append(mark("text", {"x": {"datum": 0.5}, **height, "text": text}, dy=-6))
    align = {"expr": "datum.at < 0 ? 'right' : 'left'"}
    layers += written({"x": field(x, "at"), "y": field(y, "height")}, align, fontSize=8, **OWNED)
    said = [f"{plain(model)} {correlation(r)} {bounds(ci)}" for model, (r, ci) in values.items()]
    of_ceiling = f" The human ceiling is {correlation(ceiling)}." if ceiling is not None else ""
    known_r = "; ".join(said) or "unknown"
    caption = CAPTIONS["slopes"].format(n=n, said=known_r, ceiling=of_ceiling)
    spec = plot(rows, f"{short(what, 50)}, {n}", styles.panels(layers, CONDITIONS, 2, (155, 175)))
    title = f"{what}: r before and after training"
    return Plot("slopes", (task,) if task else (), title, caption, spec, task)


def _slope_rows(arms: Sequence[Arm], values: Values, lowest: float) -> list[Row]:
    """Ends of lines from base to arm, teachers, and labels that do not cover each other."""

    def row(arm: str, **more: Any) -> Row:
        r, interval = values[arm]
        low, high = interval or (r, r)
        return {"arm": arm, "r": r, "low": low, "high": high, **more}

    def label(arm: str, at: float, who: str = "") -> Row:
        r, _ = values[arm]
        return {"arm": arm, "height": r, "at": at, "label": f"{correlation(r)}{who}"}

    trained = [arm for arm in arms if arm.base]
    rows: list[Row] = []
    before: dict[str, Row] = {}
    after: list[Row] = []
    for place, arm in enumerate(trained):
        if arm.base is None or not {arm.name, arm.base} <= values.keys():
            continue
        x = 1 + 0.09 * (place - (len(trained) - 1) / 2)
        start, end = row(arm.base, x=0), row(arm.name, x=x)
        rows += [{**start, "end": 1}, {**end, "end": 1}]
        rows += [{**start, "arm": arm.name, "line": 1}, {**end, "line": 1}]
        # Bases that are alike to two digits share a label.
        text = label(arm.base, -0.1)
        before.setdefault(text["label"], text)
        after.append(label(arm.name, 1.24, f" {short(arm.name, 14)}"))
    for arm in arms:
        if arm.kind == "teacher" and arm.name in values:
            rows.append(row(arm.name, teacher=1))
            after += [] if arm.base else [label(arm.name, 1.24, f" {short(arm.name, 14)}")]
    gap = (1.06 - lowest) * 9.5 / 175
    return rows + _apart(before.values(), gap) + _apart(after, gap)


def _apart(labels: Iterable[Row], gap: float) -> list[Row]:
    """Labels from below, each moved up to be at least a gap above the one before."""
    placed: list[Row] = []
    for label in sorted(labels, key=lambda label: (label["height"], label["label"])):
        least = placed[-1]["height"] + gap if placed else label["height"]
        placed.append({**label, "height": max(label["height"], least)})
    overshoot = max(0.0, placed[-1]["height"] - 1.03 + gap / 2) if placed else 0.0
    return [{**label, "height": label["height"] - overshoot} for label in placed]


class Kind(NamedTuple):
    """A kind of plot: its name in words, who makes them, and why there may be none."""

    title: str
    plots: Drawing
    needs: str


NO_BASE = "no arm's base is among the arms of the group"
NO_THINKING = "no item has a response that thinks"
NO_PAIR = "no arm and its base were measured on the same human task"
UNLIKE = "no two models' lengths vary over the same items"
KINDS = {
    "slopes": Kind("Before and after training", slopes, NO_BASE),
    "scatter": Kind("Tokens against time", scatter, NO_THINKING),
    "course": Kind("Along training", curves, "no arm recorded probes at two steps of its training"),
    "inflation": Kind("Arm against base", inflation, NO_PAIR),
    "distributions": Kind("Effort", distributions, NO_THINKING),
    "status": Kind("Status", status, "there are no responses"),
    "similarity": Kind("Fingerprints", similarity, UNLIKE),
}


def gallery(study: Comparison) -> tuple[list[Plot], list[tuple[str, str, str]]]:
    """Every plot, group by group, and of what is left out the kind, the suite and the reason."""
    every_look = styles.looks(study.arms)
    found: list[Plot] = []
    left_out: list[tuple[str, str, str]] = []
    for place, group in enumerate(study.groups, start=1):
        suite = f"suite '{group.conditions.get('suite', 'without a name')}'"
        for kind in KINDS.values():
            of_kind = kind.plots(group, every_look)
            left_out += [] if of_kind else [(kind.title, suite, kind.needs)]
            for drawn in of_kind:
                # Groups may share tasks, but not items.
                parts, title = (*drawn.parts, f"group{place}"), f"{drawn.title} ({suite})"
                found.append(drawn if place == 1 else drawn._replace(parts=parts, title=title))
    return found, left_out


def write_figures(study: Comparison, folder: Path) -> list[Plot]:
    """Write every plot of a study as PNG and PDF, and ``figures.md`` with their captions."""
    plots, left_out = gallery(study)
    save(plots, folder, ("png", "pdf"))
    parts = ["# Figures", f"PNG with {styles.DOTS_PER_INCH} dots an inch, and PDF."]
    for of in plots:
        title, file, caption = escape(of.title), file_name(of), escape(of.caption)
        parts += [f"## {title}", f"![{title}]({file}.png)", f"{caption} [PDF]({file}.pdf)"]
    if left_out:
        lines = [f"- {kind}, {escape(suite)}: {escape(why)}." for kind, suite, why in left_out]
        parts += ["## Left out", "\n".join(lines)]
    write_text(folder / "figures.md", "\n\n".join(parts) + "\n")
    return plots


def save(plots: Sequence[Plot], folder: Path, formats: Sequence[str]) -> None:
    """Write each plot as 'png' or 'pdf', the same bytes from the same runs."""
    make_directory(folder)
    for of in plots:
        drawn = styles.svg(of.spec)
        for form in formats:
            write(folder / f"{file_name(of)}.{form}", styles.image(drawn, form))


def file_name(of: Plot) -> str:
    """A name without ending that is safe everywhere: 'inflation-sft-sampling-binary_addition'."""
    return "-".join([of.kind, *map(safe, of.parts)])


def safe(text: str) -> str:
    """The text, if it is of lower-case letters, digits and '_'; else what is left and a digest."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_]{0,39}", text) and not re.search(r"_[0-9a-f]{8}", text):
        return text
    letters = re.sub(r"[^a-z0-9]+", "_", text.lower())[:40].strip("_")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{letters or 'name'}_{digest}"
