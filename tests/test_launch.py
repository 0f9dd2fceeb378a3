import os
from types import SimpleNamespace

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from embedded import ROOT, free_port, run_python, run_script

from handan.errors import UserError
from handan.launch import SINGLE, check_engine, check_wrapped, count_nodes, processes, start


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


def test_a_launcher_of_one_process_that_was_asked_for_two_stops(monkeypatch):
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    processes()
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(UserError, match="asked for several processes, but started one"):
        processes()
    monkeypatch.setenv("RANK", "0")
    processes()


GROUPED = """
import atexit, sys
import torch.distributed as dist
from handan.errors import UserError, run_main

class Held:
    def __del__(self):
        print("taken apart")

def main():
    atexit.register(print, "at the end")
    dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=0, world_size=1)
    {end}

held = Held()
run_main(main)
"""


@pytest.mark.parametrize(
    ("end", "code"), [("pass", 0), ("raise UserError('told')", 2), ("sys.exit(75)", 75)]
)
def test_one_process_of_several_ends_without_being_taken_apart(tmp_path, end, code):
    done = run_python("-c", GROUPED.format(end=end), tmp_path / "store", check=False)
    assert done.returncode == code
    assert done.stdout == "at the end\n"


def found(*launchers):
    return [
        {"machine": "m", "launcher": launcher, "process": index}
        for index, launcher in enumerate(launchers)
    ]


def test_processes_and_nodes_are_counted_by_what_answers():
    assert count_nodes(found(1, 1), 2, 1) == 1
    assert count_nodes(found(1, 2), 2, 2) == 2
    assert count_nodes(found(1, 2, 3), 3, None) == 3
    with pytest.raises(UserError, match=r"2 processes of 2 launchers .* but 2 of 1 answered"):
        count_nodes(found(1, 1), 2, 2)
    with pytest.raises(UserError, match=r"2 processes of 1 launchers .* but 1 of 1 answered"):
        count_nodes(found(1)[:1] * 2, 2, 1)


def accelerator(engine, device="cpu", **state):
    return SimpleNamespace(
        distributed_type=SimpleNamespace(name=engine),
        device=SimpleNamespace(type=device),
        state=SimpleNamespace(**state),
    )


CPU = SimpleNamespace(use_cpu=True, bf16=False, fp16=False, n_gpu=0)
ZERO2 = accelerator(
    "DEEPSPEED", deepspeed_plugin=SimpleNamespace(zero_stage=2, deepspeed_config={})
)


@pytest.mark.parametrize(
    ("asked", "runs", "message"),
    [
        ({"USE_DEEPSPEED": "true"}, accelerator("MULTI_CPU"), "asks for DeepSpeed, but MULTI_CPU"),
        ({"USE_FSDP": "true"}, accelerator("MULTI_CPU"), "asks for FSDP, but MULTI_CPU runs"),
        ({"DEEPSPEED_ZERO_STAGE": "3"}, ZERO2, "asks for ZeRO stage 3, but 2 runs"),
        ({"MIXED_PRECISION": "bf16"}, ZERO2, "asks for mixed_precision bf16, the recipe for no"),
        (
            {"USE_FSDP": "true"},
            accelerator("FSDP", fsdp_plugin=SimpleNamespace(fsdp_version=1)),
            "FSDP version 1 runs; set fsdp_version: 2",
        ),
    ],
)
def test_what_runs_must_be_what_was_asked_for(monkeypatch, asked, runs, message):
    for key, value in asked.items():
        monkeypatch.setenv(f"ACCELERATE_{key}", value)
    with pytest.raises(UserError, match=message):
        check_engine(runs, CPU)


def test_a_right_launch_says_what_it_is(monkeypatch):
    assert check_engine(accelerator("NO"), CPU) == {"engine": "NO", "mixed_precision": "no"}
    in_bf16 = SimpleNamespace(use_cpu=True, bf16=True, fp16=False)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # of a launch config that leaves it open
    assert check_engine(accelerator("MULTI_CPU"), in_bf16)["mixed_precision"] == "bf16"
    with pytest.raises(UserError, match="asks for mixed_precision no, the recipe for bf16"):
        check_engine(ZERO2, in_bf16)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    assert check_engine(ZERO2, CPU)["zero_stage"] == 2
    with pytest.raises(UserError, match="no GPU was found; to train on the CPU pass --use_cpu"):
        check_engine(ZERO2, SimpleNamespace(use_cpu=False, bf16=True, fp16=False))


