"""How large a model is: its weights and what it caches a token, without loading it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from handan import hardware
from handan.errors import UserError
from handan.evaluation.suite import Suite, SuiteItem, suite_items
from handan.evaluation.zoo import Entry, Zoo
from handan.generation.engines import load_engine

FILE = Path(__file__).with_name("architectures.yaml")
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
CACHE_BYTES = 2  # keys and values are cached in 16 bits


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder.

    Attributes:
        parameters: all of them.
        active_parameters: those that one token goes through.
        bytes_per_parameter: as stored.
        config: keys of config.json.
        cache_values: numbers cached for a token and layer, if not those of keys and values.
    """

    parameters: float
    active_parameters: float
    bytes_per_parameter: float
    config: dict[str, Any]
    cache_values: int | None = None

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights."""
        return self.parameters * self.bytes_per_parameter

    @property
    def heads(self) -> int:
        """Attention heads, which tensor parallelism must divide."""
        return int(self.config["num_attention_heads"])

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return int(self.config["num_hidden_layers"])

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes cached for a token: 2 (key, value) x layers x key-value heads x head size x 2."""
        head_size = self.config.get("head_dim") or self.config["hidden_size"] // self.heads
        grouped = self.config.get("num_key_value_heads") or self.heads
        return self.layers * (self.cache_values or 2 * grouped * head_size) * CACHE_BYTES


@cache
def published() -> dict[str, Architecture]:
    """Architectures of ``architectures.yaml`` by hub id of each model."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found: dict[str, Architecture] = {}
    for entry in content.values():
        architecture = Architecture(
            parameters=entry["parameters"] * 1e9,
            active_parameters=entry.get("active_parameters", entry["parameters"]) * 1e9,
            bytes_per_parameter=float(entry["bytes_per_parameter"]),
            config=entry["config"],
            cache_values=entry.get("cache_values"),
        )
        found |= dict.fromkeys(entry["models"], architecture)
    return found


def of_directory(folder: Path) -> Architecture:
    """The architecture of a saved model, from its config.json and the size of its weights.

    Raises:
        UserError: the directory holds no model with safetensors.
    """
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


def find(model: str) -> Architecture | None:
    """The architecture of a directory or a published model; None if it is not known."""
    return of_directory(Path(model)) if Path(model).is_dir() else published().get(model)


# What an evaluation will take: GPUs, memory, tokens, hours. Arithmetic only, nothing is loaded.

USABLE = 0.9
EFFICIENCY = {"paged": 0.5, "transformers": 0.5 / 3}
CHARACTERS_PER_TOKEN = 4
TEMPLATE_TOKENS = 20
MAX_GPUS = 16  # two nodes of eight


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
    while gpus <= (1 if kind == "transformers" else MAX_GPUS):
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


# How many parameters a token is multiplied with: the N of every count of FLOPs.


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


# ``eval/run.py --zoo ... --dry_run``: the plan as text, and what is missing for it.

GPUS_OF_A_NODE = 8
# One response of reasonable length, for the question whether a model fits at all.
ONE_REQUEST = Work(1, 100, 16_384, 16_384, 16_384, 1)


@dataclass(frozen=True)
class Planned:
    """An entry with its engine, and where it would run; sizes and place are None if unknown."""

    entry: Entry
    engine: str
    sizes: Architecture | None
    place: Layout | None

    @property
    def kind(self) -> str:
        """How the engine holds its cache, as in ``handan.evaluation.resource_estimate``."""
        return "transformers" if self.engine == "transformers" else "paged"


def engine_name(path: str | None) -> str:
    """What the YAML of an engine names; transformers without one."""
    return load_engine(Path(path) if path else None).engine


def fits_on(model: str, gpus: Sequence[hardware.LocalGpu]) -> bool:
    """Whether a model and one long response fit these GPUs, shared among them."""
    sizes = find(model)
    if sizes is None or not gpus:
        return False
    gpu = Gpu(min(gpu.memory for gpu in gpus), 1.0, 1.0)
    return 0 < layout(sizes, ONE_REQUEST, gpu, "paged").gpus <= len(gpus)


def planned(
    zoo: Zoo, entries: Sequence[Entry], work: Work, gpu: Gpu, engine: str | None
) -> list[Planned]:
    """Where every entry would run; ``engine`` is a YAML that goes before the zoo's."""
    out = []
    for entry in entries:
        name = engine_name(entry.engine or engine or zoo.engine)
        sizes = find(entry.model)
        kind = "transformers" if name == "transformers" else "paged"
        place = layout(sizes, work, gpu, kind) if sizes else None
        out.append(Planned(entry, name, sizes, place))
    return out


