"""Against published worked examples: values of R's cocor 1.1-4 are those of its own tests."""

import numpy as np
import pytest

from handan.alignment.correlation import (
    detectable,
    equivalence_power,
    items_needed,
    power,
    steiger,
    williams,
    zou,
)


def test_williams_as_in_depcor():
    # Silver, Hittner and May 2006, A FORTRAN 77 program for comparing dependent correlations.
    found = williams(0.3, 0.4, 0.5, 100)
    assert (round(found.statistic, 4), round(found.p, 4)) == (-1.0767, 0.2843)


def test_steiger_as_in_cocor_and_depcor():
    # Steiger 1980, p. 249, case A; the paper's -.8913 comes from a covariance of four digits.
    assert round(steiger(0.4, 0.5, 0.1, 103).statistic, 7) == -0.8887185
    found = steiger(0.3, 0.4, 0.5, 100)
    assert (round(found.statistic, 4), round(found.p, 4)) == (-1.0718, 0.2838)


def test_zou_as_in_the_paper():
    assert zou(0.396, 0.179, 0.088, 66) == pytest.approx((-0.093, 0.517), abs=5e-4)


@pytest.mark.parametrize("test", [williams, steiger])
def test_the_sign_turns_with_the_pair(test):
    one, other = test(0.2, 0.6, 0.3, 50), test(0.6, 0.2, 0.3, 50)
    assert one.statistic == -other.statistic < 0
    assert one.p == other.p
    mirrored = test(-0.2, -0.6, 0.3, 50)
    assert mirrored.statistic == pytest.approx(-one.statistic)


def test_zou_turns_with_the_pair():
    low, high = zou(0.2, 0.6, 0.3, 50)
    assert zou(0.6, 0.2, 0.3, 50) == pytest.approx((-high, -low))


def test_undefined_cases_are_not_numbers():
    assert np.isnan(williams(0.5, 0.5, 0.5, 3).p)
    assert np.isnan(steiger(1.0, 0.5, 0.5, 30).p)
    assert np.isnan(zou(1.0, 0.5, 0.5, 30)).all()


@pytest.mark.parametrize("num_items, expected", [(30, 0.43), (60, 0.74), (100, 0.92), (150, 0.99)])
def test_power_of_the_reported_difference(num_items, expected):
    assert power(0.64, 0.34, 0.4, [num_items]) == pytest.approx(expected, abs=0.012)


def test_power_is_the_level_without_a_difference_and_grows_with_tasks():
    assert power(0.5, 0.5, 0.4, [50]) == pytest.approx(0.05)
    assert power(0.64, 0.5, 0.4, [60] * 7) > power(0.64, 0.5, 0.4, [60]) > 0.05


def test_detectable_difference_and_items_needed_give_their_power_back():
    difference = detectable(0.64, 0.4, [60], 0.8)
    assert power(0.64, 0.64 - difference, 0.4, [60]) == pytest.approx(0.8, abs=1e-6)
    needed = items_needed(0.64, 0.34, 0.4, 0.8)
    assert power(0.64, 0.34, 0.4, [needed]) >= 0.8 > power(0.64, 0.34, 0.4, [needed - 1])
    assert np.isnan(detectable(0.64, 0.4, [5], 0.8))


def test_impossible_correlations_have_no_power():
    # .64 and .34 cannot be beside two models that are all but equal.
    assert np.isnan(power(0.64, 0.34, 0.999, [60]))
    assert items_needed(0.64, 0.34, 0.999, 0.8) is None
    # Nor can two models that are each other's opposite be aligned at .64 both.
    assert np.isnan(detectable(0.64, -0.5, [60], 0.8))
    assert np.isnan(equivalence_power(0.64, -0.5, [60], 0.1))


def test_power_of_equivalence_agrees_with_simulation():
    generator = np.random.default_rng(0)
    r, r_ab, n, shown, num_studies = 0.64, 0.9, 150, 0, 2000
    root = np.linalg.cholesky([[1, r, r], [r, 1, r_ab], [r, r_ab, 1]])
    y, a, b = np.einsum("ij,jsn->isn", root, generator.normal(size=(3, num_studies, n)))
    for study in range(num_studies):
        r_a, r_b, found = (
            np.corrcoef(*pair)[0, 1]
            for pair in ((y[study], a[study]), (y[study], b[study]), (a[study], b[study]))
        )
        # Zou's interval at 90 %: the one at 95 % shrunk by the ratio of the normal quantiles.
        low, high = zou(r_a, r_b, found, n)
        centre, half = r_a - r_b, 1.645 / 1.96
        shown += centre + half * (low - centre) > -0.1 and centre + half * (high - centre) < 0.1
    expected = equivalence_power(r, r_ab, [n], 0.1)
    assert shown / num_studies == pytest.approx(expected, abs=0.05)
