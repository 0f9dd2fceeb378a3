"""``handan doctor``: report what this machine has, what is amiss and its cure, and what can run."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from handan import hardware as machine
from handan.errors import UserError
from handan.files import shipped

# Of the embedded world; without the others real models or trackers are out of reach.
EMBEDDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
OPTIONAL = ("vllm", "liger-kernel", "tensorboard", "trackio")  # not of the extra `train`
SHOWN = (
    *(*EMBEDDED, "deepspeed", "vllm", "liger-kernel", "wandb", "tensorboard", "trackio"),
    *("math-verify", "openai"),
)
ROOM_BYTES = 2e9  # runs and checkpoints of `handan demo`, with a margin


class Check(NamedTuple):
    """One thing that was looked at, with a cure if it is amiss; the embedded world may need it."""

    what: str
    found: str
    cure: str | None = None
    needed: bool = False


def main(arguments: object = None) -> None:
    """Print the report; raise UserError if the embedded world cannot run here."""
    from tabulate import tabulate

    gpus = machine.gpus()
    checks = [*packages(), *hardware(gpus), *room(), *ways_out()]
    rows = [(check.what, check.found, check.cure or "") for check in checks]
    print(tabulate(rows, headers=["", "found", "to mend"], tablefmt="plain"))
    print("\nThis machine can run:")
    for sentence in runnable(checks, gpus):
        print(f"- {sentence}")
    broken = [check for check in checks if check.needed and check.cure]
    if broken:
        raise UserError(f"the embedded world cannot run here: {broken[0].what}: {broken[0].cure}")


def packages() -> list[Check]:
    """Compare versions of Python and of packages with the bounds of the project."""
    from packaging.requirements import Requirement

    supported = platform.python_version_tuple()[:2] in (("3", "11"), ("3", "12"))
    cure = None if supported else "use Python 3.11 or 3.12"
    found = [Check("Python", platform.python_version(), cure, needed=True)]
    try:
        required = [Requirement(text) for text in importlib.metadata.requires("handan") or ()]
    except importlib.metadata.PackageNotFoundError:
        return [*found, Check("handan", "not installed", "make setup, or pip install -e .", True)]
    bounds = {requirement.name: requirement.specifier for requirement in required}
    for name in SHOWN:
        have, bound, cure = machine.installed(name), bounds.get(name), None
        if have is None and name not in OPTIONAL:
            cure = "pip install 'handan[train]'"
        elif have is not None and bound and not bound.contains(have, prereleases=True):
            cure = f"needs {bound}: pip install '{name}{bound}'"
        absent = "not installed" if cure else "not installed (optional)"
        found.append(Check(name, have or absent, cure, name in EMBEDDED))
    return found


def hardware(gpus: Sequence[machine.LocalGpu]) -> list[Check]:
    """Look at cores, memory, GPUs and the compiler of DeepSpeed's operators."""
    bf16 = "" if machine.cpu_has_bf16() else "no "
    memory = f"{os.cpu_count()} cores, {machine.memory_bytes() / 1e9:.0f} GB, {bf16}bf16"
    found = [Check("processor", memory)]
    found += [] if gpus else [Check("GPU", "none that torch can use")]
    for number, gpu in enumerate(gpus):
        cure = None if gpu.bf16 else "pass --bf16 false --fp16 true to recipes"
        text = f"{gpu.name}, {gpu.memory / 1e9:.0f} GB, {'no ' if cure else ''}bf16"
        found.append(Check(f"GPU {number}", text, cure))
    compiler = next((name for name in ("g++", "c++", "clang++") if shutil.which(name)), None)
    cure = None if compiler else "install g++; DeepSpeed compiles operators at first use"
    return [*found, Check("C++ compiler", compiler or "none", cure)]


def room() -> list[Check]:
    """Look at free disk where runs and downloaded models go."""
    found = []
    for what, path in (("disk, here", Path.cwd()), ("disk, hub cache", machine.hub_cache())):
        free = machine.free_bytes(path)
        cure = None if free > ROOM_BYTES else f"make room: {ROOM_BYTES / 1e9:.0f} GB at least"
        found.append(Check(what, f"{free / 1e9:.0f} GB free", cure, needed=what == "disk, here"))
    return found


def ways_out() -> list[Check]:
    """Look for access to the hub and to Weights & Biases; keys are never shown."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        hub = Check("hub", "switched off by HF_HUB_OFFLINE")
    elif machine.reaches(os.environ.get("HF_ENDPOINT", machine.HUB)):
        hub = Check("hub", "reached")
    else:
        hub = Check("hub", "not reached", "only models on disk can be used; set HF_HUB_OFFLINE=1")
    token = machine.has_hub_token()
    gated = None if token else "for gated models (Llama): hf auth login, or set HF_TOKEN"
    wandb = "key present" if machine.has_wandb_key() else "no key: logs offline"
    if mode := os.environ.get("WANDB_MODE"):
        wandb = f"WANDB_MODE={mode}"
    return [hub, Check("hub token", "present" if token else "none", gated), Check("W&B", wandb)]


def runnable(checks: Sequence[Check], gpus: Sequence[machine.LocalGpu]) -> list[str]:
    """Say in sentences what can run here: the embedded world, and the entries of each zoo."""
    broken = ", ".join(check.what for check in checks if check.needed and check.cure)
    weights = Path(__file__).parent / "tiny" / "weights"
    models = ", ".join(sorted(path.name for path in weights.iterdir()))
    embedded = f"the embedded world (handan demo; models {models})"
    out = [f"not the embedded world: see {broken}" if broken else embedded]
    if not gpus:
        return [*out, "no published model in reasonable time: there is no GPU"]
    from handan.evaluation.resource_estimate import gpus_needed
    from handan.evaluation.zoo import load_zoo

    for path in sorted(shipped(Path("eval/zoo")).glob("*.yaml")):
        zoo = load_zoo(path)
        fitting = [entry.name for entry in zoo.models if gpus_needed(entry.model, gpus)]
        counted = f"{len(fitting)} of {len(zoo.models)} models"
        out.append(f"of {path}, {counted}: {', '.join(fitting) or 'none'}")
    return out
