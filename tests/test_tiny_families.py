import random

import pytest

from handan.errors import UserError
from handan.files import content_hash
from handan.tasks.worked_solutions import FORMATS, TraceStyle, concise_words, trace_words
from handan.tiny.evaluation_items import LONG_TASKS, TASKS, held_out, identity_hash, problems
from handan.tiny.families import FAMILIES, binary_problem, problem_of_key, random_problem

WIDTHS = [1, 2, 3, 5, 6, 7]


def drawn(family, number=200, seed=0):
    rng = random.Random(seed)
    return [random_problem(family, rng, WIDTHS) for _ in range(number)]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_word_of_each_worked_step_leads_to_the_answer(family):
    rng = random.Random(1)
    for problem in drawn(family):
        for name in ("carry-cost", "constant"):
            steps = problem.steps(name, rng)
            if family == "ordering":
                assert problem.answer[0] in {word for step in steps for word in step}
            else:
                digits = [s[-1] for s in steps if s[0] not in ("carry", "borrow")]
                assert digits == problem.answer[: len(digits)]
                assert all(d in "01" for d in problem.answer[len(digits) :])  # the last carry


@pytest.mark.parametrize("operator", ["+", "-"])
def test_answers_are_arithmetic(operator):
    for a in range(16):
        for b in range(a + 1 if operator == "-" else 16):
            problem = binary_problem(operator, a, b, 4, random.Random(0))
            value = int("".join(problem.answer)[::-1], 2)
            assert value == (a + b if operator == "+" else a - b)


def test_decimal_answers_are_arithmetic():
    for problem in drawn("decimal_addition"):
        a, b = map(int, problem.key.split("+"))
        assert int("".join(problem.answer)[::-1]) == a + b


def test_ordering_answers_follow_from_the_premises():
    for problem in drawn("ordering"):
        text = " ".join(problem.prompt)
        premises, question = text.split("?")
        greater = dict(p.split(" > ") for p in premises.strip(" ;").split(" ; "))
        first, second = question.split()[:2]

        def below(name, greater=greater):
            return {greater[name]} | below(greater[name]) if name in greater else set()

        assert problem.answer == [first if second in below(first) else second]


def test_the_constant_format_spends_the_same_on_every_column():
    lengths = {
        len(concise_words(problem.steps("constant", random.Random(0))))
        for problem in problems("binary_addition")
    }
    assert len(lengths) == 1


def test_the_carry_cost_format_grows_by_the_same_amount_with_each_carry():
    by_carries = {}
    for problem in problems("binary_addition"):
        carries = problem.analytic_cost - 4
        length = len(concise_words(problem.steps("carry-cost", random.Random(0))))
        by_carries.setdefault(carries, set()).add(length)
    # A carry out of the last column has no column to be added in, so it costs two tokens less.
    assert {c: max(v) for c, v in by_carries.items()} == {0: 24, 1: 29, 2: 34, 3: 39, 4: 42}


def test_mixed_is_short_or_long_at_random_and_not_by_carries():
    easy = binary_problem("+", 0, 0, 4, random.Random(0))
    lengths = {len(concise_words(easy.steps("mixed", random.Random(s)))) for s in range(50)}
    assert len(lengths) == 5


def test_width_four_is_never_drawn_in_any_form():
    for family in ("binary_addition", "binary_subtraction"):
        for problem in drawn(family, number=3000):
            operands = problem.key.replace("-", "+").split("+")
            assert len(operands[0]) != 4
            assert len(operands[0]) < 4 or max(int(o, 2) for o in operands) > 15


def test_an_item_is_recognised_with_zeros_in_front_and_whatever_its_gaps():
    assert identity_hash("binary_addition", "0101+0011") in held_out()
    assert identity_hash("binary_addition", "000101+000011") in held_out()
    assert identity_hash("binary_subtraction", "00101-00011") in held_out()
    assert identity_hash("binary_addition", "101+011") not in held_out()
    assert identity_hash("binary_addition", "10101+00011") not in held_out()


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("binary_addition", "b735ae5d1081adf0"),
        ("decimal_addition", "3f2911f75e936570"),
        ("ordering", "cdef59ec47557330"),
    ],
)
def test_the_small_world_draws_what_its_shipped_models_were_trained_on(family, expected):
    rng = random.Random(5)
    assert content_hash([random_problem(family, rng, [1, 5]).key for _ in range(2000)]) == expected


def test_sizes_of_problems_can_be_set():
    rng = random.Random(0)
    draws = [random_problem("decimal_addition", rng, [], [5]) for _ in range(300)]
    digits = {max(map(len, problem.key.split("+"))) for problem in draws}
    assert max(digits) == 5 and min(digits) < 5  # operands are uniform up to so many digits
    draws = [random_problem("ordering", rng, [], [1], [1, 7]) for _ in range(100)]
    assert {problem.prompt.count(">") for problem in draws} == {1, 7}


@pytest.mark.parametrize(
    ("family", "sizes", "sentence"),
    [
        ("decimal_addition", ([], [2]), "decimal_digits must hold numbers of digits, at least 1"),
        ("decimal_addition", ([2, 0], [2]), "decimal_digits must hold"),
        ("ordering", ([2], []), "premises must hold numbers of premises from 1 to 7"),
        ("ordering", ([2], [0]), "premises must hold"),
        ("ordering", ([2], [3, 8]), "premises must hold"),
    ],
)
def test_impossible_sizes_are_refused(family, sizes, sentence):
    with pytest.raises(UserError, match=sentence):
        random_problem(family, random.Random(0), WIDTHS, *sizes)


