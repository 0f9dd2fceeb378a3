import numpy as np
import pytest
import scipy.stats
from simulated import rows_of, study

from handan import norms
from handan.alignment import measures
from handan.alignment.align import align
from handan.alignment.pairs import Comparisons
from handan.errors import UserError

# Numpy's warnings would be printed over the tables.
pytestmark = pytest.mark.filterwarnings("error")

FAST = {"bootstrap": 200}
UNKNOWN = Comparisons([("m", "x")], [], [], {})
# Computed by the report, from two of the others.
NOT_STORED = {"without_noise"}
MODEL_FIELDS = {
    *(
        "tasks",
        "decoding",
        "step",
        "steps",
        "mean_r_loglog",
        "mean_r_loglog_ci",
        "mean_r_loglog_ci_tasks",
    ),
    *("mean_tasks", "mean_r_loglog_analytic", "mean_r_loglog_analytic_ci"),
    *("mean_r_loglog_tasks", "mean_r_loglog_analytic_tasks"),
    *("mean_r_loglog_analytic_ci_tasks", "cross_task_r", "cross_task_r_range"),
    *("accuracy", "cap_rate", "mean_tokens"),
}


def one_task(rows, **options):
    result = align(rows, **FAST | options)
    (model,) = result["models"].values()
    (task,) = model["tasks"].values()
    return task


def test_every_field_is_there_and_unknown_ones_are_none():
    result = align(rows_of([3, 5, 4, 9, 8], [1, 2, 3, 4, 5]), **FAST)
    model = result["models"]["model"]
    task = model["tasks"]["alpha"]
    assert set(result) == {
        *("models", "contrasts", "inflation", "study", "power", "mixed", "settings", "notes")
    }
    assert set(model) == MODEL_FIELDS
    assert {(of.path or of.key).split("/")[0] for of in measures.TASKS} - NOT_STORED <= set(task)
    assert {of.ci for of in measures.TASKS if of.ci} <= set(task)
    assert {of.key for of in measures.MEANS} | {of.ci for of in measures.MEANS} <= set(model)
    for unknown in ("reliability_human", "reliability_model", "ceiling", "cap_rate", "accuracy"):
        assert task[unknown] is None
    assert (task["r_oracle"], task["r_loglog_normalized"], model["cross_task_r"]) == (None,) * 3


def test_every_measure_has_one_declaration_and_a_header_of_its_own():
    declared = (*measures.TASKS, *measures.MEANS, *measures.PAIRS)
    assert len({of.key for of in declared}) == len(measures.BY_KEY) == len(declared)
    for place in (measures.ALIGNMENT, measures.CHECKS, measures.DETAILS, measures.EXPERIMENT):
        labels = [of.label for of in measures.shown(place)]
        assert labels and len(set(labels)) == len(labels)


def test_measures_inside_other_mappings_are_found_with_their_intervals():
    stored = {"partial": {"all": {"r": 0.5, "ci": [0.1, 0.8]}}, "wrong_minus_right": None}
    partial, wrong = (measures.BY_KEY[key] for key in ("r_partial", "wrong_minus_right"))
    assert (partial.value(stored), partial.interval(stored)) == (0.5, [0.1, 0.8])
    assert (wrong.value(stored), wrong.interval(stored)) == (None, None)


def test_correlations_agree_with_scipy():
    tokens = np.array([30, 12, 45, 9, 80, 25, 60, 33, 71, 15, 52, 28])
    times = np.array([2.0, 1.1, 4.0, 1.5, 6.0, 1.9, 3.0, 2.5, 3.1, 1.7, 5.0, 1.2])
    task = one_task(rows_of(tokens, times))
    assert task["r_raw"] == pytest.approx(scipy.stats.pearsonr(tokens, times)[0])
    logs = np.log(tokens), np.log(times)
    assert task["r_loglog"] == pytest.approx(scipy.stats.pearsonr(*logs)[0])
    assert task["spearman"] == pytest.approx(scipy.stats.spearmanr(tokens, times)[0])
    assert task["mean_tokens"] == pytest.approx(tokens.mean())
    assert task["geometric_mean_tokens"] == pytest.approx(scipy.stats.gmean(tokens))