def test_one_process_may_not_take_rows_for_several_gpus():
    several = SimpleNamespace(use_cpu=False, bf16=False, fp16=False, n_gpu=2)
    with pytest.raises(UserError, match="2 GPUs and one process; start it with"):
        check_engine(accelerator("NO"), several)


@pytest.mark.parametrize("name", ["cpu", "ddp-cpu"])
def test_a_launch_of_ours_ends_as_its_script_and_shows_no_traceback(tmp_path, name):
    config = yaml.safe_load((ROOT / f"launch/accelerate/{name}.yaml").read_text())
    (tmp_path / "launch.yaml").write_text(
        yaml.safe_dump(config | {"main_process_port": free_port()})
    )
    words = ["-m", "handan", "sweep", "--run", tmp_path, "--suite", "eval/suites/tiny_probe.yaml"]
    done = run_script(*words, "--accelerate_config", tmp_path / "launch.yaml", check=False)
    assert done.returncode == 2
    assert "run.json: no such file" in done.stderr and "Traceback" not in done.stderr


def test_a_launch_config_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("sys.argv", [])
    with pytest.raises(UserError, match=r"none.yaml: no such file"):
        start("eval/run.py", [], "none.yaml")


class DeepSpeedEngine:
    def zero_optimization_stage(self):
        return 2


def test_the_model_must_be_held_by_the_engine_that_was_set_up():
    check_wrapped(object(), {"engine": "NO"})
    check_wrapped(DeepSpeedEngine(), {"engine": "DEEPSPEED", "zero_stage": 2})
    with pytest.raises(UserError, match="MULTI_CPU was set up, but object is trained"):
        check_wrapped(object(), {"engine": "MULTI_CPU"})
    with pytest.raises(UserError, match="ZeRO stage 3 was set up, but 2 runs"):
        check_wrapped(DeepSpeedEngine(), {"engine": "DEEPSPEED", "zero_stage": 3})


CONFIGS = sorted((ROOT / "launch" / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_launch_configs_are_what_they_are_named_after(path):
    config = load_config_from_file(str(path))
    cpu = path.stem.endswith("cpu")
    assert config.mixed_precision == ("no" if cpu else "bf16")
    if path.stem != "cpu":
        # With use_cpu the launcher leaves DeepSpeed out, or starts processes that run alone.
        assert not config.use_cpu
        assert config.num_processes == (2 if cpu else 8 * config.num_machines)
    stage = config.deepspeed_config.get("zero_stage")
    assert stage == {"2": 2, "3": 3, "m": 2}.get(path.stem.replace("zero", "")[0])
    # Clipping is the recipe's max_grad_norm; a second value would win over it.
    assert not config.deepspeed_config.keys() & {"gradient_clipping", "gradient_accumulation_steps"}
    assert config.fsdp_config.get("fsdp_version", 2) == 2
    assert (config.distributed_type.name == "FSDP") == (path.stem == "fsdp2")


def test_a_launch_of_two_that_starts_one_stops(tmp_path):
    launcher = ["-m", "accelerate.commands.launch", "--quiet", "--num_machines", "1"]
    launcher += ["--cpu", "--num_processes", "2", "--mixed_precision", "no"]
    recipe = ["recipes/grpo.py", "--config", "recipes/configs/tiny/grpo.yaml"]
    done = run_script(*launcher, *recipe, "--output_dir", tmp_path / "run", check=False)
    assert done.returncode != 0
    assert "asked for several processes, but started one" in done.stderr
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_deepspeed_launch_that_would_run_plain_ddp_stops(tmp_path):
    launcher = ["-m", "accelerate.commands.launch", "--quiet", "--config_file"]
    recipe = ["recipes/grpo.py", "--config", "recipes/configs/tiny/grpo.yaml"]
    port = ["--main_process_port", free_port()]
    words = ["launch/accelerate/zero2-cpu.yaml", *port, *recipe, "--output_dir", tmp_path / "run"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = run_python(*launcher, *words, check=False, env=environment)
    assert done.returncode != 0
    assert "the launch config asks for DeepSpeed, but MULTI_CPU runs" in done.stderr
    assert not (tmp_path / "run" / "run.json").exists()
