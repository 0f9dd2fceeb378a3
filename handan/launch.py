"""What a launcher promised and what really runs: processes, engine, shared results."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handan.errors import UserError
from handan.stopping import listen


@dataclass(frozen=True)
class Processes:
    """This process among those of its launch.

    Attributes:
        rank: from 0; only 0 writes files.
        size: number of processes.
        gather: collects a list of rows from every process, in order of rank, on every process.
        device: where this process generates.
    """

    rank: int
    size: int
    gather: Callable[[list[dict]], list[dict]]
    device: Any = "cpu"


def _alone(rows: list[dict]) -> list[dict]:
    return rows


SINGLE = Processes(rank=0, size=1, gather=_alone)


def processes(num_threads: int | None = None) -> Processes:
    """The processes of this launch, after a check that they know of each other.

    From here on a signal to stop ends the process in order; see ``handan.stopping``.

    Args:
        num_threads: CPU threads of each process; None leaves them as they are.

    Raises:
        UserError: the launcher asked for more processes than really run together. Such a launch
            would train on less than it says, and let two runs write one directory.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import gather_object

    if num_threads:
        torch.set_num_threads(num_threads)
    # Training arguments have made the state already; elsewhere it must be told of a CPU machine.
    state = PartialState(cpu=not torch.cuda.is_available())
    promised = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != promised:
        raise UserError(
            f"the launcher started {promised} processes, but each of them runs alone; "
            "start them with a config of launch/accelerate, and pass a recipe --use_cpu on a CPU"
        )
    listen(state.process_index)
    gather = _alone if state.num_processes == 1 else gather_object
    return Processes(state.process_index, state.num_processes, gather, state.device)


def check_engine(accelerator: Any) -> None:
    """Stop if the launch config asks for DeepSpeed and something else runs.

    Raises:
        UserError: says what runs, and how to get what was asked for.
    """
    wants_deepspeed = os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"
    if wants_deepspeed and accelerator.distributed_type.name != "DEEPSPEED":
        raise UserError(
            f"the launch config asks for DeepSpeed, but {accelerator.distributed_type.name} runs; "
            "set use_cpu to false in the accelerate config and pass --use_cpu to the script"
        )
