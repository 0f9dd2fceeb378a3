"""The recipes on prompts, a suite and traces that are small enough for tests."""

from pathlib import Path

import yaml
from embedded import SUITES, launch, small_suite

from handan.records import file_hash

PROMPTS = """families: {binary_addition: 0.5, binary_subtraction: 0.3, ordering: 0.2}
widths: [1, 2, 3, 5]
num_problems: 60
seed: 3
"""
TWICE = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2"]
RECIPES = ["sft_distill", "grpo"]


def prepare(folder: Path) -> None:
    """Write prompts, a probe suite and traces into an empty folder."""
    (folder / "prompts.yaml").write_text(PROMPTS)
    human = yaml.safe_load((SUITES / "tiny_probe.yaml").read_text())["tasks"]
    small_suite(folder, tasks=human, greedy=False)
    traces(folder, folder / "traces")


def traces(small, output_dir, check=True):
    config = ["--config", "recipes/configs/tiny/traces.yaml", "--output_dir", output_dir]
    more = ["--prompts", small / "prompts.yaml", "--batch_size", "16"]
    return launch("cpu", "recipes/traces.py", *config, *more, check=check)


def arguments(recipe, small, output_dir, *more):
    """The words of a command that trains four steps, saving and probing every second."""
    config = ["--config", f"recipes/configs/tiny/{recipe}.yaml", "--output_dir", output_dir]
    shared = ["--prompts", small / "prompts.yaml", "--suite", small / "suite.yaml"]
    steps = ["--max_steps", "4", "--save_steps", "2", "--probe_steps", "2"]
    own = {
        "sft_distill": ["--traces", small / "traces" / "traces.jsonl"],
        "grpo": [*TWICE, "--num_generations", "4"],
        "on_policy_distill": TWICE,
    }[recipe]
    return [f"recipes/{recipe}.py", *config, *shared, *steps, *own, *more]


def weights(folder):
    return file_hash(folder / "model.safetensors")
