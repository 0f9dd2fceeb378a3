"""What an evaluation will take: GPUs, memory, tokens, hours. Arithmetic only, nothing is loaded.

Estimates to plan with, right within a factor of about two:

- weights: parameters x bytes as published; cache: ``Architecture.cache_bytes_per_token``.
- A paged engine (vLLM, a server) must hold the weights and the cache of one request at the cap,
  and of a whole batch at the expected length; transformers that of a whole batch at the cap. Both
  count on 90 % of a GPU's memory, vLLM's default. GPUs are the fewest, a power of two that divides
  the attention heads, for which that is enough.
- Decoding is bound by memory bandwidth: one step reads the weights (of a mixture of experts those
  that the batch touches) and the cache of every running request, and makes a token of each:
  seconds = (weights + requests x mean context x cache) / (GPUs x bandwidth x efficiency).
  Efficiency is .5 for a paged engine: a 1.5 B model at batch 256 decodes about 33,000 tokens/s on
  an H200. transformers batches take three times as long, between the 2 and 4 times found elsewhere.
  Prompts are short here; reading them is not counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from handan.architectures import Architecture
from handan.suite import Suite, SuiteItem

USABLE = 0.9
EFFICIENCY = {"paged": 0.5, "transformers": 0.5 / 3}
CHARACTERS_PER_TOKEN = 4
TEMPLATE_TOKENS = 20
MOST_GPUS = 16  # two nodes of eight


@dataclass(frozen=True)
class Gpu:
    """An accelerator: memory in bytes, bandwidth in bytes/s, 16-bit FLOP/s without sparsity."""

    memory: float
    bandwidth: float
    flops: float


# Vendors' data sheets.
GPUS = {
    "A100-80GB": Gpu(80e9, 2.04e12, 312e12),
    "H100": Gpu(80e9, 3.35e12, 989e12),
    "H200": Gpu(141e9, 4.8e12, 989e12),
    "B200": Gpu(180e9, 8.0e12, 2250e12),
    "L40S": Gpu(48e9, 0.864e12, 362e12),
    "RTX-4090": Gpu(24e9, 1.008e12, 165e12),
}


@dataclass(frozen=True)
class Work:
    """What a suite asks of one model.

    Attributes:
        requests: responses to draw.
        prompt_tokens: mean length of a prompt, from its characters.
        tokens: expected tokens of all responses.
        most_tokens: if every response reached the cap.
        cap: tokens of one response at most.
        batch_size: requests at once.
    """

    requests: int
    prompt_tokens: float
    tokens: float
    most_tokens: float
    cap: int
    batch_size: int


def work_of(suite: Suite, items: Sequence[SuiteItem]) -> Work:
    """Requests and tokens of a suite, which are the same for every model."""
    draws, cap = len(suite.decodings()), suite.max_new_tokens
    prompts = [len(entry.item.question) / CHARACTERS_PER_TOKEN for entry in items]
    lengths = [min(cap, entry.task.expected_tokens or cap) for entry in items]
    return Work(
        requests=draws * len(items),
        prompt_tokens=TEMPLATE_TOKENS + sum(prompts) / len(prompts),
        tokens=draws * sum(lengths),
        most_tokens=draws * len(items) * cap,
        cap=cap,
        batch_size=suite.batch_size,
    )


@dataclass(frozen=True)
class Layout:
    """Where a model runs.

    Attributes:
        gpus: how many; 0 if no number that is tried is enough.
        weight_bytes, cache_bytes: on one of them.
        at_once: requests at the cap whose cache fits beside the weights.
    """

    gpus: int
    weight_bytes: float
    cache_bytes: float
    at_once: int


def layout(sizes: Architecture, work: Work, gpu: Gpu, kind: str) -> Layout:
    """The fewest GPUs for a model, and what lies on each of them.

    Args:
        sizes: of the model.
        work: of the suite.
        gpu: the accelerator.
        kind: ``paged`` or ``transformers``; the latter runs on one GPU a process.
    """
    at_cap = (work.prompt_tokens + work.cap) * sizes.cache_bytes_per_token
    expected = (work.prompt_tokens + work.tokens / work.requests) * sizes.cache_bytes_per_token
    batch = min(work.batch_size, work.requests)
    cache = batch * at_cap if kind == "transformers" else max(at_cap, batch * expected)
    gpus = 1
    while gpus <= (1 if kind == "transformers" else MOST_GPUS):
        # The latent cache of all heads is one, so each GPU holds it whole.
        shared = 1 if sizes.cache_values else gpus
        free = USABLE * gpu.memory - sizes.weight_bytes / gpus
        if sizes.heads % gpus == 0 and cache / shared <= free:
            at_once = min(batch, int(free * shared / at_cap))
            return Layout(gpus, sizes.weight_bytes / gpus, cache / shared, at_once)
        gpus *= 2
    return Layout(0, sizes.weight_bytes, cache, 0)


def step_seconds(
    sizes: Architecture, requests: float, context: float, gpus: int, gpu: Gpu, kind: str
) -> float:
    """Seconds in which every one of ``requests`` running responses gains one token.

    Args:
        sizes: of the model.
        requests: running at once.
        context: mean tokens of prompt and response so far.
        gpus: that share the model.
        gpu: the accelerator.
        kind: ``paged`` or ``transformers``.
    """
    touched = min(sizes.parameters, sizes.active_parameters * requests)
    read = touched * sizes.bytes_per_parameter + requests * context * sizes.cache_bytes_per_token
    return read / (gpus * gpu.bandwidth * EFFICIENCY[kind])


def hours(sizes: Architecture, work: Work, place: Layout, gpu: Gpu, kind: str) -> float:
    """Expected hours of decoding for a whole suite."""
    mean = work.tokens / work.requests
    requests = min(work.batch_size, work.requests)
    context = work.prompt_tokens + mean / 2
    seconds = step_seconds(sizes, requests, context, place.gpus, gpu, kind)
    return work.tokens / requests * seconds / 3600


def training_bytes(
    sizes: Architecture, gpus: int, tokens: int, trained: float = 1.0, sharded: bool = False
) -> float:
    """Bytes on one GPU for mixed-precision AdamW with activation checkpointing.

    16 bytes a trained parameter: weights and gradients in 16 bits, master weights and two moments
    in 32 (Rajbhandari et al. 2020), 2 bytes of a frozen one; for every token the inputs of all
    layers in 16 bits, and its logits with their gradient in 32.

    Args:
        sizes: of the model.
        gpus: number of processes.
        tokens: of one micro-batch.
        trained: share of the parameters that is trained; LoRA's is about .01.
        sharded: whether ZeRO-3 or FSDP divides the parameters over the GPUs.
    """
    states = sizes.parameters * (16 * trained + 2 * (1 - trained))
    per_token = 2 * sizes.layers * sizes.config["hidden_size"] + 8 * sizes.config["vocab_size"]
    return states / (gpus if sharded else 1) + tokens * per_token
