"""``handan doctor``: what this machine has, what is amiss and how to mend it, what it can run."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handan import hardware as machine
from handan.errors import UserError

WEIGHTS = Path(__file__).parent / "tiny" / "weights"
# Of the embedded world; without the others real models or trackers are out of reach.
EMBEDDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
TRACKERS = ("wandb", "tensorboard", "trackio")
SHOWN = (*EMBEDDED, "deepspeed", "vllm", "liger-kernel", *TRACKERS, "math-verify", "openai")
# Extras of the project beside `train`, by what they install.
EXTRAS = {
    "vllm": "vllm",
    "liger-kernel": "liger",
    "tensorboard": "trackers",
    "trackio": "trackers",
}
ROOM_BYTES = 2e9  # runs and checkpoints of `make demo`, with a margin


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: it is.
        found: what was found.
        cure: what to do, None if all is well.
        needed: whether the embedded world needs it.
    """

    what: str
    found: str
    cure: str | None = None
    needed: bool = False


def examine() -> str:
    """The whole report.

    Raises:
        UserError: the embedded world cannot run here; the report is part of what was printed.
    """
    from tabulate import tabulate

    gpus = machine.gpus()
    checks = [*packages(), *hardware(gpus), *room(), *ways_out()]
    rows = [(c.what, c.found, "" if c.cure is None else c.cure) for c in checks]
    lines = [
        tabulate(rows, headers=["", "found", "to mend"], tablefmt="plain"),
        "",
        "This machine can run:",
        *(f"- {sentence}" for sentence in runnable(checks, gpus)),
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the report; exit code 2 if the embedded world cannot run."""
    print(examine())
    broken = [check for check in packages() + room() if check.needed and check.cure]
    if broken:
        raise UserError(f"the embedded world cannot run here: {broken[0].what}: {broken[0].cure}")


def packages() -> list[Check]:
    """Versions of Python and of what is built on, beside the lower bounds of the project."""
    from packaging.requirements import Requirement

    version = platform.python_version()
    supported = platform.python_version_tuple()[:2] in (("3", "11"), ("3", "12"))
    cure = None if supported else "use Python 3.11 or 3.12"
    found = [Check("Python", version, cure, needed=True)]
    try:
        required = [Requirement(text) for text in importlib.metadata.requires("handan") or ()]
    except importlib.metadata.PackageNotFoundError:
        return [*found, Check("handan", "not installed", "make setup, or pip install -e .", True)]
    bounds = {requirement.name: requirement for requirement in required}
    for name in SHOWN:
        have, bound = machine.installed(name), bounds.get(name)
        needed = name in EMBEDDED
        if have is None:
            extra = EXTRAS.get(name, "train")
            mend = f"pip install 'handan[{extra}]'" if needed or extra == "train" else None
            absent = "not installed" if mend else "not installed (optional)"
            found.append(Check(name, absent, mend, needed))
        elif bound and not bound.specifier.contains(have, prereleases=True):
            mend = f"needs {bound.specifier}: pip install '{name}{bound.specifier}'"
            found.append(Check(name, have, mend, needed))
        else:
            found.append(Check(name, have, None, needed))
    return found


def hardware(gpus: Sequence[machine.LocalGpu]) -> list[Check]:
    """Cores, memory, GPUs and the compiler of DeepSpeed's operators."""
    memory = f"{os.cpu_count()} cores, {machine.memory_bytes() / 1e9:.0f} GB"
    found = [Check("processor", memory)]
    if not gpus:
        found.append(Check("GPU", "none that torch can use"))
    for number, gpu in enumerate(gpus):
        kinds = "bf16" if gpu.bf16 else "no bf16"
        cure = None if gpu.bf16 else "pass --bf16 false --fp16 true to recipes"
        found.append(
            Check(f"GPU {number}", f"{gpu.name}, {gpu.memory / 1e9:.0f} GB, {kinds}", cure)
        )
    compiler = next((name for name in ("g++", "c++", "clang++") if shutil.which(name)), None)
    cure = None if compiler else "install g++; DeepSpeed compiles operators at first use"
    return [*found, Check("C++ compiler", compiler or "none", cure)]


def room() -> list[Check]:
    """Free disk where runs and downloaded models go."""
    found = []
    for what, path, needed in (
        ("disk, here", Path.cwd(), True),
        ("disk, hub cache", machine.hub_cache(), False),
    ):
        free = machine.free_bytes(path)
        enough = free > ROOM_BYTES
        cure = None if enough else f"make room: {ROOM_BYTES / 1e9:.0f} GB at least"
        found.append(Check(what, f"{free / 1e9:.0f} GB free", cure, needed))
    return found


def ways_out() -> list[Check]:
    """Access to the hub and to Weights & Biases; keys are looked for, never shown."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        hub = Check("hub", "switched off by HF_HUB_OFFLINE")
    elif machine.reaches(os.environ.get("HF_ENDPOINT", machine.HUB)):
        hub = Check("hub", "reached")
    else:
        hub = Check("hub", "not reached", "only models on disk can be used; set HF_HUB_OFFLINE=1")
    token = machine.has_hub_token()
    gated = None if token else "for gated models (Llama): hf auth login, or set HF_TOKEN"
    mode = os.environ.get("WANDB_MODE")
    key = machine.has_wandb_key()
    wandb = f"WANDB_MODE={mode}" if mode else "key present" if key else "no key: logs offline"
    return [hub, Check("hub token", "present" if token else "none", gated), Check("W&B", wandb)]


def runnable(checks: Sequence[Check], gpus: Sequence[machine.LocalGpu]) -> list[str]:
    """Sentences on what can run here: the embedded world, and the entries of each zoo."""
    broken = [check.what for check in checks if check.needed and check.cure]
    models = sorted(path.name for path in WEIGHTS.iterdir())
    out = [
        f"the embedded world (make demo; models {', '.join(models)})"
        if not broken
        else f"not the embedded world: see {', '.join(broken)}"
    ]
    if not gpus:
        return [*out, "no published model in reasonable time: there is no GPU"]
    from handan.evaluation.resource_estimate import gpus_needed
    from handan.evaluation.zoo import load_zoo

    for path in sorted(Path("eval/zoo").glob("*.yaml")):
        zoo = load_zoo(path)
        fitting = [entry.name for entry in zoo.models if gpus_needed(entry.model, gpus)]
        names = ", ".join(fitting) if fitting else "none"
        out.append(f"of {path}, {len(fitting)} of {len(zoo.models)} models: {names}")
    return out
