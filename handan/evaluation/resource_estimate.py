"""Estimate what models need: parameters, memory, hours, within a factor of about two.

A paged engine (vLLM, a server) must hold the weights and the cache of one request at the cap, and
of a whole batch at the expected length; transformers that of a whole batch at the cap; on 90 % of a
GPU's memory. One decoding step reads the weights (of experts those that the batch touches) and all
caches, and makes a token of each request: (weights + requests x mean context x cache) / (GPUs x
bandwidth x efficiency) seconds. Efficiency is .5 for a paged engine: a 1.5 B model at batch 256
decodes about 33,000 tokens/s on an H200; a third for transformers, slower by 2 to 4 elsewhere.
Reading prompts is not counted. Expected lengths are those of a task, or else the cap.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tabulate import tabulate

from handan import hardware
from handan.config import read_yaml
from handan.errors import UserError
from handan.evaluation.suite import Suite, SuiteItem, suite_items
from handan.evaluation.zoo import Entry, Recommended, Zoo
from handan.files import shipped
from handan.generation.engines import load_engine

BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
EFFICIENCY = {"paged": 0.5, "transformers": 0.5 / 3}
POWERS_OF_TWO = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Architecture:
    parameters: float
    active_parameters: float  # those that one token goes through
    bytes_per_parameter: float  # as stored
    config: dict[str, Any]  # of config.json
    cache_values: int | None = None  # cached for a token and layer, if not keys and values

    @property
    def weight_bytes(self) -> float:
        return self.parameters * self.bytes_per_parameter

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes a token: 2 (key, value) x layers x key-value heads x head size x 2 (16 bits)."""
        heads = self.config["num_attention_heads"]
        head_size = self.config.get("head_dim") or self.config["hidden_size"] // heads
        grouped = self.config.get("num_key_value_heads") or heads
        values = self.cache_values or 2 * grouped * head_size
        return self.config["num_hidden_layers"] * values * 2


@cache
def published() -> dict[str, Architecture]:
    """Architectures of ``architectures.yaml`` by hub id of each model."""
    text = Path(__file__).with_name("architectures.yaml").read_text(encoding="utf-8")
    found: dict[str, Architecture] = {}
    for entry in yaml.safe_load(text).values():
        every = entry["parameters"]
        active, width = entry.get("active_parameters", every), float(entry["bytes_per_parameter"])
        shape = entry["config"], entry.get("cache_values")
        architecture = Architecture(every * 1e9, active * 1e9, width, *shape)
        found |= dict.fromkeys(entry["models"], architecture)
    return found


def find(model: str) -> Architecture | None:
    """The architecture of a published model, or of a directory of one; None if unknown."""
    folder = Path(shipped(model))
    if not folder.is_dir():
        return published().get(model)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        width = BYTES[config.get("dtype") or config.get("torch_dtype") or "float32"]
        sizes = Architecture(size / width, size / width, width, config)
        sizes.cache_bytes_per_token  # noqa: B018 - the keys are there
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not the directory of a decoder ({error}); give one") from None
    if not size:
        raise UserError(f"{folder}: no *.safetensors file; give the directory of a saved model")
    return sizes


class Size(NamedTuple):
    """Parameters that a token is multiplied with, the N of every count of FLOPs, and the trained.

    Looked-up embeddings count if tied to the output; of experts, the share that a token passes.
    """

    multiplied: int
    trained: int


def size_of(model: Any) -> Size:
    """Count a transformers model, whole or sharded by ZeRO-3, with adapters or without."""
    looked_up, output = model.get_input_embeddings().weight, model.get_output_embeddings()
    if output is not None and output.weight is looked_up:
        looked_up = None
    config = model.config.get_text_config()
    chosen = getattr(config, "num_experts_per_tok", None)
    keys = ("num_local_experts", "num_experts", "n_routed_experts")
    experts = next((number for key in keys if (number := getattr(config, key, None))), None)
    share = chosen / experts if chosen and experts else 1.0
    multiplied = trained = 0.0
    for name, parameter in model.named_parameters():
        if parameter is not looked_up:
            count = getattr(parameter, "ds_numel", parameter.numel())
            count *= share if ".experts." in name else 1
            multiplied += count
            trained += count if parameter.requires_grad else 0
    return Size(round(multiplied), round(trained))


