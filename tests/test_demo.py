from pathlib import Path

import pytest
from embedded import ROOT

from handan import demo
from handan.errors import UserError

OUT = Path("runs/demo")


def test_every_stage_waits_for_stages_that_exist_and_come_before():
    seen = set()
    for stage in demo.stages(OUT, seed=1):
        assert set(stage.needs) <= seen
        assert stage.name not in seen
        seen.add(stage.name)


def test_every_file_a_stage_names_is_in_the_project():
    for stage in demo.stages(OUT, seed=1):
        assert (ROOT / stage.script).is_file()
        for word in stage.arguments:
            if word.startswith(("recipes/", "eval/", "handan/")):
                assert (ROOT / word).exists(), word


def test_the_two_students_share_base_prompts_probe_and_seed():
    by_name = {stage.name: stage for stage in demo.stages(OUT, seed=7)}
    import yaml

    grpo = yaml.safe_load((ROOT / "recipes/configs/tiny/grpo.yaml").read_text())
    sft = yaml.safe_load((ROOT / "recipes/configs/tiny/sft_distill.yaml").read_text())
    traces = yaml.safe_load((ROOT / "recipes/configs/tiny/traces.yaml").read_text())
    for key in ("model_name_or_path", "prompts", "suite", "seed"):
        assert grpo[key] == sft[key]
    assert traces["prompts"] == grpo["prompts"]
    for name in ("train-grpo", "train-sft", "traces_teacher"):
        words = by_name[name].arguments
        assert words[words.index("--seed") + 1] == "7"


def test_a_finished_stage_is_done_until_its_command_or_settings_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("settings.yaml").write_text("a: 1\n")
    stage = demo.Stage("s", "recipes/grpo.py", ("--config", "settings.yaml"))
    assert not demo._is_done(stage, tmp_path)
    demo.write_json(tmp_path / "s.done.json", demo._identity(stage))
    assert demo._is_done(stage, tmp_path)
    Path("settings.yaml").write_text("a: 2\n")
    assert not demo._is_done(stage, tmp_path)


def test_outside_a_clone_the_demo_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"recipes/grpo.py: no such file; run the demo in a clone"):
        demo.run(tmp_path / "out", seed=1)
