"""The tables of the report as values, for HTML and Markdown alike, and how each arm was made."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan import budgets, formatting
from handan.alignment import measures
from handan.alignment.measures import ARMS, DETAILS, Measure
from handan.config import read_yaml
from handan.formatting import (
    UNKNOWN,
    correlation,
    count,
    hundredths,
    listing,
    name,
    number,
    percent,
)
from handan.report.comparison import Arm, Comparison, Group, course
from handan.report.verdicts import shown_verdict

COLUMNS = read_yaml(Path(__file__).with_name("columns.yaml"))  # of steps and of budgets
# A cell is a text, or a text with smaller ones under it.
Cell = str | tuple[str, ...]
FORMATS: dict[str, Callable[[Any], str]] = {
    measures.R: correlation,
    measures.SHARE: percent,
    measures.TOKENS: number,
    measures.COUNT: count,
}


class Column(NamedTuple):
    """Header of a column; ``kind`` is 'number', 'text' or 'model'; ``task`` if it is of one."""

    label: str
    kind: str = "number"
    task: str | None = None


class Row(NamedTuple):
    """Cells, and the model and task that they are of, by which a reader filters."""

    cells: Sequence[Cell]
    arm: str | None = None
    task: str | None = None


class Table(NamedTuple):
    """A table; ``label`` names it to those who cannot see it."""

    label: str
    columns: Sequence[Column]
    rows: Sequence[Row]


def joined(cell: Cell) -> str:
    """A cell on one line."""
    return cell if isinstance(cell, str) else " ".join(cell)


def arm_table(group: Group) -> Table:
    """One row an arm, over human tasks: r of each task, its mean, and means of other measures."""
    tasks, shown = group.tasks("human"), measures.shown(ARMS)
    rows = []
    for arm in group.arms:
        of_tasks = group.of_tasks(arm.name)
        cells: list[Cell] = [arm.name, arm.role]
        cells += [_r_and_share(of_tasks.get(task)) for task in tasks]
        cells += [_estimate(*group.mean_r(model)) for model in (arm.name, arm.greedy)]
        cells += [FORMATS[of.unit](group.over_tasks(arm.name, of.key)) for of in shown]
        rows.append(Row(cells, arm.name))
    ceilings = [correlation(group.task_figure(task, "ceiling")) for task in tasks]
    people = ["people", "human ceiling", *ceilings, correlation(group.ceiling())]
    rows.append(Row([*people, *[""] * (1 + len(shown))]))
    columns = [Column("Arm", "model"), Column("Role", "text")]
    columns += [Column(f"r, {name(task)}", task=task) for task in tasks]
    columns += map(Column, ("Mean r", "Mean r at T = 0", *map(_header, shown)))
    return Table("Table of arms", columns, rows)


def _r_and_share(figures: Mapping[str, Any] | None) -> Cell:
    """r of one task with its interval, and what share of the ceiling it reaches."""
    if figures is None:
        return UNKNOWN
    share = f"÷ ceiling {correlation(figures['r_loglog_normalized'])}"
    return (*_r(figures), *([share] if figures["ceiling"] else []))


def _r(figures: Mapping[str, Any] | None, key: str = "r_loglog") -> tuple[str, ...]:
    return _estimate(figures[key], figures[f"{key}_ci"]) if figures else (UNKNOWN,)


def _estimate(value: float | None, interval: Sequence[float] | None) -> tuple[str, ...]:
    return (UNKNOWN,) if value is None else (correlation(value), formatting.bounds(interval))


def detail_table(group: Group) -> Table:
    """Every measure of every model, with sampling and at T = 0, on every human task."""
    shown, rows = measures.shown(DETAILS), []
    for task, model in product(group.tasks("human"), group.models()):
        figures = group.of_tasks(model).get(task)
        if figures is not None:
            r, reliability = figures["r_loglog"], figures["reliability_model"]
            known = r is not None and reliability and reliability > 0
            figures = {**figures, "without_noise": r / reliability**0.5 if known else None}
            cells: list[Cell] = [model, name(task)]
            cells += [
                _r(figures) if of.key == "r_loglog" else FORMATS[of.unit](of.value(figures))
                for of in shown
            ]
            rows.append(Row(cells, model, task))
    columns = [Column("Model", "model"), Column("Task", "text")]
    return Table("All figures", [*columns, *map(Column, map(_header, shown))], rows)


def _header(measure: Measure) -> str:
    """Its label, with a capital unless it begins with a symbol such as r."""
    label = measure.label
    return label if len(label.split()[0]) == 1 else formatting.sentence(label)


def analytic_table(group: Group) -> Table:
    """One row an arm: r with the analytic cost, task by task, and the mean over them."""
    tasks, columns, rows = group.tasks("analytic"), [Column("Arm", "model")], []
    for arm in group.arms:
        cells: list[Cell] = [arm.name]
        for task in tasks:
            of = group.of_tasks(arm.name).get(task)
            known = of and (percent(of["accuracy"]), count(of["n"]))
            cells += [_r(of), *(known or (UNKNOWN, UNKNOWN))]
        cells += [_estimate(*group.mean_r(of, "analytic")) for of in (arm.name, arm.greedy)]
        rows.append(Row(cells, arm.name))
    for task in tasks:
        columns += [Column(of, task=task) for of in (f"r, {name(task)}", "Accuracy", "n")]
    columns += map(Column, ("Mean r", "Mean r at T = 0"))
    return Table(f"Analytic cost, suite {group.suite}", columns, rows)


def format_table(group: Group) -> Table:
    """Length with oracle and with people, task by task, for every model."""
    tasks, columns, rows = group.tasks("human"), [Column("Model", "model")], []
    oracle: list[Cell] = ["oracle: the flawless trace"]
    for task in tasks:
        labels = f"{formatting.sentence(name(task))}: r (length, oracle)", "r (length, people)"
        columns += [Column(label, task=task) for label in labels]
        oracle += ["", _r(group.of_tasks(group.arms[0].name).get(task), "oracle_human")]
    for model in group.models():
        of_tasks = [group.of_tasks(model).get(task) for task in tasks]
        cells = [_r(of, key) for of in of_tasks for key in ("r_oracle", "r_loglog")]
        rows.append(Row([model, *cells], model))
    return Table(f"Format control, suite {group.suite}", columns, [*rows, Row(oracle)])


def contrast_table(comparison: Comparison) -> Table:
    """All contrasts of all groups."""
    rows = []
    for row in comparison.rows("contrasts"):
        on = name(row["task"]) if row["task"] else f"mean of {row['mean']} tasks"
        cells: list[Cell] = [row["a"], row["b"], on]
        cells += [_estimate(row["difference"], row["ci"]), formatting.bounds(row["ci90"])]
        cells += [correlation(row["p"], 4), correlation(row["p_holm"], 4)]
        cells += [hundredths(row["bf01"]), *_outcomes(row["outcomes"] or {})]
        cells += [count(row["n"]), shown_verdict(row)]
        rows.append(Row(cells, row["a"], row["task"]))
    columns = [Column("a", "model"), Column("b", "model"), Column("On", "text")]
    columns += map(Column, ("Difference", "90 % interval", "p", "p, Holm", "BF01"))
    columns += map(Column, ("Accuracy, a and b", "Tokens, a and b", "n"))
    return Table("Contrasts", [*columns, Column("Verdict", "text")], rows)


def _outcomes(of: Mapping[str, Any]) -> list[Cell]:
    """Accuracies with their difference, mean tokens with their ratio."""
    both = [[of.get(f"{what}_{side}") for side in "ab"] for what in ("accuracy", "tokens")]
    apart = _estimate(of.get("accuracy_difference"), of.get("accuracy_ci"))
    ratio = of.get("tokens_ratio"), of.get("tokens_ratio_ci")
    times = hundredths(ratio[0]), formatting.bounds(ratio[1])
    return [
        (", ".join(map(percent, both[0])), *apart),
        (", ".join(map(number, both[1])), *times),
    ]


def inflation_table(comparison: Comparison) -> Table:
    """All fits of log tokens on those of the base."""
    columns = [Column("Arm", "model"), Column("Base", "model"), Column("Task", "text")]
    columns += [*map(Column, ("k", "b", "b, corrected")), Column("Law", "text")]
    columns += map(Column, ("Residual sd", "r of the two", "Mean ratio", "n"))
    rows = []
    for row in comparison.rows("inflation"):
        task = name(row["task"]) if row["task"] else "all, an intercept each"
        cells: list[Cell] = [row["student"], row["base"], task, hundredths(row["k"])]
        cells += [_estimate(of["b"], of["b_ci"]) for of in (row, row["corrected"])]
        cells += [row["law"] or UNKNOWN, hundredths(row["residual_sd"]), correlation(row["r"])]
        cells += [hundredths(row["geometric_mean_ratio"]), count(row["n"])]
        rows.append(Row(cells, row["student"], row["task"]))
    return Table("Inflation", columns, rows)


def course_table(arms: Sequence[Arm]) -> Table:
    """Probes along the training of each arm, one row a step."""
    shown, rows, mean_r = COLUMNS["course"], [], "alignment/mean_r_loglog"
    labels = [of["label"] for of in shown]
    labels.insert(2, "Mean r")
    for arm in arms:
        for row in course(arm):
            low, high = row.get(f"{mean_r}_ci_low"), row.get(f"{mean_r}_ci_high")
            interval = None if low is None or high is None else (low, high)
            cells: list[Cell] = [_written(of, row) for of in shown]
            cells.insert(2, _estimate(row.get(mean_r), interval))
            rows.append(Row([arm.name, *cells], arm.name))
    return Table("Measured steps", [Column("Arm", "model"), *map(Column, labels)], rows)


def _written(column: Mapping[str, Any], row: Mapping[str, Any], key: str | None = None) -> str:
    """A value of a row as text, of another ``key`` perhaps than the column's own."""
    return str(getattr(formatting, column["format"])(row.get(key or column["key"])))


