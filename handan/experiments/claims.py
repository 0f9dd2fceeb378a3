"""p values of a study's tests, corrected for the number of tests of their kind."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from handan.alignment.contrasts import OPPOSITE, Verdict
from handan.alignment.correlation import (
    FloatArray,
    benjamini_hochberg,
    finite_or_none,
    fisher_mean,
    holm,
)
from handan.alignment.task_measures import THRESHOLDS
from handan.experiments.declare import Claim, Experiment
from handan.experiments.results import TEMPERATURES
from handan.report.formatting import listing, percent
from handan.report.verdicts import NOT_TESTABLE, Figure, Known, check


def holm_family(rows: list[dict], of: str = "p") -> None:
    """Add 'p_holm' (or ``of``_holm), p values ``of`` rows adjusted over all of them."""
    _adjust(rows, of, f"{of}_holm", holm)


def bh_family(rows: list[dict]) -> None:
    """Add 'p_bh' to rows of ``difference``, after Benjamini and Hochberg."""
    _adjust(rows, "p", "p_bh", benjamini_hochberg)


def _adjust(
    rows: list[dict], of: str, name: str, method: Callable[[FloatArray], FloatArray]
) -> None:
    p_values = np.array([np.nan if row[of] is None else row[of] for row in rows])
    for row, adjusted in zip(rows, method(p_values), strict=True):
        row[name] = finite_or_none(adjusted)


def p_from_interval(row: Mapping[str, Any]) -> float | None:
    """The two-sided p of 'the correlation is 0' that its 95 % interval implies.

    On Fisher's z the bound nearer to 0 is as many standard errors from the estimate as Student's t
    has at .025, with S - 1 degrees of freedom for S seeds and n - 2 for one (after Altman and Bland
    2011, who take the normal distribution). Below .05 where the interval leaves out 0.

    Args:
        row: of ``estimate``; only 'value', 'ci', 'seeds_defined' and 'n' are used.
    """
    if row["value"] is None or row["ci"] is None:
        return None
    freedom = row["seeds_defined"] - 1 if row["seeds_defined"] > 1 else row["n"] - 2
    near = row["ci"][0] if row["value"] > 0 else row["ci"][1]
    with np.errstate(divide="ignore", invalid="ignore"):
        z, bound = np.arctanh([row["value"], near])
        t = stdtrit(freedom, 0.975) * abs(z) / abs(z - bound)
    return finite_or_none(2 * stdtr(freedom, -t))


# What is no ground for a verdict: intervals of degenerate draws, and r where thinking is rare.

MAX_LEFT_OUT = 0.01  # share of the draws
MAX_DIRECT = THRESHOLDS["no_reasoning_rate"]

Numbers = dict[str, Any]


def withhold(study: Experiment, numbers: Mapping[str, Any]) -> Numbers:
    """A copy of a study's numbers without intervals and verdicts that nothing can rest on.

    Returns:
        Of every test and difference 'withheld' too: why it has no verdict, null where it may.
    """
    found = copy.deepcopy(dict(numbers))
    for row in _with_draws(study, found):
        if row["draws_left_out"] > MAX_LEFT_OUT * found["settings"]["draws"]:
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
    if left_out > MAX_LEFT_OUT:
        return f"r undefined in {percent(left_out)} of draws"
    direct = {
        arm: found["measures"].get(arm, {}).get(at, {}).get("no_reasoning_rate", {}).get("value")
        for arm in arms
    }
    often = [f"{percent(share)} of {arm}" for arm, share in direct.items() if _often(share)]
    return f"direct answers: {listing(often)}" if often else None


def _often(share: float | None) -> bool:
    return share is not None and share > MAX_DIRECT


# What the tests of a claim found: reproduced, not reproduced, or something else.

AS_EXPECTED, OTHERWISE, UNDECIDED = "as expected", "otherwise", "undecided"
ALPHA = 0.05
# Efforts within this factor of each other are alike, as budgets within a tenth are.
EFFORT_ALIKE = 1.1


def judge(study: Experiment, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers with every test judged, and each claim with what follows from its tests.

    Args:
        study: what is declared.
        numbers: of ``handan.experiments.results.numbers``, or judged ones, which are judged anew.

    Returns:
        The numbers, without what ``handan.experiments.claims`` withholds. A row of 'tests' has an
        'outcome'; of 'claims' each has 'says', its 'outcomes' in the order of the tests, a
        'conclusion' and 'requires', at each temperature what ``requirements.check`` returns.
    """
    found = withhold(study, numbers)
    rows = found["tests"]
    _correct(rows)
    bh_family(
        [row for of in found["factors"].values() for both in of.values() for row in both.values()]
    )
    for row in rows:
        row["outcome"] = None
    claims = {name: _judged(claim, found) for name, claim in study.claims.items()}
    return found | {"claims": claims}


