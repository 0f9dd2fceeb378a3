"""Human norms: response times and accuracy of every item, and how reliable the means are.

``README.md`` names sources, licences and cleaning rules; ``handan.norms.compute`` writes the same.
"""

import math
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handan.errors import UserError
from handan.formatting import data_frame
from handan.inputs import read_table

if TYPE_CHECKING:
    import pandas as pd

PACKAGED = Path(__file__).parent


@dataclass(frozen=True)
class ItemNorm:
    """Human performance on one item; the columns of ``<task>.<source>.csv`` after its key."""

    n: int  # trials that enter the response times
    accuracy: float | None  # of all valid trials; None where no answer is right or none is scored
    mean_rt_s: float
    mean_log_rt: float  # natural logarithm of seconds
    se_log_rt: float | None  # over trials; None for a single trial
    mean_log_rt_centred: float | None  # ``centred_log_rt``; None in a table that lacks it


@dataclass(frozen=True)
class Norms:
    """The norms of one task from one source; but for ``items`` the columns of ``summary.csv``."""

    task: str
    source: str  # short name of the study, as in README.md
    items: dict[str, ItemNorm]  # by key; in ``summary.csv`` their number
    participants: int  # with at least one kept trial
    trials: int  # valid ones: parsable, within the bounds of response time
    trials_kept: int  # those that enter the response times
    reliability: float | None  # of the mean log times, not clipped; None with too few trials
    reliability_low: float | None  # 95 % interval; None where the items are too few
    reliability_high: float | None
    splits: int  # random ones (``split_half_reliability``)
    rule: str  # of cleaning, in words
    reliability_centred: float | None  # of centred means
    reliability_centred_low: float | None
    reliability_centred_high: float | None
    order_slope: float | None  # change of log time from a trial to the next

    def to_frame(self) -> "pd.DataFrame":
        """One row an item as a data frame of pandas, with the columns of the table."""
        rows = [(item, *astuple(norm)) for item, norm in self.items.items()]
        return data_frame(ITEM_COLUMNS, rows)


ITEM_COLUMNS = ["item", *(field.name for field in fields(ItemNorm))]
SUMMARY_COLUMNS = [field.name for field in fields(Norms)]
# Tables may lack these last columns, which are empty then.
OPTIONAL = {"mean_log_rt_centred", *SUMMARY_COLUMNS[-4:]}
CURE = "tables of norms are written by 'handan norms compute'"


def available(directory: Path = PACKAGED) -> list[tuple[str, str]]:
    """All pairs of task and source in a folder of norms, in the order of its ``summary.csv``."""
    return [(row["task"], row["source"]) for row in summary_rows(directory)]


def load(task: str, source: str | None = None, directory: Path = PACKAGED) -> Norms:
    """Load a task's norms, of a source or the first in the summary; '.csv' is a table's path."""
    if source and source.endswith(".csv"):
        directory, source = Path(source).parent, Path(source).stem.removeprefix(f"{task}.")
    rows = summary_rows(directory)
    of_task = {row["source"]: row for row in rows if row["task"] == task}
    if not of_task:
        tasks = ", ".join(dict.fromkeys(row["task"] for row in rows))
        raise UserError(f"no human norms for task '{task}'; there are norms for {tasks}")
    source = source or next(iter(of_task))
    if source not in of_task:
        raise UserError(f"no norms of '{task}' from '{source}'; sources: {', '.join(of_task)}")
    path = directory / f"{task}.{source}.csv"
    rows = _rows(path, ITEM_COLUMNS)
    items = {row["item"]: ItemNorm(**_values(ItemNorm, row, path)) for row in rows}
    summary = _values(Norms, of_task[source], directory / "summary.csv")
    return Norms(**summary | {"items": items})


def summary_rows(directory: Path) -> list[dict[str, str]]:
    """Rows of a folder's ``summary.csv`` as text, one a task and source."""
    return _rows(directory / "summary.csv", SUMMARY_COLUMNS)


def _rows(path: Path, columns: list[str]) -> list[dict[str, str]]:
    try:
        header, named = read_table(path)
        rows = [row for _, row in named]
    except UserError as error:
        raise UserError(f"{error}; {CURE}") from None
    if header not in (columns, [name for name in columns if name not in OPTIONAL]):
        raise UserError(f"{path}: the columns are not {','.join(columns)}; {CURE}")
    return [row | {name: "" for name in columns if name not in row} for row in rows]


def _values(kind: type, row: dict[str, str], path: Path) -> dict[str, Any]:
    """The cells of a row as the types that a dataclass declares; None for an empty optional one."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        name, cell = field.name, row[field.name]
        if field.type is str or name == "items":
            values[name] = cell
        elif not cell and field.type == float | None:
            values[name] = None
        else:
            try:
                values[name] = int(cell) if field.type is int else float(cell)
            except ValueError:
                values[name] = math.nan
            if not math.isfinite(values[name]):
                place = f"{path}, {next(iter(row.values()))}"
                raise UserError(f"{place}: no number in column '{name}'; {CURE}")
    return values
