"""Sentences on the study's claims, made from the contrasts; no claim goes beyond its interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handan.alignment.figures.verdict import ACCURACY_TOLERANCE, CLAIMS
from handan.report.data import Group
from handan.report.notation import bounds, correlation, listing, name, p_value, percent
from handan.report.notation import sentence as capital
from handan.report.roles import Arm

# Reliabilities further apart than this attenuate two correlations differently.
RELIABILITY_TOLERANCE = 0.1
# After Holm's correction; a verdict rests on an uncorrected interval, so it may not survive.
SIGNIFICANT = 0.05
ORDER = ("teacher", "student-teacher", "student-base", "trained-base", "student-trained", "control")

SAID = {
    "lower": "{a} follows human time less closely than {b}.",
    "higher": "{a} follows human time more closely than {b}.",
    "lower, but": "{a} follows human time less closely than {b}, but by less than {bound}.",
    "higher, but": "{a} follows human time more closely than {b}, but by less than {bound}.",
    "preserved": "{a} follows human time as closely as {b}, to within ±{bound}.",
    "open": "These items do not tell whether {a} follows human time more or less closely than {b}.",
    "none": "There are too few items for an interval of {a} against {b}.",
}
QUESTIONS = {
    "student-teacher": "Does imitation lose the teacher's allocation?",
    "student-base": "Does imitation leave a model below where it began?",
    "trained-base": "Does {method} raise alignment?",
    "student-trained": "From the same base, does imitation end below {other}?",
    "control": "Is alignment lost by imitating a model of the same base?",
}
REPORTED = {
    "teacher": "mean r = .64 for teachers trained by reinforcement learning.",
    "student-teacher": "yes, 'collapse': mean r = .34 for students, .64 for teachers.",
    "student-base": "yes, 'negative transfer'.",
    "student-trained": "yes, it concludes from published checkpoints that human-like allocation "
    "comes from reinforcement, not from imitation.",
}


@dataclass(frozen=True)
class Claim:
    """One question of the study and what the numbers say.

    Attributes:
        about: one of ``ORDER``, or 'other'.
        question: that is asked.
        between: the two arms that are contrasted, or the one that is looked at.
        label: the verdict in a few words.
        tone: 'lower', 'higher', 'same' or 'open'.
        statement: the verdict as a sentence.
        evidence: effect, interval, n.
        notes: what qualifies the verdict, one or two sentences each.
    """

    about: str
    question: str
    between: str
    label: str
    tone: str
    statement: str
    evidence: str
    notes: list[str]

    @property
    def reported(self) -> str | None:
        """What the study reports on this question, if it does."""
        return REPORTED.get(self.about)


def outcome(contrast: Mapping[str, Any]) -> str:
    """The verdict of a contrast as a key of ``SAID``."""
    verdict = contrast["verdict"]
    if verdict is None:
        return "none"
    if verdict.startswith("preserved"):
        return "preserved"
    direction = verdict.split(",")[0]
    if direction not in ("lower", "higher"):
        return "open"
    return f"{direction}, but" if "," in verdict else direction


def shown_verdict(contrast: Mapping[str, Any]) -> str:
    """The verdict as it is printed."""
    return (contrast["verdict"] or "no interval").replace("±0.", "±.")


def claims(group: Group) -> list[Claim]:
    """Everything a group says about the study's claims, in the order of the study."""
    found = [claim for arm in group.arms if (claim := _teacher(group, arm))]
    for row in group.result["contrasts"]:
        if row["mean"] == "human" and row["a"] in [arm.name for arm in group.arms]:
            a, b = group.arm(row["a"]), group.arm(row["b"])
            # A control answers for its teacher; against its base it is in the table of contrasts.
            if not (a.kind == "control" and b.name == a.base):
                found.append(_contrast(group, row, a, b))
    places = {about: place for place, about in enumerate(ORDER)}
    return sorted(found, key=lambda claim: places.get(claim.about, len(ORDER)))


def _teacher(group: Group, arm: Arm) -> Claim | None:
    figures = group.figures(arm.name)
    if arm.kind != "teacher" or figures is None or figures["mean_r_loglog"] is None:
        return None
    interval = figures["mean_r_loglog_ci"]
    if interval is None:
        label, tone, verb = "no interval", "open", "cannot be said to follow human time"
    elif interval[0] > 0:
        label, tone, verb = "yes, r above 0", "higher", "follows human time"
    elif interval[1] < 0:
        label, tone, verb = "reversed, r below 0", "lower", "spends less where people take longer"
    else:
        label, tone, verb = "no evidence either way", "open", "is not shown to follow human time"
    items = sum(len(group.costs[arm.name][task].items) for task in group.tasks("human"))
    mean = f"{_mean_of(group, arm)} {correlation(figures['mean_r_loglog'])}"
    notes = []
    if (ceiling := group.ceiling()) is not None:
        notes.append(
            f"The ceiling is {correlation(ceiling)}: a model that knew people's true average times "
            "would reach about that with these measured ones."
        )
    cold = group.figures(arm.greedy)
    if cold and cold["mean_r_loglog"] is not None:
        notes.append(f"At T = 0 its r is {correlation(cold['mean_r_loglog'])}.")
    if arm.base is None:
        notes.append(
            "The model it was trained from was not evaluated here, so this does not say what its "
            "training added."
        )
    return Claim(
        about="teacher",
        question="Does the teacher spend tokens where people spend time?",
        between=capital(arm.noun),
        label=label,
        tone=tone,
        statement=f"{capital(arm.noun)} {verb}.",
        evidence=f"{mean} {bounds(interval)}, n = {items} items",
        notes=notes,
    )


