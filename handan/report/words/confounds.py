"""What else could explain the verdicts: each checked on the numbers, named only where it holds."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from handan.alignment.figures.verdict import ACCURACY_TOLERANCE
from handan.report.data import Group, Study
from handan.report.notation import bounds, correlation, listing, name, percent
from handan.report.words.budget import compared
from handan.report.words.counting import counting
from handan.report.words.summary import FORMAT_EXPLAINS
from handan.report.words.verdicts import RELIABILITY_TOLERANCE

CAP_TOLERANCE = 0.01
DIRECT_TOLERANCE = 0.1
# An arm that lost more than this share of its base's right answers no longer solves the tasks.
COMPETENCE_LOST = 0.5
SMALL_MODEL_PARAMETERS = 1e8


class Confound(NamedTuple):
    """Another explanation: its name, whether it applies, and the numbers."""

    title: str
    applies: bool
    text: str


def confounds(study: Study) -> list[Confound]:
    """All checks on the main group, those that apply first."""
    group = study.main
    checks = [
        _noise(group),
        _format(group),
        *_competence(group),
        _cap(group),
        _accuracy(group),
        *_budgets(study),
        _direct(group),
        Confound(*counting(group)),
        _repetition(group),
        *_size(group),
    ]
    return sorted(checks, key=lambda confound: not confound.applies)


def _pairs(group: Group) -> list[Mapping[str, Any]]:
    names = [arm.name for arm in group.arms]
    return [r for r in group.result["contrasts"] if r["mean"] == "human" and r["a"] in names]


def _noise(group: Group) -> Confound:
    title = "Sampling noise"
    known = {
        arm: reliability
        for arm in group.arms
        if (reliability := group.over_tasks(arm.name, "reliability_model")) is not None
    }
    if not known:
        return Confound(title, False, "unknown: there are not several samples an item")
    if max(known.values()) - min(known.values()) <= RELIABILITY_TOLERANCE:
        return Confound(title, False, "all arms' lengths repeat equally well")
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
    return Confound(title, True, text)


def _cold_row(group: Group, pair: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return group.contrast(group.arm(pair["a"]).greedy, group.arm(pair["b"]).greedy)


def _format(group: Group) -> Confound:
    title = "The trace format"
    oracles = {
        task: r
        for task in group.tasks("human")
        if (r := group.task_figure(task, "oracle_human")) is not None
    }
    if not oracles:
        return Confound(title, False, "no noise-free length of the format is known")
    shown = listing([f"{correlation(r)} for {name(task)}" for task, r in oracles.items()])
    formats = {group.format_of(task) for task in oracles} - {None}
    called = f" '{listing(sorted(map(str, formats)))}'" if formats else ""
    if max(oracles.values()) < FORMAT_EXPLAINS:
        text = f"the noise-free trace of the format{called} has r = {shown} with human time"
        return Confound(title, False, text)
    return Confound(
        title,
        True,
        f"The trace format{called} itself has r = {shown} with people: that is the correlation of "
        "the length of a flawless trace with human time, before any model runs. So a high r here "
        "says that a model carries out a format into which difficulty was written; it is not "
        "discovery of difficulty. See the format control.",
    )


def _competence(group: Group) -> Iterator[Confound]:
    found = []
    for arm in group.arms:
        figures = group.figures(arm.name) or {}
        if arm.base is None:
            continue
        own, before = (group.over_tasks(model, "accuracy") for model in (arm.name, arm.base))
        interval = figures.get("mean_r_loglog_ci")
        if own is None or before is None or interval is None:
            continue
        if own < COMPETENCE_LOST * before and interval[0] > 0:
            found.append(
                f"{arm.name} answers {percent(own)} of the human items rightly, its base "
                f"{percent(before)}, and still has r = {correlation(figures['mean_r_loglog'])} "
                f"{bounds(interval)}"
            )
    if found:
        yield Confound(
            "Length without competence",
            True,
            f"{'; '.join(found)}. Human-like lengths can be had without right answers: "
            "r alone does not show that the reasoning works.",
        )


def _cap(group: Group) -> Confound:
    title = "Answers cut at the token cap"
    cap = group.conditions.get("max_new_tokens", "unknown")
    rates = [
        (figures["cap_rate"], arm.name, task)
        for arm in group.arms
        for task, figures in group.result["models"][arm.name]["tasks"].items()
        if figures["cap_rate"] is not None
    ]
    if not rates:
        return Confound(title, True, "Unknown: no status is recorded, so a cap may have cut r.")
    over = [
        f"{arm} {percent(rate)} on {name(task)}"
        for rate, arm, task in rates
        if rate > CAP_TOLERANCE
    ]
    if not over:
        highest = percent(max(rate for rate, _, _ in rates))
        return Confound(title, False, f"at most {highest} of any arm's answers on a task")
    return Confound(
        title,
        True,
        f"{listing(over)} of answers reached the cap of {cap} tokens. They count with the length "
        "they had, which is too short, and a cap flattens long answers of verbose models first.",
    )


def _accuracy(group: Group) -> Confound:
    title = "Unequal accuracy"
    over = []
    for row in _pairs(group):
        of_a, of_b = row["accuracy_a"], row["accuracy_b"]
        if of_a is None or of_b is None:
            over.append(f"{row['a']} against {row['b']}: unknown")
        elif abs(of_a - of_b) > ACCURACY_TOLERANCE + 1e-9:
            over.append(f"{row['a']} {percent(of_a)} against {row['b']} {percent(of_b)}")
    if not over:
        return Confound(title, False, "no contrast has accuracies more than 10 points apart")
    return Confound(
        title,
        True,
        f"More than 10 points apart: {listing(over)}. A model that fails the items may be long or "
        "short for other reasons than difficulty.",
    )


def _budgets(study: Study) -> Iterator[Confound]:
    names = [arm.name for arm in study.main.arms]
    for row in compared(study):
        if row["a"] not in names:
            continue
        apart = any(of["within"] is False for of in row["measures"])
        text = "A method with less to learn from may look worse, or less damaged."
        yield Confound(
            f"Unequal budgets of {row['a']} and {row['b']}",
            apart,
            f"{row['sentence']} {text}" if apart else row["sentence"],
        )


def _direct(group: Group) -> Confound:
    title = "Answers without reasoning"
    rates = {
        arm.name: rate
        for arm in group.arms
        if (rate := group.over_tasks(arm.name, "no_reasoning_rate")) is not None
    }
    if not rates or max(rates.values()) - min(rates.values()) <= DIRECT_TOLERANCE:
        return Confound(title, False, "equally rare in all arms")
    shown = [f"{model} {percent(rate)}" for model, rate in rates.items()]
    return Confound(
        title,
        True,
        f"{listing(shown)} of answers to human items have no reasoning token. They have no "
        "logarithm and are left out of log measures; the raw r counts them as 0.",
    )


def _repetition(group: Group) -> Confound:
    text = "Intervals resample items: they hold for these models, these people and these tasks."
    if any(arm.training for arm in group.arms):
        settings = [arm.training_config for arm in group.arms]
        seeds = sorted({str(of["seed"]) for of in settings if "seed" in of})
        shown = f" (training seed {listing(seeds)})" if seeds else ""
        text = f"Every arm was trained once{shown}. {text} How a repeated training would come out "
        text += "is not known."
    return Confound("One run of each arm", True, text)


def _size(group: Group) -> Iterator[Confound]:
    sizes = [
        size
        for arm in group.arms
        if (size := (arm.training.get("parameters") or {}).get("multiplied")) is not None
    ]
    if sizes and max(sizes) < SMALL_MODEL_PARAMETERS:
        yield Confound(
            "Small models",
            True,
            f"The trained models have at most {max(sizes):,} parameters. They are model "
            "organisms: what the methods do to them need not hold for large models.",
        )
