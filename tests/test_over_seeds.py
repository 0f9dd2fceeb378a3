from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from simulated import study

from handan.alignment.align import align
from handan.alignment.bootstrap import Bootstrap, interval, mean_bounds
from handan.alignment.contrasts import add_corrected, contrasts
from handan.alignment.correlation import benjamini_hochberg, holm, z_weights
from handan.alignment.costs import as_table
from handan.alignment.items import final_costs, item_costs
from handan.alignment.participants import Participants
from handan.experiments.claims import p_from_interval
from handan.experiments.multi_seed import (
    Repeated,
    difference,
    estimate,
    mean_r,
    paired_mean_r,
    variance_over_seeds,
)

TASKS = ("alpha", "beta")
DRAWS = 500


def costs_of(rows):
    """{model: [costs of each task]}."""
    final = final_costs(item_costs(as_table(rows)))
    return {model: list(tasks.values()) for model, tasks in final.items()}


def rows_of(models, **options):
    return study(models, tasks=TASKS, **options)


def seeds_of(name, num_seeds=3, r=0.6):
    """Trainings of one arm: the same people, and costs of their own under the model's name."""
    costs = costs_of(rows_of({f"{name}{seed}": r for seed in range(num_seeds)}))
    return {
        seed: [replace(entry, model=name) for entry in costs[f"{name}{seed}"]]
        for seed in range(num_seeds)
    }


def compared(a, b, bound=0.1):
    return difference(*paired_mean_r(a, b, Bootstrap(DRAWS, 0)), bound)


def test_one_seed_is_what_align_says():
    rows = rows_of({"a": 0.2, "b": 0.8})
    costs = costs_of(rows)
    found = align(rows, bootstrap=DRAWS, seed=0)
    bootstrap = Bootstrap(DRAWS, 0)
    bootstrap.alignment(entry for entries in costs.values() for entry in entries)  # as align does
    for model in ("a", "b"):
        row = estimate(mean_r({7: costs[model]}, bootstrap), correlation=True)
        assert row["value"] == found["models"][model]["mean_r_loglog"]
        assert row["ci"] == row["ci_items"] == found["models"][model]["mean_r_loglog_ci"]
        assert (row["seeds"], row["over_seeds"], row["sd_seeds"]) == (1, False, None)
        assert (row["of_seeds"], row["by_seed"], row["n"]) == ([7], [row["value"]], 80)


def test_one_seed_has_the_contrast_of_align():
    rows = rows_of({"a": 0.2, "b": 0.8})
    costs = costs_of(rows)
    found = contrasts(
        final_costs(item_costs(as_table(rows))), [("a", "b")], Bootstrap(DRAWS, seed=0)
    )
    (expected,) = [row for row in found if row["mean"] == "human"]
    row = compared({1: costs["a"]}, {1: costs["b"]})
    same = set(row) & set(expected)
    assert same >= {"r_a", "r_b", "difference", "ci", "ci90", "p", "p_equivalence", "verdict", "n"}
    assert {name: row[name] for name in same} == {name: expected[name] for name in same}
    assert row["over_seeds"] is False


def test_one_seed_counts_people_as_align_does():
    costs = costs_of(rows_of({"a": 0.2, "b": 0.8}))
    for entries in costs.values():
        entries[:] = [replace(entry, participants=people_of(entry)) for entry in entries]
    bootstrap = Bootstrap(DRAWS, 0)
    repeated = mean_r({1: costs["a"]}, bootstrap)
    row = estimate(repeated, correlation=True)
    draws = [side.draws for side in repeated.sides[0]]
    expected = mean_bounds(costs["a"], draws, z_weights([40, 40]))
    assert row["ci"] == pytest.approx(expected, rel=1e-12)
    without = estimate(repeated._replace(sides=()), correlation=True)
    assert without["ci"][0] - row["ci"][0] > 0.01 and row["ci"][1] - without["ci"][1] > 0.01
    by_model = {m: {e.task: e for e in entries} for m, entries in costs.items()}
    (expected,) = [r for r in contrasts(by_model, [("a", "b")], bootstrap) if r["mean"]]
    row = compared({1: costs["a"]}, {1: costs["b"]})
    assert row["ci"] == pytest.approx(expected["ci"], rel=1e-12)


