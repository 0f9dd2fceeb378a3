"""What the tests of a claim found: reproduced, not reproduced, or conditional.

The rules are fixed here, before anything is known: a difference counts as lower or higher only if
the verdict of ``handan.alignment.figures.verdict`` says so without 'but within' and Holm's p is
below .05. A claim is *reproduced* if all of its tests came out as expected, *not reproduced* if
none did, *undecided* if nothing was decided, and *conditional* otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from handan.study.declared import Study

AS_EXPECTED, OTHERWISE, UNDECIDED = "as expected", "otherwise", "undecided"
ALPHA = 0.05
# Efforts within this factor of each other are alike, as budgets within a tenth are.
EFFORT_ALIKE = 1.1


def judge(study: Study, tests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The tests with their outcomes, and each claim with what follows from them."""
    rows = [{**test, "outcome": outcome(test)} for test in tests]
    claims = {}
    for name, claim in study.claims.items():
        wanted = [(t.measure, t.a, t.b, t.expect) for t in claim.tests]
        found = [
            row["outcome"]
            for row in rows
            if (row["measure"], row["a"], row["b"], row["expect"]) in wanted
        ]
        claims[name] = {"says": claim.says, "outcomes": found, "conclusion": conclusion(found)}
    return {"tests": rows, "claims": claims}


def outcome(test: Mapping[str, Any]) -> str:
    """What one test found, against what was expected."""
    return {"r": _r, "difference": _difference, "law": _law, "effort": _effort}[test["measure"]](
        test
    )


def conclusion(outcomes: Sequence[str]) -> str:
    """What the outcomes of a claim's tests say of it."""
    if set(outcomes) <= {UNDECIDED}:
        return "undecided"
    if set(outcomes) == {AS_EXPECTED}:
        return "reproduced"
    return "conditional" if AS_EXPECTED in outcomes else "not reproduced"


def _r(test: Mapping[str, Any]) -> str:
    if test["ci"] is None:
        return UNDECIDED
    if test["ci"][0] > 0:
        return AS_EXPECTED
    return OTHERWISE if test["ci"][1] < 0 else UNDECIDED


def _difference(test: Mapping[str, Any]) -> str:
    verdict = test["verdict"]
    if verdict is None or verdict == "no evidence either way":
        return UNDECIDED
    within = "within" in verdict
    if not within and not (test["p_holm"] is not None and test["p_holm"] < ALPHA):
        return UNDECIDED
    direction = None if within else verdict
    if test["expect"] == "kept":
        return OTHERWISE if direction == "lower" else AS_EXPECTED
    return AS_EXPECTED if direction == test["expect"] else OTHERWISE


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
    inside = [1 / EFFORT_ALIKE <= effort[end] <= EFFORT_ALIKE for end in ("low", "high")]
    if all(inside):
        return AS_EXPECTED
    return UNDECIDED if any(inside) else OTHERWISE
