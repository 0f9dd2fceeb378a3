"""Contrasts of accuracy and mean tokens, and the Bayes factor beside the test of equivalence."""

import numpy as np
import pingouin
import pytest
from simulated import rows_of, study

from handan.alignment.align import align
from handan.alignment.correlation import jzs_bf01

FAST = {"bootstrap": 1000}


def contrast(rows, task=None, **more):
    found = align(rows, **FAST, **more)["contrasts"]
    return next(row for row in found if row["task"] == task)


def test_differences_are_of_the_means_that_stand_beside_them():
    accuracy = {"a": 0.5, "b": 0.9}
    rows = study({"a": 0.5, "b": 0.4}, tasks=("alpha", "beta"), accuracy=accuracy)
    of = contrast(rows, "alpha")["outcomes"]
    mine = [row for row in rows if row["task"] == "alpha"]
    for model, name in (("a", "a"), ("b", "b")):
        own = [row for row in mine if row["model"] == model]
        assert of[f"accuracy_{name}"] == pytest.approx(np.mean([row["correct"] for row in own]))
        mean = np.mean([row["reasoning_tokens"] for row in own])
        assert of[f"tokens_{name}"] == pytest.approx(mean)
    assert of["accuracy_difference"] == pytest.approx(-0.4)
    assert of["accuracy_ci"][0] < -0.4 < of["accuracy_ci"][1] < 0
    assert of["tokens_ratio"] == pytest.approx(of["tokens_a"] / of["tokens_b"])
    both = [contrast(rows, task)["outcomes"] for task in ("alpha", "beta")]
    mean = contrast(rows)["outcomes"]
    assert mean["n"] == 80
    ratios = [task["tokens_ratio"] for task in both]
    assert mean["tokens_ratio"] == pytest.approx(np.sqrt(np.prod(ratios)))


def test_pairing_by_item_narrows_what_items_have_in_common():
    hard = np.random.default_rng(0).lognormal(5, 1.5, 40)
    rows = rows_of(hard, range(1, 41), model="a")
    rows += rows_of(1.1 * hard, range(1, 41), model="b")
    of = contrast(rows, "alpha")["outcomes"]
    low, high = of["tokens_ratio_ci"] or (of["tokens_ratio"],) * 2
    assert high - low < 0.01 and of["tokens_ratio"] == pytest.approx(1 / 1.1)


def test_items_without_a_thinking_sample_count_in_outcomes_alone():
    tokens = [*range(10, 40), 0, 0]
    rows = rows_of(tokens, range(1, 33), model="a", correct=True)
    rows += rows_of(range(20, 52), range(1, 33), model="b", correct=True)
    row = contrast(rows, "alpha")
    assert row["n"] == 30 and row["outcomes"]["n"] == 32
    assert row["outcomes"]["tokens_a"] == pytest.approx(np.mean(tokens))


def test_what_is_unknown_or_never_differs_has_no_interval():
    rows = rows_of(range(10, 50), range(1, 41), model="a")
    rows += rows_of(range(20, 60), range(1, 41), model="b")
    assert contrast(rows, "alpha")["outcomes"]["accuracy_difference"] is None
    of = contrast([row | {"correct": True} for row in rows], "alpha")["outcomes"]
    assert of["accuracy_difference"] == 0 and of["accuracy_ci"] is None
    silent = [row | {"reasoning_tokens": 0} if row["model"] == "a" else row for row in rows]
    of = contrast(silent, "alpha")["outcomes"]
    assert of["tokens_ratio"] == 0 and of["tokens_ratio_ci"] is None


def test_turning_a_pair_turns_its_outcomes():
    rows = study({"a": 0.5, "b": 0.4}, accuracy={"a": 0.5, "b": 0.9})
    one = contrast(rows, "alpha", reference="b")["outcomes"]
    other = contrast(rows, "alpha", reference="a")["outcomes"]
    assert other["accuracy_difference"] == pytest.approx(-one["accuracy_difference"])
    assert other["tokens_ratio_ci"] == pytest.approx(
        [1 / of for of in one["tokens_ratio_ci"][::-1]]
    )


@pytest.mark.parametrize("t", [0.0, 0.4, -2.1, 3.7, 12.0])
@pytest.mark.parametrize("n", [12, 40, 500])
def test_the_bayes_factor_is_that_of_pingouin(t, n):
    oracle = float(pingouin.bayesfactor_ttest(t, n, paired=True))
    assert 1 / jzs_bf01(t, n - 1) == pytest.approx(oracle, rel=1e-6)


def test_the_bayes_factor_tells_equal_from_different_models():
    equal = study({"a": 0.6, "b": 0.6}, tasks=("alpha", "beta"), num_items=100)
    apart = study({"a": 0.8, "b": 0.0}, tasks=("alpha", "beta"), num_items=100)
    assert contrast(equal)["bf01"] > 3
    assert contrast(apart)["bf01"] < 1e-3
    few = study({"a": 0.8, "b": 0.0}, num_items=8)
    assert contrast(few, "alpha")["bf01"] is None
