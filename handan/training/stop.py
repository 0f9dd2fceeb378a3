"""Saving at the end of a step when a scheduler asks a training to stop.

Transformers has a callback of its own for SIGTERM (``enable_jit_checkpoint``). It is not used: its
processes do not agree on the step, so that sharded ones wait for each other for ever, it saves in
the middle of an accumulated step, and no callback hears of that checkpoint, the ledger neither.
"""

import math
from typing import Any

from transformers import TrainerCallback

from handan.launch import Processes
from handan.stopping import leave, on_signal


class StopRequest(TrainerCallback):
    """Ends a training at the next step at which all its processes can save the same checkpoint.

    Args:
        arm: named in what is printed.
        world: the processes, which agree once a step; one that was asked is enough.
    """

    def __init__(self, arm: str, world: Processes) -> None:
        self.arm, self.world = arm, world
        self.asked = self.granted = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """From here on a signal waits for the end of a step; until then there is nothing to save.

        What else begins with the training, such as measuring step 0, comes before.
        """
        on_signal(self.ask)

    def ask(self) -> None:
        """A signal has come."""
        self.asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % steps_of_a_generation(args) or state.global_step >= state.max_steps:
            return
        if any(row["asked"] for row in self.world.gather([{"asked": self.asked}])):
            self.granted = control.should_save = control.should_training_stop = True

    def leave_if_asked(self, step: int) -> None:
        """End this process if the training stopped for a signal; its checkpoint is complete."""
        if not self.granted:
            return
        self.world.gather([])  # launchers end the other processes as soon as one has left
        if self.world.rank == 0:
            print(
                f"{self.arm}: saved checkpoint-{step} as asked by a signal; run the same command "
                "again to go on",
                flush=True,
            )
        leave()


def steps_of_a_generation(args: Any) -> int:
    """Optimizer steps that are trained on one generation batch.

    TRL does not save a generation batch, so a run resumed in the middle of one would draw another.
    """
    accumulated = args.gradient_accumulation_steps
    window = getattr(args, "steps_per_generation", None) or accumulated
    passes = window * getattr(args, "num_iterations", 1)  # micro-batches of a generation batch
    return math.lcm(passes, accumulated) // accumulated
