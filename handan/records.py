"""JSON lines on disk: append-only, flushed per batch, torn last lines dropped and counted.

This module imports nothing of ours but the error type, so that every other part can lean on it.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from handan.errors import UserError


def content_hash(value: Any) -> str:
    """Sixteen hex digits of the SHA-256 of ``value`` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a whole file so that a reader sees the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    with open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. NaN and infinity are errors: use None."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); restore or delete it") from None


def append_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Append rows and wait until they are on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    """Write a whole JSON-lines file, atomically."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    write_text(path, "".join(lines))


def read_jsonl(path: Path) -> list[dict]:
    """All rows of a JSON-lines file.

    Raises:
        UserError: the file is missing, or a line is not a JSON object.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}: not valid JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected a JSON object")
        rows.append(row)
    return rows


def recover_jsonl(path: Path, key: Sequence[str], unique: bool = True) -> list[dict]:
    """Rows of a file that a killed run may have left, ready to be appended to.

    A last line without its newline was cut off while it was written: it is removed from the file
    and its work is done again. A repeated key means two writers or a wrong resume, and stops.

    Args:
        path: the file; a missing one has no rows.
        key: columns every row must have, and that together identify it.
        unique: whether they do.

    Raises:
        UserError: a complete line is not valid JSON, lacks a key column, or repeats a key.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        with open(path, "r+b") as file:
            file.truncate(complete)
        print(f"{path}: dropped one half-written line; its work will be done again", flush=True)
    rows = read_jsonl(path)
    seen: dict[tuple, int] = {}
    for number, row in enumerate(rows, start=1):
        missing = [column for column in key if column not in row]
        if missing:
            raise UserError(f"{path}, line {number}: no '{missing[0]}'; move the file away")
        identity = tuple(row[column] for column in key)
        if unique and identity in seen:
            raise UserError(
                f"{path}, line {number}: same {', '.join(key)} as line {seen[identity]}; "
                "two runs wrote this file: move it away and run again"
            )
        seen[identity] = number
    return rows


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> None:
    """Write rows as CSV with exactly these columns, atomically; None becomes an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({column: "" if row[column] is None else row[column] for column in columns})
    write_text(path, buffer.getvalue())
