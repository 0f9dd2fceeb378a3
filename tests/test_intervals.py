import numpy as np
import pytest
import scipy.stats

from handan.alignment.bootstrap import equivalence_p, interval, p_value, widened


def quantiles_of(distribution, num_draws=100_001):
    """Draws that are the quantiles of a distribution: nothing is random."""
    return distribution.ppf((np.arange(num_draws) + 0.5) / num_draws)


def test_draws_of_a_normal_mean_give_students_interval():
    # The draws of a figure with two fitted numbers spread by sd sqrt((n - 2) / n) around it.
    n, sd = 20, 1.0
    draws = quantiles_of(scipy.stats.norm(0.3, sd * np.sqrt((n - 2) / n)))
    half = scipy.stats.t.ppf(0.975, n - 2) * sd
    assert interval(draws, [n]) == pytest.approx((0.3 - half, 0.3 + half), abs=0.01)
    half = scipy.stats.t.ppf(0.95, n - 2) * sd
    assert interval(draws, [n], 0.90) == pytest.approx((0.3 - half, 0.3 + half), abs=0.01)


def test_p_agrees_with_the_interval_and_with_students_t():
    n = 20
    draws = quantiles_of(scipy.stats.norm(0.8, 0.4 * np.sqrt((n - 2) / n)))
    assert p_value(draws, [n]) == pytest.approx(2 * scipy.stats.t.sf(2, n - 2), abs=1e-3)
    low, high = interval(draws, [n])
    assert p_value(draws, [n], low) == pytest.approx(0.05, abs=1e-3)
    assert p_value(draws, [n], high) == pytest.approx(0.05, abs=1e-3)


def test_equivalence_is_shown_where_the_90_percent_interval_is_inside_the_bound():
    n = 50
    draws = quantiles_of(scipy.stats.norm(0.02, 0.04))
    low, high = interval(draws, [n], 0.90)
    assert equivalence_p(draws, [n], high + 0.001) < 0.05 < equivalence_p(draws, [n], high - 0.001)
    assert -high < low


def test_many_items_need_no_expansion_and_few_have_no_interval():
    draws = quantiles_of(scipy.stats.norm())
    assert interval(draws, [100_000]) == pytest.approx((-1.96, 1.96), abs=0.003)
    assert interval(draws, [20])[1] > interval(draws, [60])[1] > 1.96
    assert np.isnan(interval(draws, [11])).all() and np.isnan(p_value(draws, [11]))
    assert np.isfinite(interval(draws, [12])).all()
    assert np.isnan(interval(draws, [12], lost=3)).all()  # a covariate takes one more item


def test_undefined_draws_are_left_out_up_to_one_percent():
    draws = quantiles_of(scipy.stats.norm())
    few, many = draws.copy(), draws.copy()
    few[: len(draws) // 200] = np.nan
    many[: len(draws) // 50] = np.nan
    assert np.isfinite(interval(few, [30])).all() and np.isfinite(p_value(few, [30]))
    assert np.isnan(interval(many, [30])).all() and np.isnan(p_value(many, [30]))
    assert np.isnan(equivalence_p(many, [30], 0.1))


def test_tasks_add_up_their_degrees_of_freedom():
    draws = quantiles_of(scipy.stats.norm())
    assert interval(draws, [20, 20, 20])[1] < interval(draws, [20])[1]
    assert interval(draws, [20, 20, 20])[1] > interval(draws, [60])[1]


def test_p_is_never_zero_and_at_most_one():
    assert 0 < p_value(np.full(99, 0.5), [1000]) < 0.05
    assert p_value(np.zeros(99), [30]) == 1.0
    assert p_value(np.array([-1.0, 1.0, 1.0]), [30]) <= 1.0
    assert np.isnan(p_value(np.array([np.nan]), [30]))
    assert equivalence_p(np.zeros(99), [1000], 0.1) < 0.05
    assert equivalence_p(np.full(99, 0.5), [30], 0.1) > 0.9


def test_a_negative_figure_is_the_mirror_of_a_positive_one():
    draws = quantiles_of(scipy.stats.skewnorm(4, 0.2, 0.3))
    low, high = interval(draws, [30])
    assert interval(-draws, [30]) == pytest.approx((-high, -low))
    assert p_value(-draws, [30]) == pytest.approx(p_value(draws, [30]))


def test_widened_draws_have_the_variance_that_was_asked_for():
    draws = np.random.default_rng(0).normal(0.5, 0.2, 5000)
    wider = widened(draws, 0.5, 0.03)
    assert wider.var() == pytest.approx(draws.var() + 0.03, rel=0.01)
    assert np.median(wider) == pytest.approx(0.5, abs=0.01)
    assert widened(draws, 0.5, 0.0) is draws
