"""Whole files, JSON lines and CSV on disk, so that neither a kill nor a full disk leaves half.

A whole file is written beside its place and synced, then renamed. What is appended is synced, and
taken away again if it does not fit. A new name is on disk only once its directory is synced too.
"""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from handan.errors import UserError, disk_sentence
from handan.inputs import json_object

# For a damaged line; of a file of ours, the same command makes what is missing.
CURE = "mend or remove the line, or write the file again"
PACKAGE = Path(__file__).parent
# In a wheel the folders that a clone has beside the package are in it.
BESIDE = PACKAGE / "shipped" if (PACKAGE / "shipped").is_dir() else PACKAGE.parent
SHIPPED = {"recipes": BESIDE, "eval": BESIDE, "launch": BESIDE, "handan": PACKAGE.parent}
Place = TypeVar("Place", str, Path)


def shipped(path: Place) -> Place:
    """Find a path that is not here among what comes with handan: recipes, suites, models.

    Returns ``path`` as it is if it is here or if handan has no such file or folder either.
    """
    folder = SHIPPED.get(Path(path).parts[0]) if Path(path).parts else None
    if folder is None or Path(path).exists() or not (folder / path).exists():
        return path
    return type(path)(folder / path)


def copy_shipped(folder: Path) -> None:
    """Copy recipes, eval and launch to a folder, over no file that is there."""

    def add(source: str, target: str) -> None:
        if not os.path.exists(target):
            shutil.copy(source, target)

    leave = shutil.ignore_patterns("__pycache__")
    for name in ("recipes", "eval", "launch"):
        with writing(folder / name):
            shutil.copytree(BESIDE / name, folder / name, False, leave, add, dirs_exist_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert an OSError that a user can mend into a ``UserError`` that names the file."""
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


def content_hash(value: Any) -> str:
    """Sixteen hex digits of the SHA-256 of ``value`` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a whole file, as ``write``."""
    write(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. NaN and infinity are errors: use None."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, missing: Any = None) -> Any:
    """Read one JSON file, which must be there unless something stands for a ``missing`` one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); restore or delete it") from None


def append_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Append rows and wait until they are on disk; after an error none of them is in the file."""
    append(path, _lines(rows).encode())


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Write a whole JSON-lines file, atomically."""
    write_text(path, _lines(rows))


def _lines(rows: Iterable[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def read_jsonl(path: Path) -> list[dict]:
    """All rows of a JSON-lines file, each of which must be a JSON object."""
    try:
        return _rows(path, path.read_bytes().split(b"\n"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None


def read_appended(path: Path) -> list[dict]:
    """The rows of a file that may still be written to, as ``whole_lines``."""
    return _rows(path, whole_lines(path))


def _rows(path: Path, lines: Iterable[bytes]) -> list[dict]:
    numbered = ((f"{path}, line {number}", line) for number, line in enumerate(lines, start=1))
    return [json_object(place, line, CURE) for place, line in numbered if line.strip()]


def whole_lines(path: Path, tell: bool = True) -> Iterator[bytes]:
    """The lines of a file that may still be written to, without a last one that is cut off."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                if tell:
                    print(
                        f"{path}, line {number}: cut off, so it is left out; the run that wrote it "
                        "was killed or is writing now"
                    )
                return
            yield line


def read_keyed(path: Path, key: Sequence[str], unique: bool = True) -> list[dict]:
    """All rows of a JSON-lines file, with the columns ``key``; a repeated key means two writers."""
    rows = read_jsonl(path)
    seen: dict[tuple, int] = {}
    for number, row in enumerate(rows, start=1):
        missing = [column for column in key if column not in row]
        if missing:
            raise UserError(f"{path}, line {number}: no '{missing[0]}'; move the file away")
        first = seen.setdefault(tuple(row[column] for column in key), number)
        if unique and first != number:
            raise repeated(path, number, key, first)
    return rows


def repeated(path: Path, number: int, key: Sequence[str], first: int) -> UserError:
    """The error that line ``number`` of a file has the key of line ``first``."""
    return UserError(
        f"{path}, line {number}: same {', '.join(key)} as line {first}; "
        "two runs wrote this file: move it away and run again"
    )


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> None:
    """Write rows as CSV with exactly these columns, atomically; None becomes an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: row[column] for column in columns} for row in rows)
    write_text(path, buffer.getvalue())
