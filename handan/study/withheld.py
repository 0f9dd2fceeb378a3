"""What is no ground for a verdict: intervals of degenerate draws, and r where thinking is rare.

A draw of items on which a correlation is undefined is left out. Where that happens often the draws
that are left are a choice, and their interval is none. Where answers often come without reasoning,
r is that of the lengths of the others, and says little about who thinks when.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from handan.alignment.figures.confounds import THRESHOLDS
from handan.experiment.declared import Experiment
from handan.report.notation import listing, percent

MOST_LEFT_OUT = 0.01  # share of the draws
MOST_DIRECT = THRESHOLDS["no_reasoning_rate"]

Numbers = dict[str, Any]


def withhold(study: Experiment, numbers: Mapping[str, Any]) -> Numbers:
    """A copy of a study's numbers without intervals and verdicts that nothing can rest on.

    Returns:
        Of every test and difference 'withheld' too: why it has no verdict, null where it may.
    """
    found = copy.deepcopy(dict(numbers))
    for row in _with_draws(study, found):
        if row["draws_left_out"] > MOST_LEFT_OUT * found["settings"]["draws"]:
            row |= {key: None for key in WITH_DRAWS if key in row}
    for row, arms, at in _compared(study, found):
        row["withheld"] = _why(found, row, arms, at)
        if row["withheld"] and "verdict" in row:
            row["verdict"] = None
    return found


WITH_DRAWS = ("ci", "ci_items", "ci90", "p", "p_equivalence", "verdict")


def _with_draws(study: Experiment, found: Numbers) -> Iterator[dict[str, Any]]:
    """Every figure that has an interval."""
    figures = [
        of_arm
        for arm in found["arms"].values()
        for at in arm.values()
        if isinstance(at, dict)
        for of_arm in at.values()
    ]
    rows = [row for row, _, _ in _compared(study, found)]
    for row in [*figures, *rows, *(row.get("right_only") for row in rows), found["oracle"]]:
        if row and "draws_left_out" in row:
            yield row


def _compared(
    study: Experiment, found: Numbers
) -> Iterator[tuple[dict[str, Any], tuple[str, ...], str]]:
    """Every test on r and every difference of a factor, with its arms and temperature."""
    for test in found["tests"]:
        if test["measure"] in ("r", "difference"):
            yield test, tuple(filter(None, (test["a"], test["b"]))), test["at"]
    for name, factor in study.factors.items():
        for arm, of in found["factors"][name].items():
            for at, row in of.items():
                yield row, (arm, factor.against), at


def _why(found: Numbers, row: Mapping[str, Any], arms: tuple[str, ...], at: str) -> str | None:
    left_out = row.get("draws_left_out", 0) / found["settings"]["draws"]
    if left_out > MOST_LEFT_OUT:
        return f"r undefined in {percent(left_out)} of draws"
    direct = {
        arm: found["measures"].get(arm, {}).get(at, {}).get("no_reasoning_rate", {}).get("value")
        for arm in arms
    }
    often = [f"{percent(share)} of {arm}" for arm, share in direct.items() if _often(share)]
    return f"direct answers: {listing(often)}" if often else None


def _often(share: float | None) -> bool:
    return share is not None and share > MOST_DIRECT
