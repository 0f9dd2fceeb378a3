"""What a claim requires before it can come true or false, and whether the numbers meet it.

A student cannot lose what its teacher had no more of than their base, and lengths that did not
grow say nothing about how they grow. A claim whose requirement is not met is not testable: it is
neither reproduced nor refuted. What is compared with ``at_least`` is the estimate itself; its
interval is said beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from handan.alignment.contrasts import CLAIMS, Verdict
from handan.alignment.correlation import (
    REPORTED,
    detectable,
    detectable_from_zero,
    equivalence_power,
    fisher_mean,
)
from handan.budgets import TOLERANCE
from handan.report.comparison import Arm, Group
from handan.report.confounds import (
    OF_CONTRASTS,
    OF_LENGTHS,
    ORDER,
    Claim,
    Confound,
    accuracy_gap,
    applying,
)
from handan.report.formatting import bounds, correlation, listing, name, number, p_value, percent
from handan.report.formatting import sentence as capital

NOT_TESTABLE = "not testable here"
# .4 - .3 is a little less than .1 in floating point.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Requirement:
    """What a claim requires of the models that it is about.

    Attributes:
        measure: ``r``, mean alignment of a; ``difference``, that of a less that of b; ``room``,
            the human ceiling less the alignment of a; ``ratio``, tokens of a / those of b.
        a, b: names of models; ``r`` and ``room`` have no b.
        at_least: the least value.
    """

    measure: str
    a: str
    at_least: float
    b: str = ""


# Whether a measure is of two models.
OF_TWO = {"r": False, "difference": True, "room": False, "ratio": True}


class Figure(NamedTuple):
    """An estimate with its interval or range; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Known(NamedTuple):
    """Where the numbers are.

    Attributes:
        r: mean alignment of a model with its interval.
        ratio: tokens of a model / those of another, over items.
        ceiling: mean over the human tasks of the highest r that their response times allow.
        called: a model in words.
    """

    r: Callable[[str], Figure]
    ratio: Callable[[str, str], Figure]
    ceiling: float | None
    called: Callable[[str], str]


def check(required: Requirement, known: Known) -> dict[str, Any]:
    """Whether a requirement is met.

    Returns:
        'measure', 'a', 'b', 'at_least', 'value', 'met' (null where the value is not known) and
        'said', a clause with all numbers.
    """
    value, said = _MEASURES[required.measure](required, known)
    return {
        "measure": required.measure,
        "a": required.a,
        "b": required.b or None,
        "at_least": required.at_least,
        "value": value,
        "met": None if value is None else value >= required.at_least - _ROUNDING,
        "said": said,
    }


def _r(required: Requirement, known: Known) -> tuple[float | None, str]:
    of_a = known.r(required.a)
    least = correlation(required.at_least)
    return of_a.value, f"r of {_shown(required.a, of_a, known)}, where {least} is required"


def _difference(required: Requirement, known: Known) -> tuple[float | None, str]:
    of_a, of_b = known.r(required.a), known.r(required.b)
    value = None if of_a.value is None or of_b.value is None else of_a.value - of_b.value
    shown = f"{_shown(required.a, of_a, known)} less that of {_shown(required.b, of_b, known)}"
    least = correlation(required.at_least)
    return value, f"r of {shown} is {_or_unknown(value)}, where {least} is required"


def _room(required: Requirement, known: Known) -> tuple[float | None, str]:
    of_a, ceiling = known.r(required.a), known.ceiling
    value = None if of_a.value is None or ceiling is None else ceiling - of_a.value
    shown = f"the ceiling {_or_unknown(ceiling)} less r of {_shown(required.a, of_a, known)}"
    least = correlation(required.at_least)
    return value, f"{shown} is {_or_unknown(value)}, where {least} is required"


def _ratio(required: Requirement, known: Known) -> tuple[float | None, str]:
    ratio = known.ratio(required.a, required.b)
    of_a, of_b = known.called(required.a), known.called(required.b)
    times = "an unknown number of" if ratio.value is None else number(ratio.value, 2)
    if ratio.low is not None and ratio.high is not None and ratio.low != ratio.high:
        times += f" ({number(ratio.low, 2)} to {number(ratio.high, 2)})"
    least = number(required.at_least, 2)
    said = f"{of_a} writes {times} times the tokens of {of_b}, where {least} is required"
    return ratio.value, said


_MEASURES = {"r": _r, "difference": _difference, "room": _room, "ratio": _ratio}


def _shown(name: str, figure: Figure, known: Known) -> str:
    """'base (.70 [.65, .75])'."""
    called = known.called(name)
    if figure.value is None:
        return f"{called} (not known)"
    if figure.low is None or figure.high is None:
        return f"{called} ({correlation(figure.value)})"
    return f"{called} ({correlation(figure.value)} {bounds((figure.low, figure.high))})"


