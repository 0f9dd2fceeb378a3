import numpy as np
import pandas as pd
import pingouin
import pytest
import scipy.stats
from simulated import rows_of, study

from handan.alignment.align import align

pytestmark = pytest.mark.filterwarnings("error")

FAST = {"bootstrap": 300}


def one_task(rows, **options):
    (model,) = align(rows, **FAST | options)["models"].values()
    (task,) = model["tasks"].values()
    return task


def test_rates_above_their_thresholds_are_flagged():
    rows = study({"m": 0.5}, num_items=50, num_samples=2)
    for index, row in enumerate(rows):
        row["status"] = "truncated" if index % 25 == 0 else "complete"
        row["looping"] = index == 0
        if index % 10 == 1:
            row |= {"status": "no_reasoning", "reasoning_tokens": 0}
    task = one_task(rows)
    assert task["cap_rate"] == pytest.approx(0.04)
    assert task["loop_rate"] == pytest.approx(0.01)
    assert task["no_reasoning_rate"] == pytest.approx(0.1)
    assert task["flags"] == ["capped 4.0 %", "no reasoning 10 %"]


def test_unknown_rates_are_neither_numbers_nor_flags():
    task = one_task(rows_of([3, 5, 4, 9, 8, 7], [1, 2, 3, 4, 5, 6]))
    assert (task["cap_rate"], task["loop_rate"], task["accuracy"]) == (None, None, None)
    assert task["flags"] == []
    assert task["sensitivity"] == dict.fromkeys(
        ("complete_only", "correct_only", "characters", "censored")
    )
    assert (task["partial"], task["wrong_minus_right"]) == ({}, None)


def capped_study(cap, num_items=400):
    rows = study({"m": 0.7}, num_items=num_items, num_samples=1, noise=0)
    for row in rows:
        if row["reasoning_tokens"] >= cap:
            row |= {"reasoning_tokens": cap, "status": "truncated"}
    return rows


def test_a_cap_lowers_r_and_the_censored_r_brings_it_back():
    whole = one_task(study({"m": 0.7}, num_items=400, num_samples=1, noise=0))
    tokens = [row["reasoning_tokens"] for row in study({"m": 0.7}, num_items=400, num_samples=1)]
    task = one_task(capped_study(int(np.quantile(tokens, 0.6))))
    censored = task["sensitivity"]["censored"]
    assert task["cap_rate"] > 0.3
    assert task["r_loglog"] < whole["r_loglog"] - 0.03
    assert censored["r"] == pytest.approx(whole["r_loglog"], abs=0.04)
    assert censored["ci"][0] < whole["r_loglog"] < censored["ci"][1]
    # Dropping what was cut leaves the short ones: less spread and a lower r.
    assert task["sensitivity"]["complete_only"]["r"] < whole["r_loglog"]
    assert task["sensitivity"]["complete_only"]["n"] == 400 * (1 - task["cap_rate"])


def test_correct_only_uses_right_samples_alone():
    times = np.arange(1.0, 13.0)
    rows = rows_of((times * 10).astype(int), times, sample=0, correct=True)
    rows += rows_of((1000 / times).astype(int), times, sample=1, correct=False)
    task = one_task(rows)
    assert task["sensitivity"]["correct_only"]["r"] == pytest.approx(1)
    assert task["r_loglog"] < 0.5


def test_characters_stand_next_to_tokens():
    rows = study({"m": 0.6}, num_samples=1)
    for row in rows:
        row["reasoning_characters"] = 4 * row["reasoning_tokens"]
    task = one_task(rows)
    assert task["sensitivity"]["characters"]["r"] == pytest.approx(task["r_loglog"], abs=1e-6)


def covariate_study(num_items=60):
    generator = np.random.default_rng(3)
    length, own, noise = generator.normal(size=(3, num_items))
    times = np.exp(1 + 0.3 * length + 0.2 * own)
    tokens = np.round(1000 * np.exp(0.5 * length + 0.2 * noise)).astype(int)
    prompt = np.round(100 * np.exp(0.3 * length)).astype(int)
    return [
        row | {"prompt_tokens": int(p), "covariate_steps": float(s), "answer_tokens": 7}
        for row, p, s in zip(rows_of(tokens, times), prompt, own, strict=True)
    ]


