"""What tests of claims conclude: rules that are fixed before anything is known."""

from types import SimpleNamespace

import pytest

from handan.study.claims import conclusion, judge, outcome
from handan.study.declared import Claim, Test

Test.__test__ = False  # not pytest's


def difference(verdict, p_holm, expect):
    return {"measure": "difference", "verdict": verdict, "p_holm": p_holm, "expect": expect}


@pytest.mark.parametrize(
    "verdict, p_holm, expect, found",
    [
        ("lower", 0.001, "lower", "as expected"),
        ("lower", 0.2, "lower", "undecided"),  # not after Holm
        ("lower", 0.001, "kept", "otherwise"),
        ("lower, but within ±0.1", 0.001, "lower", "otherwise"),  # counts as none
        ("lower, but within ±0.1", 0.001, "kept", "as expected"),
        ("preserved within ±0.1", 0.9, "lower", "otherwise"),
        ("preserved within ±0.1", 0.9, "kept", "as expected"),
        ("higher", 0.001, "kept", "as expected"),
        ("higher", 0.001, "lower", "otherwise"),
        ("higher", 0.06, "lower", "undecided"),
        ("no evidence either way", 0.5, "lower", "undecided"),
        ("no evidence either way", 0.5, "kept", "undecided"),
        (None, None, "lower", "undecided"),
    ],
)
def test_differences(verdict, p_holm, expect, found):
    assert outcome(difference(verdict, p_holm, expect)) == found


@pytest.mark.parametrize(
    "ci, found",
    [([0.1, 0.3], "as expected"), ([-0.1, 0.3], "undecided"), ([-0.3, -0.1], "otherwise")],
)
def test_alignment_above_zero_keeps_its_sign(ci, found):
    assert outcome({"measure": "r", "ci": ci, "expect": "positive"}) == found


@pytest.mark.parametrize(
    "laws, found",
    [
        (["constant multiplier"] * 3, "as expected"),
        (["additive", "none of the three"], "otherwise"),
        (["constant multiplier", "additive"], "undecided"),
        (["undecided: constant multiplier or additive"], "undecided"),
        ([], "undecided"),
    ],
)
def test_laws(laws, found):
    assert outcome({"measure": "law", "laws": laws, "expect": "constant multiplier"}) == found


@pytest.mark.parametrize(
    "low, high, found",
    [(0.95, 1.05, "as expected"), (0.5, 0.7, "otherwise"), (0.7, 1.0, "undecided")],
)
def test_efforts_are_alike_only_if_every_seed_is(low, high, found):
    effort = {"value": (low + high) / 2, "low": low, "high": high}
    assert outcome({"measure": "effort", "effort": effort, "expect": "alike"}) == found


@pytest.mark.parametrize(
    "outcomes, said",
    [
        (["as expected", "as expected"], "reproduced"),
        (["as expected", "otherwise"], "conditional"),
        (["as expected", "undecided"], "conditional"),
        (["otherwise", "undecided"], "not reproduced"),
        (["undecided"], "undecided"),
        ([], "undecided"),
    ],
)
def test_conclusions(outcomes, said):
    assert conclusion(outcomes) == said


def test_a_claim_has_the_outcomes_of_its_own_tests_alone():
    one = Test(measure="difference", a="sft", b="base", expect="lower")
    other = Test(measure="difference", a="grpo", b="base", expect="kept")
    study = SimpleNamespace(claims={"x": Claim("X.", [one]), "y": Claim("Y.", [other])})
    tests = [
        {"a": t.a, "b": t.b, "at": at, **difference(verdict, 0.01, t.expect)}
        for t, verdict in ((one, "lower"), (other, "preserved within ±0.1"))
        for at in ("T=1", "T=0")
    ]
    claims = judge(study, tests)["claims"]
    assert claims["x"]["outcomes"] == ["as expected"] * 2
    assert {claim["conclusion"] for claim in claims.values()} == {"reproduced"}
