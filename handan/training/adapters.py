"""Low-rank adapters: settings that must be said, and one whole model at the end.

Checkpoints hold adapters; ``load_model`` puts them on their base. The finished run
holds the merged model, like every other arm, and its adapter in ``adapter/``.
"""

from pathlib import Path
from typing import Any

from handan.errors import UserError

REQUIRED = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")


def check_settings(model_config: Any, given: set[str]) -> None:
    """Stop where an adapter is half asked for.

    Args:
        model_config: TRL's ModelConfig.
        given: keys that are set in the YAML or on the command line.

    Raises:
        UserError: a key is missing, has no effect, or is not supported.
    """
    if model_config.load_in_4bit or model_config.load_in_8bit:
        raise UserError("load_in_4bit and load_in_8bit are not supported; train adapters on dtype")
    absent = [key for key in REQUIRED if key not in given]
    if model_config.use_peft and absent:
        raise UserError(f"use_peft is true: set '{absent[0]}' too; it decides the result")
    idle = sorted(key for key in given if key.startswith("lora_") or key == "use_dora")
    if idle and not model_config.use_peft:
        raise UserError(f"'{idle[0]}' has no effect: set use_peft to true, or remove it")


def save_merged(trainer: Any, base_name: str, source: dict, run_dir: Path, rank: int) -> None:
    """Save the adapter in ``run_dir/adapter`` and the model with it merged in ``run_dir``.

    The base, ``base_name`` with the arguments ``source``, is loaded anew for that, so it makes no
    difference how an engine has divided it.
    """
    from transformers import AutoModelForCausalLM
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    trainer.save_model(str(run_dir / "adapter"))
    unset_hf_deepspeed_config()  # or a model loaded under ZeRO-3 would be divided at once
    if rank > 0:
        return
    from peft import PeftModel

    kind = next(p.dtype for p in trainer.model.parameters() if not p.requires_grad)
    base = AutoModelForCausalLM.from_pretrained(base_name, dtype=kind, **source)
    merged: Any = PeftModel.from_pretrained(base, run_dir / "adapter").merge_and_unload()
    merged.save_pretrained(run_dir)
