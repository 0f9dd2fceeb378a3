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
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from PIL import Image
from playwright.sync_api import sync_playwright

from handan.files import read_json, read_jsonl
from handan.report.pictures.drawing import new_figure, style, svg, variables

SAYS = (
    "Drawn from the report's spec and what the runs logged, not by W&B: text, layout, colours and "
    "dashes are those of the spec, fonts and axes are not."
)
DASHES = {
    "solid": "-",
    "dashed": "--",
    "dotted": ":",
    "dotdash": "-.",
    "dotdotdash": (0, (5, 2, 1, 2, 1, 2)),
    "points": (0, (1, 3)),
}
UNNAMED = "#6b7684"  # of runs whose colour W&B chooses
STEP = "train/global_step"
WIDTH_PIXELS, GRID_COLUMNS, ROW_PIXELS = 1100, 24, 26
FIRST_OF_PANELS = "Alignment along training"
SHOWN_ROWS = 8  # of a table
SHOWN_ITEMS = 2  # of a list: the picture is of the layout, the text is on the page, too
PANEL_INCHES = 0.46, 0.27  # of a column and of a row
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
    with style():
        figure = new_figure(PANEL_INCHES[0] * w, PANEL_INCHES[1] * h)
        axes = figure.subplots()
        axes.tick_params(labelsize=7)
        if panel["viewType"] == "Vega2":
            title = config["stringSettings"]["title"]
            _items(axes, config, runs.items_of(run_sets))
        else:
            title = config["chartTitle"]
            DRAWN[panel["viewType"]](axes, config, list(runs.of(run_sets)))
        axes.set_title(title, fontsize=8)
        return svg(figure, identity, title, "")


def _item_table(rows: list[dict]) -> Markup:
    lines = [list(rows[0]) if rows else [], *(row.values() for row in rows[:SHOWN_ROWS])]
    cells = [Markup("").join(Markup("<td>{}</td>").format(cell) for cell in line) for line in lines]
    body = Markup("").join(Markup("<tr>{}</tr>").format(line) for line in cells)
    return Markup("<table>{}</table>").format(body)


def _items(axes: Axes, config: dict, of_runs: list[list[dict]]) -> None:
    """W&B gives each run of a custom chart a colour of its own choice; here all are grey."""
    x, y = (config["fieldSettings"][axis] for axis in "xy")
    for items in of_runs:
        axes.plot(
            [row[x] for row in items],
            [row[y] for row in items],
            "o",
            color=UNNAMED,
            markersize=2.5,
            alpha=0.5,
        )
    axes.set_xlabel(x, fontsize=7)
    axes.set_ylabel(y, fontsize=7)


def _lines(axes: Axes, config: dict, found: list[tuple[str, str, list[dict]]]) -> None:
    for run, name, rows in found:
        for metric in config["metrics"]:
            points = [(_x(row, config["xAxis"]), row[metric]) for row in rows if metric in row]
            if points:
                key = f"{run}:{metric}"
                axes.plot(
                    *zip(*points, strict=True),
                    color=_override(config, "Colors", key, {"color": UNNAMED})["color"],
                    linestyle=DASHES[_override(config, "Marks", key, "solid")],
                    linewidth=0.7 * _override(config, "LineWidths", key, 2.0),
                    label=name if metric == config["metrics"][0] else None,
                )
    axes.set_xlabel(config["xAxisTitle"], fontsize=7)
    axes.set_ylabel(_wrapped(config["yAxisTitle"]), fontsize=7)
    axes.legend(fontsize=6.5, loc="best", handlelength=3.2, framealpha=0.6)


def _wrapped(text: str) -> str:
    return text.replace("; ", ";\n")


def _override(config: dict, what: str, key: str, other: Any) -> Any:
    return config.get(f"override{what}", {}).get(key, other)


def _x(row: dict, axis: str) -> float:
    return row["step"] if axis == STEP else row.get(axis, np.nan)


def _summary(rows: list[dict], accessor: str) -> float:
    name = accessor.removeprefix("summary:")
    if name.startswith("start/"):
        return rows[0].get(name.removeprefix("start/"), np.nan)
    return rows[-1].get(name, np.nan)


def _points(axes: Axes, config: dict, found: list[tuple[str, str, list[dict]]]) -> None:
    for _, name, rows in found:
        if rows:
            x, y = (_summary(rows, config[axis]) for axis in ("xAxis", "yAxis"))
            axes.plot([x], [y], "o", color=UNNAMED, markersize=4)
            axes.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
    axes.set_xlim(config.get("xAxisMin"), config.get("xAxisMax"))
    axes.set_ylim(config.get("yAxisMin"), config.get("yAxisMax"))


def _slopes(axes: Axes, config: dict, found: list[tuple[str, str, list[dict]]]) -> None:
    accessors = [column["accessor"] for column in config["columns"]]
    for _, name, rows in found:
        if rows:
            values = [_summary(rows, accessor) for accessor in accessors]
            axes.plot(range(len(values)), values, color=UNNAMED, linewidth=1)
            axes.annotate(name, (len(values) - 1, values[-1]), fontsize=7)
    axes.set_xticks(range(len(accessors)), [column["displayName"] for column in config["columns"]])


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
