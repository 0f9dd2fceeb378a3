"""The arguments that all recipes share, what is refused of all settings, and the dry run."""

import dataclasses
import importlib.util
import json
import math
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handan import hardware
from handan.config import given_keys, key, read_yaml
from handan.errors import UserError
from handan.evaluation import resource_estimate
from handan.evaluation.resource_estimate import training_bytes
from handan.evaluation.suite import load_suite, suite_items
from handan.files import read_jsonl, shipped
from handan.generation.formats import AUTO
from handan.training import trackers
from handan.training.arms import RECIPES
from handan.training.data import load_prompts
from handan.training.saving import steps_of_a_generation

# Where a run lies, who watches it and who may push it does not change what it is.
PLACES = ("output_dir", "resume", "report_to", "run_name", "disable_tqdm", "dry_run")
NOT_RECORDED = (*PLACES, "hub_token", "push_to_hub_token")
# Keys of TRL and transformers that a recipe takes from elsewhere, and what to set instead.
INERT = {
    "model_init_kwargs": "set dtype, attn_implementation and model_revision",
    "teacher_model_init_kwargs": "set teacher_model_revision",
    "chat_template_path": "save the template with the tokenizer of the model",
    "resume_from_checkpoint": "set resume",
    "num_train_epochs": "set max_steps",
    "reward_weights": "set reward",
    "vllm_importance_sampling_cap": "set vllm_importance_sampling_clip_max",
    "use_transformers_continuous_batching": "set use_vllm",
    "use_transformers_paged": "set use_vllm",
    "push_to_hub": "publish the arm once it is evaluated: handan publish RUN_DIR --push_to_hub",
    **dict.fromkeys(("load_in_4bit", "load_in_8bit"), "train adapters on dtype"),
    "trackio_static_space_id": "freeze a Space with trackio once the run is finished",
}
# Steps of the embedded pair that two cores do in under three minutes, where it has more.
FIRST_STEPS = {"grpo": 30, "on_policy_distill": 30}
# Keys that people know from TRL's own scripts.
ELSEWHERE = {
    "reward_funcs": "the reward is the evaluator's grade of an answer",
    "dataset_name": "set prompts, a problem set or JSON lines",
}
# Keys of TRL's that --help shows beside those that must be set; and words for some of both.
OFTEN = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "lr_scheduler_type"),
    *("save_steps", "bf16", "use_cpu", "use_peft", "report_to"),
)
WORDS = {"output_dir": "run directory", "max_steps": "training steps"}
WORDS |= {"gradient_accumulation_steps": "batches of a step", "bf16": "mixed precision"}
# Settings of transformers under which a run would not be, or not go on as, the one that was begun.
NOT_RESUMABLE = {
    "save_only_model": "no run could go on from a checkpoint without the state of the optimizer",
    "save_on_each_node": "output_dir is shared by all machines, and one process writes each file",
    "load_best_model_at_end": "the model of a run is the one at max_steps",
    "ignore_data_skip": "a run that goes on would begin with the first rows again",
    "auto_find_batch_size": "a step would be of fewer rows than the YAML says",
    "enable_jit_checkpoint": "a recipe saves by itself when it is asked to stop, at the same step "
    "on all processes",
}
GPUS_OF_A_NODE = 8


@dataclass
class RecipeArguments:
    """Arguments of every training recipe, beside those of TRL and transformers."""

    arm: str = key("name of this arm in all tables")
    prompts: str = key(
        "training prompts: a problem set or a data set (YAML), or JSON lines, CSV, parquet"
    )
    suite: str = key("suite that is probed along training")
    probe_steps: int = key(
        "probe every so many steps, at step 0 and the end; 0: never, or only as probe_log_spaced "
        "says"
    )
    probe_log_spaced: int = key(
        "probe also at so many steps, evenly spaced in log steps from 1 to the end", 0
    )
    full_suite: str | None = key("a larger suite that is measured at step 0 and the end", None)
    full_suite_steps: int = key("measure the larger suite every so many steps too", 0)
    probe_time_share: float | None = key(
        "skip measurements between the first and the last while measuring would take more than "
        "this share of the time",
        None,
    )
    num_threads: int | None = key(
        "CPU threads of each process; their number changes the last bits", None
    )
    reasoning_format: str = key(
        "how the model marks its reasoning; auto: as its chat template shows", AUTO
    )
    resume: str = key(
        "auto: go on from the newest whole checkpoint; never: refuse if there is any; must: refuse "
        "if there is none",
        "auto",
    )
    dry_run: bool = key("print the plan and stop", False)


