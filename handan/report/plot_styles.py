"""Colours, sizes and Vega-Lite of every plot, and how that becomes a file or part of the page."""

import functools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import vl_convert
from markupsafe import Markup, escape

from handan.config import read_yaml
from handan.formatting import plain
from handan.report.comparison import KINDS, Arm

_STYLE = read_yaml(Path(__file__).with_name("style.yaml"))
INK, MUTED, GRID, PAPER = _STYLE["light"].values()
COLUMN, BOTH_COLUMNS = 245, 504  # pixels: a column of a paper, and both with the space between
GAP = 14  # pixels between panels beside each other
LETTER = 4.5  # pixels of a letter, about
DOTS_PER_INCH = 300
SOLID, DASHED, DOTTED = [1, 0], [6, 3], [2, 3]


class Look(NamedTuple):
    """How an arm looks throughout: light and dark colour, Vega's shape, character, dashes."""

    light: str
    dark: str
    shape: str
    character: str
    dash: list[int]


LOOKS = tuple(Look(**look) for look in _STYLE["looks"])  # by kind, then for whoever comes next
CONFIG: dict[str, Any] = _STYLE["config"]
SHORT = {"format": "~g"}  # '.8' as in the tables, not '0.8'
SHORT["labelExpr"] = "abs(datum.value) < 1 ? replace(format(datum.value, '.3~g'), '0.', '.')"
SHORT["labelExpr"] += " : datum.label"
NO_OVERLAP = {"labelOverlap": "greedy", "labelSeparation": 4}
# A mark that belongs to an arm says so; the page hides it with the arm.
OWNED = {"aria": True, "description": {"expr": "'arm:' + datum.arm"}}

Spec = dict[str, Any]
Row = dict[str, Any]
Looks = Mapping[str, Look]


class Axis(NamedTuple):
    """Ends and ticks of a logarithmic axis, or Vega's expressions of them."""

    low: Any
    high: Any
    ticks: Any


def logarithmic(values: Iterable[float]) -> Axis:
    """A logarithmic axis that holds positive values, with round numbers at its ticks."""
    known = list(values)
    margin, enough = 1.12, 4
    low, high = float(min(known)) / margin, float(max(known)) * margin
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7), tuple(range(1, 10))):
        found = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in found if low <= tick <= high]
        if len(ticks) >= enough:
            return Axis(low, high, ticks)
    unit = 10.0 ** math.floor(math.log10(high - low))
    step = next(unit / by for by in (1, 2, 5, 10) if (high - low) * by / unit >= enough)
    multiples = range(math.ceil(low / step), math.floor(high / step) + 1)
    return Axis(low, high, [float(f"{step * of:.6g}") for of in multiples])


def looks(arms: Sequence[Arm]) -> dict[str, Look]:
    """A look for every arm: its kind's own if it is free, or else the next free one."""
    own = dict(zip(KINDS, LOOKS, strict=False))
    out: dict[str, Look] = {}
    for arm in arms:
        if arm.kind in own and arm.kind != "model" and own[arm.kind] not in out.values():
            out[arm.name] = own[arm.kind]
    rest = [arm.name for arm in arms if arm.name not in out]
    last = len(KINDS) - 1
    pool = [look for look in (*LOOKS[last:], *LOOKS[:last]) if look not in out.values()] or LOOKS
    return out | {name: pool[place % len(pool)] for place, name in enumerate(rest)}


def rounded(value: Any) -> Any:
    """A number with few digits, None if it is not finite; text as it may be shown."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return plain(value)
    return float(f"{value:.5g}") if np.isfinite(value) else None


def data(rows: Iterable[Row]) -> Spec:
    """Rows as inline data of Vega-Lite, numbers with five digits."""
    return {"values": [{key: rounded(value) for key, value in row.items()} for row in rows]}


def mark(kind: str, channels: Mapping[str, Any], where: str = "", **properties: Any) -> Spec:
    """A layer of marks, one a row where ``where`` is known, or one in all; 'label:N' is a name."""
    encoding: Spec = {**channels}
    for channel, value in channels.items():
        if isinstance(value, str):
            nominal = {"type": "nominal"} if value.endswith(":N") else {}
            encoding[channel] = {"field": value.removesuffix(":N"), **nominal}
    layer: Spec = {"mark": {"type": kind, "aria": False, **properties}, "encoding": encoding}
    if where:
        layer["transform"] = [{"filter": f"isValid(datum.{where})"}]
    elif not any("field" in value for value in encoding.values()):
        layer["data"] = {"values": [{}]}
    return layer


def side(field: str, title: str | None, scale: Mapping[str, Any], **axis: Any) -> Spec:
    """The x or y channel of a number; given ``values`` are the only ticks."""
    counted = {"tickCount": 1000, "labelOverlap": False} if "values" in axis else {}
    channel: Spec = {"field": field, "type": "quantitative", "title": title}
    channel["scale"] = {"nice": False, "zero": False, **scale}
    return channel | {"axis": {"grid": True} | counted | axis}


def log_side(field: str, title: str | None, axis: Axis, **more: Any) -> Spec:
    """The x or y channel of a number on a logarithmic axis."""
    scale = {"type": "log", "domain": [axis.low, axis.high]}
    return side(field, title, scale, values=axis.ticks, format=",~g", **NO_OVERLAP, **more)


def of_arms(of: Looks, legend: Spec | None = None) -> dict[str, Spec]:
    """Colour, shape and dashes of arms by channel; '' stands for what belongs to no arm."""
    names, every = ["", *map(plain, of)], [Look(INK, "", "circle", "", SOLID), *of.values()]
    channels = {}
    for channel, part in (("color", "light"), ("shape", "shape"), ("strokeDash", "dash")):
        scale = {"domain": names, "range": [getattr(look, part) for look in every]}
        channels[channel] = {"field": "arm", "type": "nominal", "title": None, "scale": scale}
        channels[channel]["legend"] = None if channel == "strokeDash" else legend
    return channels


def named(names: Sequence[Any] | Mapping[str, str], by: str = "value") -> str:
    """Vega's expression of the label of an axis, a header or a legend that counts or names."""
    return f"{json.dumps(names)}[datum.{by}]"


