"""The answer in a few sentences, made from the contrasts with the base."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from handan.report.comparison import Arm, Group, course
from handan.report.confounds import FORMAT_EXPLAINS, oracles
from handan.report.formatting import bounds, correlation, count, listing, percent
from handan.report.verdicts import lost_by_correction, outcome, shown_verdict

COMPARED = {
    "lower": "lower for",
    "higher": "higher for",
    "lower, but": "lower by less than {bound} for",
    "higher, but": "higher by less than {bound} for",
    "preserved": "the same within ±{bound} for",
    "open": "not shown to differ for",
    "none": "not comparable for",
}


def summary(group: Group) -> list[str]:
    """What training did to the arms with a known base: alignment with and without sampling, and
    accuracy; then reversals, and what the trace format brings by itself."""
    temperature = group.conditions.get("temperature")
    label = f"T = {temperature:g}" if isinstance(temperature, (int, float)) else "T unknown"
    bases = sorted({arm.base for arm in group.arms if arm.base})
    base = group.arm(bases[0]).noun if len(bases) == 1 else "the model each was trained from"
    said = []
    for condition, cold in ((f"With sampling ({label})", False), ("Without it (T = 0)", True)):
        outcomes: dict[str, list[str]] = {}
        for arm in (arm for arm in group.arms if arm.base):
            start = group.arm(arm.base)
            pair = (arm.greedy, start.greedy) if cold else (arm.name, start.name)
            row = group.contrast(*pair)
            if row is not None:
                words = COMPARED[outcome(row)]
                if lost_by_correction(row):
                    words = words.replace(" for", ", though not after correction, for")
                bound = correlation(row["equivalence_bound"], 1)
                outcomes.setdefault(words.format(bound=bound), []).append(arm.noun)
        if outcomes:
            parts = [f"{words} {listing(arms)}" for words, arms in outcomes.items()]
            said.append(
                f"{condition}, alignment with people, compared with {base}, is {'; '.join(parts)}."
            )
    if said:
        shown = [
            f"{arm.name} {percent(group.over_tasks(arm.name, 'accuracy'))}" for arm in group.arms
        ]
        said.append(f"Right answers on the human tasks: {listing(shown)}.")
    reversed_arms = [
        f"{arm.noun}, r = {correlation(figures['mean_r_loglog'])} {bounds(interval)}"
        for arm in group.arms
        if (figures := group.figures(arm.name))
        and (interval := figures["mean_r_loglog_ci"]) is not None
        and interval[1] < 0
    ]
    if reversed_arms:
        said.append(
            f"Reversed, with fewer tokens where people take longer: {'; '.join(reversed_arms)}."
        )
    formats = [correlation(r) for r in oracles(group).values() if r >= FORMAT_EXPLAINS]
    if formats:
        said.append(
            "Keep in mind that flawless traces in this format have lengths with r = "
            f"{listing(formats)} with people before any model runs: a high r here is difficulty "
            "written into the format and carried out, not discovered."
        )
    return said


# How mean r moved along an arm's training, as far as the intervals of its probes allow.

MEAN = "alignment/mean_r_loglog"


class Moved(NamedTuple):
    """What a course of training shows: name of the arm, and one to three sentences."""

    arm: str
    text: str


class _Probe(NamedTuple):
    step: float
    r: float
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        return f"{correlation(self.r)} {bounds(self.interval)}"


def along_training(arms: Sequence[Arm]) -> list[Moved]:
    """One entry an arm whose mean r was probed at two steps or more.

    Two probes are said to differ only where their 95 % intervals do not overlap. As both are of
    the same items, that asks for more than a test of the difference would.
    """
    found = []
    for arm in arms:
        rows = course(arm)
        probes = [_probe(row) for row in rows if MEAN in row]
        if len(probes) > 1:
            parts = [_from_start_to_end(probes), _on_the_way(probes), _share(arm, rows)]
            found.append(Moved(arm.name, " ".join(filter(None, parts))))
    return found


def _probe(row: Mapping[str, Any]) -> _Probe:
    interval = (row.get(f"{MEAN}_ci_low"), row.get(f"{MEAN}_ci_high"))
    low, high = interval
    known = None if low is None or high is None else (float(low), float(high))
    return _Probe(row["step"], row[MEAN], known)


def _from_start_to_end(probes: Sequence[_Probe]) -> str:
    start, end = probes[0], probes[-1]
    text = (
        f"Mean r went from {start} at step {count(start.step)} to {end} at step {count(end.step)}"
    )
    if start.interval is None or end.interval is None:
        return f"{text}; without intervals that shows no change."
    if _above(end, start):
        text += "; it rose: the intervals do not overlap"
    elif _above(start, end):
        text += "; it fell: the intervals do not overlap"
    else:
        text += "; the intervals overlap, so the probe does not show that it changed"
    if end.interval[1] < 0:
        text += ". It ends reversed: fewer tokens where people take longer"
    return f"{text}."


def _on_the_way(probes: Sequence[_Probe]) -> str:
    """The highest and the lowest probe between, where each stands out from both ends."""
    start, end, between = probes[0], probes[-1], probes[1:-1]
    if not between:
        return ""
    highest, lowest = (choose(between, key=lambda of: of.r) for choose in (max, min))
    said = []
    if _above(highest, start) and _above(highest, end):
        said.append(f"it peaked at step {count(highest.step)} with {highest}, above both ends")
    if _above(start, lowest) and _above(end, lowest):
        said.append(f"it fell to {lowest} at step {count(lowest.step)}, below both ends")
    return f"On the way {' and '.join(said)}." if said else ""


def _above(one: _Probe, other: _Probe) -> bool:
    """Whether the whole interval of one is above that of the other."""
    if one.interval is None or other.interval is None:
        return False
    return one.interval[0] > other.interval[1]


def _share(arm: Arm, rows: Sequence[Mapping[str, Any]]) -> str:
    """Share of the arm's time that went into measuring."""
    share = next(
        (row["budget/probe_share"] for row in rows[::-1] if "budget/probe_share" in row), None
    )
    budget = arm.training.get("budget") or {}
    probing, training = budget.get("probe_seconds"), budget.get("train_seconds")
    if share is None and probing is not None and training:
        share = probing / (probing + training)
    if share is None:
        return ""
    return f"Measuring took {percent(share)} of its time."