def _contrast(group: Group, row: Mapping[str, Any], a: Arm, b: Arm) -> Claim:
    found, about = outcome(row), _about(a, b)
    cold = group.contrast(a.greedy, b.greedy)
    relation = "teacher" if b.name == a.teacher else "base" if b.name == a.base else ""
    claimed = CLAIMS.get(relation) if a.kind == "student" and found == "lower" else None
    label = claimed or shown_verdict(row)
    gap = _accuracy_gap(row)
    if gap is not None:
        label += ", accuracy unknown" if gap != gap else ", with unequal accuracy"
    if found.split(",")[0] in ("lower", "higher") and not _survives_correction(row):
        label += ", not after correction"
    if cold is not None and _size(cold) != _size(row):
        label += f"; at T = 0: {shown_verdict(cold)}"
    question = QUESTIONS.get(about, "Which of the two follows people more closely?")
    bound = correlation(row["equivalence_bound"], 1)
    r_a, r_b = ((group.figures(model) or {}).get("mean_r_loglog") for model in (a.name, b.name))
    evidence = f"{_mean_of(group, a)} {correlation(r_a)} against {correlation(r_b)}, difference "
    evidence += f"{correlation(row['difference'])} {bounds(row['ci'])}, n = {row['n']} items, "
    evidence += f"{p_value(row['p_holm'])} (Holm)"
    if found == "preserved":
        evidence += f"; 90 % interval {bounds(row['ci90'])} inside ±{bound}"
    notes = [_accuracy(row, found), _cold(group, row, cold, a, b), _by_task(group, row)]
    return Claim(
        about=about,
        question=question.format(method=a.method, other=b.method),
        between=f"{capital(a.noun)} against {b.noun}",
        label=label,
        tone={"preserved": "same", "none": "open"}.get(found, found.split(",")[0]),
        statement=capital(SAID[found].format(a=a.noun, b=b.noun, bound=bound)),
        evidence=evidence,
        notes=[note for note in notes if note],
    )


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
    return "trained-base" if b.name == a.base else "other"


def _mean_of(group: Group, arm: Arm) -> str:
    num_tasks = len((group.figures(arm.name) or {}).get("mean_tasks", []))
    return f"mean r over {num_tasks} tasks" if num_tasks > 1 else "r"


def _accuracy_gap(row: Mapping[str, Any]) -> float | None:
    """Accuracy of a minus that of b: NaN if unknown, None if within tolerance."""
    if row["accuracy_a"] is None or row["accuracy_b"] is None:
        return float("nan")
    gap = float(row["accuracy_a"] - row["accuracy_b"])
    return gap if abs(gap) > ACCURACY_TOLERANCE + 1e-9 else None


def _survives_correction(row: Mapping[str, Any]) -> bool:
    return row["p_holm"] is not None and row["p_holm"] < SIGNIFICANT


def _accuracy(row: Mapping[str, Any], found: str) -> str:
    gap = _accuracy_gap(row)
    shown = f"{percent(row['accuracy_a'])} of answers right against {percent(row['accuracy_b'])}"
    if gap is None:
        return f"Accuracy is similar: {shown}."
    if gap != gap:
        return "Accuracy is unknown, so a weaker model is a possible explanation."
    if found == "preserved":
        meaning = "similar lengths do not mean similar answers"
    elif gap < 0 and found.startswith("lower"):
        meaning = "a weaker model is another explanation, not allocation alone"
    else:
        meaning = "the two differ in more than how they allocate tokens"
    return f"Accuracy differs, {shown}: {meaning}."


def _cold(
    group: Group, row: Mapping[str, Any], cold: Mapping[str, Any] | None, a: Arm, b: Arm
) -> str | None:
    """The same contrast without sampling, and what is left of the one with sampling."""
    if cold is None or cold["ci"] is None:
        return None
    warm, found = (outcome(contrast).split(",")[0] for contrast in (row, cold))
    text = f"At T = 0: {shown_verdict(cold)}, difference {correlation(cold['difference'])} "
    text += f"{bounds(cold['ci'])}"
    if warm in ("lower", "higher"):
        left = {
            warm: "so sampling noise alone does not explain it",
            "preserved": "so the difference comes with sampling and is gone without it",
            "open": "so without sampling the difference is not shown",
        }
        text += f"; {left.get(found, 'so the direction reverses without sampling')}"
    text += "."
    of_a, of_b = (group.over_tasks(arm.name, "reliability_model") for arm in (a, b))
    if of_a is not None and of_b is not None and abs(of_a - of_b) > RELIABILITY_TOLERANCE:
        text += (
            f" With sampling, the reliability of lengths is {correlation(of_a)} against "
            f"{correlation(of_b)}, and what is less reliable correlates less with anything."
        )
    return text


def _by_task(group: Group, row: Mapping[str, Any]) -> str | None:
    tasks = [group.contrast(row["a"], row["b"], task) for task in group.tasks("human")]
    shown = [
        f"{name(of_task['task'])} {correlation(of_task['difference'])} {bounds(of_task['ci'])}"
        for of_task in tasks
        if of_task is not None and of_task["ci"] is not None
    ]
    return f"By task, uncorrected: {listing(shown)}." if len(shown) > 1 else None