def help_text(name: str, kinds: tuple[type, ...], required: tuple[str, ...], every: bool) -> str:
    """The keys of a recipe in groups, a line each; with ``every`` all of TRL's at full length."""
    fields = {field.name: field for kind in kinds for field in dataclasses.fields(kind)}
    own = [field.name for field in dataclasses.fields(kinds[0])]
    hidden = {*required, *own, *INERT, *NOT_RESUMABLE}
    of_trl = [field.name for field in fields.values() if field.init] if every else OFTEN
    groups = {
        "must be set, since they decide the result": required,
        "of this recipe": [name for name in own if name not in required],
        "of TRL and transformers": [name for name in of_trl if name not in hidden],
    }
    words = "[--config YAML] [--accelerate_config YAML] [--KEY VALUE ...]"
    lines = [f"usage: handan train {RECIPES[name].command} {words}"]
    lines += ["Keys on the command line win over the YAML's; without any, the embedded pair's run."]
    for title, names in groups.items():
        lines += ["", f"{title}:"]
        for name in names:
            text = WORDS.get(name) or fields[name].metadata["help"].replace("%%", "%")
            short = [textwrap.shorten(text.split(". ")[0].rstrip("."), 66, placeholder=" …")]
            told = textwrap.wrap(text, 66) if every else short
            lines += [f"  --{name:<29}{told[0]}", *(" " * 33 + line for line in told[1:])]
    more = [] if every else ["", "--help-all: all keys of TRL and transformers that can be used"]
    return "\n".join([*lines, *more])


def resolved(*parts: Any) -> dict:
    """Make plain values of the whole configuration of a run, without places and secrets."""
    values = {
        entry.name: getattr(part, entry.name)
        for part in parts
        for entry in dataclasses.fields(part)
        if entry.init and entry.name not in NOT_RECORDED
    }
    return json.loads(json.dumps(values, default=str))


def measured_steps(max_steps: int, every: int, log_spaced: int = 0) -> list[int]:
    """Steps to measure at: 0, the last, multiples of ``every``, and so many at even log steps."""
    steps = {0, max_steps}
    if every:
        steps.update(range(0, max_steps, every))
    if log_spaced and max_steps:
        steps.update(round(step) for step in np.geomspace(1, max_steps, log_spaced).tolist())
    return sorted(steps)


def check_schedule(recipe: RecipeArguments) -> None:
    """Raise UserError if the settings that say when a run is measured make no sense."""
    for name in ("probe_steps", "probe_log_spaced", "full_suite_steps"):
        if getattr(recipe, name) < 0:
            raise UserError(f"{name} is {getattr(recipe, name)}; give a number from 0 on")
    if recipe.full_suite_steps and recipe.full_suite is None:
        raise UserError("full_suite_steps is set, but no suite is; set full_suite to its YAML")
    share = recipe.probe_time_share
    if share is None:
        return
    if not (recipe.probe_steps or recipe.probe_log_spaced or recipe.full_suite):
        raise UserError("probe_time_share is set, but nothing is measured; set probe_steps")
    if not 0 < share <= 1:
        raise UserError(f"probe_time_share is {share:g}; give a share of the time from 0 to 1")


def check_saving(resume: str, config: Any) -> None:
    """Raise UserError if a run could not go on to the result it would have had."""
    if resume not in ("auto", "never", "must"):
        raise UserError(f"resume is {resume!r}; set it to auto, never or must")
    for name, why in NOT_RESUMABLE.items():
        if getattr(config, name):
            raise UserError(f"{name}: leave it out; {why}")
    if config.max_steps < 1:
        raise UserError(f"max_steps is {config.max_steps}; give at least 1: epochs are not counted")
    strategy = config.save_strategy.value
    if strategy == "best":
        raise UserError("save_strategy is 'best', which no recipe measures; set it to steps")
    shared = steps_of_a_generation(config)
    if strategy == "epoch" and shared > 1:
        raise UserError(
            f"save_strategy is 'epoch', but completions serve {shared} steps, and an epoch may end "
            "between them; set it to steps, with save_steps a multiple of that"
        )
    every = config.save_steps  # below 1: a share of max_steps
    every = math.ceil(config.max_steps * every) if every < 1 else every
    if strategy == "steps" and every % shared:
        cure = "make it a multiple of that"
        raise UserError(f"save_steps is {every:g}, but completions serve {shared} steps; {cure}")


def check_adapters(model_config: Any, given: set[str]) -> None:
    """Raise UserError where an adapter is half asked for by the ``given`` keys."""
    decisive = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
    absent = [name for name in decisive if name not in given]
    if model_config.use_peft and absent:
        raise UserError(f"use_peft is true: set '{absent[0]}' too; it decides the result")
    idle = sorted(name for name in given if name.startswith("lora_") or name == "use_dora")
    if idle and not model_config.use_peft:
        raise UserError(f"'{idle[0]}' has no effect: set use_peft to true, or remove it")


