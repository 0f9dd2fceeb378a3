"""Two pictures of the W&B report, its words and its panels, drawn from its spec.

W&B itself is not asked. Text, order, sizes, colours and dashes are those of the spec; the curves
and items are what the runs have logged, read from ``metrics.jsonl`` and ``probe.jsonl``; fonts and
axes are not W&B's.
Needs a Chromium on the path and playwright.

    handan report RUN… --wandb ENTITY/PROJECT --offline spec.json
    python docs/pictures/draw_wandb_report.py spec.json docs/pictures RUN…
"""

import csv
import json
import math
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup, escape
from PIL import Image
from playwright.sync_api import sync_playwright

from handan.files import read_json, read_jsonl
from handan.report.plot_styles import data, inline_svg, mark, named, plot, side, variables

SAYS = (
    "Drawn from the report's spec and what the runs logged, not by W&B: text, layout, colours and "
    "dashes are those of the spec, fonts and axes are not."
)
DASHES = {
    "solid": [1, 0],
    "dashed": [6, 3],
    "dotted": [2, 2],
    "dotdash": [6, 2, 1, 2],
    "dotdotdash": [5, 2, 1, 2, 1, 2],
    "points": [1, 3],
}
UNNAMED = "#6b7684"  # of runs whose colour W&B chooses
STEP = "train/global_step"
WIDTH_PIXELS, GRID_COLUMNS, ROW_PIXELS = 1100, 24, 26
FIRST_OF_PANELS = "Alignment along training"
SHOWN_ROWS = 8  # of a table
SHOWN_ITEMS = 2  # of a list: the picture is of the layout, the text is on the page, too
PANEL_PIXELS = 30, 18  # of a column and of a row
AUTOSIZE = {"type": "fit", "contains": "padding"}
COLOURS_KEPT = 64
PAGE = """<!doctype html><meta charset="utf-8"><style>
body { font: 14px/1.4 sans-serif; color: #1b1f24 }
h1 { font-size: 24px; margin: 6px 0 } h2 { font-size: 18px; margin: 18px 0 4px }
h3 { font-size: 14px; margin: 8px 0 2px } p, ul { margin: 4px 0 } li { margin: 1px 0 }
.says { background: #fff3c4; border: 1px solid #c9a400; padding: 5px 9px; font-weight: bold }
.callout { background: #eef4fb; border-left: 4px solid #0072b2; padding: 3px 9px; margin: 3px 0 }
.more { color: #5b6570 } .sets span { border: 1px solid #bbb; padding: 0 7px; margin-right: 6px }
.grid { position: relative; background: #f4f5f7; margin: 6px 0 }
.panel { position: absolute; box-sizing: border-box; padding: 4px; overflow: hidden }
.panel div { background: #fffffe; border: 1px solid #d8dce1; height: 100%; box-sizing: border-box }
.panel svg { width: 100% !important; height: 100%; min-width: 0 !important }
table { border-collapse: collapse; font-size: 12px } td { border: 1px solid #ccc; padding: 1px 5px }
section { background: #fffffe; padding: 8px 16px } body { margin: 0; padding: 0; width: 1100px }
</style>"""


class Runs:
    """The runs that a spec's run sets find, by what the spec asks for."""

    def __init__(self, run_dirs: list[Path]) -> None:
        self.rows: dict[str, list[dict]] = {}
        self.items: dict[str, list[dict]] = {}
        for run_dir in run_dirs:
            run = read_json(run_dir / "run.json")
            tracked = run.get("training", {}).get("wandb") or {}
            metrics = run_dir / "metrics.jsonl"
            rows = read_jsonl(metrics) if metrics.exists() else []
            measured = [row for row in rows if "alignment/mean_r_loglog" in row]
            for name in (tracked.get("id"), tracked.get("name"), run["arm"]):
                if name:
                    self.rows.setdefault(name, measured)
                    self.items.setdefault(name, items_of(run_dir))

    def of(self, run_sets: list[dict]) -> Iterator[tuple[str, str, list[dict]]]:
        """Value that is asked for, name of the run set and measured rows of every run."""
        for run_set in run_sets:
            asked = run_set["filters"]["filters"][0]["value"]
            yield asked, run_set["name"], self.rows.get(asked, [])

    def items_of(self, run_sets: list[dict]) -> list[list[dict]]:
        """The items of the last probe of every run."""
        return [self.items.get(asked, []) for asked, _, _ in self.of(run_sets)]


