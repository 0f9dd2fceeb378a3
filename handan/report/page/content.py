"""What a report says, whatever it is written in: the words and tables of a study."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from handan import budgets, norms
from handan.report import notation
from handan.report.course import course, swept
from handan.report.data import Group, Study
from handan.report.notation import listing, name, number
from handan.report.words import rows
from handan.report.words.along import along_training
from handan.report.words.budget import compared, facts, spent, trace_sentences
from handan.report.words.confounds import confounds
from handan.report.words.missing import missing
from handan.report.words.summary import summary
from handan.report.words.verdicts import claims, shown_verdict

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


def report_command(runs: Sequence[Path], output: Path, tolerance: float) -> str:
    """The command that makes this page."""
    words = ["handan", "report", *map(str, runs), "--output", str(output)]
    return shlex.join([*words, "--budget_tolerance", f"{tolerance:g}"])


def content(study: Study, command: str) -> dict[str, Any]:
    """Everything that a template says, by the names it has there; no picture and no markup."""
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
