"""``handan report --wandb``: the runs as a report in Weights & Biases, or its spec without network.

``run_sets`` finds the W&B runs of the arms, ``panels`` draws what they logged, ``text`` says what
the numbers say, ``spec`` puts all into one report and proves that wandb-workspaces reads it back.
"""

import importlib.util
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import wandb
import wandb_workspaces.reports.v2 as wr
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import internal
from wandb_workspaces.reports.v2.interface import Panel

from handan.alignment.tables import tables
from handan.errors import UserError, printable
from handan.files import content_hash, write_text
from handan.report.comparison import Arm, Comparison, Group
from handan.report.confounds import Confound, compared, confounds
from handan.report.formatting import UNKNOWN, bounds, correlation, listing, name, plain, sentence
from handan.report.plot_data import num_probed_items
from handan.report.plot_styles import looks
from handan.report.summary import arm_rows, summary
from handan.report.verdicts import Claim, claims, multiplier_claims
from handan.table_formats import Table, as_markdown, without

# Entities are addresses; in the name of a project W&B allows everything but these.
ADDRESS = re.compile(r"(?P<entity>[\w.-]+)/(?P<project>[^/\\#?%:\s]{1,128})")
INSTALL = "pip install 'handan[wandb-reports]'"


class Address(NamedTuple):
    """Where in W&B a report is saved."""

    entity: str
    project: str


def read_address(text: str) -> Address:
    """The parts of 'ENTITY/PROJECT'.

    Raises:
        UserError: it is not of this form, or wandb-workspaces is not installed.
    """
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise UserError(f"--wandb '{text}': give ENTITY/PROJECT, for example my-team/handan")
    for package in ("wandb", "wandb_workspaces"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"--wandb needs {package}, which is not installed; run {INSTALL}")
    return Address(**found.groupdict())


def publish(study: Comparison, address: Address, offline: Path | None) -> str:
    """Save the report of a study, or only its spec if ``offline`` is a file.

    Returns:
        What was done, in one sentence.

    Raises:
        UserError: there is no login or no network, W&B refuses the report, or the file cannot be
            written.
    """

    text = validated(study, address)
    if offline is None:
        return f"saved {printable(save(study, address))}"
    write_text(offline, text)
    return f"wrote {printable(str(offline))}, which wandb-workspaces reads back unchanged"


# The W&B runs of the arms: how each is found, and how it looks in every panel.

# Lines have no markers in W&B, so arms differ in dashes, too; dotted lines are bounds.
MARKS = ("solid", "dashed", "dotdash", "dotdotdash", "points")
BOUND_MARK = "dotted"


@dataclass(frozen=True)
class TrackedArm:
    """An arm that has a run in W&B.

    Attributes:
        arm: the arm.
        run_id: of its run; None if run.json does not have it.
        section, key, value: what W&B is asked for to find the run.
        address: where the run is.
        colour, mark: of its lines.
    """

    arm: Arm
    run_id: str | None
    section: str
    key: str
    value: str
    address: Address
    colour: str
    mark: str

    @property
    def label(self) -> str:
        """Its name in legends and run sets."""
        return label(self.arm.name)

    def run_set(self, placed: bool) -> wr.Runset:
        """The run set of this arm alone.

        Args:
            placed: names entity and project, which W&B looks up as soon as the report is built;
                without them a run set means the project of its report.
        """
        asked = expr.Filters(
            op="=", key=expr.Key(section=self.section, name=self.key), value=self.value
        )
        model = internal.Runset(
            id=content_hash(["run set", self.arm.name])[:11],
            name=self.label,
            filters=expr.filters_tree_to_v2(expr.Filters(op="AND", filters=[asked])),
            project=self.project() if placed else None,
        )
        # A filter given as an expression is parsed as code, which a name of others must not be.
        return wr.Runset._from_model(model)

    def project(self) -> internal.Project:
        """Its place as the spec has it."""
        return internal.Project(name=self.address.project, entity_name=self.address.entity)


