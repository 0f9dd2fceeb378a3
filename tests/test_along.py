"""Measuring along training: what is measured when, that it changes nothing, and the sweep."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from embedded import engine, launch, load, run_python, run_script, small_suite
from recipe_runs import RECIPES, TWO_RANKS, arguments, of_two_ranks, weights

from handan.checkpoints import seal
from handan.errors import UserError
from handan.evaluation import sweep
from handan.evaluation.evaluate import suite_plan, write_items
from handan.evaluation.responses import draw
from handan.evaluation.suite import load_suite, suite_items
from handan.files import append_jsonl, read_json, read_jsonl, write_json
from handan.generation.formats import FORMATS
from handan.launch import SINGLE
from handan.training.probe import Probe, ProbedSuite

CLOCKS = ("seconds", "probe_share", "memory_gib")  # ends of names of what no two runs share


def measurements(path):
    """Rows of a metrics.jsonl that a suite made, by step."""
    rows = read_jsonl(path)
    return {row["step"]: row for row in rows if any("alignment/" in key for key in row)}


def without_clocks(row):
    return {key: value for key, value in row.items() if not key.endswith(CLOCKS)}


def said(rows):
    """What was answered, whoever asked."""
    keys = ("task", "item", "sample", "completion_ids", "status", "correct", "reasoning_tokens")
    return sorted([[str(row[key]) for key in keys] for row in rows])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_suite_is_measured_on_its_schedule_and_weights_stay_the_same(
    trained, measured, recipe
):
    folder = measured(recipe)
    assert weights(folder) == weights(trained(recipe))
    rows = measurements(folder / "metrics.jsonl")
    assert list(rows) == [0, 1, 2, 4]
    assert {row["step"] for row in read_jsonl(folder / "probe.jsonl")} == {0, 1, 2, 4}
    assert {row["step"] for row in read_jsonl(folder / "full.jsonl")} == {0, 4}
    for step, row in rows.items():
        assert ("inflation/k" in row) == (step > 0)
        assert ("full/alignment/mean_r_loglog" in row) == (step in (0, 4))
        assert ("full/inflation/k" in row) == (step == 4)
        spent = row["budget/train_seconds"] + row["budget/probe_seconds"]
        assert row["budget/probe_share"] == pytest.approx(row["budget/probe_seconds"] / spent)
    assert rows[0]["budget/probe_share"] > 0.9
    assert rows[4]["full/cost/ordering/reasoning_tokens"] > 0  # the probe has no such task
    assert "cost/ordering/reasoning_tokens" not in rows[4]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_sweep_over_checkpoints_says_what_the_probe_said(small, measured, recipe):
    folder = measured(recipe)
    # One of the two in a Python of its own.
    start = {"sft_distill": run_python, "grpo": run_script}[recipe]
    done = start("eval/sweep.py", "--run", folder, "--suite", small / "suite.yaml")
    assert "steps 0, 2, 4 in" in done.stdout
    probed, swept = (measurements(folder / p / "metrics.jsonl") for p in ("", "sweep"))
    assert list(swept) == [0, 2, 4]
    for step, row in swept.items():
        own = {key: v for key, v in probed[step].items() if not key.startswith("full/")}
        assert without_clocks(row) == without_clocks(own)
        rows = [row for row in read_jsonl(folder / "probe.jsonl") if row["step"] == step]
        assert said(read_jsonl(folder / f"sweep/step-{step}/generations.jsonl")) == said(rows)
    assert swept[4]["budget/train_seconds"] == pytest.approx(
        probed[4]["budget/train_seconds"], rel=0.2
    )
    again = run_script("eval/sweep.py", "--run", folder, "--suite", small / "suite.yaml")
    assert "responses" not in again.stdout  # nothing was left to do
    done = run_script(
        "eval/sweep.py", "--run", folder, "--suite", small / "full/suite.yaml", check=False
    )
    assert done.returncode == 2 and "sweep was begun with suite = 'small'" in done.stderr


@pytest.mark.parametrize("recipe", RECIPES)
def test_measuring_changes_no_bit_of_what_two_ranks_train(small, two_ranks, tmp_path, recipe):
    nothing = [*of_two_ranks(recipe), "--probe_steps", "0"]
    launch(TWO_RANKS[recipe], *arguments(recipe, small, tmp_path / "run", *nothing))
    with_all = two_ranks(recipe)
    assert weights(tmp_path / "run") == weights(with_all)
    assert not (tmp_path / "run" / "probe.jsonl").exists()
    steps = measurements(with_all / "metrics.jsonl")
    assert {0, 4} <= set(steps) and "full/inflation/k" in steps[4]


def test_measuring_is_skipped_while_it_would_take_too_much_time(small, tmp_path):
    more = ["--probe_steps", "1", "--probe_time_share", "0.0001", "--max_steps", "3"]
    done = run_script(*arguments("sft_distill", small, tmp_path / "run", *more))
    assert list(measurements(tmp_path / "run" / "metrics.jsonl")) == [0, 3]
    for step in (1, 2):
        assert f"sft: step {step}, probe skipped: with it measuring would take" in done.stdout
    assert "more than probe_time_share 0.0001" in done.stdout


def copied(folder, tmp_path):
    """A run of its own to sweep, as its training left it."""
    run = tmp_path / "run"
    shutil.copytree(folder, run, ignore=shutil.ignore_patterns("sweep*"))
    return run, sweep.read_training(run)


@pytest.fixture
def one_item(tmp_path):
    """The smallest suite."""
    return load_suite(small_suite(tmp_path, items_per_task=1, samples=1, greedy=False))


def swept_steps(training, suite, sweep_dir):
    for policy in sweep.policies(training):
        sweep.evaluate_policy(policy, training, suite, sweep_dir, SINGLE)
    return sweep.write_sweep(sweep_dir, suite)


def test_the_end_counts_where_its_checkpoint_is_gone(trained, tmp_path, one_item):
    run, training = copied(trained("sft_distill"), tmp_path)
    shutil.rmtree(run / "checkpoint-4")
    (run / "checkpoint-3").mkdir()  # still being written
    assert [policy.step for policy in sweep.policies(training)] == [0, 2, 4]
    assert sweep.policies(training)[-1].model == str(run)
    assert swept_steps(training, one_item, run / "sweep") == [0, 2, 4]
    last = read_jsonl(run / "sweep" / "metrics.jsonl")[-1]
    assert last["budget/trained_tokens"] == training.facts["budget"]["trained_tokens"]


def test_a_checkpoint_that_is_removed_while_it_is_read_is_left_out(
    trained, tmp_path, one_item, monkeypatch, capsys
):
    run, training = copied(trained("sft_distill"), tmp_path)
    load = sweep.load_model

    def load_slowly(name, *rest, **more):
        if name.endswith("checkpoint-2"):
            (Path(name) / "chat_template.jinja").unlink()  # it loads without, to other prompts
        if name.endswith("checkpoint-4"):
            shutil.rmtree(name)
        return load(name, *rest, **more)

    monkeypatch.setattr(sweep, "load_model", load_slowly)
    assert swept_steps(training, one_item, run / "sweep") == [0]
    shown = capsys.readouterr().out
    assert (
        "checkpoint-2: damaged: chat_template.jinja is missing or cannot be read; left out" in shown
    )
    assert "checkpoint-4: incomplete" in shown


def test_a_damaged_checkpoint_is_left_out_and_the_damage_named(trained, tmp_path, one_item, capsys):
    run, training = copied(trained("sft_distill"), tmp_path)
    model = run / "checkpoint-2" / "model.safetensors"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (run / "checkpoint-4" / "config.json").write_text("{}")
    # The end of the run is the model of its last step too.
    assert swept_steps(training, one_item, run / "sweep") == [0, 4]
    shown = capsys.readouterr().out
    assert "checkpoint-2: damaged: model.safetensors holds other bytes than were saved" in shown
    assert "checkpoint-4: damaged: config.json has 2 bytes, not the" in shown
    assert sweep.policies(training)[-1].model == str(run)


def test_a_start_that_is_another_model_now_is_left_out(trained, tmp_path, one_item, capsys):
    run, training = copied(trained("sft_distill"), tmp_path)
    training.settings["model_fingerprint"] = "other"
    assert [policy.step for policy in sweep.policies(training)] == [2, 4]
    training.settings["model_name_or_path"] = "./nowhere"
    assert [policy.step for policy in sweep.policies(training)] == [2, 4]
    shown = capsys.readouterr().out
    assert "step 0 is left out, and with it inflation: the model handan/tiny/weights/base" in shown
    assert "./nowhere cannot be read (./nowhere: no such model directory)" in shown
    swept_steps(training, one_item, run / "sweep")
    assert not any("inflation/k" in row for row in read_jsonl(run / "sweep" / "metrics.jsonl"))


def test_a_step_that_was_trained_again_is_not_taken_for_evaluated(trained, tmp_path, one_item):
    run, training = copied(trained("sft_distill"), tmp_path)
    swept_steps(training, one_item, run / "sweep")
    assert all(sweep.is_evaluated(run / "sweep", policy) for policy in sweep.policies(training))
    ledger = run / "checkpoint-2" / "ledger.json"
    write_json(ledger, read_json(ledger) | {"train_seconds": 99.0})
    seal(ledger.parent, training.facts["launch"], SINGLE)
    steps = [p.step for p in sweep.policies(training) if not sweep.is_evaluated(run / "sweep", p)]
    assert steps == [2]


def test_a_sweep_holds_one_suite_of_one_training(trained, tmp_path, one_item):
    run, training = copied(trained("sft_distill"), tmp_path)
    sweep.begin(run / "sweep", training, one_item)
    sweep.begin(run / "sweep", training, one_item)
    other = load_suite(small_suite(tmp_path, samples=2))
    with pytest.raises(UserError, match="sweep was begun with suite_hash"):
        sweep.begin(run / "sweep", training, other)
    training.settings["probe_steps"] = 77  # how often it was measured makes no difference
    sweep.begin(run / "sweep", training, one_item)
    training.settings["learning_rate"] = 77
    with pytest.raises(UserError, match="sweep was begun with training"):
        sweep.begin(run / "sweep", training, one_item)


def test_a_sweep_holds_one_text_of_each_item(trained, tmp_path, one_item):
    run, training = copied(trained("sft_distill"), tmp_path)
    sweep_dir = run / "sweep"
    write_items(sweep_dir / "step-2" / "items.jsonl", suite_items(one_item))
    write_json(sweep_dir / "step-2" / "alignment.json", {})
    sweep.begin(sweep_dir, training, one_item)
    items = sweep_dir / "step-2" / "items.jsonl"
    items.write_text(items.read_text().replace('"question": "', '"question": "please '))
    with pytest.raises(UserError, match=r"step-2: was not asked .* as the suite asks it now"):
        sweep.begin(sweep_dir, training, one_item)


def test_a_training_does_not_go_on_with_other_texts(tmp_path, one_item, monkeypatch):
    along = ProbedSuite("probe", one_item, 2)
    plan = suite_plan(along.suite, along.items)
    labels = {"model": "sft", "step": 0, "settings": "s", "reasoning_format": "tiny", "seed": 0}
    rows = [row for rows in draw(engine(), plan, plan.batches(engine()), labels) for row in rows]
    append_jsonl(tmp_path / "probe.jsonl", rows)
    append_jsonl(tmp_path / "probe.jsonl", [{**rows[0], "step": 1}])
    resumed = SimpleNamespace(max_steps=4, global_step=2)

    def go_on(along):
        probe = Probe([along], FORMATS["tiny"], tmp_path, "sft", None, SINGLE)
        probe.trainer = SimpleNamespace(processing_class=load()[1])
        probe.on_train_begin(None, resumed, None)
        return along.first

    assert len(go_on(along)) == len(rows)
    along.items = [
        replace(entry, item=replace(entry.item, question=f"{entry.item.question} ="))
        for entry in along.items
    ]
    with pytest.raises(UserError, match=r"probe.jsonl: answers .* as it is not asked now"):
        go_on(along)


def test_a_directory_without_a_training_is_named(tmp_path):
    write_json(tmp_path / "run.json", {"arm": "base"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"evaluation": {}}))
    with pytest.raises(UserError, match="holds no training; give the output_dir of a recipe"):
        sweep.read_training(tmp_path)
