"""What a run consumes and logs, counted so that a resumed run goes on where it was."""

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from handan import rundir
from handan.launch import Processes
from handan.records import append_jsonl, read_json, write_json

LEDGER = "ledger.json"


def complete_checkpoints(run_dir: Path) -> dict[int, Path]:
    """Checkpoints of a run by step, of those that were written to the end.

    The ledger is written last; and without an optimizer a resumed run would silently begin with a
    fresh one.
    """
    out = {}
    for path in run_dir.glob("checkpoint-[0-9]*"):
        # One file, or what FSDP or DeepSpeed write.
        saved = ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*")
        optimizer = any(any(path.glob(name)) for name in saved)
        if (path / LEDGER).exists() and optimizer:
            out[int(path.name.split("-")[1])] = path
    return out


class Ledger(TrainerCallback):
    """Counts what a run consumes; the counts are saved with every checkpoint and go on from there.

    ``counts`` holds trained_tokens (tokens with a loss), processed_tokens (prompt and padding-free
    completion tokens that went through the model), generated_tokens, teacher_scored_tokens (tokens
    that went through a teacher that scores them), train_seconds and
    probe_seconds, all summed over processes where they differ.
    """

    def __init__(self, run_dir: Path, world: Processes) -> None:
        self.run_dir, self.world = run_dir, world
        self.counts = dict.fromkeys(
            ("trained_tokens", "processed_tokens", "generated_tokens", "teacher_scored_tokens"), 0
        ) | {"train_seconds": 0.0, "probe_seconds": 0.0}
        self._clock = time.monotonic()

    def restore(self, checkpoint: str | None) -> None:
        """Go on from the counts of a checkpoint."""
        if checkpoint:
            self.counts |= read_json(Path(checkpoint) / LEDGER)

    def _tick(self) -> None:
        now = time.monotonic()
        self.counts["train_seconds"] += now - self._clock
        self._clock = now

    def pause(self, probe_seconds: float) -> None:
        """Take the time of a probe out of the training time."""
        self._tick()
        self.counts["train_seconds"] -= probe_seconds
        self.counts["probe_seconds"] += probe_seconds

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._clock = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._tick()
        if self.world.rank == 0:
            checkpoint = self.run_dir / f"checkpoint-{state.global_step}"
            write_json(checkpoint / LEDGER, self.counts)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._tick()

    def budget(self, num_parameters: int) -> dict[str, float]:
        """The ledger of a run.

        Model FLOPs are 6 N per processed and 2 N per generated token, with N the number of
        parameters without embeddings (Kaplan et al. 2020); attention and the reference policy are
        not counted.
        """
        counts = self.counts
        flops = num_parameters * (6 * counts["processed_tokens"] + 2 * counts["generated_tokens"])
        return {
            **{key: round(value, 1) for key, value in counts.items()},
            "device_seconds": round(counts["train_seconds"] * self.world.size, 1),
            "model_flops": float(flops),
            "peak_memory_gib": rundir.peak_memory_gib(),
        }


class MetricsFile(TrainerCallback):
    """Writes everything the trainer logs to ``metrics.jsonl``."""

    def __init__(self, run_dir: Path, world: Processes) -> None:
        self.path, self.world = run_dir / "metrics.jsonl", world

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any
    ) -> None:
        if self.world.rank == 0 and logs:
            row = {k: v for k, v in logs.items() if isinstance(v, (int, float)) and v == v}
            append_jsonl(self.path, [{"step": state.global_step, **row}])
