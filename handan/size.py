"""How many parameters a token is multiplied with: the N of every count of FLOPs."""

from typing import Any, NamedTuple


class Size(NamedTuple):
    """Parameters of a model that cost work.

    Attributes:
        multiplied: those a token is multiplied with: all but a table of input embeddings, which is
            only looked up; one that is tied to the output layer is multiplied there. Of a mixture
            of experts, the share of the experts that one token passes through.
        trained: those of them that are trained; the adapters under LoRA.
    """

    multiplied: int
    trained: int


def size_of(model: Any) -> Size:
    """Count a transformers model, whole or sharded, with adapters or without.

    Args:
        model: unwrapped from its engine. Parameters that ZeRO-3 has scattered count in full.
    """
    looked_up = model.get_input_embeddings().weight
    output = model.get_output_embeddings()
    if output is not None and output.weight is looked_up:
        looked_up = None
    share = _expert_share(model.config.get_text_config())
    multiplied = trained = 0.0
    for name, parameter in model.named_parameters():
        if parameter is looked_up:
            continue
        count = getattr(parameter, "ds_numel", parameter.numel())
        count *= share if ".experts." in name else 1
        multiplied += count
        trained += count if parameter.requires_grad else 0
    return Size(round(multiplied), round(trained))


def size_of_named(name: str, revision: str | None = None) -> int | None:
    """``Size.multiplied`` of a directory or a hub model, from its config alone.

    None if there is no config to be had, as of a model that is known to a server only or that needs
    code of its own.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError):
        return None
    return size_of(model).multiplied


def _expert_share(config: Any) -> float:
    chosen = getattr(config, "num_experts_per_tok", None)
    for key in ("num_local_experts", "num_experts", "n_routed_experts"):
        if chosen and getattr(config, key, None):
            return chosen / getattr(config, key)
    return 1.0
