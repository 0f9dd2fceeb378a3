"""Processes of a launch: what a launcher promised and what really runs, engine, shared results."""

import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from handan.config import read_yaml
from handan.errors import UserError
from handan.files import shipped
from handan.hardware import installed
from handan.stopping import BY_US, listen

WITHOUT_DEEPSPEED = "remove --deepspeed from the recipe's settings"


@dataclass(frozen=True)
class Processes:
    """This process among those of its launch; rank 0 alone writes files."""

    rank: int
    size: int
    gather: Callable[[list[dict]], list[dict]]  # rows of all processes, by rank, on each of them
    device: Any = "cpu"  # that it generates on
    nodes: int = 1  # launchers, one on each machine


SINGLE = Processes(rank=0, size=1, gather=list)


def start(script: str, words: Sequence[str], config: str | None = None) -> None:
    """Run a script that comes with handan, in this process or by accelerate with a launch config.

    The exit code is the script's own, and no traceback of a launcher follows its sentence.
    """
    if installed("trl") is None:
        raise UserError("training and evaluation need more packages: pip install 'handan[train]'")
    sys.argv = [shipped(script), *words]
    if config is None:
        runpy.run_path(sys.argv[0], run_name="__main__")
        return
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    read_yaml(Path(config))  # or says what is wrong with it
    os.environ[BY_US] = "1"
    signal.signal(signal.SIGINT, lambda *_: None)  # the script heeds it, and this waits for it
    arguments = ["--config_file", shipped(config), *sys.argv]
    try:
        launch_command(launch_command_parser().parse_args(arguments))
    except CalledProcessError as error:
        raise SystemExit(error.returncode) from None
    except ChildFailedError as error:
        raise SystemExit(error.get_first_failure()[1].exitcode) from None


