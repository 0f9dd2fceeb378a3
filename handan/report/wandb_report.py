"""``handan report --wandb``: the runs as a report in Weights & Biases, or its spec offline."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import wandb
import wandb_workspaces.reports.v2 as wr
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import internal
from wandb_workspaces.reports.v2.interface import Panel

from handan import formatting
from handan.alignment.measures import BY_KEY, CURVES, PAIRS, SHARE, TOKENS
from handan.alignment.tables import tables
from handan.errors import UserError, printable
from handan.files import content_hash, write_text
from handan.formatting import correlation, estimate, listing, name, plain, sentence
from handan.report.comparison import FULL, WORDS, Arm, Comparison, Group
from handan.report.page import markdown_table
from handan.report.plot_data import num_probed_items
from handan.report.plot_styles import looks
from handan.report.report_tables import arm_table
from handan.report.summary import confounds, summary
from handan.report.verdicts import claims

STEP = "train/global_step"
AXES = {
    STEP: "training step",
    "budget/trained_tokens": "trained tokens",
    "budget/model_flops": "model FLOPs",
    "budget/device_seconds": "device-seconds of training",
}
MEAN_R, ACCURACY = BY_KEY["mean_r_loglog"].curve, BY_KEY["accuracy"].curve
START = "start/"
# Lines have no markers in W&B, so arms differ in dashes, too; dotted lines are bounds.
MARKS = ("solid", "dashed", "dotdash", "dotdotdash", "points")


class Address(NamedTuple):
    """The place of a report in W&B."""

    entity: str
    project: str


def publish(comparison: Comparison, address: Address, offline: Path | None) -> str:
    """Save the report, or only its spec if ``offline`` is a file, and say in a sentence which."""
    text = validated(comparison, address)
    if offline is not None:
        write_text(offline, text)
        return f"wrote {printable(str(offline))}, which wandb-workspaces reads back unchanged"
    cure = "or give --offline OUT.json to write the report's spec without W&B"
    unknown = f"no key of W&B is known, or WANDB_MODE is offline; run wandb login, {cure}"
    try:
        if not wandb.login(prompt=False):
            raise UserError(unknown)
        return f"saved {printable(report_of(comparison, address, placed=True).save().url)}"
    except (wandb.errors.Error, WandbApiFailedError, ValueError) as error:
        reason = printable(" ".join(str(error).split())).rstrip(".")
        failed = f"{address.entity}/{address.project}: W&B did not take the report ({reason})"
        see = f"see wandb login and whether the runs are there, {cure}"
        raise UserError(f"{failed}; {see}") from None


@dataclass(frozen=True)
class TrackedArm:
    """An arm that has a run in W&B."""

    arm: Arm
    run_id: str | None  # None if run.json does not have it
    asked: tuple[str, str, str]  # section, key and value by which W&B finds the run
    address: Address  # of the run
    colour: str
    mark: str

    def run_set(self, placed: bool) -> wr.Runset:
        """The run set of this arm; with ``placed`` it names its project, which W&B looks up."""
        section, key, value = self.asked
        asked = expr.Filters(op="=", key=expr.Key(section=section, name=key), value=value)
        model = internal.Runset(
            id=content_hash(["run set", self.arm.name])[:11],
            name=label(self.arm.name),
            filters=expr.filters_tree_to_v2(expr.Filters(op="AND", filters=[asked])),
            project=self.project() if placed else None,
        )
        # A filter given as an expression is parsed as code, which a name of others must not be.
        return wr.Runset._from_model(model)

    def project(self) -> internal.Project:
        return internal.Project(name=self.address.project, entity_name=self.address.entity)


def label(name: object) -> str:
    """A name where W&B would replace '${...}' and '[[...]]', as in legends: it stays a name."""
    return plain(name).replace("${", "$ {").replace("[[", "[ [")


def tracked_arms(comparison: Comparison, address: Address) -> list[TrackedArm]:
    """The trained arms; W&B finds them by the run's id, else its name, else 'arm' in its config."""
    found, every_look = [], looks(comparison.arms)
    for place, arm in enumerate(arm for arm in comparison.arms if arm.training):
        recorded = arm.training.get("wandb")
        run: dict[str, Any] = recorded if isinstance(recorded, dict) else {}
        run_id = str(run["id"]) if run.get("id") else None
        asked = ("run", "name", run_id) if run_id else ("config", "arm", arm.name)
        if run.get("name") and not run_id:
            asked = ("run", "displayName", str(run["name"]))
        own = Address(run.get("entity") or address.entity, run.get("project") or address.project)
        look, mark = every_look[arm.name], MARKS[place % len(MARKS)]
        found.append(TrackedArm(arm, run_id, asked, own, look.light, mark))
    return found


