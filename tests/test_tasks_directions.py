"""Cardinal directions: the key, the people's majority, the reading of directions."""

import csv
from collections import Counter, defaultdict

import pytest
from human_trials import TRIALS, needs_trials

from handan.tasks import TASKS
from handan.tasks.directions import (
    DIRECTIONS,
    PAIRS,
    SAME_PLACE,
    direction_of_c,
    make_item,
    terms_of,
)

A, B, C = terms_of("north", "east")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("north", "east", "south-west"),
        ("north", "north", "south"),
        ("north", "south-east", "west"),
        ("north-east", "south-west", SAME_PLACE),
        ("north-east", "north-west", "south"),
    ],
)
def test_key_adds_grid_steps_and_turns_round(first, second, expected):
    assert direction_of_c(first, second) == expected


def test_steps_cancel_in_the_eight_opposite_items_only():
    opposite = [pair for pair in PAIRS if direction_of_c(*pair) == SAME_PLACE]
    assert len(opposite) == 8
    assert all(make_item(*pair).covariates["turn_degrees"] == 180 for pair in opposite)


@needs_trials
def test_key_is_the_most_frequent_human_answer_in_all_56_items_with_a_direction():
    answers = defaultdict(Counter)
    with open(TRIALS / "cardinal_direction_trials.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            first, second = (part.split(";")[0] for part in row["premises"].split("/"))
            answers[first, second][row["response"].split(";")[0]] += 1
    keyed = [pair for pair in answers if direction_of_c(*pair) != SAME_PLACE]
    agreeing = [p for p in keyed if answers[p].most_common(1)[0][0] == direction_of_c(*p)]
    assert (len(answers), len(keyed), len(agreeing)) == (64, 56, 56)


def test_each_direction_is_right_only_if_it_is_the_key():
    task = TASKS["cardinal_directions"]
    for item in task.items():
        for answer in [*DIRECTIONS, SAME_PLACE]:
            grade = task.grade(item, f"{answer.capitalize()}.")
            assert (grade.answer, grade.correct) == (answer, answer == item.answer)


@pytest.mark.parametrize(
    "text",
    [
        "south-west",
        "South West.",
        "southwest",
        "SW",
        "\\boxed{\\text{SW}}",
        "**south\u2011west**",
        "southwesterly direction",
        "not north-east but south-west",
        "The answer is south-west, not north-east.",
        f"The {C} is **southwest** of the {A}, as the {A} is north of the {B}.",
        f"The {A} is north of the {B}. The {B} is east of the {C}. It is southwest of the {A}.",
        f"From the {A}, go south to the {B}, then west to the {C}: south-west.",
        f"The {A} is north-east of the {C}, so the {C} is south-west of the {A}.",
        f"The {C} is south-west of the {A}, i.e. the {A} is north-east of the {C}.",
        f"The position of the {C} relative to the {A} is south-west.",
    ],
)
def test_right_directions_in_many_forms(text):
    grade = TASKS["cardinal_directions"].grade(make_item("north", "east"), text)
    assert (grade.answer, grade.correct) == ("south-west", True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("south", "south"),
        ("S", "south"),
        ("They are at the same location.", SAME_PLACE),
        (f"The {A} is north of the {B}.", None),
        ("south-west or north-east", None),
        ("left", None),
    ],
)
def test_wrong_and_unreadable_directions(text, answer):
    grade = TASKS["cardinal_directions"].grade(make_item("north", "east"), text)
    assert (grade.answer, grade.correct) == (answer, False)