def width_of(columns: int, labels: float, narrow: bool = False) -> int:
    """Width of panels beside each other whose labels take so many pixels in all."""
    whole = COLUMN if narrow else BOTH_COLUMNS
    return int((whole - labels - GAP * (columns - 1)) / columns)


def columns_for(num_panels: int, at_most: int) -> int:
    """Columns for so many panels in rows of nearly equal length."""
    return -(-num_panels // -(-num_panels // at_most))


def panels(layers: list[Spec], titles: list[Any], columns: int, size: tuple[float, float]) -> Spec:
    """A panel for each value of the field 'panel', which counts from 0, under its title."""
    header = {"title": None, "labelExpr": named(titles), "labels": bool(titles)}
    facet = {"field": "panel", "type": "ordinal", "header": header}
    spec: Spec = {"layer": layers, "width": size[0], "height": size[1]}
    spec["view"] = {"stroke": GRID, "strokeWidth": 0.6}
    return {"facet": facet, "columns": columns, "spec": spec}


def plot(rows: Iterable[Row], title: str | list[str], drawn: Spec) -> Spec:
    """What is ``drawn`` of the rows, under a title."""
    return {"data": data(rows), "title": {"text": title, "offset": 6}, **drawn}


def field(of: Spec, name: str) -> Spec:
    """The channel, of another field."""
    return {**of, "field": name}


def variables() -> list[tuple[str, str, str]]:
    """CSS variable, light value and dark value of every colour in a plot."""
    colours = zip(_STYLE["light"].values(), _STYLE["dark"].values(), strict=True)
    pairs = [*colours, *((look.light, look.dark) for look in LOOKS)]
    return [(f"--c-{light[1:]}", light, dark) for light, dark in pairs]


def css(light: str) -> str:
    """The CSS value that is this colour on a light page and its counterpart on a dark one."""
    return f"var(--c-{light[1:]})"


def themed(text: str) -> str:
    """Text of a plot with CSS variables in place of its colours."""
    return re.sub("|".join(light for _, light, _ in variables()), lambda of: css(of[0]), text)


def svg(spec: Spec) -> str:
    """A plot as an SVG file, the same bytes from the same plot."""
    text = vl_convert.vegalite_to_svg(spec | {"config": CONFIG})
    # Vega counts ids over all plots of a process.
    used = dict.fromkeys(re.findall(r' id="([^"]+)', text))
    numbers = {identity: f"part{place}" for place, identity in enumerate(used)}
    return re.sub(r'((?:url\(|href=")#| id=")([^")]+)', lambda m: m[1] + numbers[m[2]], text)


def inline_svg(spec: Spec, identity: str, title: str, description: str) -> Markup:
    """A plot as inline SVG with its title and numbers in words; all its ids begin with one."""
    whole = svg(spec)
    width, height = map(float, re.findall(r' (?:width|height)="([\d.]+)"', whole)[:2])
    body = whole[whole.index(">", whole.index("<rect")) + 1 : whole.rindex("</svg>")]
    body = re.sub(r' aria-label="arm:([^"]*)"', r' data-arm="\1"', body)
    # The style sheet has the font, and the whole plot is one image to a screen reader.
    body = re.sub(r' (?:aria-[a-z]+|role|class|pointer-events|font-family)="[^"]*"', "", body)
    body = re.sub(r'((?:url\(|href=")#| id=")part', rf"\g<1>{identity}-", body)
    return Markup(
        f'<svg class="figure" role="img" viewBox="0 0 {width:g} {height:g}" style="min-width: '
        f'{1.3 * width:.0f}px; max-width: {1.5 * width:.0f}px" aria-labelledby="{identity}-t '
        f'{identity}-d"><title id="{identity}-t">{escape(title)}</title>'
        f'<desc id="{identity}-d">{escape(description)}</desc>{themed(body)}</svg>'
    )


def image(drawn: str, form: str) -> bytes:
    """An SVG as 'png' or 'pdf', the same bytes from the same SVG."""
    if form == "png":
        return bytes(vl_convert.svg_to_png(drawn, ppi=DOTS_PER_INCH))
    # The writer lists the resources of a page in any order.
    run = re.compile(rb"(?:^ +/[a-z]+\d+ \d+ 0 R\n)+", re.MULTILINE)
    pdf = bytes(vl_convert.svg_to_pdf(drawn))
    return run.sub(lambda found: b"".join(sorted(found[0].splitlines(keepends=True))), pdf)


@functools.cache
def library() -> str:
    """Vega and Vega-Embed as one script; made once, because it takes seconds."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
