"""Batched generation with transformers: the reference, whose batches have a state of their own."""

import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from handan import hardware
from handan.files import content_hash
from handan.generation.engines import Completion, Drawn, EngineSettings
from handan.generation.formats import ReasoningFormat, choose_for
from handan.generation.loading import eos_ids, load_model
from handan.generation.prompting import Decoding, Request

Ids = Sequence[int]
# What mixed precision computes products in.
HALF_PRECISION = {"bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Settings(EngineSettings):
    """Keys of ``eval/engines/transformers.yaml``; ``auto`` and null leave it to transformers."""

    dtype: str = "auto"
    attn_implementation: str | None = None


class TransformersEngine:
    """A loaded model, unwrapped and on its device, as an engine."""

    address: str | None = None
    independent, remote = False, False

    def __init__(
        self, model: Any, tokenizer: Any, form: ReasoningFormat, fingerprint: str = ""
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.form, self.fingerprint = form, fingerprint
        self.ends = eos_ids(model, tokenizer)
        self.identity: dict[str, Any] = {
            "engine": "transformers",
            "transformers": importlib.metadata.version("transformers"),
            "dtype": str(model.dtype).removeprefix("torch."),
            "attn_implementation": getattr(model.config, "_attn_implementation", None),
        }

    def stream(self, batches: Iterable[Sequence[Request]], seed: int) -> Iterator[list[Drawn]]:
        for batch in batches:
            rows = generate_batch(self.model, self.tokenizer, batch, seed)
            found = [Completion(ids, ended=ids[-1] in self.ends) for ids in rows]
            yield list(zip(batch, found, strict=True))


def open_engine(
    settings: Settings, model_name: str, revision: str | None, form: str, device: Any
) -> TransformersEngine:
    """Load a model as an engine; ``form`` is the name of its format, or ``auto``."""
    attention = settings.attn_implementation
    options: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    trusted = settings.trust_remote_code
    model, tokenizer, fingerprint = load_model(
        model_name, revision, settings.dtype, device, trusted=trusted, **options
    )
    if model.device.type == "cpu" and "16" in str(model.dtype) and not hardware.cpu_has_bf16():
        print(f"note: {hardware.NO_BF16}; set dtype to float32 in the engine's YAML")
    chosen = choose_for(model_name, form, tokenizer)
    return TransformersEngine(model, tokenizer, chosen, fingerprint)


def halve_weights(model: Any, precision: str) -> list[tuple[Any, Any]]:
    """Put weights of products in half ``precision``, and return each layer with its own weights.

    Autocast does just that to 32-bit weights, but again at every token. Embeddings stay as they
    are, also where the last layer shares them.
    """
    import torch

    if precision not in HALF_PRECISION:
        return []
    dtype = getattr(torch, HALF_PRECISION[precision])
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    kept = [(layer, layer.weight) for layer in layers if layer.weight.dtype == torch.float32]
    for layer, weight in kept:
        layer.weight = torch.nn.Parameter(weight.detach().to(dtype), requires_grad=False)
    return kept


def generate_batch(
    model: Any, tokenizer: Any, batch: Sequence[Request], seed: int
) -> list[list[int]]:
    """Draw one batch with a seed of its own, mixed with its content; the caller's state is kept."""
    import torch

    identity = content_hash([seed, [[r.item, r.sample, r.prompt_ids] for r in batch]])
    prompts = [r.prompt_ids for r in batch]
    with torch.random.fork_rng():
        torch.manual_seed(int(identity[:15], 16))
        return complete(model, prompts, batch[0].decoding, eos_ids(model, tokenizer))


def complete(
    model: Any, prompts: Sequence[Ids], decoding: Decoding, ends: Ids, seeds: Ids | None = None
) -> list[list[int]]:
    """Draw completions of prompts, each up to and including its end-of-sequence token.

    A batch takes as long as its longest row, so it is drawn in stages of 32, 64, 128, ... tokens,
    and only unfinished rows go on. With ``seeds``, one a prompt, a completion does not depend on
    the batch it is drawn in; without, all are drawn from the process's random state.
    """
    import torch

    completions: list[list[int]] = [[] for _ in prompts]
    unfinished, drawn, stage = list(range(len(prompts))), 0, 32
    was_training = model.training
    model.eval()
    with torch.no_grad():
        while unfinished and drawn < decoding.max_new_tokens:
            stage = min(stage, decoding.max_new_tokens - drawn)
            contexts: list[Ids] = [[*prompts[i], *completions[i]] for i in unfinished]
            own = None if seeds is None else [seeds[i] for i in unfinished]
            staged = replace(decoding, max_new_tokens=stage)
            rows = _generate(model, contexts, staged, ends, own, drawn)
            for i, row in zip(unfinished, rows, strict=True):
                completions[i] += row
            unfinished = [i for i in unfinished if completions[i][-1] not in ends]
            drawn, stage = drawn + stage, 2 * stage
    model.train(was_training)
    return completions


def _generate(
    model: Any, contexts: list[Ids], decoding: Decoding, ends: Ids, seeds: Ids | None, drawn: int
) -> list[list[int]]:
    """Draw more ids for each context up to the cap, each row having ``drawn`` already."""
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    sampled = decoding.temperature > 0 and seeds is None
    config = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=sampled,
        temperature=decoding.temperature if sampled else None,
        top_p=decoding.top_p if sampled else None,
        top_k=0 if sampled else None,
        eos_token_id=ends,
        pad_token_id=ends[0],
    )
    longest = max(map(len, contexts))
    input_ids = torch.full((len(contexts), longest), ends[0])
    attention_mask = torch.zeros_like(input_ids)
    for row, context in enumerate(contexts):
        input_ids[row, longest - len(context) :] = torch.tensor(context)
        attention_mask[row, longest - len(context) :] = 1
    processors = LogitsProcessorList()
    if seeds is not None and decoding.temperature > 0:
        from handan.generation.sampling import SeededSampling

        drawing = (decoding.temperature, decoding.top_p, longest, drawn)
        processors.append(SeededSampling(seeds, *drawing))
    # generate() takes what a configuration leaves open from the model's own: it is put aside.
    saved, model.generation_config = model.generation_config, config
    # Training switches this on in mixtures of experts, for a loss that fails on generation.
    experts = hasattr(model.config, "output_router_logits")
    try:
        output = model.generate(
            input_ids=input_ids.to(model.device),
            attention_mask=attention_mask.to(model.device),
            logits_processor=processors,
            # Whole weights are on every process, and each of them ends when its rows do.
            synced_gpus=False,
            **({"output_router_logits": False} if experts else {}),
        )
    finally:
        model.generation_config = saved
    rows = output[:, longest:].tolist()
    stops = [next((i for i, token in enumerate(row) if token in ends), len(row)) for row in rows]
    return [row[: stop + 1] for row, stop in zip(rows, stops, strict=True)]
