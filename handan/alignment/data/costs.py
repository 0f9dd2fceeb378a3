"""``costs.csv``: what models spent on items and what the items cost people, read and checked.

One row is one sample of one model on one item. Required columns: ``task, item, reasoning_tokens``
and, the same one throughout a task, ``human_rt_s`` (seconds) or ``analytic_cost`` (any positive
unit, for families without human data), unless norms or trials are given beside the file.
Optional columns are listed in ``cells.py``.

- ``model`` missing: all rows belong to a model named 'model'.
- ``reasoning_tokens`` with a fraction: a mean over samples that are not in the file; a note says
  how many there are.
- ``sample`` missing: rows that otherwise agree are counted as samples, in their order, and a note
  says so. With the column, repeated rows are an error.
- ``step`` empty: the end of training, or a model that was not trained.
- ``participant``: one row a sample and participant, each with that person's ``human_rt_s``.
- ``human_mean_rt_s``: the item's arithmetic mean, for the raw correlation, where ``human_rt_s`` is
  the geometric mean, as it is in norms; for all items of a task or none.
- ``status, correct, looping`` empty: unknown, and left out of the rates.
- ``norms``: the source of the human figures; their reliability is taken from there.
- ``oracle_tokens``: the noise-free length of the format the model was trained to write.
- ``counted_by``: how the tokens were counted ('token_ids', 'usage', 'retokenized', 'characters').
- ``cost_rule``: whether ``reasoning_tokens`` is the reasoning span ('span', also if empty) or the
  whole response ('response', for a model without one).
- ``covariate_NAME``: a number that describes the item, such as its carries; empty for tasks that
  do not have it.

Unknown columns are ignored and named in a note. Everything else that does not fit is a
``UserError`` with file, line and cure: nothing is repaired in silence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handan.alignment.data.cells import (
    COUNTS,
    DEMANDS,
    KNOWN,
    POSITIVE,
    REQUIRED,
    TEXT,
    YES_OR_NO,
    parsed,
)
from handan.alignment.data.cost_table import CostTable, FloatArray, check_table
from handan.csv_input import read_cells
from handan.errors import UserError

# Below 1 for what rounding does to short times.
LEAST_MEANS_RATIO = 0.99


class CostFile(NamedTuple):
    """The rows of a file and, one sentence each, what was treated rather than refused."""

    table: CostTable
    notes: list[str]


def as_table(rows: CostTable | Iterable[Mapping[str, object]]) -> CostTable:
    """A checked table, from one that is checked or from mappings with the columns of the file.

    A value of None is an empty cell; the place of a mapping is its number, from 1.

    Raises:
        UserError: as ``read_costs``.
    """
    if isinstance(rows, CostTable):
        return rows
    rows = list(rows)
    if not rows:
        raise UserError("no rows; give one a sample")
    header = list(dict.fromkeys(name for row in rows for name in row))
    cells = [["" if row.get(name) is None else str(row[name]) for name in header] for row in rows]
    places = [f"record {number}" for number in range(1, len(rows) + 1)]
    _check_columns(places[0], header, people_elsewhere=False)
    return table_of_cells(header, cells, places)


def table_of_cells(
    header: list[str], cells: Sequence[list[str]], places: Sequence[str]
) -> CostTable:
    """A checked table of the cells of a file whose header has been checked.

    Raises:
        UserError: as ``read_costs``.
    """
    table = _table(header, cells, places, people_elsewhere=False)
    check_table(table)
    return table


def read_costs(path: Path, people_elsewhere: bool = False) -> CostFile:
    """Read and check one ``costs.csv`` (UTF-8, with or without a byte order mark).

    Args:
        path: the file.
        people_elsewhere: whether response times come from norms or trials, so that the file need
            not have them.

    Raises:
        UserError: the file cannot be read, or a row breaks a rule of this module's docstring.
    """
    header, lines = read_cells(path)
    _check_columns(f"{path}, line 1", header, people_elsewhere)
    places, rows = zip(*lines, strict=True)
    table = _table(header, rows, places, people_elsewhere)
    notes = []
    unknown = [name or "(no name)" for name in header if not _is_known(name)]
    if unknown:
        notes.append(f"{path}: ignored unknown columns: {', '.join(unknown)}")
    tokens = table.numbers["reasoning_tokens"]
    if num_broken := int(np.count_nonzero(tokens != np.round(tokens))):
        notes.append(
            f"{path}: {num_broken} rows have fractions of a token and are taken as means over "
            "samples, whose noise is not known"
        )
    if "sample" not in header:
        table, num_repeated = _number_samples(table)
        if num_repeated:
            notes.append(
                f"{path}: no column 'sample': {num_repeated} rows that repeat an item were "
                "counted as its further samples"
            )
    check_table(table)
    return CostFile(table, notes)


def _is_known(name: str) -> bool:
    return name in KNOWN or name.startswith("covariate_")


def _number_samples(table: CostTable) -> tuple[CostTable, int]:
    """Rows with their sample numbered from 0 within item and participant; how many are not 0."""
    counts: Counter[int] = Counter()
    numbered = []
    for group in table.groups("model", "task", "item", "step", "participant").tolist():
        numbered.append(str(counts[group]))
        counts[group] += 1
    return (
        CostTable(table.places, {**table.text, "sample": numbered}, table.numbers),
        len(table) - len(counts),
    )


def _check_columns(place: str, header: list[str], people_elsewhere: bool) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        shown = ", ".join(header)
        shown = shown if len(shown) < 300 else f"{shown[:300]} ..."
        raise UserError(f"{place}: no column {', '.join(missing)}; found: {shown}")
    if not people_elsewhere and not any(name in header for name in DEMANDS):
        raise UserError(f"{place}: no column human_rt_s or analytic_cost; add one")


def _table(
    header: list[str],
    rows: Sequence[list[str]],
    places: Sequence[str],
    people_elsewhere: bool,
) -> CostTable:
    """Columns of parsed cells; each distinct text is parsed once."""
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    text: dict[str, Sequence[str]] = {}
    for name in TEXT:
        cells = columns.get(name, ("model" if name == "model" else "",) * len(rows))
        text[name] = parsed(name, cells, places)
    numbers: dict[str, FloatArray] = {}
    for name in ("step", *COUNTS, *POSITIVE, *YES_OR_NO, *filter(_is_covariate, header)):
        cells = columns.get(name, ("",) * len(rows))
        numbers[name] = np.array(parsed(name, cells, places), dtype=float)
    table = CostTable(places, text, numbers)
    _check_rows(table, people_elsewhere)
    return table


def _is_covariate(name: str) -> bool:
    return name.startswith("covariate_")


def _check_rows(table: CostTable, people_elsewhere: bool) -> None:
    """Rules on the cells of one row."""
    numbers, text = table.numbers, table.text
    human, analytic = (np.isfinite(numbers[name]) for name in DEMANDS)
    arithmetic = numbers["human_mean_rt_s"]
    given = np.isfinite(arithmetic) & (not people_elsewhere)
    tokens = numbers["reasoning_tokens"]
    status, norms = np.array(text["status"], dtype=object), np.array(text["norms"], dtype=object)
    neither = np.zeros(len(table), bool) if people_elsewhere else ~human & ~analytic
    for wrong, sentence in (
        (np.isnan(tokens), "empty reasoning_tokens; fill it in or remove the row"),
        (
            (human & analytic) | neither,
            "fill in one of human_rt_s and analytic_cost, not both or none",
        ),
        (
            given & np.array([name != "" for name in text["participant"]], dtype=bool),
            "human_mean_rt_s in a row of one participant; leave it out, it is made of these rows",
        ),
        (
            given & ~(arithmetic >= LEAST_MEANS_RATIO * numbers["human_rt_s"]),
            "human_mean_rt_s, the arithmetic mean, is below human_rt_s, the geometric one, or "
            "without it; exchange or fill in",
        ),
        (
            (norms != "") & analytic,
            "norms '{norms}' with an analytic_cost; norms are of people",
        ),
        (
            (status == "no_reasoning") & (tokens > 0),
            "status no_reasoning with {tokens:g} reasoning_tokens; mend one",
        ),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            filled = sentence.format(norms=norms[row], tokens=tokens[row])
            raise UserError(f"{table.places[row]}: {filled}")