def test_partial_correlations_agree_with_pingouin():
    rows = covariate_study()
    task = one_task(rows)
    table = pd.DataFrame(rows)
    logs = pd.DataFrame(
        {
            "tokens": np.log(table["reasoning_tokens"]),
            "time": np.log(table["human_rt_s"]),
            "prompt": np.log(table["prompt_tokens"]),
            "steps": table["covariate_steps"],
        }
    )
    for name, held in (("prompt_tokens", ["prompt"]), ("steps", ["steps"])):
        oracle = pingouin.partial_corr(logs, x="tokens", y="time", covar=held)
        assert task["partial"][name]["r"] == pytest.approx(oracle["r"].iloc[0], abs=1e-9)
    oracle = pingouin.partial_corr(logs, x="tokens", y="time", covar=["prompt", "steps"])
    assert task["partial"]["all"]["r"] == pytest.approx(oracle["r"].iloc[0], abs=1e-9)
    # What is constant, as the length of these answers, holds nothing constant.
    assert set(task["partial"]) == {"prompt_tokens", "steps", "all"}


def test_prompt_length_alone_can_make_an_alignment_that_partialling_takes_away():
    task = one_task(covariate_study(300))
    assert task["r_loglog"] > 0.6
    low, high = task["partial"]["prompt_tokens"]["ci"]
    assert low < 0 < high < 0.4


def test_wrong_responses_are_longer_by_the_effect_that_was_put_in():
    generator = np.random.default_rng(0)
    rows = []
    for item in range(80):
        base, time = generator.normal(7, 1), 1 + item
        for sample in range(4):
            wrong = generator.random() < item / 120
            tokens = np.exp(base + 0.4 * wrong + 0.1 * generator.normal())
            rows.append(
                {"task": "t", "item": str(item), "sample": sample, "human_rt_s": time}
                | {"reasoning_tokens": int(tokens), "correct": not wrong}
            )
    effect = one_task(rows)["wrong_minus_right"]
    assert effect["ci"][0] < 0.4 < effect["ci"][1]
    assert effect["delta"] == pytest.approx(0.4, abs=0.06)
    assert effect["ratio"] == pytest.approx(np.exp(effect["delta"]))
    # The same by least squares with a dummy variable for each item that has both.
    table = pd.DataFrame(rows)
    both = table.groupby("item")["correct"].transform(lambda of: 0 < of.mean() < 1)
    table = table[both]
    dummies = pd.get_dummies(table["item"]).astype(float).to_numpy()
    design = np.column_stack([~table["correct"].to_numpy(bool), dummies]).astype(float)
    solution, *_ = np.linalg.lstsq(design, np.log(table["reasoning_tokens"]))
    assert effect["delta"] == pytest.approx(solution[0], abs=1e-9)
    assert (effect["items"], effect["samples"]) == (table["item"].nunique(), len(table))


def test_a_difference_between_items_is_no_effect_of_being_wrong():
    # Hard items are long and often wrong, but within an item wrong and right are alike.
    generator = np.random.default_rng(1)
    rows = []
    for item in range(100):
        for sample in range(4):
            tokens = np.exp(6 + item / 50 + 0.1 * generator.normal())
            rows.append(
                {"task": "t", "item": str(item), "sample": sample, "human_rt_s": 1 + item}
                | {"reasoning_tokens": int(tokens), "correct": generator.random() > item / 100}
            )
    effect = one_task(rows)["wrong_minus_right"]
    assert effect["ci"][0] < 0 < effect["ci"][1]
    assert abs(effect["delta"]) < 0.06


def test_inverse_efficiency_is_tokens_for_a_right_answer():
    rows = rows_of([10, 20, 30, 40], [1, 2, 3, 4], correct=True)
    rows[0]["correct"] = False
    assert one_task(rows)["inverse_efficiency"] == pytest.approx(25 / 0.75)
    assert one_task([row | {"correct": False} for row in rows])["inverse_efficiency"] is None


def test_contrasts_name_the_conditions_that_are_not_to_be_trusted():
    rows = capped_study(3000) + [row | {"model": "b"} for row in capped_study(10**6)]
    contrast = align(rows, **FAST)["contrasts"][0]
    assert len(contrast["flags"]) == 1 and contrast["flags"][0].startswith("m, alpha: capped")


def test_raw_and_logarithmic_correlations_have_intervals_of_their_own():
    rows = study({"m": 0.6}, num_items=80, num_samples=1)
    task = one_task(rows)
    tokens = [row["reasoning_tokens"] for row in rows]
    times = [row["human_rt_s"] for row in rows]
    assert task["r_raw"] == pytest.approx(scipy.stats.pearsonr(tokens, times)[0])
    for name in ("r_raw", "r_loglog", "r_logmean", "spearman"):
        low, high = task[f"{name}_ci"]
        assert -1 <= low < task[name] < high <= 1
