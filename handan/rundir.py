"""One directory is one run: what was asked for, with what it ran, and what it cost."""

import errno
import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from handan import provenance
from handan.config import read_yaml
from handan.durable import make_directory, writing
from handan.errors import UserError
from handan.records import (
    drop_torn_line,
    read_json,
    read_keyed,
    write_json,
    write_text,
)

# How file systems say that they lock no files: NFS without lockd, Lustre without flock, FUSE.
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def check_config(
    run_dir: Path, stage: str, config: dict, may_change: Collection[str] = ()
) -> dict[str, dict]:
    """Refuse a directory in which the stage was begun with another configuration.

    Args:
        run_dir: the directory.
        stage: pretraining, training, evaluation or traces.
        config: what is about to be done there.
        may_change: keys that make no difference to what lies there.

    Returns:
        The configurations of all stages recorded so far.

    Raises:
        UserError: what lies there would silently be mixed with what is about to be made.
    """
    path = run_dir / "config.yaml"
    if not path.exists():
        return {}
    recorded = read_yaml(path)
    before = recorded.get(stage, config)
    for key in (*config, *before):
        if config.get(key) != before.get(key) and key not in may_change:
            raise UserError(
                f"{path}: {stage} was begun with {key} = {before.get(key)!r}, now it is "
                f"{config.get(key)!r}; choose another output directory or remove this one"
            )
    return recorded


@contextmanager
def lock(run_dir: Path, rank: int) -> Iterator[None]:
    """Hold a run directory, so that no two commands write it; waits for the other one to end.

    Only the first process of a command takes the lock; the others pass. The system frees it with
    its process, however that ends; what stays in ``.lock`` is only a number.

    Raises:
        UserError: the directory cannot be written, or its file system has no locks.
    """
    if rank > 0:
        yield
        return
    make_directory(run_dir)
    refuse_links(run_dir)
    path = run_dir / ".lock"
    with writing(path):
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (closed by the with below)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "of another command"
            print(f"{run_dir}: process {holder} is writing here; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            raise UserError(
                f"{run_dir}: its file system has no locks ({error.strerror}), so two commands "
                "could mix their results there; choose a directory on another file system, or "
                "have this one mounted with flock"
            ) from None
        with writing(path):
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
    """Rows of a file that a killed run may have left, ready to be appended to.

    A last line that was cut off is removed from the file, so that its work is done again, and is
    counted in the run's ``run.json`` under ``torn_lines``. A missing file has no rows.

    Args, Raises: as ``read_keyed``.
    """
    if not path.exists():
        return []
    facts = path.parent / "run.json"
    if drop_torn_line(path) and facts.exists():
        run = read_json(facts)
        torn = run.setdefault("torn_lines", {})
        torn[path.name] = torn.get(path.name, 0) + 1
        write_json(facts, run)
    return read_keyed(path, key, unique)


def record(
    run_dir: Path, stage: str, config: dict, may_change: Collection[str] = (), **details: Any
) -> None:
    """Write one stage (training, evaluation, traces) into ``config.yaml`` and ``run.json``.

    A directory can hold several stages of one arm, such as its training and its evaluation.

    Raises:
        UserError: as ``check_config``.
    """
    configs = check_config(run_dir, stage, config, may_change)
    run = read_json(run_dir / "run.json") if (run_dir / "run.json").exists() else {}
    # What was found at the end of an earlier pass, such as the budget, stays.
    run[stage] = {**run.get(stage, {}), **provenance.facts(), **details}
    for shared in ("arm", "comparability"):
        if shared in run[stage]:
            run[shared] = run[stage].pop(shared)
    configs[stage] = config
    text = yaml.safe_dump(configs, sort_keys=False, allow_unicode=True)
    write_text(run_dir / "config.yaml", text)
    write_json(run_dir / "run.json", run)


def add(run_dir: Path, stage: str, **details: Any) -> None:
    """Add facts that are known only at the end, such as the budget, to a recorded stage."""
    run = read_json(run_dir / "run.json")
    run[stage].update(details)
    write_json(run_dir / "run.json", run)
