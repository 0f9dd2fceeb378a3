"""The larger embedded world: what its YAMLs say, and the whole of it in miniature on the CPU."""

import csv
import json

import pytest
import yaml
from embedded import ROOT, SUITES, WEIGHTS, run_script
from pretrain import Pretraining, make_model

from handan.config import load_yaml, read_yaml
from handan.evaluation.suite import load_suite, suite_items
from handan.experiments.declare import load_experiment
from handan.tiny.evaluation_items import LONG_TASKS, TASKS
from handan.training.data import ProblemSet

LARGER = ROOT / "recipes" / "studies" / "larger"
GENERATING = ("grpo", "on_policy_distill")
SHAPE = ("architecture", "hidden_size", "num_layers", "num_heads")
LEARNED = ("families", "widths", "decimal_digits", "premises")


def pretraining(name):
    return load_yaml(ROOT / "recipes" / "configs" / "pretraining" / f"{name}.yaml", Pretraining)


@pytest.mark.parametrize(("size", "millions"), [("5m", 4.7), ("20m", 19.3)])
def test_sizes_are_what_the_names_say(size, millions):
    base, teacher = pretraining(f"large_{size}"), pretraining(f"large_{size}_teacher")
    shapes = [[getattr(model, key) for key in SHAPE] for model in (base, teacher)]
    assert shapes[0] == shapes[1]
    model = make_model(*shapes[0], seed=1)
    assert model.num_parameters() == pytest.approx(millions * 1e6, rel=0.01)
    assert base.seed != teacher.seed and base.style != teacher.style


@pytest.mark.parametrize("name", ["large_5m", "large_5m_teacher", "large_20m", "large_20m_teacher"])
def test_models_and_prompts_of_the_larger_world_have_the_same_problems(name):
    settings, prompts = pretraining(name), load_yaml(LARGER / "prompts.yaml", ProblemSet)
    assert [getattr(settings, key) for key in LEARNED] == [getattr(prompts, key) for key in LEARNED]
    assert 4 not in settings.widths and max(settings.widths) == 10


def test_the_suite_of_the_larger_world_asks_for_everything():
    suite = load_suite(SUITES / "tiny_large.yaml")
    entries = suite_items(suite)
    assert {entry.item.task for entry in entries} == set(TASKS)
    analytic = {entry.item.task for entry in entries if entry.analytic_cost is not None}
    assert analytic == {"decimal_addition", "ordering", *LONG_TASKS}
    caps = {read_yaml(LARGER / f"{stem}.yaml").get("max_completion_length") for stem in GENERATING}
    caps.add(read_yaml(LARGER / "traces.yaml")["max_new_tokens"])
    assert caps == {suite.max_new_tokens} == {512}


@pytest.mark.parametrize("size", ["5m", "20m"])
def test_studies_differ_in_nothing_but_the_size(size):
    study, other = (read_yaml(ROOT / f"recipes/studies/larger_{s}.yaml") for s in (size, "5m"))
    assert json.dumps(study).replace(f"_{size}", "_5m") == json.dumps(other)


@pytest.mark.parametrize("size", ["5m", "20m"])
def test_a_study_repeats_its_confirmatory_cells_five_times(size, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = load_experiment(ROOT / f"recipes/studies/larger_{size}.yaml")
    confirmatory = {test.a for claim in study.claims.values() for test in claim.tests}
    assert confirmatory == {"teacher", "sft", "grpo", "sft_own"}
    assert all(study.arms[name].seeds == [1, 2, 3, 4, 5] for name in confirmatory)
    assert study.claims == load_experiment(ROOT / "recipes/studies/mimicry.yaml").claims


@pytest.mark.slow
def test_the_larger_world_runs_in_miniature(tmp_path):
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(
        yaml.safe_dump(yaml.safe_load((LARGER / "prompts.yaml").read_text()) | {"num_problems": 24})
    )
    suite = tmp_path / "suite.yaml"
    few = {"items_per_task": 2, "samples": 1, "max_new_tokens": 32}
    suite.write_text(yaml.safe_dump(yaml.safe_load((SUITES / "tiny_large.yaml").read_text()) | few))
    config = ROOT / "recipes" / "configs" / "pretraining" / "large_5m.yaml"
    base = tmp_path / "base"
    shorter = ("--num_steps", 2, "--tokens_per_step", 512, "--device", "cpu")
    run_script("recipes/pretrain.py", "--config", config, "--output_dir", base, *shorter)

    def recipe(name, arm, *words):
        place = tmp_path / arm
        words = ("--prompts", prompts, "--output_dir", place, *words)
        run_script(f"recipes/{name}.py", "--config", LARGER / f"{name}.yaml", *words)
        return place

    # Two steps teach nothing, so that the traces are those of a model that can do something.
    teacher = ("--model_name_or_path", WEIGHTS / "teacher_cold_start")
    traces = recipe("traces", "traces", *teacher, "--samples", 1) / "traces.jsonl"
    student = ("--model_name_or_path", base, "--use_cpu", "true", "--max_steps", 1)
    student += ("--per_device_train_batch_size", 4, "--gradient_accumulation_steps", 1)
    drawn = ("--max_completion_length", 24)
    runs = [
        recipe("sft_distill", "sft", *student, "--traces", traces),
        # Such a model is never right, so only a price on length leaves something to learn.
        recipe("grpo", "grpo", *student, *drawn, "--num_generations", 4, "--length_price", 1.0),
        recipe(
            "on_policy_distill", "opd", *student, *drawn, "--teacher_model_name_or_path", teacher[1]
        ),
    ]
    for run in runs:
        assert (run / "model.safetensors").stat().st_size > 18e6
    run_script("eval/run.py", "--model", runs[1], "--suite", suite, "--output_dir", runs[1])
    rows = list(csv.DictReader((runs[1] / "costs.csv").read_text().splitlines()))
    assert {row["task"] for row in rows} == set(TASKS)
    human = {row["task"] for row in rows if row["human_rt_s"]}
    assert human == {"binary_addition", "binary_subtraction"}
