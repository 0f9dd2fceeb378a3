"""Is an arm its base times a constant? The Linear Inflation Law, judged by its interval."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from handan.report.data import Group
from handan.report.notation import bounds, correlation, number
from handan.report.notation import sentence as capital
from handan.report.roles import Arm
from handan.report.words.claim import Claim
from handan.report.words.confounds import OF_LENGTHS, Confound, applying

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
    """The slope of a fit of ``handan.alignment.figures.inflation`` that has an interval."""
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
