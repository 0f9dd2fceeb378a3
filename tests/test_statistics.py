import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from handan.alignment.bootstrap import (
    bootstrap_moments,
    bootstrap_p,
    correlations,
    item_counts,
    percentile_interval,
    task_generator,
)
from handan.alignment.statistics import (
    finite_or_none,
    fisher_mean,
    fit_line,
    holm,
    pearson,
    pearson_rows,
    spearman,
    spearman_brown,
    split_half_reliability,
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
    assert fisher_mean(np.array([1.0, 0.1, -0.5])) == 1.0
    assert fisher_mean(np.array([-1.0, 0.9])) == -1.0
    assert np.isnan(fisher_mean(np.array([1.0, -1.0])))


def test_counts_are_draws_with_replacement_and_do_not_depend_on_the_chunks():
    wide = np.concatenate(list(item_counts(7, 50, np.random.default_rng(3))))
    narrow = np.concatenate(list(item_counts(7, 50, np.random.default_rng(3), 1_000_000)))
    assert wide.shape == (50, 7)
    assert (wide.sum(axis=1) == 7).all()
    assert np.array_equal(wide, narrow)


def test_moments_give_the_correlation_of_each_resample():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 25, 3))
    r = correlations(bootstrap_moments(x, y, 40, np.random.default_rng(8)))
    (counts,) = item_counts(25, 40, np.random.default_rng(8))
    for draw in range(40):
        items = np.repeat(np.arange(25), counts[draw].astype(int))
        for column in range(3):
            expected = scipy.stats.pearsonr(x[items, column], y[items, column])[0]
            assert r[draw, column] == pytest.approx(expected, abs=1e-9)


def test_degenerate_draws_and_constant_columns_are_undefined_not_zero():
    x = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    y = np.array([[0.3], [0.5], [0.1], [0.2]])
    r = correlations(bootstrap_moments(x, y, 500, np.random.default_rng(0)))
    (counts,) = item_counts(4, 500, np.random.default_rng(0))
    constant = (counts[:, 3] == 0) | (counts.max(axis=1) == 4)
    assert 0 < constant.sum() < 500
    assert np.array_equal(np.isnan(r[:, 0]), constant)
    assert np.isnan(r[:, 1]).all()


def test_interval_agrees_with_scipy_bootstrap():
    x, y = related(80, 0.5, np.random.default_rng(1))
    draws = correlations(
        bootstrap_moments(x[:, None], y[:, None], 20_000, np.random.default_rng(2))
    )
    ours = percentile_interval(draws[:, 0])
    oracle = scipy.stats.bootstrap(
        (x, y),
        lambda a, b, axis: pearson_rows(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1)),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    # Both ends have a Monte Carlo error of about .003 here.
    assert ours == pytest.approx((oracle.low, oracle.high), abs=0.012)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    covered, num_studies, truth = 0, 400, 0.5
    for study in range(num_studies):
        x, y = related(60, truth, np.random.default_rng([1, study]))
        generator = np.random.default_rng([2, study])
        draws = correlations(bootstrap_moments(x[:, None], y[:, None], 600, generator))
        low, high = percentile_interval(draws[:, 0])
        covered += low <= truth <= high
    # The percentile interval of r is known to be a little short at n = 60; 400 studies add a
    # standard error of .012.
    assert 0.90 <= covered / num_studies <= 0.98


def test_bootstrap_p_is_never_zero_and_at_most_one():
    assert bootstrap_p(np.full(99, 0.5)) == pytest.approx(2 / 100)
    assert bootstrap_p(np.zeros(99)) == 1.0
    assert bootstrap_p(np.array([np.nan, -1.0, 1.0, 1.0])) == 1.0
    assert np.isnan(bootstrap_p(np.array([np.nan])))


def test_holm_as_in_r_and_without_undefined_tests():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm(np.array([0.01, np.nan, 0.6]))
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.6])
    assert np.isnan(adjusted[1])


def test_spearman_brown_known_values():
    assert spearman_brown(0.5, 2) == pytest.approx(2 / 3)
    assert spearman_brown(-0.2, 2) == pytest.approx(-0.5)
    assert np.isnan(spearman_brown(-1.0, 2))


@pytest.mark.parametrize("num_samples", [2, 3, 5, 8])
def test_split_half_finds_the_reliability_of_simulated_samples(num_samples):
    generator = np.random.default_rng(num_samples)
    true = generator.normal(size=(3000, 1))
    values = true + 1.5 * generator.normal(size=(3000, num_samples))
    found = split_half_reliability(values, 20, np.random.default_rng(0))
    assert found == pytest.approx(1 / (1 + 1.5**2 / num_samples), abs=0.03)


def test_split_half_with_unequal_numbers_of_samples():
    generator = np.random.default_rng(5)
    values = generator.normal(size=(4000, 1)) + generator.normal(size=(4000, 6))
    values[:2000, 3:] = np.nan
    expected = 1 / (1 + (1 / 3 + 1 / 6) / 2)
    found = split_half_reliability(values, 20, np.random.default_rng(0))
    assert found == pytest.approx(expected, abs=0.03)


def test_split_half_needs_two_items_with_two_samples():
    one_sample = np.array([[1.0], [2.0], [3.0]])
    one_item = np.array([[1.0, 2.0], [3.0, np.nan]])
    constant = np.ones((5, 4))
    for values in (one_sample, one_item, constant):
        assert np.isnan(split_half_reliability(values, 10, np.random.default_rng(0)))


def test_line_agrees_with_linregress():
    x, y = related(30, 0.6, np.random.default_rng(4))
    line, oracle = fit_line(x, y), scipy.stats.linregress(x, y)
    assert line.slope == pytest.approx(oracle.slope)
    assert line.intercepts[0] == pytest.approx(oracle.intercept)
    assert line.r == pytest.approx(oracle.rvalue)
    residuals = y - oracle.intercept - oracle.slope * x
    assert line.residual_sd == pytest.approx(np.sqrt(residuals @ residuals / 28))


def test_line_with_an_intercept_for_each_group_agrees_with_least_squares():
    x, y = related(30, 0.6, np.random.default_rng(4))
    groups = np.repeat([0, 1, 2], 10)
    y = y + 5.0 * groups
    design = np.column_stack([x, *(groups == group for group in range(3))]).astype(float)
    solution, squares, _, _ = np.linalg.lstsq(design, y)
    line = fit_line(x, y, groups)
    assert [line.slope, *line.intercepts] == pytest.approx(list(solution))
    assert line.residual_sd == pytest.approx(np.sqrt(squares[0] / (30 - 4)))


def test_line_through_a_constant_is_undefined():
    assert np.isnan(fit_line(np.full(5, 0.1) + 1e-17, np.arange(5.0)).slope)


def test_generators_depend_on_seed_task_and_purpose_alone():
    def first(*arguments):
        return task_generator(*arguments).integers(2**62)

    assert first(0, "add", "items") == first(0, "add", "items")
    others = [first(1, "add", "items"), first(0, "mul", "items"), first(0, "add", "splits")]
    assert first(0, "add", "items") not in others


def test_undefined_numbers_become_none():
    assert finite_or_none(np.float64("nan")) is None
    assert finite_or_none(float("inf")) is None
    assert finite_or_none((0.1, float("nan"))) is None
    assert finite_or_none((np.float64(0.1), 0.2)) == [0.1, 0.2]
