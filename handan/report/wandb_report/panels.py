"""The panels of the report, each over metrics that these runs have logged, and no others."""

import math
from collections.abc import Iterable, Sequence

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces.reports.v2.interface import Panel

from handan.report.data import Group
from handan.report.notation import UNKNOWN, correlation, name
from handan.report.wandb_report.run_sets import BOUND_MARK, TrackedArm, label

STEP = "train/global_step"
AXES = {
    STEP: "training step",
    "budget/trained_tokens": "trained tokens",
    "budget/model_flops": "model FLOPs",
    "budget/device_seconds": "device-seconds of training",
}
MEAN_R = "alignment/mean_r_loglog"
START = "start/"
ACCURACY = "status/accuracy"
COURSES = {
    ACCURACY: "Share of right answers",
    "cost/reasoning_tokens": "Reasoning tokens of a response",
    "status/cap_rate": "Share of responses cut at the cap",
    "status/no_reasoning_rate": "Share of responses without reasoning",
    "status/unparsed_rate": "Share of responses that cannot be read",
}
INFLATION = {
    "inflation/k": "k: tokens as a multiple of those at step 0, geometric mean",
    "inflation/b": "b: slope of log tokens on those at step 0; 1 is a constant multiple",
}
FULL = "full/"
TABLE = "tables/probe"
TABLE_X, TABLE_Y = "human_rt_s", "mean_reasoning_tokens"
SCATTER_PRESET = "wandb/scatter/v0"
INTERVAL = ("_ci_low", "_ci_high")
WHOLE_WIDTH, HEIGHT = 24, 9  # of W&B's grid
LINE_WIDTH, BOUND_WIDTH = 2.0, 0.75


def logged(runs: Iterable[TrackedArm]) -> set[str]:
    """Names of all that the runs have logged."""
    return {key for run in runs for row in run.arm.metrics for key in row}


def grid(runs: Sequence[TrackedArm], panels: Sequence[Panel], placed: bool) -> wr.PanelGrid:
    """Panels side by side, with a run set for every arm."""
    for place, panel in enumerate(panels):
        # Random otherwise, and the same report would be another one each time.
        panel._id = f"panel-{place}"
    return wr.PanelGrid(
        runsets=[run.run_set(placed) for run in runs],
        panels=list(panels),
        custom_run_colors={run.run_id: run.colour for run in runs if run.run_id},
    )


def rows_of(panels: Sequence[Panel], columns: int) -> list[Panel]:
    """The panels with a layout of so many columns."""
    width = WHOLE_WIDTH // columns
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        panel.layout = wr.Layout(x=width * column, y=HEIGHT * row, w=width, h=HEIGHT)
    return list(panels)


def line_plot(
    runs: Sequence[TrackedArm], metric: str, title: str, x: str = STEP, title_y: str | None = None
) -> wr.LinePlot:
    """A metric of every arm, and the bounds of its interval if they were logged.

    W&B fills no area between two metrics: bounds are thin dotted lines in the arm's colour.
    """
    bounds = [metric + end for end in INTERVAL if metric + end in logged(runs)]
    known = [(run, f"{run.run_id}:") for run in runs if run.run_id]
    said = dict(zip(bounds, ("lower bound", "upper bound"), strict=False))
    return wr.LinePlot(
        title=label(title),
        x=x,
        y=[metric, *bounds],
        title_x=AXES[x],
        title_y=label(title_y or title),
        smoothing_type="none",
        ignore_outliers=False,
        max_runs_to_show=max(len(runs), 1),
        point_visualization_method="sampling",
        legend_position="south",
        line_titles={key + metric: run.label for run, key in known}
        | {key + bound: f"{run.label}, {said[bound]}" for run, key in known for bound in bounds},
        line_colors={key + y: run.colour for run, key in known for y in (metric, *bounds)},
        line_marks={key + metric: run.mark for run, key in known}
        | {key + bound: BOUND_MARK for _, key in known for bound in bounds},
        line_widths={key + metric: LINE_WIDTH for _, key in known}
        | {key + bound: BOUND_WIDTH for _, key in known for bound in bounds},
    )


