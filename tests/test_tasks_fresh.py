"""Problems beside the human items: what is drawn, held out, worked out in words, and costs."""

import random

import pytest

from handan.evaluation.contamination import contaminated
from handan.tasks import FRESH, TASKS, fresh, load
from handan.tasks.directions import SAME_PLACE
from handan.tasks.fresh import NUM_ITEMS, Sizes, draw, is_held_out
from handan.tasks.worked_solutions import (
    FORMATS,
    _slip,
    analytic_cost,
    concise_words,
    right_answer,
    sentence_of,
    worked_steps,
)


def drawn(task, number=40, **sizes):
    rng = random.Random(3)
    return [draw(task, rng, Sizes(**sizes)) for _ in range(number)]


@pytest.mark.parametrize("task", TASKS)
def test_fresh_items_are_graded_by_their_key_and_are_no_human_items(task):
    items = load(f"{task}_fresh").items()
    assert len(items) == NUM_ITEMS == len({item.question for item in items})
    human = {item.question for item in TASKS[task].items()}
    for item in items:
        assert FRESH[item.task].grade(item, right_answer(item)).correct
        assert item.question not in human


@pytest.mark.parametrize("task", TASKS)
def test_no_training_problem_has_the_structure_of_an_evaluation_item(task):
    items = FRESH[f"{task}_fresh"].items()
    kept = {str(fresh.structure(task, item.key)) for item in items}
    assert all(is_held_out(task, item.key) for item in items)
    assert not kept & {str(fresh.structure(task, item.key)) for item in drawn(task, 100)}


def test_two_numbers_are_held_out_in_any_order_width_operation_and_with_any_result():
    for a in range(60):
        held = is_held_out("binary_addition", f"{a:06b}+101101")
        assert is_held_out("binary_modulo", f"101101%{a:08b}") == held
        assert is_held_out("products", f"{a}*7=1") == is_held_out("products", f"7*{a}=9")
    code = "AIE:ab,cb,cd"
    assert is_held_out("syllogisms", code) == is_held_out("syllogism_verification", f"{code}:Aad")


def test_a_fresh_item_is_found_among_training_prompts():
    item = FRESH["binary_addition_fresh"].items()[0]
    left, right = item.key.split("+")
    assert contaminated(item.question) is not None
    assert contaminated(f"Please add the binary numbers 000{right} and {left}!") is not None
    item = FRESH["products_fresh"].items()[0]
    a, b = item.key.split("=")[0].split("*")
    assert contaminated(f"True or false: {a} x {b} = 1") is not None


def test_a_shown_product_of_people_is_found_with_any_result():
    assert contaminated("Is this statement true or false? 2 * 3 = 7.") is not None


@pytest.mark.parametrize("trace_format", FORMATS)
@pytest.mark.parametrize("task", TASKS)
def test_worked_steps_lead_to_the_answer(task, trace_format):
    for item in drawn(task):
        steps = worked_steps(item, trace_format, random.Random(1))
        said = sentence_of(concise_words(steps))
        assert said and "  " not in said
        if task in ("binary_multiplication", "binary_division", "binary_modulo"):
            assert steps[-1][-1] == item.answer
        elif task in fresh.SYMBOLS:
            result, shown = steps[-1][-3], steps[-1][-1]
            assert item.answer == ("true" if result == shown else "false")
        elif task == "syllogism_verification":
            if trace_format == "carry-cost":
                possible = steps[-1][-1] == "possible"
                assert item.answer == ("invalid" if possible else "valid")
        elif task == "syllogisms" and trace_format == "carry-cost":
            assert (steps[-1] == ["yes"]) == (item.answer != "No valid conclusion")
        elif task == "cardinal_directions" and trace_format == "constant":
            north, north_steps, east, east_steps = steps[-1]
            reached = [north] * (north_steps != "0") + [east] * (east_steps != "0")
            assert "-".join(reached) == item.answer or (not reached and item.answer == SAME_PLACE)
        elif trace_format == "constant" and task.startswith("binary"):
            digits = "".join(step[-1] for step in reversed(steps[1:]))
            assert (steps[-1][-2].strip("0") * (task == "binary_addition") + digits).lstrip(
                "0"
            ) == item.answer.lstrip("0")
        elif trace_format == "carry-cost" and task.startswith("binary"):
            digits = [step[-1] for step in steps[1:] if step[0] not in ("carry", "borrow")]
            carry = "1" if steps[-1][0] == "carry" else ""
            assert ((carry + "".join(reversed(digits))).lstrip("0") or "0") == item.answer


def test_a_division_writes_its_quotient_and_ends_with_its_remainder():
    for task in ("binary_division", "binary_modulo"):
        for item in drawn(task):
            *steps, _ = worked_steps(item, "carry-cost", random.Random(0))
            digits = ["0" if step[1] == "<" else "1" for step in steps if step[0] != "write"]
            last = next(step for step in reversed(steps) if step[0] != "write")
            rest = last[0] if last[1] == "<" else last[-1]
            found = "".join(digits) if task == "binary_division" else rest
            assert int(found, 2) == int(item.answer, 2)


def test_shifted_copies_add_up_to_the_product():
    for item in drawn("binary_multiplication"):
        *steps, _ = worked_steps(item, "carry-cost", random.Random(0))
        assert int(steps[-1][-1] if steps else "0", 2) == int(item.answer, 2)


def test_a_walk_ends_at_the_place_that_is_asked_for():
    item = next(i for i in load("cardinal_directions").items() if i.key == "north+north-east")
    steps = worked_steps(item, "carry-cost", random.Random(0))
    # The third place lies two steps south and one west of the first.
    assert steps == [
        ["south", "to", "south", "1"],
        ["south", "to", "south", "2"],
        ["west", "to", "west", "1"],
    ]


@pytest.mark.parametrize("task", ["binary_addition", "binary_subtraction"])
def test_constant_traces_are_as_long_whatever_the_carries(task):
    for item in drawn(task, widths=[6]):
        words = concise_words(worked_steps(item, "constant", random.Random(0)))
        assert len(words) == 3 + 3 + 1 + 6 * 9  # from the right a + b , ...


def test_the_analytic_cost_counts_columns_carries_and_the_copy():
    item = next(
        i for i in drawn("binary_addition", 200, widths=[5]) if i.covariates["carries"] == 3
    )
    assert analytic_cost(item) == 1 + 5 + 3


def test_sums_are_written_without_spaces_beside_digits():
    assert sentence_of(["0", "+", "1", "=", "1", ",", "carry", "1", ","]) == "0+1=1, carry 1"
    assert sentence_of(["40", "<", "3", ",", "result", "9", "shown", "8", ","]) == (
        "40<3, result 9 shown 8"
    )


def test_slips_change_one_digit_of_a_numeral():
    wrong = {
        " ".join(_slip(random.Random(seed), ["40", "+", "16", "=", "56"])) for seed in range(40)
    }
    assert wrong == {f"40 + 16 = 5{digit}" for digit in range(10)} - {"40 + 16 = 56"}
