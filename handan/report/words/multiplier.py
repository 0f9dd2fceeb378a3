"""Is an arm its base times a constant? The Linear Inflation Law, judged by its interval."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from handan.report.data import Group
from handan.report.notation import bounds, correlation, number
from handan.report.notation import sentence as capital
from handan.report.roles import Arm
from handan.report.words import pair
from handan.report.words.claim import Claim

# A slope shown to be within this of 1 is that of a constant multiple.
SLOPE_BOUND = 0.1


class Slope(NamedTuple):
    """The slope b of a fit that is judged: corrected for the base's noise where that is known."""

    b: float
    low: float
    high: float
    corrected: bool


def multiplier_claims(group: Group) -> list[Claim]:
    """One claim an arm with a known base, at T = 0 if both were measured there.

    b = 1 is a constant multiple. Whether it is one is 'yes' only where the whole interval is
    within ``SLOPE_BOUND`` of 1, 'no' only where 1 is outside the interval, and open otherwise.
    """
    return [claim for arm in group.arms if (claim := _claim(group, arm)) is not None]


def _claim(group: Group, arm: Arm) -> Claim | None:
    if arm.base is None:
        return None
    base = group.arm(arm.base)
    cold = arm.greedy is not None and base.greedy is not None
    models = (str(arm.greedy), str(base.greedy)) if cold else (arm.name, base.name)
    fit = _pooled(group, *models)
    if fit is None or (slope := slope_of(fit)) is None:
        return None
    label, tone, statement = judged(slope)
    ratio, its_bounds = fit["geometric_mean_ratio"], fit["geometric_mean_ratio_ci"]
    where = "at T = 0" if cold else "with sampling"
    how = ", corrected for the noise of the base's lengths" if slope.corrected else ""
    shown = f"b = {correlation(slope.b)} {bounds((slope.low, slope.high))}"
    times = f"k = {number(ratio, 2)} {_ratios(its_bounds)}"
    return Claim(
        about="multiplier",
        question="Is it the model it was trained from, times a constant?",
        between=f"{capital(arm.noun)} against {base.noun}",
        label=label,
        tone=tone,
        statement=capital(statement.format(a=arm.noun)),
        evidence=f"{where}, {shown}{how}; {times} times its base's tokens, n = {fit['n']} items",
        notes=_notes(group, arm, base, fit, cold),
        arms=(arm.name, base.name),
        effect=f"{shown}, {times}",
        num_items=fit["n"],
        power=_power(slope),
        confounds=pair.of_lengths(group, models),
    )


def slope_of(fit: Mapping[str, Any]) -> Slope | None:
    """The slope of a fit of ``handan.alignment.figures.inflation``; None without interval."""
    corrected = fit["corrected"]["b_ci"] is not None
    chosen = fit["corrected"] if corrected else fit
    if chosen["b_ci"] is None or fit["residual_sd"] is None:
        return None
    low, high = chosen["b_ci"]
    return Slope(chosen["b"], low, high, corrected)


def judged(slope: Slope) -> tuple[str, str, str]:
    """Label, tone and statement, with a place for the arm, as far as the interval allows."""
    inside = slope.low > 1 - SLOPE_BOUND and slope.high < 1 + SLOPE_BOUND
    bound = correlation(SLOPE_BOUND, 1)
    if inside:
        exact = "" if slope.low <= 1 <= slope.high else ", but is not 1"
        statement = f"{{a}} is a constant multiple of its base, to within ±{bound} of the slope."
        return f"yes, b is within ±{bound} of 1{exact}", "same", statement
    if slope.low <= 1 <= slope.high:
        statement = "These items do not tell whether {a} is a constant multiple of its base."
        return "no evidence either way", "open", statement
    if slope.high < 1:
        statement = "{a} is no constant multiple of its base: where its base writes more, the "
        return "no, b below 1", "lower", statement + "factor is smaller."
    statement = "{a} is no constant multiple of its base: where its base writes more, the factor "
    return "no, b above 1", "higher", statement + "is larger."


def _notes(group: Group, arm: Arm, base: Arm, fit: Mapping[str, Any], cold: bool) -> list[str]:
    notes = []
    if cold and (warm := _pooled(group, arm.name, base.name)) is not None:
        of_ratio = number(warm["geometric_mean_ratio"], 2)
        text = f"With sampling, k = {of_ratio} {_ratios(warm['geometric_mean_ratio_ci'])}"
        if (slope := slope_of(warm)) is not None:
            text += f" and b = {correlation(slope.b)} {bounds((slope.low, slope.high))}"
        notes.append(f"{text}.")
    factor = number(float(np.exp(fit["residual_sd"])), 2)
    notes.append(
        f"Single items depart from the line by a factor of about {factor}. A constant multiple "
        "leaves r as it was, so only a slope below 0 or these departures can change it."
    )
    if fit["law"] is not None:
        notes.append(
            "Of a constant multiple, a constant number of tokens more, and no relation, the "
            f"interval of b leaves: {fit['law']}."
        )
    return notes


def _power(slope: Slope) -> str | None:
    wide, most = slope.high - slope.low, 2 * SLOPE_BOUND
    if wide < most:
        return None
    return (
        f"Precision: the interval of b is {correlation(wide)} wide; only one narrower than "
        f"{correlation(most, 1)} could show a constant multiple."
    )


def _ratios(interval: Any) -> str:
    return "" if interval is None else f"[{number(interval[0], 2)}, {number(interval[1], 2)}]"


def _pooled(group: Group, student: str, base: str) -> Mapping[str, Any] | None:
    """The fit over all tasks."""
    for fit in group.result["inflation"]:
        if (fit["student"], fit["base"], fit["task"]) == (student, base, None):
            return dict(fit)
    return None