def label(name: object) -> str:
    """A name where W&B would replace '${...}' and '[[...]]', as in legends: it stays a name."""
    return plain(name).replace("${", "$ {").replace("[[", "[ [")


def tracked_arms(study: Comparison, address: Address) -> list[TrackedArm]:
    """The arms with a run in W&B, in the study's order.

    An arm is found by the id that run.json has of its run, or else by the run's name. A trained
    arm without either is looked for by its name in the configs of runs.
    """
    found: list[TrackedArm] = []
    every_look = looks(study.arms)
    for arm in study.arms:
        if not arm.training:
            continue
        recorded = arm.training.get("wandb")
        run: dict[str, Any] = recorded if isinstance(recorded, dict) else {}
        if run.get("id"):
            asked = ("run", "name", str(run["id"]))
        elif run.get("name"):
            asked = ("run", "displayName", str(run["name"]))
        else:
            asked = ("config", "arm", arm.name)
        found.append(
            TrackedArm(
                arm,
                str(run["id"]) if run.get("id") else None,
                *asked,
                Address(run.get("entity") or address.entity, run.get("project") or address.project),
                every_look[arm.name].light,
                MARKS[len(found) % len(MARKS)],
            )
        )
    return found


# The panels of the report, each over metrics that these runs have logged, and no others.

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


# What the report says in words and tables, as blocks whose text W&B does not interpret.

SHOWN_TABLES = ("alignment", "contrasts", "inflation", "budgets")
HOW_TO_READ = (
    "Lines are the small suite that is asked along training{items}; the thin dotted lines in the "
    "same colour are the bounds of its 95 % interval over items, since W&B fills no area between "
    "two metrics. Below 0, fewer tokens go where people take longer."
)
SLOPES = (
    "Each axis of the slopes has a range of its own, so a line that falls on the screen need not "
    "be a fall. The scatter beside it has one range for both axes: a run above the diagonal from "
    "corner to corner has risen, one below it has fallen."
)
ITEMS = (
    "One row an item of the last probe. For the traces behind the points see the page of "
    "handan report --output report.html."
)
NOTHING_LOGGED = (
    "None of these runs has a course in W&B: train with --report_to wandb and --probe_steps."
)


def paragraph(text: str) -> wr.P:
    """Text as it is: neither Markdown nor HTML."""
    return wr.P(plain(text))


def bullets(texts: Iterable[str]) -> list[wr.UnorderedList]:
    """A list of texts; nothing if there is none."""
    items = [plain(text) for text in texts]
    return [wr.UnorderedList(items=items)] if items else []


def answer(study: Comparison) -> list:
    """The answer in a few sentences."""
    return [wr.H2("The answer in these runs"), *bullets(summary(study.main))]


def verdicts(group: Group) -> list:
    """Every claim of the study but multipliers: verdict, effect, interval, n, qualifications."""
    shown = [claim for claim in claims(group) if claim.about != "multiplier"]
    return [block for claim in shown for block in _verdict(claim)]


def _verdict(claim: Claim) -> list:
    explained = [confound.short for confound in claim.confounds]
    more = [claim.power, *claim.notes, *explained]
    more += [f"The study reports: {claim.reported}"] if claim.reported else []
    return [
        wr.H3(plain(claim.question)),
        wr.CalloutBlock(plain(f"{claim.between}: {claim.label}")),
        paragraph(claim.statement),
        paragraph(f"{sentence(claim.evidence)}."),
        *bullets(text for text in more if text),
    ]


def other_explanations(study: Comparison) -> list:
    """What else could explain the verdicts: what applies, then what was checked and does not."""
    checks = confounds(study)
    return [
        wr.H2("What else could explain it"),
        *bullets(_said(check) for check in checks if check.applies),
        wr.H3("Checked, and no explanation here"),
        *bullets(_said(check) for check in checks if not check.applies),
    ]


