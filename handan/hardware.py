"""What this machine has: packages, GPUs, room, models that are here already, ways out."""

import importlib.metadata
import netrc
import os
import queue
import shutil
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

# Where the hub library itself looks, without importing it.
HUB_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
HUB = "https://huggingface.co"
WANDB = "https://api.wandb.ai"
SECONDS = 2.0


@dataclass(frozen=True)
class LocalGpu:
    """A GPU that torch can use: its name, memory in bytes, and whether it computes in bf16."""

    name: str
    memory: int
    bf16: bool


def installed(package: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def gpus() -> list[LocalGpu]:
    """GPUs as torch sees them; none without torch."""
    if installed("torch") is None:
        return []
    import torch

    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [LocalGpu(p.name, p.total_memory, p.major >= 8) for p in found]


def memory_bytes() -> int:
    """Main memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_bytes(path: Path) -> int:
    """Free room on the disk that would hold ``path``, which need not exist yet."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def hub_home() -> Path:
    """Folder of the hub's cache and token."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("HF_HOME", cache / "huggingface"))


def hub_cache() -> Path:
    """Folder that holds downloaded models."""
    return Path(os.environ.get("HF_HUB_CACHE", hub_home() / "hub"))


def has_hub_token() -> bool:
    """Tell whether a token of the hub is set or saved; it is never read out."""
    saved = Path(os.environ.get("HF_TOKEN_PATH", hub_home() / "token"))
    return any(os.environ.get(name) for name in HUB_TOKEN_VARIABLES) or saved.exists()


def is_cached(model: str, revision: str | None) -> bool:
    """Tell whether a hub model's weights lie in the cache, for a revision or ``main``."""
    folder = hub_cache() / f"models--{model.replace('/', '--')}"
    reference = folder / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.exists() else revision or "main"
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
    found: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                found.put(answer.status)
        except urllib.error.HTTPError as error:
            found.put(error.code)
        except OSError:
            found.put(None)

    # Looking up a name has no time limit of its own.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return found.get(timeout=SECONDS + 0.5)
    except queue.Empty:
        return None
