"""What of TRL's settings would change, unseen, how much a token counts or how one is drawn."""

from collections.abc import Collection
from typing import Any

from handan.errors import UserError

# TRL's losses of GRPO; each divides by something else, so none is a default here.
LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
# Settings of generation beside temperature, top_p and the cap, and the values that do nothing.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "top_k": (0, -1, None),
    "min_p": (0.0, None),
    "repetition_penalty": (1.0, None),
    "generation_kwargs": ({}, None),
    "chat_template_kwargs": ({}, None),
}


def check_loss(config: Any, processes: int) -> None:
    """Stop at a loss of GRPO that is not known, or in which a token's weight depends on its batch.

    Args:
        config: TRL's GRPOConfig.
        processes: of this launch.

    Raises:
        UserError: names the loss.
    """
    if config.loss_type not in LOSSES:
        raise UserError(f"loss_type is '{config.loss_type}'; use {', '.join(LOSSES)}")
    batches = config.gradient_accumulation_steps * processes
    if config.loss_type == "bnpo" and batches > 1:
        raise UserError(
            f"loss_type bnpo divides by the tokens of each of {batches} micro-batches, so a "
            "token's weight would depend on which it is in; use dapo, which divides by those of "
            "the whole batch"
        )


def check_sft_loss(config: Any) -> None:
    """Stop if the weight of a trained token would depend on the process it is on, or traces be cut.

    Raises:
        UserError: names the key.
    """
    if config.loss_type not in ("nll", "dft"):
        raise UserError(f"loss_type is '{config.loss_type}'; use nll or dft")
    if config.packing and config.packing_strategy == "wrapped":
        raise UserError("packing_strategy 'wrapped' cuts traces; use bfd")
    if not config.average_tokens_across_devices:
        raise UserError(
            "average_tokens_across_devices is false, so a token's weight would depend on the "
            "process it is on; remove the key"
        )


def check_drawing(config: Any, given: Collection[str]) -> None:
    """Stop at a setting of generation that an evaluation does not have.

    Args:
        config: TRL's configuration of a recipe that draws completions.
        given: keys that are set.

    Raises:
        UserError: names the key.
    """
    for key, neutral in NEUTRAL.items():
        value = getattr(config, key, None)
        if key in given and value not in neutral:
            raise UserError(
                f"{key} is {value!r}, but completions are drawn as in an evaluation, from "
                "temperature, top_p and the cap alone; remove it"
            )