def missing(plan: Planned, work: Work, gpus: Sequence[hardware.LocalGpu]) -> list[str]:
    """What stands between this machine and one entry, each in a few words."""
    entry, found = plan.entry, []
    if not entry.is_pinned:
        found.append("revision not pinned (main may change): set it to a commit")
    served = plan.engine == "openai"
    if not entry.is_local and not served and not hardware.is_cached(entry.model, entry.revision):
        found.append("not in the hub cache: is downloaded when it runs")
        if entry.gated and not hardware.has_hub_token():
            found.append("gated: accept its licence on the hub, then hf auth login or set HF_TOKEN")
    if plan.engine == "vllm" and hardware.installed("vllm") is None:
        found.append("engine vllm is not installed: pip install 'handan[vllm]'")
    if plan.engine == "vllm" and plan.place is not None and plan.place.gpus > GPUS_OF_A_NODE:
        found.append("needs more than one node: serve it, and use eval/engines/openai.yaml for it")
    if entry.context is not None and entry.context < work.prompt_tokens + work.cap:
        found.append(f"made for {entry.context:,} tokens, fewer than the suite's cap: censored")
    if plan.sizes is None:
        found.append(
            "size unknown: neither a directory nor in handan/evaluation/architectures.yaml"
        )
    elif plan.place is not None and plan.place.gpus == 0:
        found.append(
            f"batches of {work.batch_size} do not fit: use engine vllm or a smaller batch_size"
            if plan.kind == "transformers"
            else "does not fit 16 such GPUs"
        )
    if not entry.is_local and not served and not fits_on(entry.model, gpus):
        here = f"{len(gpus)} x {gpus[0].name}" if gpus else "no GPU"
        found.append(f"does not fit this machine ({here})")
    return found


def plan_text(
    zoo: Zoo,
    entries: Sequence[Entry],
    suite: Suite,
    gpu_name: str = "H100",
    engine: str | None = None,
) -> str:
    """The plan of a zoo on a suite.

    Args:
        zoo: the zoo.
        entries: those of it that would run.
        suite: what each is asked.
        gpu_name: a key of ``handan.evaluation.resource_estimate.GPUS`` to plan for.
        engine: YAML of an engine that goes before the zoo's.

    Raises:
        UserError: no such GPU.
    """
    from tabulate import tabulate

    if gpu_name not in GPUS:
        raise UserError(f"--gpu {gpu_name}: no figures of it; known: {', '.join(GPUS)}")
    gpu, items, local = GPUS[gpu_name], suite_items(suite), hardware.gpus()
    work = work_of(suite, items)
    plans = planned(zoo, entries, work, gpu, engine)
    rows = [_row(plan, work, gpu) for plan in plans]
    headers = [
        *("model", "role", "revision", "format", "engine", "GPUs = TP"),
        *("weights GB", "cache GB", "at once", "hours", "at cap"),
    ]
    greedy = ", one of them greedy" if suite.greedy else ""
    lines = [
        f"zoo {zoo.name}, {len(plans)} models, on suite {suite.name} (version {suite.version}), "
        f"planned for {gpu_name}",
        f"Each model: {len(items):,} items x {len(suite.decodings())} responses{greedy} = "
        f"{work.requests:,} requests, prompts of about {work.prompt_tokens:.0f} tokens.",
        f"Tokens: {work.tokens / 1e6:.1f} M expected, from DeepSeek-R1's lengths in the nearest "
        f"task of de Varda et al.; {work.most_tokens / 1e6:.1f} M if all reach the cap of "
        f"{work.cap:,}.",
        _decoding_text(zoo, plans, suite),
        "",
        tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True)
        if rows
        else "no models",
        "",
        "GB are per GPU; 'at once' are requests at the cap that fit; hours are right within a "
        "factor of two (handan/evaluation/resource_estimate.py).",
        _total_text(plans, work, gpu),
    ]
    problems: dict[str, list[str]] = {}
    for plan in plans:
        for problem in missing(plan, work, local):
            problems.setdefault(problem, []).append(plan.entry.name)
    if problems:
        lines += ["", "Missing, or to mind:"]
        lines += [f"- {problem}: {_names(names, plans)}" for problem, names in problems.items()]
    return "\n".join(lines)


