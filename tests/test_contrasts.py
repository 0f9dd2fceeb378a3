import numpy as np
import pytest
import scipy.stats
from simulated import study

from handan.alignment.align import align
from handan.alignment.bootstrap import Bootstrap
from handan.alignment.contrasts import Verdict, contrasts, in_words
from handan.alignment.costs import as_table
from handan.alignment.items import final_costs, item_costs
from handan.alignment.pairs import choose_pairs
from handan.errors import UserError

FIELDS = {
    *("a", "b", "task", "mean", "r_a", "r_b", "difference", "ci", "ci90", "p", "p_holm", "p_bh"),
    *("p_equivalence", "equivalence_bound", "accuracy_a", "accuracy_b", "flags", "n"),
    *("tasks", "withheld", "p_equivalence_holm"),
    *("draws_left_out", "verdict", "r_ab", "williams_t", "williams_p", "steiger_z", "steiger_p"),
    *("zou_ci", "bf01", "outcomes"),
}


def contrasts_of(rows, pairs, bootstrap=500):
    costs = final_costs(item_costs(as_table(rows)))
    return contrasts(costs, pairs, Bootstrap(bootstrap, seed=0))


def on_mean(rows, a, b, **options):
    (row,) = [row for row in contrasts_of(rows, [(a, b)], **options) if row["mean"] == "human"]
    return row


def test_a_contrast_has_every_field_per_task_and_on_the_mean():
    rows = study({"a": 0.2, "b": 0.8}, tasks=("alpha", "beta"))
    found = contrasts_of(rows, [("a", "b")])
    assert [(row["task"], row["mean"]) for row in found] == [
        ("alpha", None),
        ("beta", None),
        (None, "human"),
    ]
    assert all(set(row) == FIELDS for row in found)
    models = align(rows, bootstrap=100)["models"]
    expected = models["a"]["mean_r_loglog"] - models["b"]["mean_r_loglog"]
    assert found[2]["difference"] == pytest.approx(expected)
    assert found[2]["ci"][0] < expected < found[2]["ci"][1] < 0
    assert found[2]["ci"][0] < found[2]["ci90"][0] < found[2]["ci90"][1] < found[2]["ci"][1]
    assert found[2]["verdict"] == "lower"
    assert (found[0]["n"], found[2]["n"]) == (40, 80)


def test_draws_are_paired():
    # Two models with nearly the same costs: unpaired intervals would be about .5 wide.
    rows = study({"a": 0.5}, num_samples=1)
    twin = [row | {"model": "b", "reasoning_tokens": row["reasoning_tokens"] + 500} for row in rows]
    low, high = on_mean(rows + twin, "a", "b")["ci"]
    assert 0 < high - low < 0.05


def test_difference_and_interval_turn_round_with_the_pair():
    rows = study({"a": 0.2, "b": 0.8})
    one, other = on_mean(rows, "a", "b"), on_mean(rows, "b", "a")
    assert one["difference"] == -other["difference"]
    assert one["ci"] == pytest.approx([-other["ci"][1], -other["ci"][0]])
    assert (one["verdict"], other["verdict"]) == ("lower", "higher")


def test_a_model_against_itself_is_preserved():
    row = on_mean(study({"a": 0.5}), "a", "a")
    assert (row["difference"], row["ci"], row["p"]) == (0.0, [0.0, 0.0], 1.0)
    assert row["verdict"] == "preserved within ±0.1"


def test_contrasts_use_the_items_of_both():
    rows = study({"a": 0.5, "b": 0.3}, num_samples=1)
    rows = [
        row
        for row in rows
        if (row["model"], row["item"]) not in {("a", "item-000"), ("b", "item-001")}
    ]
    for row in rows:
        if (row["model"], row["item"]) == ("b", "item-002"):
            row["reasoning_tokens"] = 0
    row = on_mean(rows, "a", "b")
    assert row["n"] == 37
    shared = [f"item-{index:03d}" for index in range(3, 40)]
    r = {}
    for model in "ab":
        of_model = {row["item"]: row for row in rows if row["model"] == model}
        tokens = [of_model[item]["reasoning_tokens"] for item in shared]
        times = [of_model[item]["human_rt_s"] for item in shared]
        r[model] = scipy.stats.pearsonr(np.log(tokens), np.log(times))[0]
    assert row["difference"] == pytest.approx(r["a"] - r["b"])


