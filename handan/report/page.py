"""What a report says, whatever it is written in: the words and tables of a study."""

import base64
import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from handan import budgets, escaping, norms
from handan.alignment.costs import split_name
from handan.report import formatting
from handan.report import summary as rows
from handan.report.comparison import Comparison, Group, course, swept
from handan.report.confounds import compared, confounds, facts, spent, trace_sentences
from handan.report.formatting import listing, name, number
from handan.report.plot_page import charts, inline_plots
from handan.report.plot_styles import Looks, css, library, looks, variables
from handan.report.plots import KINDS, file_name, gallery, save
from handan.report.summary import along_training, summary
from handan.report.trace_browser import SAMPLE, browser_data, read_traces
from handan.report.verdicts import claims, missing, shown_verdict

GLOSSARY = {
    "Reasoning tokens": "the tokens a model writes between its thinking tags, before the answer; "
    "counted on the ids it generated unless it is said otherwise. They are its cost of an item; a "
    "model without such tags may be given its whole response instead.",
    "r": "Pearson correlation over items of log tokens (mean over an item's responses) with log "
    "time (mean over people); 'raw' is without logarithms, Spearman's uses ranks. It runs from "
    "minus 1 over 0 (no relation) to 1; below 0, fewer tokens go where people take longer.",
    "Mean r": "mean over human tasks through Fisher's z.",
    "Interval": "95 %, from a bootstrap over items within tasks, in square brackets; percentiles "
    "are expanded so that few items do not make it too short. If it holds 0, no sign is shown.",
    "Preserved within ±.1": "the 90 % interval of a difference lies inside ±.1 (two one-sided "
    "tests at 5 %). 'No evidence either way' is neither a difference nor its absence.",
    "Holm": "correction of the p values for the number of contrasts on the human mean in a group "
    "of arms, those at T = 0 included.",
    "Human ceiling": "square root of the reliability of people's mean times: about the r that a "
    "model would reach which knew people's true times. r / ceiling is the share reached.",
    "Model reliability": "the share of the variance of items' mean lengths that is not chance, by "
    "the variance of lengths within items; low if lengths are mostly chance.",
    "T": "temperature of decoding: at T = 1 each token is drawn from the model's distribution, at "
    "T = 0 the likeliest one is taken, so nothing is left to chance.",
    "RL, GRPO": "reinforcement learning: the model answers, right answers are rewarded. GRPO "
    "rewards an answer relative to others to the same prompt.",
    "SFT": "supervised fine-tuning: the student learns to write a teacher's traces word by word.",
    "Base, teacher, student, control": "the model training began with; the one whose traces are "
    "imitated; the one that imitates; a student that imitates a model trained from its own base.",
    "Collapse, negative transfer": "the study's names for a student whose r is lower than its "
    "teacher's, and lower than its base's.",
    "Flawless trace, oracle": "the steps of the trace format without error, filler or repetition; "
    "its length is known without any model.",
    "Analytic cost": "a formula for the difficulty of an item, where no people were measured.",
    "Cap": "the most tokens a model may generate; longer answers are cut.",
    "No reasoning, unparsed": "answers with an empty thinking span; answers that cannot be read.",
}

# How templates write numbers and names.
FILTERS: dict[str, Callable] = {
    "r": formatting.correlation,
    "ci": formatting.bounds,
    "percent": formatting.percent,
    "count": formatting.count,
    "number": formatting.number,
    "scientific": formatting.scientific,
    "p": formatting.p_value,
    "words": formatting.name,
    "tied": formatting.tied,
    "sentence": formatting.sentence,
    "verdict": shown_verdict,
    "arm_of": lambda model: split_name(model)[0],
}


def report_command(runs: Sequence[Path], output: Path, tolerance: float) -> str:
    """The command that makes this page."""
    words = ["handan", "report", *map(str, runs), "--output", str(output)]
    return shlex.join([*words, "--budget_tolerance", f"{tolerance:g}"])


def content(study: Comparison, command: str) -> dict[str, Any]:
    """Everything that a template says, by the names it has there; no plot and no markup."""
    group, checks = study.main, confounds(study)
    return {
        "command": command,
        "study": study,
        "group": group,
        "tasks": group.tasks("human"),
        "analytic_tasks": group.tasks("analytic"),
        "measured": measured(group),
        "summary": summary(group),
        "claims": claims(group, study.tolerance),
        "missing": missing(group),
        "applying": [check for check in checks if check.applies],
        "clear": [check for check in checks if not check.applies],
        "arms": rows.arm_rows(group),
        "details": rows.detail_rows(group, "human"),
        "trained_arms": [
            (arm, rows_of[-1]["step"]) for arm in study.arms if len(rows_of := course(arm)) > 1
        ],
        "swept_arms": [arm.name for arm in study.arms if swept(arm)],
        "moved": along_training(study.arms),
        "course_rows": rows.course_rows(study.arms),
        "formats": [
            {
                "group": of_group,
                "rows": rows.format_rows(of_group),
                "sentences": rows.format_sentences(of_group),
                "claims": claims(of_group, study.tolerance) if of_group is not group else [],
            }
            for of_group in study.groups
        ],
        "analytic": [
            {
                "group": of_group,
                "rows": rows.analytic_rows(of_group),
                "sentences": rows.analytic_sentences(of_group),
                "tasks": of_group.tasks("analytic"),
            }
            for of_group in study.groups
            if of_group.tasks("analytic")
        ],
        "inflation": [row for of_group in study.groups for row in of_group.result["inflation"]],
        "contrasts": [row for of_group in study.groups for row in of_group.result["contrasts"]],
        "ledger": [spent(arm) for arm in study.arms],
        "budgets": compared(study),
        "measures": budgets.MEASURES,
        "trace_sentences": trace_sentences(study),
        "facts": {arm.name: facts(study, arm) for arm in study.arms},
        "settings": group.result["settings"],
        "notes": [note for of_group in study.groups for note in of_group.result["notes"]],
        "glossary": GLOSSARY,
    }


