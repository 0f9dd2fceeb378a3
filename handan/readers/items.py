"""``ITEMS.csv``: what each item costs people, or by analysis; what logs are joined with."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from handan.alignment.data.cells import DEMANDS
from handan.alignment.data.costs import table_of_cells
from handan.csv_input import read_cells
from handan.errors import UserError

COLUMNS = ("task", "item", *DEMANDS, "human_mean_rt_s", "norms")


class Item(NamedTuple):
    """One row: exactly one of the two demands is not None."""

    task: str
    item: str
    human_rt_s: float | None
    analytic_cost: float | None
    human_mean_rt_s: float | None
    norms: str | None


class Items(NamedTuple):
    """The items by (task, item), the columns they have, and notes."""

    by_name: dict[tuple[str, str], Item]
    columns: list[str]
    notes: list[str]


def read_items(path: Path) -> Items:
    """Read and check one ``ITEMS.csv`` (UTF-8): ``task, item``, a demand; optional others.

    Raises:
        UserError: the file cannot be read or is not such a table.
    """
    header, lines = read_cells(path)
    for name in ("task", "item"):
        if name not in header:
            raise UserError(f"{path}, line 1: no column '{name}'; add it")
    if not set(DEMANDS) & set(header):
        raise UserError(f"{path}, line 1: no column human_rt_s or analytic_cost; add one")
    kept = [place for place, name in enumerate(header) if name in COLUMNS]
    places, rows = zip(*lines, strict=True)
    # As a table of costs of models that spend nothing, its rules hold for the items too.
    cells = [[*(row[place] for place in kept), "0"] for row in rows]
    names = [(row[header.index("task")].strip(), row[header.index("item")].strip()) for row in rows]
    first: dict[tuple[str, str], str] = {}
    for place, key in zip(places, names, strict=True):
        if first.setdefault(key, place) != place:
            raise UserError(f"{place}: same task and item as {first[key]}; remove one")
    table = table_of_cells([*(header[place] for place in kept), "reasoning_tokens"], cells, places)
    human, analytic, arithmetic = (
        [None if np.isnan(value) else float(value) for value in table.numbers[name]]
        for name in (*DEMANDS, "human_mean_rt_s")
    )
    items = {
        name: Item(
            *name, human[row], analytic[row], arithmetic[row], table.text["norms"][row] or None
        )
        for row, name in enumerate(names)
    }
    unknown = [name or "(no name)" for name in header if name not in COLUMNS]
    notes = [f"{path}: ignored other columns: {', '.join(unknown)}"] if unknown else []
    return Items(items, [name for name in COLUMNS if name in header], notes)
