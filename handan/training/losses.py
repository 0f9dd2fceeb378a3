"""Refuse settings of TRL's ``config`` that change, unseen, how much a token counts or is drawn."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from handan.errors import UserError

# TRL's losses of GRPO; each divides by something else, so none is a default here.
LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
MICRO_BATCH_MEAN = "its mean is over the tokens of each micro-batch"
DRAWN = "completions are drawn as in an evaluation, from temperature, top_p and the cap alone"
# Settings under which a token's weight would depend on how long its completion is, or on which
# others are in its micro-batch; their values that do nothing; why.
UNEVEN: dict[str, tuple[tuple[Any, ...], str]] = {
    "off_policy_mask_threshold": (
        (None,),
        "completions would leave the loss by a mean over their tokens, short ones more often",
    ),
    "top_entropy_quantile": (
        (1.0,),
        "tokens would leave the loss by a quantile of the micro-batch they are in",
    ),
    "entropy_coef": ((0.0,), MICRO_BATCH_MEAN),
    "use_adaptive_entropy": ((False,), MICRO_BATCH_MEAN),
    "neftune_noise_alpha": ((None, 0.0), "its noise depends on the length of the row"),
}
# Settings of generation beside temperature, top_p and the cap, in the same way.
DRAWING: dict[str, tuple[tuple[Any, ...], str]] = {
    "top_k": ((0, -1, None), DRAWN),
    "min_p": ((0.0, None), DRAWN),
    "repetition_penalty": ((1.0, None), DRAWN),
    "generation_kwargs": (({}, None), DRAWN),
    "chat_template_kwargs": (({}, None), DRAWN),
    "vllm_structured_outputs_regex": ((None,), DRAWN),
}


def check_sft_loss(config: Any, given: Collection[str]) -> None:
    """Raise UserError if a token's weight in SFT would depend on its place, or traces be cut."""
    if config.loss_type not in ("nll", "dft"):
        raise UserError(f"loss_type is '{config.loss_type}'; use nll or dft")
    if config.packing and config.packing_strategy == "wrapped":
        raise UserError("packing_strategy 'wrapped' cuts traces; use bfd")
    if config.padding_free and not config.packing:
        raise UserError(
            "padding_free puts the traces of a micro-batch into one row, but only packed rows are "
            "checked for traces that read each other; set packing to true too, or remove it"
        )
    if not config.average_tokens_across_devices:
        raise UserError(
            "average_tokens_across_devices is false, so a token's weight would depend on the "
            "process it is on; remove the key"
        )
    _check_neutral(config, UNEVEN)


def check_grpo(config: Any, given: Collection[str]) -> None:
    """Raise UserError at a loss or a way of drawing that no run of GRPO may have."""
    check_loss(config, config.world_size)
    if config.loss_type == "cispo" and "epsilon_high" not in given:
        # TRL would take epsilon, .2, for the largest weight of a token.
        raise UserError("loss_type is cispo: set 'epsilon_high' too; it decides the result")
    check_drawing(config, given)
    if not is_weighed(config):
        return
    for key in ("vllm_importance_sampling_mode", "vllm_importance_sampling_clip_max"):
        if key not in given:
            raise UserError(f"use_vllm is true: set '{key}' too; it decides the result")
    mode = config.vllm_importance_sampling_mode
    # With differences of .012 a token between vLLM and the trainer, a twentieth of completions of
    # 4,096 tokens has a ratio above 3.
    if mode not in ("token_truncate", "token_mask"):
        raise UserError(
            f"vllm_importance_sampling_mode is '{mode}', but the ratio of a whole completion is a "
            "product over its tokens, so its weight would fall with its length; use token_truncate "
            "or token_mask"
        )
    if config.loss_type == "vespo":
        raise UserError(
            "loss_type vespo weighs what vLLM drew by a product over the tokens of a completion, "
            "so by its length; use dapo, or set use_vllm to false"
        )
    low, high = config.vllm_importance_sampling_clip_min, config.vllm_importance_sampling_clip_max
    if (high is not None and high < 1) or (low is not None and low > 1):
        raise UserError(
            f"vllm_importance_sampling_clip_min and _max are {low} and {high}, but the ratio of a "
            "token on which vLLM and the trainer agree is 1; let them enclose it"
        )


def check_loss(config: Any, num_processes: int) -> None:
    """Raise UserError if a GRPO loss is unknown, or weighs a token by the batch it is in."""
    if config.loss_type not in LOSSES:
        raise UserError(f"loss_type is '{config.loss_type}'; use {', '.join(LOSSES)}")
    batches = config.gradient_accumulation_steps * num_processes
    if config.loss_type == "bnpo" and batches > 1:
        raise UserError(
            f"loss_type bnpo divides by the tokens of each of {batches} micro-batches, so a "
            "token's weight would depend on which it is in; use dapo, which divides by those of "
            "the whole batch"
        )


def is_weighed(config: Any) -> bool:
    """Tell whether the tokens that vLLM drew are weighed by what the trainer thinks of them."""
    return config.use_vllm and config.vllm_importance_sampling_correction


def check_drawing(config: Any, given: Collection[str]) -> None:
    """Raise UserError at a setting of generation, given or by default, unlike an evaluation's."""
    _check_neutral(config, UNEVEN | DRAWING)
    if config.use_vllm and config.vllm_mode == "server" and config.use_cpu:
        raise UserError(
            "vllm_mode is server and use_cpu is true, but TRL hands weights to a server by NCCL, "
            "from GPU to GPU; set vllm_mode to colocate"
        )


def _check_neutral(config: Any, settings: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
    for key, (neutral, why) in settings.items():
        if (value := getattr(config, key, neutral[0])) not in neutral:
            raise UserError(f"{key} is {value!r}, but {why}; remove it")


def check_context(config: Any, model: Any, rows: Sequence[dict]) -> None:
    """Raise UserError if vLLM's context would end completions of ``rows`` before the cap."""
    if not config.use_vllm or config.vllm_mode != "colocate":
        return  # the context of a server is the server's own
    needed = max(len(row["prompt_ids"]) for row in rows) + config.max_completion_length
    own = getattr(model.config.get_text_config(), "max_position_embeddings", needed)
    context = config.vllm_max_model_length or own
    if needed > context:
        raise UserError(
            f"vLLM's context holds {context} tokens, but the longest prompt and "
            f"max_completion_length take {needed}, so completions would end before the cap; set "
            f"vllm_max_model_length to at least {needed}"
        )
