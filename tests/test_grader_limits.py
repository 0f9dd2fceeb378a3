"""No text holds a grader up: time grows with its length, never with its square."""

import time

import pytest
from grading_table import quick_outcome

from handan.tasks import TASKS
from handan.tasks.final_answers import final_answers
from handan.tasks.mathematics import reference_answer
from handan.tiny.evaluation_items import TASKS as COMPACT

PIECES = ["1", "0 ", "01 1", "(", "{", "\\boxed{", "not ", "no ", "answer is ", "**", "1 or "]
PIECES += ["true or ", "0101_", "carry 1 ", "\n", " ", "```", "\\begin{array}", "north ", "N ", "-"]
PIECES += [
    "<answer>",
    "</answer>",
    "\\boxed{1} ",
    "\\boxed 1 ",
    "#### 1\n",
    "$1$ ",
    "\\(",
    "\\[",
    "maybe ",
]
PIECES += [
    "The answer is 1. ",
    "1, ",
    "1 \\text{ or } ",
    "\\pm ",
    "$",
    "\\fbox{",
    "}",
    "between ",
    "= ",
]
PIECES += [
    "All ",
    "some dentists ",
    "in decimal ",
    "the ",
    "not valid ",
    "\\text{",
    "1. ",
    "=",
    "0,",
]
CHARACTERS = 40_000
# A square of this length takes minutes; the slowest linear one takes 1 to 3 s of a core.
CPU_SECONDS = 10.0
ONE_OF_A_KIND = ["binary_division", "products", "syllogisms", "syllogism_verification"]
ONE_OF_A_KIND += ["cardinal_directions"]


def longest(check):
    """CPU seconds of the slowest hostile text."""
    spent = {}
    for piece in PIECES:
        text = (piece * CHARACTERS)[:CHARACTERS]
        begin = time.process_time()
        check(f"answer {text}1")
        spent[piece] = time.process_time() - begin
    return max((seconds, piece) for piece, seconds in spent.items())


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_hostile_texts_are_graded_in_time_that_grows_with_their_length(name):
    task = TASKS[name]
    item = task.items()[5]
    seconds, piece = longest(lambda text: task.grade(item, text))
    assert seconds < CPU_SECONDS, piece


def test_reading_mathematics_and_compact_answers_is_as_fast():
    task = next(iter(COMPACT.values()))
    item = task.items()[5]
    assert longest(lambda text: task.grade(item, text))[0] < CPU_SECONDS
    assert longest(final_answers)[0] < CPU_SECONDS
    assert longest(reference_answer)[0] < CPU_SECONDS
    assert longest(lambda text: quick_outcome("5", text[:1_000]))[0] < CPU_SECONDS


def test_every_kind_of_grader_is_tried():
    # What finds candidates decides the time; `grader` has it in its closure.
    found = {name: task.grade.__closure__[0].cell_contents.__code__ for name, task in TASKS.items()}
    assert set(found.values()) == {found[name] for name in ONE_OF_A_KIND}