def ledger_table(arms: Sequence[Arm]) -> Table:
    """Budgets of each arm's own training and final evaluation."""
    rows = []
    for arm in arms:
        own, evaluation = (of.get("budget") or {} for of in (arm.training, arm.evaluation))
        cells: list[Cell] = [arm.name, count(arm.training.get("steps"))]
        for column in COLUMNS["ledger"]:
            parts = [_written(column, own)]
            for other, what in column.get("smaller", {}).items():
                # A teacher's part is unknown, not none, where a training was counted without it.
                if own.get(other):
                    parts.append(f"{_written(column, own, other)} {what}")
                elif own.get(other) is None and other.startswith("teacher") and own:
                    parts.append(f"unknown {what}")
            cells.append(tuple(parts))
        seconds = f"{number(evaluation.get('device_seconds'))} device-seconds"
        cells.append((count(evaluation.get("generated_tokens")), seconds))
        rows.append(Row(cells, arm.name))
    labels = ("Steps", *(column["label"] for column in COLUMNS["ledger"]), "Evaluation, tokens")
    return Table("Budget", [Column("Arm", "model"), *map(Column, labels)], rows)


def budget_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Ratios of budgets, of rows of ``handan.budgets.compare``."""
    words = {True: "matched", False: "apart", None: "unknown"}
    columns = [Column("Arm", "model"), Column("Against", "model")]
    columns += [Column(formatting.sentence(measure)) for measure in budgets.MEASURES.values()]
    shown = []
    for row in rows:
        ratios = [(hundredths(of["ratio"]), words[of["within"]]) for of in row["measures"]]
        shown.append(Row([row["a"], row["b"], *ratios], row["a"]))
    return Table("Matched budgets", columns, shown)


def analytic_sentences(group: Group) -> list[str]:
    """Contrasts on the mean over analytic tasks, with sampling and at T = 0."""

    def found(row: Mapping[str, Any]) -> str:
        return f"{shown_verdict(row)}, {formatting.estimate(row['difference'], row['ci'])}"

    said = []
    for row in group.contrasts("analytic"):
        cold = group.greedy_contrast(row)
        also = f"; at T = 0 {found(cold)}" if cold else ""
        said.append(f"{row['a']} against {row['b']}: {found(row)}{also}.")
    return said


def format_sentences(group: Group) -> list[str]:
    """Relate the noise-free length of a group's format to people, task by task."""
    said = []
    for task in group.tasks("human"):
        costs = [of[task] for arm in group.arms if task in (of := group.costs[arm.name])]
        lengths = costs[0].of_items["oracle"] if costs else np.array([])
        if not len(lengths) or not np.isfinite(lengths).all():
            continue
        known = [(arm.name, group.of_tasks(arm.name).get(task)) for arm in group.arms]
        rs = listing([f"{arm} {joined(_r(figures))}" for arm, figures in known if figures])
        called = group.format_of(task)
        about = f"{name(task)}, format '{called}'" if called else name(task)
        oracle = group.task_figure(task, "oracle_human")
        if oracle is None:
            same = f"every flawless trace has the same length ({lengths[0]:g} tokens)"
            none = "so the format carries no difficulty and r with people is"
            said.append(f"{about}: {same}, {none} {rs}.")
        else:
            span = f"flawless traces have {lengths.min():g} to {lengths.max():g} tokens"
            r = f"r = {correlation(oracle)} with people"
            said.append(f"{about}: {span} and {r}; the arms have {rs}.")
    return said


