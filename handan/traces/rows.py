"""The rows of a published set: streamed from the hub or a file, in a seeded order."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.traces.cells import Unusable, kind
from handan.traces.columns import steps
from handan.traces.settings import PublishedSettings

SUFFIXES = (".jsonl", ".json", ".parquet")


def open_set(settings: PublishedSettings) -> tuple[str | None, Iterator[Any]]:
    """The commit that is read (None for a file), and the rows in their seeded order.

    Rows of JSON lines come as bytes: one that cannot be read must not end the others.

    Raises:
        UserError: there is no such file, set, subset or split, or the hub cannot be reached; or,
            from the iterator, the set breaks off.
    """
    from datasets import IterableDataset, load_dataset
    from huggingface_hub import HfApi

    path, revision = Path(settings.dataset), None
    try:
        if path.suffix in SUFFIXES and not path.is_file():
            raise UserError(f"{path}: no such file")
        if path.suffix == ".parquet":
            rows = load_dataset("parquet", data_files=str(path), split="train", streaming=True)
        elif path.suffix in SUFFIXES:
            # Not by the library, which guesses types: it makes dates of texts, and one row of
            # another type than the first ones ends the file.
            rows = IterableDataset.from_generator(_json, gen_kwargs={"path": str(path)})
        else:
            rows = load_dataset(
                settings.dataset,
                settings.subset,
                revision=settings.revision,
                split=settings.split,
                streaming=True,
            )
            # A branch moves; what is recorded is the commit it points to now.
            revision = HfApi().dataset_info(settings.dataset, revision=settings.revision).sha
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{settings.dataset}: cannot be opened: {why}") from None
    if settings.shuffle_buffer:
        rows = rows.shuffle(seed=settings.seed, buffer_size=settings.shuffle_buffer)
    rows = rows if settings.limit is None else rows.take(settings.limit)
    return revision, _until_it_breaks(rows, settings)


def _json(path: str) -> Iterator[dict]:
    """Every line of a file as bytes, or every entry of the one list that it holds."""
    if path.endswith(".json"):
        try:
            content = json.loads(Path(path).read_bytes())
            yield from (
                {"row": row} for row in (content if isinstance(content, list) else [content])
            )
            return
        except (ValueError, RecursionError):
            pass  # it holds lines, each of which is read by itself
    with open(path, "rb") as file:
        yield from ({"row": line} for line in file if line.strip())


def _until_it_breaks(rows: Iterable[dict], settings: PublishedSettings) -> Iterator[Any]:
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    number = 0
    try:
        for row in rows:
            number += 1
            yield row["row"] if settings.dataset.endswith((".jsonl", ".json")) else row
    except (OSError, ValueError, ArrowException, DatasetsError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{settings.dataset}: breaks off after {number} rows: {why}; run the same command "
            "again, or download the set again"
        ) from None


def as_row(content: Any) -> dict:
    """One row.

    Raises:
        Unusable: ``not_json``, or ``mistyped_row`` for JSON that is no object.
    """
    if isinstance(content, bytes):
        try:
            content = json.loads(content.removeprefix(b"\xef\xbb\xbf").decode())
        except (ValueError, RecursionError):
            raise Unusable("not_json", f"the line is {kind(content.strip())}") from None
    if not isinstance(content, dict):
        raise Unusable("mistyped_row", f"the row is {kind(content)}, not an object")
    return content


def check_columns(known: Iterable[str], settings: PublishedSettings) -> None:
    """Stop where no row has a column that the YAML names.

    Args:
        known: all columns that the rows had.
        settings: whose columns are looked for.

    Raises:
        UserError: names the column, and those that there are.
    """
    parts = (settings.question, settings.response, settings.reasoning, settings.reference)
    known = list(known)
    for path in [*settings.where, *parts]:
        if known and path is not None and path not in known and steps(path)[0].name not in known:
            raise UserError(
                f"{settings.dataset}: there is no column '{path}'; the set has: "
                f"{', '.join(known)}; correct the YAML"
            )