def people_of(entry):
    """People who differ in whether they find hard what costs this model much."""
    generator = np.random.default_rng(0)
    slopes = 0.5 * generator.normal(size=(8, 1))
    log_rt = entry.log_difficulty + slopes * (entry.log_cost - entry.log_cost.mean())
    return Participants(entry.items, log_rt, np.exp(log_rt), np.ones_like(log_rt))


def test_equal_seeds_have_the_interval_of_their_items():
    costs = costs_of(rows_of({"a": 0.6}))["a"]
    one, three = (
        estimate(mean_r(dict.fromkeys(range(count), costs), Bootstrap(DRAWS, 0)), correlation=True)
        for count in (1, 3)
    )
    assert three["ci"] == three["ci_items"] == pytest.approx(one["ci"], rel=1e-12)
    assert (three["seeds"], three["over_seeds"], three["sd_seeds"]) == (3, True, 0.0)


def test_seeds_under_one_name_are_told_apart():
    a = seeds_of("arm")
    bootstrap = Bootstrap(DRAWS, 0)
    together = mean_r(a, bootstrap)
    for place, entries in enumerate(a.values()):
        alone = mean_r({0: entries}, Bootstrap(DRAWS, 0))
        assert together.values[place] == alone.values[0]
        np.testing.assert_allclose(together.draws[place], alone.draws[0], rtol=1e-9)


def test_an_exact_multiplier_is_preserved():
    a = seeds_of("arm")
    longer = {
        seed: [
            replace(entry, of_samples={**entry.of_samples, "tokens": 3 * entry.tokens})
            for entry in entries
        ]
        for seed, entries in a.items()
    }
    row = compared(longer, a)
    assert (row["difference"], row["ci"], row["sd_seeds"]) == (0, [0, 0], 0)
    assert (row["verdict"], row["by_seed"]) == ("preserved within ±0.1", [0, 0, 0])


def test_means_over_seeds_differ_by_the_difference():
    a = {seed: seeds_of("arm", r=r)[seed] for seed, r in enumerate((0.1, 0.3, 0.6))}
    b = seeds_of("other", r=0.9)
    repeated = mean_r(a, Bootstrap(DRAWS, 0))
    row = estimate(repeated, correlation=True)
    assert row["value"] == pytest.approx(repeated.values.mean())
    assert row["sd_seeds"] == pytest.approx(np.std(repeated.values, ddof=1))
    assert row["ci"][0] < row["ci_items"][0] < row["ci_items"][1] < row["ci"][1]
    of_a, of_b = (estimate(mean_r(of, Bootstrap(DRAWS, 0)), correlation=True) for of in (a, b))
    unequal = compared(a, b)
    assert (unequal["r_a"], unequal["r_b"]) == pytest.approx((of_a["value"], of_b["value"]))
    assert unequal["difference"] == pytest.approx(of_a["value"] - of_b["value"])
    row = compared(seeds_of("arm", r=0.3), b)
    assert row["difference"] == pytest.approx(np.mean(row["by_seed"]))
    assert row["difference"] == pytest.approx(row["r_a"] - row["r_b"])
    assert (row["verdict"], row["seeds"]) == ("lower", 3)
    assert row["ci"][0] < row["ci90"][0] < row["ci90"][1] < row["ci"][1] < 0