def _or_unknown(value: float | None) -> str:
    return "not known" if value is None else correlation(value)


# Which claims of the study these arms can answer at all, by what the claims require.

NO_VERDICT = "no verdict"
MIN_RISE, MIN_LEVEL, MIN_ROOM, MIN_RATIO = 0.1, 0.1, 0.15, 1.5


def tested(group: Group, claim: Claim) -> Claim:
    """The claim, or one that is not testable, with the requirement that is not met as first note.

    What is compared is said and shown as before; it neither confirms nor refutes the claim. Where
    there is no verdict there is nothing to take back.
    """
    if claim.label.startswith(NO_VERDICT):
        return claim
    known = Known(
        r=lambda name: _r_testable(group, name),
        ratio=lambda a, b: _ratio_testable(group, a, b),
        ceiling=group.ceiling(),
        called=lambda name: group.arm(name).noun if name else "the model it was trained from",
    )
    found = [check(required, known) for required in _required(group, claim)]
    lacking = [
        f"{capital(one['said'])}; so this is {NOT_TESTABLE}." for one in found if not one["met"]
    ]
    if not lacking:
        return claim
    return replace(claim, label=NOT_TESTABLE, tone="open", notes=[*lacking, *claim.notes])


def _required(group: Group, claim: Claim) -> Iterator[Requirement]:
    """What a claim requires of its two arms."""
    if claim.about == "student-teacher":
        student, teacher = claim.arms
        base = group.arm(student).base or ""
        yield Requirement("difference", teacher, MIN_RISE, base)
    elif claim.about == "student-base":
        yield Requirement("r", claim.arms[1], MIN_LEVEL)
    elif claim.about == "teacher-base" and group.ceiling() is not None:
        yield Requirement("room", claim.arms[1], MIN_ROOM)
    elif claim.about == "multiplier":
        yield Requirement("ratio", claim.arms[0], MIN_RATIO, claim.arms[1])


def _r_testable(group: Group, name: str) -> Figure:
    figures = group.figures(name)
    if figures is None:
        return Figure(None)
    return Figure(figures["mean_r_loglog"], *(figures["mean_r_loglog_ci"] or (None, None)))


def _ratio_testable(group: Group, a: str, b: str) -> Figure:
    """With sampling, or at T = 0 where there is nothing else."""
    arms = group.arm(a), group.arm(b)
    for pair in ((a, b), tuple(arm.greedy for arm in arms)):
        for fit in group.result["inflation"]:
            if (fit["student"], fit["base"], fit["task"]) == (*pair, None):
                interval = fit["geometric_mean_ratio_ci"] or (None, None)
                return Figure(fit["geometric_mean_ratio"], *interval)
    return Figure(None)


# What the items at hand could have shown, in one short sentence, by normal theory.

# A study should find what is there four times in five.
USUAL_POWER = 0.80


def power_of_contrast(group: Group, row: Mapping[str, Any], found: str) -> str | None:
    """Power of a contrast on the mean over human tasks; None where normal theory has none.

    For the r that the study reports of teachers, and for two arms as alike as these: the
    correlations of their log costs are in the rows of the tasks.

    Args:
        group: the arms, with all contrasts.
        row: the contrast.
        found: its verdict, a key of ``handan.report.verdicts.SAID``. Where a difference was
            found, nothing is said of equivalence, and where equivalence was, of differences.
    """
    tasks = [group.contrast(row["a"], row["b"], task) for task in group.tasks("human")]
    known = [of_task for of_task in tasks if of_task is not None and of_task["r_ab"] is not None]
    if not known:
        return None
    sizes = [of_task["n"] for of_task in known]
    likeness = float(fisher_mean(np.array([of_task["r_ab"] for of_task in known])))
    bound = row["equivalence_bound"]
    least = detectable(REPORTED[0], likeness, sizes, USUAL_POWER)
    equal = equivalence_power(REPORTED[0], likeness, sizes, bound)
    parts = []
    if found != "preserved" and not np.isnan(least):
        often = f"in {percent(USUAL_POWER)} of studies"
        parts.append(f"a difference of {correlation(least)} is found {often}")
    if found in ("preserved", "open") and not np.isnan(equal):
        often = f"in {percent(equal)} of studies"
        parts.append(f"equal arms are shown to be within ±{correlation(bound, 1)} {often}")
    if not parts:
        return None
    return f"Power: with these {sum(sizes)} items, {' and '.join(parts)}."


def power_of_r(sizes: Sequence[int]) -> str | None:
    """The smallest mean r over tasks of these sizes that is usually told from 0."""
    least = detectable_from_zero(sizes, USUAL_POWER)
    if np.isnan(least):
        return None
    return (
        f"Power: with these {sum(sizes)} items, an r of {correlation(least)} is told from 0 in "
        f"{percent(USUAL_POWER)} of studies."
    )


