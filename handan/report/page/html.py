"""The page as HTML: everything that is said and shown, put into ``page.html.j2``."""

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from handan import budgets, norms
from handan.report import notation
from handan.report.course import course, swept
from handan.report.data import Group, Study
from handan.report.notation import listing, name, number
from handan.report.page.browser_data import browser_data
from handan.report.page.charts import charts
from handan.report.page.charts.specifications import library
from handan.report.page.traces import SAMPLE, read_traces
from handan.report.pictures.drawing import Look, colour, looks, variables
from handan.report.pictures.inline import shown_pictures
from handan.report.words import rows
from handan.report.words.along import along_training
from handan.report.words.budget import compared, facts, spent, trace_sentences
from handan.report.words.confounds import confounds
from handan.report.words.missing import missing
from handan.report.words.summary import summary
from handan.report.words.verdicts import claims, shown_verdict

FOLDER = Path(__file__).parent
OWN_SCRIPTS = ("page.js", "traces.js")

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


def report_command(runs: Sequence[Path], output: Path, tolerance: float) -> str:
    """The command that makes this page."""
    words = ["handan", "report", *map(str, runs), "--output", str(output)]
    return shlex.join([*words, "--budget_tolerance", f"{tolerance:g}"])


def render(study: Study, command: str) -> str:
    """The whole page as HTML."""
    group, every_look = study.main, looks(study.arms)
    ledger = [spent(arm) for arm in study.arms]
    checks, drawn = confounds(study), charts(study, every_look)
    traces = read_traces(study)
    scripts = [library(), *((FOLDER / name).read_text("utf-8") for name in OWN_SCRIPTS)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # No text of others, wherever it is printed, may move, hide or reorder anything.
        finalize=lambda value: value if isinstance(value, Markup) else notation.plain(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "r": notation.correlation,
        "ci": notation.bounds,
        "percent": notation.percent,
        "count": notation.count,
        "number": notation.number,
        "scientific": notation.scientific,
        "p": notation.p_value,
        "words": notation.name,
        "tied": notation.tied,
        "sentence": notation.sentence,
        "verdict": shown_verdict,
    }
    return environment.get_template("page.html.j2").render(
        command=command,
        variables=variables(),
        looks=every_look,
        colours={arm: colour(look) for arm, look in every_look.items()},
        study=study,
        group=group,
        tasks=group.tasks("human"),
        analytic_tasks=group.tasks("analytic"),
        measured=measured(group),
        summary=summary(group),
        claims=claims(group, study.tolerance),
        missing=missing(group),
        applying=[check for check in checks if check.applies],
        clear=[check for check in checks if not check.applies],
        arms=rows.arm_rows(group),
        details=rows.detail_rows(group, "human"),
        pictures=shown_pictures(group, every_look),
        charts=drawn,
        charts_data=htmlsafe_json_dumps(
            drawn.payload | {"marks": _marks(every_look)}, separators=(",", ":"), allow_nan=False
        ),
        scripts=[Markup(script) for script in scripts],
        policy=policy(scripts),
        trained_arms=[
            (arm, rows_of[-1]["step"]) for arm in study.arms if len(rows_of := course(arm)) > 1
        ],
        moved=along_training(study.arms),
        swept_arms=[arm.name for arm in study.arms if swept(arm)],
        filters={"arm": [arm.name for arm in study.arms], "task": _tasks(study)},
        formats=[
            {
                "group": of_group,
                "rows": rows.format_rows(of_group),
                "sentences": rows.format_sentences(of_group),
                "claims": claims(of_group, study.tolerance) if of_group is not group else [],
            }
            for of_group in study.groups
        ],
        analytic=[
            {
                "group": of_group,
                "rows": rows.analytic_rows(of_group),
                "sentences": rows.analytic_sentences(of_group),
                "tasks": of_group.tasks("analytic"),
            }
            for of_group in study.groups
            if of_group.tasks("analytic")
        ],
        inflation=[row for of_group in study.groups for row in of_group.result["inflation"]],
        contrasts=[row for of_group in study.groups for row in of_group.result["contrasts"]],
        traces=traces,
        sample=SAMPLE,
        responses=htmlsafe_json_dumps(
            browser_data(traces, study, every_look), ensure_ascii=False, separators=(",", ":")
        ),
        ledger=ledger,
        budgets=compared(study),
        measures=budgets.MEASURES,
        trace_sentences=trace_sentences(study),
        facts={arm.name: facts(study, arm) for arm in study.arms},
        settings=group.result["settings"],
        notes=[note for of_group in study.groups for note in of_group.result["notes"]],
        glossary=GLOSSARY,
    )


def policy(scripts: Sequence[str]) -> str:
    """The page's Content-Security-Policy: these scripts run, no other does, nothing is loaded."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _marks(of_arms: Mapping[str, Look]) -> dict[str, dict[str, str]]:
    return {
        notation.plain(arm): {"character": look.character, "colour": colour(look)}
        for arm, look in of_arms.items()
    }


def _tasks(study: Study) -> list[str]:
    """Names of all tasks of all groups, human ones first."""
    found = [
        task
        for source in ("human", "analytic")
        for group in study.groups
        for task in group.tasks(source)
    ]
    return list(dict.fromkeys(found))


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
