"""Disks that fail for real: full, read-only, limited; and processes that die while they write."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from embedded import ROOT

NOBODY = 65534


@contextmanager
def own_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own in memory; skips where that takes rights one has not."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process can grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def python(code: str, *words: object, **more: object) -> subprocess.CompletedProcess:
    """Run some lines in a process of their own; ``words`` are its arguments."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **more,
    )


def as_nobody(code: str, *words: object) -> subprocess.CompletedProcess:
    """The same as a user with few rights, who imports what is needed before that."""
    drop = f"if os.getuid() == 0: os.setuid({NOBODY})"
    imports = "import os, sys; from pathlib import Path; from handan import errors, files, rundir"
    return python(f"{imports}\n{drop}\n{code}", *words)


def one_sentence(done: subprocess.CompletedProcess) -> str:
    """What a process told its user, if it is one line and the exit code is that of bad input."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def tear(path: Path) -> None:
    """Leave a file as a process leaves it that is killed while it appends a line."""
    content = path.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(content[: (start + len(content)) // 2])
    assert not path.read_bytes().endswith(b"\n")