def test_adding_a_model_changes_no_other_contrast():
    rows = study({"a": 0.2, "b": 0.8})
    more = study({"a": 0.2, "b": 0.8, "c": 0.5}, num_items=60)
    more = [row for row in more if row["model"] == "c"]
    extra = {row["item"]: row["human_rt_s"] for row in rows}
    more = [row | {"human_rt_s": extra.get(row["item"], row["human_rt_s"])} for row in more]
    few = contrasts_of(rows, [("a", "b")])
    many = contrasts_of(rows + more, [("a", "b"), ("a", "c")])
    assert many[0]["ci"] == pytest.approx(few[0]["ci"], abs=1e-12)
    assert many[0]["p"] == few[0]["p"]


def test_human_and_analytic_means_are_apart_and_only_the_human_ones_are_confirmatory():
    rows = study({"a": 0.2, "b": 0.8, "c": 0.5}, tasks=("alpha", "count"))
    for row in rows:
        if row["task"] == "count":
            row["analytic_cost"], row["human_rt_s"] = row["human_rt_s"], None
    found = contrasts_of(rows, [("a", "b"), ("a", "c")])
    means = [(row["b"], row["mean"]) for row in found if row["mean"]]
    assert means == [("b", "human"), ("b", "analytic"), ("c", "human"), ("c", "analytic")]
    confirmatory = [row for row in found if row["mean"] == "human"]
    others = [row for row in found if row["mean"] != "human"]
    assert all(row["p_holm"] is None for row in others)
    low, high = sorted(confirmatory, key=lambda row: row["p"])
    assert low["p_holm"] == pytest.approx(min(1, 2 * low["p"]))
    assert high["p_holm"] == pytest.approx(max(low["p_holm"], high["p"]))


def test_an_undefined_task_is_left_out_of_the_mean_of_both():
    rows = study({"a": 0.2, "b": 0.8}, tasks=("alpha", "beta"))
    for row in rows:
        if (row["model"], row["task"]) == ("a", "beta"):
            row["reasoning_tokens"] = 50
    alpha, beta, mean = contrasts_of(rows, [("a", "b")])
    assert (beta["difference"], beta["ci"], beta["p"], beta["verdict"]) == (None,) * 4
    assert mean["difference"] == pytest.approx(alpha["difference"])
    assert mean["n"] == 40


def test_true_equals_are_seldom_called_different():
    num_studies, wrong = 600, 0
    for seed in range(num_studies):
        rows = study({"a": 0.5, "b": 0.5}, num_samples=1, num_items=50, seed=seed)
        wrong += on_mean(rows, "a", "b", bootstrap=400)["verdict"] in ("lower", "higher")
    # Nominal .05. The percentile interval is a little short at n = 50 (.068 over 3,000 other
    # studies), and 600 studies have a standard error of .01.
    assert 0.03 <= wrong / num_studies <= 0.095


def test_a_collapse_is_found_when_it_is_there():
    found = 0
    for seed in range(20):
        rows = study({"student": 0.3, "teacher": 0.8}, tasks=("alpha", "beta"), seed=seed)
        found += on_mean(rows, "student", "teacher", bootstrap=300)["verdict"] == "lower"
    assert found >= 16


@pytest.mark.parametrize(
    "ci, ci90, expected",
    [
        ([-0.4, -0.1], [-0.38, -0.12], "lower"),
        ([0.1, 0.4], [0.12, 0.38], "higher"),
        ([-0.11, 0.05], [-0.09, 0.04], "preserved within ±0.1"),
        ([-0.09, -0.01], [-0.08, -0.02], "lower, but within ±0.1"),
        ([0.01, 0.09], [0.02, 0.08], "higher, but within ±0.1"),
        ([-0.3, 0.1], [-0.25, 0.05], "no evidence either way"),
        (None, None, None),
    ],
)
def test_verdicts_follow_from_the_intervals(ci, ci90, expected):
    row = {"ci": ci, "ci90": ci90, "equivalence_bound": 0.1}
    verdict = Verdict.of(row)
    assert verdict.words == expected
    assert (verdict.withheld is None) == (expected is not None)
    withheld = Verdict.of(row | {"withheld": "no reasoning"})
    assert (withheld.words, withheld.outcome, withheld.direction) == (None, "none", None)