def _said(check: Confound) -> str:
    return f"{check.title}: {check.text}"


def which_runs(study: Comparison, runs: Sequence[TrackedArm]) -> list:
    """Which arm is which run, and which arms are numbers only."""
    ways = {"name": "run id", "displayName": "run name", "arm": "the config value 'arm'"}
    said = [
        f"{run.arm.name} ({run.arm.role}): found by {ways[run.key]} = {run.value} in "
        f"{run.address.entity}/{run.address.project}"
        for run in runs
    ]
    with_run = [run.arm.name for run in runs]
    said += [
        f"{arm.name} ({arm.role}): no W&B run; in the text and the tables only"
        for arm in study.arms
        if arm.name not in with_run
    ]
    return [wr.H2("Runs"), *bullets(said)]


def how_to_read(group: Group, runs: Sequence[TrackedArm]) -> wr.P:
    """What the lines are, and the values beside them, which W&B's line plots cannot hold."""
    asked = sorted({count for run in runs if (count := num_probed_items(run.arm)) is not None})
    items = f", n = {listing(list(map(str, asked)))} items" if asked else ""
    parts = []
    if (ceiling := group.ceiling()) is not None:
        parts.append(f"human ceiling {correlation(ceiling)}")
    for arm in group.arms:
        figures = group.figures(arm.name) or {}
        if arm.kind in ("base", "teacher") and figures.get("mean_r_loglog") is not None:
            interval = bounds(figures["mean_r_loglog_ci"])
            parts.append(f"{arm.noun} {correlation(figures['mean_r_loglog'])} {interval}")
    shown = f" For comparison, from the final evaluation: {listing(parts)}." if parts else ""
    return paragraph(HOW_TO_READ.format(items=items) + shown)


def inflation(study: Comparison) -> list:
    """Whether arms are their base times a constant, from the final evaluation."""
    found = [claim for group in study.groups for claim in multiplier_claims(group)]
    return bullets(
        f"{claim.between}: {claim.label}. {claim.statement} {sentence(claim.evidence)}."
        for claim in found
    )


def final_tables(study: Comparison) -> list:
    """The figures of the final evaluation, all names escaped."""
    result = study.alignment() | {"budgets": compared(study)}
    details = [
        wr.MarkdownBlock(as_markdown(without(table, table.files_only)))
        for table in tables(result)
        if table.name in SHOWN_TABLES
    ]
    return [
        wr.H2("Final evaluation"),
        wr.MarkdownBlock(as_markdown(_arms(study.main))),
        wr.H3("Every figure, contrast, fit and budget", collapsed_blocks=details),
    ]


def _arms(group: Group) -> Table:
    kinds = {"arm": "text", "role": "text", "n": "count", "mean r": "estimate"}
    kinds |= {"mean r, T = 0": "estimate", "accuracy": "number", "tokens": "tokens"}
    kinds |= {"cut at the cap": "number", "no reasoning": "number"}
    rows = [
        [
            *(row["arm"].name, row["arm"].role, _num_items(group, row["arm"].name)),
            *((row["mean"], row["mean_ci"]), (row["cold"], row["cold_ci"])),
            *(row["accuracy"], row["mean_tokens"], row["cap_rate"], row["no_reasoning_rate"]),
        ]
        for row in arm_rows(group)
    ]
    title = f"Arms, over human tasks; human ceiling {correlation(group.ceiling())}"
    return Table("arms", title, kinds, rows)


def _num_items(group: Group, arm: str) -> int:
    tasks = [task for task in group.tasks("human") if task in group.costs[arm]]
    return sum(len(group.costs[arm][task].items) for task in tasks)


# The whole report, its spec, and how it gets into W&B.

TITLE = "Alignment with human time over training"


