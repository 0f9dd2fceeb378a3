"""Syllogisms: logic against known results, figures against the data, reading of conclusions."""

import csv
import random

import pytest
from human_trials import TRIALS, needs_trials

from handan.tasks import TASKS
from handan.tasks.syllogisms import (
    CODES,
    CONCLUSIONS,
    NO_CONCLUSION,
    entails,
    find_model,
    holds,
    make_item,
    premises_of,
    sentence,
    terms_of,
    valid_conclusions,
)

# Khemlani & Johnson-Laird (2012): the 27 syllogisms with a valid conclusion.
VALID = (
    "AA1 AA2 AA4 AI2 AI4 AE1 AE2 AE3 AE4 AO3 AO4 IA1 IA4 IE1 IE2 IE3 IE4 "
    "EA1 EA2 EA3 EA4 EI1 EI2 EI3 EI4 OA3 OA4"
)


def test_27_syllogisms_have_a_valid_conclusion():
    assert [code for code in CODES if valid_conclusions(code)] == sorted(
        VALID.split(), key=CODES.index
    )


def test_a_model_of_premises_has_them_true_and_an_instance_of_every_term():
    for code in CODES:
        premises = premises_of(code)
        model = find_model(premises)
        assert all(holds(premise, model) for premise in premises)
        assert all(any(term in kind for kind in model) for term in "abc")


def test_premises_that_contradict_each_other_have_no_model():
    assert find_model(("Aab", "Oab")) is None
    assert find_model(("Aab", "Ebc", "Icb", "Acb")) is None


def test_existential_import_weakens_a_universal_conclusion():
    assert valid_conclusions("AA1") == ("Aac", "Iac", "Ica")
    assert entails(("Aab", "Abc"), "Iac")


@pytest.mark.parametrize(
    ("code", "expected"),
    [("AE1", {"Eac", "Eca", "Oac", "Oca"}), ("EI4", {"Oca"}), ("AO4", {"Oac"}), ("II1", set())],
)
def test_known_conclusions(code, expected):
    assert set(valid_conclusions(code)) == expected


def holds_for_sets(statement, sets):
    mood, subject, predicate = statement
    both = sets[subject] & sets[predicate]
    return {
        "A": sets[subject] <= sets[predicate],
        "I": bool(both),
        "E": not both,
        "O": bool(sets[subject] - sets[predicate]),
    }[mood]


def test_random_sets_of_people_refute_exactly_the_conclusions_that_do_not_follow():
    rng = random.Random(0)
    standing = {code: set(CONCLUSIONS) for code in CODES}
    for _ in range(30_000):
        size = rng.choice((2, 3, 4))
        sets = {t: {p for p in range(size) if rng.random() < 0.5} for t in "abc"}
        if not all(sets.values()):
            continue
        true = {s for s in CONCLUSIONS if holds_for_sets(s, sets)}
        for code in rng.sample(CODES, 12):
            if all(holds_for_sets(premise, sets) for premise in premises_of(code)):
                standing[code] &= true
    assert standing == {code: set(valid_conclusions(code)) for code in CODES}


@needs_trials
def test_figures_and_moods_are_those_of_every_row_of_the_data():
    mood = {"All": "A", "Some": "I", "No": "E", "Some not": "O"}
    with open(TRIALS / "syllogism_trials.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            a, b, c = row["terms"].strip("[]").replace("'", "").split(", ")
            letter = {a: "a", b: "b", c: "c"}
            coded = tuple(
                mood[quantifier] + letter[x] + letter[y]
                for quantifier, x, y in (part.split(";") for part in row["premises"].split("/"))
            )
            assert coded == premises_of(row["syllogism"]), row


def test_questions_show_premises_nine_options_and_neutral_terms():
    item = make_item("AI3")
    a, b, c = terms_of("AI3").values()
    assert item.question.startswith(
        f"Take these two statements to be true:\nAll {a} are {b}.\nSome {c} are {b}.\n"
    )
    assert item.question.count(".\n") == 2 + 9
    assert len({len(terms) for code in CODES for terms in terms_of(code).values()}) == 1
    assert len({tuple(terms_of(code).values()) for code in CODES}) == 64


def test_each_of_the_nine_conclusions_is_right_only_if_it_follows():
    task = TASKS["syllogisms"]
    for item in task.items():
        valid = valid_conclusions(item.key)
        options = {c: sentence(c, terms_of(item.key)) for c in CONCLUSIONS}
        for conclusion, option in options.items():
            assert task.grade(item, f"{option}.").correct == (conclusion in valid)
            assert task.grade(item, f"\\boxed{{\\text{{{option}}}}}").answer == option
        assert task.grade(item, NO_CONCLUSION).correct == (not valid)


A, B, C = terms_of("AO3").values()
RIGHT = f"Some {C} are not {A}"


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        f"**{RIGHT}.**",
        f"\\boxed{{\\text{{{RIGHT}}}}}",
        f"Some {C} aren't {A}.",
        f"Some of the {C} are not {A}",
        f"Not all {C} are {A}",
        f"some {C}\nare not {A}",
        f"All {A} are {B}. Some {C} are not {B}. Therefore, {RIGHT.lower()}.",
        f"We cannot conclude that all {C} are {A}. However, {RIGHT}.",
        f"It does not follow that some {A} are not {C}; {RIGHT}.",
        f'"Some {A} are {C}" does not follow. The answer is {RIGHT}',
        f"Not 'Some {A} are {C}' but '{RIGHT}'",
        f'{RIGHT}, not "No valid conclusion"',
        f"{RIGHT}.\n\nIt is not necessarily the case that no {C} are {A}.",
    ],
)
def test_right_conclusions_in_many_forms(text):
    grade = TASKS["syllogisms"].grade(make_item("AO3"), text)
    assert (grade.answer, grade.correct) == (RIGHT, True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"Some {A} are not {C}", f"Some {A} are not {C}"),
        (f"None of the {C} are {A}", f"No {C} are {A}"),
        (f"No {C[:-1]} is a {A[:-1]}", f"No {C} are {A}"),
        (f"Every {C[:-1]} is a {A[:-1]}.", f"All {C} are {A}"),
        ("No valid conclusion follows.", NO_CONCLUSION),
        ("There is no valid conclusion.", NO_CONCLUSION),
        ("NVC", NO_CONCLUSION),
        ("Nothing follows.", NO_CONCLUSION),
        ("None of the above", NO_CONCLUSION),
        (f"All {C} are not {A}", None),
        (f"Some {C} are not {B}", None),
        (f"No valid conclusion or {RIGHT}", None),
        ("Some dogs are not cats", None),
    ],
)
def test_wrong_and_unreadable_conclusions(text, answer):
    grade = TASKS["syllogisms"].grade(make_item("AO3"), text)
    assert (grade.answer, grade.correct) == (answer, False)