def test_without_spread_over_items_the_interval_is_students_of_the_seeds():
    # Items hardly matter here, so the seeds are a sample of five numbers.
    values = np.array([0.1, 0.4, 0.2, 0.5, 0.3])
    noise = 1e-6 * stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    repeated = Repeated((1, 2, 3, 4, 5), values, values[:, None] + noise, (100_000,))
    row = estimate(repeated, correlation=False)
    student = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert row["ci"] == pytest.approx(student, abs=1e-4)
    zero = Repeated((None,), np.zeros(1), 0 * noise[None], (100_000,))
    row = difference(repeated, zero, bound=0.5)
    assert row["ci"] == pytest.approx(student, abs=1e-4)
    student = stats.t.interval(0.90, 4, values.mean(), stats.sem(values))
    assert row["ci90"] == pytest.approx(student, abs=1e-4)
    # However small p is: with the quantiles of a 95 % interval it would be .003.
    assert row["p"] == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=0.01)
    one_sided = stats.ttest_1samp(values, 0.5, alternative="less").pvalue
    assert row["p_equivalence"] == pytest.approx(one_sided, rel=0.01)
    assert row["verdict"] == "higher, but within ±0.5"


@pytest.mark.parametrize("r", [0.45, 0.5, 0.55, 0.6, 0.65, 0.7])
def test_p_values_agree_with_their_intervals(r):
    row = compared(seeds_of("arm", r=r), seeds_of("other", r=0.8), bound=0.25)
    assert (row["p"] < 0.05) == (row["ci"][1] < 0 or row["ci"][0] > 0)
    within = row["ci90"][0] > -0.25 and row["ci90"][1] < 0.25
    assert (row["p_equivalence"] < 0.05) == within


def test_noise_of_seed_and_item_together_is_counted_once():
    # Seeds that differ by the noise of their items alone: s² / S is in the draws of the mean.
    generator = np.random.default_rng(0)
    shared = generator.normal(size=5_000)
    draws = shared + 2 * generator.normal(size=(4, 5_000))
    values = np.array([1.0, -1.0, 2.0, -2.0])
    few = (stats.t.ppf(0.975, 3) / stats.norm.ppf(0.975)) ** 2
    expected = (few * values.var(ddof=1) - 4) / 4
    assert variance_over_seeds(values, draws) == pytest.approx(expected, rel=0.05)
    assert variance_over_seeds(0.1 * values, draws) == 0
    assert variance_over_seeds(values[:1], draws[:1]) == 0


def test_a_base_without_seeds_is_beside_every_seed():
    a = seeds_of("arm")
    base = costs_of(rows_of({"base": 0.8}))["base"]
    row = compared(a, {None: base})
    one_by_one = [compared({1: entries}, {None: base})["difference"] for entries in a.values()]
    assert row["by_seed"] == pytest.approx(one_by_one)
    assert (row["seeds"], row["of_seeds"], row["over_seeds"]) == (3, [0, 1, 2], True)
    reverse = compared({None: base}, a)
    assert reverse["difference"] == -row["difference"]
    assert reverse["ci"] == pytest.approx([-bound for bound in row["ci"][::-1]], abs=1e-12)
    assert compared({None: base}, {None: base})["of_seeds"] == [None]


def test_arms_are_paired_by_the_seeds_of_both():
    a, b = seeds_of("arm", 5), seeds_of("other", 3)
    row = compared(a, b)
    assert (row["of_seeds"], row["seeds"]) == ([0, 1, 2], 3)
    one_by_one = [compared({s: a[s]}, {s: b[s]})["difference"] for s in (0, 1, 2)]
    assert row["by_seed"] == one_by_one
    turned = compared({s: a[s] for s in (2, 0, 1)}, b)
    assert turned["of_seeds"] == [2, 0, 1] and turned["ci"] == pytest.approx(row["ci"], rel=1e-9)
    nothing = compared({4: a[4]}, {0: b[0]})
    assert nothing["reasons"] == ["no seed that both have"]
    assert (nothing["seeds"], nothing["difference"], nothing["verdict"]) == (0, None, None)


