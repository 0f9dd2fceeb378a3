"""Charts item by item: tokens against people's time, and against the base's tokens."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handan.report.charts_panel import Panel, table
from handan.report.charts_specifications import look_parameters
from handan.report.comparison import Arm, Group
from handan.report.formatting import TIE, bounds, correlation, name, number, plain
from handan.report.pictures.drawing import Look
from handan.report.pictures.lines import band

MARGIN = 1.12  # between the outermost points of a logarithmic axis and its ends
# Ticks within a decade, for axes of at most so many decades.
STEPS = ((1, (1, 2, 3, 5, 7)), (2, (1, 2, 5)), (4, (1, 3)), (math.inf, (1,)))
ITEMS = ("arm", "task", "item", "seconds", "tokens", "right", "samples", "base_tokens", "residual")
FITS = ("arm", "task", "seconds", "tokens", "low", "high")
LINES = ("arm", "task", "line", "base_tokens", "tokens")

Fits = Mapping[tuple[str, str], Mapping[str, Any]]


def item_data(group: Group) -> dict[str, Any]:
    """Tables of items, of the lines through them with bands, and of lines on the base's tokens."""
    fits = _fits_by_pair(group)
    return {
        "items": table(ITEMS, _items(group, fits)),
        "fits": table(FITS, _fits(group)),
        "lines": table(LINES, _lines(group, fits)),
    }


def scatter_panels(group: Group, looks: Mapping[str, Look]) -> list[Panel]:
    """Reasoning tokens against people's time: one panel for each human task and arm."""
    panels = []
    for place, (task, arm) in enumerate(_measured(group)):
        of_task = group.result["models"][arm.name]["tasks"][task]
        r, interval = correlation(of_task["r_loglog"]), bounds(of_task["r_loglog_ci"])
        ceiling = group.task_figure(task, "ceiling")
        against = f", human{TIE}ceiling{TIE}{correlation(ceiling)}" if ceiling is not None else ""
        arms = [other for of, other in _measured(group) if of == task]
        times = [group.costs[other.name][task].thinking().log_demand for other in arms]
        limits = _axis_parameters(_limits(times), _token_limits(group, task))
        panels.append(
            Panel(
                identity=f"scatter-{place}",
                kind="scatter",
                title=f"{plain(arm.name)}, {name(task)}: reasoning tokens against people's time",
                caption=f"r = {r} {interval}, n = {of_task['n']} items{against}",
                description=f"Scatter plot with a fitted line. {of_task['n']} items, "
                f"r = {r} {interval}{against}; {number(of_task['mean_tokens'])} reasoning tokens "
                "on average.",
                parameters=look_parameters(looks[arm.name]) | limits,
                arm=arm.name,
                task=task,
            )
        )
    return panels


def inflation_panels(group: Group, looks: Mapping[str, Look]) -> list[Panel]:
    """Tokens against those of the arm's base: one panel for each human task and trained arm."""
    panels = []
    for place, ((arm, task), fit) in enumerate(_fits_by_pair(group).items()):
        limits = _token_limits(group, task)
        ratio = number(fit["geometric_mean_ratio"], 2)
        slope = f"b = {correlation(fit['b'])} {bounds(fit['b_ci'])}"
        panels.append(
            Panel(
                identity=f"inflation-{place}",
                kind="inflation",
                title=f"{plain(arm)}, {name(task)}: tokens against those of {plain(fit['base'])}",
                caption=f"k = {ratio}, {slope}, n = {fit['n']} items",
                description=f"Scatter plot of {fit['n']} items with three lines. On average "
                f"{plain(arm)} writes {ratio} times the tokens of {plain(fit['base'])}; {slope}.",
                parameters=look_parameters(looks[arm]) | _axis_parameters(limits, limits),
                arm=arm,
                task=task,
            )
        )
    return panels


def _measured(group: Group) -> list[tuple[str, Arm]]:
    """Each human task with each arm that thought about an item of it."""
    return [
        (task, arm)
        for task in group.tasks("human")
        for arm in group.arms
        if task in group.costs[arm.name] and group.costs[arm.name][task].thinking().items
    ]


def _fits_by_pair(group: Group) -> Fits:
    """{(arm, task): its line on its base's tokens}, with sampling."""
    bases = {arm.name: arm.base for arm in group.arms if arm.base}
    return {
        (row["student"], row["task"]): row
        for row in group.result["inflation"]
        if row["task"] and bases.get(row["student"]) == row["base"]
    }


def _items(group: Group, fits: Fits) -> list[list[Any]]:
    rows = []
    for task, arm in _measured(group):
        costs, fit = group.costs[arm.name][task].thinking(), fits.get((arm.name, task))
        base = group.costs[fit["base"]][task].thinking() if fit else None
        of_base = dict(zip(base.items, base.log_cost, strict=True)) if base else {}
        for place, item in enumerate(costs.items):
            log_base = of_base.get(item, np.nan)
            line = fit["a"] + fit["b"] * log_base if fit and fit["a"] is not None else np.nan
            right = costs.correct[place]
            rows.append(
                [
                    *(arm.name, task, item),
                    np.exp(costs.log_demand[place]),
                    np.exp(costs.log_cost[place]),
                    int(np.nansum(right)) if np.isfinite(right).any() else None,
                    int(np.isfinite(costs.tokens[place]).sum()),
                    np.exp(log_base),
                    np.exp(costs.log_cost[place] - line),
                ]
            )
    return rows


def _fits(group: Group) -> list[list[Any]]:
    """Lines of log tokens on log time with their bands, back on the scale of the axes."""
    rows = []
    for task, arm in _measured(group):
        costs = group.costs[arm.name][task].thinking()
        line = band(group, task, costs.items, costs.log_demand, costs.log_cost)
        if line is not None:
            points = np.exp(np.column_stack(line))
            rows += [[arm.name, task, *point] for point in points]
    return rows


def _lines(group: Group, fits: Fits) -> list[list[Any]]:
    """No change, k times as many tokens, and the fitted line, each from end to end of the axes."""
    rows = []
    for (arm, task), fit in fits.items():
        ends = np.log(_token_limits(group, task))
        lines = {"same": (0.0, 1.0), "k": (np.log(fit["geometric_mean_ratio"]), 1.0)}
        if fit["a"] is not None:
            lines["fit"] = (fit["a"], fit["b"])
        for kind, (intercept, slope) in lines.items():
            rows += [[arm, task, kind, np.exp(x), np.exp(intercept + slope * x)] for x in ends]
    return rows


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Ends of a logarithmic axis for values that are given as logarithms."""
    together = np.exp(np.concatenate(values))
    return float(together.min() / MARGIN), float(together.max() * MARGIN)


def _token_limits(group: Group, task: str) -> tuple[float, float]:
    arms = [arm for of_task, arm in _measured(group) if of_task == task]
    return _limits([group.costs[arm.name][task].thinking().log_cost for arm in arms])


def _axis_parameters(x: tuple[float, float], y: tuple[float, float]) -> dict[str, Any]:
    return {
        f"{side}_{part}": value
        for side, (low, high) in (("x", x), ("y", y))
        for part, value in {"low": low, "high": high, "ticks": _ticks(low, high)}.items()
    }


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis, fewer in a decade the more decades there are."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = next(steps for decades_at_most, steps in STEPS if high / low <= 10**decades_at_most)
    found = (step * 10.0**decade for decade in decades for step in steps)
    return [tick for tick in found if low <= tick <= high]
