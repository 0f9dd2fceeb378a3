"""Reading CSV files that people bring; whatever is wrong is one sentence with file and line."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handan.errors import UserError

# What a cell that is true or false may hold, in lower case.
TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
MAX_COLUMNS = 1_000
END_OF_FILE = "END OF FILE"
# float() would also take 'nan', 'infinity', '1_000' and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_table(path: Path) -> tuple[list[str], Iterator[tuple[str, dict[str, str]]]]:
    """The header of a file, and its rows with their places ('file, line 7'), read one by one."""
    header, rows = read_cells(path)
    stripped = ((place, map(str.strip, cells)) for place, cells in rows)
    return header, ((place, dict(zip(header, cells, strict=True))) for place, cells in stripped)


def read_cells(path: Path) -> tuple[list[str], Iterator[tuple[str, list[str]]]]:
    """The header of a file, and the cells of its rows as they are, with their places."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from None
    if not text.strip():
        raise UserError(f"{path}: empty; it needs a header and rows")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}, line {line}: a NUL byte; save the table as plain CSV")
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next((cells for cells in lines if cells), [])]
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: not valid CSV ({error})") from None
    check_header(f"{path}, line {lines.line_num}", header)
    return header, _rows(path, header, lines)


def check_header(place: str, header: list[str]) -> None:
    """Refuse another delimiter, a repeated column, or absurdly many."""
    if len(header) == 1 and (found := next((mark for mark in ";\t|" if mark in header[0]), "")):
        raise UserError(f"{place}: columns are separated by {found!r}; save it with commas")
    if len(header) > MAX_COLUMNS:
        raise UserError(f"{place}: {len(header)} columns; is this the right file?")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise UserError(f"{place}: column '{repeated[0]}' appears twice; remove one")


def _rows(path: Path, header: list[str], lines: Any) -> Iterator[tuple[str, list[str]]]:
    num_rows, ended = 0, ""
    try:
        for cells in lines:
            said = [cell.strip() for cell in cells if cell.strip()]
            if not said:
                continue
            if ended:
                raise UserError(f"{ended}: '{END_OF_FILE}', but rows follow; remove it")
            place = f"{path}, line {lines.line_num}"
            if said == [END_OF_FILE]:
                ended = place
                continue
            if len(cells) != len(header):
                cure = "quote cells with commas and fill in empty ones"
                raise UserError(f"{place}: {len(cells)} cells under {len(header)} columns; {cure}")
            num_rows += 1
            yield place, cells
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: not valid CSV ({error})") from None
    if not num_rows:
        raise UserError(f"{path}: no rows under the header; add some")


def plain_number(place: str, column: str, text: str) -> float:
    """Read a cell that must hold a finite number."""
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(number):
        raise UserError(f"{place}: {column} is '{text}', not a plain number such as 12 or 3.5")
    return number
