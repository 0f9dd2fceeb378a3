"""A step of the GRPO recipe against TRL's own trainer: same model, prompts, reward, settings.

    python benchmarks/grpo_step.py

Prints one table: wall seconds a step and completions a second of both, in turn, and the ratio.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from handan import generate
from handan.engines.loading import load_model
from handan.formats import FORMATS
from handan.launch import SINGLE
from handan.training.ledger import Ledger
from handan.training.prompts import load_prompts
from handan.training.reward import VerifiableReward
from handan.training.trainers import LengthSortedGRPOTrainer, rollout

FORM = FORMATS["tiny"]


class StepTimes(TrainerCallback):
    """Wall seconds between the ends of optimizer steps."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_begin(self, *arguments: Any, **kwargs: Any) -> None:
        self.ends.append(time.monotonic())

    def on_step_end(self, *arguments: Any, **kwargs: Any) -> None:
        self.ends.append(time.monotonic())

    def median(self) -> float:
        """Of all steps but the first, which warms up."""
        return statistics.median(b - a for a, b in zip(self.ends[1:-1], self.ends[2:], strict=True))


def train(kind: type[GRPOTrainer], steps: int, **more: Any) -> float:
    """Seconds a step of one trainer, on the settings of recipes/configs/tiny/grpo.yaml."""
    model, tokenizer, _ = load_model("handan/tiny/weights/base")
    rows = [
        {
            "prompt": [{"role": "user", "content": question.item.question}],
            "prompt_ids": list(generate.prompt_ids(tokenizer, question.item.question, FORM)),
            "task": question.item.task,
            "item": question.item.key,
            "question": question.item.question,
            "answer": question.item.answer,
            "wording": question.wording,
        }
        for question in load_prompts(Path("recipes/configs/tiny/prompts.yaml"))
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=32,
            gradient_accumulation_steps=8,
            num_generations=8,
            max_completion_length=256,
            learning_rate=3e-4,
            max_steps=steps,
            seed=1,
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        times = StepTimes()
        ledger = Ledger(Path(folder), SINGLE)
        trainer = kind(
            model=model,
            args=config,
            reward_funcs=VerifiableReward(tokenizer, model, FORM, 0.0, 256, ledger),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[times],
            **more,
        )
        trainer.form = FORM  # TRL's own trainer does not look at it
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return times.median()


def main() -> None:
    """Time both, alternating."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    pairs = []
    for _ in range(arguments.runs):
        own = train(LengthSortedGRPOTrainer, arguments.steps, rollout_func=rollout)
        pairs.append((own, train(GRPOTrainer, arguments.steps)))
    print(
        f"256 completions a step, median of {arguments.steps - 1} steps and {arguments.runs} runs"
    )
    print(f"{'':10}{'s a step':>10}{'completions/s':>16}")
    for name, seconds in zip(("recipe", "stock TRL"), zip(*pairs, strict=True), strict=True):
        value = statistics.median(seconds)
        print(f"{name:10}{value:10.2f}{256 / value:16.1f}")
    ratio = statistics.median(stock / own for own, stock in pairs)
    print(f"the recipe is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
