import numpy as np
import pandas as pd
import pingouin
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from handan.alignment.correlation import (
    average_ranks,
    benjamini_hochberg,
    finite_or_none,
    fisher_mean,
    gradient_of_z,
    holm,
    leave_one_out,
    pearson,
    reliability_of_means,
    residuals,
    spearman,
    spearman_interval,
    z_weights,
)

columns = st.lists(
    st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), min_size=3, max_size=30
)


def related(num_items, r, generator):
    x = generator.normal(size=num_items)
    return x, r * x + np.sqrt(1 - r**2) * generator.normal(size=num_items)


@given(columns)
def test_pearson_and_spearman_agree_with_scipy(pairs):
    x, y = np.array(pairs, float).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(pearson(x, y)) and np.isnan(spearman(x, y))
    else:
        assert pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y)[0], abs=1e-9)
        assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y)[0], abs=1e-9)


def test_a_column_constant_up_to_rounding_is_constant():
    x = np.log(7.0) + np.array([0.0, 1e-16, -2e-16, 4e-16])
    assert np.isnan(pearson(x, np.arange(4.0)))


def test_one_item_has_no_correlation():
    assert np.isnan(pearson(np.array([1.0]), np.array([2.0])))


def test_exact_relations_are_exactly_one_and_keep_their_sign():
    x = np.log(np.arange(1.0, 50.0))
    assert pearson(x, 3.7 * x + 0.1) == 1.0
    assert pearson(x, -0.3 * x) == -1.0


def test_fisher_mean_of_known_values_and_limits():
    expected = np.tanh((np.arctanh(0.2) + np.arctanh(0.8)) / 2)
    assert fisher_mean(np.array([0.2, 0.8])) == pytest.approx(expected)
    weighted = np.tanh((3 * np.arctanh(0.2) + np.arctanh(0.8)) / 4)
    assert fisher_mean(np.array([0.2, 0.8]), np.array([3, 1])) == pytest.approx(weighted)
    assert np.isnan(fisher_mean(np.array([1.0, 0.1, -0.5])))  # it would decide the mean alone
    assert np.isnan(fisher_mean(np.array([1.0, -1.0])))
    assert fisher_mean(np.array([-1.0])) == -1.0


def test_tasks_weigh_by_the_inverse_variance_of_z():
    assert z_weights([103, 53, 13]) == pytest.approx(np.array([100, 50, 10]) / 160)
    assert z_weights([103, 53, 13], "equal") == pytest.approx([1 / 3] * 3)
    assert z_weights([2]) == pytest.approx([1])


def test_leave_one_out_agrees_with_leaving_out():
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(2, 15))
    x[4] = 30.0
    expected = [pearson(np.delete(x, i), np.delete(y, i)) for i in range(15)]
    assert leave_one_out(x, y) == pytest.approx(np.array(expected))
    alone = np.array([1.0, 1.0, 1.0, 5.0])
    assert np.isnan(leave_one_out(alone, y[:4])[3])  # constant without it


def test_holm_as_in_r_and_without_undefined_tests():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm(np.array([0.01, np.nan, 0.6]))
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.6])
    assert np.isnan(adjusted[1])


def test_benjamini_hochberg_agrees_with_pingouin_and_leaves_unknown_tests_out():
    p_values = np.array([0.01, 0.04, np.nan, 0.03, 0.005, 0.7])
    known = ~np.isnan(p_values)
    _, oracle = pingouin.multicomp(p_values[known], method="fdr_bh")
    assert benjamini_hochberg(p_values)[known] == pytest.approx(oracle)
    assert np.isnan(benjamini_hochberg(p_values)[2])
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()


def test_ranks_and_false_discovery_rates_are_scipys_bit_for_bit():
    generator = np.random.default_rng(0)
    for size in (1, 2, 7, 60):
        tied = generator.integers(0, 10, size).astype(float)
        assert np.array_equal(average_ranks(tied), scipy.stats.rankdata(tied))
        p_values = generator.random(size).round(2)
        expected = scipy.stats.false_discovery_control(p_values)
        assert np.array_equal(benjamini_hochberg(p_values), expected)


def test_gradient_of_fishers_z_agrees_with_finite_differences():
    x, y = related(12, 0.6, np.random.default_rng(0))
    step = 1e-6
    expected = [
        (np.arctanh(pearson(x, y + step * unit)) - np.arctanh(pearson(x, y - step * unit)))
        / (2 * step)
        for unit in np.eye(12)
    ]
    assert gradient_of_z(x, y) == pytest.approx(expected, abs=1e-6)
    assert not gradient_of_z(x, 2 * x).any()


@pytest.mark.parametrize("num_samples", [2, 3, 8])
def test_reliability_of_means_finds_that_of_simulated_samples(num_samples):
    generator = np.random.default_rng(num_samples)
    true = generator.normal(size=(3000, 1))
    values = true + 1.5 * generator.normal(size=(3000, num_samples))
    found = reliability_of_means(values)
    expected = 1 / (1 + 1.5**2 / num_samples)
    assert found.value == pytest.approx(expected, abs=0.03)
    assert found.low < expected < found.high