# Rows of the page's tables, as plain dicts; the template formats the numbers.


def arm_rows(group: Group) -> list[dict[str, Any]]:
    """The table of arms: one row an arm, over human tasks."""
    rows = []
    for arm in group.arms:
        figures, cold = group.figures(arm.name) or {}, group.figures(arm.greedy) or {}
        rows.append(
            {
                "arm": arm,
                "tasks": [figures["tasks"].get(task) for task in group.tasks("human")],
                "mean": figures["mean_r_loglog"],
                "mean_ci": figures["mean_r_loglog_ci"],
                "cold": cold.get("mean_r_loglog"),
                "cold_ci": cold.get("mean_r_loglog_ci"),
            }
            | {
                column: group.over_tasks(arm.name, column)
                for column in (
                    *("accuracy", "mean_tokens", "reliability_model", "cap_rate"),
                    *("no_reasoning_rate", "unparsed_rate"),
                )
            }
        )
    return rows


def detail_rows(group: Group, source: str) -> list[dict[str, Any]]:
    """Every figure of every arm, with sampling and at T = 0, on every task of one source."""
    rows = []
    for task in group.tasks(source):
        for arm in group.arms:
            for model in (arm.name, arm.greedy):
                figures = (group.figures(model) or {"tasks": {}})["tasks"].get(task)
                if figures is not None:
                    reliability = figures["reliability_model"]
                    usable = reliability is not None and reliability > 0
                    known = usable and figures["r_loglog"] is not None
                    corrected = figures["r_loglog"] / reliability**0.5 if known else None
                    rows.append(
                        {**figures, "task": task, "model": model, "without_noise": corrected}
                    )
    return rows