def trace_sentences(comparison: Comparison) -> list[str]:
    """Say what was dropped from the traces each student was trained on."""
    said = []
    for arm in (arm for arm in comparison.arms if arm.training.get("traces")):
        traces = comparison.traces.get(arm.name)
        if traces is None:
            unknown = "what they cost and what was dropped from them is unknown"
            found = "the run that made them was not found"
            said.append(f"Traces of {arm.name}: {found}, so {unknown}; name its directory, too.")
            continue
        counts = traces.get("counts") or {}
        dropped = [f"{count(of)} {why}" for why, of in (counts.get("dropped") or {}).items()]
        kept, responses = count(counts.get("kept")), count(counts.get("responses"))
        means = (number(counts.get(f"mean_reasoning_tokens_{of}")) for of in ("kept", "dropped"))
        said.append(
            f"Traces of {arm.name}: {kept} of {responses} responses kept; dropped: "
            f"{listing(dropped) or 'none'}. Mean reasoning tokens: {' in kept, '.join(means)} in "
            "dropped ones. What is dropped changes the lengths a student sees."
        )
    return said


def facts(comparison: Comparison, arm: Arm) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each stage of an arm its title and what was recorded of it, by name."""
    stages = []
    if arm.training:
        settings = arm.training_config
        keys = ("seed", "data_seed", "learning_rate", "prompts")
        more = {key.replace("_", " "): settings.get(key) for key in keys}
        more["weights it began with, hash"] = settings.get("model_fingerprint")
        more["traces, SHA-256"] = arm.training.get("traces")
        stages.append(("Training", _stage(arm.training) | more))
    if (traces := comparison.traces.get(arm.name)) is not None:
        stages.append(("Traces it was trained on", _stage(traces)))
    if arm.evaluation:
        conditions, own = arm.run["comparability"], arm.evaluation
        more = {"seed": arm.suite.get("seed"), "suite": conditions.get("suite")}
        more["suite, hash"] = conditions.get("suite_hash")
        more["reasoning format"] = own.get("reasoning_format")
        more |= {"engine": _joined(own.get("engine") or {}), "weights, hash": arm.fingerprint}
        more["generations.jsonl, SHA-256"] = own.get("generations_sha256")
        stages.append(("Evaluation", _stage(own) | more))
    return [
        (title, [(key, str(value)) for key, value in values.items() if value is not None])
        for title, values in stages
    ]


def _stage(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Command, versions, revision and hardware, as ``handan.rundir.facts`` wrote them."""
    git, hardware = recorded.get("git") or {}, recorded.get("hardware") or {}
    parts = {
        "{} {}": (hardware.get("system"), hardware.get("machine")),
        "{} cores": (hardware.get("cores"),),
        "{} processes": (hardware.get("processes"),),
        "{} threads a process": (hardware.get("threads"),),
        "accelerators: {}": (", ".join(hardware.get("accelerators") or []) or "none",),
    }
    shown = [text.format(*values) for text, values in parts.items() if None not in values]
    revision = f"{git.get('commit')}{', with changes' if git.get('dirty') else ''}"
    return {
        "command": recorded.get("command", "not recorded"),
        "started": recorded.get("started"),
        "git revision": revision if git else "not recorded: not run in a git checkout",
        "versions": _joined({"Python": recorded.get("python"), **(recorded.get("versions") or {})}),
        "hardware": ", ".join(shown) if hardware else None,
    }


def _joined(values: Mapping[str, Any]) -> str | None:
    return ", ".join(f"{key} {value}" for key, value in values.items() if value) or None
