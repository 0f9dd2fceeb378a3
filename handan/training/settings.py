"""The arguments that all recipes share, and what of all settings is recorded."""

import dataclasses
import importlib.util
import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handan.errors import UserError
from handan.generation.formats import AUTO
from handan.training import trackers
from handan.training.saving import steps_of_a_generation

# Where a run lies, who watches it and who may push it does not change what it is.
NOT_RECORDED = (
    "output_dir",
    "resume",
    "report_to",
    "run_name",
    "disable_tqdm",
    "dry_run",
    "hub_token",
    "push_to_hub_token",
)


# Keys of TRL and transformers that a recipe takes from elsewhere, and what to set instead.
INERT = {
    "model_init_kwargs": "set dtype, attn_implementation and model_revision",
    "teacher_model_init_kwargs": "set teacher_model_revision",
    "chat_template_path": "save the template with the tokenizer of the model",
    "resume_from_checkpoint": "set resume",
    "num_train_epochs": "set max_steps",
    "vllm_importance_sampling_cap": "set vllm_importance_sampling_clip_max",
    "use_transformers_continuous_batching": "set use_vllm",
    "use_transformers_paged": "set use_vllm",
    "trackio_static_space_id": "freeze a Space with trackio once the run is finished",
}


@dataclass
class RecipeArguments:
    """Arguments of every training recipe, beside those of TRL and transformers."""

    arm: str = field(metadata={"help": "name of this arm in all tables"})
    prompts: str = field(metadata={"help": "training prompts: a problem set (YAML) or JSON lines"})
    suite: str = field(metadata={"help": "suite that is probed along training"})
    probe_steps: int = field(
        metadata={
            "help": "probe every so many steps, at step 0 and the end; 0: never, or only as "
            "probe_log_spaced says"
        }
    )
    probe_log_spaced: int = field(
        default=0,
        metadata={
            "help": "probe also at so many steps, evenly spaced in log steps from 1 to the end"
        },
    )
    full_suite: str | None = field(
        default=None, metadata={"help": "a larger suite that is measured at step 0 and the end"}
    )
    full_suite_steps: int = field(
        default=0, metadata={"help": "measure the larger suite every so many steps too"}
    )
    probe_time_share: float | None = field(
        default=None,
        metadata={
            "help": "skip measurements between the first and the last while measuring would take "
            "more than this share of the time"
        },
    )
    num_threads: int | None = field(
        default=None,
        metadata={"help": "CPU threads of each process; their number changes the last bits"},
    )
    reasoning_format: str = field(
        default=AUTO,
        metadata={"help": "how the model marks its reasoning; auto: as its chat template shows"},
    )
    resume: str = field(
        default="auto",
        metadata={
            "help": "auto: go on from the newest whole checkpoint; never: refuse if there is any; "
            "must: refuse if there is none"
        },
    )
    dry_run: bool = field(default=False, metadata={"help": "print the plan and stop"})


RESUME = ("auto", "never", "must")
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


def check_saving(resume: str, config: Any) -> None:
    """Stop if a run could not go on from its checkpoints to the result it would have had.

    Args:
        resume: of the recipe.
        config: of the trainer.

    Raises:
        UserError: names the key.
    """
    if resume not in RESUME:
        raise UserError(f"resume is {resume!r}; set it to {', '.join(RESUME[:-1])} or {RESUME[-1]}")
    for key, why in NOT_RESUMABLE.items():
        if getattr(config, key):
            raise UserError(f"{key}: leave it out; {why}")
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
        raise UserError(
            f"save_steps is {every:g}, but completions serve {shared} steps; make it a multiple of "
            "that"
        )


def resolved(*parts: Any) -> dict:
    """The whole configuration of a run as plain values, without places and secrets."""
    values: dict[str, Any] = {}
    for part in parts:
        for entry in dataclasses.fields(part):
            if entry.init and entry.name not in NOT_RECORDED:
                values[entry.name] = getattr(part, entry.name)
    return json.loads(json.dumps(values, default=str))


def refuse_inert(config: Any, given: set[str]) -> None:
    """Stop at a key that has no effect, or that would get past the checks of this package.

    Raises:
        UserError: names the key and what to set instead.
    """
    for key, cure in INERT.items():
        if key in given and getattr(config, key, None) is not None:
            raise UserError(f"{key}: not used here; {cure}")


def check_installed(config: Any) -> None:
    """Stop if a setting needs a package that is not there.

    Raises:
        UserError: names the setting and how to install the package.
    """
    for key, package, extra in (
        ("use_vllm", "vllm", "vllm"),
        ("use_liger_kernel", "liger_kernel", "liger"),
    ):
        if getattr(config, key, False) and importlib.util.find_spec(package) is None:
            raise UserError(
                f"{key} is true, but {package} is not installed: pip install 'handan[{extra}]', or "
                f"set {key} to false"
            )
    trackers.check(config.report_to)


# At which steps a run is measured.

# Settings of a recipe that say when it measures; they may change when a run goes on.
SCHEDULE = ("probe_steps", "probe_log_spaced", "full_suite_steps", "probe_time_share")


def measured_steps(max_steps: int, every: int, log_spaced: int = 0) -> list[int]:
    """Steps at which a suite is measured, in order: 0, the last one, and those between.

    Args:
        max_steps: steps of the training.
        every: a step between is measured if it is a multiple of this; 0: none is.
        log_spaced: number of steps from 1 to ``max_steps`` whose logarithms are evenly spaced,
            each rounded to a whole step; those that fall on one step are measured once.
    """
    steps = {0, max_steps}
    if every:
        steps.update(range(0, max_steps, every))
    if log_spaced and max_steps:
        steps.update(round(step) for step in np.geomspace(1, max_steps, log_spaced).tolist())
    return sorted(steps)


def check_schedule(recipe: Any) -> None:
    """Stop if the settings that say when a run is measured make no sense.

    Args:
        recipe: a recipe's arguments, with ``full_suite`` and the keys of ``SCHEDULE``.

    Raises:
        UserError: names the key and what it may be.
    """
    for key in ("probe_steps", "probe_log_spaced", "full_suite_steps"):
        if getattr(recipe, key) < 0:
            raise UserError(f"{key} is {getattr(recipe, key)}; give a number from 0 on")
    if recipe.full_suite_steps and recipe.full_suite is None:
        raise UserError("full_suite_steps is set, but no suite is; set full_suite to its YAML")
    share = recipe.probe_time_share
    measured = recipe.probe_steps or recipe.probe_log_spaced or recipe.full_suite
    if share is not None and not measured:
        raise UserError("probe_time_share is set, but nothing is measured; set probe_steps")
    if share is not None and not 0 < share <= 1:
        raise UserError(f"probe_time_share is {share:g}; give a share of the time from 0 to 1")
