"""Legitimate tables whose summary would mislead: small tasks, ties, hurdles, leverage, subsets."""

import json

import numpy as np
import pytest
import scipy.stats
from commands import run
from simulated import csv_text, rows_of, study

from handan.alignment.align import align

FAST = {"bootstrap": 500}
LARGE = ("alpha", "beta", "gamma", "delta", "epsilon")


def with_small_task(num_items, **options):
    """Five tasks of 150 items, and one of few."""
    models = {"teacher": 0.65, "student": 0.65}
    rows = study(models, LARGE, num_items=150) + study(models, ("zeta",), num_items=num_items)
    return align(rows, **FAST | options)


def on_mean(result):
    (row,) = [row for row in result["contrasts"] if row["mean"] == "human"]
    return row


def test_a_task_of_few_items_has_no_r_and_no_part_in_the_mean():
    large = align(study({"teacher": 0.65, "student": 0.65}, LARGE, num_items=150), **FAST)
    both = with_small_task(8)
    for model in ("teacher", "student"):
        expected, found = (result["models"][model] for result in (large, both))
        assert found["tasks"]["zeta"]["r_loglog"] is None
        assert found["mean_tasks"] == list(LARGE)
        assert found["mean_r_loglog"] == pytest.approx(expected["mean_r_loglog"])
        assert found["mean_r_loglog_ci"] == pytest.approx(expected["mean_r_loglog_ci"])
    assert on_mean(both)["ci"] == pytest.approx(on_mean(large)["ci"])
    (of_zeta,) = [row for row in both["contrasts"] if row["task"] == "zeta"]
    assert (of_zeta["verdict"], of_zeta["p"], of_zeta["p_bh"]) == (None, None, None)
    assert "8 items; a correlation needs 12" in of_zeta["withheld"]


def test_a_small_task_hardly_moves_a_mean_by_inverse_variance():
    weighted, equal = with_small_task(15), with_small_task(15, task_weights="equal")
    assert weighted["settings"]["task_weights"] == "inverse_variance"
    for result, weights in ((weighted, [147] * 5 + [12]), (equal, [1] * 6)):
        for model in result["models"].values():
            r = [task["r_loglog"] for task in model["tasks"].values()]
            expected = np.tanh(np.average(np.arctanh(r), weights=weights))
            assert model["mean_r_loglog"] == pytest.approx(expected)
            # For other tasks each counts alike, and the interval is around that mean.
            low, high = np.arctanh(model["mean_r_loglog_ci_tasks"])
            assert np.tanh((low + high) / 2) == pytest.approx(model["mean_r_loglog_tasks"])
            assert model["mean_r_loglog_tasks"] == pytest.approx(np.tanh(np.mean(np.arctanh(r))))
    width = {
        name: np.ptp(on_mean(result)["ci"])
        for name, result in (("weighted", weighted), ("equal", equal))
    }
    assert width["weighted"] < 0.8 * width["equal"]


def test_the_weights_of_tasks_are_an_option_and_named(tmp_path, monkeypatch, capsys):
    path, output = tmp_path / "costs.csv", tmp_path / "out.json"
    rows = study({"m": 0.5}, ("alpha",), num_items=100) + study({"m": 0.9}, ("beta",))
    path.write_text(csv_text(rows))
    words = ["handan", "align", path, "--bootstrap", 200, "--output", output]
    means = {}
    for weights, named in (("inverse_variance", "by n - 3"), ("equal", "with equal weights")):
        done = run([*words, "--task_weights", weights], monkeypatch, capsys)
        assert f"means over tasks {named}" in done.out
        means[weights] = json.loads(output.read_text())["models"]["m"]["mean_r_loglog"]
    assert means["inverse_variance"] < means["equal"] - 0.05
    path.write_text(csv_text(study({"m": 0.5})))
    done = run([*words, "--task_weights", "equal"], monkeypatch, capsys)
    assert "task_weights changes nothing: no mean is over two tasks" in done.out


