"""CSV and JSON that people bring; whatever is wrong is one sentence with file and line."""

import contextlib
import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

from handan.errors import UserError

# What a cell that is true or false may hold, in lower case.
TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
MAX_COLUMNS = 1_000
END_OF_FILE = "END OF FILE"
# How None, NaN, NaT and NA of a table in memory are written.
MISSING = ("None", "nan", "NaT", "<NA>")
# float() would also take 'nan', 'infinity', '1_000' and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Frame(Protocol):
    """A data frame, of pandas or polars."""

    @property
    def columns(self) -> Any: ...

    def __getitem__(self, name: Any, /) -> Any: ...


# A CSV, a data frame, a mapping of columns, or records.
Source = str | Path | Frame | Mapping[str, Sequence[object]] | Iterable[Mapping[str, object]]


def called(source: Source) -> str:
    """The path of a table, or 'the table' for one in memory."""
    return str(source) if isinstance(source, str | Path) else "the table"


def read_table(source: Source) -> tuple[list[str], Iterator[tuple[str, dict[str, str]]]]:
    """The header of a table, and its rows with their places ('file, line 7'), read one by one."""
    header, rows = read_cells(source)
    stripped = ((place, map(str.strip, cells)) for place, cells in rows)
    return header, ((place, dict(zip(header, cells, strict=True))) for place, cells in stripped)


def read_cells(source: Source) -> tuple[list[str], Iterator[tuple[str, list[str]]]]:
    """The header of a table, and the cells of its rows as they are, with their places."""
    if not isinstance(source, str | Path):
        return _cells_in_memory(source)
    path = Path(source)
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
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


def _cells_in_memory(table: Any) -> tuple[list[str], Iterator[tuple[str, list[str]]]]:
    """The same of a table in memory, whose rows count from 1: 'row 7 of the table'."""
    in_columns = isinstance(table, Mapping) or hasattr(table, "columns")
    if in_columns:
        names = list(table if isinstance(table, Mapping) else table.columns)
    else:
        records: list[Any] = list(table) if isinstance(table, Iterable) else [table]
        for number, record in enumerate(records, 1):
            if not isinstance(record, Mapping):
                raise UserError(
                    f"row {number} of the table is no mapping of columns to values; give the path "
                    "of a CSV, a data frame, a mapping of columns to lists, or a list of mappings"
                )
        names = list(dict.fromkeys(name for record in records for name in record))
    header = [str(name).strip() for name in names]
    check_header("the table", header)
    if in_columns:
        columns = [table[name] for name in names]
        for name, of in zip(header, columns, strict=True):
            if isinstance(of, str) or not hasattr(of, "__len__") or len(of) != len(columns[0]):
                raise UserError(f"the table: column '{name}' is no list as long as the others")
        rows: Iterable[Iterable[object]] = zip(*columns, strict=True)
    else:
        rows = ([record.get(name) for name in names] for record in records)
    cells = ([_cell(value) for value in row] for row in rows)
    found = [(f"row {number} of the table", of) for number, of in enumerate(cells, 1) if any(of)]
    if not found:
        raise UserError("the table: no rows; add some")
    return header, iter(found)


def _cell(value: object) -> str:
    """A value as a CSV has it, '' for a missing one."""
    found = str(value)
    return "" if not isinstance(value, str) and found in MISSING else found


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


# -- values of JSON: errors name them and never repeat long content --------------------------------

Kind = TypeVar("Kind", dict, list, str)

MAX_COUNT = 10**9
_WHOLE = re.compile(r"-?[0-9]+(\.0*)?", re.ASCII)
_WANTED: dict[type, str] = {dict: "a JSON object", list: "a list", str: "text"}
_KINDS = {str: "text", int: "a number", float: "a decimal", list: "a list", dict: "an object"}


