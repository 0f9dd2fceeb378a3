"""Save so that a kill or a full disk at any moment leaves a whole checkpoint, also on a signal."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from handan import checkpoints
from handan.errors import UserError
from handan.files import shipped
from handan.launch import Processes, check_wrapped
from handan.stopping import leave, on_signal


def attach(trainer: Any, run_dir: Path, world: Processes, launched: dict[str, Any]) -> None:
    """Let saves end with a manifest, or in one sentence; must come after the ledger's callback."""
    # Transformers would remove the old checkpoint before the new one is whole.
    keep, trainer.args.save_total_limit = trainer.args.save_total_limit, None
    save, run_epoch = trainer._save_checkpoint, trainer._run_epoch

    def save_or_tell(*arguments: Any, **more: Any) -> None:
        with tell_of_writing(run_dir / f"checkpoint-{trainer.state.global_step}"):
            save(*arguments, **more)

    def run_or_end(*arguments: Any, **more: Any) -> None:
        check_wrapped(trainer.model_wrapped, launched)  # what really holds the model
        # Transformers looks at the number of steps after a step alone, so a run that goes on from
        # its very last checkpoint would train one beyond it.
        if trainer.state.global_step < trainer.state.max_steps:
            run_epoch(*arguments, **more)
        else:
            trainer.control.should_training_stop = True

    trainer._save_checkpoint, trainer._run_epoch = save_or_tell, run_or_end
    trainer.add_callback(Seal(run_dir, world, launched, keep or 0))


class Seal(TrainerCallback):
    """Writes the manifest of every checkpoint, then removes all but the newest ``keep`` ones."""

    def __init__(self, run_dir: Path, world: Processes, launched: dict, keep: int) -> None:
        self.run_dir, self.world, self.launched, self.keep = run_dir, world, launched, keep

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        place = self.run_dir / f"checkpoint-{state.global_step}"
        self.world.gather([])  # the others wait until the first process has written the ledger
        with tell_of_writing(place):
            checkpoints.seal(place, self.launched, self.world)
        if self.world.rank == 0 and self.keep > 0:
            for path in list(checkpoints.found(self.run_dir).values())[: -self.keep]:
                checkpoints.remove(path)


@contextmanager
def tell_of_writing(place: Path) -> Iterator[None]:
    """Raise UserError, in one sentence, for a save that the system refused."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each library has a kind of its own; most are told apart by text
        if (words := _refusal(error, place)) is None:
            raise
        raise UserError(
            f"{place}: could not be written ({words}); what was saved before is intact: free "
            "space or make it writable, then run the same command again to go on from there"
        ) from error


def _refusal(error: Exception, place: Path) -> str | None:
    """Find why the system refused to write, None if the error is about something else."""
    if isinstance(error, OSError):  # without a number it is a library's, about something else
        return os.strerror(error.errno) if error.errno else None
    if number := re.search(r"\(os error (\d+)\)", str(error)):  # of safetensors, tokenizers
        return os.strerror(int(number[1]))
    # torch tells a failed write in words of its own.
    of_torch = re.search("inline_container|PytorchStreamWriter|iostream", str(error))
    if not (isinstance(error, RuntimeError) and of_torch):
        return None
    trial = place.with_name(f".{place.name}.probe")  # a write beside the one that failed
    try:
        with open(trial, "wb") as file:
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
    except OSError as refused:
        return refused.strerror
    finally:
        trial.unlink(missing_ok=True)
    return f"torch: {str(error).splitlines()[0]}"


def save_merged(trainer: Any, base_name: str, source: dict, run_dir: Path, rank: int) -> None:
    """Save the adapter in ``run_dir/adapter``, and merged with the base, loaded from ``source``."""
    from transformers import AutoModelForCausalLM
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    trainer.save_model(str(run_dir / "adapter"))
    unset_hf_deepspeed_config()  # or a model loaded under ZeRO-3 would be divided at once
    if rank > 0:
        return
    from peft import PeftModel

    kind = next(p.dtype for p in trainer.model.parameters() if not p.requires_grad)
    base = AutoModelForCausalLM.from_pretrained(shipped(base_name), dtype=kind, **source)
    merged: Any = PeftModel.from_pretrained(base, run_dir / "adapter").merge_and_unload()
    merged.save_pretrained(run_dir)


class StopRequest(TrainerCallback):
    """Ends a training at the next step at which all its processes can save the same checkpoint."""

    def __init__(self, arm: str, world: Processes) -> None:
        self.arm, self.world = arm, world
        self.asked = self.granted = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        on_signal(self.ask)  # from here on, not while step 0 is measured

    def ask(self) -> None:
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
            saved = f"{self.arm}: saved checkpoint-{step} as asked by a signal"
            print(f"{saved}; run the same command again to go on")
        leave()


def steps_of_a_generation(args: Any) -> int:
    """Count optimizer steps trained on one generation batch, of which TRL saves nothing."""
    accumulated = args.gradient_accumulation_steps
    window = getattr(args, "steps_per_generation", None) or accumulated
    passes = window * getattr(args, "num_iterations", 1)  # micro-batches of a generation batch
    return math.lcm(passes, accumulated) // accumulated
