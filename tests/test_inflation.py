import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import rows_of, study

from handan.alignment.align import align
from handan.alignment.pairs import Comparisons

FAST = {"bootstrap": 200}


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_an_exact_multiplier_of_each_item_cannot_change_r(multiplier, seed):
    base = study({"base": 0.4}, num_samples=1, seed=seed)
    student = [
        row | {"model": "student", "reasoning_tokens": multiplier * row["reasoning_tokens"]}
        for row in base
    ]
    result = align(base + student, **FAST, reference="base")
    of_base, of_student = (result["models"][m]["tasks"]["alpha"] for m in ("base", "student"))
    for figure in ("r_raw", "r_loglog", "spearman"):
        assert of_student[figure] == pytest.approx(of_base[figure], abs=1e-9)
    contrast = result["contrasts"][0]
    assert (contrast["difference"], contrast["ci"], contrast["p"]) == (0.0, [0.0, 0.0], 1.0)
    assert contrast["verdict"] == "preserved within ±0.1"
    for fit in result["inflation"]:
        assert fit["b"] == pytest.approx(1)
        assert fit["b_ci"] == pytest.approx([1, 1])
        assert fit["residual_sd"] == pytest.approx(0, abs=1e-9)
        assert fit["geometric_mean_ratio"] == pytest.approx(multiplier)
    assert result["inflation"][0]["k"] == pytest.approx(multiplier)
    assert result["inflation"][1]["k"] is None


def test_inflation_recovers_a_slope_and_a_multiplier():
    generator = np.random.default_rng(1)
    rows = []
    for task, times_longer in (("alpha", 2.0), ("beta", 5.0)):
        base = np.exp(generator.normal(8, 1, size=300))
        student = times_longer * base**0.8 * np.exp(0.3 * generator.normal(size=300))
        for model, tokens in (("base", base), ("student", student)):
            new = rows_of(tokens.astype(int), generator.permutation(300) + 1.0, model=model)
            rows += [row | {"task": task, "human_rt_s": 1 + i} for i, row in enumerate(new)]
    # Tasks without human data are not part of the law.
    analytic = {"task": "count", "human_rt_s": None, "analytic_cost": 2}
    rows += [row | analytic for row in rows if row["task"] == "alpha"]
    comparisons = Comparisons([], [("student", "base")], [], {})
    result = align(rows, **FAST, comparisons=comparisons)
    alpha, beta, pooled = result["inflation"]
    assert [fit["task"] for fit in (alpha, beta, pooled)] == ["alpha", "beta", None]
    assert alpha["b"] == pytest.approx(0.8, abs=0.06)
    assert beta["k"] / alpha["k"] == pytest.approx(2.5, rel=0.6)
    assert pooled["b"] == pytest.approx(0.8, abs=0.04)
    assert pooled["b_ci"][0] < 0.8 < pooled["b_ci"][1] < 1
    assert pooled["residual_sd"] == pytest.approx(0.3, abs=0.03)
    assert (pooled["n"], pooled["a"]) == (600, None)


def test_an_item_with_one_sample_leaves_the_correction_nearly_as_it_is():
    rows = study({"base": 0.4, "student": 0.4}, num_samples=4, seed=1)
    first = rows[0]["item"]
    fewer = [
        row
        for row in rows
        if (row["model"], row["item"]) != ("base", first) or row["sample"] == rows[0]["sample"]
    ]
    assert len(fewer) < len(rows)
    whole, less = (
        align(some, **FAST, reference="base")["inflation"][0]["corrected"] for some in (rows, fewer)
    )
    assert less["b"] == pytest.approx(whole["b"], rel=0.1)
    assert less["b_ci"] is not None
