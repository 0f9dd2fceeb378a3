"""Run a recipe under FSDP2 with processes on the CPU, where accelerate offers plain DDP alone.

    accelerate launch --config_file launch/accelerate/fsdp2.yaml --num_processes 2 \\
        --mixed_precision no benchmarks/fsdp2_on_cpu.py recipes/grpo.py --config ...

PyTorch's FSDP2 works with gloo on the CPU; accelerate 1.15 sets it up only for processes that it
takes for GPU processes. Here it is told so, and everything after that is the real thing: the same
sharding, gathering, saving and resuming. For arm_matrix.py; never for a run that counts.
"""

import runpy
import sys
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType

prepare = PartialState.__init__


def prepare_and_rename(self: PartialState, *arguments: Any, **more: Any) -> None:
    """As accelerate's, with processes on the CPU called by the name that FSDP is set up for."""
    prepare(self, *arguments, **more)
    if PartialState._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState.__init__ = prepare_and_rename  # type: ignore[method-assign]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
