"""Where a training goes on, and what of its files is made again from there."""

from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import UserError
from handan.launch import Processes
from handan.records import write_jsonl
from handan.responses import KEY
from handan.training import checkpoints
from handan.training.probe import RESPONSES
from handan.training.rollouts import FILE as ROLLOUTS


def checkpoint_to_resume(
    run_dir: Path, resume: str, launched: dict[str, Any], world: Processes
) -> str | None:
    """The newest whole checkpoint of a run, or None for a fresh start.

    The first process looks and decides for all, so that no two of them go on from different steps.
    Transformers takes the newest directory unchecked, and trains on with a fresh optimizer if that
    part is missing.

    Args:
        run_dir: of the run.
        resume: ``auto``; ``never``: no checkpoint may be there; ``must``: a whole one must be.
        launched: processes, engine and the like of this launch.
        world: the processes; all must come here.

    Raises:
        UserError: ``resume`` forbids it, or another launch wrote the newest whole checkpoint.
    """
    decided: list[dict] = []
    if world.rank == 0:
        try:
            decided = [{"checkpoint": _newest(run_dir, resume, launched), "error": None}]
        except UserError as error:
            decided = [{"checkpoint": None, "error": str(error)}]
    (decision,) = world.gather(decided)
    if decision["error"] is not None:
        raise UserError(decision["error"])
    return decision["checkpoint"]


def _newest(run_dir: Path, resume: str, launched: dict[str, Any]) -> str | None:
    found = checkpoints.found(run_dir)
    if found and resume == "never":
        raise UserError(
            f"{run_dir}/checkpoint-{max(found)}: exists and resume is 'never'; remove it or set "
            "resume: auto"
        )
    useless = []
    for _, path in sorted(found.items(), reverse=True):
        reason = checkpoints.what_is_wrong(path)
        if reason is None:
            if other := checkpoints.other_launch(path, launched):
                raise UserError(f"{path}: {other}")
            return str(path)
        useless.append(f"{path.name}: {reason}")
        print(f"{path}: {reason}; not used", flush=True)
    if resume == "must":
        raise UserError(
            f"{run_dir}: resume is 'must', but there is no whole checkpoint"
            f"{' (' + '; '.join(useless) + ')' if useless else ''}; set resume: auto to begin anew"
        )
    if useless:
        print(f"{run_dir}: no whole checkpoint, so the training begins anew", flush=True)
    return None


def forget_after(run_dir: Path, step: int) -> None:
    """Remove what was made of steps that are about to be trained again.

    Metrics, responses and rollouts were made by a process that died after its last checkpoint;
    leaving them would show two policy versions under one step. Checkpoints are useless ones, whose
    files must not be mixed with those of the next save.
    """
    for of_step, path in checkpoints.found(run_dir).items():
        if of_step > step:
            checkpoints.remove(path)
            print(f"{path}: removed; step {of_step} is trained again", flush=True)
    for name in ("metrics.jsonl", *RESPONSES, ROLLOUTS):
        path = run_dir / name
        if name in RESPONSES:
            rows = rundir.recover(path, ("step", *KEY))
        else:  # several rows of a step have no key of their own
            rows = rundir.recover(path, ("step",), unique=False)
        kept = [row for row in rows if row["step"] <= step]
        if len(kept) < len(rows):
            print(f"{path}: {len(rows) - len(kept)} rows after step {step} are made again")
            write_jsonl(path, kept)
