"""Sentences on the study's claims, made from the contrasts; no claim goes beyond its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from handan.alignment.figures.verdict import CLAIMS, Verdict
from handan.budgets import TOLERANCE
from handan.report.data import Group
from handan.report.notation import bounds, correlation, listing, name, p_value, percent
from handan.report.notation import sentence as capital
from handan.report.roles import Arm
from handan.report.words.claim import ORDER, Claim
from handan.report.words.confounds import OF_CONTRASTS, OF_LENGTHS, accuracy_gap, applying
from handan.report.words.multiplier import multiplier_claims
from handan.report.words.power import power_of_contrast, power_of_r
from handan.report.words.testable import tested

NOT_CORRECTED = ", not after correction"

SAID = {
    "lower": "{a} follows human time less closely than {b}.",
    "higher": "{a} follows human time more closely than {b}.",
    "lower, but": "{a} follows human time less closely than {b}, but by less than {bound}.",
    "higher, but": "{a} follows human time more closely than {b}, but by less than {bound}.",
    "preserved": "{a} follows human time as closely as {b}, to within ±{bound}.",
    "open": "These items do not tell whether {a} follows human time more or less closely than {b}.",
    "none": "Nothing is said of {a} against {b}: {why}.",
}
QUESTIONS = {
    "teacher-base": "Is the teacher above the model it was trained from?",
    "student-teacher": "Does imitation lose the teacher's allocation?",
    "student-base": "Does imitation leave a model below where it began?",
    "trained-base": "Does {method} keep the alignment it began with?",
    "trained-teacher": "Does {method} reach the level of the teacher that others imitate?",
    "student-trained": "From the same base, does imitation end below {other}?",
    "control": "Is alignment lost by imitating a model of the same base?",
}


def outcome(contrast: Mapping[str, Any]) -> str:
    """The verdict of a contrast as a key of ``SAID``."""
    verdict = Verdict.of(contrast)
    return f"{verdict.outcome}, but" if verdict.direction and verdict.within else verdict.outcome


def lost_by_correction(contrast: Mapping[str, Any]) -> bool:
    """Whether what an interval shows does not survive Holm's correction."""
    return not Verdict.of(contrast).survives_correction


def shown_verdict(contrast: Mapping[str, Any]) -> str:
    """The verdict as it is printed."""
    return (Verdict.of(contrast).words or "no verdict").replace("±0.", "±.")


def claims(group: Group, tolerance: float = TOLERANCE) -> list[Claim]:
    """Everything a group says about the study's claims, in the order of the study.

    Args:
        group: arms that were measured alike.
        tolerance: share by which budgets may differ that count as matched.
    """
    found = [claim for arm in group.arms if (claim := _teacher(group, arm))]
    for row in group.result["contrasts"]:
        if row["mean"] == "human" and row["a"] in [arm.name for arm in group.arms]:
            a, b = group.arm(row["a"]), group.arm(row["b"])
            # A control answers for its teacher; against its base it is in the table of contrasts.
            if not (a.kind == "control" and b.name == a.base):
                found.append(_contrast(group, row, a, b, tolerance))
    found = [tested(group, claim) for claim in [*found, *multiplier_claims(group)]]
    places = {about: place for place, about in enumerate(ORDER)}
    return sorted(found, key=lambda claim: places.get(claim.about, len(ORDER)))


def _teacher(group: Group, arm: Arm) -> Claim | None:
    figures = group.figures(arm.name)
    if arm.kind != "teacher" or figures is None or not group.tasks("human"):
        return None
    interval = figures["mean_r_loglog_ci"]
    if interval is None:
        label, tone, verb = "no verdict", "open", "cannot be said to follow human time"
    elif interval[0] > 0:
        label, tone, verb = "yes, r above 0", "higher", "follows human time"
    elif interval[1] < 0:
        label, tone, verb = "reversed, r below 0", "lower", "spends less where people take longer"
    else:
        label, tone, verb = "no evidence either way", "open", "is not shown to follow human time"
    sizes = [figures["tasks"][task]["n"] for task in figures["mean_tasks"]]
    effect = f"{correlation(figures['mean_r_loglog'])} {bounds(interval)}"
    notes = []
    if (ceiling := group.ceiling()) is not None:
        notes.append(
            f"The ceiling is {correlation(ceiling)}: a model that knew people's true average times "
            "would reach about that with these measured ones."
        )
    cold = group.figures(arm.greedy)
    if cold and cold["mean_r_loglog"] is not None:
        shown = f"{correlation(cold['mean_r_loglog'])} {bounds(cold['mean_r_loglog_ci'])}"
        notes.append(f"At T = 0 its r is {shown}.")
    return Claim(
        about="teacher",
        question="Does the teacher spend tokens where people spend time?",
        between=capital(arm.noun),
        label=label,
        tone=tone,
        statement=f"{capital(arm.noun)} {verb}.",
        evidence=f"{_mean_of(figures['mean_tasks'])} {effect}, n = {sum(sizes)} items",
        notes=notes,
        arms=(arm.name,),
        effect=f"r = {effect}",
        num_items=sum(sizes),
        power=power_of_r(sizes),
        confounds=applying(group, [arm.name], [*OF_LENGTHS, "format"]),
    )


