"""Which of several candidates in a text is its answer."""

import re

import pytest

from handan.tasks.answers import Stated, boxes, choose, find_verdicts, plain, read


def find_letters(text):
    """Candidates are single capital letters X, Y or Z."""
    return [Stated(m.start(), m.end(), m[0]) for m in re.finditer(r"\b[XYZ]\b", text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\boxed{X}", "X"),
        ("\\boxed{X} or rather \\boxed{Y}", "Y"),
        ("\\boxed{\\text{X}_{Y}}", "\\text{X}_{Y}"),
        ("no box", None),
        ("cut off: \\boxed{X\nand more", "X"),
        ("\\boxed {X}", "X"),
        ("\\fbox{X}", "X"),
        ("$\\boxed X$", "X"),
        ("\\boxed\\frac{1}{2}", "\\frac{1}{2}"),
        ("\\boxed{X} and then \\boxed", "X"),
        ("\\boxed{\\{X\\}}", "\\{X\\}"),
        ("\\boxed{\\left\\{X\\right.}", "\\left\\{X\\right."),
        ("\\boxed{\\boxed{X}}", "\\boxed{X}"),
        ("\\boxed{Y and \\boxed{X}", "X"),
    ],
)
def test_the_last_box_balances_braces(text, expected):
    found = boxes(text)
    assert (found[-1].content if found else None) == expected


def test_plain_removes_latex_and_unifies_hyphens():
    assert plain("$\\text{a}_{2} \\times b\u2082$ \u2212 c\u2011d") == "a_2 \u00d7 b_2 - c-d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X", "X"),
        ("X then Y", "Y"),
        ("Y ... \\boxed{X} ... Z", "X"),
        ("\\boxed{unreadable} but X", "X"),
        ("The answer is X. Checking, we find Y and Z.", "X"),
        ("To answer this, consider X. The letter is Y", "Y"),
        ("The answer to your question, given Z, is X. It follows from Y.", "X"),
        ("**Answer**\nX\nfor Y is no good", "X"),
        ("The answer is not X but Y.", "Y"),
        ("The answer is X, not Y.", "X"),
        ("The answer is X rather than Y.", "X"),
        ("X is not the answer; Y is.", "Y"),
        ("X does not follow, Y does.", "Y"),
        ("It isn't X. It is Y. It cannot be Z.", "Y"),
        ("The answer is X. Wait, that is wrong. The answer is Y.", "Y"),
        ("The answer is X. Wait, it should be Y.", "Y"),
        ("The answer is X. Actually it is Y.", "Y"),
        ("X\n\nBecause Y leads to Z and so on.", "X"),
        ("X. Because Y leads to Z and so on.", "X"),
        ("Because of Y and Z we get\n\nX", "X"),
        ("First Y, then **X** with Z", "X"),
        ("**Y**, then **X**", "X"),
        ("```\nX\nY\n```\nso it is Z here", "Z"),
        ("```\nX\n```", "X"),
        ("X or Y", None),
        ("The answer is X or Y.", None),
        ("X or Y? The answer is Z.", "Z"),
        ("not X", None),
        ("X, Y, or Z", None),
        ("X, Y or Z", None),
        ("The answer is X, Y, or Z.", None),
        ("X (or maybe Y)", None),
        ("X or possibly Y", None),
        ("X, maybe Y", None),
        ("between X and Y", None),
        ("neither X nor Y", None),
        ("The answer is X. The answer is Y.", None),
        ("The answer is X.\nThe answer is Y.", None),
        ("X. The answer is Y.", None),
        ("The answer is X. So the answer is Y.", "Y"),
        ("The answer is X. The answer is X.", "X"),
        ("\\boxed{X} or \\boxed{Y}", None),
        ("\\boxed{X}, \\boxed{Y}", None),
        ("\\boxed{X}\n\n\\boxed{Y}", None),
        ("\\boxed{X} or rather \\boxed{Y}", "Y"),
        ("\\boxed{X}. Wait, no: \\boxed{Y}", "Y"),
        ("\\boxed{X} or Y", None),
        ("X or \\boxed{Y}", None),
        ("\\boxed{X or Y}", None),
        ("The answer is X. \\boxed{X or Y}", None),
        ("It is not \\boxed{X} but Y", "Y"),
        ("\\fbox{X}", "X"),
        ("\\boxed {X}, for Y is no good", "X"),
        ("\\boxed X, for Y is no good", "X"),
        ("<answer>X</answer>", "X"),
        ("<answer>\nX\n</answer> Y", "X"),
        ("<answer>It is X, not Y.</answer>", "X"),
        ("<answer>X or Y</answer>", None),
        ("<answer>X</answer><answer>Y</answer>", None),
        ("<answer>X</answer> \\boxed{Y}", None),
        ("<answer>\\boxed{X}</answer>", "X"),
        ("Y, I thought. <answer>X", "X"),
        ("nothing", None),
    ],
)
def test_read_finds_the_stated_answer(text, expected):
    assert read(text, find_letters) == expected


def test_equal_alternatives_are_no_hedge():
    assert choose("X or X", find_letters) == "X"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good", ["yes"]),
        ("not good", ["no"]),
        ("isn't bad", ["yes"]),
        ("never a good", ["no"]),
        ("bad, said the fair", ["no"]),
        ("fair", ["yes"]),
        ("neither", []),
    ],
)
def test_find_verdicts_reads_the_first_vocabulary_present(text, expected):
    vocabularies = [("good", "bad", "yes/no"), ("fair", "foul", "yes/no")]
    assert [s.answer for s in find_verdicts(text, vocabularies)] == expected


def test_reading_goes_through_long_repetitive_text():
    # A pattern of more than linear cost would keep this test from ending.
    for unit in [
        "X ",
        "answer ",
        "not ",
        "```",
        "\\boxed{",
        "\n",
        "**",
        "answer X or ",
        "\\boxed{X} ",
        "<answer>",
        "X, ",
    ]:
        read(unit * (100_000 // len(unit)), find_letters)
