"""Telling answers apart without algebra: where it is certain, and never against math-verify."""

import itertools
import logging

import pytest
from math_verify import parse, verify

from handan.tasks.closed_forms import surely_different, value
from handan.tasks.mathematics import quick_outcome, stated, tidy

ANSWERS = [
    "5", "-1", "6", "1024", "2^{10}", "2^2", "i", "i^2", "e", "\\pi", "2\\pi", "\\frac{\\pi}{2}",
    "\\sqrt{12}", "2\\sqrt{3}", "x", "2x", "x^2", "x(x+1)", "x^2+x", "(x+1)^2", "x^2+2x+1",
    "\\frac{x}{2}", "2(3)", "(5,3)", "(7,2)", "[5,3]", "(3,5]", "\\{1,2\\}", "\\{2,1\\}", "(1,2,3)",
    "1,024", "1,025", "\\left(5, 3\\right)", "ab", "ba", "3\\cdot 2", "\\frac{-1}{2}",
]  # fmt: skip


def test_certain_verdicts_agree_with_math_verify():
    logging.disable(logging.CRITICAL)
    parsed = {text: parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in ANSWERS}
    decided = 0
    for right, given in itertools.permutations(ANSWERS, 2):
        outcome = quick_outcome(right, given)
        if outcome is not None and tidy(right) != tidy(given):
            decided += 1
            equal = verify(parsed[right], parsed[given], timeout_seconds=None)
            assert (outcome == "correct") == equal, (right, given)
    logging.disable(logging.NOTSET)
    assert decided > 500


@pytest.mark.parametrize(
    "text",
    [
        "2\\frac{1}{2}", "2(3)", "2^10", "f(x)", "x=5", "1/2x", "50\\%", "5^\\circ", "\\sin{x}", "",
        "x2", "2^3^2", "\\sqrt2", "(1,2)", "9^{9^{9}}", "2^{999}", "\\frac{1}{0}", "(" * 30 + "x",
        "0^{-1}", "x" * 100, "10^{10}^{10}",
    ],
)  # fmt: skip
def test_what_could_be_taken_in_two_ways_has_no_value(text):
    assert value(text) is None


def test_equal_values_are_left_to_algebra():
    assert not surely_different("2(x+1)", "2x+2")
    assert surely_different("2(x+1)", "2x+1")


@pytest.mark.parametrize("answer", ["5cm", "5 m", "5s", "5 min", "5d"])
def test_a_unit_is_left_to_math_verify_which_drops_it(answer):
    assert quick_outcome("5", answer) is None and quick_outcome("6" + answer[1:], answer) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("We add.\n\nThe answer is $42$.", "42"),
        ("We add. So, the final answer is: $(1,2)$", "(1,2)"),
        ("The answer is $42$. Or is it $43$?", None),
        ("It is not true that the answer is $42$.", None),
        ("42.", "42"),
        ("Hence $42$.", None),
    ],
)
def test_the_closing_sentence_states_the_answer(text, answer):
    assert stated(text) == answer
