"""Tell whole checkpoints by a manifest of the sizes and SHA-256 of all files, written last."""

import hashlib
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from handan.errors import UserError
from handan.files import file_hash, read_json, sync_directory, write_json
from handan.launch import Processes
from handan.rundir import read_run

MANIFEST = "manifest.json"
LEDGER = "ledger.json"
# What must be as it was for a training to go on from a checkpoint.
LAUNCH = ("processes", "engine", "zero_stage", "fsdp_version")
# Of one process and of several, of DeepSpeed and of FSDP.
OPTIMIZER = ("optimizer.pt", "optimizer.bin", "optimizer_*/*", "global_step*/*optim_states.pt")
# What a training alone reads; a model is a third of a checkpoint.
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
    """Write the manifest once all is on disk; every process must call this, they share the work."""
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
        sync_directory(place)
    write_json(folder / MANIFEST, manifest)


def what_is_wrong(folder: Path, contents: Literal["all", "model", "none"] = "all") -> str | None:
    """Find why ``checkpoint-N`` must not be used, by all sizes and the SHA-256 of ``contents``."""
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
    unread = {"all": (), "model": OF_TRAINING, "none": ("*",)}[contents]

    def damage(path: str, saved: int, sha256: str) -> str | None:
        try:
            if (size := (folder / path).stat().st_size) != saved:
                return f"damaged: {path} has {size:,} bytes, not the {saved:,} that were saved"
            read = not any(fnmatch(path, name) for name in unread)
            if read and file_hash(folder / path) != sha256:
                return f"damaged: {path} holds other bytes than were saved"
        except OSError:  # a bad sector, or a training has removed it just now
            return f"damaged: {path} is missing or cannot be read"
        return None

    with ThreadPoolExecutor(THREADS) as threads:
        return next(filter(None, threads.map(damage, *zip(*entries, strict=True))), None)


def other_launch(folder: Path, launched: dict[str, Any]) -> str | None:
    """Say why another launch wrote a checkpoint than the one that is to go on from it."""
    saved, now = (
        ", ".join(f"{key} {launch[key]}" for key in LAUNCH if launch.get(key) is not None)
        for launch in (read_json(folder / MANIFEST), launched)
    )
    if saved == now:
        return None
    cure = "start it as it was begun, or set another output_dir to begin anew"
    return f"saved by {saved}, but this launch is {now}; {cure}"


def remove(folder: Path) -> None:
    """Remove a checkpoint; at no moment does half of it pass for a whole one."""
    (folder / MANIFEST).unlink(missing_ok=True)
    # What somebody holds open on a network's file system stays, and is not taken for a checkpoint.
    shutil.rmtree(folder, ignore_errors=True)


def check_model(model_dir: Path) -> None:
    """Raise UserError if a directory holds a model of a training here that is not there whole."""
    checkpoint = re.fullmatch(r"checkpoint-\d+", model_dir.name) is not None
    run = read_run(model_dir.parent if checkpoint else model_dir)
    if "pretraining" in run and not run["pretraining"].get("finished"):
        raise UserError(f"{model_dir}: pretraining is not finished; run recipes/pretrain.py again")
    if run.get("training") is None:
        return
    if not checkpoint and not run["training"].get("finished"):
        cure = "finish it first by running its recipe again, or give one of its checkpoints"
        raise UserError(f"{model_dir}: its training is not finished; {cure}")
    if checkpoint and (reason := what_is_wrong(model_dir, "model")):
        raise UserError(f"{model_dir}: {reason}; give another checkpoint of this run")


def files_to_disk(folder: Path) -> None:
    """Wait until the files of a directory, not those of its folders, are on disk."""
    for path in folder.iterdir():
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    sync_directory(folder)


def _lacks(manifest: dict[str, Any]) -> str | None:
    """Name the training state missing from a manifest; without it transformers begins it anew."""
    paths = [entry["path"] for entry in manifest["files"]]
    if not any(fnmatch(path, pattern) for path in paths for pattern in OPTIMIZER):
        return "it has no optimizer state"
    several = [f"rng_state_{rank}.pth" for rank in range(manifest["processes"])]
    needed = ["trainer_state.json", LEDGER, *(several if len(several) > 1 else ["rng_state.pth"])]
    # DeepSpeed keeps the optimizer in a file a process, and may keep the scheduler there too.
    if manifest["engine"] != "DEEPSPEED":
        needed.append("scheduler.pt")
    return next((f"it has no {path}" for path in needed if path not in paths), None)
