"""What the report says in words and tables, as blocks whose text W&B does not interpret."""

from collections.abc import Iterable, Sequence

import wandb_workspaces.reports.v2 as wr

from handan.alignment.output.render import Table, as_markdown, without
from handan.alignment.output.tables import tables
from handan.report.data import Group, Study
from handan.report.notation import bounds, correlation, listing, plain, sentence
from handan.report.pictures.curves import num_probed_items
from handan.report.wandb_report.run_sets import TrackedArm
from handan.report.words.budget import compared
from handan.report.words.confounds import Confound, confounds
from handan.report.words.multiplier import multiplier_claims
from handan.report.words.rows import arm_rows
from handan.report.words.summary import summary
from handan.report.words.verdicts import Claim, claims

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


def answer(study: Study) -> list:
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


def other_explanations(study: Study) -> list:
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


def which_runs(study: Study, runs: Sequence[TrackedArm]) -> list:
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


def inflation(study: Study) -> list:
    """Whether arms are their base times a constant, from the final evaluation."""
    found = [claim for group in study.groups for claim in multiplier_claims(group)]
    return bullets(
        f"{claim.between}: {claim.label}. {claim.statement} {sentence(claim.evidence)}."
        for claim in found
    )


def final_tables(study: Study) -> list:
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