def test_reliability_of_means_with_unequal_numbers_of_samples():
    generator = np.random.default_rng(5)
    values = generator.normal(size=(4000, 1)) + generator.normal(size=(4000, 6))
    values[:2000, 3:] = np.nan
    expected = 1 / (1 + (1 / 3 + 1 / 6) / 2)
    # The variance of the means is that of the items and of the mean noise.
    assert reliability_of_means(values).value == pytest.approx(expected, abs=0.02)


def test_reliability_of_means_agrees_with_pingouin():
    generator = np.random.default_rng(2)
    values = generator.normal(size=(30, 1)) + 0.8 * generator.normal(size=(30, 4))
    table = pd.DataFrame(values).reset_index().melt("index", var_name="sample")
    oracle = pingouin.intraclass_corr(table, targets="index", raters="sample", ratings="value")
    (row,) = oracle[oracle["Type"].isin(["ICC1k", "ICC(1,k)"])].to_dict("records")
    found = reliability_of_means(values)
    assert found.value == pytest.approx(row["ICC"], abs=1e-6)
    bounds = row.get("CI95%", row.get("CI95"))
    assert (found.low, found.high) == pytest.approx(tuple(bounds), abs=0.006)


def test_reliability_of_means_may_be_negative_and_needs_repeated_samples():
    opposite = np.array([[1.0, 9.0], [9.5, 1.0], [2.0, 8.0], [7.0, 2.5]])
    assert reliability_of_means(opposite).value < 0
    one_sample = np.array([[1.0], [2.0], [3.0]])
    one_item = np.array([[1.0, 2.0], [np.nan, np.nan]])
    constant = np.ones((5, 4))
    for values in (one_sample, one_item, constant):
        assert np.isnan(reliability_of_means(values).value)


def test_split_halves_of_samples_agree_with_the_reliability_of_means():
    generator = np.random.default_rng(9)
    values = generator.normal(size=(60, 1)) + generator.normal(size=(60, 6))
    stepped = []
    for _ in range(2000):
        halves = generator.permuted(values, axis=1).reshape(60, 2, 3).mean(axis=2)
        r = pearson(halves[:, 0], halves[:, 1])
        stepped.append(2 * r / (1 + r))
    assert reliability_of_means(values).value == pytest.approx(np.mean(stepped), abs=0.01)


@pytest.mark.parametrize("num_covariates", [1, 3])
def test_correlated_residuals_are_pingouins_partial_correlation(num_covariates):
    generator = np.random.default_rng(num_covariates)
    predictors = generator.normal(size=(40, num_covariates))
    x, y = related(40, 0.6, generator)
    x, y = x + predictors.sum(axis=1), y - predictors[:, 0]
    left = residuals(np.column_stack([x, y]), predictors)
    table = pd.DataFrame({"x": x, "y": y} | {f"c{i}": c for i, c in enumerate(predictors.T)})
    covariates = [f"c{i}" for i in range(num_covariates)]
    oracle = pingouin.partial_corr(table, x="x", y="y", covar=covariates)
    assert pearson(*left.T) == pytest.approx(oracle["r"].iloc[0], abs=1e-9)


def test_a_column_that_is_its_predictor_leaves_nothing():
    x = np.log(np.arange(3.0, 23.0))
    assert not residuals(x, x[:, None]).any()


def test_disattenuation_is_spearmans_formula_and_may_pass_one():
    # Spearman 1904: r / sqrt(reliability of x times reliability of y).
    generator = np.random.default_rng(3)
    true_x, true_y = related(20_000, 0.7, generator)
    x, y = (of[:, None] + generator.normal(size=(20_000, 2)) for of in (true_x, true_y))
    reliability = [reliability_of_means(values).value for values in (x, y)]
    r = pearson(x.mean(axis=1), y.mean(axis=1))
    assert r / np.sqrt(np.prod(reliability)) == pytest.approx(0.7, abs=0.02)


def test_interval_of_spearman_is_bonett_and_wrights():
    # tanh(arctanh(.5) -+ 1.96 sqrt((1 + .125) / 97)).
    assert spearman_interval(0.5, 100) == pytest.approx((0.3259, 0.6413), abs=5e-4)
    assert np.isnan(spearman_interval(0.5, 5)).all()
    assert spearman_interval(1.0, 50) == (1.0, 1.0)


def test_interval_of_spearman_covers_about_as_often_as_it_says():
    generator = np.random.default_rng(4)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of a normal pair with r = .6
    covered = 0
    for _ in range(400):
        x, y = related(40, 0.6, generator)
        low, high = spearman_interval(spearman(x, np.exp(y)), 40)
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_undefined_numbers_become_none():
    assert finite_or_none(np.float64("nan")) is None
    assert finite_or_none(float("inf")) is None
    assert finite_or_none((0.1, float("nan"))) is None
    assert finite_or_none((np.float64(0.1), 0.2)) == [0.1, 0.2]
