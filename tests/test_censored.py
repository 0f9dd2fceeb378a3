import numpy as np
import pytest

from handan.alignment.bootstrap import censored_correlation
from handan.alignment.correlation import pearson

pytestmark = pytest.mark.filterwarnings("error")


def related(num_items, r, generator):
    x = generator.normal(size=num_items)
    return x, r * x + np.sqrt(1 - r**2) * generator.normal(size=num_items)


@pytest.mark.parametrize("r", [0.8, -0.6, 0.0])
def test_without_censoring_it_is_pearsons_r(r):
    x, y = related(50, r, np.random.default_rng(0))
    found = censored_correlation(x, 5 + 3 * y, np.zeros(50, dtype=bool))
    assert found.r == pytest.approx(pearson(x, y), abs=1e-5)
    assert found.bounds[0] < found.r < found.bounds[1]


def test_a_cap_hides_alignment_that_comes_back():
    x, y = related(20_000, 0.6, np.random.default_rng(1))
    capped = y > 0.3
    naive = pearson(x, np.minimum(y, 0.3))
    found = censored_correlation(x, np.minimum(y, 0.3), capped)
    assert naive < 0.56
    assert found.r == pytest.approx(0.6, abs=0.02)
    assert found.bounds[0] < 0.6 < found.bounds[1]


def test_reversed_costs_have_the_opposite_sign():
    x, y = related(60, 0.5, np.random.default_rng(2))
    capped = y > 0.5
    one = censored_correlation(x, np.minimum(y, 0.5), capped)
    other = censored_correlation(-x, np.minimum(y, 0.5), capped)
    assert other.r == pytest.approx(-one.r, abs=1e-6)
    assert other.bounds == pytest.approx((-one.bounds[1], -one.bounds[0]), abs=1e-6)


def test_the_interval_covers_the_truth_under_a_cap():
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        x, y = related(60, 0.6, generator)
        found = censored_correlation(x, np.minimum(y, 0.3), y > 0.3)
        covered += found.bounds[0] <= 0.6 <= found.bounds[1]
    assert 0.91 <= covered / 400 <= 0.98


def test_too_few_known_costs_and_constant_columns_are_undefined():
    x, y = related(20, 0.6, np.random.default_rng(4))
    all_but_five = np.arange(20) >= 5
    assert np.isnan(censored_correlation(x, y, all_but_five).r)
    assert np.isnan(censored_correlation(np.ones(20), y, np.zeros(20, dtype=bool)).r)
    assert np.isnan(censored_correlation(x, np.ones(20), np.zeros(20, dtype=bool)).r)


def test_an_exact_relation_is_one_with_its_sign():
    x = np.linspace(0, 1, 30)
    assert censored_correlation(x, 2 * x, np.zeros(30, dtype=bool)).r == 1
    assert censored_correlation(x, np.minimum(2 * x, 1.6), x > 0.8).r == 1
    assert censored_correlation(x, np.minimum(-2 * x, -0.4), x < 0.2).bounds == (-1, -1)
