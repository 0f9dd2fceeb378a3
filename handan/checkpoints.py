"""Tell whole checkpoints by a manifest of all their files, written last.

``manifest.json`` names the step, what ran (processes, engine, ZeRO stage or FSDP version) and every
file with its size and SHA-256. A save that was cut off has none; what was truncated, overwritten or
lost later no longer agrees with it. Files that are put beside the others later do not matter.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
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


def seal(folder: Path, launched: dict[str, Any], world: Processes) -> None:
    """Write the manifest of a checkpoint that every process has saved its part of.

    Every process must come here. They share the hashing, and see to it that all is on disk before
    the manifest is. ``launched`` says what ran: ``processes``, ``engine`` and the like.

    Raises:
        UserError: a process does not see what another one saved, or a state is missing.
        OSError: the disk refuses.
    """
    world.gather([])  # until the last one has saved, files come and go
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    # NFS keeps what is removed while somebody reads it under names like .nfs0001, for a while.
    own = [p.relative_to(folder).as_posix() for p in files if not p.name.startswith(".nfs")]
    # Each sees at least what it has written itself.
    paths = sorted({row["path"] for row in world.gather([{"path": path} for path in own])})
    if unseen := [path for path in paths if not (folder / path).exists()]:
        raise UserError(
            f"{folder}/{unseen[0]}: saved on another machine and not seen on this one; output_dir "
            "must lie on a file system that all machines share"
        )

    def entry(path: str) -> dict[str, Any]:
        with open(folder / path, "rb") as file:
            os.fsync(file.fileno())
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return {"path": path, "bytes": file.tell(), "sha256": sha256}

    with ThreadPoolExecutor(THREADS) as threads:
        entries = world.gather(list(threads.map(entry, paths[world.rank :: world.size])))
    if world.rank > 0:
        return
    entries.sort(key=lambda entry: entry["path"])
    manifest = {"step": int(folder.name.split("-")[-1]), **launched, "files": entries}
    if reason := _lacks(manifest):
        raise UserError(f"{folder}: {reason}, so no training could go on from it")
    for place in (*{path.parent for path in folder.rglob("*")}, folder.parent):
        _to_disk(place)
    write_json(folder / MANIFEST, manifest)
    _to_disk(folder)


def what_is_wrong(folder: Path, contents: Literal["all", "model", "none"] = "all") -> str | None:
    """Find why ``checkpoint-N`` must not be used, None if it is whole.

    Sizes always count; ``contents`` says whose SHA-256 does: of all files, or only of those that a
    model is loaded from, which are a third.
    """
    if not (folder / MANIFEST).is_file():
        return f"incomplete: no {MANIFEST}, which is written last"
    try:
        manifest = read_json(folder / MANIFEST)
        step, lacking = manifest["step"], _lacks(manifest)
        entries = [(str(e["path"]), int(e["bytes"]), str(e["sha256"])) for e in manifest["files"]]
    except (UserError, KeyError, TypeError, ValueError):
        return f"damaged: {MANIFEST} is not one that was written here"
    if folder.name != f"checkpoint-{step}":
        return f"damaged: {MANIFEST} is of step {step}"
    if lacking:
        return f"damaged: {lacking}"
    for path, saved, _ in entries:
        try:
            size = (folder / path).stat().st_size
        except OSError:  # a training may remove it at any moment
            return f"damaged: {path} is missing"
        if size != saved:
            return f"damaged: {path} has {size:,} bytes, not the {saved:,} that were saved"
    if contents == "none":
        return None

    def is_damaged(entry: tuple[str, int, str]) -> bool:
        try:
            with open(folder / entry[0], "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() != entry[2]
        except OSError:  # a bad sector, or removed since
            return True

    read = [entry for entry in entries if contents == "all" or not _matches(entry[0], OF_TRAINING)]
    with ThreadPoolExecutor(THREADS) as threads:
        for entry, damaged in zip(read, threads.map(is_damaged, read), strict=True):
            if damaged:
                return f"damaged: {entry[0]} holds other bytes than were saved"
    return None


def other_launch(folder: Path, launched: dict[str, Any]) -> str | None:
    """Say why a whole checkpoint cannot be resumed by this launch, None if it can.

    Another engine or number of processes would begin with a fresh optimizer, or fail half-way.
    """

    def text(launch: dict[str, Any]) -> str:
        known = ((key, launch.get(key)) for key in LAUNCH)
        return ", ".join(f"{key} {value}" for key, value in known if value is not None)

    manifest = read_json(folder / MANIFEST)
    if text(manifest) == text(launched):
        return None
    return (
        f"saved by {text(manifest)}, but this launch is {text(launched)}; start it as it was "
        "begun, or set another output_dir to begin anew"
    )


def remove(folder: Path) -> None:
    """Remove a checkpoint; at no moment does half of it pass for a whole one."""
    (folder / MANIFEST).unlink(missing_ok=True)
    # What somebody holds open on a network's file system stays, and is not taken for a checkpoint.
    shutil.rmtree(folder, ignore_errors=True)


def check_model(model_dir: Path) -> None:
    """Raise UserError if a directory holds a model of a training here that is not there whole."""
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


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _lacks(manifest: dict[str, Any]) -> str | None:
    """Name the training state missing from a manifest.

    Transformers trains on without it and says nothing, with a fresh optimizer or other data.
    """
    paths = [entry["path"] for entry in manifest["files"]]
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
