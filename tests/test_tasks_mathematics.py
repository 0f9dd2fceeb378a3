"""Grading of mathematics: right answers in any form, limits, nothing ever evaluated."""

# ruff: noqa: RUF001 - answers come with such characters

import itertools
import logging
import random
import threading
import time
from fractions import Fraction

import pytest
from grading_table import OTHER, SAME, TEXTS, pairs, quick_outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import parse, verify

from handan.errors import UserError
from handan.tasks import load, mathematics
from handan.tasks.base import Grade, Item
from handan.tasks.final_answers import final_answers
from handan.tasks.mathematics import Pool, judge, reference_answer

# What math-verify reads as it should be read; the rest is in the table of right verdicts.
ANSWERS = [
    "0", "1", "-1", "5", "12", "-12", "1000", "1,000", "12", "0.5", "\\frac{1}{2}",
    "\\frac12", "1/2", "2/4", "-1/2", "-\\frac{1}{2}", "\\dfrac{1}{2}", "\\tfrac{3}{4}", "0.75",
    "0.750", "3/4", "0.3333", "0.333333", "1/3", "0.1666667", "50\\%", "50", "$5$", "+5", "5.0",
    "5.00001", "x", "x+1", "1+x", "x=5", "\\pi", "2\\pi", "\\sqrt{2}", "\\text{no}", "(1,2)",
    "1,2", "[1,2]", "123456789012", "123456789013", "1/100000", "1/100001",
    "0.00001", "ab", "\\text{ab}", "5^\\circ", "05", "A", "(A)", "1.5", "3/2", "-0.5", "0.0",
    "-0", "1e2", "0.1", "1/10", "0.000001", "0.000002", "16", "2^4", "\\$5", "1 2",
    "a b", "(1, 2)", "5 \\text{ cm}",
]  # fmt: skip
TOWER = "\\boxed{9^{9^{9}}}"
ALTERNATIVES = [
    "{a} or {b}", "{a}, {b}", "{a} and {b}", "either {a} or {b}", "between {a} and {b}",
    "{a} (or maybe {b})", "{a}, {b}, or 77", "{a}; {b}", "{a} to {b}", "neither {a} nor {b}",
    "{a}, possibly {b}", "{a} or else {b}", "{a} | {b}", "{a}, alternatively {b}",
]  # fmt: skip
FRAMES = [
    "{}", "The answer is {}.", "Answer: {}", "So it is {}.", "\\boxed{{{}}}", "<answer>{}</answer>",
    "#### {}", "**Answer:** {}", "<answer>The answer is {}.</answer>", "Final answer: {}\n",
]  # fmt: skip
PIECES = [
    "1", "2", "0", "1,234", "x", "i", "e", "\\pi", "+", "-", "^", "{", "}", "(", ")", "[", "]",
    "\\{", "\\}", "\\frac", "\\sqrt", "\\text{", "\\text{ or }", ", ", ",", "\\ldots", "...", "=",
    "<", "\\leq", "\\cup", "\\pm", "%", "^\\circ", "_", "_{", "8", "!", "\\binom",
    "\\begin{pmatrix}", "\\end{pmatrix}", "&", "\\\\", " or ", " and ", "not ", "answer is ",
    "\\boxed{", "\\boxed ", "\\fbox{", "<answer>", "</answer>", "$", "$$", "\\(", "\\)",
    "\\[", "\\]", "#### ", ". ", "\n",
    ".", ":", "/", "*", "**", "√", "½", "−", "²", "₂", "(C)", "A", "cm", " million", "e10", "10^",
    "\\times", "\\approx", "|", "\\overline{", "'", "between ", "maybe ",
]  # fmt: skip
ENORMOUS = [
    "2^{99999999}", "9^{9^{9}}", "100000!", "2999!!", "\\binom{99999}{5000}", "1e999999999",
    "10^{10^{10}}", "(2^{9999})^{9999}", "((((2^{99})^{99})^{99})^{99})", "9" * 990,
    "x^{99999}", "\\sqrt{2}^{99999}", "1" + "0" * 900 + "_8", "0.\\overline{" + "3" * 900 + "}",
    "(" * 400 + "1" + ")" * 400, "1," * 450 + "1", "\\{" + "1," * 450 + "2\\}", "-" * 900 + "1",
    "\\pm " * 200, "1 \\approx " * 90, "x=" * 300, "\\cup".join("(1,2)" for _ in range(90)),
]  # fmt: skip


@pytest.fixture(scope="module")
def pool():
    """One worker with short limits."""
    pool = Pool(size=1, cpu_seconds=1.0)
    yield pool
    pool.close()


def item(answer):
    return Item("math", "k", "q", answer)


def test_answers_that_are_the_same_are_right(pool):
    found = [(right, given, boxed(right, given, pool)) for right, given, _ in pairs(SAME)]
    assert len(found) > 250
    assert [row for row in found if row[2] != "correct"] == []