def logged(runs: Iterable[TrackedArm]) -> set[str]:
    """Names of all that the runs have logged; each panel shows such a metric."""
    return {key for run in runs for row in run.arm.metrics for key in row}


def line_plot(
    runs: Sequence[TrackedArm], metric: str, title: str, x: str = STEP, title_y: str | None = None
) -> wr.LinePlot:
    """A metric of every arm, and the bounds of its interval, thin and dotted, if logged."""
    ends, names = {"_ci_low": "lower bound", "_ci_high": "upper bound"}, logged(runs)
    bounds = {metric + end: said for end, said in ends.items() if metric + end in names}
    known = [(run, f"{run.run_id}:", label(run.arm.name)) for run in runs if run.run_id]
    of_lines = [(key + metric, named, run.mark, 2.0) for run, key, named in known]
    of_lines += [
        (key + bound, f"{named}, {said}", "dotted", 0.75)
        for _, key, named in known
        for bound, said in bounds.items()
    ]
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
        line_titles={line: title for line, title, _, _ in of_lines},
        line_colors={key + y: run.colour for run, key, _ in known for y in (metric, *bounds)},
        line_marks={line: mark for line, _, mark, _ in of_lines},
        line_widths={line: width for line, _, _, width in of_lines},
    )


def _courses(comparison: Comparison, runs: list[TrackedArm], placed: bool) -> Iterator[Any]:
    """Everything that W&B draws: words, panels, and in how many columns they stand."""
    group, names, between = comparison.main, logged(runs), WORDS["wandb"]
    courses = {of.curve: of.heading for of in CURVES if of.unit in (SHARE, TOKENS)}
    inflation = {of.curve: of.heading for of in PAIRS if of.curve}
    by_step, laws = (
        [line_plot(runs, key, title) for key, title in titles.items() if key in names]
        for titles in (courses, inflation)
    )
    multipliers = [
        f"{claim.between}: {claim.label}. {claim.statement} {sentence(claim.evidence)}."
        for of in comparison.groups
        for claim in claims(of)
        if claim.about == "multiplier"
    ]
    law = wr.H2("Is it the start times a constant?")
    parts: list[tuple[list, list[Panel], int]] = [
        ([_how_to_read(group, runs)], _alignment_panels(group, runs), 2),
        ([wr.H2("Accuracy, length, and how responses end")], by_step, 3),
        ([law, *_bullets(multipliers)], laws, 2),
        ([wr.H2("Task by task")], _task_panels(group, runs), 3),
        ([wr.H2("Before and after"), wr.P(between["slopes"])], _before_and_after_panels(runs), 3),
        ([wr.H2("Items"), wr.P(between["items"])], _item_panels(), 2),
    ]
    for words, panels, columns in parts:
        if panels:
            yield from (*words, _grid(runs, panels, columns, placed))


def _how_to_read(group: Group, runs: Sequence[TrackedArm]) -> wr.P:
    """Explain the lines, and give the values beside them, which W&B's line plots cannot hold."""
    asked = sorted({count for run in runs if (count := num_probed_items(run.arm)) is not None})
    items = f", n = {listing(list(map(str, asked)))} items" if asked else ""
    ceiling = group.ceiling()
    parts = [] if ceiling is None else [f"human ceiling {correlation(ceiling)}"]
    for arm in group.arms:
        r, interval = group.mean_r(arm.name)
        if arm.kind in ("base", "teacher") and r is not None:
            parts.append(f"{arm.noun} {estimate(r, interval)}")
    shown = f" For comparison, from the final evaluation: {listing(parts)}." if parts else ""
    return wr.P(plain(WORDS["wandb"]["how_to_read"].format(items=items) + shown))