def test_long_tasks_hold_problems_that_the_small_world_never_draws():
    assert set(LONG_TASKS) == {"decimal_addition_long", "ordering_long"}
    for task in LONG_TASKS:
        items = TASKS[task].items()
        assert len({item.key for item in items}) == 100
        assert {item.task for item in items} == {task}
        assert all(item.covariates["analytic_cost"] > 0 for item in items)
    for item in TASKS["decimal_addition_long"].items():
        a, b = map(int, item.key.split("+"))
        assert 4 <= max(map(len, item.key.split("+"))) <= 6
        assert int(item.answer.replace(" ", "")[::-1]) == a + b
    assert {i.question.count(">") for i in TASKS["ordering_long"].items()} == {5, 6, 7}
    for family in ("decimal_addition", "ordering"):
        long = {identity_hash(family, p.key) for p in problems(f"{family}_long")}
        assert long <= held_out()
        assert not long & {identity_hash(family, p.key) for p in drawn(family, 3000)}


def test_the_small_worlds_items_are_what_they_were():
    for task, expected in (
        ("binary_addition", "82fb140da41affb7"),
        ("decimal_addition", "274ebd5e72b99445"),
        ("ordering", "13b36e8d1a370232"),
    ):
        rows = [[i.key, i.question, dict(i.covariates)] for i in TASKS[task].items()]
        assert content_hash(rows) == expected


def test_unknown_families_are_named():
    with pytest.raises(UserError, match="unknown family 'sudoku'; known: binary_addition"):
        random_problem("sudoku", random.Random(0), WIDTHS)


@pytest.mark.parametrize("name", TASKS)
def test_the_grader_accepts_every_answer_and_no_other(name):
    task = TASKS[name]
    items = task.items()
    answers = {item.answer for item in items}
    for item in items:
        assert task.grade(item, item.answer).correct
        value = task.grade(item, item.answer).answer
        for other in answers - {item.answer}:
            grade = task.grade(item, other)
            assert grade.correct == (grade.answer == value)
        for unreadable in ("", "wait", item.answer + " ok", "</think>", "0" * 5 + "x"):
            assert task.grade(item, unreadable).answer is None
            assert not task.grade(item, unreadable).correct


def test_zeros_at_the_end_of_an_answer_do_not_matter():
    task = TASKS["binary_addition"]
    item = next(i for i in task.items() if i.key == "0001+0001")
    assert item.answer == "0 1 0 0 0"
    assert task.grade(item, "0 1").correct
    assert not task.grade(item, "1 0").correct


@pytest.mark.parametrize("name", ["binary_addition", "binary_subtraction"])
def test_the_items_are_those_people_solved(name):
    from handan import tasks

    assert [i.key for i in TASKS[name].items()] == [i.key for i in tasks.load(name).items()]


def test_style_rates_of_zero_leave_the_steps_alone():
    quiet = TraceStyle("carry-cost", 0, 0, 1, filler_rate=0, slip_rate=0, recheck_rate=0)
    for problem in drawn("binary_addition", number=50):
        steps = problem.steps("carry-cost", random.Random(0))
        words = trace_words(steps, quiet, random.Random(0))
        assert words[-len(concise_words(steps)) :] == concise_words(steps)
        assert len(words) - len(concise_words(steps)) <= 4  # the opening


def test_style_does_not_look_at_difficulty():
    style = TraceStyle("constant", 0.1, 0.5, 0.4)
    easy = binary_problem("+", 0, 0, 4, random.Random(0)).steps("constant", random.Random(0))
    hard = binary_problem("+", 15, 15, 4, random.Random(0)).steps("constant", random.Random(0))
    for seed in range(200):
        lengths = [len(trace_words(s, style, random.Random(seed))) for s in (easy, hard)]
        assert lengths[0] == lengths[1]


def test_formats_are_all_known_to_all_families():
    for family in FAMILIES:
        for name in FORMATS:
            assert drawn(family, 1)[0].steps(name, random.Random(0))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_key_gives_its_problem_back(family):
    for problem in (*drawn(family), *problems(family)):
        again = problem_of_key(family, problem.key)
        kept = ("family", "key", "answer", "analytic_cost")
        assert [getattr(again, name) for name in kept] == [getattr(problem, name) for name in kept]
        asked = [[word for word in p.prompt if word != "_"] for p in (again, problem)]
        assert asked[0] == asked[1]
        for name in FORMATS:
            steps = [p.steps(name, random.Random(7)) for p in (again, problem)]
            assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("family", "key"),
    [
        *[("binary_addition", key) for key in ("", "+", "01+1", "2+1", "0b1+001", "1-1", "1+1+1")],
        *[("binary_subtraction", key) for key in ("0011-0101", "1+1", "-1-1")],
        *[("decimal_addition", key) for key in ("45", "045+72", "4_5+72", " 45+72", "x+1", "-1+1")],
        *[
            ("ordering", key)
            for key in ("ABC:10", "ABC:00:CA", "ABC:1:CA", "ABC:10:CC", "ABC:10:CD", "ABC:10:CAB")
        ],
        *[("ordering", key) for key in ("AAC:10:CA", "XYZ:10:XY", "A::AA", "ABC:12:CA")],
    ],
)
def test_a_text_that_is_no_key_is_refused(family, key):
    with pytest.raises(UserError, match=f"is no key of {family}; write one like "):
        problem_of_key(family, key)


def test_keys_of_unknown_families_are_refused():
    with pytest.raises(UserError, match="unknown family 'sudoku'; known: binary_addition"):
        problem_of_key("sudoku", "1+1")