def size_of_named(name: str, revision: str | None = None) -> int | None:
    """``Size.multiplied`` of a directory or a hub model, from its config; None without one."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(
            shipped(name), revision=revision, trust_remote_code=False
        )
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError):
        return None
    return size_of(model).multiplied


@dataclass(frozen=True)
class Gpu:
    memory: float  # bytes
    bandwidth: float  # bytes/s


_OF_GPUS = read_yaml(Path(__file__).with_name("gpus.yaml"))
GPUS = {name: Gpu(**of) for name, of in _OF_GPUS.items()}


@dataclass(frozen=True)
class Work:
    """What a suite asks of one model."""

    requests: int
    prompt_tokens: float  # mean length of a prompt, from its characters
    tokens: float  # expected ones of all responses
    cap: int  # tokens of one response at most
    batch_size: int

    @property
    def max_tokens(self) -> int:
        return self.requests * self.cap


ONE_REQUEST = Work(1, 100, 16_384, 16_384, 1)  # to ask whether a model fits at all


def work_of(suite: Suite, items: Sequence[SuiteItem]) -> Work:
    """Requests and tokens of a suite, which are the same for every model."""
    draws, cap = len(suite.decodings()), suite.max_new_tokens
    # A token has about 4 characters, and a template 20 tokens.
    prompts = [len(entry.item.question) / 4 for entry in items]
    lengths = [min(cap, entry.task.expected_tokens or cap) for entry in items]
    prompt = 20 + sum(prompts) / len(prompts)
    return Work(draws * len(items), prompt, draws * sum(lengths), cap, suite.batch_size)


class Layout(NamedTuple):
    """Where a model runs; bytes are those on one GPU."""

    gpus: int  # 0 if no number that is tried is enough
    weight_bytes: float
    cache_bytes: float
    at_once: int  # requests at the cap whose cache fits beside the weights


def layout(sizes: Architecture, work: Work, gpu: Gpu, kind: str) -> Layout:
    """Find the fewest GPUs, a power of two that divides the heads; transformers runs on one."""
    at_cap = (work.prompt_tokens + work.cap) * sizes.cache_bytes_per_token
    expected = (work.prompt_tokens + work.tokens / work.requests) * sizes.cache_bytes_per_token
    batch = min(work.batch_size, work.requests)
    cached = batch * at_cap if kind == "transformers" else max(at_cap, batch * expected)
    for gpus in (1,) if kind == "transformers" else POWERS_OF_TWO:
        # The latent cache of all heads is one, so each GPU holds it whole.
        shared = 1 if sizes.cache_values else gpus
        free = 0.9 * gpu.memory - sizes.weight_bytes / gpus
        if sizes.config["num_attention_heads"] % gpus == 0 and cached / shared <= free:
            at_once = min(batch, int(free * shared / at_cap))
            return Layout(gpus, sizes.weight_bytes / gpus, cached / shared, at_once)
    return Layout(0, sizes.weight_bytes, cached, 0)


def gpus_needed(model: str, gpus: Sequence[hardware.LocalGpu], work: Work = ONE_REQUEST) -> int:
    """Count these GPUs that a paged engine needs; 0 if they are too few or sizes are unknown."""
    sizes = find(model)
    if sizes is None or not gpus:
        return 0
    needed = layout(sizes, work, Gpu(min(gpu.memory for gpu in gpus), 1.0), "paged").gpus
    return needed if needed <= len(gpus) else 0


def step_seconds(
    sizes: Architecture, requests: float, context: float, gpus: int, gpu: Gpu, kind: str
) -> float:
    """Seconds in which all running ``requests`` of so many tokens (``context``) gain one token."""
    touched = min(sizes.parameters, sizes.active_parameters * requests)
    read = touched * sizes.bytes_per_parameter + requests * context * sizes.cache_bytes_per_token
    return read / (gpus * gpu.bandwidth * EFFICIENCY[kind])


def hours(sizes: Architecture, work: Work, gpus: int, gpu: Gpu, kind: str) -> float:
    """Expected hours of decoding for a whole suite."""
    requests = min(work.batch_size, work.requests)
    context = work.prompt_tokens + work.tokens / work.requests / 2
    return work.tokens / requests * step_seconds(sizes, requests, context, gpus, gpu, kind) / 3600


def training_bytes(
    sizes: Architecture, gpus: int, tokens: int, trained: float = 1.0, sharded: bool = False
) -> float:
    """Bytes on one GPU for mixed-precision AdamW with activation checkpointing.

    16 bytes a parameter of the share ``trained`` (Rajbhandari et al. 2020), 2 of a frozen one; for
    each token of a micro-batch inputs of all layers in 16 bits, logits with their gradient in 32.
    """
    states = sizes.parameters * (16 * trained + 2 * (1 - trained))
    inputs = 2 * sizes.config["num_hidden_layers"] * sizes.config["hidden_size"]
    return states / (gpus if sharded else 1) + tokens * (inputs + 8 * sizes.config["vocab_size"])


class Planned(NamedTuple):
    """An entry with its engine, and where it would run; sizes and place are None if unknown."""

    entry: Entry
    engine: str
    kind: str  # how the engine holds its cache
    sizes: Architecture | None
    place: Layout | None


def planned(
    zoo: Zoo, entries: Sequence[Entry], work: Work, gpu: Gpu, engine: str | None
) -> list[Planned]:
    """Place every entry; ``engine`` is a YAML that goes before the zoo's."""
    out = []
    for entry in entries:
        path = entry.engine or engine or zoo.engine
        used, sizes = load_engine(Path(path) if path else None).engine, find(entry.model)
        kind = "transformers" if used == "transformers" else "paged"
        place = layout(sizes, work, gpu, kind) if sizes else None
        out.append(Planned(entry, used, kind, sizes, place))
    return out


