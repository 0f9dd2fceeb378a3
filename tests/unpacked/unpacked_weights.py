"""A plugin of vLLM's build for CPUs, found where this folder is on the PYTHONPATH.

That build packs the weights of linear layers for its kernels once they are loaded, and has no place
for later ones: a trainer that hands over its weights fails on linear layers, and would leave the
output layer as it was without a word. Here they stay as they are, at some cost of speed.
"""

from typing import Any

import torch


def keep() -> None:
    """Let all linear layers compute with the weights that they hold."""
    from vllm.model_executor.layers import utils

    def dispatch(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = dispatch
