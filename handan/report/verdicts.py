"""The claims of the paper (2601.05019), judged on a group of arms; no claim exceeds its interval.

A claim whose ``Requirement`` is not met is not testable: nobody loses what a teacher never had.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from handan.alignment import correlation as stats
from handan.alignment.contrasts import CLAIMS, Verdict, accuracy_gap
from handan.budgets import TOLERANCE
from handan.formatting import bounds, correlation, estimate, listing, name, number, p_value, percent
from handan.formatting import sentence as capital
from handan.report.comparison import WORDS, Arm, Group
from handan.report.summary import OF_CONTRASTS, OF_LENGTHS, Confound, applying

NOT_TESTABLE = "not testable here"
NO_VERDICT = "no verdict"
MIN_RISE, MIN_LEVEL, MIN_ROOM, MIN_RATIO = 0.1, 0.1, 0.15, 1.5
SLOPE_BOUND = 0.1  # a slope shown to be within this of 1 is that of a constant multiple
USUAL_POWER = 0.80  # a comparison should find what is there four times in five
_ROUNDING = 1e-9  # .4 - .3 is a little less than .1 in floating point


@dataclass(frozen=True)
class Requirement:
    """A condition on the models of a claim, without which it can come neither true nor false."""

    measure: str  # 'r' (mean alignment), 'difference' of r, 'room' (ceiling - r), 'ratio' of tokens
    a: str
    at_least: float
    b: str = ""


OF_TWO = {"r": False, "difference": True, "room": False, "ratio": True}  # is of models a and b


class Figure(NamedTuple):
    """An estimate with its interval or range; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "not known" if self.value is None else correlation(self.value)
        return estimate(self.value, (self.low, self.high))


class Known(NamedTuple):
    """Sources of the numbers that requirements are checked on."""

    r: Callable[[str], Figure]  # mean alignment of a model
    ratio: Callable[[str, str], Figure]  # tokens of a model / those of another, over items
    ceiling: float | None  # mean over the human tasks of the highest r that their times allow
    called: Callable[[str], str]  # a model in words


