"""All plots of a report for papers, each with its numbers in words.

Each kind has a function from a group to its plots. The layers of items and training curves draw
the interactive charts of the page (``plot_page``), too, where the browser fills in the rows.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from handan.alignment.correlation import mean_of_known
from handan.alignment.costs import split_name
from handan.alignment.items import TaskCosts
from handan.alignment.measures import CURVES, R
from handan.escaping import escape
from handan.files import make_directory, write, write_text
from handan.report.comparison import AXES, Arm, Comparison, Group, course
from handan.report.formatting import (
    bounds,
    correlation,
    count,
    listing,
    name,
    number,
    percent,
    plain,
    sentence,
    short,
)
from handan.report.plot_data import (
    Curve,
    Fit,
    curve_rows,
    fit_rows,
    inflation_fits,
    item_rows,
    known_curves,
    multiples,
    num_probed_items,
    reference_rows,
    thinking_arms,
    trained_arms,
)
from handan.report.plot_styles import (
    DASHED,
    DOTS_PER_INCH,
    DOTTED,
    GREEDY,
    GRID,
    INK,
    LETTER,
    MAX_LETTERS,
    MUTED,
    NO_OVERLAP,
    OWNED,
    PAPER,
    SAMPLED,
    SHORT,
    SOLID,
    Axis,
    Looks,
    Row,
    Spec,
    columns_for,
    field,
    image,
    log_side,
    logarithmic,
    looks,
    mark,
    named,
    of_arms,
    panels,
    plot,
    side,
    svg,
    width_of,
)

DEMANDS = {"human": "people's time, s", "analytic": "analytic cost"}
# Horizontal axes of curves, keys of ``course.AXES``, and what they are called in names of files.
CURVE_AXES = {
    "step": "step",
    "budget/trained_tokens": "trained_tokens",
    "budget/model_flops": "model_flops",
    "budget/device_seconds": "device_seconds",
}
MIN_FACTOR = 1.5  # of the axis of residuals, so that none looks large for want of others
MAX_COLUMNS = 3  # tasks beside each other in one plot of inflation
MAX_WITH_INTERVALS = 7  # models beside each other, so that the intervals can be read
BINS = 40  # of a histogram on the logarithmic axis
PERCENTILES = {"low": 5, "first": 25, "median": 50, "third": 75, "high": 95}
NOT_RECORDED = "status not recorded"
# What became of a response; dark and light enough to be told apart in grey, too.
FILLS = {
    "complete": GRID,
    "cut at the cap": "#d55e00",
    "unparsed": "#4a2c00",
    "no reasoning": "#56b4e9",
    NOT_RECORDED: "#ffffff",
}
POINT: dict[str, Any] = {"fillOpacity": 0.55, "strokeWidth": 0, "clip": True, "cursor": "pointer"}
SAFE = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
LIKE_A_DIGEST = re.compile(r"_[0-9a-f]{8}")


class Plot(NamedTuple):
    """One plot, of one task or arm where these are given.

    ``parts`` tell it from others of its kind; ``caption`` says how to read it and all its numbers.
    """

    kind: str
    parts: tuple[str, ...]
    title: str
    caption: str
    spec: Spec
    task: str | None = None
    arm: str | None = None


def _span(numbers: Iterable[int]) -> str:
    """'64', '64 to 128', 'unknown'."""
    known = sorted(set(numbers))
    return " to ".join(map(str, dict.fromkeys([*known[:1], *known[-1:]]))) or "unknown"


def _what(task: str) -> str:
    return sentence(short(name(task), 50))


def _tasks(group: Group) -> list[str]:
    return [task for source in DEMANDS for task in group.tasks(source)]


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
    found = [(place, model, group.costs[model].get(task)) for place, model in _models(group)]
    return [
        (place, model, costs)
        for place, model, costs in found
        if costs is not None and np.isfinite(costs.tokens).any()
    ]


def written(channels: Mapping[str, Any], align: Any, **properties: Any) -> list[Spec]:
    """Labels, each twice: first as its own ground in the colour of the paper."""
    ground = {"stroke": PAPER, "strokeWidth": 3, "strokeOpacity": 0.8}
    text = {"text": "label:N", **channels}
    more = {"align": align, **properties}
    return [mark("text", text, "label", **more, **ground), mark("text", text, "label", **more)]


# ---- Items


def item_layers(
    x: Spec, y: Spec, of: Looks, dash: list[int], size: float, legend: Spec | None = None
) -> list[Spec]:
    """The items of an arm, the dashed or solid line through them with its band, other lines."""
    dashes = {"domain": ["same", "k", "fit"], "range": [DOTTED, SOLID, dash]}
    kind = {"field": "line", "type": "nominal", "scale": dashes, "legend": legend}
    low, fitted = field(y, "low"), field(y, "fitted")
    ink: dict[str, Any] = {"color": INK, "clip": True}
    colour = {"fill": of_arms(of)["color"], "shape": of_arms(of)["shape"]}
    return [
        mark("area", {"x": x, "y": low, "y2": "high"}, "low", fillOpacity=0.16, **ink),
        mark("line", {"x": x, "y": fitted, "strokeDash": kind}, "fitted", strokeWidth=1.3, **ink),
        mark("point", {"x": x, "y": y, **colour}, "tokens", size=size, **POINT),
    ]


def scatter(group: Group, of: Looks) -> list[Plot]:
    """Tokens against what items ask: one plot a task, human ones first, one panel an arm."""
    return [
        _scatter(group, of, task, demand)
        for source, demand in DEMANDS.items()
        for task in group.tasks(source)
        if thinking_arms(group, task)
    ]


def _scatter(group: Group, of: Looks, task: str, demand: str) -> Plot:
    arms = thinking_arms(group, task)
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
    columns = columns_for(len(arms), 4)
    width = width_of(columns, 40, narrow=columns == 1)
    x, y = (
        log_side(of, f"{label} (log scale)", logarithmic([row[of] for row in rows if of in row]))
        for of, label in (("seconds", demand), ("tokens", "reasoning tokens"))
    )
    ceiling = group.task_figure(task, "ceiling")
    known = f"; human ceiling {correlation(ceiling)}" if ceiling is not None else ""
    drawn = panels(item_layers(x, y, of, SOLID, 9), titles, columns, (width, min(width, 150)))
    return Plot(
        kind="scatter",
        parts=(task,),
        title=f"{sentence(name(task))}: reasoning tokens against {demand.removesuffix(', s')}",
        caption="One point an item: geometric mean of its reasoning tokens over the responses that "
        f"think, against {demand}; both axes are logarithmic. Least-squares line with its 95 % "
        "band and 95 % interval of r, from a bootstrap over items. "
        f"{sentence('; '.join(said))}.{_ceiling_said(ceiling)}",
        spec=plot(rows, f"{_what(task)}{known}", drawn),
        task=task,
    )


def _ceiling_said(ceiling: float | None) -> str:
    return "" if ceiling is None else f" The human ceiling is {correlation(ceiling)}."


def inflation(group: Group, of: Looks) -> list[Plot]:
    """Tokens of an arm against those of its base: for each arm one with sampling and at T = 0."""
    out = []
    for arm in group.arms:
        for greedy in (False, True):
            fits = inflation_fits(group, greedy)
            own = [(task, fit) for (of_arm, task), fit in fits.items() if of_arm == arm.name]
            for at in range(0, len(own), MAX_COLUMNS):
                out.append(_inflation(group, of, arm, own[at : at + MAX_COLUMNS], greedy))
    return out


def _inflation(
    group: Group, of: Looks, arm: Arm, fits: Sequence[tuple[str, Fit]], greedy: bool
) -> Plot:
    items = {  # that the base thought on, too
        task: [row for row in item_rows(group, fit["student"], task, fit) if row["base_tokens"] > 0]
        for task, fit in fits
    }
    every = [row for found in items.values() for row in found]
    x_axis = logarithmic([row["base_tokens"] for row in every])
    y_axis = logarithmic([row[field] for row in every for field in ("tokens", "base_tokens")])
    rows: list[Row] = []
    titles, said = [], []
    for panel, (task, fit) in enumerate(fits):
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
    y = log_side("tokens", arm_name, y_axis)
    width = width_of(len(fits), 50, narrow=len(fits) == 1)
    names = {"same": "as many", "k": "k times as many", "fit": "least squares, slope b, 95 % band"}
    legend: Spec = {"title": None, "orient": "bottom", "symbolSize": 600}
    legend["labelExpr"] = named(names, "label")
    bare = log_side("base_tokens", None, x_axis, labels=False)
    above = panels(item_layers(bare, y, of, DASHED, 10, legend), titles, len(fits), (width, 180))
    x = log_side("base_tokens", base_name, x_axis)
    below = panels(_residual_layers(every, x, of), [], len(fits), (width, 64))
    flush = {"bounds": "flush"}  # so that the panels of both rows are below each other
    condition = "at T = 0" if greedy else "with sampling"
    title = f"{short(arm.name, MAX_LETTERS)}, {condition}"
    return Plot(
        kind="inflation",
        parts=(arm.name, "t0" if greedy else "sampling", *(task for task, _ in fits)),
        title=f"{plain(arm.name)} against its base {plain(arm.base)}, item by item, {condition}",
        caption="One point an item: geometric mean tokens of the arm against those of its base, "
        "both axes logarithmic. Dotted: as many tokens as the base. Solid: k times as many, with k "
        "the geometric mean of the ratios. Dashed: least-squares line of slope b with its 95 % "
        "band; a constant multiple has b = 1. Below: what is left of each item beside the line, as "
        f"a factor; the grey band is one residual standard deviation. {' '.join(said)}",
        spec=plot(rows, title, {"vconcat": [above | flush, below | flush]}),
        arm=arm.name,
    )


def _residual_layers(items: Sequence[Row], x: Spec, of: Looks) -> list[Spec]:
    """What is left of each item beside the fitted line, as a factor."""
    logs = [abs(np.log(row["residual"])) for row in items if np.isfinite(row["residual"])]
    most = max(np.log(MIN_FACTOR), 1.1 * max(logs, default=0.0))
    steps = int(most / np.log(2))
    powers = [2.0**step for step in range(-steps, steps + 1, 1 + steps // 3)]
    axis = Axis(np.exp(-most), np.exp(most), powers if steps else [1 / 1.5, 1, 1.5])
    factor = "'\N{MULTIPLICATION SIGN}' + format(datum.value, '.2~r')"
    y = log_side("residual", "residual (factor)", axis, labelExpr=factor)
    colour = {"fill": of_arms(of)["color"], "shape": of_arms(of)["shape"]}
    spread = {"y": field(y, "sd_low"), "y2": "sd_high"}
    return [
        mark("rect", spread, "sd_low", color=MUTED, opacity=0.2),
        mark("rule", {"y": {"datum": 1}}, color=INK, strokeWidth=1.2),
        mark("point", {"x": x, "y": y, **colour}, "residual", size=7, **POINT),
    ]


# ---- Along training


def curve_layers(
    of: Looks, titles: tuple[str | None, str | None], size: float, legend: Spec | None = None
) -> tuple[list[Spec], list[Spec]]:
    """Layers of rows and of references of ``plot_data``; open points are of all items."""
    channels = of_arms(of, legend)
    colour = {"color": channels["color"]}
    shape = {**colour, "shape": channels["shape"]}
    numbers = {**SHORT, "format": "~s"}
    x = side("at", titles[0], {}, **numbers, **NO_OVERLAP, tickCount=5, grid=False, offset=4)
    y = side("value", titles[1], {"padding": 4}, **numbers, tickCount=6)
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
        mark("rule", height, "reference", strokeWidth=1.2, strokeDash=DOTTED),
        *written({**height, "x": {"value": 3}}, "left", dy=-6),
    ]


def curves(group: Group, of: Looks) -> list[Plot]:
    """Alignment against step and every recorded budget, then the other measures against step."""
    arms = trained_arms(group.arms)
    every = known_curves(group, arms)
    out = []
    for axis, part in CURVE_AXES.items():
        known = [arm for arm in arms if all(axis in row for row in course(arm))]
        alignment = [curve for curve in every if curve.is_r]
        title = f"Alignment along training, by {AXES[axis]}"
        out += _curves(group, of, known, alignment, axis, ("alignment", part), title)
    others = [curve for curve in every if not curve.is_r]
    title = "Accuracy, length and status along training"
    return out + _curves(group, of, arms, others, "step", ("measures", "step"), title)


def _curves(
    group: Group,
    of: Looks,
    arms: Sequence[Arm],
    every: Sequence[Curve],
    axis: str,
    parts: tuple[str, str],
    title: str,
) -> list[Plot]:
    """The plot of all curves in which an arm has a value that is not 0, if there are any."""
    values = {curve.key: curve_rows(arms, curve.key, axis) for curve in every}
    shown = [curve for curve in every if any(row["value"] for row in values[curve.key])]
    if not shown:
        return []
    items = {plain(arm.name): num_probed_items(arm) for arm in arms}
    counts = listing([f"{arm} {num or 'unknown'}" for arm, num in items.items()])
    rows: list[Row] = []
    titles, said = [], []
    for panel, curve in enumerate(shown):
        own = values[curve.key]
        others = [row for row in reference_rows(group, curve, own) if not row["arm"]]
        rows += [{"panel": panel, **row} for row in (*own, *others)]
        unit = "r on the probe" if curve.is_r else curve.measure.axis
        titles.append([*wrap(curve.title, 36), f"({unit})" if unit else ""])
        said.append(f"{curve.title}: {curve_said(own, curve)}.")
        said += [
            f"{curve.title}: the {row['label']}." for row in others if "label" in row and curve.is_r
        ]
    caption = (
        "A small probe is answered along training; bands are 95 % intervals over its items, where "
        f"they were recorded. Probed items: {counts}. From the first to the last probe: "
        + " ".join(said)
    )
    measures = [curve.measure for curve in shown]
    empty = [of.heading for of in CURVES if of.unit != R and of not in measures]
    if parts[0] == "measures" and empty:
        caption += f" Left out, as 0 throughout or not recorded: {listing(empty)}."
    if axis.startswith("budget/"):
        caption += " Each arm's own training is counted, its teacher's part is not."
    names = {plain(arm.name): short(arm.name, MAX_LETTERS) for arm in arms}
    legend: Spec = {"values": list(names), "labelExpr": named(names, "label"), "orient": "bottom"}
    legend |= {"columns": 4, "symbolSize": 60, "symbolDash": SOLID, "symbolStrokeWidth": 0}
    own_looks = {arm.name: of[arm.name] for arm in arms}
    columns = columns_for(len(shown), 3)
    layers, references = curve_layers(own_looks, (AXES[axis], None), 18, legend)
    drawn = panels([*layers, *references], titles, columns, (width_of(columns, 32 * columns), 112))
    n = _span(num for num in items.values() if num)
    whole = f"{title}, n = {n} items" if any(items.values()) else f"{title}, n unknown"
    drawn |= {"resolve": {"scale": {"y": "independent"}}}
    return [Plot("course", parts, title, caption, plot(rows, whole, drawn))]


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
    return listing(parts) or "measured on all items only"


# ---- One row an arm


def _by_arm(
    group: Group, layers: Sequence[Spec], note_width: int, row_height: int, dy: int
) -> Spec:
    """One row an arm; a panel with sampling, and one without if that was measured."""
    arms = group.arms
    columns = 2 if any(arm.greedy for arm in arms) else 1
    name_width = LETTER * max(len(short(arm.name, MAX_LETTERS)) for arm in arms)
    width = width_of(columns, name_width + note_width * columns)
    note = {"x": {"value": width + 6}, "y": row_of("row", arms), "text": "note:N"}
    text = {"align": "left", "baseline": "middle", "lineBreak": "\n", "dy": dy, **OWNED}
    layers = [*layers, mark("text", note, "note", **text)]
    return panels(layers, [[SAMPLED], [GREEDY]], columns, (width, row_height * len(arms)))


def row_of(field: str, arms: Sequence[Arm]) -> Spec:
    """The y channel of rows with the names of arms, the first at the top."""
    names = [short(arm.name, MAX_LETTERS) for arm in arms]
    axis = {"values": list(range(len(arms))), "labelExpr": named(names), "grid": False}
    scale = {"domain": [len(arms) - 0.4, -0.75]}
    return side(field, None, scale, **axis, domain=False, ticks=False)


def distributions(group: Group, of: Looks) -> list[Plot]:
    """Reasoning tokens of single responses: one plot a task, human ones first."""
    return [_distributions(group, of, task) for task in _tasks(group) if thinking_arms(group, task)]


def _distributions(group: Group, of: Looks, task: str) -> Plot:
    found = [
        (place, model, costs.tokens[np.isfinite(costs.tokens)])
        for place, model, costs in _answers(group, task)
    ]
    axis = logarithmic(np.concatenate([tokens[tokens > 0] for *_, tokens in found]))
    edges = np.geomspace(axis.low, axis.high, BINS + 1)
    rows: list[Row] = []
    said = []
    for place, model, tokens in found:
        thinking = tokens[tokens > 0]
        without = percent(1 - len(thinking) / len(tokens))
        n = f"n = {count(len(tokens))}"
        rows.append({**place, "note": f"{n}\n0 tokens: {without}"})
        median = "no thinking"
        if len(thinking):
            median = f"median {number(float(np.median(thinking)), 0)}"
            heights = np.append(np.histogram(thinking, edges)[0], 0)
            tops = place["row"] - 0.62 * heights / heights.max()
            rows += [
                {**place, "tokens": edge, "top": top} for edge, top in zip(edges, tops, strict=True)
            ]
            quantiles = np.percentile(thinking, list(PERCENTILES.values()))
            box = dict(zip(PERCENTILES, quantiles, strict=True))
            rows.append({**place, **box, "box": place["row"] + 0.14})
        said.append(f"{plain(model)} {median}, {without} without reasoning, {n} responses")
    x = log_side("tokens", "reasoning tokens (log scale)", axis)
    colour = {"color": of_arms(of)["color"]}
    outline = {"x": x, "y": row_of("top", group.arms), **colour}
    box_row = row_of("box", group.arms)
    steps: dict[str, Any] = {"interpolate": "step-after", **OWNED}
    layers = [
        mark("area", {**outline, "y2": "row"}, "top", fillOpacity=0.55, **steps),
        mark("line", outline, "top", strokeWidth=0.8, **steps),
    ]
    for ends, ink, stroke in ((("low", "high"), MUTED, 1), (("first", "third"), INK, 3)):
        box_channels = {"x": field(x, ends[0]), "x2": ends[1], "y": box_row}
        layers.append(mark("rule", box_channels, "box", color=ink, strokeWidth=stroke, **OWNED))
    middle = {"x": field(x, "median"), "y": box_row}
    tick: dict[str, Any] = {"thickness": 1.8, "height": 9, "orient": "vertical", **OWNED}
    layers.append(mark("tick", middle, "box", color=INK, **tick))
    cap = group.conditions.get("max_new_tokens")
    if isinstance(cap, (int, float)) and axis.low <= cap <= axis.high:
        at_cap = {"x": {"datum": cap}}
        layers.append(mark("rule", at_cap, color=INK, strokeDash=DOTTED))
        text = {**at_cap, "y": {"value": 0}, "text": {"value": "cap"}}
        layers.append(mark("text", text, align="left", dx=3, baseline="top"))
    title = "reasoning tokens of single responses"
    return Plot(
        kind="distributions",
        parts=(task,),
        title=f"{sentence(name(task))}: {title}",
        caption="Histograms of the reasoning tokens of single responses on a logarithmic axis, "
        "each scaled to the same height; below each a box from the first to the third quartile "
        "with the median, and whiskers from the 5th to the 95th percentile. Responses without a "
        "reasoning token have no place on the axis: histograms and boxes leave them out, and their "
        f"share is printed. {sentence('; '.join(said))}.",
        spec=plot(rows, f"{_what(task)}: {title}", _by_arm(group, layers, 60, 32, -5)),
        task=task,
    )


def shares(costs: TaskCosts) -> dict[str, float]:
    """Share of responses by what became of them; each counts once, under the first that holds."""
    given = np.isfinite(costs.tokens)
    cut, unparsed = costs.of_samples["truncated"], costs.of_samples["unparsed"]
    conditions = [cut == 1, unparsed == 1, costs.tokens == 0, np.isfinite(cut)]
    labels = ["cut at the cap", "unparsed", "no reasoning", "complete"]
    of_each = np.select([mask & given for mask in conditions], labels, NOT_RECORDED)
    return {label: float(np.mean(of_each[given] == label)) for label in FILLS}


def status(group: Group, of: Looks) -> list[Plot]:
    """What became of the responses: one plot a task, human ones first."""
    return [_status(group, task) for task in _tasks(group) if _answers(group, task)]


def _status(group: Group, task: str) -> Plot:
    rows: list[Row] = []
    said = []
    for place, model, costs in _answers(group, task):
        accuracy = mean_of_known(costs.correct)
        right = None if np.isnan(accuracy) else accuracy
        note = f"{percent(right)} right, n = {count(int(np.isfinite(costs.tokens).sum()))}"
        answers = None if right is None else 100 * right
        rows.append({**place, "note": note, "answers": answers, "what": "right answers"})
        end, parts = 0.0, []
        for label, share in shares(costs).items():
            start, end = end, end + 100 * share
            height = {"top": place["row"] - 0.33, "bottom": place["row"] + 0.33}
            if share:
                rows.append({**place, "status": label, "share": start, "end": end, **height})
                parts.append(f"{percent(share)} {label}")
        said.append(f"{plain(model)}: {listing(parts)}, {note} responses")
    unrecorded = any(row.get("status") == NOT_RECORDED for row in rows)
    fills = [label for label in FILLS if label != NOT_RECORDED or unrecorded]
    legend: Spec = {"title": None, "orient": "bottom", "symbolType": "square"}
    scale = {"domain": fills, "range": [FILLS[label] for label in fills]}
    fill = {"field": "status", "type": "nominal", "scale": scale, "legend": legend}
    x = side("share", "% of responses", {"domain": [0, 100]})
    bar = {"x": x, "x2": "end", "y": row_of("top", group.arms), "y2": "bottom", "color": fill}
    diamond = {"x": field(x, "answers"), "y": row_of("row", group.arms)}
    diamond["shape"] = {
        **{"field": "what", "type": "nominal", "scale": {"range": ["diamond"]}},
        "legend": {"title": None, "orient": "bottom", "symbolFillColor": INK},
    }
    point: dict[str, Any] = {"fill": INK, "stroke": "white", "strokeWidth": 1, "size": 45}
    layers = [
        mark("rect", bar, "status", stroke=MUTED, strokeWidth=0.6, **OWNED),
        mark("point", diamond, "answers", opacity=1, **point, **OWNED),
    ]
    cap = group.conditions.get("max_new_tokens", "unknown")
    title = "what became of the responses"
    return Plot(
        kind="status",
        parts=(task,),
        title=f"{sentence(name(task))}: {title}",
        caption="Shares of all responses. Each counts once, under the first that holds: cut at the "
        f"cap ({cap} tokens), unparsed, without a reasoning token, complete. The diamond and the "
        f"number beside it are right answers among all. {'; '.join(said)}.",
        spec=plot(rows, f"{_what(task)}: {title}", _by_arm(group, layers, 95, 21, 0)),
        task=task,
    )


# ---- Correlations


def similarity(group: Group, of: Looks) -> list[Plot]:
    """r of difficulty fingerprints of every two models, with sampling and at T = 0."""
    out = []
    for panel, part in enumerate(("sampling", "t0")):
        models = [model for place, model in _models(group) if place["panel"] == panel]
        every = group.result["study"]["similarity"]
        rows = [
            row for row in every if {row["a"], row["b"]} <= set(models) and row["r"] is not None
        ]
        if rows:
            out.append(_similarity(models, rows, part))
    return out


def _similarity(models: Sequence[str], rows: Sequence[Mapping[str, Any]], part: str) -> Plot:
    condition = "at T = 0" if part == "t0" else "with sampling"
    size = len(models)
    roomy = size <= MAX_WITH_INTERVALS
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
    place = {
        "x": {**cell, "field": "right", "axis": {**axis, "labelAngle": 0 if roomy else -90}},
        "y": {**cell, "field": "down", "axis": axis},
    }
    colour = {
        **{"field": "r", "type": "quantitative"},
        # Orange above 0, purple below, white at 0: safe for the colour-blind.
        "scale": {"scheme": "purpleorange", "domain": [-1, 1]},
        "legend": {"gradientLength": 120, "tickCount": 5, **SHORT},
    }
    text = {**place, "text": "text:N"}
    text["color"] = {"value": {"expr": "abs(datum.r) > .7 ? '#ffffff' : '#101010'"}}
    layers = [
        mark("rect", {**place, "color": colour}, stroke=MUTED, strokeWidth=0.5),
        mark("text", text, lineBreak="\n", dy=-5 if roomy else 0, fontSize=8),
    ]
    width = width_of(1, 60 + LETTER * max(map(len, names)), narrow=size <= 3)
    height = 36 * (size - 1) if roomy else min(30 * size, 400)
    n = f"n = {_span(row['n'] for row in rows)} items"
    title = f"Similarity of difficulty fingerprints {condition}"
    return Plot(
        kind="similarity",
        parts=(part,),
        title=title,
        caption="Pearson's r over items of two models' log tokens, z-scored within tasks, with its "
        "95 % interval from a bootstrap over items. Orange above 0, purple below 0. "
        f"{'; '.join(said)}.",
        spec=plot(cells, [title, n], {"layer": layers, "width": width, "height": height}),
    )


def slopes(group: Group, of: Looks) -> list[Plot]:
    """r before and after training, of the mean over human tasks, then of each.

    None if no arm has its base beside it.
    """
    tasks = group.tasks("human")
    if not any(arm.base for arm in group.arms):
        return []
    every = {task: _values(group, task) for task in (None, *tasks)}
    known = [
        bound
        for values in every.values()
        for r, interval in values.values()
        for bound in (r, *(interval or ()))
    ]
    # All plots of a group share an axis that begins below everything.
    lowest = float(np.floor(10 * min(known, default=0.0) - 0.5)) / 10
    shown = list(every) if len(tasks) > 1 else tasks
    return [_slopes(group, of, task, every[task], lowest) for task in shown]


Values = Mapping[str, tuple[float, Sequence[float] | None]]


def _values(group: Group, task: str | None) -> Values:
    """{model: r and its interval} on a task, or on the mean, where they are known."""
    found = {}
    for _, model in _models(group):
        figures = group.figures(model) or {"tasks": {}, "mean_r_loglog": None}
        key = "r_loglog" if task else "mean_r_loglog"
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
    rows: list[Row] = []
    for panel in (0, 1):
        known = {
            place["arm"]: values[model]
            for place, model in _models(group)
            if place["panel"] == panel and model in values
        }
        rows += [{"panel": panel, **row} for row in _slope_rows(group.arms, known, lowest)]
    channels = of_arms(of)
    colour = {"color": channels["color"]}
    names = {"values": [0, 1], "labelExpr": named(["base", "trained"]), "grid": False}
    x = side("x", None, {"domain": [-0.5, 2]}, **names)
    ticks = [tick / 10 for tick in range(-10, 11, 2 if lowest > -0.6 else 5) if tick / 10 >= lowest]
    scale = {"domain": [lowest - 0.03, 1.03]}
    y = side("r", "r of log tokens with log time", scale, values=ticks, **SHORT)
    band = {"y": field(y, "low"), "y2": "high", **colour}
    line = {"x": x, "y": y, **colour, "strokeDash": channels["strokeDash"]}
    label = {"x": field(x, "at"), "y": field(y, "height")}
    point: dict[str, Any] = {"size": 50, "filled": True, "opacity": 1, **OWNED}
    layers = [
        mark("rule", {"y": {"datum": 0}}, color=MUTED, strokeWidth=0.8),
        mark("rect", band, "teacher", fillOpacity=0.13, **OWNED),
        mark("rule", {"y": y, **colour}, "teacher", strokeWidth=1.4, strokeDash=DASHED, **OWNED),
        mark("line", line, "line", strokeWidth=1.8, **OWNED),
        mark("rule", {"x": x, **band}, "end", strokeWidth=1.3, **OWNED),
        mark("point", {"x": x, "y": y, **colour, "shape": channels["shape"]}, "end", **point),
    ]
    if ceiling is not None:
        height = {"y": {"datum": ceiling}}
        layers.append(mark("rule", height, color=INK, strokeDash=DOTTED))
        text = {"value": f"ceiling {correlation(ceiling)}"}
        layers.append(mark("text", {"x": {"datum": 0.5}, **height, "text": text}, dy=-6))
    align = {"expr": "datum.at < 0 ? 'right' : 'left'"}
    layers += written(label, align, fontSize=8, **OWNED)
    said = [f"{plain(model)} {correlation(r)} {bounds(ci)}" for model, (r, ci) in values.items()]
    return Plot(
        kind="slopes",
        parts=(task,) if task else (),
        title=f"{what}: r before and after training",
        caption="Each line begins at an arm's base and ends at the arm; bars are 95 % intervals "
        f"over items, {n}; a dashed line with a band is a teacher. r of log tokens with log time: "
        f"{'; '.join(said) or 'unknown'}.{_ceiling_said(ceiling)}",
        spec=plot(
            rows, f"{short(what, 50)}, {n}", panels(layers, [[SAMPLED], [GREEDY]], 2, (155, 175))
        ),
        task=task,
    )


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
            if not arm.base:
                after.append(label(arm.name, 1.24, f" {short(arm.name, 14)}"))
    gap = (1.06 - lowest) * 9.5 / 175
    return rows + apart(before.values(), "height", gap, 1.03) + apart(after, "height", gap, 1.03)


def apart(labels: Iterable[Row], field: str, gap: float, top: float) -> list[Row]:
    """Labels from below, each moved up to be at least a gap above the one before."""
    placed: list[Row] = []
    for label in sorted(labels, key=lambda label: (label[field], label["label"])):
        height = max(label[field], placed[-1][field] + gap) if placed else label[field]
        placed.append({**label, field: height})
    overshoot = max(0.0, placed[-1][field] - top + gap / 2) if placed else 0.0
    return [{**label, field: label[field] - overshoot} for label in placed]


# ---- All kinds


class Kind(NamedTuple):
    """A kind of plot: its name in words, who makes them, and why there may be none."""

    title: str
    plots: Callable[[Group, Looks], list[Plot]]
    needs: str


NO_BASE = "no arm's base is among the arms of the group"
NO_THINKING = "no item has a response that thinks"
NO_PAIR = "no arm and its base were measured on the same human task"
KINDS = {
    "slopes": Kind("Before and after training", slopes, NO_BASE),
    "scatter": Kind("Tokens against time", scatter, NO_THINKING),
    "course": Kind("Along training", curves, "no arm recorded probes at two steps of its training"),
    "inflation": Kind("Arm against base", inflation, NO_PAIR),
    "distributions": Kind("Effort", distributions, NO_THINKING),
    "status": Kind("Status", status, "there are no responses"),
    "similarity": Kind(
        "Fingerprints", similarity, "no two models' lengths vary over the same items"
    ),
}


def gallery(study: Comparison) -> tuple[list[Plot], list[tuple[str, str, str]]]:
    """Every plot, group by group, and of what is left out the kind, the suite and the reason."""
    every_look = looks(study.arms)
    found: list[Plot] = []
    left_out: list[tuple[str, str, str]] = []
    for place, group in enumerate(study.groups, start=1):
        suite = f"suite '{group.conditions.get('suite', 'without a name')}'"
        for kind in KINDS.values():
            of_kind = kind.plots(group, every_look)
            if not of_kind:
                left_out.append((kind.title, suite, kind.needs))
            for drawn in of_kind:
                # Groups may share tasks, but not items.
                parts, title = (*drawn.parts, f"group{place}"), f"{drawn.title} ({suite})"
                found.append(drawn if place == 1 else drawn._replace(parts=parts, title=title))
    return found, left_out


def write_figures(study: Comparison, folder: Path) -> list[Plot]:
    """Write every plot of a study as PNG and PDF, and ``figures.md`` with their captions.

    The same runs give the same bytes.

    Raises:
        UserError: the folder cannot be written.
    """
    plots, left_out = gallery(study)
    save(plots, folder, ("png", "pdf"))
    parts = ["# Figures", f"PNG with {DOTS_PER_INCH} dots an inch, and PDF."]
    for of in plots:
        parts += [
            f"## {escape(of.title)}",
            f"![{escape(of.title)}]({file_name(of)}.png)",
            f"{escape(of.caption)} [PDF]({file_name(of)}.pdf)",
        ]
    if left_out:
        lines = [f"- {kind}, {escape(suite)}: {escape(why)}." for kind, suite, why in left_out]
        parts += ["## Left out", "\n".join(lines)]
    write_text(folder / "figures.md", "\n\n".join(parts) + "\n")
    return plots


def save(plots: Sequence[Plot], folder: Path, formats: Sequence[str]) -> None:
    """Write each plot as 'png' or 'pdf'; a UserError if the folder cannot be written."""
    make_directory(folder)
    for of in plots:
        drawn = svg(of.spec)
        for form in formats:
            write(folder / f"{file_name(of)}.{form}", image(drawn, form))


def file_name(of: Plot) -> str:
    """A name without ending that is safe everywhere: 'inflation-sft-sampling-binary_addition'."""
    return "-".join([of.kind, *map(safe, of.parts)])


def safe(text: str) -> str:
    """The text, if it is lower-case letters, digits and underscores; else what is left of it and a
    digest, so that different texts have different names."""
    if SAFE.fullmatch(text) and not LIKE_A_DIGEST.search(text):
        return text
    letters = re.sub(r"[^a-z0-9]+", "_", text.lower())[:40].strip("_")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{letters or 'name'}_{digest}"