def _row(plan: Planned, work: Work, gpu: Gpu) -> list[str]:
    entry, place = plan.entry, plan.place
    revision = "local" if entry.is_local else (entry.revision or "")[:8]
    row = [entry.name, entry.role, revision, entry.reasoning_format, plan.engine]
    if plan.sizes is None or place is None or place.gpus == 0:
        return [*row, *"??????"]
    expected = hours(plan.sizes, work, place, gpu, plan.kind)
    most = hours(plan.sizes, _at_cap(work, place), place, gpu, plan.kind)
    weights, cache = (f"{size / 1e9:.3g}" for size in (place.weight_bytes, place.cache_bytes))
    return [
        *row,
        str(place.gpus),
        weights,
        cache,
        f"{place.at_once}",
        *map(_hours, (expected, most)),
    ]


def _at_cap(work: Work, place: Layout) -> Work:
    """The same work if every response reached the cap, as many at a time as fit then."""
    at_once = max(1, place.at_once)
    return Work(
        work.requests, work.prompt_tokens, work.most_tokens, work.most_tokens, work.cap, at_once
    )


def _hours(number: float) -> str:
    return f"{number:.2f}" if number >= 0.01 else "<.01"


def _names(names: list[str], plans: Sequence[Planned]) -> str:
    return "all" if len(names) == len(plans) > 1 else ", ".join(names)


def _total_text(plans: Sequence[Planned], work: Work, gpu: Gpu) -> str:
    known = [(p, p.sizes, p.place) for p in plans if p.sizes and p.place and p.place.gpus]
    gpu_hours = sum(
        place.gpus * hours(sizes, work, place, gpu, plan.kind) for plan, sizes, place in known
    )
    weights = sum(
        sizes.weight_bytes
        for plan, sizes, _ in known
        if not plan.entry.is_local and not hardware.is_cached(plan.entry.model, plan.entry.revision)
    )
    download = f"; {weights / 1e9:,.0f} GB to download" if weights else ""
    free = hardware.free_bytes(hardware.hub_cache()) / 1e9
    room = f", {free:,.0f} GB are free in the hub cache" if weights else ""
    return f"Together {gpu_hours:.1f} GPU-hours of decoding{download}{room}."


def _decoding_text(zoo: Zoo, plans: Sequence[Planned], suite: Suite) -> str:
    own = [
        plan.entry.name
        for plan in plans
        if (rec := plan.entry.recommended) is not None
        and (rec.temperature, rec.top_p) != (suite.temperature, suite.top_p)
    ]
    shared = f"temperature {suite.temperature:g}, top_p {suite.top_p:g}"
    if zoo.decoding == "suite":
        differs = f"; their cards recommend another to {', '.join(own)}" if own else ""
        return f"Decoding: the suite's for all, {shared}{differs}."
    return f"Decoding: as recommended, which is not the suite's ({shared}) for {', '.join(own)}."