def test_a_correlation_of_exactly_one_does_not_decide_the_mean():
    rows = study({"m": 0.5, "other": 0.5}, LARGE, num_items=40)
    times = np.arange(1.0, 31.0)
    exact = [row | {"task": "exact"} for row in rows_of(10 * times, times, model="m")]
    exact += [row | {"task": "exact"} for row in rows_of(10 * times, times, model="other")]
    exact[-1] = exact[-1] | {"reasoning_tokens": 5}
    expected = align(rows, **FAST)["models"]["m"]
    result = align(rows + exact, **FAST)
    found = result["models"]["m"]
    assert found["tasks"]["exact"]["r_loglog"] == 1.0
    assert found["tasks"]["exact"]["r_loglog_ci"] == [1.0, 1.0]
    assert found["mean_r_loglog"] == pytest.approx(expected["mean_r_loglog"])
    assert found["mean_r_loglog_ci"] == pytest.approx(expected["mean_r_loglog_ci"])
    assert "m, exact: r is exactly +1, so it is in no mean with others" in result["notes"]
    assert on_mean(result)["tasks"] == list(LARGE)
    alone = align(exact, **FAST)["models"]["m"]
    assert alone["mean_r_loglog"] == 1.0


def test_the_means_and_the_difference_belong_together():
    rows = study({"a": 0.8, "b": 0.4}, LARGE[:2], num_items=60)
    rows += study({"a": 0.9}, ("zeta",), num_items=60)  # a task of a alone
    row = on_mean(align(rows, **FAST))
    assert row["tasks"] == ["alpha", "beta"]
    assert row["difference"] == pytest.approx(row["r_a"] - row["r_b"])


def test_ties_are_counted_and_a_correlation_that_hangs_on_one_item_has_no_verdict():
    times = np.geomspace(1, 9, 40)
    three = rows_of(np.repeat([20, 30, 40], [13, 13, 14]), times, model="three")
    one = rows_of([30] * 39 + [60], times, model="one item")
    result = align(three + one, bootstrap=2000)
    of_three, of_one = (result["models"][m]["tasks"]["alpha"] for m in ("three", "one item"))
    assert (of_three["distinct_lengths"], of_one["distinct_lengths"]) == (3, 2)
    assert of_three["r_loglog_ci"] is not None and of_one["r_loglog_ci"] is None
    # Draws without the item, whose weight is Poisson with mean 1.
    assert of_one["draws_left_out"] / 2000 == pytest.approx(np.exp(-1), abs=0.04)
    assert of_one["influential"] == [{"item": "i39", "r_without": None}]
    assert result["models"]["one item"]["mean_r_loglog"] is None
    for row in result["contrasts"]:
        assert (row["verdict"], row["p"], row["p_holm"]) == (None, None, None)
        assert "a column is constant in 3" in row["withheld"]
    assert "three, alpha: only 3 distinct lengths over 40 items" in result["notes"]


def hurdle():
    """'always' reasons, 'adaptive' does so about the hard half alone; longer on harder items."""
    generator = np.random.default_rng(0)
    log_time = generator.normal(size=100)
    tokens = np.exp(5 + 0.5 * log_time + 0.3 * generator.normal(size=(2, 100)))
    rows = rows_of(tokens[0].astype(int), np.exp(1 + log_time), model="always")
    thinks = log_time > np.median(log_time)
    return (
        rows
        + rows_of(np.where(thinks, 90, 0), np.exp(1 + log_time), model="adaptive")
        + [
            row | {"model": "adaptive", "sample": 1}
            for row in rows_of((tokens[1] * thinks).astype(int), np.exp(1 + log_time))
        ],
        thinks,
        log_time,
    )


def test_a_model_that_reasons_about_hard_items_alone_has_a_hurdle_before_a_length():
    rows, thinks, log_time = hurdle()
    rows = [{"sample": 0} | row for row in rows]
    result = align(rows, **FAST)
    task = result["models"]["adaptive"]["tasks"]["alpha"]
    assert task["no_reasoning_rate"] == pytest.approx(0.5)
    expected = scipy.stats.pearsonr(thinks.astype(float), log_time)[0]
    assert task["r_reasons"] == pytest.approx(expected)
    assert task["r_reasons_ci"][0] > 0.5
    assert result["models"]["always"]["tasks"]["alpha"]["r_reasons"] is None
    for row in result["contrasts"]:
        assert (row["verdict"], row["p"], row["p_equivalence"]) == (None, None, None)
        assert row["withheld"] == "adaptive, alpha: 50 % of answers without reasoning"
    (note,) = [note for note in result["notes"] if "first comes whether it reasons" in note]
    assert note.startswith("adaptive, alpha: 50 % of answers without reasoning")


