"""What the tests of a claim found: reproduced, not reproduced, or something else.

The rules are fixed here, before anything is known. Every p that decides is corrected by Holm within
its kind: of alignment above 0, of differences, of equivalences. A difference counts as lower or
higher if the verdict of ``handan.alignment.figures.verdict`` says so without 'but within' and its p
is below .05 after Holm; it counts as none if the p of its equivalence test is.

A claim is *not testable here* if what it requires is missing at every temperature, *reproduced* if
all of its tests came out as expected, *not reproduced* if every one came out otherwise,
*conditional* if only some came out as expected, and *undecided* in all other cases.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from handan.alignment.figures.verdict import OPPOSITE, Verdict
from handan.alignment.statistics.basic import finite_or_none, fisher_mean
from handan.experiment.declared import Claim, Experiment
from handan.report.words.requirements import NOT_TESTABLE, Figure, Known, check
from handan.study.cells import TEMPERATURES
from handan.study.families import bh_family, holm_family, p_from_interval
from handan.study.withheld import withhold

AS_EXPECTED, OTHERWISE, UNDECIDED = "as expected", "otherwise", "undecided"
ALPHA = 0.05
# Efforts within this factor of each other are alike, as budgets within a tenth are.
EFFORT_ALIKE = 1.1


def judge(study: Experiment, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers with every test judged, and each claim with what follows from its tests.

    Args:
        study: what is declared.
        numbers: of ``handan.study.figures.numbers``, or judged ones, which are judged anew.

    Returns:
        The numbers, without what ``handan.study.withheld`` withholds. A row of 'tests' has an
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