def alignment_panels(group: Group, runs: Sequence[TrackedArm]) -> list[Panel]:
    """Mean r on every axis that was logged, and that of the full suite, if it was measured."""
    names = logged(runs)
    ceiling = f"mean r with people's time; ceiling {correlation(group.ceiling())}"
    panels = [
        line_plot(runs, MEAN_R, f"Mean r by {words}", x, ceiling)
        for x, words in AXES.items()
        if MEAN_R in names and (x == STEP or x in names)
    ]
    if FULL + MEAN_R in names:
        panels.append(line_plot(runs, FULL + MEAN_R, "Mean r, full suite", title_y=ceiling))
    return rows_of(panels, columns=2)


def course_panels(runs: Sequence[TrackedArm]) -> list[Panel]:
    """Accuracy, length and how responses end, by training step."""
    return _by_step(runs, COURSES, columns=3)


def inflation_panels(runs: Sequence[TrackedArm]) -> list[Panel]:
    """Length against that at step 0, by training step."""
    return _by_step(runs, INFLATION, columns=2)


def _by_step(runs: Sequence[TrackedArm], titles: dict[str, str], columns: int) -> list[Panel]:
    names = logged(runs)
    panels = [line_plot(runs, metric, text) for metric, text in titles.items() if metric in names]
    return rows_of(panels, columns)


def task_panels(group: Group, runs: Sequence[TrackedArm]) -> list[Panel]:
    """r of every probed task by training step, with the ceiling where the task is known."""
    start, end = "alignment/", "/r_loglog"
    tasks = sorted(
        key.removeprefix(start).removesuffix(end)
        for key in logged(runs)
        if key.startswith(start) and key.endswith(end)
    )
    panels = []
    for task in tasks:
        ceiling = group.task_figure(task, "ceiling")
        shown = UNKNOWN if ceiling is None else correlation(ceiling)
        panels.append(
            line_plot(runs, f"{start}{task}{end}", name(task), title_y=f"r; ceiling {shown}")
        )
    return rows_of(panels, columns=3)


def before_and_after_panels(runs: Sequence[TrackedArm]) -> list[Panel]:
    """Slopes from step 0 to the last probe, the same as a scatter, and accuracy against r."""
    names = logged(runs)
    first, last = wr.SummaryMetric(START + MEAN_R), wr.SummaryMetric(MEAN_R)
    if MEAN_R not in names:
        return []
    slope = wr.ParallelCoordinatesPlot(
        title="Mean r before and after training",
        columns=[
            wr.ParallelCoordinatesPlotColumn(first, display_name="mean r at step 0"),
            wr.ParallelCoordinatesPlotColumn(last, display_name="mean r at the last probe"),
        ],
    )
    limits = _limits(runs)
    panels = [
        slope,
        wr.ScatterPlot(
            title="Mean r: after (y) against before (x)",
            x=first,
            y=last,
            range_x=limits,
            range_y=limits,
        ),
    ]
    if ACCURACY in names:
        accuracy = wr.SummaryMetric(ACCURACY)
        panels.append(
            wr.ScatterPlot(title="Mean r (y) against accuracy (x), last probe", x=accuracy, y=last)
        )
    return rows_of(panels, columns=3)


def _limits(runs: Sequence[TrackedArm]) -> tuple[float, float]:
    """Tenths around every mean r, so that both axes can have one range."""
    tenths = [10 * row[MEAN_R] for run in runs for row in run.arm.metrics if MEAN_R in row]
    return math.floor(min(tenths)) / 10, math.ceil(max(tenths)) / 10


def item_panels() -> list[Panel]:
    """The items of the last probe: tokens against people's time, and the table itself."""
    scatter = wr.CustomChart(
        query={"summaryTable": {"tableKey": TABLE}},
        chart_name=SCATTER_PRESET,
        chart_fields={"x": TABLE_X, "y": TABLE_Y},
        chart_strings={"title": "Reasoning tokens (y) against people's seconds (x), by item"},
    )
    return rows_of([scatter, wr.WeavePanelSummaryTable(table_name=TABLE)], columns=2)
