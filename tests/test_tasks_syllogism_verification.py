"""Verification of fifteen syllogisms."""

import csv

import pytest
from human_trials import TRIALS, needs_trials

from handan.tasks import TASKS
from handan.tasks.syllogism_verification import PROBLEMS, is_valid, statements, verification_key


def test_statements_are_coded_by_end_terms():
    problem = next(p for p in PROBLEMS if p.conclusion == "Some not;metallic object;cream")
    assert statements(problem) == (("Aab", "Ebc"), "Oca")


def test_eight_conclusions_match_a_premise_and_four_of_them_follow():
    items = TASKS["syllogism_verification"].items()
    matching = [item.answer for item in items if item.covariates["matching"]]
    others = [item.answer for item in items if not item.covariates["matching"]]
    assert matching == ["invalid"] * 4 + ["valid"] * 4
    assert others == ["invalid"] + ["valid"] * 6


@needs_trials
def test_derived_validity_differs_from_the_file_in_two_items_only():
    truth = {}
    with open(TRIALS / "syllogism_verification_trials.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            truth[row["task"]] = row["truth"] == "True"
    assert set(truth) == {f"{p.first}/{p.second}" for p in PROBLEMS}
    differing = [p for p in PROBLEMS if is_valid(p) != truth[f"{p.first}/{p.second}"]]
    assert [verification_key(p) for p in differing] == ["some_not_vehicle_boat", "some_not_men_ova"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Invalid", "invalid"),
        ("**Valid**.", "valid"),
        ("\\boxed{\\text{invalid}}", "invalid"),
        ("The conclusion is not logically valid.", "invalid"),
        ("The conclusion does not follow.", "invalid"),
        ("It doesn't logically follow.", "invalid"),
        ("It is not the case that it follows.", "invalid"),
        ("The conclusion follows.", "valid"),
        ("No. No rabbit is a snake, but rabbits may be other reptiles.", "invalid"),
        ("Yes, no rabbit is a reptile.", "valid"),
        ("It is invalid; a valid argument would need more. Answer: invalid", "invalid"),
        ("The answer is not valid but invalid", "invalid"),
        ("The syllogism is valid, not invalid", "valid"),
        ("valid or invalid", None),
        ("No rabbit is a reptile.", None),
    ],
)
def test_grades_of_an_invalid_conclusion(text, answer):
    task = TASKS["syllogism_verification"]
    item = next(item for item in task.items() if item.key == "no_rabbit_reptile")
    grade = task.grade(item, text)
    assert (grade.answer, grade.correct) == (answer, answer == "invalid")