def analytic_rows(group: Group) -> list[dict[str, Any]]:
    """One row an arm: r with the analytic cost, task by task, and the mean over them."""
    rows = []
    for arm in group.arms:
        figures, cold = group.figures(arm.name) or {}, group.figures(arm.greedy) or {}
        rows.append(
            {
                "arm": arm,
                "tasks": [figures["tasks"].get(task) for task in group.tasks("analytic")],
                "mean": figures["mean_r_loglog_analytic"],
                "mean_ci": figures["mean_r_loglog_analytic_ci"],
                "cold": cold.get("mean_r_loglog_analytic"),
                "accuracy": group.over_tasks(arm.name, "accuracy", "analytic"),
            }
        )
    return rows


def analytic_sentences(group: Group) -> list[str]:
    """Contrasts on the mean over analytic tasks, with sampling and at T = 0."""
    names = [arm.name for arm in group.arms]
    said = []
    for row in group.result["contrasts"]:
        if row["mean"] == "analytic" and row["a"] in names:
            a, b = group.arm(row["a"]), group.arm(row["b"])
            text = f"{a.name} against {b.name}: {_found(row)}"
            cold = group.contrast(a.greedy, b.greedy, mean="analytic")
            said.append(f"{text}; at T = 0 {_found(cold)}." if cold else f"{text}.")
    return said


def _found(row: Mapping[str, Any]) -> str:
    return f"{shown_verdict(row)}, {correlation(row['difference'])} {bounds(row['ci'])}"


def format_rows(group: Group) -> list[dict[str, Any]]:
    """Length with oracle and with people, task by task, for every arm and its T = 0 answers."""
    rows = []
    for arm in group.arms:
        for model in (arm.name, arm.greedy):
            figures = group.figures(model)
            if figures is not None:
                tasks = [figures["tasks"].get(task) for task in group.tasks("human")]
                rows.append({"model": model, "tasks": tasks})
    return rows


def format_sentences(group: Group) -> list[str]:
    """What the noise-free length of a group's format has to do with people, task by task."""
    said = []
    for task in group.tasks("human"):
        called = group.format_of(task)
        lengths = next(
            (
                group.costs[arm.name][task].oracle
                for arm in group.arms
                if task in group.costs[arm.name]
            ),
            np.array([]),
        )
        if not len(lengths) or not np.isfinite(lengths).all():
            continue
        oracle = group.task_figure(task, "oracle_human")
        if oracle is None:
            said.append(
                f"{_called(task, called)}: every flawless trace has the same length "
                f"({lengths[0]:g} tokens), so the format carries no difficulty and r with people "
                f"is {_rs(group, task)}."
            )
        else:
            said.append(
                f"{_called(task, called)}: flawless traces have {lengths.min():g} to "
                f"{lengths.max():g} tokens and r = {correlation(oracle)} with people; the arms "
                f"have {_rs(group, task)}."
            )
    return said


def _called(task: str, called: str | None) -> str:
    name = task.replace("_", " ")
    return f"{name}, format '{called}'" if called else name


def _rs(group: Group, task: str) -> str:
    parts = []
    for arm in group.arms:
        figures = _of_task(group, arm, task)
        if figures is not None:
            parts.append(
                f"{arm.name} {correlation(figures['r_loglog'])} {bounds(figures['r_loglog_ci'])}"
            )
    return listing(parts)


def _of_task(group: Group, arm: Arm, task: str) -> Mapping[str, Any] | None:
    figures = group.figures(arm.name)
    return None if figures is None else figures["tasks"].get(task)


def course_rows(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """What was probed along the training of each arm, one row a step; unknown values are None."""
    rows = []
    for arm in arms:
        for row in course(arm):
            low, high = (row.get(f"alignment/mean_r_loglog_ci_{end}") for end in ("low", "high"))
            rows.append(
                {
                    "arm": arm,
                    "step": row["step"],
                    "mean": row.get("alignment/mean_r_loglog"),
                    "mean_ci": None if low is None or high is None else (low, high),
                    "accuracy": row.get("status/accuracy"),
                    "tokens": row.get("cost/reasoning_tokens"),
                    "cap_rate": row.get("status/cap_rate"),
                    "k": row.get("inflation/k"),
                    "b": row.get("inflation/b"),
                    "trained_tokens": row.get("budget/trained_tokens"),
                }
            )
    return rows
