"""How much each completion weighs where the engine that drew it is not the one that trains.

vLLM computes probabilities a little differently from the trainer, so TRL multiplies the loss of a
token by their ratio. Per token that is a small correction. Of a whole completion it is a product
over its tokens, which strays from 1 the further the longer the completion is.
"""

from typing import Any

import torch

# No larger ratio is written: beyond it are numbers that JSON does not have.
LARGEST = 1e30


def of_completions(scored: dict[str, Any]) -> list[dict]:
    """What goes into ``rollouts.jsonl`` about the weight of each completion in the loss.

    Args:
        scored: what TRL's GRPOTrainer makes of a generation batch: ``completion_mask``,
            ``old_per_token_logps`` and ``sampling_per_token_logps`` of shape (rows, tokens), and
            ``importance_sampling_ratio``, the weights that are trained with, of that shape too or
            (rows, 1).

    Returns:
        A dict for each row: mean, least and largest ratio of its tokens before any clip
        (``ratio_mean``, ``ratio_min``, ``ratio_max``), the mean weight of its tokens after it
        (``weight_mean``), and ``trained_tokens``, those whose weight is not 0. Means are None of a
        row all of whose tokens are masked.
    """
    mask = scored["completion_mask"].bool()
    difference = scored["old_per_token_logps"] - scored["sampling_per_token_logps"]
    # A token whose probability vLLM does not tell is NaN, and TRL gives it the ratio 1.
    ratios = difference.nan_to_num(nan=0.0).double().exp().clamp(max=LARGEST)
    weights = scored["importance_sampling_ratio"].double().clamp(max=LARGEST).expand_as(ratios)
    return [_of_one(*row) for row in zip(ratios, weights, mask, strict=True)]


def _of_one(ratios: torch.Tensor, weights: torch.Tensor, mask: torch.Tensor) -> dict:
    ratios, weights = ratios[mask], weights[mask]
    names = ("ratio_mean", "ratio_min", "ratio_max", "weight_mean")
    if not len(ratios):
        return {**dict.fromkeys(names), "trained_tokens": 0}
    values = (ratios.mean(), ratios.min(), ratios.max(), weights.mean())
    found = {name: round(value.item(), 6) for name, value in zip(names, values, strict=True)}
    return {**found, "trained_tokens": int((weights != 0).sum())}
