"""Alignment and other measures along training, from what probes wrote to metrics.jsonl."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from handan.errors import UserError
from handan.files import whole_lines
from handan.report.comparison import AXES, FULL, Arm, Group, course
from handan.report.formatting import (
    bounds,
    correlation,
    listing,
    name,
    number,
    plain,
    sentence,
    short,
)
from handan.report.pictures.axes import (
    BOTH_COLUMNS,
    ceiling_line,
    grid,
    legend,
    magnitude,
    of_arm,
    of_correlations,
)
from handan.report.pictures.drawing import INK, Look, new_figure, style
from handan.report.pictures.picture import Picture

Looks = Mapping[str, Look]
MEAN_R = "alignment/mean_r_loglog"
# Horizontal axes of figures for papers, keys of ``course.AXES``, and how they are called in names.
SHOWN_AXES = {
    "step": "step",
    "budget/trained_tokens": "trained_tokens",
    "budget/model_flops": "model_flops",
    "budget/device_seconds": "device_seconds",
}


class Panel(NamedTuple):
    """One measure: its key in metrics.jsonl, title, label of its axis and human ceiling."""

    measure: str
    title: str
    label: str
    ceiling: float | None = None


OTHERS = (
    Panel("status/accuracy", "Right answers", "share of answers"),
    Panel("cost/reasoning_tokens", "Reasoning tokens", "mean tokens"),
    Panel("inflation/k", "Inflation k against step 0", "ratio of tokens"),
    Panel("status/cap_rate", "Cut at the cap", "share of answers"),
    Panel("status/no_reasoning_rate", "Without reasoning", "share of answers"),
    Panel("status/unparsed_rate", "Unparsed", "share of answers"),
)


def pictures(group: Group, looks: Looks) -> list[Picture]:
    """Alignment against step and every recorded budget, then the other measures against step."""
    arms = [arm for arm in group.arms if len(course(arm)) > 1]
    out = []
    for x, part in SHOWN_AXES.items():
        shown = [arm for arm in arms if all(x in row for row in course(arm))]
        if panels := _known(_alignment_panels(group), shown):
            title = f"Alignment along training, by {AXES[x]}"
            out.append(_picture(group, looks, shown, x, panels, ("alignment", part), title))
    if panels := _known(OTHERS, arms):
        title = "Accuracy, length and status along training"
        out.append(_picture(group, looks, arms, "step", panels, ("measures", "step"), title))
    return out


def _alignment_panels(group: Group) -> list[Panel]:
    tasks = group.tasks("human")
    panels = [Panel(MEAN_R, f"Mean of {len(tasks)} human tasks", "r on the probe", group.ceiling())]
    for task in tasks if len(tasks) > 1 else []:
        ceiling = group.task_figure(task, "ceiling")
        title = sentence(short(name(task), 40))
        panels.append(Panel(f"alignment/{task}/r_loglog", title, "r on the probe", ceiling))
    return panels


def _known(panels: Sequence[Panel], arms: Sequence[Arm]) -> list[Panel]:
    """Panels with a value of some arm that is not the same nothing everywhere."""
    return [
        panel
        for panel in panels
        if any(row.get(panel.measure) for arm in arms for row in course(arm))
    ]


def _picture(
    group: Group,
    looks: Looks,
    arms: Sequence[Arm],
    x: str,
    panels: Sequence[Panel],
    parts: tuple[str, str],
    title: str,
) -> Picture:
    items = {arm.name: num_probed_items(arm) for arm in arms}
    counts = listing([f"{plain(arm)} {n or 'unknown'}" for arm, n in items.items()])
    caption = (
        "A small probe is answered along training; bands are 95 % intervals over its items, where "
        f"they were recorded. Probed items: {counts}. From the first to the last probe: "
        + " ".join(f"{panel.title}: {_ends(arms, panel)}." for panel in panels)
    )
    for panel in panels:
        if panel.ceiling is not None:
            caption += f" {panel.title}: the human ceiling is {correlation(panel.ceiling)}."
    empty = [panel.title for panel in OTHERS if panel not in panels]
    if parts[0] == "measures" and empty:
        caption += f" Left out, as 0 throughout or not recorded: {listing(empty).lower()}."
    if x.startswith("budget/"):
        caption += " Each arm's own training is counted, its teacher's part is not."
    return Picture(
        kind="course",
        parts=parts,
        title=title,
        caption=caption,
        draw=lambda: draw(arms, looks, x, panels, f"{title}, {_of_items(items.values())}"),
    )


def _of_items(counts: Iterable[int | None]) -> str:
    """'n = 128 items', 'n = 64 to 128 items'."""
    known = sorted({count for count in counts if count})
    if not known:
        return "n unknown"
    return f"n = {' to '.join(map(str, dict.fromkeys((known[0], known[-1]))))} items"


def num_probed_items(arm: Arm) -> int | None:
    """Items of the probe, counted in the responses at its first step; None if they are not kept.

    Raises:
        UserError: a line of probe.jsonl is damaged.
    """
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


def _ends(arms: Sequence[Arm], panel: Panel) -> str:
    parts = []
    for arm in arms:
        rows = [row for row in course(arm) if row.get(panel.measure) is not None]
        if rows:
            first, last = (_said(row, panel.measure) for row in (rows[0], rows[-1]))
            parts.append(f"{plain(arm.name)} from {first} to {last}")
    return listing(parts) or "no values"


def _said(row: Mapping[str, Any], measure: str) -> str:
    interval = _interval(row, measure)
    value = correlation(row[measure]) if _is_r(measure) else number(row[measure], 2)
    return f"{value} {bounds(interval)}" if interval else value


def _is_r(measure: str) -> bool:
    return measure.endswith("r_loglog")


def _interval(row: Mapping[str, Any], measure: str) -> tuple[float, float] | None:
    low, high = row.get(f"{measure}_ci_low"), row.get(f"{measure}_ci_high")
    return None if low is None or high is None else (low, high)


def draw(arms: Sequence[Arm], looks: Looks, x: str, panels: Sequence[Panel], title: str) -> Figure:
    """One panel a measure, all arms on the same axes, with their bands."""
    rows, columns = grid(len(panels), 3)
    with style():
        figure = new_figure(BOTH_COLUMNS, 0.85 + 2.1 * rows)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        every = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(every.flat, panels, strict=False):
            _draw_panel(axes, arms, looks, x, panel)
        for axes in every.flat[len(panels) :]:
            axes.set_axis_off()
        legend(figure, arms, looks)
    return figure


def _draw_panel(axes: Axes, arms: Sequence[Arm], looks: Looks, x: str, panel: Panel) -> None:
    lowest = 0.0
    for arm in arms:
        rows = [row for row in course(arm) if row.get(panel.measure) is not None]
        values = [row[panel.measure] for row in rows]
        lowest = min([lowest, *values])
        _curve(axes, arm, looks[arm.name], [row[x] for row in rows], values)
        with_band = [row for row in rows if _interval(row, panel.measure)]
        if with_band:
            low, high = zip(*(_interval(row, panel.measure) for row in with_band), strict=True)
            lowest = min([lowest, *low])
            places = [row[x] for row in with_band]
            colour = looks[arm.name].light
            band = axes.fill_between(places, low, high, color=colour, alpha=0.16, linewidth=0)
            of_arm(band, arm.name)
        _full(axes, arm, looks[arm.name], x, panel.measure)
    axes.set_title(panel.title)
    axes.set_ylabel(panel.label)
    axes.set_xlabel(AXES[x])
    axes.xaxis.set_major_formatter(FuncFormatter(magnitude))
    axes.margins(x=0.04)
    if _is_r(panel.measure):
        of_correlations(axes, lowest)
        ceiling_line(axes, panel.ceiling)
    elif panel.measure == "inflation/k":
        axes.axhline(1, color=INK, linestyle=":", linewidth=1)
    else:
        axes.set_ylim(bottom=0)


def _full(axes: Axes, arm: Arm, look: Look, x: str, measure: str) -> None:
    """The same measure on all items, where these were measured on the way: open points."""
    rows = [row for row in course(arm) if row.get(FULL + measure) is not None]
    points = axes.plot(
        [row[x] for row in rows],
        [row[FULL + measure] for row in rows],
        linestyle="none",
        marker=look.marker,
        markersize=8,
        color=look.light,
        fillstyle="none",
    )
    of_arm(points[0], arm.name)


def _curve(axes: Axes, arm: Arm, look: Look, at: list[float], values: list[float]) -> None:
    line = axes.plot(
        at,
        values,
        color=look.light,
        linestyle=look.line,
        marker=look.marker,
        markersize=4,
        linewidth=1.5,
    )
    of_arm(line[0], arm.name)