def test_human_means_as_costs_score_one_reversed_minus_one_and_shuffled_about_zero():
    generator = np.random.default_rng(0)
    tokens = generator.permutation(np.arange(50, 650))
    times = tokens / 100
    assert one_task(rows_of(tokens, times))["r_loglog"] == 1.0
    assert one_task(rows_of(tokens, times))["r_raw"] == 1.0
    inverse = 1e4 / tokens
    assert one_task(rows_of(tokens, inverse))["r_loglog"] == -1.0
    assert one_task(rows_of(tokens, inverse))["r_loglog_ci"] == [-1.0, -1.0]
    shuffles = [one_task(rows_of(tokens, generator.permutation(times))) for _ in range(40)]
    r = np.array([task["r_loglog"] for task in shuffles])
    assert abs(r.mean()) < 0.02 and r.std() == pytest.approx(1 / np.sqrt(599), rel=0.4)
    covered = [task["r_loglog_ci"][0] < 0 < task["r_loglog_ci"][1] for task in shuffles]
    assert sum(covered) >= 34  # 38 of 40 are expected


def test_direct_answers_are_counted_and_kept_out_of_logs():
    times = np.arange(1.0, 14.0)
    tokens = 10 * times
    tokens[12] = 0
    rows = rows_of(tokens, times, sample=0)
    rows += rows_of([0, *tokens[1:]], times, sample=1)
    task = one_task(rows)
    assert (task["n"], task["items_dropped"]) == (12, 1)
    assert task["no_reasoning_rate"] == pytest.approx(3 / 26)
    assert task["r_loglog"] == 1.0
    mean_tokens = np.array([5, *tokens[1:]])
    assert task["mean_tokens"] == pytest.approx(mean_tokens.mean())
    assert task["r_raw"] == pytest.approx(scipy.stats.pearsonr(mean_tokens, times)[0])
    expected = scipy.stats.pearsonr(np.log(mean_tokens[:12]), np.log(times[:12]))[0]
    assert task["r_logmean"] == pytest.approx(expected)


def test_samples_are_averaged_in_logs_and_rates_are_over_samples():
    times = [1, 2, 3, 4, 2, 5, 3, 6, 9, 8, 7, 5]
    rows = rows_of([10, 20, 30, 40] * 3, times, sample=0, status="complete", correct=True)
    rows += rows_of([40, 20, 30, 90] * 3, times, sample=1, status="truncated", correct=False)
    rows[0]["status"] = "unparsed"
    rows[1]["status"] = rows[1]["correct"] = None
    task = one_task(rows)
    logs = np.log([20, 20, 30, 60] * 3)
    assert task["r_loglog"] == pytest.approx(scipy.stats.pearsonr(logs, np.log(times))[0])
    assert task["cap_rate"] == pytest.approx(12 / 23)
    assert task["unparsed_rate"] == pytest.approx(1 / 23)
    assert task["accuracy"] == pytest.approx(11 / 23)


def test_constant_costs_have_no_correlation_and_a_note_says_so():
    result = align(rows_of([7] * 12, list(range(1, 13))), **FAST)
    task = result["models"]["model"]["tasks"]["alpha"]
    assert (task["r_raw"], task["r_loglog"], task["spearman"]) == (None, None, None)
    assert task["r_loglog_ci"] is None
    assert result["models"]["model"]["mean_r_loglog"] is None
    assert result["models"]["model"]["mean_tasks"] == []
    assert any("constant cost" in note for note in result["notes"])


@pytest.mark.parametrize("num_items", [1, 2, 11])
def test_few_items_are_reported_without_what_they_cannot_show(num_items):
    result = align(study({"m": 0.9}, num_items=num_items), **FAST)
    model = result["models"]["m"]
    task = model["tasks"]["alpha"]
    assert task["n"] == num_items and task["mean_tokens"] is not None
    for name in ("r_loglog", "r_raw", "r_logmean", "spearman"):
        assert (task[name], task[f"{name}_ci"]) == (None, None)
    assert (model["mean_r_loglog"], model["mean_tasks"]) == (None, [])
    assert f"m, alpha: {num_items} items; a correlation needs 12" in "\n".join(result["notes"])


def test_degenerate_draws_are_counted():
    task = one_task(rows_of([5, 5, 5, 9], [1, 2, 3, 4]), bootstrap=1000)
    # Draws without the fourth item, or with nothing else.
    # Weights are Poisson numbers with mean 1: absent with probability 1 / e.
    absent = np.exp(-1)
    expected = absent + absent**3 * (1 - absent)
    assert task["draws_left_out"] / 1000 == pytest.approx(expected, abs=0.06)


