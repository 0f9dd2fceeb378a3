"""What else could explain the verdicts: each checked on the numbers, named only where it holds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from handan.alignment.data.item_costs import MIN_ACCURACY
from handan.report.data import Group, Study
from handan.report.notation import bounds, correlation, listing, name, percent, sentence
from handan.report.words.budget import compared
from handan.report.words.counting import counting
from handan.report.words.pair import (
    CAP_TOLERANCE,
    DIRECT_TOLERANCE,
    FORMAT_EXPLAINS,
    RELIABILITY_TOLERANCE,
    WITH_TEACHERS,
    accuracy_gap,
    budget_difference,
)

# An arm that lost more than this share of its base's right answers no longer solves the tasks.
COMPETENCE_LOST = 0.5
SMALL_MODEL_PARAMETERS = 1e8


class Confound(NamedTuple):
    """Another explanation: its name, whether it applies, and the numbers.

    ``key`` is that of ``handan.report.words.claim.Applying``, where claims name it too.
    """

    title: str
    applies: bool
    text: str
    key: str


# Title, whether it applies, text.
Check = tuple[str, bool, str]


def confounds(study: Study) -> list[Confound]:
    """All checks on the main group, those that apply first."""
    group = study.main
    checks = {
        "noise": _noise(group),
        "format": _format(group),
        "competence": _competence(group),
        "cap": _cap(group),
        "accuracy": _accuracy(group),
        "budget": _budgets(study),
        "direct": _direct(group),
        "counting": counting(group),
        "repetition": _repetition(group),
        "size": _size(group),
    }
    found = [Confound(*check, key) for key, check in checks.items() if check is not None]
    return sorted(found, key=lambda confound: not confound.applies)


def _pairs(group: Group) -> list[Mapping[str, Any]]:
    names = [arm.name for arm in group.arms]
    return [r for r in group.result["contrasts"] if r["mean"] == "human" and r["a"] in names]


def _noise(group: Group) -> Check:
    title = "Sampling noise"
    known = {
        arm: reliability
        for arm in group.arms
        if (reliability := group.over_tasks(arm.name, "reliability_model")) is not None
    }
    if not known:
        return title, False, "unknown: there are not several samples an item"
    if max(known.values()) - min(known.values()) <= RELIABILITY_TOLERANCE:
        return title, False, "all arms' lengths repeat equally well"
    least, most = min(known, key=lambda arm: known[arm]), max(known, key=lambda arm: known[arm])
    text = (
        "A model whose lengths vary from sample to sample has a lower r with anything, so a rise "
        "of r after training can be sharpening: the same allocation, carried out with less noise. "
        f"The reliability of lengths runs from {correlation(known[least])} ({least.name}) to "
        f"{correlation(known[most])} ({most.name})."
    )
    cold = {
        arm.name: correlation(figures["mean_r_loglog"])
        for arm in group.arms
        if (figures := group.figures(arm.greedy)) is not None
    }
    if cold:
        shown = listing([f"{arm} {r}" for arm, r in cold.items()])
        text += f" At T = 0, where nothing is drawn, mean r is {shown}."
    left = [
        f"{pair['a']} against {pair['b']} {correlation(row['difference'])} {bounds(row['ci'])}"
        for pair in _pairs(group)
        if (row := _cold_row(group, pair)) is not None
    ]
    if left:
        text += f" What remains of the differences: {listing(left)}."
    return title, True, text


def _cold_row(group: Group, pair: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return group.contrast(group.arm(pair["a"]).greedy, group.arm(pair["b"]).greedy)


def _format(group: Group) -> Check:
    title = "The trace format"
    oracles = {
        task: r
        for task in group.tasks("human")
        if (r := group.task_figure(task, "oracle_human")) is not None
    }
    if not oracles:
        return title, False, "no noise-free length of the format is known"
    shown = listing([f"{correlation(r)} for {name(task)}" for task, r in oracles.items()])
    formats = {group.format_of(task) for task in oracles} - {None}
    called = f" '{listing(sorted(map(str, formats)))}'" if formats else ""
    if max(oracles.values()) < FORMAT_EXPLAINS:
        text = f"the noise-free trace of the format{called} has r = {shown} with human time"
        return title, False, text
    return (
        title,
        True,
        f"The trace format{called} itself has r = {shown} with people: that is the correlation of "
        "the length of a flawless trace with human time, before any model runs. So a high r here "
        "says that a model carries out a format into which difficulty was written; it is not "
        "discovery of difficulty. See the format control.",
    )


def _competence(group: Group) -> Check | None:
    found = []
    for arm in group.arms:
        if arm.base is None:
            continue
        own, before = (group.over_tasks(model, "accuracy") for model in (arm.name, arm.base))
        tasks = (group.figures(arm.name) or {"tasks": {}})["tasks"]
        above = [
            f"{correlation(of['r_loglog'])} {bounds(of['r_loglog_ci'])} on {name(task)}"
            for task, of in tasks.items()
            if of["cost_source"] == "human" and of["r_loglog_ci"] and of["r_loglog_ci"][0] > 0
        ]
        if own is not None and before is not None and own < COMPETENCE_LOST * before and above:
            found.append(
                f"{arm.name} answers {percent(own)} of the human items rightly, its base "
                f"{percent(before)}, and still has r = {listing(above)}"
            )
    if found:
        return (
            "Length without competence",
            True,
            f"{'; '.join(found)}. Human-like lengths can be had without right answers: "
            "r alone does not show that the reasoning works. A task with fewer than "
            f"{percent(MIN_ACCURACY)} right answers is in no mean and no verdict.",
        )
    return None


def _cap(group: Group) -> Check:
    title = "Answers cut at the token cap"
    cap = group.conditions.get("max_new_tokens", "unknown")
    rates = [
        (figures["cap_rate"], arm.name, task)
        for arm in group.arms
        for task, figures in group.result["models"][arm.name]["tasks"].items()
        if figures["cap_rate"] is not None
    ]
    if not rates:
        return title, True, "Unknown: no status is recorded, so a cap may have cut r."
    over = [
        f"{arm} {percent(rate)} on {name(task)}"
        for rate, arm, task in rates
        if rate > CAP_TOLERANCE
    ]
    if not over:
        highest = percent(max(rate for rate, _, _ in rates))
        return title, False, f"at most {highest} of any arm's answers on a task"
    return (
        title,
        True,
        f"{listing(over)} of answers reached the cap of {cap} tokens. They count with the length "
        "they had, which is too short, and a cap flattens long answers of verbose models first.",
    )


def _accuracy(group: Group) -> Check:
    title = "Unequal accuracy"
    over = []
    for row in _pairs(group):
        gap = accuracy_gap(row)
        if gap is None:
            continue
        if gap != gap:
            over.append(f"{row['a']} against {row['b']}: unknown")
        else:
            of_a, of_b = percent(row["accuracy_a"]), percent(row["accuracy_b"])
            over.append(f"{row['a']} {of_a} against {row['b']} {of_b}")
    if not over:
        return title, False, "no contrast has accuracies more than 10 points apart"
    return (
        title,
        True,
        f"More than 10 points apart: {listing(over)}. A model that fails the items may be long or "
        "short for other reasons than difficulty.",
    )


def _budgets(study: Study) -> Check | None:
    names = [arm.name for arm in study.main.arms]
    rows = [row for row in compared(study) if row["a"] in names]
    if not rows:
        return None
    apart = [said for row in rows if (said := budget_difference(row))]
    if not apart:
        return "Unequal budgets", False, " ".join(row["sentence"] for row in rows)
    text = f"{sentence(WITH_TEACHERS)}: {'; '.join(apart)}. A method with less to learn from may "
    return "Unequal budgets", True, f"{text}look worse, or less damaged."


def _direct(group: Group) -> Check:
    title = "Answers without reasoning"
    rates = {
        arm.name: rate
        for arm in group.arms
        if (rate := group.over_tasks(arm.name, "no_reasoning_rate")) is not None
    }
    if not rates or max(rates.values()) - min(rates.values()) <= DIRECT_TOLERANCE:
        return title, False, "equally rare in all arms"
    shown = [f"{model} {percent(rate)}" for model, rate in rates.items()]
    return (
        title,
        True,
        f"{listing(shown)} of answers to human items have no reasoning token. They have no "
        "logarithm and are left out of log measures; the raw r counts them as 0.",
    )


def _repetition(group: Group) -> Check:
    text = "Intervals resample items: they hold for these models, these people and these tasks."
    if any(arm.training for arm in group.arms):
        settings = [arm.training_config for arm in group.arms]
        seeds = sorted({str(of["seed"]) for of in settings if "seed" in of})
        shown = f" (training seed {listing(seeds)})" if seeds else ""
        text = f"Every arm was trained once{shown}. {text} How a repeated training would come out "
        text += "is not known."
    return "One run of each arm", True, text


def _size(group: Group) -> Check | None:
    sizes = [
        size
        for arm in group.arms
        if (size := (arm.training.get("parameters") or {}).get("multiplied")) is not None
    ]
    if sizes and max(sizes) < SMALL_MODEL_PARAMETERS:
        return (
            "Small models",
            True,
            f"The trained models have at most {max(sizes):,} parameters. They are model "
            "organisms: what the methods do to them need not hold for large models.",
        )
    return None