def _alignment_panels(group: Group, runs: Sequence[TrackedArm]) -> list[Panel]:
    names = logged(runs)
    ceiling = f"mean r with people's time; ceiling {correlation(group.ceiling())}"
    axes = {x: words for x, words in AXES.items() if x == STEP or x in names}
    panels = [line_plot(runs, MEAN_R, f"Mean r by {axes[x]}", x, ceiling) for x in axes]
    if FULL + MEAN_R in names:
        panels.append(line_plot(runs, FULL + MEAN_R, "Mean r, full suite", title_y=ceiling))
    return panels


def _task_panels(group: Group, runs: Sequence[TrackedArm]) -> list[Panel]:
    """r of every probed task by training step, with the ceiling where the task is known."""
    start, end = BY_KEY["r_loglog"].task_curve.split("{task}")
    names = sorted(key for key in logged(runs) if key.startswith(start) and key.endswith(end))
    panels: list[Panel] = []
    for metric in names:
        task = metric.removeprefix(start).removesuffix(end)
        ceiling = f"r; ceiling {correlation(group.task_figure(task, 'ceiling'))}"
        panels.append(line_plot(runs, metric, name(task), title_y=ceiling))
    return panels


def _before_and_after_panels(runs: Sequence[TrackedArm]) -> list[Panel]:
    """Slopes from step 0 to the last probe, the same as a scatter, and accuracy against r."""
    first, last = wr.SummaryMetric(START + MEAN_R), wr.SummaryMetric(MEAN_R)
    tenths = [10 * row[MEAN_R] for run in runs for row in run.arm.metrics if MEAN_R in row]
    limits = math.floor(min(tenths)) / 10, math.ceil(max(tenths)) / 10
    ends = (first, "mean r at step 0"), (last, "mean r at the last probe")
    columns = [wr.ParallelCoordinatesPlotColumn(of, display_name=said) for of, said in ends]
    after = "Mean r: after (y) against before (x)"
    panels = [
        wr.ParallelCoordinatesPlot(title="Mean r before and after training", columns=columns),
        wr.ScatterPlot(title=after, x=first, y=last, range_x=limits, range_y=limits),
    ]
    if ACCURACY in logged(runs):
        title, accuracy = "Mean r (y) against accuracy (x), last probe", wr.SummaryMetric(ACCURACY)
        panels.append(wr.ScatterPlot(title=title, x=accuracy, y=last))
    return panels


def _item_panels() -> list[Panel]:
    table, title = "tables/probe", "Reasoning tokens (y) against people's seconds (x), by item"
    scatter = wr.CustomChart(
        query={"summaryTable": {"tableKey": table}},
        chart_name="wandb/scatter/v0",
        chart_fields={"x": "human_rt_s", "y": "mean_reasoning_tokens"},
        chart_strings={"title": title},
    )
    return [scatter, wr.WeavePanelSummaryTable(table_name=table)]


def _grid(runs: Sequence[TrackedArm], panels: list[Panel], columns: int, placed: bool) -> Any:
    """Panels in so many columns, with a run set for every arm."""
    width, height = 24 // columns, 9  # in units of W&B's grid
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        panel.layout = wr.Layout(x=width * column, y=height * row, w=width, h=height)
        # Random otherwise, and the same report would be another one each time.
        panel._id = f"panel-{place}"
    colours = {run.run_id: run.colour for run in runs if run.run_id}
    run_sets = [run.run_set(placed) for run in runs]
    return wr.PanelGrid(runsets=run_sets, panels=panels, custom_run_colors=colours)


def _which_runs(comparison: Comparison, runs: Sequence[TrackedArm]) -> Iterator[str]:
    """Say which arm is which run, and which arms are numbers only."""
    ways = {"name": "run id", "displayName": "run name", "arm": "the config value 'arm'"}
    for run in runs:
        _, key, value = run.asked
        place = f"{run.address.entity}/{run.address.project}"
        yield f"{run.arm.name} ({run.arm.role}): found by {ways[key]} = {value} in {place}"
    with_run = [run.arm.name for run in runs]
    for arm in (arm for arm in comparison.arms if arm.name not in with_run):
        yield f"{arm.name} ({arm.role}): no W&B run; in the text and the tables only"


