"""What holds for every task: joins with norms, own answers right, garbage unreadable."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handan import norms
from handan.errors import UserError
from handan.tasks import TASKS, load
from handan.tasks.base import Grade

NUM_ITEMS = {
    "binary_addition": 256,
    "binary_subtraction": 136,
    "binary_multiplication": 198,
    "binary_division": 183,
    "binary_modulo": 184,
    "products": 48,
    "differences": 48,
    "syllogisms": 64,
    "syllogism_verification": 15,
    "cardinal_directions": 64,
}


def test_tasks_are_the_ten_with_their_numbers_of_items():
    assert {name: len(task.items()) for name, task in TASKS.items()} == NUM_ITEMS


def test_load_names_the_known_tasks():
    assert load("products") is TASKS["products"]
    with pytest.raises(UserError, match=r"unknown task 'sums', and no folder .*: binary_add"):
        load("sums")


@pytest.mark.parametrize("name", TASKS)
def test_items_are_distinct_and_in_the_same_order_every_time(name):
    items = TASKS[name].items()
    assert items == TASKS[name].items()
    assert len({item.key for item in items}) == len({item.question for item in items}) == len(items)
    assert all(item.task == name for item in items)


@pytest.mark.parametrize("name", TASKS)
def test_every_item_has_a_human_response_time_and_the_other_way_round(name):
    assert {item.key for item in TASKS[name].items()} == set(norms.load(name).items)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "{}.",
        "**{}**",
        "\\boxed{{{}}}",
        "$\\boxed{{\\text{{{}}}}}$",
        "The answer is {}.",
        "**Final Answer:**\n\n{}",
        "Let me see. So the answer is **{}**.",
    ],
)
def test_every_derived_answer_is_graded_correct(name, form):
    task = TASKS[name]
    for item in task.items():
        for answer in item.answer.split(" | "):
            assert task.grade(item, form.format(answer)) == Grade(answer, True), item.key


@pytest.mark.parametrize("name", TASKS)
def test_every_answer_of_other_items_is_graded_by_what_it_says(name):
    task = TASKS[name]
    items = task.items()
    # Syllogisms have nouns of their own; their wrong candidates are tested with them.
    answers = {item.answer for item in items} if name != "syllogisms" else {"No valid conclusion"}
    for item in items:
        for answer in answers - {item.answer}:
            assert task.grade(item, f"The answer is {answer}.") == Grade(answer, False), item.key


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("text", ["", " \n", "I do not know.", "7.5", "\\boxed{}", "{}$$**", "—"])
def test_text_without_an_answer_is_unreadable(name, text):
    task = TASKS[name]
    assert task.grade(task.items()[0], text) == Grade(None, False)


@pytest.mark.parametrize("name", TASKS)
def test_code_is_never_run(name):
    task = TASKS[name]
    text = "__import__('sys').exit(7)\n\\boxed{raise SystemExit}"
    assert task.grade(task.items()[0], text) == Grade(None, False)


@given(st.text(alphabet=st.sampled_from("01 \\boxed{}$*_.-+=\nNOTnotrueSanswer"), max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_gets_a_grade(text):
    for task in (TASKS["binary_division"], TASKS["products"], TASKS["cardinal_directions"]):
        item = task.items()[3]
        grade = task.grade(item, text)
        assert grade.correct == (grade.answer == item.answer)


@pytest.mark.parametrize("name", TASKS)
def test_covariates_are_numbers_and_hold_the_length_of_the_question(name):
    items = TASKS[name].items()
    assert len({tuple(item.covariates) for item in items}) == 1
    for item in items:
        assert item.covariates["question_characters"] == len(item.question)
        assert all(isinstance(value, int | float) for value in item.covariates.values())