def test_a_few_direct_answers_leave_a_verdict():
    rows = study({"a": 0.9, "b": 0.1}, num_items=100)
    rows[3]["reasoning_tokens"] = 0
    assert on_mean(align(rows, **FAST))["verdict"] == "higher"


def test_a_contrast_is_on_the_shared_items_and_says_where_they_matter():
    rows = study({"a": 0.8, "b": 0.8}, num_items=120)
    of_b = [row for row in rows if row["model"] == "b"]
    times = sorted({row["human_rt_s"] for row in of_b})
    easy = [row for row in of_b if row["human_rt_s"] < times[50]]
    result = align([row for row in rows if row["model"] == "a"] + easy, **FAST)
    row = on_mean(result)
    own = result["models"]["a"]["mean_r_loglog"]
    assert row["n"] == 50 and row["r_a"] < own - 0.05
    assert row["difference"] == pytest.approx(row["r_a"] - row["r_b"])
    (note,) = [note for note in result["notes"] if "items of both" in note]
    assert note.startswith("a against b, alpha: on the 50 items of both, r of a is ")


def test_an_item_that_moves_r_is_named():
    generator = np.random.default_rng(1)
    times = np.exp(generator.normal(size=30))
    tokens = (100 * times * np.exp(0.3 * generator.normal(size=30))).astype(int) + 1
    calm = align(rows_of(tokens, times), **FAST)
    assert calm["models"]["model"]["tasks"]["alpha"]["influential"] == []
    times[7] = 300.0
    tokens[7] = 3
    result = align(rows_of(tokens, times), **FAST)
    task = result["models"]["model"]["tasks"]["alpha"]
    of_item, *_ = task["influential"]
    expected = scipy.stats.pearsonr(np.log(np.delete(tokens, 7)), np.log(np.delete(times, 7)))[0]
    assert of_item["item"] == "i7" and of_item["r_without"] == pytest.approx(expected)
    assert any("without item i7 r log-log is" in note for note in result["notes"])


def test_lengths_of_answers_that_are_nearly_all_wrong_are_in_no_mean_and_no_verdict():
    rows = study({"a": 0.9, "b": 0.2}, LARGE[:2], num_items=50, accuracy={"a": 0.04})
    result = align(rows, **FAST)
    assert result["models"]["a"]["tasks"]["alpha"]["r_loglog"] > 0.7
    assert result["models"]["a"]["tasks"]["alpha"]["flags"] == ["right 4.0 %"]
    assert result["models"]["a"]["mean_r_loglog"] is None
    row = on_mean(result)
    assert (row["verdict"], row["p_holm"], row["tasks"]) == (None, None, [])
    assert "a, alpha: 4.0 % right" in row["withheld"]
    competent = study({"a": 0.9, "b": 0.2}, LARGE[:2], num_items=50, accuracy={"a": 0.5})
    assert on_mean(align(competent, **FAST))["verdict"] == "higher"


def test_equivalence_is_a_family_of_its_own():
    rows = study({"a": 0.6, "b": 0.6, "c": 0.1}, LARGE, num_items=150)
    rows = [*rows, *(row | {"model": "twin"} for row in rows if row["model"] == "a")]
    result = align(rows, **FAST, reference="a")
    means = [row for row in result["contrasts"] if row["mean"] == "human"]
    p = np.array([row["p_equivalence"] for row in means])
    expected = np.maximum.accumulate(np.sort(p) * np.arange(3, 0, -1)).clip(max=1)
    found = np.sort([row["p_equivalence_holm"] for row in means])
    assert found == pytest.approx(expected)


def test_two_items_print_no_correlation(tmp_path, monkeypatch, capsys):
    path = tmp_path / "costs.csv"
    path.write_text(csv_text(rows_of([10, 20], [1.0, 2.0])))
    done = run(["handan", "align", path, "--bootstrap", 200], monkeypatch, capsys)
    assert done.code == 0 and "1.00" not in done.out
    assert "2 items; a correlation needs 12; in no mean and no verdict" in done.out