def test_oracle_length_is_compared_with_both_sides():
    tokens = [11, 19, 33, 38, 52, 60, 75, 78, 93, 99, 111, 118]
    times = [1, 2, 3, 4, 9, 5, 7, 6, 8, 12, 10, 11]
    rows = rows_of(tokens, times)
    oracle = np.log(np.arange(10, 130, 10))
    for row, length in zip(rows, range(10, 130, 10), strict=True):
        row["oracle_tokens"] = length
    task = one_task(rows)
    assert task["r_oracle"] == pytest.approx(scipy.stats.pearsonr(np.log(tokens), oracle)[0])
    expected = scipy.stats.pearsonr(oracle, np.log(times))[0]
    assert task["oracle_human"] == pytest.approx(expected)
    constant = one_task([row | {"oracle_tokens": 10} for row in rows])
    assert (constant["r_oracle"], constant["oracle_human"]) == (None, None)


def test_ceiling_comes_from_the_packaged_norms():
    people = norms.load("binary_addition", "iccm2019")
    rows = [
        {
            "task": "binary_addition",
            "item": item,
            "norms": "iccm2019",
            "human_rt_s": np.exp(norm.mean_log_rt),
            "reasoning_tokens": round(1000 * np.exp(norm.mean_log_rt)),
        }
        for item, norm in people.items.items()
    ]
    task = one_task(rows)
    assert task["reliability_human"] == people.reliability
    assert task["reliability_human_ci"] == [people.reliability_low, people.reliability_high]
    assert task["ceiling"] == pytest.approx(np.sqrt(people.reliability))
    # The means themselves score 1, above what another group of people would reach: not clipped.
    assert task["r_loglog"] == pytest.approx(1, abs=1e-5)
    assert 1 < task["r_loglog_normalized"] == pytest.approx(1 / task["ceiling"], abs=1e-5)
    reverse = one_task(
        [row | {"reasoning_tokens": 10**7 // row["reasoning_tokens"]} for row in rows]
    )
    assert reverse["r_loglog_normalized"] < -1

    with pytest.raises(UserError, match="nobody2020"):
        align([row | {"norms": "nobody2020"} for row in rows], **FAST)


def test_model_reliability_is_that_of_the_simulation():
    task = one_task(study({"m": 0.5}, num_items=400, num_samples=4, noise=0.6))
    # Items have a standard deviation of .6 in logs, four samples an error of .6 / 2.
    assert task["reliability_model"] == pytest.approx(0.8, abs=0.05)


def test_times_of_participants_are_averaged_in_logs():
    tokens = np.arange(10, 130, 10)
    rows = rows_of(tokens, [1.0, 2.0, 3.0, 4.0] * 3, participant="p")
    rows += rows_of(tokens, [9.0, 2.0, 12.0, 1.0] * 3, participant="q")
    task = one_task(rows)
    times = np.log([3.0, 2.0, 6.0, 2.0] * 3)
    assert task["r_loglog"] == pytest.approx(scipy.stats.pearsonr(np.log(tokens), times)[0])


def test_human_and_analytic_tasks_never_share_a_mean():
    rows = study({"m": 0.8}, tasks=("alpha", "beta"))
    analytic = [row | {"analytic_cost": 1 / row["human_rt_s"], "human_rt_s": None} for row in rows]
    analytic = [row | {"task": "count"} for row in analytic if row["task"] == "beta"]
    human = align(rows, **FAST)["models"]["m"]
    both = align(rows + analytic, **FAST)["models"]["m"]
    assert both["mean_r_loglog"] == human["mean_r_loglog"]
    assert both["mean_tasks"] == ["alpha", "beta"]
    assert human["mean_r_loglog_analytic"] is None
    assert both["mean_r_loglog_analytic"] == both["tasks"]["count"]["r_loglog"] < 0
    r = [human["tasks"][task]["r_loglog"] for task in ("alpha", "beta")]
    assert human["mean_r_loglog"] == pytest.approx(np.tanh(np.mean(np.arctanh(r))))
    low, high = human["mean_r_loglog_ci"]
    assert low < human["mean_r_loglog"] < high


def test_cross_task_r_needs_three_human_tasks_and_finds_their_order():
    rows = []
    for task, scale in (("alpha", 1), ("beta", 10), ("gamma", 100), ("delta", 1000)):
        times = np.linspace(1, 2, 8) * scale
        rows += [row | {"task": task} for row in rows_of((times * 10).astype(int), times)]
    assert align(rows, **FAST)["models"]["model"]["cross_task_r"] > 0.97
    two_tasks = [row for row in rows if row["task"] in ("alpha", "beta")]
    assert align(two_tasks, **FAST)["models"]["model"]["cross_task_r"] is None


def test_figures_do_not_depend_on_other_models_tasks_or_the_order_of_rows():
    rows = study({"m": 0.5, "other": 0.2, "third": -0.4}, tasks=("alpha", "beta"), num_samples=3)
    alone = [row for row in rows if row["model"] == "m" and row["task"] == "alpha"]
    expected = align(alone, **FAST)["models"]["m"]["tasks"]["alpha"]
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    found = align(shuffled, **FAST)["models"]["m"]["tasks"]["alpha"]
    assert found["r_loglog_ci"] == pytest.approx(expected["r_loglog_ci"], abs=1e-12)
    assert found["reliability_model"] == pytest.approx(expected["reliability_model"], abs=1e-12)
    assert found["r_loglog"] == pytest.approx(expected["r_loglog"], abs=1e-12)


def test_the_same_seed_gives_the_same_result_and_another_one_another():
    rows = study({"m": 0.5})
    assert align(rows, **FAST, seed=1) == align(rows, **FAST, seed=1)
    first, second = (one_task(rows, seed=seed)["r_loglog_ci"] for seed in (1, 2))
    assert first != second


def test_steps_form_a_curve_and_the_end_is_at_the_top():
    rows = []
    for step, r in ((None, 0.5), (100, 0.9), (20, 0.1)):
        rows += [row | {"step": step} for row in study({"m": r}, num_items=60)]
    model = align(rows, **FAST)["models"]["m"]
    assert model["step"] is None
    assert [entry["step"] for entry in model["steps"]] == [20, 100]
    first, last = (entry["mean_r_loglog"] for entry in model["steps"])
    assert first < model["mean_r_loglog"] < last
    assert set(model["steps"][0]) == MODEL_FIELDS - {
        *("decoding", "steps"),
        *("cross_task_r", "cross_task_r_range"),
    }
    assert model["steps"][0]["tasks"]["alpha"]["n"] == 60

    last_step = align([row for row in rows if row["step"] is not None], **FAST)["models"]["m"]
    assert last_step["step"] == 100
    assert last_step["mean_r_loglog"] == last
    assert last_step["mean_r_loglog_ci"] == pytest.approx(
        model["steps"][1]["mean_r_loglog_ci"], abs=1e-12
    )


def test_settings_out_of_range_and_unknown_models_are_refused():
    rows = study({"m": 0.5})
    for options in ({"bootstrap": 10}, {"seed": -1}, {"reference": "x"}, {"comparisons": UNKNOWN}):
        with pytest.raises(UserError):
            align(rows, **FAST | options)


def test_accuracy_and_tokens_have_the_intervals_of_means_over_items():
    rng = np.random.default_rng(0)
    tokens, times = rng.lognormal(5, 0.4, 60).round(), rng.lognormal(1, 0.3, 60)
    rows = rows_of(tokens, times)
    right = rng.random((60, 4)) < rng.beta(2, 1, 60)[:, None]
    rows = [
        row | {"correct": bool(of)} for row, four in zip(rows, right, strict=True) for of in four
    ]
    task = one_task(rows, bootstrap=20_000)
    for name, of_items in (("accuracy", right.mean(axis=1)), ("mean_tokens", tokens)):
        error = np.std(of_items, ddof=1) / 60**0.5
        expected = scipy.stats.t.interval(0.95, 59, of_items.mean(), error)
        assert task[name] == pytest.approx(of_items.mean())
        assert task[f"{name}_ci"] == pytest.approx(expected, abs=0.15 * error)


def test_where_all_are_right_accuracy_has_no_interval():
    rows = rows_of(range(20, 40), range(1, 21), correct=True)
    task = one_task(rows)
    assert task["accuracy"] == 1 and task["accuracy_ci"] is None
    assert task["mean_tokens_ci"] is not None