def measured(group: Group) -> list[str]:
    """What was put to the models, and to how many people."""
    said = []
    for source in ("human", "analytic"):
        parts = [_task_measured(group, task, source) for task in group.tasks(source)]
        if parts:
            against = "Against people's time" if source == "human" else "Against an analytic cost"
            said.append(f"{against}: {listing(parts)}.")
    conditions: Mapping[str, Any] = group.conditions
    samples, cap = conditions.get("samples"), conditions.get("max_new_tokens")
    if isinstance(samples, int) and isinstance(conditions.get("temperature"), (int, float)):
        cold = " and one at T = 0" if any(arm.greedy for arm in group.arms) else ""
        text = f"{samples} responses to each item at T = {conditions['temperature']:g}{cold}"
        said.append(f"{text}, of at most {number(cap, 0)} tokens." if cap else f"{text}.")
    return said


def _task_measured(group: Group, task: str, source: str) -> str:
    costs = next(group.costs[arm.name][task] for arm in group.arms if task in group.costs[arm.name])
    text = f"{len(costs.items)} items of {name(task)}"
    if source == "human" and costs.norms:
        people = norms.load(task, costs.norms).participants
        text += f" ({people} people, source {costs.norms})"
    return text


# The page as HTML: everything that is said and shown, put into ``page.html.j2``.

FOLDER = Path(__file__).with_name("templates")
OWN_SCRIPTS = ("page.js", "traces.js")


def render(study: Comparison, command: str) -> str:
    """The whole page as HTML."""
    every_look = looks(study.arms)
    drawn = charts(study, every_look)
    traces = read_traces(study)
    scripts = [library(), *((FOLDER / name).read_text("utf-8") for name in OWN_SCRIPTS)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # No text of others, wherever it is printed, may move, hide or reorder anything.
        finalize=lambda value: value if isinstance(value, Markup) else formatting.plain(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment.get_template("page.html.j2").render(
        **content(study, command),
        variables=variables(),
        looks=every_look,
        colours={arm: css(look.light) for arm, look in every_look.items()},
        plots=inline_plots(study.main, every_look),
        charts=drawn,
        charts_data=htmlsafe_json_dumps(
            {**drawn.payload, "marks": _marks(every_look)}, separators=(",", ":"), allow_nan=False
        ),
        scripts=[Markup(script) for script in scripts],
        policy=policy(scripts),
        filters={"arm": [arm.name for arm in study.arms], "task": _tasks(study)},
        traces=traces,
        sample=SAMPLE,
        responses=htmlsafe_json_dumps(
            browser_data(traces, study, every_look), ensure_ascii=False, separators=(",", ":")
        ),
    )


def policy(scripts: Sequence[str]) -> str:
    """The page's Content-Security-Policy: these scripts run, no other does, nothing is loaded."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _marks(of_arms: Looks) -> dict[str, dict[str, str]]:
    return {
        formatting.plain(arm): {"character": look.character, "colour": css(look.light)}
        for arm, look in of_arms.items()
    }


def _tasks(study: Comparison) -> list[str]:
    """Names of all tasks of all groups, human ones first."""
    found = [
        task
        for source in ("human", "analytic")
        for group in study.groups
        for task in group.tasks(source)
    ]
    return list(dict.fromkeys(found))


# The report as Markdown: ``report.md.j2`` with the same words as the page, figures beside it.

FIGURES = "report_figures"  # the folder of the figures, beside the report


class Shown(NamedTuple):
    """A figure of the report: its title, its caption, and where it is."""

    title: str
    caption: str
    path: Markup


def render_markdown(study: Comparison, folder: Path, command: str) -> str:
    """The whole report as GitHub's Markdown; its figures are written into a folder beside it.

    Args:
        study: what is reported.
        folder: where the report will be.
        command: that makes the report.

    Raises:
        UserError: the figures cannot be written.
    """
    plots, left_out = gallery(study)
    save(plots, folder / FIGURES, ("png",))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # No text of others, wherever it is printed, means anything in Markdown.
        finalize=lambda value: value if isinstance(value, Markup) else escaping.escape(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | {"block": escaping.block}
    shown: dict[str, list[Shown]] = {kind: [] for kind in KINDS}
    for plot in plots:
        path = Markup(f"{FIGURES}/{file_name(plot)}.png")
        shown[plot.kind].append(Shown(plot.title, plot.caption, path))
    return environment.get_template("report.md.j2").render(
        **content(study, command),
        plots=shown,
        left_out=[(KINDS[of.kind].title, of.group, of.reason) for of in left_out],
        traces=read_traces(study),
        sample=SAMPLE,
    )