# Is an arm its base times a constant? The Linear Inflation Law, judged by its interval.

# A slope shown to be within this of 1 is that of a constant multiple.
SLOPE_BOUND = 0.1


class Slope(NamedTuple):
    """The slope b of a fit that is judged: corrected for the base's noise where that is known."""

    b: float
    low: float
    high: float
    corrected: bool


def multiplier_claims(group: Group) -> list[Claim]:
    """One claim an arm with a known base: with sampling, and whether T = 0 says otherwise.

    b = 1 is a constant multiple. Whether it is one is 'yes' only where the whole interval is
    within ``SLOPE_BOUND`` of 1, 'no' only where 1 is outside the interval, and open otherwise.
    """
    return [claim for arm in group.arms if (claim := _claim(group, arm)) is not None]


def _claim(group: Group, arm: Arm) -> Claim | None:
    if arm.base is None:
        return None
    base = group.arm(arm.base)
    warm = _fit(group, arm.name, base.name)
    cold = _fit(group, arm.greedy, base.greedy)
    # A slope that is not corrected for the noise of samples is flattened by it.
    first_cold = cold is not None and (warm is None or not slope_of(warm).corrected)
    fit, other = (cold, warm) if first_cold else (warm, cold)
    if fit is None:
        return None
    slope = slope_of(fit)
    label, tone, statement = judged(slope, fit["geometric_mean_ratio_ci"])
    places = ("at T = 0", "with sampling") if first_cold else ("with sampling", "at T = 0")
    if other is not None:
        otherwise = judged(slope_of(other), other["geometric_mean_ratio_ci"])[0]
        label += f"; {places[1]}: {otherwise}" if otherwise != label else ""
    return Claim(
        about="multiplier",
        question="Is it the model it was trained from, times a constant?",
        between=f"{capital(arm.noun)} against {base.noun}",
        label=label,
        tone=tone,
        statement=capital(statement.format(a=arm.noun)),
        evidence=f"{places[0]}, {_figures(fit)}, where k is the mean ratio of tokens, "
        f"n = {fit['n']} items",
        notes=_notes(fit, f"{capital(places[1])}, {_figures(other)}." if other else None),
        arms=(arm.name, base.name),
        effect=_figures(fit),
        num_items=fit["n"],
        power=_precision(slope),
        confounds=_confounds(group, fit, slope, first_cold),
    )


def _fit(group: Group, student: str | None, base: str | None) -> Mapping[str, Any] | None:
    """The fit over all tasks, if it has an interval."""
    for fit in group.result["inflation"]:
        if (fit["student"], fit["base"], fit["task"]) == (student, base, None):
            known = fit["b_ci"] is not None and fit["residual_sd"] is not None
            return dict(fit) if known else None
    return None


def slope_of(fit: Mapping[str, Any]) -> Slope:
    """The slope of a fit of ``handan.alignment.inflation`` that has an interval."""
    corrected = fit["corrected"]["b_ci"] is not None
    chosen = fit["corrected"] if corrected else fit
    low, high = chosen["b_ci"]
    return Slope(chosen["b"], low, high, corrected)


def judged(slope: Slope, ratio: Sequence[float] | None) -> tuple[str, str, str]:
    """Label, tone and statement, with a place for the arm, as far as the intervals allow."""
    bound = correlation(SLOPE_BOUND, 1)
    if _near_one((slope.low, slope.high)):
        exact = "" if slope.low <= 1 <= slope.high else ", but is not 1"
        statement = f"{{a}} is a constant multiple of its base, to within ±{bound} of the slope"
        if ratio is not None and _near_one(ratio):
            label = f"yes, b is within ±{bound} of 1{exact}, and so is k"
            return label, "same", f"{statement}, and writes about as much as its base."
        return f"yes, b is within ±{bound} of 1{exact}", "same", f"{statement}."
    if slope.low <= 1 <= slope.high:
        statement = "These items do not tell whether {a} is a constant multiple of its base."
        return "no evidence either way", "open", statement
    statement = "{a} is no constant multiple of its base: where its base writes more, the factor "
    if slope.high < 1:
        return "no, b below 1", "lower", f"{statement}is smaller."
    return "no, b above 1", "higher", f"{statement}is larger."


def _near_one(interval: Sequence[float]) -> bool:
    return interval[0] > 1 - SLOPE_BOUND and interval[1] < 1 + SLOPE_BOUND


def _figures(fit: Mapping[str, Any]) -> str:
    slope, ratio = slope_of(fit), fit["geometric_mean_ratio_ci"]
    text = f"b = {correlation(slope.b)} {bounds((slope.low, slope.high))}, "
    text += f"k = {number(fit['geometric_mean_ratio'], 2)}"
    return text if ratio is None else f"{text} [{number(ratio[0], 2)}, {number(ratio[1], 2)}]"


