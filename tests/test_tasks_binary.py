"""Binary arithmetic: answers, carries, and the reading of numerals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handan.tasks import TASKS
from handan.tasks.binary import (
    binary_key,
    borrows_of_division,
    borrows_of_subtraction,
    carries_of_addition,
    carries_of_multiplication,
    design,
    make_item,
)

SUM = make_item("binary_addition", 0b0101, 0b0011)  # 1000


def graded(text, item=SUM):
    return TASKS[item.task].grade(item, text)


def test_keys_join_the_norms():
    assert SUM.key == "0101+0011"
    assert binary_key("-", 5, 3) == "0101-0011"
    assert [make_item(f"binary_{name}", 5, 3).key for name in ("multiplication", "division")] == [
        "0101*0011",
        "0101/0011",
    ]
    assert make_item("binary_modulo", 5, 3).key == "0101%0011"


def test_designs_are_complete():
    sizes = {name: len(design(name)) for name in TASKS if name.startswith("binary")}
    assert list(sizes.values()) == [256, 136, 256, 240, 240]


def test_answers_are_binary_without_leading_zeros():
    answers = [make_item(name, 0b1010, 0b0011).answer for name in TASKS if name.startswith("bin")]
    assert answers == ["1101", "111", "11110", "11", "1"]
    assert make_item("binary_subtraction", 5, 5).answer == "0"


def column_carries(a, b):
    carry = total = 0
    for position in range(10):
        carry = ((a >> position & 1) + (b >> position & 1) + carry) // 2
        total += carry
    return total


def column_borrows(a, b):
    borrow = total = 0
    for position in range(10):
        borrow = (a >> position & 1) - (b >> position & 1) - borrow < 0
        total += borrow
    return total


@given(st.integers(0, 255), st.integers(0, 255))
def test_carries_and_borrows_are_those_of_the_columns(a, b):
    assert carries_of_addition(a, b) == column_carries(a, b)
    low, high = sorted((a, b))
    assert borrows_of_subtraction(high, low) == column_borrows(high, low)


def test_carries_of_multiplication_sum_the_columns_of_shifted_copies():
    carry = total = 0
    for position in range(8):
        ones = sum((0b1110 << shift) >> position & 1 for shift in (0, 1, 3))  # 1110 x 1011
        carry = (ones + carry) // 2
        total += carry
    assert carries_of_multiplication(0b1110, 0b1011) == total == 5


def test_borrows_of_division_cover_all_steps():
    # 1101 / 0011: 11 - 11 = 0, then 00, 001: too small; 1101 / 10: 1 x 10, 10 - 10, 1.
    assert borrows_of_division(0b1101, 0b0011) == 0
    # 1011 / 0011: 101 - 011 with one borrow leaves 10, then 101 - 011 with one borrow.
    assert borrows_of_division(0b1011, 0b0011) == 2


@pytest.mark.parametrize(
    "text",
    [
        "1000",
        "01000",
        "00001000",
        "0000 1000",
        "1000.",
        "`1000`",
        "1000_2",
        "1000\u2082",
        "$(1000)_2$",
        "$1000_{\\text{two}}$",
        "0b1000",
        "\\boxed{1000_{2}}",
        "\\[\n\\boxed{\\mathbf{01000}}\n\\]",
        "\\boxed{0101 + 0011 = 1000}",
        "Answer:1000",
        "### Answer\n`1000`",
        "<answer>1000</answer>",
        "1000<|im_end|>",
        "The answer is not 1001 but 1000",
        "The answer is 1000 (not 1001).",
        "It isn't 1001; it is 1000.",
        "1001 is not the answer; 1000 is.",
        "The answer is 1001. Wait, I made an error: it is 1000.",
        "1001... no, 1000",
        "0101 + 0011 = 1000",
        "1000 = 0101 + 0011",
        "1000 is the sum of 0101 and 0011",
        "0101 plus 0011 equals 1000",
        "The sum of **0101** and **0011** is **1000**.",
        "  0101\n+ 0011\n------\n  1000",
        "```\n  0101\n+ 0011\n  1111\n```\nThe sum is 1000.",
        "1000 (8 in decimal)",
        "1000 (which is 10 in base 10, no: 8)",
        "The answer is 1000 in base 2, that is 8 in base 10.",
        "In decimal 5 + 3 = 8, in binary 1000.",
        "1000\n\nExplanation: 1 + 1 = 10, write 0, carry 1; then 0 + 1 + 1 = 10, carry 1.",
        "1. Add the ones: 1 + 1 = 10.\n2. Carry 1.\n\nSo the sum is 1000",
        "The answer is 1000. Check: 1000 - 0011 = 0101.",
    ],
)
def test_right_sums_in_many_forms(text):
    grade = graded(text)
    assert (grade.answer, grade.correct) == ("1000", True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1001", "1001"),
        ("The answer is not 1000 but 1001", "1001"),
        ("The answer is 1001, not 1000.", "1001"),
        ("1000. Wait, 1001.", "1001"),
        ("-1000", "-1000"),
        ("\\boxed{1001} even though 1000", "1001"),
        ("1000_{10}", None),
        ("10 in decimal", None),
        ("8", None),
        ("8 in base 10", None),
        ("1002", None),
        ("10.00", None),
        ("1,000", None),
        ("2^1000", None),
        ("0101 + 0011", None),
        ("not 1000", None),
        ("1000 or 1001", None),
        ("1001 or 1000", None),
        ("one thousand", None),
    ],
)
def test_wrong_and_unreadable_sums(text, answer):
    grade = graded(text)
    assert (grade.answer, grade.correct) == (answer, False)


@pytest.mark.parametrize(
    "text",
    [
        "11",
        "Quotient: 11, remainder: 1",
        "**Quotient:** 11\n**Remainder:** 1",
        "1010 \u00f7 0011 = 11 R 1",
        "1010 divided by 0011 is 11 with a remainder of 1.",
    ],
)
def test_the_remainder_is_not_the_quotient(text):
    assert graded(text, make_item("binary_division", 0b1010, 0b0011)).correct


@pytest.mark.parametrize(
    "text",
    [
        "0001",
        "The quotient is 11 and the remainder is 1.",
        "Remainder 1, quotient 11",
        "$1010 \\bmod 0011 = 1$",
        "The remainder when 1010 is divided by 0011 is 1.",
    ],
)
def test_the_quotient_is_not_the_remainder(text):
    assert graded(text, make_item("binary_modulo", 0b1010, 0b0011)).correct


def test_every_wrong_number_of_up_to_eight_bits_is_incorrect():
    for name in (name for name in TASKS if name.startswith("binary")):
        task = TASKS[name]
        for item in task.items()[::23]:
            right = [n for n in range(256) if task.grade(item, f"{n:08b}").correct]
            assert right == [int(item.answer, 2)]