def items_of(run_dir: Path) -> list[dict]:
    """The items of the last probe: task, item, people's seconds and mean tokens."""
    probe = run_dir / "probe.jsonl"
    if not probe.exists():
        return []
    rows = read_jsonl(probe)
    tokens: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row["step"] == rows[-1]["step"] and row["sample"] >= 0:
            tokens.setdefault((row["task"], row["item"]), []).append(row["reasoning_tokens"])
    with (run_dir / "costs.csv").open(encoding="utf-8", newline="") as file:
        seconds = {(row["task"], row["item"]): row["human_rt_s"] for row in csv.DictReader(file)}
    return [
        {
            "task": key[0],
            "item": key[1],
            "human_rt_s": round(float(seconds[key]), 2),
            "mean_reasoning_tokens": fmean(counts),
        }
        for key, counts in tokens.items()
        if seconds.get(key)
    ]


def page(spec: dict, runs: Runs) -> str:
    """The report as HTML."""
    says = f'<p class="says">{escape(SAYS)}</p>'
    colours = "".join(f"{name}: {light};" for name, light, _ in variables())
    parts = [PAGE, f"<style>:root {{ {colours} }}</style>", f'<section id="words">{says}']
    parts.append(f"<h1>{escape(spec['displayName'])}</h1><p>{escape(spec['description'])}</p>")
    for place, block in enumerate(spec["spec"]["blocks"]):
        if _text(block) == FIRST_OF_PANELS:
            parts.append(f'</section><section id="panels">{says}')
        parts.append(_block(block, runs, f"block{place}"))
    return "".join(parts) + "</section>"


def _text(part: dict) -> Markup:
    inner = Markup("").join(map(_text, part.get("children", [])))
    return escape(part.get("text", "")) + inner


def _block(block: dict, runs: Runs, identity: str) -> str:
    kind, shown = block["type"], _text(block)
    if kind == "panel-grid":
        return _grid(block["metadata"], runs, identity)
    if kind == "heading":
        more = " ▸" if block.get("collapsedChildren") else ""
        return f"<h{block['level']}>{shown}{more}</h{block['level']}>"
    if kind == "callout-block":
        return f'<div class="callout">{shown}</div>'
    if kind == "list":
        items = [f"<li>{_text(item)}</li>" for item in block["children"]]
        more = len(items) - SHOWN_ITEMS
        last = f'<li class="more">and {more} more</li>' if more > 0 else ""
        return f"<ul>{''.join(items[:SHOWN_ITEMS])}{last}</ul>"
    if kind == "markdown-block":
        return _table(block["content"])
    if kind == "table-of-contents":
        return '<p class="more">(table of contents)</p>'
    return f"<p>{shown}</p>" if shown else ""


def _table(markdown: str) -> str:
    title, _, *lines = markdown.strip().splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if not line.startswith("|:")]
    plain = [[re.sub(r"\\(.)", r"\1", cell).strip() for cell in row] for row in rows]
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in plain
    )
    return f"<p>{escape(title)}</p><table>{body}</table>"


def _grid(metadata: dict, runs: Runs, identity: str) -> str:
    drawn = metadata["panelBankSectionConfig"]["panels"]
    height = ROW_PIXELS * max(of["layout"]["y"] + of["layout"]["h"] for of in drawn)
    parts = []
    for panel in drawn:
        x, y, w, h = (panel["layout"][side] for side in "xywh")
        place = f"left: {100 * x / GRID_COLUMNS}%; top: {ROW_PIXELS * y}px; "
        place += f"width: {100 * w / GRID_COLUMNS}%; height: {ROW_PIXELS * h}px"
        picture = _panel(panel, metadata["runSets"], runs, f"{identity}-{panel['__id__']}")
        parts.append(f'<div class="panel" style="{place}"><div>{picture}</div></div>')
    names = [f"<span>{escape(of['name'])}</span>" for of in metadata["runSets"]]
    sets = f'<div class="sets">Run sets: {"".join(names)}</div>'
    return f'<div class="grid" style="height: {height}px">{"".join(parts)}</div>{sets}'


def _panel(panel: dict, run_sets: list[dict], runs: Runs, identity: str) -> str:
    config, (w, h) = panel["config"], (panel["layout"]["w"], panel["layout"]["h"])
    if panel["viewType"] == "Weave":
        return _item_table([row for run in runs.items_of(run_sets) for row in run])
    if panel["viewType"] == "Vega2":
        title = config["stringSettings"]["title"]
        layers = _items(config, runs.items_of(run_sets))
    else:
        title = config["chartTitle"]
        layers = DRAWN[panel["viewType"]](config, list(runs.of(run_sets)))
    size = {"width": PANEL_PIXELS[0] * w, "height": PANEL_PIXELS[1] * h}
    spec = plot([], title, {"layer": layers, **size, "autosize": AUTOSIZE})
    return inline_svg(spec, identity, title, "")


def _item_table(rows: list[dict]) -> Markup:
    lines = [list(rows[0]) if rows else [], *(row.values() for row in rows[:SHOWN_ROWS])]
    cells = [Markup("").join(Markup("<td>{}</td>").format(cell) for cell in line) for line in lines]
    body = Markup("").join(Markup("<tr>{}</tr>").format(line) for line in cells)
    return Markup("<table>{}</table>").format(body)