def _notes(fit: Mapping[str, Any], otherwise: str | None) -> list[str]:
    departs = number(float(np.exp(fit["residual_sd"])), 2)
    text = f"Single items depart from the line by a factor of about {departs}"
    if fit["noise_sd"] is not None:
        text += f"; sampling alone makes {number(float(np.exp(fit['noise_sd'])), 2)}"
    notes = [f"{text}. A constant multiple alone would leave r as it was."]
    if fit["law"] is not None:
        notes.append(
            "Of a constant multiple, a constant number of tokens more, and no relation, the "
            f"interval of b leaves: {fit['law']}."
        )
    return notes + ([otherwise] if otherwise else [])


def _precision(slope: Slope) -> str | None:
    wide, most = slope.high - slope.low, 2 * SLOPE_BOUND
    if wide < most:
        return None
    return (
        f"Precision: the interval of b is {correlation(wide)} wide; only one narrower than "
        f"{correlation(most, 1)} could show a constant multiple."
    )


def _confounds(group: Group, fit: Mapping[str, Any], slope: Slope, cold: bool) -> list[Confound]:
    found = applying(group, (fit["student"], fit["base"]), OF_LENGTHS)
    if not cold and not slope.corrected:
        text = "it flattens b, and one response an item does not tell by how much"
        found.append(Confound("Sampling noise", True, text, key="noise"))
    return found


# Sentences on the study's claims, made from the contrasts; no claim goes beyond its interval.

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


# Claims of the study that these runs cannot answer, each with the run that would.

EVALUATE = "evaluate it on the same suite with eval/run.py"


class Missing(NamedTuple):
    """A question of the study, and in one sentence which run would answer it."""

    question: str
    answered_by: str


def missing(group: Group) -> list[Missing]:
    """The claims of the study that no arm of the group speaks to, in the study's order."""
    found = {claim.about for claim in claims(group)}
    asked = {
        "teacher": ("Does a teacher spend tokens where people spend time?", _teacher_missing),
        "teacher-base": ("Is the teacher above the model it was trained from?", _teacher_base),
        "student-teacher": ("Does imitation lose the teacher's allocation?", _student_teacher),
        "student-base": ("Does imitation leave a model below where it began?", _student_base),
        "multiplier": ("Is a trained model its base, times a constant?", _multiplier),
        "trained-base": ("Does reinforcement learning keep the alignment?", _trained_base),
    }
    return [
        Missing(question, answer(group))
        for about, (question, answer) in asked.items()
        if about not in found
    ]


def _teacher_missing(group: Group) -> str:
    students = _kind(group, "student")
    if named := sorted({arm.teacher_said for arm in students if arm.teacher_said}):
        return f"The teacher {listing(named)} was not evaluated; {EVALUATE}."
    return (
        "No teacher was evaluated; evaluate one and a student of its traces, which shows its role."
    )


def _teacher_base(group: Group) -> str:
    if teachers := _kind(group, "teacher"):
        return (
            f"The model that {listing([arm.name for arm in teachers])} was trained from was not "
            f"evaluated; {EVALUATE}."
        )
    return "No teacher was evaluated; evaluate one, its student and the model it was trained from."


def _student_teacher(group: Group) -> str:
    if students := _kind(group, "student"):
        return f"The teacher of {listing([arm.name for arm in students])} was not evaluated here."
    return _no_student("the teacher's")


def _student_base(group: Group) -> str:
    if students := _kind(group, "student"):
        return (
            f"The model that {listing([arm.name for arm in students])} began with was not "
            f"evaluated; {EVALUATE}."
        )
    return _no_student("a teacher's")


def _no_student(whose: str) -> str:
    return (
        f"No student was evaluated; train one on {whose} traces with recipes/sft_distill.py, and "
        "evaluate it and the model it began with on the same suite."
    )


def _multiplier(group: Group) -> str:
    return f"No arm's base was evaluated, or there are too few items; for a base, {EVALUATE}."


def _trained_base(group: Group) -> str:
    if trained := _kind(group, "trained"):
        return (
            f"The model that {listing([arm.name for arm in trained])} began with was not "
            f"evaluated; {EVALUATE}."
        )
    bases = sorted({arm.base for arm in group.arms if arm.base and arm.kind != "teacher"})
    whose = f"from {listing(bases)}" if bases else "from the base of a student"
    return (
        f"No model trained by reinforcement {whose} was evaluated; train one with "
        "recipes/grpo.py, and evaluate it on the same suite."
    )


def _kind(group: Group, kind: str) -> list[Arm]:
    return [arm for arm in group.arms if arm.kind == kind]
