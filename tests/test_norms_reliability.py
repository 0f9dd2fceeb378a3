"""The split-half estimator against brute force and against known reliabilities."""

from math import comb

import numpy as np
import pytest

from handan.norms import compute
from handan.norms.compute import split_half_reliability

# Numpy's warnings would be printed between the tables.
pytestmark = pytest.mark.filterwarnings("error")


def simulated(rng, num_participants, num_items, item_sd, share_seen):
    """Sums and counts of trials with noise of SD 1; a participant sees a share of the items."""
    counts = (rng.random((num_participants, num_items)) < share_seen).astype(float)
    items = rng.normal(0, item_sd, num_items)
    values = items + rng.normal(0, 1, (num_participants, num_items))
    return values * counts, counts


def test_estimate_is_that_of_a_plain_loop_over_splits():
    rng = np.random.default_rng(3)
    values, counts = simulated(rng, 9, 12, 0.7, 0.6)
    found, _, _, _ = split_half_reliability(values, counts, 40, np.random.default_rng(5))
    ranks = np.random.default_rng(5).random((40, 9)).argsort(axis=1).argsort(axis=1)
    estimates = []
    for order in ranks:
        means = []
        for half in (order < 4, order >= 4):
            with np.errstate(invalid="ignore"):
                means.append(values[half].sum(axis=0) / counts[half].sum(axis=0))
        both = np.isfinite(means[0]) & np.isfinite(means[1])
        r = np.corrcoef(means[0][both], means[1][both])[0, 1]
        estimates.append(2 * r / (1 + r))
    assert np.isclose(found, np.mean(estimates), atol=1e-12)


def simulated_estimates(num_data_sets, item_sd, share_seen):
    """Estimates and intervals, shape (data sets, 3), for 20 participants and 150 items."""
    rng = np.random.default_rng(11)
    return np.array(
        [
            split_half_reliability(*simulated(rng, 20, 150, item_sd, share_seen), 100, rng)[:3]
            for _ in range(num_data_sets)
        ]
    )


@pytest.mark.parametrize(("item_sd", "true"), [(0.35, 0.710), (0.15, 0.310)])
def test_mean_estimate_and_interval_meet_the_true_reliability(item_sd, true):
    # A mean over 20 participants has noise variance 1 / 20.
    assert np.isclose(item_sd**2 / (item_sd**2 + 1 / 20), true, atol=0.0005)
    results = simulated_estimates(40, item_sd, 1.0)
    # One estimate has a standard deviation of at most 0.1, the mean of forty one of 0.016.
    assert np.isclose(results[:, 0].mean(), true, atol=0.04)
    covered = (results[:, 1] <= true) & (true <= results[:, 2])
    assert covered.mean() >= 0.8


def test_items_seen_by_few_make_the_estimate_too_low_by_a_little():
    # Spearman-Brown takes the halves to have half the trials of each item. Where chance divides
    # few trials, some item means of a half rest on one or two, and the estimate falls short.
    chance = [comb(20, n) / 2**20 for n in range(21)]
    noise = sum(chance[n] / n for n in range(1, 21))
    true = 0.35**2 / (0.35**2 + noise)
    mean = simulated_estimates(40, 0.35, 0.5)[:, 0].mean()
    assert true - 0.06 < mean < true


def test_pure_noise_gives_negative_estimates_too():
    rng = np.random.default_rng(2)
    estimates = [
        split_half_reliability(*simulated(rng, 10, 40, 0.0, 1.0), 50, rng)[0] for _ in range(20)
    ]
    assert min(estimates) < -0.1
    assert np.mean(estimates) < 0.2


def test_differences_between_people_do_not_count_as_reliability():
    rng = np.random.default_rng(4)
    values, counts = simulated(rng, 12, 60, 0.3, 1.0)
    slower = values + rng.normal(0, 5, (12, 1))
    fair = split_half_reliability(values, counts, 50, np.random.default_rng(1))[:3]
    found = split_half_reliability(slower, counts, 50, np.random.default_rng(1))[:3]
    assert np.allclose(found, fair)


def test_same_seed_same_figures():
    values, counts = simulated(np.random.default_rng(0), 10, 20, 0.5, 1.0)
    first = split_half_reliability(values, counts, 30, np.random.default_rng(7))
    assert split_half_reliability(values, counts, 30, np.random.default_rng(7)) == first
    assert split_half_reliability(values, counts, 30, np.random.default_rng(8)) != first


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.ones((3, 9)), "3 participants; halves need at least four"),
        (np.ones((8, 2)), "in 10 of 10 divisions the halves share under three items"),
        (np.full((8, 9), 0.1), "in 10 of 10 divisions the item means of a half are all the same"),
        (np.arange(8.0)[:, None] * np.ones(9), "in 10 of 10 divisions the item means of a half"),
    ],
)
def test_too_little_data_has_no_reliability_and_says_why(values, why):
    found = split_half_reliability(values, np.ones(values.shape), 10, np.random.default_rng(0))
    assert found[:3] == (None, None, None)
    assert why in found.why


def test_exactly_opposite_halves_have_no_reliability():
    slope = np.linspace(-1, 1, 12)
    values = np.stack([slope, slope, slope, slope, -slope, -slope, -slope, -slope])
    found = split_half_reliability(values, np.ones((8, 12)), 50, np.random.default_rng(0))
    assert found.value is None
    assert "exactly opposite" in found.why


def test_people_who_agree_exactly_have_reliability_one():
    values = np.tile(np.linspace(0, 1, 30), (6, 1))
    found = split_half_reliability(values, np.ones((6, 30)), 50, np.random.default_rng(0))
    assert np.allclose(found[:3], 1)


def test_people_who_disagree_have_a_negative_reliability():
    # A third of the divisions sets two of one kind against two of the other: r = -.58 and 2 r /
    # (1 + r) = -2.7 for noise of SD 0.7; in the others opposites cancel. The mean is about -0.9.
    rng = np.random.default_rng(6)
    slope = np.linspace(-1, 1, 40)
    values = np.stack([slope, slope, -slope, -slope]) + rng.normal(0, 0.7, (4, 40))
    assert split_half_reliability(values, np.ones((4, 40)), 50, rng).value < -0.3


def test_few_items_have_a_figure_but_no_interval():
    rng = np.random.default_rng(7)
    values, counts = simulated(rng, 20, 4, 1.0, 1.0)
    found = split_half_reliability(values, counts, 50, rng)
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert "of 1000 resamples of the items undefined: no interval" in found.why


def test_figures_do_not_depend_on_how_the_divisions_are_cut_into_chunks(monkeypatch):
    values, counts = simulated(np.random.default_rng(0), 10, 20, 0.5, 0.8)
    whole = split_half_reliability(values, counts, 700, np.random.default_rng(7))
    monkeypatch.setattr(compute, "_CHUNK", 20 * 64)
    cut = split_half_reliability(values, counts, 700, np.random.default_rng(7))
    assert np.allclose(cut[:3], whole[:3], rtol=1e-12)