def _items(config: dict, of_runs: list[list[dict]]) -> list[dict]:
    """W&B gives each run of a custom chart a colour of its own choice; here all are grey."""
    x, y = (config["fieldSettings"][axis] for axis in "xy")
    rows = [{"x": row[x], "y": row[y]} for items in of_runs for row in items]
    points = mark("circle", {"x": side("x", x, {}), "y": side("y", y, {})}, color=UNNAMED, size=9)
    return [points | {"data": data(rows)}]


def _lines(config: dict, found: list[tuple[str, str, list[dict]]]) -> list[dict]:
    x = side("x", config["xAxisTitle"], {}, format="~s")
    y = side("y", config["yAxisTitle"].split("; "), {})
    layers = []
    for run, name, rows in found:
        for metric in config["metrics"]:
            points = [(_x(row, config["xAxis"]), row[metric]) for row in rows if metric in row]
            key = f"{run}:{metric}"
            colour = _override(config, "Colors", key, {"color": UNNAMED})["color"]
            line = mark(
                *("line", {"x": x, "y": y}),
                color=colour,
                strokeDash=DASHES[_override(config, "Marks", key, "solid")],
                strokeWidth=0.7 * _override(config, "LineWidths", key, 2.0),
            )
            layers.append(line | {"data": data({"x": at, "y": height} for at, height in points)})
            if points and metric == config["metrics"][0]:
                end = {"x": points[-1][0], "y": points[-1][1], "name": name}
                text = mark("text", {"x": x, "y": y, "text": "name:N"}, color=colour, dy=-5)
                layers.append(text | {"data": data([end])})
    return layers


def _override(config: dict, what: str, key: str, other: Any) -> Any:
    return config.get(f"override{what}", {}).get(key, other)


def _x(row: dict, axis: str) -> float:
    return row["step"] if axis == STEP else row.get(axis, math.nan)


def _summary(rows: list[dict], accessor: str) -> float:
    name = accessor.removeprefix("summary:")
    if name.startswith("start/"):
        return rows[0].get(name.removeprefix("start/"), math.nan)
    return rows[-1].get(name, math.nan)


def _points(config: dict, found: list[tuple[str, str, list[dict]]]) -> list[dict]:
    ends = {axis: [config.get(f"{axis}AxisMin"), config.get(f"{axis}AxisMax")] for axis in "xy"}
    x, y = (
        side(axis, None, {} if None in domain else {"domain": domain})
        for axis, domain in ends.items()
    )
    rows = [
        {"x": _summary(of, config["xAxis"]), "y": _summary(of, config["yAxis"]), "name": name}
        for _, name, of in found
        if of
    ]
    names = mark("text", {"x": x, "y": y, "text": "name:N"}, align="left", dx=4, dy=-4)
    points = mark("circle", {"x": x, "y": y}, color=UNNAMED)
    return [layer | {"data": data(rows)} for layer in (points, names)]


def _slopes(config: dict, found: list[tuple[str, str, list[dict]]]) -> list[dict]:
    columns = [column["displayName"] for column in config["columns"]]
    rows = [
        {"x": place, "y": _summary(of, column["accessor"]), "name": name}
        for _, name, of in found
        if of
        for place, column in enumerate(config["columns"])
    ]
    x = side("x", None, {}, values=list(range(len(columns))), labelExpr=named(columns))
    y = side("y", None, {})
    lines = mark("line", {"x": x, "y": y, "detail": "name:N"}, color=UNNAMED, strokeWidth=1)
    last = [row for row in rows if row["x"] == len(columns) - 1]
    names = mark("text", {"x": x, "y": y, "text": "name:N"}, align="left", dx=3)
    return [lines | {"data": data(rows)}, names | {"data": data(last)}]


DRAWN = {
    "Run History Line Plot": _lines,
    "Scatter Plot": _points,
    "Parallel Coordinates Plot": _slopes,
}


def photograph(html: str, folder: Path) -> None:
    """Each section of the page as a PNG of few colours, ``wandb-report-SECTION.png``."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        shown = browser.new_page(viewport={"width": WIDTH_PIXELS, "height": 800})
        shown.set_content(html)
        for section in ("words", "panels"):
            output = folder / f"wandb-report-{section}.png"
            shown.locator(f"#{section}").screenshot(path=str(output))
            with Image.open(output) as image:
                few = image.convert("RGB").quantize(COLOURS_KEPT, Image.Quantize.MAXCOVERAGE)
                few.save(output, optimize=True)
        browser.close()


if __name__ == "__main__":
    spec_file, pictures, *directories = map(Path, sys.argv[1:])
    photograph(page(json.loads(spec_file.read_text()), Runs(directories)), pictures)
