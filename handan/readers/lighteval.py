"""Details of lighteval (``--save-details``): a Parquet file a task, a row a document."""

import re
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.generation.chat import UNCOUNTED, Said
from handan.inputs import at, field, name, part, text
from handan.readers.logged import (
    ITEM_CURE,
    Collected,
    Log,
    LoggedSample,
    NoText,
    Options,
    read_files,
)

_NAME = re.compile(r"details_(?P<task>.+)_\d{4}-\d\d-\d\dT[\d.+-]+\.parquet", re.ASCII)
_CURE = "run it again without removing reasoning from the text, or on an endpoint that returns it"


def read(path: Path, options: Options) -> Log:
    """Read one file of details, or all of an output folder and its subfolders."""
    cure = "run lighteval with --save-details"
    return read_files(path, "details_*.parquet", cure, _read_file, options)


def _read_file(path: Path, options: Options) -> Log:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise UserError(f"{path}: cannot tell its task; name the file details_TASK_DATE.parquet")
    task = re.sub(r"\|\d+$", "", match["task"])  # without the number of examples in the prompt
    model = options.model or _model(path)
    rows = _rows(path)
    with at(f"{path}, row 1"):
        if not field(rows[0], "model_response.text"):
            raise NoText("no generated text; only tasks that generate reason")
        named = "item" in part(part(rows[0], "doc", dict), "specific", dict)
    item_field = options.item_field or ("doc.specific.item" if named else "doc.id")
    collected = Collected(path, "responses", options)
    for number, row in enumerate(rows, start=1):
        place = f"{path}, row {number}"
        with at(place):
            item = name(item_field, field(row, item_field, ITEM_CURE))
            response = part(row, "model_response", dict)
            texts = part(response, "text", list)
            thoughts = part(response, "reasonings", list) + [None] * len(texts)
            given = part(row, "metric", dict)
            metric = collected.metric(given) if len(texts) == 1 else None
        what = f"metric {metric}"
        right = None if metric is None else collected.score(item, place, what, given[metric])
        for sample, (said, thought) in enumerate(zip(texts, thoughts, strict=False)):
            try:
                told = Said(text("a reasoning", thought), text("a text", said))
                if not (told.reasoning or told.text):
                    raise UserError("empty, as of a request that failed")
            except UserError as error:
                collected.leave_out(f"{item}, sample {sample}", error)
                continue
            names = (place, model, task, item, str(sample))
            collected.samples.append(LoggedSample(*names, UNCOUNTED, told, right))
    return collected.log(_CURE, tells_end=False)


def _model(path: Path) -> str:
    """Tell the model by the folders: ``details/MODEL/DATE/details_*.parquet``."""
    parts = path.resolve().parent.parts
    if "details" not in parts[:-1]:
        raise UserError(f"{path}: no folder details/MODEL/DATE names the model; use --model")
    last = len(parts) - 1 - parts[::-1].index("details")
    return "/".join(parts[last + 1 : -1])


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{path}: Parquet takes a package: pip install pyarrow") from None
    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not a Parquet file ({error}); copy the log again") from None
    if not rows:
        raise UserError(f"{path}: no rows; it needs one a document")
    return rows
