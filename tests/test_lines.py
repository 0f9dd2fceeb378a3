import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from handan.alignment.inflation import deming_slope, fit_line, least_squares_slope, theil_sen

ALONE = np.zeros(30, dtype=np.intp)


def related(num_items, r, generator):
    x = generator.normal(size=num_items)
    return x, r * x + np.sqrt(1 - r**2) * generator.normal(size=num_items)


def squares(x, y):
    x, y = x - x.mean(), y - y.mean()
    return x @ x, y @ y, x @ y


def test_line_agrees_with_scipy():
    x, y = related(30, 0.6, np.random.default_rng(3))
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
    solution, left, _, _ = np.linalg.lstsq(design, y)
    line = fit_line(x, y, groups)
    assert [line.slope, *line.intercepts] == pytest.approx(list(solution))
    assert line.residual_sd == pytest.approx(np.sqrt(left[0] / (30 - 4)))


def test_line_through_a_constant_is_undefined():
    assert np.isnan(fit_line(np.full(5, 0.1) + 1e-17, np.arange(5.0)).slope)
    assert np.isnan(least_squares_slope(np.array([0.0]), np.array([0.0])))[0]


def perpendicular(x, y, slope, delta):
    """The criterion of Deming's line, through the means."""
    x, y = x - x.mean(), y - y.mean()
    return np.sum((y - slope * x) ** 2) / (delta + slope**2)


@pytest.mark.parametrize("delta", [0.2, 1.0, 5.0])
def test_deming_minimises_its_criterion(delta):
    x, y = related(30, 0.7, np.random.default_rng(5))
    slope = float(deming_slope(*squares(x, y), delta))
    grid = slope + np.linspace(-0.5, 0.5, 1001)
    values = [perpendicular(x, y, at, delta) for at in grid]
    assert grid[np.argmin(values)] == pytest.approx(slope, abs=1e-3)


def test_deming_is_orthogonal_regression_for_equal_noise():
    x, y = related(30, -0.7, np.random.default_rng(6))
    _, vectors = np.linalg.eigh(np.cov(x, y))
    assert float(deming_slope(*squares(x, y), 1.0)) == pytest.approx(vectors[1, 1] / vectors[0, 1])


def test_deming_finds_the_slope_that_noise_in_x_flattens():
    generator = np.random.default_rng(7)
    true = generator.normal(size=20_000)
    x = true + 0.5 * generator.normal(size=20_000)
    y = 0.8 * true + generator.normal(size=20_000)
    assert fit_line(x, y).slope == pytest.approx(0.8 / 1.25, abs=0.02)
    assert float(deming_slope(*squares(x, y), 4.0)) == pytest.approx(0.8, abs=0.04)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=4, max_size=30))
def test_theil_sen_agrees_with_scipy(points):
    x, y = np.array(points, float).T
    groups = np.zeros(len(x), dtype=np.intp)
    if np.ptp(x) == 0:
        assert np.isnan(theil_sen(x, y, groups)).all()
        return
    oracle = scipy.stats.theilslopes(y, x)
    slope, low, high = theil_sen(x, y, groups)
    assert slope == pytest.approx(oracle.slope)
    bounds = oracle.low_slope, oracle.high_slope
    assert (low, high) == pytest.approx(bounds, nan_ok=True)


def test_theil_sen_compares_within_groups_only_and_ignores_an_outlier():
    x, y = related(30, 0.6, np.random.default_rng(8))
    y = 2 * x
    groups = np.repeat([0, 1, 2], 10)
    shifted = y + 100.0 * groups
    shifted[4] = 1e6
    slope, low, high = theil_sen(x, shifted, groups)
    assert slope == pytest.approx(2)
    assert low <= 2 <= high