def _bullets(texts: Iterable[str]) -> list[wr.UnorderedList]:
    """A list of texts, which W&B does not interpret; nothing if there is none."""
    items = [plain(text) for text in texts]
    return [wr.UnorderedList(items=items)] if items else []


def _verdicts(group: Group) -> Iterator[Any]:
    """Every claim but multipliers: verdict, effect, interval, n, qualifications."""
    for claim in (claim for claim in claims(group) if claim.about != "multiplier"):
        more = [claim.power, *claim.notes, *(confound.short for confound in claim.confounds)]
        if claim.reported:
            more.append(f"The paper (2601.05019) reports: {claim.reported}")
        yield wr.H3(plain(claim.question))
        yield wr.CalloutBlock(plain(f"{claim.between}: {claim.label}"))
        yield wr.P(plain(claim.statement))
        yield wr.P(plain(f"{sentence(claim.evidence)}."))
        yield from _bullets(text for text in more if text)


def report_of(comparison: Comparison, address: Address, placed: bool) -> wr.Report:
    """The report as an object of wandb-workspaces; see ``TrackedArm.run_set`` for ``placed``."""
    runs, checks = tracked_arms(comparison, address), confounds(comparison)
    said = [f"{check.title}: {check.text}" for check in checks]
    num_applying = sum(check.applies for check in checks)
    blocks = [
        *(wr.TableOfContents(), wr.H2("The answer in these runs")),
        *_bullets(summary(comparison.main)),
        *(wr.H2("Verdicts"), *_verdicts(comparison.main)),
        *(wr.H2("What else could explain it"), *_bullets(said[:num_applying])),
        *(wr.H3("Checked, and no explanation here"), *_bullets(said[num_applying:])),
        *(wr.H2("Runs"), *_bullets(_which_runs(comparison, runs))),
        wr.H2("Alignment along training"),
    ]
    none = "None of these runs has a course in W&B: train with --report_to wandb and --probe_steps."
    known = MEAN_R in logged(runs)
    blocks += _courses(comparison, runs, placed) if known else [wr.P(plain(none))]
    for other in comparison.groups[1:]:
        if verdicts := list(_verdicts(other)):
            blocks += [wr.H2("Measured under other conditions"), *verdicts]
    details = [
        wr.MarkdownBlock(formatting.as_markdown(formatting.without(table, table.files_only)))
        for table in tables(comparison.alignment())
        if table.name in ("alignment", "contrasts", "inflation", "budgets")
    ]
    arms = markdown_table(arm_table(comparison.main))
    blocks += [
        *(wr.H2("Final evaluation"), wr.MarkdownBlock(f"Arms, over human tasks\n\n{arms}\n")),
        wr.H3("Every figure, contrast, fit and budget", collapsed_blocks=details),
    ]
    return wr.Report(
        entity=address.entity,
        project=address.project,
        title="Alignment with human time over training",
        description=plain(f"Arms: {listing([arm.name for arm in comparison.arms])}"),
        blocks=blocks,
        width="fluid",
    )


def validated(comparison: Comparison, address: Address) -> str:
    """The spec as JSON, made without network, with names of projects in place of W&B's numbers."""
    model = report_of(comparison, address, placed=False)._to_model()
    runs = tracked_arms(comparison, address)
    places = {run.run_set(placed=False)._id: run.project() for run in runs}
    grids = [block for block in model.spec.blocks if isinstance(block, internal.PanelGrid)]
    for run_set in (run_set for grid in grids for run_set in grid.metadata.run_sets):
        run_set.project = places[run_set.id]
    text = model.model_dump_json(by_alias=True, exclude_none=True, indent=1)
    if read_back(text) != model:
        raise RuntimeError("wandb-workspaces does not read back the spec that it wrote")
    return text + "\n"


def read_back(text: str) -> internal.ReportViewspec:
    """A spec as wandb-workspaces loads it, every block and panel in its own type."""
    model = internal.ReportViewspec.model_validate_json(text)
    for block in model.spec.blocks:
        for child in getattr(block, "children", ()):
            # Where a text has no comments, reading puts an empty list of them.
            if isinstance(child, internal.Text):
                child.inline_comments = child.inline_comments or None
    return model
