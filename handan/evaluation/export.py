"""``handan export``: the responses of runs as one table, a row each, with what was asked."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from handan.errors import UserError, printable
from handan.evaluation.responses import KEY
from handan.files import read_keyed, write


def export(runs: Sequence[Path], output: Path) -> None:
    """Write all responses as Parquet or CSV, by the name of ``output``."""
    if output.suffix not in (".parquet", ".csv"):
        raise UserError(f"--output {output}: is neither .parquet nor .csv; name one of them")
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{output}: this takes a package: pip install pyarrow") from None
    rows = [row for run in runs for row in _rows(run)]
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
    content = io.BytesIO()
    to = pyarrow.parquet.write_table if output.suffix == ".parquet" else pyarrow.csv.write_csv
    to(table, content)
    write(output, content.getvalue())
    print(f"wrote {printable(str(output))}: {len(rows)} responses")


def _rows(run: Path) -> Iterator[dict[str, Any]]:
    path, asked = run / "items.jsonl", {}
    if path.exists():  # traces have none
        for row in read_keyed(path, ("task", "item", "question", "answer"), unique=False):
            more = {f"covariate_{name}": value for name, value in row.pop("covariates").items()}
            asked[row["task"], row["item"]] = row | {"right_answer": row.pop("answer")} | more
    for row in read_keyed(run / "generations.jsonl", KEY):
        del row["completion_ids"]
        yield {"run": str(run)} | asked.get((row["task"], row["item"]), {}) | row