def without_compiling() -> None:
    """Spare DeepSpeed on a CPU, before it is set up, an operator that needs a C++ compiler."""
    import torch

    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true" and not torch.cuda.is_available():
        import deepspeed

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def processes(num_threads: int | None = None) -> Processes:
    """Find the processes of this launch, as many as the launcher asked for; from here on a signal
    to stop ends them in order."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import gather_object

    if num_threads:
        torch.set_num_threads(num_threads)
    # Training arguments have made the state already; elsewhere it is told of a machine without GPU,
    # and that a process may wait long for the responses of another.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=7))
    promised = int(os.environ.get("WORLD_SIZE", "1"))
    # accelerate's launcher for one process takes num_processes: 2, sets an address and starts one.
    lone = "ACCELERATE_DYNAMO_BACKEND" in os.environ and "RANK" not in os.environ
    if lone and "MASTER_ADDR" in os.environ:
        raise UserError(
            "the launcher was asked for several processes, but started one; start them with a "
            "config of launch/accelerate such as ddp-cpu.yaml, or unset MASTER_ADDR for one process"
        )
    if state.num_processes != promised:
        raise UserError(
            f"the launcher started {promised} processes, but each of them runs alone; "
            "start them with a config of launch/accelerate, and pass a recipe --use_cpu on a CPU"
        )
    listen(state.process_index)
    if state.num_processes == 1:
        return replace(SINGLE, device=state.device)
    here = {"machine": socket.gethostname(), "launcher": os.getppid(), "process": os.getpid()}
    launchers = os.environ.get("GROUP_WORLD_SIZE")
    nodes = count_nodes(gather_object([here]), promised, int(launchers) if launchers else None)
    return Processes(state.process_index, state.num_processes, gather_object, state.device, nodes)


def count_nodes(found: list[dict], num_processes: int, num_nodes: int | None) -> int:
    """Count launchers, also on one machine, by what every rank found, not by what was promised:
    ``num_nodes``, or None if the launcher does not say."""
    processes = {(row["machine"], row["launcher"], row["process"]) for row in found}
    launchers = {(row["machine"], row["launcher"]) for row in found}
    num_nodes = len(launchers) if num_nodes is None else num_nodes
    if len(processes) != num_processes or len(launchers) != num_nodes:
        raise UserError(
            f"{num_processes} processes of {num_nodes} launchers were promised, but "
            f"{len(processes)} of {len(launchers)} answered; give every machine the same config, "
            "--main_process_ip and --main_process_port, and a --machine_rank of its own"
        )
    return num_nodes


def check_engine(accelerator: Any, config: Any) -> dict:
    """Say what runs, for ``run.json``; a UserError unless the launch config asked for just that.

    accelerate falls back in silence: a DeepSpeed or FSDP config runs as plain data parallelism on a
    CPU, FSDP as its first version, and bf16 of the launch config although the recipe says false.
    """
    runs = accelerator.distributed_type.name
    cures = {"FSDP": "FSDP needs GPUs, on a CPU use launch/accelerate/zero3-cpu.yaml"}
    use_cpu = "set use_cpu to false in the accelerate config and pass --use_cpu to the script"
    for engine, cure in ({"DeepSpeed": use_cpu} | cures).items():
        wanted = os.environ.get(f"ACCELERATE_USE_{engine.upper()}", "").lower() == "true"
        if wanted and runs != engine.upper():
            raise UserError(f"the launch config asks for {engine}, but {runs} runs; {cure}")
    if runs == "NO" and config.n_gpu > 1:  # transformers would take rows for each of them
        raise UserError(
            f"{config.n_gpu} GPUs and one process; start it with --config_file (of handan train "
            "--accelerate_config) launch/accelerate/ddp.yaml, or set CUDA_VISIBLE_DEVICES to one"
        )
    if not config.use_cpu and accelerator.device.type == "cpu":
        raise UserError("no GPU was found; to train on the CPU pass --use_cpu")
    precision = "bf16" if config.bf16 else "fp16" if config.fp16 else "no"
    facts = {"engine": runs, "mixed_precision": precision}
    if runs == "DEEPSPEED":
        refuse_outputs(accelerator.state.deepspeed_plugin.deepspeed_config)
        runs_stage = facts["zero_stage"] = accelerator.state.deepspeed_plugin.zero_stage
        stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE")
        if stage is not None and int(stage) != runs_stage:
            asked = f"the launch config asks for ZeRO stage {stage}"
            raise UserError(f"{asked}, but {runs_stage} runs; {WITHOUT_DEEPSPEED}")
    if runs == "FSDP":
        version = facts["fsdp_version"] = accelerator.state.fsdp_plugin.fsdp_version
        if version != 2:
            cure = "set fsdp_version: 2 in the launch config's fsdp_config"
            raise UserError(f"FSDP version {version} runs; {cure}")
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION")
    # Without either engine the recipe's key decides, but for a false one.
    plain = launched == "no" and runs not in ("DEEPSPEED", "FSDP")
    if launched is not None and launched != precision and not plain:
        raise UserError(
            f"the launch config asks for mixed_precision {launched}, the recipe for {precision}; "
            "let both agree: bf16 true goes with bf16, bf16 and fp16 false with no"
        )
    return facts


def refuse_outputs(settings: Any) -> None:
    """Raise UserError if DeepSpeed is told to write files of its own, outside the run directory."""
    if isinstance(settings, dict):
        outputs = ("output_path", "output_file", "results_dir", "exps_dir", "nvme_path")
        if named := [key for key in outputs if settings.get(key)]:
            raise UserError(
                f"the DeepSpeed config sets '{named[0]}', which writes outside the run directory; "
                "remove it: metrics.jsonl and report_to have the measurements"
            )
        settings = list(settings.values())
    for entry in settings if isinstance(settings, list) else ():
        refuse_outputs(entry)


def check_wrapped(model: Any, facts: dict) -> None:
    """Raise UserError unless the trainer's outermost model is held by the engine that was found."""
    engine = facts["engine"]
    wanted = "DistributedDataParallel" if engine.startswith("MULTI_") else None
    wanted = {"DEEPSPEED": "DeepSpeedEngine", "FSDP": "FSDPModule"}.get(engine, wanted)
    if wanted and wanted not in {kind.__name__ for kind in type(model).__mro__}:
        cure = "start it with a config of launch/accelerate"
        raise UserError(f"{engine} was set up, but {type(model).__name__} is trained; {cure}")
    stage = facts.get("zero_stage")
    if wanted == "DeepSpeedEngine" and (runs := model.zero_optimization_stage()) != stage:
        raise UserError(f"ZeRO stage {stage} was set up, but {runs} runs; {WITHOUT_DEEPSPEED}")
