"""What a process is and took: command, versions, revision, hardware, memory."""

import contextlib
import importlib.metadata
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handan import credentials

PACKAGES = ("handan", "torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "datasets")
HIDDEN = "(not recorded)"


def command_line(words: Sequence[str]) -> str:
    """The words of a command as one line, without the values of options that hold secrets."""
    shown: list[str] = []
    hide = False
    for word in words:
        name, equals, _ = word.partition("=")
        option = name[2:].replace("-", "_") if name.startswith("--") else ""
        secret = credentials.KEY.fullmatch(option) is not None
        word = HIDDEN if not secret and credentials.found_in(word) else word
        shown.append(HIDDEN if hide else f"{name}={HIDDEN}" if secret and equals else word)
        hide = secret and not equals
    return shlex.join(shown)


def facts() -> dict[str, Any]:
    """Versions, revision, hardware and command of this process."""
    # The launcher's own words are not handed down; these variables are set by nobody else.
    launched = {"ACCELERATE_DYNAMO_BACKEND", "ACCELERATE_CONFIG_DS_FIELDS"} & os.environ.keys()
    launcher = "accelerate launch" if launched else "python"
    versions: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "command": f"{launcher} {command_line(sys.argv)}",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "versions": versions,
        "git": git_revision(),
        "hardware": hardware(),
    }


def git_revision() -> dict[str, Any] | None:
    """Commit of the checkout this code runs from and whether it has changes; None outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", Path(__file__).parent, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def hardware() -> dict[str, Any]:
    """Processor, cores and accelerators, as far as an imported torch can tell."""
    torch = sys.modules.get("torch")
    gpus = range(torch.cuda.device_count() if torch else 0)
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "accelerators": [torch.cuda.get_device_name(gpu) for gpu in gpus] if torch else [],
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }


def peak_memory_gib() -> float:
    """Largest resident size of this process so far; Linux counts it in KiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


def peak_gpu_memory_gib() -> float | None:
    """Most memory that torch held on one accelerator of this process; None without one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    peaks = [torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())]
    return round(max(peaks) / 2**30, 3)
