"""Published sets of mathematics as tasks of one's own: ``handan task fetch math500 --output DIR``.

Their difficulty, as their authors grade it, is the analytic cost. ``benchmarks.yaml`` has the
layouts, and scores that others published, to place a model beside.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from handan.errors import UserError
from handan.files import make_directory, write_csv, write_text
from handan.inputs import json_lines
from handan.tasks import own_task
from handan.tasks.mathematics import reference_answer

COLUMNS = (*own_task.COLUMNS, "analytic_cost")
TASK = "name: {name}\ngrader: math\ninstruction: {instruction}\n"
SOLVED = "####"  # before the answer, behind a solution in the manner of GSM8K
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."


@dataclass(frozen=True)
class Benchmark:
    """A published set: its layout, and what others measured on it."""

    dataset: str
    split: str
    columns: dict[str, str]  # of ours, what the set calls it; items without are numbered
    cost: tuple[str, str]  # column and pattern
    name: str | None = None
    source: str = ""
    how: str = ""
    scores: dict[str, float] = field(default_factory=dict)


_KNOWN = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
BENCHMARKS = {name: Benchmark(**entry) for name, entry in _KNOWN.items()}


def fetch(name: str, source: str | None, revision: str | None, folder: Path) -> None:
    """Write a set, of the hub or a file in its layout, as ``task.yaml`` and ``items.csv``."""
    benchmark = BENCHMARKS[name]
    if folder.exists():
        raise UserError(f"{folder}: is there already; choose another --output")
    read = _rows(benchmark, source, revision)
    rows = [_item(benchmark, number, place, row) for number, (place, row) in enumerate(read, 1)]
    make_directory(folder)
    write_csv(folder / own_task.ITEMS, COLUMNS, rows)
    write_text(folder / own_task.SETTINGS, TASK.format(name=name, instruction=INSTRUCTION))
    print(f"wrote {folder}: {len(rows)} items")
    if benchmark.scores:
        print(f"published pass@1 in %, {benchmark.how}; from {benchmark.source}:")
        for model, score in benchmark.scores.items():
            print(f"  {score:5.1f}  {model}")


def _rows(
    benchmark: Benchmark, source: str | None, revision: str | None
) -> Iterable[tuple[str, dict]]:
    from datasets import Dataset, load_dataset
    from datasets.exceptions import DatasetsError

    if source is not None and not source.endswith(".parquet"):
        return json_lines(Path(source))
    what, which = source or benchmark.dataset, {"split": benchmark.split, "revision": revision}
    try:
        found = (
            Dataset.from_parquet(source) if source else load_dataset(what, benchmark.name, **which)
        )
    except (OSError, ValueError, DatasetsError) as error:
        why = " ".join(str(error).split())
        cure = "" if source else "; download it elsewhere and name the file with --from"
        raise UserError(f"{what}: cannot be opened: {why}{cure}") from None
    return ((f"{what}, row {number}", row) for number, row in enumerate(found, start=1))


def _item(benchmark: Benchmark, number: int, place: str, row: dict) -> dict[str, str | int]:
    column, pattern = benchmark.cost
    names = {"item": "", **benchmark.columns, "analytic_cost": column}
    found = {ours: str(row.get(theirs) or "") for ours, theirs in names.items()}
    graded = re.findall(pattern, found["analytic_cost"])
    answer = reference_answer(found["answer"].rpartition(SOLVED)[2].strip())
    if not graded or not found["question"] or answer is None:
        there = ", ".join({*benchmark.columns.values(), column})
        raise UserError(f"{place}: does not have what this set has in {there}; is it another file?")
    cost = int(graded[0]) if re.compile(pattern).groups else len(graded)
    return {
        "item": found["item"] or f"{number:04d}",
        "question": found["question"],
        "answer": answer,
        "analytic_cost": cost,
    }