@contextlib.contextmanager
def at(place: str) -> Iterator[None]:
    """Put a place in front of the sentence of any ``UserError`` inside."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{place}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """Read a file, or say why it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def json_lines(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield the objects of a JSON-lines file, each with its place."""
    found = False
    for number, line in enumerate(read_bytes(path).split(b"\n"), start=1):
        if line.strip():
            found = True
            yield f"{path}, line {number}", json_object(f"{path}, line {number}", line)
    if not found:
        raise UserError(f"{path}: empty; it needs one JSON object a line")


def set_rows(
    source: str, name: str | None = None, split: str = "train", revision: str | None = None
) -> Iterator[tuple[str, dict]]:
    """The rows of a data set with their places: of a file, a folder, or OWNER/NAME on the hub."""
    path = Path(source)
    if path.suffix == ".csv":
        return read_table(path)[1]
    if path.suffix in (".jsonl", ".json"):
        return json_lines(path)
    from datasets import Dataset, load_dataset
    from datasets.exceptions import DatasetsError

    try:
        if path.suffix == ".parquet":
            rows = Dataset.from_parquet(source)
        else:
            rows = load_dataset(source, name, split=split, revision=revision)
    except (OSError, ValueError, DatasetsError) as error:
        raise UserError(
            f"{source}: cannot be opened: {' '.join(str(error).split())}; where the hub is out of "
            "reach, name a file of the set"
        ) from None
    return ((f"{source}, row {number}", row) for number, row in enumerate(rows, start=1))


def json_object(place: str, content: bytes, cure: str = "") -> dict:
    """Parse a JSON object in UTF-8, with or without a byte order mark; ``cure`` is one for all."""
    with at(place):
        try:
            value = json.loads(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise UserError(f"not UTF-8; {cure or 'save the file as UTF-8'}") from None
        except json.JSONDecodeError as error:
            found = f"{error.msg} at character {error.pos}"
            raise UserError(f"not valid JSON ({found}); {cure or 'mend it'}") from None
        except (ValueError, RecursionError):
            # A number of thousands of digits, or thousands of brackets.
            raise UserError(f"JSON of absurd size or depth; {cure or 'remove it'}") from None
        if not isinstance(value, dict):
            raise UserError(f"expected a JSON object, not {kind_of(value)}; {cure or 'mend it'}")
        return value


def expect(what: str, value: object, kind: type[Kind]) -> Kind:
    """Return a value that must be an object, a list or text."""
    if not isinstance(value, kind):
        raise UserError(f"{what} is {kind_of(value)}, not {_WANTED[kind]}")
    return value


def part(row: dict, key: str, kind: type[Kind]) -> Kind:
    """Return the object, list or text at a key; an empty one for null or no such key."""
    return expect(key, row.get(key) or kind(), kind)


def field(row: dict, path: str, cure: str = "is --from the tool that wrote this file?") -> Any:
    """Return the value at a dotted path such as ``doc.item``, which must be there."""
    value: Any = row
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            raise UserError(f"no field '{path}'; {cure}")
        value = value[key]
    return value


def name(what: str, value: object) -> str:
    """Return a name: text or a whole number, without the space around it, not empty."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(f"{what} is {kind_of(value)}, not text or a whole number")
    found = str(value).strip()
    if not found:
        raise UserError(f"{what} is empty; give it a name")
    if found != text(what, found):
        raise UserError(f"{what} holds half a character (a lone surrogate); mend it")
    return found


def text(what: str, value: object) -> str:
    """Return text, '' for null; half characters (lone surrogates) become question marks."""
    found = expect(what, "" if value is None else value, str)
    return found.encode("utf-8", "replace").decode("utf-8")


def count(what: str, value: object) -> int | None:
    """Return a count, also from ``"49"`` and ``49.0``; None for null and -1, which some mean so."""
    if value is None:
        return None
    number = value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        number = float(value) if len(value) < 30 else math.inf
    if isinstance(number, bool) or not isinstance(number, int | float) or number % 1:
        raise UserError(f"{what} is {kind_of(value)}, not a whole number")
    if number == -1:
        return None
    if not 0 <= number <= MAX_COUNT:
        sign = "negative" if number < 0 else "huge"
        raise UserError(f"{what} is {sign}; a count is from 0 to {MAX_COUNT:g}")
    return int(number)


def scalar(value: Any) -> str | None:
    """Text, a number or a boolean as text, 42.0 as '42'; None for anything else."""
    if isinstance(value, str | bool | int):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value):
        digits = format(Decimal(str(value)), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return None


def kind_of(value: object) -> str:
    """Name the kind of a JSON value without repeating its content."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _KINDS.get(type(value), "something else")
