import os
from types import SimpleNamespace

import pytest
from embedded import run_script

from handan.errors import UserError
from handan.launch import SINGLE, check_engine, processes


def test_a_plain_start_is_one_process():
    world = processes()
    assert (world.rank, world.size) == (SINGLE.rank, SINGLE.size) == (0, 1)
    assert world.gather([{"a": 1}]) == [{"a": 1}]
    assert SINGLE.gather([{"a": 1}]) == [{"a": 1}]


def test_processes_that_run_alone_stop(monkeypatch):
    processes()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="started 2 processes, but each of them runs alone"):
        processes()


def test_another_engine_than_the_one_asked_for_stops(monkeypatch):
    plain = SimpleNamespace(distributed_type=SimpleNamespace(name="MULTI_CPU"))
    check_engine(plain)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(UserError, match="asks for DeepSpeed, but MULTI_CPU runs"):
        check_engine(plain)
    check_engine(SimpleNamespace(distributed_type=SimpleNamespace(name="DEEPSPEED")))


def test_a_deepspeed_launch_that_would_run_plain_ddp_stops(tmp_path):
    launcher = ["-m", "accelerate.commands.launch", "--quiet", "--config_file"]
    recipe = ["recipes/grpo.py", "--config", "recipes/configs/tiny/grpo.yaml"]
    words = ["launch/accelerate/zero2-cpu.yaml", *recipe, "--output_dir", tmp_path / "run"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = run_script(*launcher, *words, check=False, env=environment)
    assert done.returncode != 0
    assert "the launch config asks for DeepSpeed, but MULTI_CPU runs" in done.stderr
    assert not (tmp_path / "run" / "run.json").exists()