def test_answers_that_differ_are_wrong_whichever_is_the_reference(pool):
    tried = [(right, given) for right, given, _ in pairs(OTHER)]
    tried += [(given, right) for right, given, one_way in pairs(OTHER) if not one_way]
    assert len(tried) > 300
    found = [(right, given, boxed(right, given, pool)) for right, given in tried]
    assert [row for row in found if row[2] != "wrong"] == []


@pytest.mark.parametrize(("right", "outcome", "text"), TEXTS)
def test_the_answer_of_a_text(pool, right, outcome, text):
    assert judge(right, text, pool)[0] == outcome


def boxed(right, answer, pool):
    return judge(right, f"So it is $\\boxed{{{answer}}}$.", pool)[0]


@pytest.mark.parametrize("exponent", [*range(1, 100, 7), 300, 999])
def test_powers_are_compared_exactly(exponent):
    power = f"\\frac{{1}}{{2^{{{exponent}}}}}"
    assert quick_outcome(power, f"\\frac{{1}}{{2^{{{exponent + 1}}}}}") == "wrong"
    assert quick_outcome(power, f"2^{{-{exponent}}}") == "correct"
    assert quick_outcome(power, "0") == quick_outcome("1", f"1-{power}") == "wrong"


@given(st.fractions(max_denominator=10**9), st.fractions(max_denominator=10**9))
def test_fractions_are_the_same_only_if_they_are_equal(a, b):
    def written(fraction):
        return f"\\frac{{{fraction.numerator * 6}}}{{{fraction.denominator * 6}}}"

    assert quick_outcome(written(a), str(a)) == "correct"
    assert quick_outcome(written(a), written(b)) == ("correct" if a == b else "wrong")


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.integers(0, 30))
def test_decimals_are_the_same_only_if_they_are_equal(a, b, places):
    first, second = (f"{n}e-{places}" for n in (a, b))
    assert quick_outcome(first, f"{b} \\times 10^{{-{places}}}") == (
        "correct" if a == b else "wrong"
    )
    assert quick_outcome(second, str(Fraction(a, 10**places))) == ("correct" if a == b else "wrong")


@given(st.fractions(Fraction(1, 10**6), 10**6, max_denominator=10**6))
def test_a_decimal_of_five_digits_is_the_value_it_is_rounded_from(value):
    digits = f"{float(value):.6e}"
    assert quick_outcome(str(value), digits) == "correct"
    if len(str(value.denominator)) > 3:
        wrong = f"{float(value) * 1.0003:.6e}"
        assert quick_outcome(str(value), wrong) == "wrong"


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("alternatives", ALTERNATIVES)
def test_alternatives_never_pay(pool, frame, alternatives):
    for a, b in (("3", "5"), ("-4", "12"), ("1/2", "0.75")):
        text = frame.format(alternatives.format(a=a, b=b))
        assert {judge(right, text, pool)[0] for right in (a, b, "77")} <= {"wrong", "unreadable"}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=14), st.lists(st.sampled_from(PIECES), max_size=14)
)
def test_whatever_is_written_is_graded(first, second):
    right, text = "".join(first), "".join(second)
    assert quick_outcome(right, text) in ("correct", "wrong", None)
    assert quick_outcome(text, text) == "correct" or text.strip(" .*$\n") != text or not text
    for answer in final_answers(right + text) or ():
        assert isinstance(answer, str)
    assert reference_answer(right + text) != ""


@pytest.mark.parametrize("text", ENORMOUS, ids=range(len(ENORMOUS)))
def test_what_is_too_large_is_not_counted_with(text):
    begin = time.process_time()
    for right in ("5", "x", text + "+1", "\\{1,2\\}"):
        quick_outcome(right, text)
        quick_outcome(text, right)
    assert time.process_time() - begin < 5


def test_many_parts_that_need_algebra_cost_one_limit(pool):
    parts = ", ".join(f"9^{{9^{{{n}}}}}" for n in range(9, 30))
    begin = time.monotonic()
    answers = parts.replace("9^", "8^")
    assert judge(parts, f"\\boxed{{{answers}}}", pool)[0] == "timeout"
    assert time.monotonic() - begin < 20


def test_plain_answers_are_judged_as_math_verify_does_where_it_reads_them_right():
    logging.disable(logging.CRITICAL)
    rng = random.Random(0)
    drawn = []
    for _ in range(40):
        a, b = rng.randint(-300, 300), rng.randint(1, 60)
        drawn += [str(a), f"{a}/{b}", f"\\frac{{{a}}}{{{b}}}", f"{a / b:.4f}", f"{a / 8}"]
    tried = list(itertools.product(ANSWERS, repeat=2))
    tried += [(rng.choice(drawn), rng.choice(drawn)) for _ in range(400)]
    parsed = {
        text: parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in {*ANSWERS, *drawn}
    }
    decided = 0
    for right, answer in tried:
        outcome = quick_outcome(right, answer)
        if outcome is not None:
            decided += 1
            equal = verify(parsed[right], parsed[answer], timeout_seconds=None)
            assert (outcome == "correct") == equal, (right, answer)
    logging.disable(logging.NOTSET)
    assert decided > 1_000


