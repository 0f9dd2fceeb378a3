"""A step of the GRPO recipe against TRL's own trainer: same model, prompts, reward, settings.

    python benchmarks/grpo_step.py

Prints completions a second of both, in turn, and the ratio, by seconds on the wall and of the CPU;
the result is that of CPU seconds. Then where a step of the recipe goes, against the
floating-point operations of the model alone at the speed that products of its size reach.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from measure import Result, in_turn, ratio, table
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from handan.generation import prompting
from handan.generation.formats import FORMATS
from handan.generation.loading import load_model
from handan.launch import SINGLE
from handan.training.data import load_prompts
from handan.training.ledger import Ledger
from handan.training.rl import LengthSortedGRPOTrainer, Rollouts, rollout

FORM = FORMATS["tiny"]
CLOCKS = ("cpu_s", "wall_s")


class StepTimes(TrainerCallback):
    """CPU and wall seconds at the ends of optimizer steps."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def _note(self) -> None:
        self.ends.append((time.process_time(), time.monotonic()))

    def on_train_begin(self, *arguments: Any, **kwargs: Any) -> None:
        self._note()

    def on_step_end(self, *arguments: Any, **kwargs: Any) -> None:
        self._note()

    def seconds(self) -> tuple[float, float]:
        """CPU and wall seconds of all steps but the first, which warms up."""
        (cpu, wall), (cpu_end, wall_end) = self.ends[1], self.ends[-1]
        return cpu_end - cpu, wall_end - wall


class Parts:
    """CPU seconds inside some functions of a trainer while it trains.

    Args:
        trainer: whose methods are timed.
    """

    def __init__(self, trainer: Any) -> None:
        self.spent = {"generation": 0.0, "rewards and records": 0.0, "steps": 0.0}
        self.tokens = {"drawn": 0}
        trainer.rollout_func = self._timed(trainer.rollout_func, "generation", self._drawn)
        trainer.reward_funcs[0] = self._named(trainer.reward_funcs[0])
        trainer.training_step = self._timed(trainer.training_step, "steps")

    def _timed(self, function: Any, name: str, seen: Any = None) -> Any:
        def call(*arguments: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            result = function(*arguments, **kwargs)
            self.spent[name] += time.process_time() - started
            if seen is not None:
                seen(result)
            return result

        return call

    def _named(self, function: Any) -> Any:
        timed = self._timed(function, "rewards and records")
        timed.__name__ = function.__name__
        return timed

    def _drawn(self, result: dict) -> None:
        for prompt, completion in zip(result["prompt_ids"], result["completion_ids"], strict=True):
            self.tokens["drawn"] += len(prompt) + len(completion)


@dataclass
class Trained:
    """What one training took: CPU and wall seconds of its steps after the first one."""

    cpu_s: float
    wall_s: float
    parts: dict[str, float]
    tokens: int
    parameters: int


def train(kind: type[GRPOTrainer], steps: int, **more: Any) -> Trained:
    """One training, on the settings of recipes/configs/tiny/grpo.yaml."""
    model, tokenizer, _ = load_model("handan/tiny/weights/base")
    rows = [
        {
            "prompt": [{"role": "user", "content": question.item.question}],
            "prompt_ids": list(prompting.prompt_ids(tokenizer, question.item.question, FORM)),
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
            gradient_checkpointing=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        times = StepTimes()
        ledger = Ledger(Path(folder), SINGLE)
        rollouts = Rollouts(tokenizer, model, FORM, 256, ledger, group_size=8)
        trainer = kind(
            model=model,
            args=config,
            reward_funcs=rollouts.total,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[times],
            **more,
        )
        trainer.form, trainer.rollouts = FORM, rollouts  # TRL's own does not look at them
        trainer.remove_callback(PrinterCallback)
        parts = Parts(trainer) if trainer.rollout_func else None
        trainer.train()
    cpu, wall = times.seconds()
    parameters = sum(p.numel() for p in model.parameters())
    spent, tokens = (parts.spent, parts.tokens["drawn"]) if parts else ({}, 0)
    return Trained(cpu, wall, spent, tokens, parameters)


def tell_parts(trained: Trained, steps: int) -> None:
    """Where the recipe's steps go; training includes generation, which it calls."""
    rows, width = 512, 96
    left, right = torch.rand(rows, width), torch.rand(width, 4 * width)
    product = in_turn({"": lambda: [left @ right for _ in range(100)]}, 3)[""]
    speed = 100 * 2 * rows * width * 4 * width / min(product)
    spent = {name: seconds / steps for name, seconds in trained.parts.items()}
    rest = spent["steps"] - spent["generation"] - spent["rewards and records"]
    # Of a token 2 N operations forward, in drawing and in training, and 4 N backward.
    least = 2 * trained.parameters * trained.tokens / steps / speed
    lines = [
        ("generation", f"{spent['generation']:.2f}"),
        ("of it the model's products", f"{least:.2f}"),
        ("rewards and records", f"{spent['rewards and records']:.2f}"),
        ("forward, backward and the rest", f"{rest:.2f}"),
        ("of it the model's products", f"{3 * least:.2f}"),
    ]
    table((f"part of a step, {speed / 1e9:.0f} GFLOP/s", "CPU s"), lines)


def main() -> None:
    """Time both, alternating."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    own, stock = [], []
    for _ in range(arguments.runs):
        own.append(train(LengthSortedGRPOTrainer, arguments.steps, rollout_func=rollout))
        stock.append(train(GRPOTrainer, arguments.steps))
    later = arguments.steps - 1
    rows = []
    for name, of in (("recipe", own), ("stock TRL", stock)):
        cpu, wall = (statistics.median(getattr(t, key) / later for t in of) for key in CLOCKS)
        rows.append((name, f"{cpu:.2f}", f"{wall:.2f}", f"{256 / cpu:.0f}"))
    table(("256 completions a step", "CPU s", "wall s", "completions per CPU s"), rows)
    times = [
        ratio([getattr(t, key) for t in stock], [getattr(t, key) for t in own]) for key in CLOCKS
    ]
    print(f"the recipe is {times[0]:.1f} times as fast by the CPU, {times[1]:.1f} by the wall\n")
    tell_parts(own[-1], arguments.steps)
    Result(
        "GRPO recipe, completions/s",
        "stock trl, same settings",
        ">= 1.2x",
        f"{times[0]:.1f}x",
        times[0] >= 1.2,
    ).tell()


if __name__ == "__main__":
    main()