def report_of(study: Comparison, address: Address, placed: bool) -> wr.Report:
    """The report as an object of wandb-workspaces.

    Args:
        study: the runs.
        address: where the report belongs.
        placed: run sets name entity and project; building the spec then asks W&B for them.
    """
    runs, group = tracked_arms(study, address), study.main
    blocks = [
        wr.TableOfContents(),
        *answer(study),
        wr.H2("Verdicts"),
        *verdicts(group),
        *other_explanations(study),
        *which_runs(study, runs),
        wr.H2("Alignment along training"),
    ]
    if MEAN_R in logged(runs):
        blocks += _courses(study, runs, placed)
    else:
        blocks.append(paragraph(NOTHING_LOGGED))
    for other in study.groups[1:]:
        if said := verdicts(other):
            blocks += [wr.H2("Measured under other conditions"), *said]
    blocks += final_tables(study)
    return wr.Report(
        entity=address.entity,
        project=address.project,
        title=TITLE,
        description=plain(f"Arms: {listing([arm.name for arm in study.arms])}"),
        blocks=blocks,
        width="fluid",
    )


def _courses(study: Comparison, runs: list[TrackedArm], placed: bool) -> list:
    """Everything that W&B draws."""
    group = study.main
    parts = [
        ([how_to_read(group, runs)], alignment_panels(group, runs)),
        (
            [wr.H2("Accuracy, length, and how responses end")],
            course_panels(runs),
        ),
        (
            [wr.H2("Is it the start times a constant?"), *inflation(study)],
            inflation_panels(runs),
        ),
        ([wr.H2("Task by task")], task_panels(group, runs)),
        (
            [wr.H2("Before and after"), paragraph(SLOPES)],
            before_and_after_panels(runs),
        ),
        ([wr.H2("Items"), paragraph(ITEMS)], item_panels()),
    ]
    return [
        block for words, drawn in parts if drawn for block in (*words, grid(runs, drawn, placed))
    ]


def validated(study: Comparison, address: Address) -> str:
    """The spec as JSON, made without network; wandb-workspaces reads it back as it was.

    Run sets get their place at the end: wandb-workspaces would look it up in W&B. The spec thus
    has names of projects, and W&B's internal numbers for them only once the report is saved.
    """
    model = report_of(study, address, placed=False)._to_model()
    places = {run.run_set(placed=False)._id: run.project() for run in tracked_arms(study, address)}
    for block in model.spec.blocks:
        if isinstance(block, internal.PanelGrid):
            for run_set in block.metadata.run_sets:
                run_set.project = places[run_set.id]
    text = model.model_dump_json(by_alias=True, exclude_none=True, indent=1)
    if read_back(text) != model:
        raise RuntimeError("wandb-workspaces does not read back the spec that it wrote")
    return text + "\n"


def read_back(text: str) -> internal.ReportViewspec:
    """A spec as wandb-workspaces loads it, every block and panel in its own type.

    Raises:
        pydantic.ValidationError: it is no spec.
    """
    model = internal.ReportViewspec.model_validate_json(text)
    for block in model.spec.blocks:
        for child in getattr(block, "children", ()):
            # Where a text has no comments, reading puts an empty list of them.
            if isinstance(child, internal.Text):
                child.inline_comments = child.inline_comments or None
    return model


def save(study: Comparison, address: Address) -> str:
    """Save the report in W&B and return its address.

    Raises:
        UserError: there is no login or no network, or W&B refuses the report.
    """
    cure = "or give --offline OUT.json to write the report's spec without W&B"
    try:
        if not wandb.login(prompt=False):
            raise UserError(
                f"no key of W&B is known, or WANDB_MODE is offline; run wandb login, {cure}"
            )
        return report_of(study, address, placed=True).save().url
    except (wandb.errors.Error, WandbApiFailedError, ValueError) as error:
        reason = printable(" ".join(str(error).split())).rstrip(".")
        raise UserError(
            f"{address.entity}/{address.project}: W&B did not take the report ({reason}); see "
            f"wandb login and whether the runs are there, {cure}"
        ) from None
