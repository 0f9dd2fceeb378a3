"""Count what a run consumes and log it, so that a resumed run goes on where it was."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from handan import rundir
from handan.budgets import TEACHERS, time_share
from handan.checkpoints import LEDGER
from handan.evaluation.resource_estimate import Size
from handan.files import append_jsonl, read_json, write_json
from handan.launch import Processes


class Ledger(TrainerCallback):
    """Counts what a run consumes; counts are saved with every checkpoint and go on from there."""

    teacher_parameters: int | None = None
    size: Size  # of the trained model; must be set before training

    def __init__(self, run_dir: Path, world: Processes) -> None:
        self.run_dir, self.world = run_dir, world
        # Processed is what went through the model, padding aside. Peaks are of the process that
        # needed most, all else is summed.
        tokens = ("trained_tokens", "processed_tokens", "generated_tokens", "teacher_scored_tokens")
        seconds = ("train_seconds", "probe_seconds", "device_seconds")
        self.counts: dict[str, Any] = dict.fromkeys(tokens, 0) | dict.fromkeys(seconds, 0.0)
        self.counts |= {"peak_memory_gib": 0.0, "peak_gpu_memory_gib": None}
        self.of_traces: dict[str, float | None] = dict.fromkeys(TEACHERS.values(), 0)
        self._clock = time.monotonic()

    def restore(self, checkpoint: str | None) -> None:
        """Go on from the counts of a checkpoint."""
        if checkpoint:
            saved = read_json(Path(checkpoint) / LEDGER)
            self.counts = {key: saved[key] for key in self.counts}

    def pause(self, probe_seconds: float) -> None:
        """Take the time of a probe out of the training time."""
        self.tick(less=probe_seconds)
        self.counts["probe_seconds"] += probe_seconds

    def share_with(self, more_s: float) -> float:
        """Share of the time that goes into measuring, if it takes ``more_s`` seconds more now."""
        self.tick()
        return time_share(self.counts["probe_seconds"] + more_s, self.counts["train_seconds"])

    def tick(self, less: float = 0.0) -> None:
        """Count the time since the last call, ``less`` so many seconds, as training."""
        now = time.monotonic()
        seconds = now - self._clock - less
        self.counts["train_seconds"] += seconds
        self.counts["device_seconds"] += seconds * self.world.size
        self._clock = now

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._clock = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.on_train_end(args, state, control)
        if self.world.rank == 0:
            write_json(self.run_dir / f"checkpoint-{state.global_step}" / LEDGER, self.budget())

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.tick()
        memory, gpu_memory = rundir.peak_memory_gib(), rundir.peak_gpu_memory_gib()
        for row in self.world.gather(
            [dict(peak_memory_gib=memory, peak_gpu_memory_gib=gpu_memory)]
        ):
            for key, value in row.items():
                if value is not None:
                    self.counts[key] = max(value, self.counts[key] or 0.0)

    def budget(self) -> dict[str, float | None]:
        """Sum up the ledger of a run, as docs/methods.md defines it.

        Model FLOPs (after Kaplan et al. 2020): of a processed token 2 N forward, 2 N for the
        gradients of activations and 2 N for those of the trained parameters, together 6 N if all
        are trained; of a generated token 2 N; of a token that a teacher scores 2 N of the teacher.
        """
        counts, size = self.counts, self.size
        processed = counts["processed_tokens"] * (4 * size.multiplied + 2 * size.trained)
        flops = processed + 2 * size.multiplied * counts["generated_tokens"]
        teacher = dict(self.of_traces)
        if scored := counts["teacher_scored_tokens"]:
            known = self.teacher_parameters is not None
            teacher["teacher_flops"] = 2.0 * scored * self.teacher_parameters if known else None
        short = {key: round(v, 3) if isinstance(v, float) else v for key, v in counts.items()}
        return {**teacher, **short, "model_flops": float(flops)}


class MetricsFile(TrainerCallback):
    """Writes every finite number that the trainer logs to ``metrics.jsonl``."""

    def __init__(self, run_dir: Path, world: Processes) -> None:
        self.path, self.world = run_dir / "metrics.jsonl", world

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self.world.rank == 0 and logs:
            append_jsonl(self.path, [{"step": state.global_step, **finite(logs)}])


def finite(logs: Mapping[str, Any]) -> dict[str, float]:
    """Keep what is a finite number."""
    return {k: v for k, v in logs.items() if isinstance(v, (int, float)) and math.isfinite(v)}
