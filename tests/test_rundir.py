import os
import subprocess
import sys

import pytest
import yaml
from embedded import ROOT, WEIGHTS

from handan import rundir
from handan.errors import UserError
from handan.files import read_json
from handan.generation import loading


def test_stages_of_one_arm_share_a_directory(tmp_path):
    rundir.record(tmp_path, "training", {"seed": 1}, arm="sft")
    rundir.record(tmp_path, "evaluation", {"suite": "tiny"}, arm="sft", comparability={"a": 1})
    rundir.add(tmp_path, "training", budget={"trained_tokens": 5})
    run = read_json(tmp_path / "run.json")
    assert run["arm"] == "sft"
    assert run["comparability"] == {"a": 1}
    assert run["training"]["budget"] == {"trained_tokens": 5}
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {
        "training": {"seed": 1},
        "evaluation": {"suite": "tiny"},
    }


def test_a_stage_with_another_configuration_is_refused(tmp_path):
    rundir.record(tmp_path, "training", {"seed": 1, "lr": 0.1}, arm="sft")
    rundir.record(tmp_path, "training", {"seed": 1, "lr": 0.1}, arm="sft")
    with pytest.raises(UserError, match=r"training was begun with lr = 0\.1, now it is 0\.2"):
        rundir.record(tmp_path, "training", {"seed": 1, "lr": 0.2}, arm="sft")


def test_what_makes_no_difference_may_change_and_is_recorded(tmp_path):
    rundir.record(tmp_path, "training", {"seed": 1}, arm="sft")
    free = ("probe_steps",)
    rundir.record(tmp_path, "training", {"seed": 1, "probe_steps": 5}, free, arm="sft")
    recorded = yaml.safe_load((tmp_path / "config.yaml").read_text())["training"]
    assert recorded == {"seed": 1, "probe_steps": 5}
    with pytest.raises(UserError, match="training was begun with seed = 1, now it is 2"):
        rundir.record(tmp_path, "training", {"seed": 2, "probe_steps": 5}, free, arm="sft")


def test_what_an_earlier_pass_found_stays(tmp_path):
    rundir.record(tmp_path, "training", {"seed": 1}, arm="sft")
    rundir.add(tmp_path, "training", budget=3)
    rundir.record(tmp_path, "training", {"seed": 1}, arm="sft")
    assert read_json(tmp_path / "run.json")["training"]["budget"] == 3


def test_facts_name_versions_revision_and_threads():
    facts = rundir.facts()
    assert facts["versions"]["torch"]
    assert facts["hardware"]["cores"] == os.cpu_count()
    assert facts["git"] is None or len(facts["git"]["commit"]) == 40


def test_the_fingerprint_follows_the_weights(tmp_path):
    for path in (WEIGHTS / "base").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = loading.model_fingerprint(tmp_path)
    assert before == loading.model_fingerprint(WEIGHTS / "base")
    changed = bytearray((tmp_path / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(changed)
    assert loading.model_fingerprint(tmp_path) != before


def test_a_directory_without_weights_is_no_model(tmp_path):
    with pytest.raises(UserError, match=r"no \*.safetensors file"):
        loading.model_fingerprint(tmp_path)


def test_a_second_command_waits_for_the_first(tmp_path):
    code = (
        "import sys; from pathlib import Path; from handan import rundir\n"
        "with rundir.lock(Path(sys.argv[1]), 0): print('in', flush=True)"
    )
    with rundir.lock(tmp_path, 0):
        second = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        waiting = second.stdout.readline()
        assert f"process {os.getpid()} is writing here; waiting for it" in waiting
        assert second.poll() is None
    assert second.communicate(timeout=300)[0] == "in\n"
