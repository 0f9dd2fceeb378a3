"""Judgement of the tests of a claim, by the rules of ``docs/experiments.md``.

Every p that decides is corrected by Holm among alignments, differences or equivalences.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from handan.alignment import correlation
from handan.alignment.contrasts import OPPOSITE, Verdict, add_corrected
from handan.alignment.task_measures import THRESHOLDS
from handan.experiments.declare import TEMPERATURES, Claim, Experiment
from handan.formatting import listing, percent
from handan.report.verdicts import NOT_TESTABLE, Figure, Known, check

AS_EXPECTED, OTHERWISE, UNDECIDED = "as expected", "otherwise", "undecided"
EFFORT_ALIKE = 1.1  # efforts within this factor are alike, as budgets within a tenth are
MAX_LEFT_OUT = 0.01  # share of the draws
MAX_DIRECT = THRESHOLDS["no_reasoning_rate"]
WITH_DRAWS = ("ci", "ci_items", "ci90", "p", "p_equivalence", "verdict")

Row = dict[str, Any]


def judge(study: Experiment, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the numbers with every test and claim judged.

    A row of 'tests' gets an 'outcome' and 'withheld', why there is none; one of 'claims' 'outcomes'
    of its tests, a 'conclusion' and 'requires', what ``check`` returns at each temperature.
    """
    found = copy.deepcopy(dict(numbers))
    _withhold(study, found)
    rows = found["tests"]
    levels = [row for row in rows if row["measure"] == "r"]
    differences = [row for row in rows if row["measure"] == "difference"]
    for row in levels:
        row["p"] = p_from_interval(row)
    add_corrected(levels, "p", "p_holm", correlation.holm)
    add_corrected(differences, "p", "p_holm", correlation.holm)
    add_corrected(differences, "p_equivalence", "p_equivalence_holm", correlation.holm)
    arms = [arm for of in found["factors"].values() for arm in of.values()]
    explored = [row for arm in arms for row in arm.values()]
    add_corrected(explored, "p", "p_bh", correlation.benjamini_hochberg)
    for row in rows:
        row["outcome"] = None
    return found | {"claims": {name: _judged(claim, found) for name, claim in study.claims.items()}}


def _withhold(study: Experiment, found: Row) -> None:
    """Take out intervals and verdicts that nothing can rest on, and say why in 'withheld'.

    Draws without a defined r are left out, and the others are a selection where that is frequent;
    where answers often come without reasoning, r says little about who thinks when.
    """
    draws = found["settings"]["draws"]
    compared = [
        (test, (test["a"], test["b"]), test["at"])
        for test in found["tests"]
        if test["measure"] in ("r", "difference")
    ]
    for name, factor in study.factors.items():
        for arm, of in found["factors"][name].items():
            compared += [(row, (arm, factor.against), at) for at, row in of.items()]
    of_arms = [at for arm in found["arms"].values() for at in arm.values() if isinstance(at, dict)]
    with_draws = [row for at in of_arms for row in at.values()]
    rows = [row for row, _, _ in compared]
    for row in [*with_draws, found["oracle"], *rows, *(row.get("right_only") for row in rows)]:
        if row and row.get("draws_left_out", 0) > MAX_LEFT_OUT * draws:
            row |= {key: None for key in WITH_DRAWS if key in row}
    for row, arms, at in compared:
        row["withheld"] = None
        left_out = row.get("draws_left_out", 0) / draws
        rates = {arm: _measure(found, arm, at, "no_reasoning_rate") for arm in arms if arm}
        direct = {arm: rate.get("value") or 0 for arm, rate in rates.items()}
        often = [f"{percent(rate)} of {arm}" for arm, rate in direct.items() if rate > MAX_DIRECT]
        if left_out > MAX_LEFT_OUT:
            row["withheld"] = f"r undefined in {percent(left_out)} of draws"
        elif often:
            row["withheld"] = f"direct answers: {listing(often)}"
        if row["withheld"] and "verdict" in row:
            row["verdict"] = None


def _measure(found: Mapping[str, Any], arm: str, at: str, key: str) -> Mapping[str, Any]:
    """Mean and range of a measure over seeds; empty where it is unknown."""
    return found["measures"].get(arm, {}).get(at, {}).get(key) or {}


