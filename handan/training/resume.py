"""Where a training goes on, and what of its files is made again from there."""

from pathlib import Path

from handan import rundir
from handan.errors import UserError
from handan.records import write_jsonl
from handan.responses import KEY
from handan.training.ledger import complete_checkpoints
from handan.training.probe import RESPONSES
from handan.training.rollouts import FILE as ROLLOUTS


def checkpoint_to_resume(run_dir: Path, resume: str) -> str | None:
    """The newest complete checkpoint of a run, or None for a fresh start.

    Transformers takes the newest directory unchecked, and trains on with a fresh optimizer if that
    part is missing.

    Raises:
        UserError: a checkpoint exists and ``resume`` is never.
    """
    complete = complete_checkpoints(run_dir)
    for path in run_dir.glob("checkpoint-[0-9]*"):
        if resume == "never":
            raise UserError(f"{path}: exists and resume is 'never'; remove it or set resume: auto")
        if path not in complete.values():
            print(f"{path}: incomplete, left by a run that was cut off; not used", flush=True)
    return str(complete[max(complete)]) if complete else None


def forget_after(run_dir: Path, step: int) -> None:
    """Remove metrics, responses and rollouts of steps that are about to be trained again.

    They were made by a process that died after its last checkpoint; leaving them would show two
    policy versions under one step.
    """
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
