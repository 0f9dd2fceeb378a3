"""Published sets of mathematics as tasks of one's own: ``handan task fetch math500 --output DIR``.

Their difficulty, as their authors grade it, is the analytic cost. ``benchmarks.yaml`` has the
layouts, and scores that others published, to place a model beside.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from handan.errors import UserError
from handan.files import make_directory, write_csv, write_text
from handan.inputs import set_rows
from handan.tasks import own_task
from handan.tasks.mathematics import reference_answer

COLUMNS = (*own_task.COLUMNS, "analytic_cost")
TASK = "name: {name}\ngrader: math\ninstruction: {instruction}\n"
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."


def fetch(name: str, source: str | None, revision: str | None, folder: Path) -> None:
    """Write a set, of the hub or a file in its layout, as ``task.yaml`` and ``items.csv``."""
    known = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))[name]
    if folder.exists():
        raise UserError(f"{folder}: is there already; choose another --output")
    path, of = source or known["dataset"]["path"], known["dataset"]
    read = set_rows(path, of.get("name"), of["split"], revision)
    rows = [_item(known, number, place, row) for number, (place, row) in enumerate(read, start=1)]
    make_directory(folder)
    write_csv(folder / own_task.ITEMS, COLUMNS, rows)
    write_text(folder / own_task.SETTINGS, TASK.format(name=name, instruction=INSTRUCTION))
    print(f"wrote {folder}: {len(rows)} items")
    if "scores" in known:
        print(f"published pass@1 in %, {known['how']}; from {known['source']}:")
        for model, score in known["scores"].items():
            print(f"  {score:5.1f}  {model}")


def _item(known: dict[str, Any], number: int, place: str, row: dict) -> dict[str, str | int]:
    column, pattern = known["cost"]
    names = {"item": "", **known["columns"], "analytic_cost": column}
    found = {ours: str(row.get(theirs) or "") for ours, theirs in names.items()}
    graded = re.findall(pattern, found["analytic_cost"])
    answer = reference_answer(found["answer"])
    if not graded or not found["question"] or answer is None:
        there = ", ".join({*known["columns"].values(), column})
        raise UserError(f"{place}: does not have what this set has in {there}; is it another file?")
    cost = int(graded[0]) if re.compile(pattern).groups else len(graded)
    item = found["item"] or f"{number:04d}"
    return {**found, "item": item, "answer": answer, "analytic_cost": cost}
