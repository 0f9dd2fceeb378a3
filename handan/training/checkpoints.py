"""What makes a checkpoint whole: a manifest of all its files, written last.

``manifest.json`` names the step, what ran (processes, engine, ZeRO stage or FSDP version) and every
file with its size and SHA-256. A save that was cut off has none; what was truncated, overwritten or
lost later no longer agrees with it. Files that are put beside the others later do not matter.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from handan.errors import UserError
from handan.files import read_json, write_json
from handan.launch import Processes

MANIFEST = "manifest.json"
LEDGER = "ledger.json"
# What must be as it was for a training to go on from a checkpoint.
LAUNCH = ("processes", "engine", "zero_stage", "fsdp_version")
# Of one process and of several, of DeepSpeed and of FSDP.
OPTIMIZER = ("optimizer.pt", "optimizer.bin", "optimizer_*/*", "global_step*/*optim_states.pt")
# What a training alone reads; beside it a model needs little.
OF_TRAINING = (*OPTIMIZER, "global_step*/*", "rng_state*", "scheduler.pt", "pytorch_model_fsdp*")
THREADS = 4


def found(run_dir: Path) -> dict[int, Path]:
    """Checkpoints of a run, whole or not, in the order of their steps."""
    folders = {}
    for path in run_dir.glob("checkpoint-*"):
        named = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if named and path.is_dir():
            folders[int(named[1])] = path
    return dict(sorted(folders.items()))


def complete_checkpoints(run_dir: Path) -> dict[int, Path]:
    """Checkpoints of a run that are whole, as far as can be told without reading their files."""
    return {s: path for s, path in found(run_dir).items() if not what_is_wrong(path, "none")}


def seal(folder: Path, launched: dict[str, Any], world: Processes) -> None:
    """Write the manifest of a checkpoint that every process has saved its part of.

    Every process must come here. They share the hashing, and see to it that all is on disk before
    the manifest is.

    Args:
        folder: ``checkpoint-N``.
        launched: what ran: ``processes``, ``engine`` and the like.
        world: the processes that saved.

    Raises:
        UserError: a process cannot see what another one saved, or a state that a training needs to
            go on was not saved.
        OSError: the disk refuses.
    """
    world.gather([])  # until the last one has saved, files come and go
    # Each sees at least what it has written itself.
    rows = world.gather([{"path": path} for path in _files(folder) if path != MANIFEST])
    paths = sorted({row["path"] for row in rows})
    if unseen := [path for path in paths if not (folder / path).exists()]:
        raise UserError(
            f"{folder}/{unseen[0]}: saved on another machine and not seen on this one; output_dir "
            "must lie on a file system that all machines share"
        )
    mine = [folder / path for path in paths[world.rank :: world.size]]
    with ThreadPoolExecutor(THREADS) as threads:
        entries = world.gather(list(threads.map(lambda path: _entry(folder, path), mine)))
    if world.rank > 0:
        return
    manifest = {
        "step": int(folder.name.removeprefix("checkpoint-")),
        **launched,
        "files": sorted(entries, key=lambda entry: entry["path"]),
    }
    if reason := _lacks(manifest):
        raise UserError(f"{folder}: {reason}, so no training could go on from it")
    for place in (*{path.parent for path in folder.rglob("*")}, folder.parent):
        _to_disk(place)
    write_json(folder / MANIFEST, manifest)
    _to_disk(folder)


def what_is_wrong(folder: Path, contents: Literal["all", "model", "none"] = "all") -> str | None:
    """Why a checkpoint must not be used, None if it is whole.

    Args:
        folder: ``checkpoint-N``.
        contents: whose SHA-256 is looked at: of all files, or only of those that a model is loaded
            from, which are a third; sizes always are.
    """
    if not (folder / MANIFEST).is_file():
        return f"incomplete: no {MANIFEST}, which is written last"
    try:
        manifest = read_json(folder / MANIFEST)
        step, entries = manifest["step"], [_checked(entry) for entry in manifest["files"]]
        lacking = _lacks(manifest)
    except (UserError, KeyError, TypeError, ValueError):
        return f"damaged: {MANIFEST} is not one that was written here"
    if folder.name != f"checkpoint-{step}":
        return f"damaged: {MANIFEST} is of step {step}"
    if lacking:
        return f"damaged: {lacking}"
    for path, saved, _ in entries:
        size = _size(folder / path)
        if size is None:
            return f"damaged: {path} is missing"
        if size != saved:
            return f"damaged: {path} has {size:,} bytes, not the {saved:,} that were saved"
    if contents == "none":
        return None
    read = [entry for entry in entries if contents == "all" or not _matches(entry[0], OF_TRAINING)]
    with ThreadPoolExecutor(THREADS) as threads:
        hashes = threads.map(lambda entry: _sha256(folder / entry[0]), read)
        for (path, _, saved_hash), sha256 in zip(read, hashes, strict=True):
            if sha256 != saved_hash:
                return f"damaged: {path} holds other bytes than were saved"
    return None


def other_launch(folder: Path, launched: dict[str, Any]) -> str | None:
    """Why a whole checkpoint is none for this launch, None if it is.

    Another engine or number of processes would begin with a fresh optimizer, or fail half-way.
    """
    manifest = read_json(folder / MANIFEST)
    if all(manifest.get(key) == launched.get(key) for key in LAUNCH):
        return None
    return (
        f"saved by {_launch_text(manifest)}, but this launch is {_launch_text(launched)}; start "
        "it as it was begun, or set another output_dir to begin anew"
    )


def remove(folder: Path) -> None:
    """Remove a checkpoint; at no moment does half of it pass for a whole one."""
    (folder / MANIFEST).unlink(missing_ok=True)
    # What somebody holds open on a network's file system stays, and is not taken for a checkpoint.
    shutil.rmtree(folder, ignore_errors=True)


def check_model(model_dir: Path) -> None:
    """Stop if a directory holds a model of a training here that is not there whole.

    Args:
        model_dir: of any model; one that was not trained here is not looked at.

    Raises:
        UserError: a checkpoint is incomplete or damaged, or the training of a run is not finished,
            so that what lies there may be half a model.
    """
    checkpoint = re.fullmatch(r"checkpoint-\d+", model_dir.name) is not None
    described = (model_dir.parent if checkpoint else model_dir) / "run.json"
    run = read_json(described) if described.is_file() else {}
    if "pretraining" in run and not run["pretraining"].get("finished"):
        raise UserError(f"{model_dir}: pretraining is not finished; run handan.tiny.pretrain again")
    training = run.get("training")
    if training is None:
        return
    if not checkpoint and not training.get("finished"):
        raise UserError(
            f"{model_dir}: its training is not finished; finish it first by running its recipe "
            "again, or give one of its checkpoints"
        )
    if checkpoint and (reason := what_is_wrong(model_dir, "model")):
        raise UserError(f"{model_dir}: {reason}; give another checkpoint of this run")


def files_to_disk(folder: Path) -> None:
    """Wait until the files of a directory, not those of its folders, are on disk."""
    for path in folder.iterdir():
        if path.is_file():
            _to_disk(path)
    _to_disk(folder)


def _files(folder: Path) -> list[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    # NFS keeps what is removed while somebody reads it under names like .nfs0001, for a while.
    return sorted(path.as_posix() for path in files if not path.name.startswith(".nfs"))


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return {"path": path.relative_to(folder).as_posix(), "bytes": size, "sha256": sha256}


def _sha256(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # a bad sector, or removed since
        return None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # a training may remove it at any moment
        return None


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _checked(entry: dict[str, Any]) -> tuple[str, int, str]:
    """Path, bytes and SHA-256 of an entry of a manifest."""
    return str(entry["path"]), int(entry["bytes"]), str(entry["sha256"])


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _lacks(manifest: dict[str, Any]) -> str | None:
    """What of the state of a training is not among the files of a manifest.

    Transformers trains on without it and says nothing, with a fresh optimizer or other data.
    """
    paths: Sequence[str] = [entry["path"] for entry in manifest["files"]]
    processes = manifest["processes"]
    if not any(_matches(path, OPTIMIZER) for path in paths):
        return "it has no optimizer state"
    several = [f"rng_state_{rank}.pth" for rank in range(processes)]
    needed = ["trainer_state.json", LEDGER, *(several if processes > 1 else ["rng_state.pth"])]
    # DeepSpeed keeps the optimizer in a file a process, and may keep the scheduler there too.
    if manifest["engine"] != "DEEPSPEED":
        needed.append("scheduler.pt")
    absent = [path for path in needed if path not in paths]
    return f"it has no {absent[0]}" if absent else None


def _launch_text(launched: dict[str, Any]) -> str:
    known = ((key, launched.get(key)) for key in LAUNCH)
    return ", ".join(f"{key} {value}" for key, value in known if value is not None)
