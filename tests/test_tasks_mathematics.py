"""Symbolic grading: right answers in any form, verdicts within limits, nothing ever evaluated."""

import itertools
import logging
import random
import threading

import pytest
from math_verify import parse, verify

from handan.errors import UserError
from handan.tasks import load, math_pool
from handan.tasks.base import Grade, Item
from handan.tasks.math_pool import Pool
from handan.tasks.mathematics import judge, quick_outcome, reference_answer

ANSWERS = [
    "0", "1", "-1", "5", "12", "-12", "1000", "1,000", "1~000", "12", "0.5", "\\frac{1}{2}",
    "\\frac12", "1/2", "2/4", "-1/2", "-\\frac{1}{2}", "\\dfrac{1}{2}", "\\tfrac{3}{4}", "0.75",
    "0.750", "3/4", "0.3333", "0.333333", "1/3", "0.1666667", "50\\%", "50", "$5$", "+5", "5.0",
    "5.00001", "x", "x+1", "1+x", "x=5", "\\pi", "2\\pi", "\\sqrt{2}", "\\text{no}", "(1,2)",
    "1,2", "2,1", "\\{1,2\\}", "[1,2]", "123456789012", "123456789013", "1/100000", "1/100001",
    "0.00001", "ab", "\\text{ab}", "5^\\circ", "05", "A", "(A)", "1.5", "3/2", "-0.5", "0.0",
    "-0", "1e2", "0.1", "1/10", "0.000001", "0.000002", "16", "2^4", "\\$5", "1 000", "1 2",
    "1\\,000", "a b", "(1, 2)", "5 \\text{ cm}",
]  # fmt: skip
TOWER = "\\boxed{9^{9^{9}}}"


@pytest.fixture(scope="module")
def pool():
    """One worker with short limits."""
    pool = Pool(size=1, cpu_seconds=1.0)
    yield pool
    pool.close()


def item(answer):
    return Item("math", "k", "q", answer)


def test_the_quick_path_never_contradicts_math_verify():
    logging.disable(logging.CRITICAL)
    rng = random.Random(0)
    drawn = []
    for _ in range(40):
        a, b = rng.randint(-300, 300), rng.randint(1, 60)
        drawn += [str(a), f"{a}/{b}", f"\\frac{{{a}}}{{{b}}}", f"{a / b:.4f}", f"{a / 8}"]
    pairs = list(itertools.product(ANSWERS, repeat=2))
    pairs += [(rng.choice(drawn), rng.choice(drawn)) for _ in range(400)]
    parsed = {
        text: parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in {*ANSWERS, *drawn}
    }
    decided = 0
    for right, given in pairs:
        outcome = quick_outcome(right, given)
        if outcome is not None:
            decided += 1
            equal = verify(parsed[right], parsed[given], timeout_seconds=None)
            assert (outcome == "correct") == equal, (right, given)
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
    assert judge("x+1", "\\boxed{1+x}", pool)[0] == "correct"
    assert judge("9^{9^{9}}", TOWER, pool)[0] == "correct"  # the same words need no algebra


def test_a_killed_worker_is_replaced(pool):
    assert judge("x+1", "\\boxed{1+x}", pool)[0] == "correct"
    worker = pool.idle.get()
    worker.kill()
    worker.wait()
    pool.idle.put(worker)
    assert judge("x+1", "\\boxed{2+x-1}", pool)[0] == "correct"
    replaced = pool.idle.get()
    pool.idle.put(replaced)
    assert replaced.pid != worker.pid


def test_a_worker_ends_when_nobody_asks_any_more():
    own = Pool(size=1)
    assert own.judge("x+1", "\\boxed{1+x}")[0] == "correct"
    worker = own.idle.get()
    worker.stdin.close()
    assert worker.wait(timeout=300) == 0


def test_grading_works_off_the_main_thread(pool):
    found = []
    thread = threading.Thread(target=lambda: found.append(judge("2x", "\\boxed{x+x}", pool)[0]))
    thread.start()
    thread.join()
    assert found == ["correct"]


def test_the_task_says_no_verdict_instead_of_wrong(monkeypatch, pool):
    monkeypatch.setattr(math_pool, "shared", lambda: pool)
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