def test_what_an_interval_shows_may_be_lost_by_correction():
    lower = {"ci": [-0.4, -0.1], "ci90": [-0.38, -0.12], "equivalence_bound": 0.1}
    alike = {"ci": [-0.11, 0.05], "ci90": [-0.09, 0.04], "equivalence_bound": 0.1}
    p = {"p_holm": 0.01, "p_equivalence_holm": 0.2}
    assert Verdict.of(lower | p).survives_correction
    assert not Verdict.of(lower | p | {"p_holm": 0.05}).survives_correction
    assert not Verdict.of(lower).survives_correction
    assert not Verdict.of(alike | p).survives_correction
    assert Verdict.of(alike | p | {"p_equivalence_holm": 0.04}).survives_correction
    assert Verdict.of(alike | {"ci90": [-0.3, 0.04]}).survives_correction


def contrast(**changes):
    return {
        "a": "S",
        "b": "T",
        "task": None,
        "mean": "human",
        "difference": -0.3,
        "ci": [-0.4, -0.2],
        "ci90": [-0.38, -0.22],
        "accuracy_a": 0.5,
        "accuracy_b": 0.55,
        "n": 392,
        "equivalence_bound": 0.1,
    } | changes


def test_lower_students_are_named_by_whom_they_fall_below():
    sentence = in_words(contrast(), "student", "teacher")
    assert sentence == (
        "student S against teacher T, mean of human tasks: collapse "
        "(difference -.30, 95 % interval -.40 to -.20, n = 392)"
    )
    assert ": negative transfer (" in in_words(contrast(), "student", "base")
    assert ": lower (" in in_words(contrast(), "teacher", "base")
    assert ": higher (" in in_words(contrast(ci=[0.2, 0.4], ci90=[0.22, 0.38]), "student", "base")


def test_claims_carry_the_caveat_of_different_accuracies():
    weaker = in_words(contrast(accuracy_a=0.23), "student", "teacher")
    assert weaker.endswith("with accuracy lower by .32: a weaker model, not allocation alone")
    stronger = in_words(contrast(accuracy_a=0.75), "student", "base")
    assert stronger.endswith("with accuracy higher by .20: not allocation alone")
    assert "accuracy unknown" in in_words(contrast(accuracy_b=None), "student", "teacher")
    # .4 - .3 is a little more than .1 in floating point.
    assert "accuracy" not in in_words(
        contrast(accuracy_a=0.3, accuracy_b=0.4), "student", "teacher"
    )


def test_a_pair_named_the_other_way_round_reads_the_same():
    turned = contrast(
        a="T",
        b="S",
        difference=0.3,
        ci=[0.2, 0.4],
        ci90=[0.22, 0.38],
        accuracy_a=0.55,
        accuracy_b=0.5,
    )
    assert in_words(turned, "teacher", "student") == in_words(contrast(), "student", "teacher")


def test_words_without_an_interval():
    none = contrast(difference=None, ci=None, ci90=None, task="alpha", mean=None)
    none["withheld"] = "a, alpha: 47 % of answers without reasoning"
    expected = "task alpha: no verdict (a, alpha: 47 % of answers without reasoning; n = 392)"
    assert in_words(none, "student", "base").endswith(expected)


def test_pairs_are_all_of_few_models_or_those_with_the_reference():
    assert choose_pairs(["a", "b", "c"], None) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert choose_pairs(["a", "b", "c"], "b") == [("a", "b"), ("c", "b")]
    assert choose_pairs(list("abcdefg"), None) == []


def test_greedy_models_are_paired_with_greedy_ones():
    both = ["a", "a (T=0)", "b", "b (T=0)"]
    alike = [("b", "a"), ("b (T=0)", "a (T=0)")]
    assert choose_pairs(both, "a") == choose_pairs(both, "a (T=0)") == alike
    assert choose_pairs(both, None) == [("a", "b"), ("a (T=0)", "b (T=0)")]
    assert choose_pairs(["a", "b", "b (T=0)"], "a") == [("b", "a"), ("b (T=0)", "a")]


def test_unknown_models_are_refused():
    with pytest.raises(UserError, match="no model 'x'; there are: a"):
        contrasts_of(study({"a": 0.5}), [("a", "x")])
