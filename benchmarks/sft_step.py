"""A step of the imitation recipe against stock TRL and against a bare loop on the same batches.

    python benchmarks/sft_step.py [--steps 4] [--runs 2] [--model DIRECTORY]

Prints one Markdown table. Stock is the `SFTTrainer` that `trl sft` makes of the same model, rows,
settings and seed, so every step holds the same rows. The bare loop is forward, cross-entropy,
backward, clipping and optimizer on the very parts that the recipe's trainer made. The three take
turns; tokens are those that are not padding, times are CPU seconds of one thread without the first
step, ratios are medians. Lengths are log-normal: `R1` has three quarters under 8,000 tokens and
ends at 16,000, as Open R1 reports for R1 on mathematics, divided by 16 to fit the tiny context;
`tiny` is like the traces of the embedded world.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from handan.generation.loading import load_model
from handan.launch import SINGLE
from handan.training.labels import IGNORED
from handan.training.ledger import Ledger
from handan.training.sft import LedgerSFTTrainer

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))
from pretrain import make_model, make_tokenizer

ON_GPU = torch.cuda.is_available()
PROMPT_TOKENS = 16
# Median, deviation of the log, and largest number of tokens of a trace; rows of a batch.
LENGTHS = {"R1": (280, 0.85, 1000, 8), "equal": (380, 0.0, 380, 8), "tiny": (35, 0.6, 250, 32)}


class Clock(TrainerCallback):
    """CPU and wall seconds at the start and at the end of each optimizer step."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def tick(self) -> None:
        """Note the time."""
        self.ends.append((time.process_time(), time.monotonic()))

    def on_train_begin(self, *arguments: Any, **kwargs: Any) -> None:
        self.tick()

    def on_step_end(self, *arguments: Any, **kwargs: Any) -> None:
        self.tick()

    def seconds(self) -> tuple[float, float]:
        """Of all steps but the first, which warms up."""
        (cpu, wall), (cpu_end, wall_end) = self.ends[1], self.ends[-1]
        return cpu_end - cpu, wall_end - wall


class Recorded(LedgerSFTTrainer):
    """The recipe's trainer, whose parts are kept for the bare loop."""

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.steps: list[list[dict]] = [[] for _ in range(self.args.max_steps)]

    def compute_loss(self, model: Any, inputs: dict, *arguments: Any, **more: Any) -> Any:
        self.steps[self.state.global_step].append(dict(inputs))
        return super().compute_loss(model, inputs, *arguments, **more)


def rows(lengths: str, number: int, vocabulary: int) -> list[dict]:
    """Rows of random tokens; the prompt has no loss."""
    median, deviation, longest, _ = LENGTHS[lengths]
    rng = np.random.default_rng(0)
    drawn = np.exp(np.log(median) + deviation * rng.standard_normal(number))
    out = []
    for length in np.clip(drawn, 16, longest).round().astype(int):
        ids = rng.integers(4, vocabulary, PROMPT_TOKENS + length).tolist()
        out.append({"input_ids": ids, "labels": [IGNORED] * PROMPT_TOKENS + ids[PROMPT_TOKENS:]})
    return out


def trained(
    kind: type, load: Callable, data: list[dict], batch: int, steps: int, bf16: bool = ON_GPU
) -> tuple:
    """Seconds of a trainer, and the trainer."""
    model, tokenizer = load()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=batch,
            learning_rate=3e-4,
            max_steps=steps,
            seed=1,
            use_cpu=not ON_GPU,
            bf16=bf16,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = kind(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.ledger = Ledger(Path(folder), SINGLE)  # stock TRL does not look at it
        trainer.train()
    return clock.seconds(), trainer


def bare(load: Callable, batches: list[list[dict]], bf16: bool = ON_GPU) -> tuple[float, float]:
    """Seconds of a loop with nothing in it that training can do without."""
    model = load()[0].train().to(batches[0][0]["input_ids"].device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    clock = Clock()
    clock.tick()
    for parts in batches:
        tokens = sum(int((part["labels"][:, 1:] != IGNORED).sum()) for part in parts)
        for part in parts:
            device, ids = part["input_ids"].device.type, part["input_ids"]
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                logits = model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1)
            targets = part["labels"][:, 1:].flatten()
            loss = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
            (loss / tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.tick()
    return clock.seconds()


def line(name: str, load: Callable, lengths: str, steps: int, runs: int) -> str:
    """One row of the table."""
    batch = LENGTHS[lengths][3]
    data = rows(lengths, steps * batch, load()[0].config.vocab_size)
    times: dict[str, list] = {"stock": [], "recipe": [], "bare": []}
    for _ in range(runs):
        times["stock"].append(trained(SFTTrainer, load, data, batch, steps)[0])
        seconds, trainer = trained(Recorded, load, data, batch, steps)
        times["recipe"].append(seconds)
        times["bare"].append(bare(load, trainer.steps))
    timed = trainer.steps[1:]
    tokens = sum(int(part["attention_mask"].sum()) for parts in timed for part in parts)
    cells = sum(part["input_ids"].numel() for parts in timed for part in parts)
    # Stock TRL pads all parts of a batch to the longest row.
    padded = sum(batch * max(part["input_ids"].shape[1] for part in parts) for parts in timed)

    def ratio(above: str, below: str, clock: int) -> float:
        pairs = zip(times[above], times[below], strict=True)
        return statistics.median(a[clock] / b[clock] for a, b in pairs)

    speeds = [tokens / statistics.median(seconds[0] for seconds in times[kind]) for kind in times]
    cpu, wall = ratio("stock", "recipe", 0), ratio("stock", "recipe", 1)
    quantiles = np.percentile([len(row["input_ids"]) for row in data], (5, 25, 50, 75, 95)).round()
    parts = sum(map(len, timed)) / len(timed)
    shown = [
        name,
        f"{lengths}: {' '.join(f'{q:.0f}' for q in quantiles)}",
        f"{1 - tokens / padded:.0%}, {1 - tokens / cells:.0%} in {parts:.1f} parts",
        *(f"{speed:,.0f}" for speed in speeds),
        f"{cpu:.2f} ({wall:.2f})",
        f"{ratio('recipe', 'bare', 0) - 1:+.0%}",
    ]
    return f"| {' | '.join(shown)} |"


def main() -> None:
    """Time all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4, help="three times as many of the tiny one")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--model", help="time this one instead, on the GPU if there is one")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    loads: dict[str, tuple[Callable, int, list[str]]] = {
        "tiny, 0.3 M": (
            lambda: load_model("handan/tiny/weights/base")[:2],
            3 * arguments.steps,
            ["R1", "equal", "tiny"],
        ),
        "5 M": (
            lambda: (make_model("qwen3", 256, 6, 8, 0), make_tokenizer()),
            arguments.steps,
            ["R1", "equal"],
        ),
    }
    if arguments.model:
        own = arguments.model
        loads = {own: (lambda: load_model(own)[:2], arguments.steps, ["R1", "equal"])}
    print(
        "| model | lengths, % quantiles 5 25 50 75 95 | padding of stock, of recipe "
        "| stock tokens/s | recipe tokens/s | bare loop tokens/s | recipe to stock (wall) "
        "| recipe's overhead |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for name, (load, steps, kinds) in loads.items():
        for lengths in kinds:
            print(line(name, load, lengths, steps, arguments.runs), flush=True)


if __name__ == "__main__":
    main()