def _contrast(group: Group, row: Mapping[str, Any], a: Arm, b: Arm, tolerance: float) -> Claim:
    found, about = outcome(row), _about(a, b)
    cold = group.contrast(a.greedy, b.greedy)
    question = QUESTIONS.get(about, "Which of the two follows people more closely?")
    bound = correlation(row["equivalence_bound"], 1)
    difference = f"{correlation(row['difference'])} {bounds(row['ci'])}"
    levels = f"{correlation(row['r_a'])} against {correlation(row['r_b'])}"
    evidence = f"{_mean_of(row['tasks'])} {levels}, difference "
    evidence += f"{difference}, n = {row['n']} items"
    if row["p_holm"] is not None:
        evidence += f", {p_value(row['p_holm'])} (Holm)"
    if found == "preserved":
        evidence += f"; 90 % interval {bounds(row['ci90'])} inside ±{bound}"
    notes = [*_levels(group, a, b), _cold(row, cold), _by_task(group, row)]
    if accuracy_gap(row) is None:
        shown = f"{percent(row['accuracy_a'])} against {percent(row['accuracy_b'])}"
        notes.append(f"Accuracy is similar: {shown} of answers right.")
    return Claim(
        about=about,
        question=question.format(method=a.method, other=b.method),
        between=f"{capital(a.noun)} against {b.noun}",
        label=_label(row, cold, a, b),
        tone={"preserved": "same", "none": "open"}.get(found, found.split(",")[0]),
        statement=capital(SAID[found].format(a=a.noun, b=b.noun, bound=bound, why=row["withheld"])),
        evidence=evidence,
        notes=[note for note in notes if note],
        arms=(a.name, b.name),
        effect=difference,
        num_items=row["n"],
        power=power_of_contrast(group, row, found),
        confounds=applying(group, [a.name, b.name], OF_CONTRASTS, tolerance),
    )


def _label(row: Mapping[str, Any], cold: Mapping[str, Any] | None, a: Arm, b: Arm) -> str:
    """The verdict in a few words, with what qualifies it at once."""
    found, relation = outcome(row), ""
    if b.name in (a.teacher, a.base):
        relation = "teacher" if b.name == a.teacher else "base"
    claimed = CLAIMS.get(relation) if a.kind == "student" and found == "lower" else None
    label = claimed or shown_verdict(row)
    gap = accuracy_gap(row)
    if gap is not None:
        label += ", accuracy unknown" if gap != gap else ", with unequal accuracy"
    if lost_by_correction(row):
        label += NOT_CORRECTED
    if cold is not None and _size(cold) != _size(row):
        label += f"; at T = 0: {_qualified(cold)}"
    return label


def _qualified(contrast: Mapping[str, Any]) -> str:
    return shown_verdict(contrast) + (NOT_CORRECTED if lost_by_correction(contrast) else "")


def _size(contrast: Mapping[str, Any]) -> str:
    """The outcome, where a difference within the bound is none."""
    found = outcome(contrast)
    return "preserved" if "but" in found else found


def _about(a: Arm, b: Arm) -> str:
    if a.kind == "control" and b.name == a.teacher:
        return "control"
    if a.kind == "student":
        relations = {a.teacher: "student-teacher", a.base: "student-base"}
        return relations.get(b.name, "student-trained" if b.kind == "trained" else "other")
    if b.name == a.base:
        return "teacher-base" if a.kind == "teacher" else "trained-base"
    return "trained-teacher" if (a.kind, b.kind) == ("trained", "teacher") else "other"


def _mean_of(tasks: Sequence[str]) -> str:
    return f"mean r over {len(tasks)} tasks" if len(tasks) > 1 else "r"


def _levels(group: Group, a: Arm, b: Arm) -> list[str]:
    """Where an arm is reversed, or the one compared with has no alignment to speak of."""
    said = []
    for arm in (a, b):
        figures = group.figures(arm.name) or {}
        interval = figures.get("mean_r_loglog_ci")
        if interval is None:
            continue
        shown = f"r = {correlation(figures['mean_r_loglog'])} {bounds(interval)}"
        if interval[1] < 0:
            said.append(
                f"{capital(arm.noun)} is reversed, {shown}: it spends fewer tokens where people "
                "take longer."
            )
        elif arm is b and interval[0] <= 0:
            said.append(
                f"{capital(arm.noun)} itself is not shown to follow human time, {shown}, so there "
                "may be nothing to keep or to lose."
            )
    return said


def _cold(row: Mapping[str, Any], cold: Mapping[str, Any] | None) -> str | None:
    """The same contrast without sampling, and what is left of the one with sampling."""
    if cold is None or cold["ci"] is None:
        return None
    warm, found = (outcome(contrast).split(",")[0] for contrast in (row, cold))
    text = f"At T = 0: {_qualified(cold)}, difference {correlation(cold['difference'])} "
    text += f"{bounds(cold['ci'])}"
    differs = ("lower", "higher")
    if warm in differs:
        same = "so sampling noise alone does not explain it"
        left = {
            warm: "so some of it may be left without sampling"
            if lost_by_correction(cold)
            else same,
            "preserved": "so the difference comes with sampling and is gone without it",
            "open": "so without sampling the difference is not shown",
        }
        text += f"; {left.get(found, 'so the direction reverses without sampling')}"
    elif found in differs and warm != "none":
        text += f"; so sampling {'may hide' if lost_by_correction(cold) else 'hides'} a difference"
    return f"{text}."


def _by_task(group: Group, row: Mapping[str, Any]) -> str | None:
    tasks = [group.contrast(row["a"], row["b"], task) for task in group.tasks("human")]
    shown = [
        f"{name(of_task['task'])} {correlation(of_task['difference'])} {bounds(of_task['ci'])}"
        for of_task in tasks
        if of_task is not None and of_task["ci"] is not None
    ]
    return f"By task, uncorrected: {listing(shown)}." if len(shown) > 1 else None
