"""The whole report, its spec, and how it gets into W&B."""

import wandb
import wandb_workspaces.reports.v2 as wr
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb_workspaces.reports.v2 import internal

from handan.errors import UserError, printable
from handan.report.data import Study
from handan.report.notation import listing, plain
from handan.report.wandb_report import Address, panels, text
from handan.report.wandb_report.run_sets import TrackedArm, tracked_arms

TITLE = "Alignment with human time over training"


def report_of(study: Study, address: Address, placed: bool) -> wr.Report:
    """The report as an object of wandb-workspaces.

    Args:
        study: the runs.
        address: where the report belongs.
        placed: run sets name entity and project; building the spec then asks W&B for them.
    """
    runs, group = tracked_arms(study, address), study.main
    blocks = [
        wr.TableOfContents(),
        *text.answer(study),
        wr.H2("Verdicts"),
        *text.verdicts(group),
        *text.other_explanations(study),
        *text.which_runs(study, runs),
        wr.H2("Alignment along training"),
    ]
    if panels.MEAN_R in panels.logged(runs):
        blocks += _courses(study, runs, placed)
    else:
        blocks.append(text.paragraph(text.NOTHING_LOGGED))
    for other in study.groups[1:]:
        if said := text.verdicts(other):
            blocks += [wr.H2("Measured under other conditions"), *said]
    blocks += text.final_tables(study)
    return wr.Report(
        entity=address.entity,
        project=address.project,
        title=TITLE,
        description=plain(f"Arms: {listing([arm.name for arm in study.arms])}"),
        blocks=blocks,
        width="fluid",
    )


def _courses(study: Study, runs: list[TrackedArm], placed: bool) -> list:
    """Everything that W&B draws."""
    group = study.main
    parts = [
        ([text.how_to_read(group, runs)], panels.alignment_panels(group, runs)),
        (
            [wr.H2("Accuracy, length, and how responses end")],
            panels.course_panels(runs),
        ),
        (
            [wr.H2("Is it the start times a constant?"), *text.inflation(study)],
            panels.inflation_panels(runs),
        ),
        ([wr.H2("Task by task")], panels.task_panels(group, runs)),
        (
            [wr.H2("Before and after"), text.paragraph(text.SLOPES)],
            panels.before_and_after_panels(runs),
        ),
        ([wr.H2("Items"), text.paragraph(text.ITEMS)], panels.item_panels()),
    ]
    return [
        block
        for words, drawn in parts
        if drawn
        for block in (*words, panels.grid(runs, drawn, placed))
    ]


def validated(study: Study, address: Address) -> str:
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


def save(study: Study, address: Address) -> str:
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
