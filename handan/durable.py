"""Whole files and JSON lines on disk, so that neither a kill nor a full disk leaves half of them.

A whole file is written beside its place and synced, then renamed. What is appended is synced, and
taken away again if it does not fit. A new name is on disk only once its directory is synced too.
Every function that writes raises ``UserError`` if the disk is full or the place cannot be written;
what was written before is intact then.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from handan.errors import UserError, disk_sentence


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert an OSError into a ``UserError`` that names ``path``, if a user can mend it.

    The error of a file that is open has no name, and that of a temporary file the wrong one.
    """
    try:
        yield
    except OSError as error:
        sentence = disk_sentence(error, str(path), "cannot be written")
        if sentence is None:
            raise
        raise UserError(sentence) from error


def write(path: Path, content: bytes) -> None:
    """Write a whole file so that a reader sees the old one or the new one, never half of it.

    A kill leaves ``NAME.partial``, which the next write removes. A link is replaced, never
    followed; only a device or a pipe, to which nothing can be renamed, is written as it is.
    """
    with writing(path):
        make_directory(path.parent)
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            with open(path, "wb", buffering=0) as file:
                _write_all(file, content)
            return
        temporary = path.with_name(path.name + ".partial")
        try:
            temporary.unlink(missing_ok=True)
            with open(temporary, "wb", buffering=0) as file:
                _write_all(file, content)
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk needs the room
                temporary.unlink()
            raise
        sync_directory(path.parent)


def append(path: Path, content: bytes) -> None:
    """Append to a file and wait until it is on disk; all of it or, after an error, nothing."""
    with writing(path):
        make_directory(path.parent)
        new = not path.exists()
        with open(path, "ab", buffering=0) as file:
            status = os.fstat(file.fileno())
            try:
                _write_all(file, content)
                if stat.S_ISREG(status.st_mode):
                    os.fsync(file.fileno())
            except BaseException:
                # Where this fails too, the next run drops what was cut off.
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), status.st_size)
                raise
        if new:
            sync_directory(path.parent)


def append_text(path: Path, text: str) -> None:
    """Append to a log, which is worth no waiting for the disk."""
    with writing(path), open(path, "ab", buffering=0) as file:
        _write_all(file, text.encode())


def make_directory(folder: Path) -> None:
    """Make a directory and those above it, so that they are still there after a power cut."""
    if folder.is_dir():
        return
    make_directory(folder.parent)
    with writing(folder):
        folder.mkdir(exist_ok=True)
        sync_directory(folder.parent)


def sync_directory(folder: Path) -> None:
    """Wait until the names in a directory are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems sync no directories
            raise
    finally:
        os.close(handle)


def _write_all(file: BinaryIO, content: bytes) -> None:
    """Write everything: a file without a buffer may take less than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