def check(required: Requirement, known: Known) -> dict[str, Any]:
    """Check a requirement: 'met' is None where 'value' is not known, 'said' is a clause."""

    def less(one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else one - other

    least = correlation(required.at_least)
    a, b = (known.called(model) for model in (required.a, required.b))
    if required.measure == "ratio":
        ratio, least = known.ratio(required.a, required.b), number(required.at_least, 2)
        value = ratio.value
        times = "an unknown number of" if value is None else number(value, 2)
        if ratio.low is not None and ratio.high is not None and ratio.low != ratio.high:
            times += f" ({number(ratio.low, 2)} to {number(ratio.high, 2)})"
        said = f"{a} writes {times} times the tokens of {b}"
    else:
        of_a = known.r(required.a)
        value, said = of_a.value, f"r of {a} ({of_a})"
        if required.measure == "difference":
            of_b = known.r(required.b)
            value = less(of_a.value, of_b.value)
            said += f" less that of {b} ({of_b}) is {Figure(value)}"
        elif required.measure == "room":
            value = less(known.ceiling, of_a.value)
            said = f"the ceiling {Figure(known.ceiling)} less {said} is {Figure(value)}"
    return {
        "measure": required.measure,
        "a": required.a,
        "b": required.b or None,
        "at_least": required.at_least,
        "value": value,
        "met": None if value is None else value >= required.at_least - _ROUNDING,
        "said": f"{said}, where {least} is required",
    }


class Question(NamedTuple):
    """A question of the paper, or one that its controls ask."""

    text: str
    reported: str = ""  # by the paper
    kind: str = ""  # of the arms it is about
    without_other: str = ""  # which run would answer it where there are such arms
    without_arm: str = ""  # and where there are none


QUESTIONS = {about: Question(**of) for about, of in WORDS["questions"].items()}


@dataclass(frozen=True)
class Claim:
    """One question of the paper, and what the numbers say."""

    about: str  # a key of QUESTIONS
    question: str
    between: str  # the two arms that are contrasted, or the one that is looked at
    label: str  # the verdict in a few words
    tone: str  # 'lower', 'higher', 'same' or 'open'
    statement: str
    evidence: str  # effect, interval, n
    notes: list[str]  # that qualify the verdict
    arms: tuple[str, ...]
    effect: str
    num_items: int
    power: str | None  # what the items could have shown; None if that is not known
    confounds: Sequence[Confound]  # of these arms alone

    @property
    def reported(self) -> str:
        """The paper's answer to this question, if it has one."""
        return QUESTIONS[self.about].reported


def claims(group: Group, tolerance: float = TOLERANCE) -> list[Claim]:
    """All claims that a group speaks to, in the order of ``QUESTIONS``."""
    found = [_teacher(group, arm) for arm in group.arms if arm.kind == "teacher"]
    for row in group.contrasts():
        a, b = group.arm(row["a"]), group.arm(row["b"])
        # A control answers for its teacher; against its base it is in the table of contrasts.
        if not (a.kind == "control" and b.name == a.base):
            found.append(_contrast(group, row, a, b, tolerance))
    found += [_multiplier(group, arm) for arm in group.arms if arm.base is not None]
    places = {about: place for place, about in enumerate(QUESTIONS)}
    known = [_tested(group, claim) for claim in found if claim is not None]
    return sorted(known, key=lambda claim: places[claim.about])


def missing(group: Group) -> list[tuple[str, str]]:
    """Questions of the paper that no arm of the group speaks to, and which run would answer."""
    found = {claim.about for claim in claims(group)}
    bases = sorted({arm.base for arm in group.arms if arm.base and arm.kind != "teacher"})
    unanswered = []
    for about, question in QUESTIONS.items():
        if about in found or not question.without_arm:
            continue
        arms = [arm for arm in group.arms if arm.kind == question.kind]
        teachers = sorted({arm.teacher_said for arm in arms if arm.teacher_said})
        known = arms and (teachers or about != "teacher")
        answer = (question.without_other if known else question.without_arm).format(
            arms=listing([arm.name for arm in arms]),
            teachers=listing(teachers),
            bases=listing(bases) or "the base of a student",
            evaluate="evaluate it on the same suite with handan evaluate",
        )
        unanswered.append((question.text.format(method="reinforcement learning"), answer))
    return unanswered


def _tested(group: Group, claim: Claim) -> Claim:
    """The claim; not testable, with the requirement as first note, where that is not met."""
    if claim.label.startswith(NO_VERDICT):
        return claim
    a, b = claim.arms[0], claim.arms[-1]
    requirements = {
        "student-teacher": Requirement("difference", b, MIN_RISE, group.arm(a).base or ""),
        "student-base": Requirement("r", b, MIN_LEVEL),
        "teacher-base": None if group.ceiling() is None else Requirement("room", b, MIN_ROOM),
        "multiplier": Requirement("ratio", a, MIN_RATIO, b),
    }
    required = requirements.get(claim.about)
    if required is None:
        return claim
    known = Known(
        r=lambda model: Figure(group.mean_r(model)[0], *(group.mean_r(model)[1] or ())),
        ratio=lambda a, b: _mean_ratio(group, a, b),
        ceiling=group.ceiling(),
        called=lambda model: group.arm(model).noun if model else "the model it was trained from",
    )
    found = check(required, known)
    if found["met"]:
        return claim
    note = f"{capital(found['said'])}; so this is {NOT_TESTABLE}."
    return replace(claim, label=NOT_TESTABLE, tone="open", notes=[note, *claim.notes])


def _mean_ratio(group: Group, a: str, b: str) -> Figure:
    """With sampling, or at T = 0 where there is nothing else."""
    fit = _fit(group, a, b) or _fit(group, group.arm(a).greedy, group.arm(b).greedy)
    key = "geometric_mean_ratio"
    return Figure(fit[key], *(fit[f"{key}_ci"] or ())) if fit else Figure(None)


def _teacher(group: Group, arm: Arm) -> Claim | None:
    figures = group.figures(arm.name)
    if figures is None or not group.tasks("human"):
        return None
    r, interval = group.mean_r(arm.name)
    if interval is None:
        label, tone, verb = NO_VERDICT, "open", "cannot be said to follow human time"
    elif interval[0] > 0:
        label, tone, verb = "yes, r above 0", "higher", "follows human time"
    elif interval[1] < 0:
        label, tone, verb = "reversed, r below 0", "lower", "spends less where people take longer"
    else:
        label, tone, verb = "no evidence either way", "open", "is not shown to follow human time"
    num_items = sum(sizes := [figures["tasks"][task]["n"] for task in figures["mean_tasks"]])
    notes = []
    if (ceiling := group.ceiling()) is not None:
        knew = "a model that knew people's true average times would reach about that"
        notes.append(f"The ceiling is {correlation(ceiling)}: {knew} with these measured ones.")
    if group.mean_r(arm.greedy)[0] is not None:
        notes.append(f"At T = 0 its r is {estimate(*group.mean_r(arm.greedy))}.")
    least = stats.detectable_from_zero(sizes, USUAL_POWER)
    told = f"an r of {correlation(least)} is told from 0 in {percent(USUAL_POWER)} of studies"
    effect = estimate(r, interval)
    return Claim(
        about="teacher",
        question=QUESTIONS["teacher"].text,
        between=capital(arm.noun),
        label=label,
        tone=tone,
        statement=f"{capital(arm.noun)} {verb}.",
        evidence=f"{_mean_of(figures['mean_tasks'])} {effect}, n = {num_items} items",
        notes=notes,
        arms=(arm.name,),
        effect=f"r = {effect}",
        num_items=num_items,
        power=None if np.isnan(least) else f"Power: with these {num_items} items, {told}.",
        confounds=applying(group, [arm.name], [*OF_LENGTHS, "format"]),
    )


def _mean_of(tasks: Sequence[str]) -> str:
    return f"mean r over {len(tasks)} tasks" if len(tasks) > 1 else "r"


def shown_verdict(contrast: Mapping[str, Any]) -> str:
    """The verdict of a contrast as it is printed."""
    return (Verdict.of(contrast).words or NO_VERDICT).replace("±0.", "±.")


def _contrast(group: Group, row: Mapping[str, Any], a: Arm, b: Arm, tolerance: float) -> Claim:
    verdict, about, cold = Verdict.of(row), _about(a, b), group.greedy_contrast(row)
    difference = estimate(row["difference"], row["ci"])
    evidence = f"{_mean_of(row['tasks'])} {correlation(row['r_a'])} against "
    evidence += f"{correlation(row['r_b'])}, difference {difference}, n = {row['n']} items"
    if row["p_holm"] is not None:
        evidence += f", {p_value(row['p_holm'])} (Holm)"
    if verdict.outcome == "preserved":
        evidence += f"; 90 % interval {bounds(row['ci90'])} inside ±{correlation(verdict.bound, 1)}"
    if verdict.outcome in ("preserved", "open") and row["bf01"] is not None:
        evidence += f"; Bayes factor {number(row['bf01'], 2)} for equal r"
    notes = [*_levels(group, a, b), *_without_sampling(row, cold)]
    tasks = [one for task in group.tasks("human") if (one := group.contrast(a.name, b.name, task))]
    shown = [
        f"{name(of_task['task'])} {estimate(of_task['difference'], of_task['ci'])}"
        for of_task in tasks
        if of_task["ci"] is not None
    ]
    if len(shown) > 1:
        notes.append(f"By task, uncorrected: {listing(shown)}.")
    notes += _outcomes(row["outcomes"])
    return Claim(
        about=about,
        question=QUESTIONS[about].text.format(method=a.method, other=b.method),
        between=f"{capital(a.noun)} against {b.noun}",
        label=_label(row, cold, a, b),
        tone={"preserved": "same", "none": "open"}.get(verdict.outcome, verdict.outcome),
        statement=capital(_statement(verdict, a.noun, b.noun)),
        evidence=evidence,
        notes=notes,
        arms=(a.name, b.name),
        effect=difference,
        num_items=row["n"],
        power=_power(tasks, verdict),
        confounds=applying(group, [a.name, b.name], OF_CONTRASTS, tolerance),
    )


def _about(a: Arm, b: Arm) -> str:
    if a.kind == "control" and b.name == a.teacher:
        return "control"
    if a.kind == "student":
        relations = {a.teacher: "student-teacher", a.base: "student-base"}
        return relations.get(b.name, "student-trained" if b.kind == "trained" else "other")
    if b.name == a.base:
        return "teacher-base" if a.kind == "teacher" else "trained-base"
    return "trained-teacher" if (a.kind, b.kind) == ("trained", "teacher") else "other"


def _statement(verdict: Verdict, a: str, b: str) -> str:
    bound = correlation(verdict.bound, 1)
    if verdict.withheld:
        return f"Nothing is said of {a} against {b}: {verdict.withheld}."
    if verdict.direction:
        how = "less" if verdict.direction == "lower" else "more"
        but = f", but by less than {bound}" if verdict.within else ""
        return f"{a} follows human time {how} closely than {b}{but}."
    if verdict.within:
        return f"{a} follows human time as closely as {b}, to within ±{bound}."
    return f"These items do not tell whether {a} follows human time more or less closely than {b}."


def _label(row: Mapping[str, Any], cold: Mapping[str, Any] | None, a: Arm, b: Arm) -> str:
    """The verdict in a few words, with what qualifies it at once."""
    verdict, label = Verdict.of(row), shown_verdict(row)
    if a.kind == "student" and verdict.direction == "lower" and not verdict.within:
        relations = {a.base: "base", a.teacher: "teacher"}
        label = CLAIMS.get(relations.get(b.name, ""), label)
    gap = accuracy_gap(row)
    if gap is not None:
        label += ", accuracy unknown" if gap != gap else ", with unequal accuracy"
    label += _uncorrected(verdict)
    if cold is not None:
        # A difference within the bound is none.
        greedy = Verdict.of(cold)
        if len({"preserved" if of.within else of.outcome for of in (verdict, greedy)}) > 1:
            label += f"; at T = 0: {shown_verdict(cold)}{_uncorrected(greedy)}"
    return label


def _outcomes(of: Mapping[str, Any] | None) -> Iterator[str]:
    """Accuracy and length of the two, where both are known."""
    if of is None or None in (of["accuracy_difference"], of["tokens_ratio"]):
        return
    right = f"{percent(of['accuracy_a'])} against {percent(of['accuracy_b'])} right, difference "
    right += estimate(of["accuracy_difference"], of["accuracy_ci"])
    ratio = f"{number(of['tokens_ratio'], 2)} {bounds(of['tokens_ratio_ci'])}"
    yield f"Accuracy and length: {right}; mean tokens in a ratio of {ratio}."


def _uncorrected(verdict: Verdict) -> str:
    return "" if verdict.survives_correction else ", not after correction"


def _levels(group: Group, a: Arm, b: Arm) -> Iterator[str]:
    """Say where an arm is reversed, or the one compared with has no alignment to speak of."""
    for arm in (a, b):
        r, interval = group.mean_r(arm.name)
        noun, shown = capital(arm.noun), f"r = {estimate(r, interval)}"
        if interval is not None and interval[1] < 0:
            yield f"{noun} is reversed, {shown}: it spends fewer tokens where people take longer."
        elif interval is not None and arm is b and interval[0] <= 0:
            lost = "so there may be nothing to keep or to lose"
            yield f"{noun} itself is not shown to follow human time, {shown}, {lost}."


def _without_sampling(row: Mapping[str, Any], cold: Mapping[str, Any] | None) -> Iterator[str]:
    """The same contrast at T = 0, and what is left there of the one with sampling."""
    if cold is None or cold["ci"] is None:
        return
    sampled, greedy = Verdict.of(row), Verdict.of(cold)
    difference = estimate(cold["difference"], cold["ci"])
    text = f"At T = 0: {shown_verdict(cold)}{_uncorrected(greedy)}, difference {difference}"
    if sampled.direction:
        left = {
            sampled.direction: "so sampling noise alone does not explain it"
            if greedy.survives_correction
            else "so some of it may be left without sampling",
            "preserved": "so the difference comes with sampling and is gone without it",
            "open": "so without sampling the difference is not shown",
        }
        text += f"; {left.get(greedy.outcome, 'so the direction reverses without sampling')}"
    elif greedy.direction and not sampled.withheld:
        hides = "hides" if greedy.survives_correction else "may hide"
        text += f"; so sampling {hides} a difference"
    yield f"{text}."


def _power(tasks: Sequence[Mapping[str, Any]], verdict: Verdict) -> str | None:
    """Power of a contrast by normal theory, for the paper's teachers and arms as alike as these."""
    known = [of_task for of_task in tasks if of_task["r_ab"] is not None]
    if not known:
        return None
    sizes = [of_task["n"] for of_task in known]
    likeness = float(stats.fisher_mean(np.array([of_task["r_ab"] for of_task in known])))
    least = stats.detectable(stats.REPORTED[0], likeness, sizes, USUAL_POWER)
    equal = stats.equivalence_power(stats.REPORTED[0], likeness, sizes, verdict.bound)
    parts = []
    if verdict.outcome != "preserved" and not np.isnan(least):
        often = f"in {percent(USUAL_POWER)} of studies"
        parts.append(f"a difference of {correlation(least)} is found {often}")
    if verdict.outcome in ("preserved", "open") and not np.isnan(equal):
        within = f"within ±{correlation(verdict.bound, 1)}"
        parts.append(f"equal arms are shown to be {within} in {percent(equal)} of studies")
    return f"Power: with these {sum(sizes)} items, {' and '.join(parts)}." if parts else None


def _multiplier(group: Group, arm: Arm) -> Claim | None:
    """Judge the 'linear inflation law' for an arm: with sampling, and whether T = 0 differs.

    b = 1 is a constant multiple. Whether it is one is 'yes' only where the whole interval is
    within ``SLOPE_BOUND`` of 1, 'no' only where 1 is outside the interval, and open otherwise.
    """
    base = group.arm(arm.base)
    warm, cold = _law(group, arm.name, base.name), _law(group, arm.greedy, base.greedy)
    # A slope that is not corrected for the noise of samples is flattened by it.
    first_cold = cold is not None and (warm is None or slope_of(warm) is warm)
    fit, other = (cold, warm) if first_cold else (warm, cold)
    if fit is None:
        return None
    slope, effect = slope_of(fit), _figures(fit)
    label, tone, statement = judged(slope["b_ci"], fit["geometric_mean_ratio_ci"])
    warmly, coldly = "with sampling", "at T = 0"
    place, other_place = (coldly, warmly) if first_cold else (warmly, coldly)
    departs = number(float(np.exp(fit["residual_sd"])), 2)
    note = f"Single items depart from the line by a factor of about {departs}"
    if fit["noise_sd"] is not None:
        note += f"; sampling alone makes {number(float(np.exp(fit['noise_sd'])), 2)}"
    notes = [f"{note}. A constant multiple alone would leave r as it was."]
    if fit["law"] is not None:
        laws = "Of a constant multiple, a constant number of tokens more, and no relation"
        notes.append(f"{laws}, the interval of b leaves: {fit['law']}.")
    if other is not None:
        otherwise = judged(slope_of(other)["b_ci"], other["geometric_mean_ratio_ci"])[0]
        label += f"; {other_place}: {otherwise}" if otherwise != label else ""
        notes.append(f"{capital(other_place)}, {_figures(other)}.")
    confounds = applying(group, (fit["student"], fit["base"]), OF_LENGTHS)
    if not first_cold and slope is fit:
        text = "it flattens b, and one response an item does not tell by how much"
        confounds.append(Confound("Sampling noise", True, text, key="noise"))
    wide, most = slope["b_ci"][1] - slope["b_ci"][0], 2 * SLOPE_BOUND
    power = f"Precision: the interval of b is {correlation(wide)} wide; only one narrower than "
    power += f"{correlation(most, 1)} could show a constant multiple."
    num_items = fit["n"]
    return Claim(
        about="multiplier",
        question=QUESTIONS["multiplier"].text,
        between=f"{capital(arm.noun)} against {base.noun}",
        label=label,
        tone=tone,
        statement=capital(statement.format(a=arm.noun)),
        evidence=f"{place}, {effect}, where k is the mean ratio of tokens, n = {num_items} items",
        notes=notes,
        arms=(arm.name, base.name),
        effect=effect,
        num_items=num_items,
        power=power if wide >= most else None,
        confounds=confounds,
    )


def _fit(group: Group, student: str | None, base: str | None) -> Mapping[str, Any] | None:
    rows, wanted = group.result["inflation"], (student, base, None)
    return next((row for row in rows if (row["student"], row["base"], row["task"]) == wanted), None)


def _law(group: Group, student: str | None, base: str | None) -> Mapping[str, Any] | None:
    """The fit over all tasks, if it has an interval."""
    fit = _fit(group, student, base)
    return fit if fit and fit["b_ci"] is not None and fit["residual_sd"] is not None else None


def slope_of(fit: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is judged of a fit: corrected for the base's noise where that is known."""
    return fit if fit["corrected"]["b_ci"] is None else fit["corrected"]


def judged(slope: Sequence[float], ratio: Sequence[float] | None) -> tuple[str, str, str]:
    """Label, tone and statement, with a place for the arm, as far as the intervals allow."""
    bound, (low, high) = correlation(SLOPE_BOUND, 1), slope
    if _near_one(slope):
        label = f"yes, b is within ±{bound} of 1{'' if low <= 1 <= high else ', but is not 1'}"
        statement = f"{{a}} is a constant multiple of its base, to within ±{bound} of the slope"
        if ratio is not None and _near_one(ratio):
            same = f"{statement}, and writes about as much as its base."
            return f"{label}, and so is k", "same", same
        return label, "same", f"{statement}."
    if low <= 1 <= high:
        statement = "These items do not tell whether {a} is a constant multiple of its base."
        return "no evidence either way", "open", statement
    statement = "{a} is no constant multiple of its base: where its base writes more, the factor "
    if high < 1:
        return "no, b below 1", "lower", f"{statement}is smaller."
    return "no, b above 1", "higher", f"{statement}is larger."


def _near_one(interval: Sequence[float]) -> bool:
    return interval[0] > 1 - SLOPE_BOUND and interval[1] < 1 + SLOPE_BOUND


def _figures(fit: Mapping[str, Any]) -> str:
    slope, ratio = slope_of(fit), fit["geometric_mean_ratio_ci"]
    k = number(fit["geometric_mean_ratio"], 2)
    between = "" if ratio is None else f" [{number(ratio[0], 2)}, {number(ratio[1], 2)}]"
    return f"b = {estimate(slope['b'], slope['b_ci'])}, k = {k}{between}"
