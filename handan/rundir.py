"""A run directory: what was asked for, with what it ran, and what it cost."""

import contextlib
import errno
import fcntl
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import starmap
from pathlib import Path
from typing import Any

import yaml

from handan import files, hardware
from handan.config import read_yaml, refuse_in_words
from handan.errors import UserError
from handan.files import BESIDE, read_json, read_keyed, write_json

PACKAGES = ("handan", "torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "datasets")
# (question, right answer) by (task, item)
Asked = dict[tuple[str, str], tuple[str, str]]


def check_config(run_dir: Path, stage: str, config: dict, may_change: Collection[str] = ()) -> dict:
    """Refuse a stage begun with another configuration; returns those of all stages."""
    path = run_dir / "config.yaml"
    if not path.exists():
        return {}
    recorded = read_yaml(path)
    before = recorded.get(stage, config)
    then, now = ({k: v for k, v in of.items() if k not in may_change} for of in (before, config))
    if found := first_difference(then, now):
        key, former, present = found
        raise UserError(
            f"{path}: {stage} was begun with {key} = {former!r}, now it is {present!r}; choose "
            "another output directory or remove this one"
        )
    return recorded


def first_difference(before: Any, now: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """The first key at which settings differ, such as ``suite.tasks[0].norms``, and both values."""
    parts: list[tuple[Any, Any, str]] = []
    if isinstance(before, dict) and isinstance(now, dict):
        names = ((name, f"{key}.{name}" if key else str(name)) for name in {**now, **before})
        parts = [(before.get(name), now.get(name), place) for name, place in names]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        parts = [(*of, f"{key}[{at}]") for at, of in enumerate(zip(before, now, strict=True))]
    elif before != now:
        return key, before, now
    return next(filter(None, starmap(first_difference, parts)), None)


@contextmanager
def lock(run_dir: Path, rank: int) -> Iterator[None]:
    """Hold a run directory, by the first process of a command; waits for another one to end.

    The system frees the lock with its process; what stays in ``.lock`` is only a number.
    """
    if rank > 0:
        yield
        return
    files.make_directory(run_dir)
    refuse_links(run_dir)
    path = run_dir / ".lock"
    with files.writing(path):
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (closed by the with below)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "of another command"
            print(f"{run_dir}: process {holder} is writing here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            # As NFS without lockd, Lustre without flock and FUSE say that they lock no files.
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            raise UserError(
                f"{run_dir}: its file system has no locks ({error.strerror}), so two commands "
                "could mix their results there; choose a directory on another file system, or "
                "have this one mounted with flock"
            ) from None
        with files.writing(path):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


def lock_holder(run_dir: Path) -> int | None:
    """The process that holds a run directory now, None if there is none."""
    path = run_dir / ".lock"
    if not path.exists():
        return None
    with open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0) or None
    return None


def refuse_links(run_dir: Path) -> None:
    """Refuse a link that leads out of a run directory: what is written there would, too."""
    inside = run_dir.resolve()
    for path in run_dir.iterdir():
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise UserError(
                f"{path}: a link that leads out of the run directory, where nothing is written; "
                "put the file or folder itself there"
            )


def recover(path: Path, key: Sequence[str], unique: bool = True) -> list[dict]:
    """Rows of a file that a killed run may have left, as ``read_keyed``, ready to be appended to.

    A last line that was cut off is removed, and counted in ``run.json`` under ``torn_lines``.
    """
    if not path.exists():
        return []
    content, facts = path.read_bytes(), path.parent / "run.json"
    if (complete := content.rfind(b"\n") + 1) < len(content):
        with files.writing(path), open(path, "r+b") as file:
            file.truncate(complete)
            os.fsync(file.fileno())
        print(f"{path}: dropped one half-written line; its work will be done again")
        if facts.exists():
            run = read_json(facts)
            torn = run.setdefault("torn_lines", {})
            torn[path.name] = torn.get(path.name, 0) + 1
            write_json(facts, run)
    return read_keyed(path, key, unique)


def record(
    run_dir: Path, stage: str, config: dict, may_change: Collection[str] = (), **details: Any
) -> None:
    """Write one stage into ``config.yaml`` and ``run.json``, after ``check_config``."""
    configs = check_config(run_dir, stage, config, may_change)
    run = read_run(run_dir)
    # What was found at the end of an earlier pass, such as the budget, stays.
    run[stage] = {**run.get(stage, {}), **facts(), **details}
    for shared in ("arm", "comparability"):
        if shared in run[stage]:
            run[shared] = run[stage].pop(shared)
    configs[stage] = config
    text = yaml.safe_dump(configs, sort_keys=False, allow_unicode=True)
    files.write_text(run_dir / "config.yaml", text)
    write_json(run_dir / "run.json", run)


def add(run_dir: Path, stage: str, **details: Any) -> None:
    """Add facts that are known only at the end, such as the budget, to a recorded stage."""
    run = read_json(run_dir / "run.json")
    run[stage].update(details)
    write_json(run_dir / "run.json", run)


def read_run(run_dir: Path, there: bool = False) -> dict[str, Any]:
    """Read ``run.json``; {} if there is no such file and none must be ``there``."""
    return _read(run_dir / "run.json", read_json, there)


def read_settings(run_dir: Path, there: bool = False) -> dict[str, dict[str, Any]]:
    """Read the settings of each stage from ``config.yaml``, as ``read_run`` reads its file."""
    return _read(run_dir / "config.yaml", read_yaml, there)


def _read(path: Path, read: Callable[[Path], Any], there: bool) -> dict[str, Any]:
    content = read(path) if there or path.exists() else {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object; restore the file or remove the run")
    for stage in ("pretraining", "training", "evaluation", "traces", "sweep"):
        if not isinstance(content.get(stage, {}), dict):
            cure = "restore the file or remove the run"
            raise UserError(f"{path}: '{stage}' holds no settings, but {content[stage]!r}; {cure}")
    return content


def read_asked(run_dir: Path) -> Asked:
    """Question and right answer of each item in ``items.jsonl``; {} if there is no such file."""
    path = run_dir / "items.jsonl"
    if not path.exists():
        return {}
    rows = read_keyed(path, ("task", "item", "question", "answer"), unique=False)
    return {(row["task"], row["item"]): (row["question"], row["answer"]) for row in rows}


def facts() -> dict[str, Any]:
    """Versions, revision, hardware and command of this process, which must hold no secret."""
    refuse_in_words(sys.argv[1:])
    # The launcher's own words are not handed down; these variables are set by nobody else.
    launched = {"ACCELERATE_DYNAMO_BACKEND", "ACCELERATE_CONFIG_DS_FIELDS"} & os.environ.keys()
    launcher = "accelerate launch" if launched else "python"
    torch = sys.modules.get("torch")
    gpus = range(torch.cuda.device_count() if torch else 0)
    git: dict[str, Any] | None = None  # of the checkout this code runs from
    # What is installed may lie in a checkout of something else, which is then no clone of this.
    here = ["git", "-C", str(BESIDE), "--git-dir", str(BESIDE / ".git")]
    with contextlib.suppress(FileNotFoundError, subprocess.CalledProcessError):
        commit, changes = (
            subprocess.run([*here, *words], capture_output=True, text=True, check=True).stdout
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
        git = {"commit": commit.strip(), "dirty": bool(changes.strip())}
    return {
        "command": f"{launcher} {shlex.join(sys.argv)}",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "versions": {package: hardware.installed(package) for package in PACKAGES},
        "git": git,
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "accelerators": [torch.cuda.get_device_name(gpu) for gpu in gpus] if torch else [],
            "processes": int(os.environ.get("WORLD_SIZE", "1")),
        },
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