def without_cost(entry, items):
    """No sample of these items thinks."""
    tokens = np.where(np.isin(entry.items, items)[:, None], 0.0, entry.tokens)
    return replace(entry, of_samples={**entry.of_samples, "tokens": tokens})


def test_contrasts_are_on_the_items_of_both_seed_by_seed():
    a, b = seeds_of("arm"), seeds_of("other")
    gone = [f"item-{index:03d}" for index in range(10)]
    b[1] = [without_cost(entry, gone) for entry in b[1]]
    row = compared(a, b)
    kept = [entry.select(set(entry.items) - set(gone)) for entry in a[1]]
    expected = mean_r({1: kept}, Bootstrap(DRAWS, 0)).values[0]
    of_a, of_b = paired_mean_r(a, b, Bootstrap(DRAWS, 0))
    assert of_a.values[1] == expected
    assert of_a.sizes == of_b.sizes == (30, 30) and row["n"] == 60
    assert of_a.values[0] == mean_r(a, Bootstrap(DRAWS, 0)).values[0]
    with pytest.raises(ValueError, match="different items"):
        difference(mean_r(a, Bootstrap(DRAWS, 0)), mean_r(b, Bootstrap(DRAWS, 0)), 0.1)


def test_a_seed_of_constant_costs_is_null_and_said():
    a, b = seeds_of("arm"), seeds_of("other")
    constant = replace(a[1][1], of_samples={**a[1][1].of_samples, "tokens": np.full((40, 2), 90.0)})
    a[1] = [a[1][0], constant]
    row = estimate(mean_r(a, Bootstrap(DRAWS, 0)), correlation=True)
    assert row["reasons"] == ["seed 1, beta: constant cost or demand, so no correlation"]
    assert (row["seeds"], row["seeds_defined"], row["by_seed"][1]) == (3, 2, None)
    others = estimate(mean_r({0: a[0], 2: a[2]}, Bootstrap(DRAWS, 0)), correlation=True)
    assert (row["value"], row["sd_seeds"]) == (others["value"], others["sd_seeds"])
    assert row["ci"] == pytest.approx(others["ci"], rel=1e-9)
    row = compared(a, b)
    assert row["reasons"] == ["a, seed 1, beta: constant cost or demand, so no correlation"]
    assert (row["seeds_defined"], row["by_seed"][1]) == (2, None)
    row = compared({1: a[1]}, {1: b[1]})
    assert (row["difference"], row["ci"], row["p"], row["verdict"]) == (None,) * 4


def test_a_seed_without_a_task_or_without_thinking_is_null_and_said():
    a = seeds_of("arm")
    a[0] = a[0][:1]
    a[2] = [without_cost(a[2][0], a[2][0].items), a[2][1]]
    row = estimate(mean_r(a, Bootstrap(DRAWS, 0)), correlation=True)
    assert row["reasons"] == [
        "seed 0, beta: no costs",
        "seed 2, alpha: 0 items; a correlation needs 12",
    ]
    assert (row["seeds_defined"], row["over_seeds"], row["n"]) == (1, False, 80)
    nothing = estimate(mean_r({None: []}, Bootstrap(DRAWS, 0)), correlation=True)
    assert (nothing["value"], nothing["ci"], nothing["seeds_defined"]) == (None, None, 0)


def test_an_exact_correlation_of_a_task_is_in_no_mean_over_tasks():
    a = seeds_of("arm")
    exact = [
        replace(
            entry, of_samples={**entry.of_samples, "tokens": np.exp(entry.log_difficulty)[:, None]}
        )
        for entry in a[0]
    ]
    one = {0: [exact[0], a[0][1]], 1: a[1]}
    row = estimate(mean_r(one, Bootstrap(DRAWS, 0)), correlation=True)
    assert (row["by_seed"][0], row["seeds_defined"], row["over_seeds"]) == (None, 1, False)
    assert row["reasons"] == ["seed 0, alpha: r is exactly +1, which has no finite z"]
    assert mean_r({0: exact}, Bootstrap(DRAWS, 0)).values == [1]
    # Alone it is what it is, and one of several seeds.
    of_task = mean_r({0: exact[:1], 1: a[1][:1], 2: a[2][:1]}, Bootstrap(DRAWS, 0))
    row = estimate(of_task, correlation=True)
    assert row["by_seed"][0] == 1 and row["value"] == pytest.approx(of_task.values.mean())
    assert row["ci"][0] < row["value"] < row["ci"][1] < 1


