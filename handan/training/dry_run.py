"""``--dry_run`` of a recipe: what would be trained, what it would take, and what is missing."""

import importlib.util
import os
from pathlib import Path
from typing import Any

from handan import hardware
from handan.config import given_keys, read_yaml
from handan.evaluation import resource_estimate
from handan.evaluation.resource_estimate import training_bytes
from handan.evaluation.suite import Suite, load_suite, suite_items
from handan.files import read_jsonl
from handan.training.data import load_prompts
from handan.training.settings import measured_steps

# Prompts of arithmetic in words, with a chat template.
PROMPT_TOKENS = 100
LORA_SHARE = 0.01
GPUS_OF_A_NODE = 8


def words() -> tuple[str, ...]:
    """What a dry run adds to the command line.

    Without a GPU, transformers refuses bf16 unless it is told that the CPU is meant.
    """
    asked = "dry_run" in given_keys()[1]
    return ("--use_cpu", "true") if asked and not hardware.gpus() else ()


def show(recipe: Any, config: Any, model_config: Any) -> None:
    """Print the plan of one training run, on the first process only.

    Args:
        recipe: arguments of the recipe.
        config: TRL's configuration.
        model_config: TRL's ModelConfig.

    Raises:
        UserError: a file that the run needs is wrong.
    """
    if int(os.environ.get("RANK", "0")):
        return
    suite = load_suite(Path(recipe.suite))
    prompts = len(load_prompts(Path(recipe.prompts)))
    rows = [
        ("model", _model_text(model_config.model_name_or_path, model_config.model_revision)),
        *_teacher(recipe, config),
        ("prompts", f"{prompts:,} of {recipe.prompts}, none of them an evaluation item"),
        ("work", _work_text(recipe, config)),
        ("probe", _probe_text(recipe, config, suite)),
        *_full_suite(recipe, config),
        ("memory", _memory_text(recipe, config, model_config)),
        ("output", config.output_dir),
    ]
    print(f"{recipe.arm}: dry run, nothing is loaded or trained")
    for name, text in rows:
        print(f"  {name:8} {text}")
    for sentence in _missing(recipe, config, model_config):
        print(f"  missing: {sentence}")


def _model_text(model: str, revision: str | None) -> str:
    if Path(model).is_dir():
        return f"{model} (directory)"
    return f"{model} at revision {revision or 'main'}"


def _teacher(recipe: Any, config: Any) -> list[tuple[str, str]]:
    """The teacher's row, for arms that have one."""
    if teacher := getattr(config, "teacher_model_name_or_path", None):
        return [("teacher", _model_text(teacher, config.teacher_model_revision))]
    traces = getattr(recipe, "traces", None)
    if not traces:
        return []
    if not Path(traces).exists():
        made = f"made first from {recipe.traces_config}" if recipe.traces_config else "missing"
        return [("traces", f"{traces}: {made}")]
    return [("traces", f"{traces}: {len(read_jsonl(Path(traces))):,}")]


def _work_text(recipe: Any, config: Any) -> str:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * processes
    text = f"{config.max_steps:,} steps of {batch:,} rows on {processes} process(es)"
    cap = getattr(config, "max_completion_length", None)
    if cap is None:
        return text
    most = config.max_steps * batch * cap
    return f"{text}, at most {most / 1e6:,.1f} M generated tokens"


def _probe_text(recipe: Any, config: Any, suite: Suite) -> str:
    if not recipe.probe_steps and not recipe.probe_log_spaced:
        return "never"
    steps = measured_steps(config.max_steps, recipe.probe_steps, recipe.probe_log_spaced)
    return _measured_text(suite, steps)


def _full_suite(recipe: Any, config: Any) -> list[tuple[str, str]]:
    """The larger suite's row, for runs that measure one."""
    if recipe.full_suite is None:
        return []
    suite = load_suite(Path(recipe.full_suite))
    steps = measured_steps(config.max_steps, recipe.full_suite_steps)
    return [("full", _measured_text(suite, steps))]


def _measured_text(suite: Suite, steps: list[int]) -> str:
    requests = len(suite_items(suite)) * len(suite.decodings())
    return (
        f"{len(steps)} x {requests:,} responses of suite {suite.name}, cap {suite.max_new_tokens:,}"
    )


def _longest(recipe: Any, config: Any) -> int:
    """Tokens of the longest response: the cap of completions, or that of the traces."""
    cap = getattr(config, "max_completion_length", None)
    if cap is None and (made_by := getattr(recipe, "traces_config", None)):
        cap = read_yaml(Path(made_by)).get("max_new_tokens")
    return cap or getattr(config, "max_length", None) or 0


def _memory_text(recipe: Any, config: Any, model_config: Any) -> str:
    sizes = resource_estimate.find(model_config.model_name_or_path)
    if sizes is None:
        return "unknown: neither a directory nor in handan/evaluation/architectures.yaml"
    tokens = config.per_device_train_batch_size * (PROMPT_TOKENS + _longest(recipe, config))
    trained = LORA_SHARE if model_config.use_peft else 1.0
    alone = training_bytes(sizes, 1, tokens, trained)
    shared = training_bytes(sizes, GPUS_OF_A_NODE, tokens, trained, sharded=True)
    named = getattr(config, "teacher_model_name_or_path", None)
    if named and (teacher := resource_estimate.find(named)):
        alone += teacher.weight_bytes
        shared += teacher.weight_bytes / GPUS_OF_A_NODE
    extra = " beside vLLM's share" if getattr(config, "use_vllm", False) else ""
    return (
        f"about {alone / 1e9:,.3g} GB on each GPU{extra}, {shared / 1e9:,.3g} GB with ZeRO-3 or "
        f"FSDP over {GPUS_OF_A_NODE}"
    )


def _missing(recipe: Any, config: Any, model_config: Any) -> list[str]:
    """What stands between this machine and the run, each as one sentence."""
    found = []
    wanted = [(model_config.model_name_or_path, model_config.model_revision)]
    if teacher := getattr(config, "teacher_model_name_or_path", None):
        wanted.append((teacher, config.teacher_model_revision))
    for model, revision in wanted:
        if not Path(model).is_dir() and not hardware.is_cached(model, revision):
            found.append(f"{model} is not in the hub cache and is downloaded when it runs")
    traces = getattr(recipe, "traces", None)
    if traces and not Path(traces).exists() and not recipe.traces_config:
        found.append(f"{traces}: make it with recipes/traces.py")
    if getattr(config, "use_vllm", False) and importlib.util.find_spec("vllm") is None:
        found.append("vllm is not installed: pip install 'handan[vllm]'")
    if "use_cpu" not in given_keys()[1] and not hardware.gpus():
        found.append("this machine has no GPU that torch can use")
    return found
