"""A pretraining is a run: recorded, done once, and a base that arms can begin with."""

import dataclasses
import shutil

import pytest
import torch
from embedded import ROOT, run_script
from pretrain import Pretraining, pretrain
from recipe_runs import arguments

from handan.config import load_yaml
from handan.errors import UserError
from handan.files import file_hash, read_json, write_json
from handan.generation.loading import load_model
from handan.report.comparison import read_comparison
from handan.tiny.evaluation_items import held_out

CONFIG = ROOT / "recipes" / "configs" / "pretraining" / "base.yaml"
SMALL = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "tokens_per_step": 1024}


def settings(**changes):
    torch.set_num_threads(1)
    return dataclasses.replace(
        load_yaml(CONFIG, Pretraining), **(SMALL | {"num_steps": 3}), **changes
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretraining") / "base"
    pretrain(settings(), folder)
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "base")


def test_what_a_pretraining_took_is_recorded(made):
    run = read_json(made / "run.json")["pretraining"]
    assert run["finished"] is True and run["steps"] == 3
    assert run["config"]["num_steps"] == 3 and run["config"]["style"]["concise"] == 0.5
    budget, size = run["budget"], run["parameters"]
    assert size["trained"] == size["multiplied"] > 0
    assert budget["model_flops"] == 6 * size["trained"] * budget["processed_tokens"]
    assert 0 < budget["trained_tokens"] < budget["processed_tokens"] <= 3 * 1024
    assert 0 < run["sequences"] < budget["trained_tokens"]
    # Among thousands of draws are sums of one digit that are evaluation items.
    assert run["held_out_refused"] == sum(run["held_out_refused_by_family"].values()) > 0
    assert run["evaluation_items"] == len(held_out())


def test_a_finished_pretraining_is_not_done_again(copy, capsys):
    before = {path.name: (file_hash(path), path.stat().st_mtime_ns) for path in copy.glob("[!.]*")}
    pretrain(settings(), copy)
    assert "finished already" in capsys.readouterr().out
    after = {path.name: (file_hash(path), path.stat().st_mtime_ns) for path in copy.glob("[!.]*")}
    assert after == before


def test_another_pretraining_in_the_same_directory_is_refused(copy):
    with pytest.raises(UserError, match="pretraining was begun with seed = 1, now it is 2; choose"):
        pretrain(settings(seed=2), copy)


def test_an_unfinished_pretraining_is_no_model_and_begins_anew(copy):
    weights = file_hash(copy / "model.safetensors")
    run = read_json(copy / "run.json")
    del run["pretraining"]["finished"]
    write_json(copy / "run.json", run)
    (copy / "model.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match="pretraining is not finished; run recipes"):
        load_model(str(copy))
    pretrain(settings(), copy)
    assert file_hash(copy / "model.safetensors") == weights
    assert read_json(copy / "run.json")["pretraining"]["finished"]


def test_an_impossible_style_is_refused_before_anything_is_written(tmp_path):
    style = dataclasses.replace(settings().style, filler_rate=1.5)
    with pytest.raises(UserError, match=r"style: filler_rate is 1\.5"):
        pretrain(settings(style=style), tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_a_pretrained_model_is_the_base_of_an_arm(small, copy, tmp_path):
    suite = small / "suite.yaml"
    more = ["--model_name_or_path", copy, "--max_steps", "1", "--probe_steps", "0"]
    arm = tmp_path / "arm"
    for folder in (copy, arm):
        if folder == arm:
            run_script(*arguments("sft_distill", small, arm, *more))
        where = ["--model", folder, "--suite", suite, "--output_dir", folder]
        run_script("eval/run.py", *where)
    run = read_json(copy / "run.json")
    assert run["arm"] == "base" and run["pretraining"]["finished"] and run["evaluation"]
    study = read_comparison([copy, arm])
    found = {one.name: (one.kind, one.base) for one in study.main.arms}
    assert found == {"base": ("base", None), "sft": ("student", "base")}
    pretrain(settings(), copy)  # still finished