def test_human_and_analytic_tasks_share_no_mean():
    entries = seeds_of("arm", 1)[0]
    mixed = [entries[0], replace(entries[1], cost_source="analytic")]
    with pytest.raises(ValueError, match="never share a mean"):
        mean_r({0: mixed}, Bootstrap(DRAWS, 0))


def test_other_figures_have_plain_means():
    values = np.array([0.5, 0.7])
    draws = values[:, None] + 0.1 * np.random.default_rng(0).normal(size=(1, DRAWS))
    row = estimate(Repeated((1, 2), values, draws, (40,)), correlation=False)
    assert row["value"] == pytest.approx(0.6)
    assert row["ci_items"] == list(interval(draws.mean(axis=0), [40]))
    assert row["ci"][1] - row["ci"][0] > row["ci_items"][1] - row["ci_items"][0]


def test_families_are_adjusted_over_the_given_rows():
    rows = [{"p": 0.01}, {"p": 0.04}, {"p": None}, {"p": 0.03}, {"p": 0.005}]
    add_corrected(rows, "p", "p_holm", holm)
    add_corrected(rows, "p", "p_bh", benjamini_hochberg)
    assert [row["p_holm"] for row in rows] == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert [row["p_bh"] for row in rows] == pytest.approx([0.02, 0.04, None, 0.04, 0.02])


def test_a_family_of_equivalence_tests_is_its_own():
    rows = [{"p": 0.04, "p_equivalence": p} for p in (0.01, 0.02, None)]
    add_corrected(rows, "p", "p_holm", holm)
    add_corrected(rows, "p_equivalence", "p_equivalence_holm", holm)
    assert [row["p_holm"] for row in rows] == pytest.approx([0.12] * 3)
    assert [row["p_equivalence_holm"] for row in rows] == pytest.approx([0.02, 0.02, None])


@pytest.mark.parametrize("num_seeds", [1, 2, 5])
def test_p_of_a_correlation_agrees_with_its_interval(num_seeds):
    """The interval of z -+ t se gives back the p of z / se; at a bound of 0 it is .05."""
    freedom = num_seeds - 1 if num_seeds > 1 else 98
    t = stats.t.ppf(0.975, freedom)
    for z, se in ((0.9, 0.2), (-0.3, 0.2), (0.02, 0.3)):
        row = {"value": np.tanh(z), "ci": list(np.tanh([z - t * se, z + t * se]))}
        found = p_from_interval(row | {"seeds_defined": num_seeds, "n": 100})
        assert found == pytest.approx(2 * stats.t.sf(abs(z) / se, freedom))
    edge = {"value": 0.5, "ci": [0.0, 0.8], "seeds_defined": num_seeds, "n": 100}
    assert p_from_interval(edge) == pytest.approx(0.05)
    assert p_from_interval(edge | {"ci": None}) is None


def test_people_widen_the_interval_of_a_difference():
    costs = costs_of(rows_of({"a": 0.2, "b": 0.8}))
    for entries in costs.values():
        entries[:] = [replace(entry, participants=people_of(entry)) for entry in entries]
    pair = paired_mean_r({1: costs["a"]}, {1: costs["b"]}, Bootstrap(DRAWS, 0))
    alone = [side._replace(sides=()) for side in pair]
    low, high = difference(*pair, 0.1)["ci90"]
    narrow = difference(*alone, 0.1)["ci90"]
    assert high - low > 1.1 * (narrow[1] - narrow[0])
