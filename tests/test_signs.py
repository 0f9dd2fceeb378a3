"""Reversed people reverse every sign: nothing is made positive, squared or clipped."""

import json

import numpy as np
import pytest
from simulated import study

from handan.alignment.align import align
from handan.alignment.pairs import Comparisons
from handan.alignment.tables import tables
from handan.formatting import as_csv, as_latex, as_markdown, as_text

ROLES = {("s", "t"): ("student", "teacher"), ("s", "b"): ("student", "base")}
COMPARED = Comparisons([("s", "t"), ("s", "b")], [("s", "b")], [("s", "t")], ROLES)
TASKS = ("alpha", "beta", "gamma")


def rows(reverse):
    made = study({"s": 0.2, "t": 0.8, "b": 0.5}, tasks=TASKS, num_samples=3, num_items=50)
    generator = np.random.default_rng(0)
    for index, row in enumerate(made):
        row["oracle_tokens"] = float(int(row["item"][-3:]) + 5)
        row["prompt_tokens"] = 10 + int(row["item"][-3:]) % 7
        row["correct"] = bool(generator.random() < 0.8)
        row["reasoning_characters"] = 4 * row["reasoning_tokens"]
        if index % 17 == 0:
            row["status"] = "truncated"
        if reverse:
            row["human_rt_s"] = 10 / row["human_rt_s"]
    return made


@pytest.fixture(scope="module")
def both():
    return [align(rows(reverse), bootstrap=400, comparisons=COMPARED) for reverse in (False, True)]


# Correlations with people; those between models, and of their lengths, stay as they are.
OF_TASKS = ("r_loglog", "spearman", "r_logmean", "r_loglog_disattenuated", "oracle_human")


def mirrored(bounds):
    return [-bounds[1], -bounds[0]]


def test_every_correlation_with_people_turns_and_its_interval_with_it(both):
    ahead, back = both
    for model in "stb":
        for task in TASKS:
            one, other = (result["models"][model]["tasks"][task] for result in both)
            for name in OF_TASKS:
                if one[name] is None:
                    continue
                assert other[name] == pytest.approx(-one[name], abs=1e-9)
                assert other[f"{name}_ci"] == pytest.approx(mirrored(one[f"{name}_ci"]), abs=1e-9)
            for name in ("complete_only", "correct_only", "characters", "censored"):
                one_r, other_r = one["sensitivity"][name], other["sensitivity"][name]
                assert other_r["r"] == pytest.approx(-one_r["r"], abs=1e-6)
                assert other_r["ci"] == pytest.approx(mirrored(one_r["ci"]), abs=1e-6)
            assert one["partial"]
            for name, found in one["partial"].items():
                assert other["partial"][name]["r"] == pytest.approx(-found["r"], abs=1e-9)
            # Times themselves are not reversed by 1 / t, but their order is.
            assert np.sign(other["r_raw"]) == -np.sign(one["r_raw"])
            assert other["r_oracle"] == one["r_oracle"]
        for name in ("mean_r_loglog", "cross_task_r"):
            one, other = (result["models"][model][name] for result in both)
            assert other == pytest.approx(-one, abs=1e-9)
    assert ahead["study"]["similarity"] == back["study"]["similarity"]


def test_contrasts_turn_and_collapse_becomes_its_opposite(both):
    for one, other in zip(*(result["contrasts"] for result in both), strict=True):
        assert other["difference"] == pytest.approx(-one["difference"], abs=1e-9)
        assert other["ci"] == pytest.approx(mirrored(one["ci"]), abs=1e-9)
        if one["zou_ci"]:
            assert other["zou_ci"] == pytest.approx(mirrored(one["zou_ci"]), abs=1e-9)
            assert other["williams_t"] == pytest.approx(-one["williams_t"])
            assert other["steiger_z"] == pytest.approx(-one["steiger_z"])
    verdicts = [result["contrasts"][3]["verdict"] for result in both]
    assert verdicts == ["lower", "higher"]
    for one, other in zip(*(result["study"]["over_pairs"] for result in both), strict=True):
        assert other["mean_difference_z"] == pytest.approx(-one["mean_difference_z"])


def test_inflation_and_effort_do_not_know_people(both):
    ahead, back = both
    assert ahead["inflation"] == back["inflation"]
    assert ahead["study"]["effort"] == back["study"]["effort"]


def test_a_negative_sign_is_printed_in_every_table(both):
    back = both[1]
    r = back["models"]["t"]["tasks"]["alpha"]["r_loglog"]
    assert r < -0.5
    shown = f"-.{round(-100 * r):02d}"
    alignment = next(table for table in tables(back) if table.name == "alignment")
    for write in (as_text, as_markdown, as_latex):
        assert shown in write(alignment)
    assert str(r) in as_csv(alignment)


def test_a_model_that_mirrors_people_exactly_is_minus_one():
    made = [
        {"task": "t", "item": str(i), "reasoning_tokens": 2**i, "human_rt_s": 2.0 ** -(i / 2)}
        for i in range(12)
    ]
    task = align(made, bootstrap=200)["models"]["model"]["tasks"]["t"]
    assert (task["r_loglog"], task["r_loglog_ci"], task["spearman"]) == (-1.0, [-1.0, -1.0], -1.0)
    json.dumps(task, allow_nan=False)
