"""Sampling whose randomness belongs to a response, not to a process.

The largest of log p + Gumbel noise is an exact draw from p (Gumbel-max). The noise is a hash of the
response's own seed, the position and the token, so neither the batch nor earlier draws matter.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, TopPLogitsWarper

from handan.files import content_hash

# The finaliser of SplitMix64 (Steele, Lea & Flood 2014), as signed 64-bit numbers.
STEP, FIRST, SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685


def response_seed(*identity: Any) -> int:
    """A seed below 2^60 from whatever identifies a response."""
    return int(content_hash(list(identity))[:15], 16)


def _mixed(bits: torch.Tensor) -> torch.Tensor:
    for shift, factor in ((30, FIRST), (27, SECOND)):
        bits = (bits ^ (bits >> shift & (1 << (64 - shift)) - 1)) * factor
    return bits ^ (bits >> 31 & (1 << 33) - 1)


def gumbel_noise(seeds: torch.Tensor, position: int, num_tokens: int) -> torch.Tensor:
    """Standard Gumbel noise (rows, tokens) of one position, for ``seeds`` (rows,) of responses."""
    rows = _mixed(seeds + torch.tensor(position + 1, device=seeds.device) * STEP)
    tokens = torch.arange(1, num_tokens + 1, device=seeds.device) * STEP
    bits = _mixed(rows[:, None] + tokens[None]) >> 40 & (1 << 24) - 1
    uniform = (bits.float() + 0.5) * 2.0**-24
    return -torch.log(-torch.log(uniform))


class SeededSampling(LogitsProcessor):
    """Turn a greedy search over padded contexts into sampling with a seed for every row."""

    def __init__(
        self, seeds: Sequence[int], temperature: float, top_p: float, context: int, position: int
    ) -> None:
        # The first token that is drawn is at ``position`` and follows ``context``, with padding.
        self.seeds = torch.tensor(seeds, dtype=torch.int64)
        self.temperature, self.offset = temperature, position - context
        self.nucleus = TopPLogitsWarper(top_p) if top_p < 1 else None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores / self.temperature
        if self.nucleus:
            scores = self.nucleus(input_ids, scores)
        position = input_ids.shape[1] + self.offset
        return scores + gumbel_noise(self.seeds.to(scores.device), position, scores.shape[1])