def check_installed(config: Any) -> None:
    """Raise UserError if a setting needs a package that is not there."""
    extras = (("use_vllm", "vllm", "vllm"), ("use_liger_kernel", "liger_kernel", "liger"))
    for name, package, extra in extras:
        if getattr(config, name, False) and importlib.util.find_spec(package) is None:
            cure = f"pip install 'handan[{extra}]', or set {name} to false"
            raise UserError(f"{name} is true, but {package} is not installed: {cure}")
    trackers.check(config.report_to)


def show_plan(recipe: Any, config: Any, model_config: Any) -> None:
    """Print the plan of one training run, on the first process only."""
    if int(os.environ.get("RANK", "0")):
        return
    models = {"model": (model_config.model_name_or_path, model_config.model_revision)}
    if teacher := getattr(config, "teacher_model_name_or_path", None):
        models["teacher"] = (teacher, config.teacher_model_revision)
    plan = {}
    for name, (model, revision) in models.items():
        where = (
            "(directory)" if Path(shipped(model)).is_dir() else f"at revision {revision or 'main'}"
        )
        plan[name] = f"{model} {where}"
    traces, missing = getattr(recipe, "traces", None), []
    if traces and Path(traces).exists():
        plan["traces"] = f"{traces}: {len(read_jsonl(Path(traces))):,}"
    elif traces and recipe.traces_config:
        plan["traces"] = f"{traces}: made first from {recipe.traces_config}"
    elif traces:
        plan["traces"] = f"{traces}: missing"
        missing.append(f"{traces}: make it with handan traces")
    suites = [load_suite(Path(path)) for path in (recipe.suite, recipe.full_suite) if path]
    number = len(load_prompts(Path(recipe.prompts), suites))
    plan["prompts"] = f"{number:,} of {recipe.prompts}, none of them an evaluation item"
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * processes
    plan["work"] = f"{config.max_steps:,} steps of {batch:,} rows on {processes} process(es)"
    if cap := getattr(config, "max_completion_length", None):
        most = config.max_steps * batch * cap
        plan["work"] += f", at most {most / 1e6:,.1f} M generated tokens"
    plan["probe"] = "never"
    schedules = {"probe": (recipe.suite, recipe.probe_steps, recipe.probe_log_spaced)}
    if recipe.full_suite:
        schedules["full"] = (recipe.full_suite, recipe.full_suite_steps, 0)
    for name, (path, every, log_spaced) in schedules.items():
        suite = load_suite(Path(path))
        if name == "full" or every or log_spaced:
            steps = measured_steps(config.max_steps, every, log_spaced)
            requests = len(suite_items(suite)) * len(suite.decodings())
            responses = f"{len(steps)} x {requests:,} responses of suite {suite.name}"
            plan[name] = f"{responses}, cap {suite.max_new_tokens:,}"
    plan["memory"] = _memory_text(recipe, config, model_config)
    plan["output"] = config.output_dir
    print(f"{recipe.arm}: dry run, nothing is loaded or trained")
    for name, text in plan.items():
        print(f"  {name:8} {text}")
    for model, revision in models.values():
        if not Path(shipped(model)).is_dir() and not hardware.is_cached(model, revision):
            missing.append(f"{model} is not in the hub cache and is downloaded when it runs")
    if getattr(config, "use_vllm", False) and importlib.util.find_spec("vllm") is None:
        missing.append("vllm is not installed: pip install 'handan[vllm]'")
    if "use_cpu" not in given_keys()[1] and not hardware.gpus():
        missing.append("this machine has no GPU that torch can use")
    for sentence in missing:
        print(f"  missing: {sentence}")


def _memory_text(recipe: Any, config: Any, model_config: Any) -> str:
    sizes = resource_estimate.find(model_config.model_name_or_path)
    if sizes is None:
        return "unknown: neither a directory nor in handan/evaluation/architectures.yaml"
    longest = getattr(config, "max_completion_length", None)
    if longest is None and (made_by := getattr(recipe, "traces_config", None)):
        longest = read_yaml(Path(made_by)).get("max_new_tokens")
    longest = longest or getattr(config, "max_length", None) or 0
    # A prompt of arithmetic in words with a chat template has 100 tokens; adapters a hundredth.
    tokens = config.per_device_train_batch_size * (100 + longest)
    trained = 0.01 if model_config.use_peft else 1.0
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