def missing(plan: Planned, work: Work, gpus: Sequence[hardware.LocalGpu]) -> list[str]:
    """List what stands between this machine and one entry, each in a few words."""
    entry, sizes, place, found = plan.entry, plan.sizes, plan.place, []
    if not entry.is_pinned:
        found.append("revision not pinned (main may change): set it to a commit")
    served = plan.engine == "openai"
    if not entry.is_local and not served and not hardware.is_cached(entry.model, entry.revision):
        found.append("not in the hub cache: is downloaded when it runs")
        if entry.gated and not hardware.has_hub_token():
            found.append("gated: accept its licence on the hub, then hf auth login or set HF_TOKEN")
    if plan.engine == "vllm" and hardware.installed("vllm") is None:
        found.append("engine vllm is not installed: pip install 'handan[vllm]'")
    if plan.engine == "vllm" and place is not None and place.gpus > 8:
        found.append("needs more than one node: serve it, and use eval/engines/openai.yaml for it")
    if entry.context is not None and entry.context < work.prompt_tokens + work.cap:
        found.append(f"made for {entry.context:,} tokens, fewer than the suite's cap: censored")
    if sizes is None:
        architectures = "handan/evaluation/architectures.yaml"
        found.append(f"size unknown: neither a directory nor in {architectures}")
    elif place is not None and place.gpus == 0:
        smaller = "do not fit: use engine vllm or a smaller batch_size"
        batches = plan.kind == "transformers" and f"batches of {work.batch_size} {smaller}"
        found.append(batches or f"does not fit {max(POWERS_OF_TWO)} such GPUs")
    if not entry.is_local and not served and not gpus_needed(entry.model, gpus):
        here = f"{len(gpus)} x {gpus[0].name}" if gpus else "no GPU"
        found.append(f"does not fit this machine ({here})")
    return found


def plan_text(
    zoo: Zoo, entries: Sequence[Entry], suite: Suite, of: str = "H100", engine: str | None = None
) -> str:
    """Plan some entries of a zoo on a suite, for a kind of GPU."""
    if of not in GPUS:
        raise UserError(f"--gpu {of}: no figures of it; known: {', '.join(GPUS)}")
    gpu, items, local = GPUS[of], suite_items(suite), hardware.gpus()
    work = work_of(suite, items)
    plans = planned(zoo, entries, work, gpu, engine)
    rows, gpu_hours, download = [], 0.0, 0.0
    problems: dict[str, list[str]] = {}
    for plan in plans:
        entry, sizes, place = plan.entry, plan.sizes, plan.place
        for problem in missing(plan, work, local):
            problems.setdefault(problem, []).append(entry.name)
        revision = "local" if entry.is_local else (entry.revision or "")[:8]
        row = [entry.name, entry.role, revision, entry.reasoning_format, plan.engine]
        if sizes is None or place is None or place.gpus == 0:
            rows.append([*row, *"??????"])
            continue
        at_cap = replace(work, tokens=work.max_tokens, batch_size=max(1, place.at_once))
        expected, longest = (hours(sizes, w, place.gpus, gpu, plan.kind) for w in (work, at_cap))
        row += [str(place.gpus), *(f"{size / 1e9:.3g}" for size in place[1:3]), str(place.at_once)]
        rows.append([*row, *(f"{n:.2f}" if n >= 0.01 else "<.01" for n in (expected, longest))])
        gpu_hours += place.gpus * expected
        if not entry.is_local and not hardware.is_cached(entry.model, entry.revision):
            download += sizes.weight_bytes
    columns = "model, role, revision, format, engine, GPUs = TP, weights GB, cache GB, at once"
    headers = [*columns.split(", "), "hours", "at cap"]
    table = tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True)
    greedy = ", one of them greedy" if suite.greedy else ""
    total = f"Together {gpu_hours:.1f} GPU-hours of decoding"
    if download:
        free = hardware.free_bytes(hardware.hub_cache()) / 1e9
        total += f"; {download / 1e9:,.0f} GB to download, {free:,.0f} GB are free in the hub cache"
    of_suite = Recommended(suite.temperature, suite.top_p)
    own = ", ".join(e.name for e in entries if e.recommended not in (None, of_suite))
    shared = f"temperature {suite.temperature:g}, top_p {suite.top_p:g}"
    differs = f"; their cards recommend another to {own}" if own else ""
    numbers = {"models": len(plans), "items": len(items), "responses": len(suite.decodings())}
    millions = {"expected": work.tokens / 1e6, "longest": work.max_tokens / 1e6}
    said = {"gpu": of, "greedy": greedy, "decoding": f"{shared}{differs}", "total": total}
    said["table"] = table if rows else "no models"
    text = Path(__file__).with_name("plan.txt").read_text(encoding="utf-8").rstrip("\n")
    lines = [text.format(zoo=zoo, suite=suite, work=work, **numbers, **millions, **said)]
    lines += ["", "Missing, or to mind:"] if problems else []
    for problem, names in problems.items():
        lines.append(f"- {problem}: {'all' if len(names) == len(plans) > 1 else ', '.join(names)}")
    return "\n".join(lines)
