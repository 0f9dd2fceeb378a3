"""``ITEMS.csv``: what each item costs people, or by analysis; what logs are joined with."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from handan.alignment.cost_rows import CostRow, check_rows
from handan.alignment.costs import DEMANDS, as_rows
from handan.errors import UserError
from handan.readers.checks import read_bytes

COLUMNS = ("task", "item", *DEMANDS, "norms")


class Items(NamedTuple):
    """The items by (task, item), the columns they have, and notes."""

    by_name: dict[tuple[str, str], CostRow]
    columns: list[str]
    notes: list[str]


def read_items(path: Path) -> Items:
    """Read and check one ``ITEMS.csv`` (UTF-8): ``task, item``, a demand, optional ``norms``.

    Raises:
        UserError: the file cannot be read or is not such a table.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8; save the file as UTF-8") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    items: dict[tuple[str, str], CostRow] = {}
    try:
        header = [name.strip() for name in next(lines, [])]
        _check_header(path, header)
        for cells in lines:
            if cells:
                item = _item(f"{path}, line {lines.line_num}", header, cells)
                first = items.setdefault((item.task, item.item), item)
                if first is not item:
                    raise UserError(
                        f"{item.place}: same task and item as {first.place}; remove one"
                    )
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: not valid CSV ({error})") from None
    if not items:
        raise UserError(f"{path}: no rows under the header; add one row an item")
    check_rows(items.values())
    unknown = [name or "(no name)" for name in header if name not in COLUMNS]
    notes = [f"{path}: ignored other columns: {', '.join(unknown)}"] if unknown else []
    return Items(items, [name for name in COLUMNS if name in header], notes)


def _check_header(path: Path, header: list[str]) -> None:
    for name in ("task", "item"):
        if header.count(name) != 1:
            raise UserError(
                f"{path}, line 1: there must be one column '{name}', with commas around"
            )
    if not set(DEMANDS) & set(header):
        raise UserError(f"{path}, line 1: no column human_rt_s or analytic_cost; add one")


def _item(place: str, header: list[str], cells: list[str]) -> CostRow:
    """One row, checked by the rules of ``costs.csv``."""
    if len(cells) != len(header):
        raise UserError(f"{place}: {len(cells)} cells under {len(header)} columns; quote commas")
    row = {name: cell for name, cell in zip(header, cells, strict=True) if name in COLUMNS}
    try:
        (item,) = as_rows([{**row, "reasoning_tokens": 0}])
    except UserError as error:
        raise UserError(f"{place}: {str(error).removeprefix('record 1: ')}") from None
    return item._replace(place=place)
