import numpy as np
import pytest
import scipy.stats

from handan.alignment.bootstrap import Bootstrap, interval, task_generator

ITEMS = tuple(f"item-{index}" for index in range(25))


def test_generators_depend_on_seed_task_and_purpose_alone():
    def first(*arguments):
        return task_generator(*arguments).integers(2**62)

    assert first(0, "add", "items") == first(0, "add", "items")
    others = [first(1, "add", "items"), first(0, "mul", "items"), first(0, "add", "splits")]
    assert first(0, "add", "items") not in others


def test_weights_belong_to_an_item_whatever_else_there_is():
    few, many = Bootstrap(50, seed=3), Bootstrap(50, seed=3)
    alone = few.weights("add", ITEMS[3:5])
    among = many.weights("add", ITEMS)
    assert np.array_equal(alone, among[3:5])
    assert not np.array_equal(alone, few.weights("mul", ITEMS[3:5]))
    assert not np.array_equal(alone, Bootstrap(50, seed=4).weights("add", ITEMS[3:5]))


def test_weights_are_poisson_numbers_with_mean_one():
    weights = Bootstrap(20_000, seed=0).weights("add", ITEMS)
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)
    assert np.abs(np.corrcoef(weights) - np.eye(25)).max() < 0.05
    assert (weights == np.round(weights)).all()


def test_correlations_are_those_of_each_resample():
    x, y = np.random.default_rng(0).normal(size=(2, 25, 3))
    drawn = Bootstrap(40, seed=8)
    r = drawn.correlations("add", ITEMS, x, y)
    weights = drawn.weights("add", ITEMS)
    for draw in range(40):
        items = np.repeat(np.arange(25), weights[:, draw].astype(int))
        for column in range(3):
            expected = scipy.stats.pearsonr(x[items, column], y[items, column])[0]
            assert r[draw, column] == pytest.approx(expected, abs=1e-9)


def test_moments_are_those_of_each_resample_in_the_units_of_the_data():
    x, y = np.random.default_rng(1).normal(100, 3, size=(2, 25, 1))
    drawn = Bootstrap(30, seed=0)
    moments = drawn.moments("add", ITEMS, x, y)
    weights = drawn.weights("add", ITEMS)
    for draw in range(30):
        items = np.repeat(np.arange(25), weights[:, draw].astype(int))
        a, b = x[items, 0], y[items, 0]
        expected = (a.mean(), b.mean(), a.var(), b.var(), np.mean((a - a.mean()) * (b - b.mean())))
        assert [part[draw, 0] for part in moments] == pytest.approx(expected, rel=1e-9)


def test_degenerate_draws_and_constant_columns_are_undefined_not_zero():
    x = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    y = np.array([[0.3], [0.5], [0.1], [0.2]]).repeat(2, axis=1)
    drawn = Bootstrap(500, seed=0)
    r = drawn.correlations("add", ITEMS[:4], x, y)
    weights = drawn.weights("add", ITEMS[:4])
    constant = (weights[3] == 0) | (weights[:3].sum(axis=0) == 0)
    assert 0 < constant.sum() < 500
    assert np.array_equal(np.isnan(r[:, 0]), constant)
    assert np.isnan(r[:, 1]).all()


def test_the_spread_of_the_draws_is_that_of_scipys_bootstrap():
    generator = np.random.default_rng(1)
    x = generator.normal(size=80)
    y = 0.5 * x + np.sqrt(0.75) * generator.normal(size=80)
    items = tuple(str(index) for index in range(80))
    draws = Bootstrap(20_000, seed=2).correlations("t", items, x[:, None], y[:, None])[:, 0]
    oracle = scipy.stats.bootstrap(
        (x, y),
        lambda a, b: scipy.stats.pearsonr(a, b)[0],
        paired=True,
        vectorized=False,
        n_resamples=4_000,
        rng=np.random.default_rng(3),
    )
    assert draws.std() == pytest.approx(oracle.standard_error, rel=0.06)
    low, high = interval(draws, [80])
    assert low < oracle.confidence_interval.low + 0.03
    assert high > oracle.confidence_interval.high - 0.03


def test_many_equal_columns_change_nothing():
    x = np.random.default_rng(0).normal(size=(25, 1))
    y = np.random.default_rng(1).normal(size=(25, 1))
    once = Bootstrap(60, seed=0).correlations("t", ITEMS, x, y)
    often = Bootstrap(60, seed=0).correlations("t", ITEMS, x.repeat(9, axis=1), y.repeat(9, axis=1))
    assert np.allclose(often, once)