def p_from_interval(row: Mapping[str, Any]) -> float | None:
    """The two-sided p of 'the correlation is 0' that its 95 % interval implies.

    On Fisher's z the bound nearer to 0 is as many standard errors from the estimate as Student's t
    has at .025, with S - 1 degrees of freedom for S seeds and n - 2 for one (after Altman and Bland
    2011, who take the normal distribution). Below .05 where the interval leaves out 0.
    """
    if row["value"] is None or row["ci"] is None:
        return None
    freedom = row["seeds_defined"] - 1 if row["seeds_defined"] > 1 else row["n"] - 2
    near = row["ci"][0] if row["value"] > 0 else row["ci"][1]
    with np.errstate(divide="ignore", invalid="ignore"):
        z, bound = np.arctanh([row["value"], near])
        t = stdtrit(freedom, 0.975) * abs(z) / abs(z - bound)
    return correlation.finite_or_none(2 * stdtr(freedom, -t))


def _judged(claim: Claim, found: Row) -> Row:
    """A claim; the outcome of a test that this claim cannot use is left to other claims."""
    known = {at: _known_at(found, at) for at in TEMPERATURES}
    required = [{"at": at, **check(one, known[at])} for one in claim.requires for at in known]
    lacking = {one["at"] for one in required if not one["met"]}
    wanted = [(t.measure, t.a, t.b, t.expect) for t in claim.tests]
    outcomes = []
    for row in found["tests"]:
        if (row["measure"], row["a"], row["b"], row["expect"]) not in wanted:
            continue
        of_claim = NOT_TESTABLE if row["at"] in lacking else outcome(row)
        if row["outcome"] in (None, NOT_TESTABLE):
            row["outcome"] = of_claim
        outcomes.append(of_claim)
    judged = {"says": claim.says, "requires": required, "outcomes": outcomes}
    return judged | {"conclusion": conclusion(outcomes)}


def _known_at(found: Mapping[str, Any], at: str) -> Known:
    """Say where requirements find their numbers, at one temperature."""

    def r(name: str) -> Figure:
        row = found["arms"].get(name, {}).get(at, {}).get("r")
        return Figure(row["value"], *(row["ci"] or (None, None))) if row else Figure(None)

    def ratio(a: str, b: str) -> Figure:
        of_a, of_b = (_measure(found, name, at, "geometric_mean_tokens") for name in (a, b))
        if of_a.get("value") is None or of_b.get("value") is None:
            return Figure(None)
        low, high = of_a["low"] / of_b["high"], of_a["high"] / of_b["low"]
        return Figure(of_a["value"] / of_b["value"], low, high)

    ceilings = [found["ceilings"].get(task) for task in found["tasks"]["human"]]
    known = ceilings and None not in ceilings
    mean = correlation.fisher_mean(np.array(ceilings, float)) if known else np.nan
    return Known(r, ratio, correlation.finite_or_none(mean), lambda name: f"`{name}`")


def outcome(test: Mapping[str, Any]) -> str:
    """Say what one test found, against what was expected."""
    if test.get("withheld"):
        return UNDECIDED
    expect, met, refuted = test["expect"], False, False
    if test["measure"] == "r":
        refuted = _shown(test["p_holm"])
        met = refuted and (test["value"] or 0) > 0
    elif test["measure"] == "difference":
        verdict = Verdict.of(test)
        if verdict.withheld:
            return UNDECIDED
        direction = verdict.direction if _shown(verdict.p) else None
        none, within = _shown(verdict.p_equivalence), verdict.within
        if expect == "kept":
            met, refuted = none or direction == "higher", direction == "lower" and not within
        else:
            met = direction == expect and not within
            refuted = none or direction == OPPOSITE[expect]
    elif test["measure"] == "law":
        if (laws := test["laws"]) and None not in laws:
            met = all(law == expect for law in laws)
            refuted = all(expect not in law for law in laws)
    elif (effort := test["effort"]) and effort["value"] is not None:
        low, high = effort["low"], effort["high"]
        met = low >= 1 / EFFORT_ALIKE and high <= EFFORT_ALIKE
        refuted = high < 1 / EFFORT_ALIKE or low > EFFORT_ALIKE
    return AS_EXPECTED if met else OTHERWISE if refuted else UNDECIDED


def conclusion(outcomes: Sequence[str]) -> str:
    """Say what the outcomes of a claim's tests amount to."""
    alone = {NOT_TESTABLE: NOT_TESTABLE, AS_EXPECTED: "reproduced", OTHERWISE: "not reproduced"}
    mixed = "conditional" if AS_EXPECTED in outcomes else "undecided"
    return alone.get(outcomes[0], mixed) if len(set(outcomes)) == 1 else mixed


def _shown(p: float | None) -> bool:
    return p is not None and p < 0.05
