"""Values of expressions without algebra: exact, bounded, and none where there are two readings."""

import itertools
import logging
from fractions import Fraction

import pytest
from grading_table import quick_outcome
from hypothesis import given
from hypothesis import strategies as st
from math_verify import parse, verify

from handan.tasks.closed_forms import surely_equal, value

# What math-verify reads as it should be read; the rest is in the table of right verdicts.
ANSWERS = [
    "5", "-1", "6", "1024", "2^{10}", "2^2", "i", "i^2", "e", "\\pi", "2\\pi", "\\frac{\\pi}{2}",
    "\\sqrt{12}", "2\\sqrt{3}", "x", "2x", "x^2", "x(x+1)", "x^2+x", "(x+1)^2", "x^2+2x+1",
    "\\frac{x}{2}", "2(3)", "(5,3)", "(7,2)", "(3,5]", "\\{1,2\\}", "\\{2,1\\}", "(1,2,3)",
    "1,024", "1,025", "\\left(5, 3\\right)", "ab", "ba", "3\\cdot 2", "\\frac{-1}{2}",
]  # fmt: skip


def test_certain_verdicts_are_those_of_math_verify_where_it_reads_them_right():
    logging.disable(logging.CRITICAL)
    parsed = {text: parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in ANSWERS}
    decided = 0
    for right, answer in itertools.permutations(ANSWERS, 2):
        outcome = quick_outcome(right, answer)
        if outcome is not None:
            decided += 1
            equal = verify(parsed[right], parsed[answer], timeout_seconds=None)
            assert (outcome == "correct") == equal, (right, answer)
    logging.disable(logging.NOTSET)
    assert decided > 500


@pytest.mark.parametrize(
    "text",
    [
        "2\\frac{1}{2}", "2(3)", "f(x)", "x=5", "1/2x", "50\\%", "5^\\circ", "\\sin{x}", "",
        "x2", "2^3^2", "\\sqrt2", "(1,2)", "9^{9^{9}}", "2^{99999}", "\\frac{1}{0}", "(" * 30 + "x",
        "0^{-1}", "x" * 1000, "10^{10}^{10}", "9999!", "\\binom{9999}{3}", "(-8)^{1/3}",
    ],
)  # fmt: skip
def test_what_could_be_taken_in_two_ways_or_is_too_large_has_no_value(text):
    assert value(text) is None


@given(st.integers(-99, 99), st.integers(1, 99), st.integers(-9, 9), st.integers(2, 20))
def test_values_are_those_of_fractions(a, b, n, m):
    expected = Fraction(a, b) ** 3 - Fraction(m) ** n * 7
    assert value(f"(\\frac{{{a}}}{{{b}}})^3-{m}^{{{n}}}\\cdot7") == expected


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("2(x+1)", "2x+2", True),
        ("2(x+1)", "2x+1", False),
        ("\\frac{1}{2^{500}}", "2^{-500}", True),
        ("1-2^{-500}", "1", False),
        ("14-i", "14-1i", True),
        ("14-i", "14+i", False),
        ("i^2", "-1", None),
        ("\\sqrt{12}", "2\\sqrt{3}", None),
        ("\\sqrt{12}", "2\\sqrt{5}", False),
        ("\\sqrt{x^2}", "x", None),
        ("\\frac{1}{i}", "-i", None),
        # Sixty digits cannot tell these apart, so nothing is certain.
        ("\\sqrt{1000000000001}-10^6", "\\frac{1}{\\sqrt{1000000000001}+10^6}", None),
        ("1-10^{-30}\\sqrt{2}", "1", None),
        ("10^{-20}\\sqrt{2}", "10^{-21}\\sqrt{2}", False),
    ],
)
def test_equal_and_different_only_where_that_is_certain(a, b, same):
    assert surely_equal(a, b) is surely_equal(b, a) is same


@pytest.mark.parametrize("answer", ["5cm", "5 m", "5s", "5 min", "5d"])
def test_a_unit_may_be_added_to_a_number(answer):
    assert quick_outcome("5", answer) == "correct"
    assert quick_outcome("6", answer) == "wrong"
