"""The rows behind the plots of items and of training curves, for papers and for the page alike."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from handan.alignment.bootstrap import Bootstrap, interval
from handan.alignment.inflation import fit_line, least_squares_slope
from handan.alignment.items import TaskCosts
from handan.alignment.measures import CURVES, SHARE, TASKS, Measure, R
from handan.errors import UserError
from handan.files import whole_lines
from handan.formatting import correlation, name, plain
from handan.report.comparison import FULL, Arm, Group, course
from handan.report.plot_styles import Row

Fit = Mapping[str, Any]  # a row of 'inflation' in alignment.json
_bootstrap = lru_cache(maxsize=1)(Bootstrap)


def thinking(group: Group, model: str | None, task: str) -> TaskCosts | None:
    """Items of a task that a model thought on, None if there are none."""
    costs = group.costs.get(model, {}).get(task) if model else None
    items = None if costs is None else costs.thinking()
    return items if items is not None and items.items else None


def thinking_arms(group: Group, task: str) -> list[Arm]:
    """Arms that thought on an item of a task, with sampling."""
    return [arm for arm in group.arms if thinking(group, arm.name, task) is not None]


def inflation_fits(group: Group, greedy: bool = False) -> dict[tuple[str, str], Fit]:
    """{(arm, task): the fit of its log tokens on those of its base}."""
    pairs = {
        (arm.greedy, group.arm(arm.base).greedy) if greedy else (arm.name, arm.base): arm.name
        for arm in group.arms
        if arm.base
    }
    rows = [row for row in group.result["inflation"] if row["task"]]
    known = [(pairs.get((row["student"], row["base"])), row) for row in rows]
    return {(arm, row["task"]): row for arm, row in known if arm}


def item_rows(group: Group, model: str, task: str, fit: Fit | None = None) -> list[Row]:
    """One row an item: what it asks, its tokens, and where there is a fit those of the base."""
    costs = thinking(group, model, task)
    if costs is None:
        return []
    base = thinking(group, fit["base"], task) if fit else None
    of_base = dict(zip(base.items, base.log_cost, strict=True)) if base else {}
    rows: list[Row] = []
    for place, (item, right) in enumerate(zip(costs.items, costs.correct, strict=True)):
        log_tokens, log_base = costs.log_cost[place], of_base.get(item, np.nan)
        line = fit["a"] + fit["b"] * log_base if fit and fit["a"] is not None else np.nan
        num_right = int(np.nansum(right)) if np.isfinite(right).any() else None
        samples = int(np.isfinite(costs.tokens[place]).sum())
        row = {"item": item, "seconds": np.exp(costs.log_difficulty[place])}
        row |= {"tokens": np.exp(log_tokens), "right": num_right, "samples": samples}
        rows.append(row | {"base_tokens": np.exp(log_base), "residual": np.exp(log_tokens - line)})
    return rows


def fit_rows(group: Group, task: str, items: Sequence[Row], x: str) -> list[Row]:
    """Least-squares line of log tokens on log ``x`` with its 95 % band, if that varies."""
    items = [row for row in items if np.isfinite(row[x])]
    across, tokens = (np.log([row[field] for row in items]) for field in (x, "tokens"))
    if len(items) < 2 or np.ptp(across) == 0:
        return []
    line = fit_line(across, tokens)
    settings = group.result["settings"]
    moments = _bootstrap(settings["bootstrap"], settings["seed"]).moments(
        task, tuple(row["item"] for row in items), across[:, None], tokens[:, None]
    )
    slopes = least_squares_slope(moments.xx, moments.xy)
    rows = []
    for at in np.linspace(across.min(), across.max(), 25):  # drawn straight between them
        drawn = (moments.y + slopes * (at - moments.x))[:, 0]
        height = line.intercepts[0] + line.slope * at
        height, low, high = np.exp([height, *interval(drawn, [len(items)])])
        rows.append({"line": "fit", x: np.exp(at), "fitted": height, "low": low, "high": high})
    return rows


def multiples(fit: Fit, low: float, high: float) -> list[Row]:
    """As many tokens as the base, and k times as many, from end to end of the axes."""
    factors = (("same", 1.0), ("k", fit["geometric_mean_ratio"]))
    ends = [(line, factor, x) for line, factor in factors for x in (low, high)]
    return [{"line": line, "base_tokens": x, "fitted": k * x} for line, k, x in ends]


class Curve(NamedTuple):
    """A measure along training, of all tasks or r of one: its name in metrics.jsonl, its title."""

    measure: Measure
    key: str
    title: str
    task: str | None = None

    @property
    def is_r(self) -> bool:
        return self.measure.unit == R


def known_curves(group: Group, arms: Sequence[Arm]) -> list[Curve]:
    """Every measure along training with a value: of all tasks, r also of each human task."""
    found, tasks = [], group.tasks("human")
    for measure in CURVES:
        found.append(Curve(measure, measure.curve, measure.heading))
        for task in tasks if measure.unit == R and len(tasks) > 1 else []:
            found.append(Curve(measure, f"alignment/{task}/r_loglog", f"r on {name(task)}", task))
    rows = [row for arm in arms for row in course(arm)]
    keys = {key.removeprefix(FULL) for row in rows for key in row if row[key] is not None}
    return [curve for curve in found if curve.key in keys]


def curve_rows(arms: Sequence[Arm], key: str, axis: str) -> list[Row]:
    """A measure at each step: value, bounds of its interval, and the same on all items."""
    keys = {"at": axis, "value": key, "low": f"{key}_ci_low", "high": f"{key}_ci_high"}
    keys["full"] = FULL + key
    steps = [(arm.name, row) for arm in arms for row in course(arm)]
    return [{"arm": arm} | {field: row.get(keys[field]) for field in keys} for arm, row in steps]


def reference_rows(group: Group, curve: Curve, rows: Sequence[Row]) -> list[Row]:
    """Horizontal lines: ceiling, teachers, no change; a ``limit`` is always on the axis."""
    found: list[Row] = []
    if curve.is_r:
        ceiling = group.task_figure(curve.task, "ceiling") if curve.task else group.ceiling()
        if ceiling is not None:
            found.append({"reference": ceiling, "label": f"human ceiling {correlation(ceiling)}"})
    if curve.measure.reference is not None:
        found.append({"reference": curve.measure.reference, "label": "as at step 0"})
    for arm in (arm for arm in group.arms if arm.kind == "teacher"):
        figures = group.figures(arm.name) or {}
        value = figures.get(curve.measure.key)  # a mean over tasks, if it is not one of each task
        if curve.task:
            value = figures["tasks"].get(curve.task, {}).get("r_loglog")
        elif curve.measure in TASKS:
            value = group.over_tasks(arm.name, curve.measure.key)
        if value is not None:
            label = f"{plain(arm.noun)}, all items"
            found.append({"arm": arm.name, "reference": value, "label": label})
    fields = ("value", "low", "high", "full")
    values = [row[field] for row in rows for field in fields if row[field] is not None]
    values += [row["reference"] for row in found]
    whole = curve.is_r or (curve.measure.unit == SHARE and max(values) > 0.5)
    limits = (min(0.0, *values), 1.0 if whole else max(0.0, *values) or 1.0)
    return [{"arm": ""} | row for row in (*found, *({"limit": limit} for limit in limits))]


def num_probed_items(arm: Arm) -> int | None:
    """Items of the probe, counted in the responses at its first step; None if they are not kept."""
    path = arm.run_dir / "probe.jsonl"
    if not path.exists():
        return None
    try:
        # The file can be large, and every step asks the same items: one step will do.
        rows = map(json.loads, whole_lines(path, tell=False))
        first = next(rows)
        step = takewhile(lambda row: row["step"] == first["step"], rows)
        return len({(row["task"], row["item"]) for row in (first, *step)})
    except StopIteration:  # killed in its very first line
        return None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: a line is damaged; train or probe again") from None
