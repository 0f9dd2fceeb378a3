"""The recipes on prompts, a suite and traces that are small enough for tests."""

from pathlib import Path

import yaml
from embedded import SUITES, run_python, run_script, small_suite

from handan.files import file_hash

PROMPTS = """families: {binary_addition: 0.5, binary_subtraction: 0.3, ordering: 0.2}
widths: [1, 2, 3, 5]
num_problems: 60
seed: 3
"""
TWICE = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2"]
RECIPES = ["sft_distill", "grpo"]
# Launch configs of two processes that between them have every engine a CPU can run.
TWO_RANKS = {"sft_distill": "ddp-cpu", "grpo": "zero2-cpu", "on_policy_distill": "zero3-cpu"}
# Groups of similar lengths, and what fills up the last batch of an epoch, depend on the number of
# processes; so a random order, and less than an epoch.
RANDOM_ORDER = ["--train_sampling_strategy", "random"]


def prepare(folder: Path) -> None:
    """Write prompts, a probe suite and traces into an empty folder."""
    (folder / "prompts.yaml").write_text(PROMPTS)
    human = yaml.safe_load((SUITES / "tiny_probe.yaml").read_text())["tasks"]
    small_suite(folder, tasks=human, greedy=False)
    traces(folder, folder / "traces", start=run_python)


def traces(small, output_dir, check=True, start=run_script):
    config = ["--config", "recipes/configs/tiny/traces.yaml", "--output_dir", output_dir]
    more = ["--prompts", small / "prompts.yaml", "--batch_size", "16"]
    return start("recipes/traces.py", *config, *more, check=check)


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


def of_two_ranks(recipe):
    """More words, for as many rows a step on two processes as on one."""
    one_micro_batch = ["--gradient_accumulation_steps", "1", "--per_device_train_batch_size"]
    return (
        [*one_micro_batch, "12", *RANDOM_ORDER, "--logging_steps", "1"]
        if recipe == "sft_distill"
        else [*one_micro_batch, "8"]
    )


def weights(folder):
    return file_hash(folder / "model.safetensors")