def _correct(rows: Sequence[dict[str, Any]]) -> None:
    """Add Holm's p to the tests that have one."""
    levels = [row for row in rows if row["measure"] == "r"]
    for row in levels:
        row["p"] = p_from_interval(row)
    differences = [row for row in rows if row["measure"] == "difference"]
    holm_family(levels)
    holm_family(differences)
    holm_family(differences, "p_equivalence")


def _judged(claim: Claim, found: dict[str, Any]) -> dict[str, Any]:
    """A claim; the outcome of a test that this claim cannot use is left to other claims."""
    required = [
        {"at": at, **check(one, known_at(found, at))}
        for one in claim.requires
        for at in TEMPERATURES
    ]
    lacking = {one["at"] for one in required if not one["met"]}
    outcomes = []
    for row in _rows_of(claim, found["tests"]):
        of_claim = NOT_TESTABLE if row["at"] in lacking else outcome(row)
        if row["outcome"] in (None, NOT_TESTABLE):
            row["outcome"] = of_claim
        outcomes.append(of_claim)
    return {
        "says": claim.says,
        "requires": required,
        "outcomes": outcomes,
        "conclusion": conclusion(outcomes),
    }


def _rows_of(claim: Claim, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    wanted = [(t.measure, t.a, t.b, t.expect) for t in claim.tests]
    for row in rows:
        if (row["measure"], row["a"], row["b"], row["expect"]) in wanted:
            yield row


def known_at(found: Mapping[str, Any], at: str) -> Known:
    """Where requirements find their numbers, at one temperature."""

    def r(name: str) -> Figure:
        row = found["arms"].get(name, {}).get(at, {}).get("r")
        return Figure(row["value"], *(row["ci"] or (None, None))) if row else Figure(None)

    def ratio(a: str, b: str) -> Figure:
        of_a, of_b = (
            found["measures"].get(name, {}).get(at, {}).get("geometric_mean_tokens")
            for name in (a, b)
        )
        if not of_a or not of_b or of_a["value"] is None or of_b["value"] is None:
            return Figure(None)
        low, high = of_a["low"] / of_b["high"], of_a["high"] / of_b["low"]
        return Figure(of_a["value"] / of_b["value"], low, high)

    ceilings = [found["ceilings"].get(task) for task in found["tasks"]["human"]]
    known = ceilings and None not in ceilings
    ceiling = finite_or_none(fisher_mean(np.array(ceilings, float))) if known else None
    return Known(r, ratio, ceiling, lambda name: f"`{name}`")


def outcome(test: Mapping[str, Any]) -> str:
    """What one test found, against what was expected."""
    if test.get("withheld"):
        return UNDECIDED
    return {"r": _r, "difference": _difference, "law": _law, "effort": _effort}[test["measure"]](
        test
    )


def conclusion(outcomes: Sequence[str]) -> str:
    """What the outcomes of a claim's tests say of it."""
    kinds = set(outcomes)
    if kinds == {NOT_TESTABLE}:
        return NOT_TESTABLE
    if kinds == {AS_EXPECTED}:
        return "reproduced"
    if kinds == {OTHERWISE}:
        return "not reproduced"
    return "conditional" if AS_EXPECTED in kinds else "undecided"


def _shown(p: float | None) -> bool:
    return p is not None and p < ALPHA


def _r(test: Mapping[str, Any]) -> str:
    if not _shown(test["p_holm"]):
        return UNDECIDED
    return AS_EXPECTED if test["value"] > 0 else OTHERWISE


def _difference(test: Mapping[str, Any]) -> str:
    verdict = Verdict.of(test)
    if verdict.withheld:
        return UNDECIDED
    direction = verdict.direction if _shown(verdict.p) else None
    none, within = _shown(verdict.p_equivalence), verdict.within
    if test["expect"] == "kept":
        if none or direction == "higher":
            return AS_EXPECTED
        return OTHERWISE if direction == "lower" and not within else UNDECIDED
    if direction == test["expect"] and not within:
        return AS_EXPECTED
    return OTHERWISE if none or direction == OPPOSITE[test["expect"]] else UNDECIDED


def _law(test: Mapping[str, Any]) -> str:
    laws = test["laws"] or []
    if not laws or None in laws:
        return UNDECIDED
    if all(law == test["expect"] for law in laws):
        return AS_EXPECTED
    return OTHERWISE if all(test["expect"] not in law for law in laws) else UNDECIDED


def _effort(test: Mapping[str, Any]) -> str:
    effort = test["effort"]
    if not effort or effort["value"] is None:
        return UNDECIDED
    least, most = 1 / EFFORT_ALIKE, EFFORT_ALIKE
    if effort["low"] >= least and effort["high"] <= most:
        return AS_EXPECTED
    return OTHERWISE if effort["high"] < least or effort["low"] > most else UNDECIDED
