"""The demo is an experiment like others; what its arms are for needs them to be alike."""

from pathlib import Path

import pytest
import yaml
from embedded import ROOT

from handan.experiments.declare import load_experiment
from handan.experiments.plan import plan
from handan.files import shipped

DEMO, OUT = Path("recipes/experiments/tiny.yaml"), Path("runs/demo")


@pytest.fixture
def stages(monkeypatch):
    monkeypatch.chdir(ROOT)

    def make(seed=None):
        return plan(load_experiment(DEMO, seed), OUT).stages

    return make


def test_the_demo_has_these_stages_in_this_order(stages):
    assert [stage.name for stage in stages()] == [
        *("train-teacher", "train-grpo", "traces_teacher", "train-sft", "traces_own"),
        *("train-sft_own", "train-grpo_constant"),
        *("evaluate-base", "evaluate-cold_start", "evaluate-base_constant", "evaluate-teacher"),
        *("evaluate-grpo", "evaluate-sft", "evaluate-sft_own", "evaluate-grpo_constant"),
    ]


def test_every_stage_waits_for_stages_that_exist_and_come_before(stages):
    seen = set()
    for stage in stages():
        assert set(stage.needs) <= seen
        assert stage.name not in seen
        seen.add(stage.name)


def test_every_file_a_stage_names_is_in_the_project(stages):
    for stage in stages():
        assert (ROOT / stage.script).is_file()
        for word in stage.arguments:
            if word.startswith(("recipes/", "eval/", "handan/")):
                assert (ROOT / word).exists(), word


def test_the_two_students_share_base_prompts_probe_and_seed(stages):
    by_name = {stage.name: stage for stage in stages(seed=7)}
    grpo = yaml.safe_load((ROOT / "recipes/configs/tiny/grpo.yaml").read_text())
    sft = yaml.safe_load((ROOT / "recipes/configs/tiny/sft_distill.yaml").read_text())
    traces = yaml.safe_load((ROOT / "recipes/configs/tiny/traces.yaml").read_text())
    for key in ("model_name_or_path", "prompts", "suite", "seed"):
        assert grpo[key] == sft[key]
    assert traces["prompts"] == grpo["prompts"]
    for name in ("train-grpo", "train-sft", "traces_teacher"):
        words = by_name[name].arguments
        assert words[words.index("--seed") + 1] == "7"


def test_an_experiment_runs_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = load_experiment(DEMO)
    for stage in plan(experiment, Path("runs")).stages:
        assert str(ROOT / stage.script) in stage.argv()
        assert stage.script in stage.command()  # as it is recorded


def test_a_file_of_the_folder_comes_before_one_of_handan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "recipes/experiments/tiny.yaml"
    assert shipped(Path(name)) == ROOT / name
    assert shipped("recipes/none.yaml") == "recipes/none.yaml"
    Path(name).parent.mkdir(parents=True)
    Path(name).touch()
    assert shipped(name) == name