@pytest.mark.parametrize(
    ("right", "text", "outcome"),
    [
        ("\\frac{1}{6}", "So it is $\\boxed{\\frac{6}{36}}$.", "correct"),
        ("x^2+2x+1", "$$\\boxed{1 + 2x + x^2}$$", "correct"),
        ("(x+1)^2", "The answer is $x^2+2x+1$.", "correct"),
        ("42", "**42.**", "correct"),
        ("42", "First \\boxed{41}, no: \\boxed{42}", "correct"),
        ("42", "\\boxed{41}", "wrong"),
        ("\\sqrt{2}", "\\boxed{\\sqrt{3}}", "wrong"),
        ("$\\frac12$", "\\boxed{0.5}", "correct"),
        ("42", "I do not know.", "unreadable"),
        ("42", "\\boxed{}", "unreadable"),
        ("42", "\\boxed{" + "1" * 2000 + "}", "unreadable"),
    ],
)
def test_outcomes(pool, right, text, outcome):
    assert judge(right, text, pool)[0] == outcome


def test_a_power_tower_gets_no_verdict_and_the_next_answer_does(pool):
    assert judge("5", TOWER, pool) == ("timeout", "9^{9^{9}}")
    assert judge("\\ln 4", "\\boxed{2\\ln 2}", pool)[0] == "correct"
    assert judge("9^{9^{9}}", TOWER, pool)[0] == "correct"  # the same words need no algebra


def test_a_killed_worker_is_replaced(pool):
    assert pool.same("x+1", "1+x")
    worker = pool.idle.get()
    worker.kill()
    worker.wait()
    pool.idle.put(worker)
    assert pool.same("x+1", "2+x-1")
    replaced = pool.idle.get()
    pool.idle.put(replaced)
    assert replaced.pid != worker.pid


def test_a_worker_ends_when_nobody_asks_any_more():
    own = Pool(size=1)
    assert own.same("x+1", "1+x")
    worker = own.idle.get()
    worker.stdin.close()
    assert worker.wait(timeout=300) == 0


def test_grading_works_off_the_main_thread(pool):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(judge("\\ln 9", "\\boxed{2\\ln 3}", pool)[0])
    )
    thread.start()
    thread.join()
    assert found == ["correct"]


def test_the_task_says_no_verdict_instead_of_wrong(monkeypatch, pool):
    monkeypatch.setattr(mathematics, "shared", lambda: pool)
    task = load("math")
    assert task.grade(item("5"), TOWER) == Grade("9^{9^{9}}", None)
    assert task.grade(item("5"), "\\boxed{6}") == Grade("6", False)
    assert task.grade(item("5"), "\\boxed{5}") == Grade("5", True)
    assert task.grade(item("5"), "no idea") == Grade(None, False)


def test_code_is_never_run(pool, tmp_path):
    path = tmp_path / "made"
    text = f"\\boxed{{__import__('pathlib').Path('{path}').touch()}}"
    judge("5", text, pool)
    judge("5", text.replace("\\boxed", "the answer is "), pool)
    assert not path.exists()


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("128", "128"),
        (" $\\frac{1}{2}$. ", "\\frac{1}{2}"),
        ("Long words.\nThen \\boxed{7}.", "7"),
        ("Long words. " * 20 + "Our answer is $\\boxed 7$.", "7"),
        ("Long words. " * 20 + "Our answer is \\boxed {7}.", "7"),
        ("Long words. " * 20 + "$\\fbox{7}$", "7"),
        ("Long words. " * 20 + "\\boxed{\\textbf{(C)}\\ 42}", "\\textbf{(C)}\\ 42"),
        ("Long words. " * 20 + "\\boxed{3}, \\boxed{5}", "3, 5"),
        ("Long words. " * 20 + "\n#### 72", "72"),
        ("Long words. " * 20 + "**Answer:** 5", "5"),
        ("\\text{B}", "\\text{B}"),
        ("A proof.\nWithout an answer.", None),
        ("word " * 40, None),
        ("", None),
        (None, None),
    ],
)
def test_references_of_published_solutions(solution, answer):
    assert reference_answer(solution) == answer


def test_a_prompt_without_a_reference_cannot_be_graded():
    with pytest.raises(UserError, match="'k' of math has no reference answer"):
        load("math").grade(item(""), "5")


def test_there_are_no_items_to_evaluate():
    with pytest.raises(UserError, match="has no items that people solved"):
        load("math").items()
