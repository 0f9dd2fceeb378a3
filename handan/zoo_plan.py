"""``eval/run.py --zoo ... --dry_run``: the plan as text, and what is missing for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handan import architectures, machine
from handan.architectures import Architecture
from handan.engines import load_engine
from handan.errors import UserError
from handan.plan import GPUS, Gpu, Layout, Work, hours, layout, work_of
from handan.suite import Suite, suite_items
from handan.zoo import Entry, Zoo

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
        """How the engine holds its cache, as in ``handan.plan``."""
        return "transformers" if self.engine == "transformers" else "paged"


def engine_name(path: str | None) -> str:
    """What the YAML of an engine names; transformers without one."""
    return load_engine(Path(path) if path else None).engine


def fits_on(model: str, gpus: Sequence[machine.LocalGpu]) -> bool:
    """Whether a model and one long response fit these GPUs, shared among them."""
    sizes = architectures.find(model)
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
        sizes = architectures.find(entry.model)
        kind = "transformers" if name == "transformers" else "paged"
        place = layout(sizes, work, gpu, kind) if sizes else None
        out.append(Planned(entry, name, sizes, place))
    return out


def missing(plan: Planned, work: Work, gpus: Sequence[machine.LocalGpu]) -> list[str]:
    """What stands between this machine and one entry, each in a few words."""
    entry, found = plan.entry, []
    if not entry.is_pinned:
        found.append("revision not pinned (main may change): set it to a commit")
    served = plan.engine == "openai"
    if not entry.is_local and not served and not machine.is_cached(entry.model, entry.revision):
        found.append("not in the hub cache: is downloaded when it runs")
        if entry.gated and not machine.has_hub_token():
            found.append("gated: accept its licence on the hub, then hf auth login or set HF_TOKEN")
    if plan.engine == "vllm" and machine.installed("vllm") is None:
        found.append("engine vllm is not installed: pip install 'handan[vllm]'")
    if plan.engine == "vllm" and plan.place is not None and plan.place.gpus > GPUS_OF_A_NODE:
        found.append("needs more than one node: serve it, and use eval/engines/openai.yaml for it")
    if entry.context is not None and entry.context < work.prompt_tokens + work.cap:
        found.append(f"made for {entry.context:,} tokens, fewer than the suite's cap: censored")
    if plan.sizes is None:
        found.append("size unknown: neither a directory nor in handan/architectures.yaml")
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
        gpu_name: a key of ``handan.plan.GPUS`` to plan for.
        engine: YAML of an engine that goes before the zoo's.

    Raises:
        UserError: no such GPU.
    """
    from tabulate import tabulate

    if gpu_name not in GPUS:
        raise UserError(f"--gpu {gpu_name}: no figures of it; known: {', '.join(GPUS)}")
    gpu, items, local = GPUS[gpu_name], suite_items(suite), machine.gpus()
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
        "factor of two (handan/plan.py).",
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
        if not plan.entry.is_local and not machine.is_cached(plan.entry.model, plan.entry.revision)
    )
    download = f"; {weights / 1e9:,.0f} GB to download" if weights else ""
    free = machine.free_bytes(machine.hub_cache()) / 1e9
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
