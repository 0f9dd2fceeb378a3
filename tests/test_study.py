import numpy as np
import pytest
import scipy.stats
from simulated import study

from handan.alignment.align import align
from handan.alignment.model_pairs import kl_divergence
from handan.alignment.pairs import Comparisons, compared_with, read_pairs
from handan.errors import UserError

FAST = {"bootstrap": 300}
ROLES = {("s", "t"): ("student", "teacher"), ("s", "b"): ("student", "base")}
COMPARED = Comparisons([("s", "t"), ("s", "b")], [("s", "b")], [("s", "t")], ROLES)


def fingerprint(rows, model):
    """Log costs of a model z-scored within tasks, tasks and items in order of name."""
    parts = []
    for task in sorted({row["task"] for row in rows}):
        of_task = sorted(
            (row["item"], row["reasoning_tokens"])
            for row in rows
            if (row["model"], row["task"]) == (model, task)
        )
        parts.append(scipy.stats.zscore(np.log([tokens for _, tokens in of_task])))
    return np.concatenate(parts)


def test_similarity_is_the_correlation_of_fingerprints():
    rows = study({"a": 0.8, "b": 0.5, "c": -0.4}, tasks=("alpha", "beta"), num_samples=1)
    rows = [row for row in rows if row["task"] == "alpha" or row["item"] < "item-025"]
    found = align(rows, **FAST)["study"]["similarity"]
    assert [(row["a"], row["b"]) for row in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    for row in found:
        expected = np.corrcoef(fingerprint(rows, row["a"]), fingerprint(rows, row["b"]))[0, 1]
        assert row["r"] == pytest.approx(expected, abs=1e-9)
        assert row["ci"][0] < row["r"] < row["ci"][1]
        assert (row["tasks"], row["n"]) == (2, 65)
    assert found[1]["r"] < 0


def test_kl_divergence_of_normal_logs_is_the_closed_form():
    generator = np.random.default_rng(0)
    p, q = generator.normal(0.5, 1.0, 4000), generator.normal(0.0, 1.5, 4000)
    closed = np.log(1.5 / 1.0) + (1.0**2 + 0.5**2) / (2 * 1.5**2) - 0.5
    assert kl_divergence(np.exp(p), np.exp(q)) == pytest.approx(closed, abs=0.02)
    assert kl_divergence(np.exp(p), np.exp(p)) == pytest.approx(0, abs=1e-9)
    assert kl_divergence(np.exp(q), np.exp(p)) > closed
    assert np.isnan(kl_divergence(np.ones(9), np.exp(p)))
    assert np.isnan(kl_divergence(np.zeros(9), np.exp(p)))


def test_relative_effort_is_in_units_of_the_teachers_mean():
    rows = study({"t": 0.6}, tasks=("alpha", "beta"), num_samples=1)
    rows += [row | {"model": "s", "reasoning_tokens": 3 * row["reasoning_tokens"]} for row in rows]
    (effort,) = align(rows, **FAST, comparisons=Comparisons([], [], [("s", "t")], {}))["study"][
        "effort"
    ]
    assert effort["relative_effort"] == pytest.approx({"alpha": 3, "beta": 3})
    assert effort["kl_divergence"] > 0.5


def test_levels_recover_a_multiplier_of_tasks_and_of_inverse_efficiency():
    rows = []
    for index, task in enumerate(("alpha", "beta", "gamma", "delta")):
        base = study({"b": 0.5}, tasks=(task,), num_samples=1, num_items=20, seed=index)
        scaled = [row | {"reasoning_tokens": row["reasoning_tokens"] * 4**index} for row in base]
        for place, row in enumerate(scaled):
            row["correct"] = place % 4 != 0
            rows.append(row)
            tokens = round(2.44 * row["reasoning_tokens"])
            rows.append(row | {"model": "s", "reasoning_tokens": tokens})
    levels = align(rows, **FAST, comparisons=COMPARED._replace(contrasts=[], effort=[], roles={}))
    by_name = {level["level"]: level for level in levels["study"]["levels"]}
    assert set(by_name) == {"task", "inverse_efficiency"}
    for level in by_name.values():
        assert level["n"] == 4
        assert level["b"] == pytest.approx(1, abs=1e-3)
        assert level["k"] == pytest.approx(2.44, rel=0.01)
        assert level["deming_b"] == pytest.approx(1, abs=1e-3)
        assert level["theil_sen_b"] == pytest.approx(1, abs=1e-3)
    assert by_name["inverse_efficiency"]["slope"] == pytest.approx(2.44, rel=1e-3)
    means = {"b": [], "s": []}
    for task in ("alpha", "beta", "gamma", "delta"):
        for model, values in means.items():
            of = [r for r in rows if (r["task"], r["model"]) == (task, model)]
            accuracy = np.mean([row["correct"] for row in of])
            values.append(np.mean([row["reasoning_tokens"] for row in of]) / accuracy)
    oracle = scipy.stats.linregress(means["b"], means["s"])
    assert by_name["inverse_efficiency"]["slope"] == pytest.approx(oracle.slope)
    assert by_name["inverse_efficiency"]["intercept"] == pytest.approx(oracle.intercept)


def test_inverse_efficiency_without_right_answers_is_no_point():
    rows = study({"b": 0.5, "s": 0.5}, tasks=("alpha", "beta", "gamma"), num_samples=1)
    wrong = [row | {"correct": row["correct"] and row["task"] != "beta"} for row in rows]
    levels = align(wrong, **FAST, comparisons=Comparisons([], [("s", "b")], [], {}))
    assert [level["level"] for level in levels["study"]["levels"]] == ["task"]


def test_claims_over_all_pairs_have_the_sign_of_the_difference():
    rows = study({"s": 0.2, "t": 0.8, "b": 0.5}, tasks=("alpha", "beta", "gamma"), num_items=60)
    over = align(rows, **FAST, comparisons=COMPARED)["study"]["over_pairs"]
    assert [(row["a"], row["b"]) for row in over] == [("student", "teacher"), ("student", "base")]
    for row in over:
        assert row["mean_difference_z"] < 0
        assert row["ci"][0] < row["mean_difference_z"] < row["ci"][1]
        assert (row["pairs"], row["points"]) == (1, 3)
    z = [
        np.arctanh(task_r("s", task, rows)) - np.arctanh(task_r("t", task, rows))
        for task in ("alpha", "beta", "gamma")
    ]
    assert over[0]["mean_difference_z"] == pytest.approx(np.mean(z))
    oracle = scipy.stats.ttest_1samp(z, 0)
    assert (over[0]["t_of_points"], over[0]["p_of_points"]) == pytest.approx(tuple(oracle))


def task_r(model, task, rows):
    return align(rows, **FAST)["models"][model]["tasks"][task]["r_loglog"]


def test_roles_stand_in_the_contrasts():
    rows = study({"s": 0.2, "t": 0.8, "b": 0.5})
    found = align(rows, **FAST, comparisons=COMPARED)["contrasts"]
    assert found[0]["roles"] == ["student", "teacher"]
    assert align(rows, **FAST)["contrasts"][0]["roles"] is None


def test_analytic_tasks_are_used_only_where_there_are_no_others():
    rows = study({"a": 0.8, "b": 0.5}, tasks=("alpha", "count"), num_samples=1)
    for row in rows:
        if row["task"] == "count":
            row["analytic_cost"], row["human_rt_s"] = row["human_rt_s"], None
    (both,) = align(rows, **FAST)["study"]["similarity"]
    assert both["tasks"] == 1
    count = [row for row in rows if row["task"] == "count"]
    (alone,) = align(count, **FAST)["study"]["similarity"]
    assert alone["tasks"] == 1 and alone["r"] != both["r"]


def pairs_csv(tmp_path, text):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    return path


def test_pairs_name_students_bases_and_teachers(tmp_path):
    path = pairs_csv(tmp_path, "student,base,teacher\ns,b,t\nu,,t\nv,w,w\n")
    found = read_pairs(path, list("sbtuvw"))
    assert found.contrasts == [("s", "t"), ("s", "b"), ("t", "b"), ("u", "t"), ("v", "w")]
    assert found.inflation == [("s", "b"), ("v", "w")]
    assert found.effort == [("s", "t"), ("b", "t"), ("u", "t"), ("v", "w")]
    assert found.roles["t", "b"] == ("teacher", "base")


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "empty"),
        ("student;base\ns;b\n", "separated by ';'"),
        ("student\ns\n", "needs the columns student and base, teacher or both"),
        ("base,teacher\nb,t\n", "needs the columns student"),
        ("student,base\n", "no rows"),
        ("student,base\ns,b,t\n", "3 cells under 2 columns"),
        ("student,base\ns,x\n", "line 2: no model 'x'; there are: s, b, t"),
        ("student,base\ns,s\n", "name a student and another model"),
        ("student,base\ns,\n", "name a student and another model"),
        ("student,base\n,b\n", "name a student and another model"),
    ],
)
def test_wrong_pairs_are_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        read_pairs(pairs_csv(tmp_path, text), ["s", "b", "t"])
    assert "pairs.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_without_pairs_everything_is_compared_with_the_reference():
    compared = compared_with(["a", "b", "c"], "b")
    assert compared.contrasts == compared.inflation == [("a", "b"), ("c", "b")]
    assert compared.effort == []  # a reference is not said to be a teacher
    assert compared_with(["a", "b"], None).inflation == []
