"""``costs.csv``: what models spent on items and what the items cost people, read and checked.

One row is one sample of one model on one item. Required columns: ``task, item, reasoning_tokens``
and, the same one throughout a task, ``human_rt_s`` (seconds) or ``analytic_cost`` (any positive
unit, for families without human data). Optional columns are listed in ``OPTIONAL``.

- ``model`` missing: all rows belong to a model named 'model'.
- ``sample`` missing: rows that otherwise agree are counted as samples, in their order, and a note
  says so. With the column, repeated rows are an error.
- ``step`` empty: the end of training, or a model that was not trained.
- ``participant``: one row a sample and participant, each with that person's ``human_rt_s``.
- ``status, correct`` empty: unknown, and left out of the rates.
- ``norms``: the packaged source of the human figures; their reliability is taken from there.
- ``oracle_tokens``: the noise-free length of the format the model was trained to write.

Unknown columns are ignored and named in a note. Everything else that does not fit is a
``UserError`` with file, line and cure: nothing is repaired in silence.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from handan.alignment.cost_rows import CostRow, check_rows
from handan.errors import UserError

REQUIRED = ("task", "item", "reasoning_tokens")
DEMANDS = ("human_rt_s", "analytic_cost")
OPTIONAL = (
    *("model", "sample", "step", "participant", "correct", "status", "norms", "oracle_tokens"),
    *("prompt_tokens", "answer_tokens", "reasoning_characters", "counted_by"),
)
STATUSES = ("complete", "truncated", "no_reasoning", "unparsed")
CORRECT = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}

# Outside these bounds a column was mistaken for another one, or its unit was.
MOST_COUNT = 10**9
LEAST_COST, MOST_COST = 1e-9, 1e12

# float() would also take 'nan', 'infinity', '1_000' and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class CostFile(NamedTuple):
    """The rows of a file and, one sentence each, what was treated rather than refused."""

    rows: list[CostRow]
    notes: list[str]


def as_rows(rows: Iterable[CostRow | Mapping[str, object]]) -> list[CostRow]:
    """Checked rows, from rows or from mappings with the columns of the file (None: empty cell).

    Raises:
        UserError: as ``read_costs``; the place of a mapping is its number, from 1.
    """
    checked = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, CostRow):
            place = f"record {number}"
            cells = ["" if value is None else str(value) for value in row.values()]
            _check_header(place, list(row))
            row = _parse_row(place, list(row), cells)
        checked.append(row)
    check_rows(checked)
    return checked


def read_costs(path: Path) -> CostFile:
    """Read and check one ``costs.csv`` (UTF-8, with or without a byte order mark).

    Raises:
        UserError: the file cannot be read, or a row breaks a rule of this module's docstring.
    """
    lines = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    header: list[str] = []
    rows: list[CostRow] = []
    try:
        header = [name.strip() for name in next(lines, [])]
        _check_header(f"{path}, line 1", header)
        for cells in lines:
            if cells:
                rows.append(_parse_row(f"{path}, line {lines.line_num}", header, cells))
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: not valid CSV ({error})") from None
    if not rows:
        raise UserError(f"{path}: no rows under the header; add one row a sample")
    notes = []
    known = (*REQUIRED, *DEMANDS, *OPTIONAL)
    unknown = [name or "(no name)" for name in header if name not in known]
    if unknown:
        notes.append(f"{path}: ignored unknown columns: {', '.join(unknown)}")
    if "sample" not in header:
        rows, num_repeated = _number_samples(rows)
        if num_repeated:
            notes.append(
                f"{path}: no column 'sample': {num_repeated} rows that repeat an item were "
                "counted as its further samples"
            )
    check_rows(rows)
    return CostFile(rows, notes)


def _number_samples(rows: list[CostRow]) -> tuple[list[CostRow], int]:
    """Rows with their sample numbered from 0 within item and participant; how many are not 0."""
    counts: Counter[tuple] = Counter()
    numbered = []
    for row in rows:
        key = (row.model, row.task, row.item, row.step, row.participant)
        numbered.append(row._replace(sample=str(counts[key])))
        counts[key] += 1
    return numbered, len(rows) - len(counts)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from None
    if not text.strip():
        raise UserError(f"{path}: empty; it needs a header with {', '.join(REQUIRED)}")
    return text


def _check_header(place: str, header: list[str]) -> None:
    if len(header) == 1 and (found := next((mark for mark in ";\t|" if mark in header[0]), "")):
        raise UserError(f"{place}: columns are separated by {found!r}; save it with commas")
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise UserError(f"{place}: no column {', '.join(missing)}; found: {', '.join(header)}")
    if not any(name in header for name in DEMANDS):
        raise UserError(f"{place}: no column human_rt_s or analytic_cost; add one")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise UserError(f"{place}: column '{repeated[0]}' appears twice; remove one")


def _parse_row(place: str, header: list[str], cells: list[str]) -> CostRow:
    if len(cells) != len(header):
        raise UserError(
            f"{place}: {len(cells)} cells under {len(header)} columns; quote cells with commas "
            "and fill in empty ones"
        )
    row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    for column in ("task", "item", "reasoning_tokens", "model"):
        if not row.get(column, "model"):
            raise UserError(f"{place}: empty {column}; fill it in or remove the row")

    def choice(column: str, choices: Iterable[str]) -> str | None:
        text = row.get(column, "").lower()
        if text and text not in choices:
            raise UserError(f"{place}: {column} is '{row[column]}'; use {', '.join(choices)}")
        return text or None

    def whole(column: str) -> int | None:
        number = _number(place, column, row.get(column, ""))
        if number is None:
            return None
        if not (number.is_integer() and 0 <= number <= MOST_COUNT):
            raise UserError(
                f"{place}: {column} is {row[column]}; it is a whole number, 0 to {MOST_COUNT:g}"
            )
        return int(number)

    def positive(column: str) -> float | None:
        number = _number(place, column, row.get(column, ""))
        if number is not None and not LEAST_COST <= number <= MOST_COST:
            raise UserError(
                f"{place}: {column} is {row[column]}; logarithms need a positive number "
                f"({LEAST_COST:g} to {MOST_COST:g}): remove the row or mend the column"
            )
        return number

    tokens, status = whole("reasoning_tokens"), choice("status", STATUSES)
    correct = choice("correct", CORRECT)
    human_rt_s, analytic_cost = positive("human_rt_s"), positive("analytic_cost")
    norms = row.get("norms") or None
    if (human_rt_s is None) == (analytic_cost is None):
        raise UserError(f"{place}: fill in one of human_rt_s and analytic_cost, not both or none")
    if norms and analytic_cost is not None:
        raise UserError(f"{place}: norms '{norms}' with an analytic_cost; norms are of people")
    if status == "no_reasoning" and tokens:
        raise UserError(f"{place}: status no_reasoning with {tokens} reasoning_tokens; mend one")
    return CostRow(
        place=place,
        model=row.get("model", "model"),
        task=row["task"],
        item=row["item"],
        sample=row.get("sample", ""),
        step=whole("step"),
        participant=row.get("participant", ""),
        reasoning_tokens=tokens or 0,
        human_rt_s=human_rt_s,
        analytic_cost=analytic_cost,
        correct=None if correct is None else CORRECT[correct],
        status=status,
        norms=norms,
        oracle_tokens=positive("oracle_tokens"),
        prompt_tokens=whole("prompt_tokens"),
        answer_tokens=whole("answer_tokens"),
        reasoning_characters=whole("reasoning_characters"),
    )


def _number(place: str, column: str, text: str) -> float | None:
    """The number in a cell, or None for an empty one."""
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise UserError(f"{place}: {column} is '{text}', not a plain number such as 12 or 3.5")
    return float(text)
