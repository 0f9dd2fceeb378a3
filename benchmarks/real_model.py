"""A published model through the imitation recipe against a bare loop, in 32 bits and in bf16.

    python benchmarks/real_model.py [--model models/smollm2-135m] [--steps 3] [--threads 2]

Prints one Markdown table. The bare loop is what one writes without a framework: each batch padded
to its longest row, logits of every position, cross-entropy, AdamW. Rows have a prompt of 70 tokens
and traces as long as worked solutions in words. Drawing is greedy, 96 tokens after 32 prompts;
`cast at every token` is autocast as accelerate does it, `cast once` the recipes'. All take turns in
one process; times are CPU seconds, without the first step. Without instructions for bf16 (see
`handan doctor`) only 32 bits are measured.
"""

import argparse
import statistics
import time
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from accelerate import Accelerator
from sft_step import bare, trained
from torch.nn.utils.rnn import pad_sequence

from handan import hardware
from handan.generation.loading import load_model
from handan.generation.prompting import Decoding
from handan.generation.transformers_engine import complete, halve_weights
from handan.training.labels import IGNORED
from handan.training.sft import LedgerSFTTrainer

PROMPT, ROWS = 70, 8


def batches(number: int, vocabulary: int) -> list[list[dict]]:
    """Batches of rows of random tokens; the prompt has no loss."""
    rng = np.random.default_rng(0)
    lengths = np.clip(np.exp(np.log(110) + 0.5 * rng.standard_normal(number * ROWS)), 20, 400)
    rows = []
    for length in lengths.round().astype(int):
        ids = rng.integers(17, vocabulary, PROMPT + length).tolist()
        rows.append({"input_ids": ids, "labels": [IGNORED] * PROMPT + ids[PROMPT:]})
    return [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]


def padded(rows: list[dict]) -> dict:
    """One batch, as long as its longest row."""
    fill = {"input_ids": 0, "labels": IGNORED}
    columns = {key: [torch.tensor(row[key]) for row in rows] for key in fill}
    return {
        key: pad_sequence(columns[key], batch_first=True, padding_value=fill[key]) for key in fill
    }


def training(load: Any, steps: int, runs: int, kinds: dict[str, bool]) -> None:
    """Print trained tokens a CPU second, prompts not counted, of bare loop and recipe."""
    data = batches(steps, load()[0].config.vocab_size)
    whole = [[padded(rows)] for rows in data]
    flat = [row for rows in data for row in rows]
    tokens = sum(len(row["input_ids"]) - PROMPT for rows in data[1:] for row in rows)
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(runs):
        for name, bf16 in kinds.items():
            spent = bare(load, whole, bf16)[0]
            seconds.setdefault((name, "bare loop"), []).append(spent)
            spent = trained(LedgerSFTTrainer, load, flat, ROWS, steps, bf16)[0][0]
            seconds.setdefault((name, "recipe"), []).append(spent)
    report("trained tokens/s", tokens, seconds)


def drawing(load: Any, runs: int, kinds: dict[str, bool]) -> None:
    """Print generated tokens a CPU second, in the ways of the recipes and the evaluator."""
    rng = np.random.default_rng(1)
    prompts = rng.integers(17, 40_000, (32, PROMPT)).tolist()
    decoding = Decoding(temperature=0.0, top_p=1.0, max_new_tokens=96)
    ways: dict[tuple[str, str], Any] = {("float32", "32-bit weights"): load()[0].eval()}
    if "bf16" in kinds:
        ways["bf16", "bf16 weights"] = load()[0].eval().to(torch.bfloat16)
        for name in ("cast at every token", "cast once"):
            cpu = not torch.cuda.is_available()
            accelerator = Accelerator(mixed_precision="bf16", cpu=cpu)
            model = accelerator.prepare_model(load()[0].eval(), evaluation_mode=True)
            ways["bf16", name] = model
        halve_weights(model, "bf16")
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, model in ways.items():
            started = time.process_time()
            rows = complete(model, prompts, decoding, ends=[0])
            seconds[way].append((time.process_time() - started) / sum(map(len, rows)))
    report("generated tokens/s", 1, seconds)


def report(what: str, tokens: int, seconds: dict[tuple[str, str], list[float]]) -> None:
    """Print lines of the table: speed, and how many times that of the first line."""
    first = seconds[next(iter(seconds))]
    for (kind, name), spent in seconds.items():
        times = statistics.median(a / b for a, b in zip(first, spent, strict=True))
        print(
            f"| {what} | {kind} | {name} | {tokens / statistics.median(spent):,.0f} | {times:.2f} |"
        )


def main() -> None:
    """Time all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/smollm2-135m")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    kinds = {"float32": False}
    if torch.cuda.is_available() or hardware.cpu_has_bf16():
        kinds["bf16"] = True
    else:
        print(f"{hardware.NO_BF16}: not measured\n")

    def load() -> tuple:
        return load_model(arguments.model, dtype="float32")[:2]

    print("| | precision | | tokens/s | to the first |\n|---|---|---|--:|--:|")
    training(load, arguments.steps, arguments.runs, kinds)
    drawing(load, arguments.runs, kinds)


if __name__ == "__main__":
    main()
