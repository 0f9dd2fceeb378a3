import numpy as np
import pytest
from simulated import study

from handan.alignment.align import align
from handan.alignment.correlation import gradient_of_z
from handan.alignment.participants import Participants
from handan.norms.trials import Trial

FAST = {"bootstrap": 400}


def trials(num_people, num_items, noise, slopes, generator, difficulty=None, other=None):
    """log RT of people on items: difficulty, what only some find hard, and noise."""
    difficulty = generator.normal(size=num_items) if difficulty is None else difficulty
    other = generator.normal(size=num_items) if other is None else other
    own = slopes * generator.normal(size=(num_people, 1))
    log_rt = 1 + difficulty + own * other + noise * generator.normal(size=(num_people, num_items))
    made = [
        Trial(f"p{p}", f"i{i:03d}", float(np.exp(log_rt[p, i])), correct=None)
        for p in range(num_people)
        for i in range(num_items)
    ]
    return Participants.of_trials(made), difficulty, other


def test_means_are_over_trials_and_missing_cells_are_left_out():
    rows = [("a", "x", 1.0), ("a", "y", 4.0), ("b", "x", 2.0), ("a", "x", 8.0)]
    people = Participants.of_trials([Trial(*row, correct=None) for row in rows])
    assert people.items == ("x", "y")
    assert people.mean_rt_s == pytest.approx([11 / 3, 4])
    assert people.mean_log_rt == pytest.approx([np.log(16) / 3, np.log(4)])
    chosen = people.of_items(["y", "z", "x"])
    assert np.isnan(chosen.mean_rt_s[1])
    assert chosen.mean_rt_s[[0, 2]] == pytest.approx([4, 11 / 3])


def test_reliability_is_that_of_the_simulation():
    people, _, _ = trials(40, 200, 2.0, 0.0, np.random.default_rng(0))
    found = people.reliability(np.random.default_rng(1))
    assert found.value == pytest.approx(1 / (1 + 4 / 40), abs=0.03)
    assert found.low < 1 / (1 + 4 / 40) < found.high


def test_people_who_agree_on_difficulty_add_no_variance_and_others_do():
    generator = np.random.default_rng(2)
    same, _, _ = trials(20, 150, 0.5, 0.0, generator)
    costs = generator.normal(size=150)
    gradient = gradient_of_z(costs, same.mean_log_rt)
    differ, _, other = trials(20, 150, 0.5, 1.0, generator)
    along = gradient_of_z(other, differ.mean_log_rt)
    assert same.shared_variance(gradient) < 0.2 / 147
    assert differ.shared_variance(along) > 1 / 147


def test_shared_variance_is_that_of_new_groups_of_people():
    # The same items, many groups of people: the variance of z beyond that of independent noise.
    generator = np.random.default_rng(3)
    difficulty, other = generator.normal(size=(2, 80))
    costs = difficulty + 0.8 * other
    z, estimates = [], []
    for _ in range(400):
        people, _, _ = trials(12, 80, 0.0, 0.3, generator, difficulty, other)
        z.append(np.arctanh(np.corrcoef(costs, people.mean_log_rt)[0, 1]))
        estimates.append(people.shared_variance(gradient_of_z(costs, people.mean_log_rt)))
    assert np.mean(estimates) == pytest.approx(np.var(z), rel=0.25)


def participant_rows(num_people, slopes, generator, num_items=60):
    """A model whose tokens follow what only some people find hard."""
    people, _, other = trials(num_people, num_items, 0.3, slopes, generator)
    log_rt = 0.4 * people.log_sums
    tokens = np.exp(7 + 0.5 * other + 0.2 * generator.normal(size=num_items))
    return [
        {"model": "m", "task": "t", "item": f"i{i:03d}", "sample": 0, "participant": f"p{p}"}
        | {"reasoning_tokens": int(tokens[i]), "human_rt_s": float(np.exp(log_rt[p, i]))}
        for p in range(num_people)
        for i in range(num_items)
    ]


def test_participants_give_a_ceiling_and_a_wider_interval():
    rows = participant_rows(8, 1.0, np.random.default_rng(4))
    task = align(rows, **FAST)["models"]["m"]["tasks"]["t"]
    assert task["reliability_human"] is not None and task["ceiling"] < 1
    means = {}
    for row in rows:
        means.setdefault(row["item"], []).append(np.log(row["human_rt_s"]))
    alone = [
        row | {"participant": "", "human_rt_s": float(np.exp(np.mean(means[row["item"]])))}
        for row in rows
        if row["participant"] == "p0"
    ]
    fixed = align(alone, **FAST)["models"]["m"]["tasks"]["t"]
    assert task["r_loglog"] == pytest.approx(fixed["r_loglog"], abs=1e-9)
    assert fixed["ceiling"] is None
    (low, high), (fixed_low, fixed_high) = task["r_loglog_ci"], fixed["r_loglog_ci"]
    assert low < fixed_low < fixed_high < high


def test_intervals_with_participants_cover_the_truth():
    # The truth is r with everybody's mean, 0: groups of eight differ in what they find hard.
    covered, by_items_alone, num_studies = 0, 0, 150
    for seed in range(num_studies):
        generator = np.random.default_rng([7, seed])
        rows = participant_rows(8, 0.7, generator)
        found = align(rows, bootstrap=400, seed=seed)["models"]["m"]["tasks"]["t"]
        low, high = found["r_loglog_ci"]
        covered += low <= 0 <= high
        bounds = np.tanh(np.arctanh(found["r_loglog"]) + 1.96 / np.sqrt(57) * np.array([-1, 1]))
        by_items_alone += bounds[0] <= 0 <= bounds[1]
    assert 0.90 <= covered / num_studies <= 0.99
    assert by_items_alone / num_studies < 0.8


def test_contrasts_have_people_in_their_intervals_too():
    generator = np.random.default_rng(5)
    rows = participant_rows(8, 1.0, generator)
    tokens = {row["item"]: int(1000 * np.exp(generator.normal())) for row in rows}
    rows += [row | {"model": "n", "reasoning_tokens": tokens[row["item"]]} for row in rows]
    with_people = align(rows, **FAST)["contrasts"][-1]
    means = {}
    for row in rows:
        if row["model"] == "m":
            means.setdefault(row["item"], []).append(np.log(row["human_rt_s"]))
    alone = [
        row | {"participant": "", "human_rt_s": float(np.exp(np.mean(means[row["item"]])))}
        for row in rows
        if row["participant"] == "p0"
    ]
    without = align(alone, **FAST)["contrasts"][-1]
    assert with_people["difference"] == pytest.approx(without["difference"], abs=1e-9)
    assert np.ptp(with_people["ci"]) > np.ptp(without["ci"])


def test_samples_are_nested_in_items_and_need_no_draws_of_their_own():
    # Coverage of the r that other items with as many fresh samples would have.
    truth, noise, covered, num_studies = 0.6, 0.9, 0, 200
    attenuated = truth * 0.6 / np.sqrt(0.6**2 + noise**2 / 3)
    for seed in range(num_studies):
        rows = study({"m": truth}, num_items=40, num_samples=3, noise=noise, seed=seed)
        found = align(rows, bootstrap=400)["models"]["m"]["tasks"]["alpha"]
        low, high = found["r_loglog_ci"]
        covered += low <= attenuated <= high
    assert 0.91 <= covered / num_studies <= 0.985
