"""Human norms: how long people take on each item, and how reliable these means are.

The tables beside this file are computed from published trials by ``handan.norms.build``; README.md
names sources, licences and cleaning rules. ``handan.norms.compute`` writes the same layout from
anyone's trials.
"""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from handan.errors import UserError

T = TypeVar("T", int, float)

PACKAGED = Path(__file__).parent

DEFAULT_SOURCE = {
    "binary_addition": "iccm2019",
    "binary_subtraction": "iccm2019",
    "binary_multiplication": "cogsci2019",
    "binary_division": "cogsci2019",
    "binary_modulo": "cogsci2019",
    "products": "ds001486",
    "differences": "ds001486",
    "syllogisms": "brand_ragni_2023",
    "syllogism_verification": "cogmods_2021",
    "cardinal_directions": "ragni_2018",
}

ITEM_COLUMNS = [
    *("item", "n", "accuracy", "mean_rt_s", "mean_log_rt", "se_log_rt"),
    "mean_log_rt_centred",
]
SUMMARY_COLUMNS = [
    *("task", "source", "items", "participants", "trials", "trials_kept"),
    *("reliability", "reliability_low", "reliability_high", "splits", "rule"),
    *("reliability_centred", "reliability_centred_low", "reliability_centred_high", "order_slope"),
]
# Tables may lack these last columns, which are empty then.
OPTIONAL = {"mean_log_rt_centred", *SUMMARY_COLUMNS[-4:]}


@dataclass(frozen=True)
class ItemNorm:
    """What people did on one item.

    Attributes:
        n: trials that enter the response times.
        accuracy: share of right answers among all valid trials; None where no answer is right, or
            none is scored.
        mean_rt_s: mean response time in seconds.
        mean_log_rt: mean natural logarithm of the response time in seconds.
        se_log_rt: its standard error over trials; None for a single trial.
        mean_log_rt_centred: the mean without who saw the item (``centred.py``); None in a table
            that lacks it.
    """

    n: int
    accuracy: float | None
    mean_rt_s: float
    mean_log_rt: float
    se_log_rt: float | None
    mean_log_rt_centred: float | None


@dataclass(frozen=True)
class Norms:
    """The norms of one task from one source.

    Attributes:
        task: the task's name.
        source: short name of the study, as in README.md.
        items: item key to ``ItemNorm``.
        participants: people with at least one kept trial.
        trials: valid trials (parsable, within the bounds of response time).
        trials_kept: those that enter the response times.
        reliability: of the items' mean log response times; split half over participants,
            Spearman-Brown, mean over ``splits`` random splits. Neither clipped nor made positive;
            None where the trials are too few to tell.
        reliability_low, reliability_high: 95 % percentile interval, bootstrap over items; None
            where the items are too few.
        splits: number of random splits.
        rule: the cleaning rule in words.
    """

    task: str
    source: str
    items: dict[str, ItemNorm]
    participants: int
    trials: int
    trials_kept: int
    reliability: float | None
    reliability_low: float | None
    reliability_high: float | None
    splits: int
    rule: str
    reliability_centred: float | None
    reliability_centred_low: float | None
    reliability_centred_high: float | None
    order_slope: float | None


def available(directory: Path = PACKAGED) -> list[tuple[str, str]]:
    """All pairs of task and source in a folder of norms, in the order of its ``summary.csv``.

    Raises:
        UserError: there is no ``summary.csv``, or it is damaged.
    """
    return [(row["task"], row["source"]) for row in summary_rows(directory)]


def load(task: str, source: str | None = None, directory: Path = PACKAGED) -> Norms:
    """The norms of a task.

    Args:
        task: the task's name.
        source: the study; None for the one in ``DEFAULT_SOURCE``, or the first in the folder.
        directory: where ``build`` or ``compute`` wrote its tables; the packaged ones by default.

    Raises:
        UserError: unknown task or source, or a damaged table.
    """
    summaries = summary_rows(directory)
    sources = [row["source"] for row in summaries if row["task"] == task]
    if not sources:
        tasks = list(dict.fromkeys(row["task"] for row in summaries))
        raise UserError(f"no human norms for task '{task}'; there are norms for {', '.join(tasks)}")
    if not source:
        default = DEFAULT_SOURCE.get(task)
        source = default if default in sources else sources[0]
    if source not in sources:
        raise UserError(f"no norms of '{task}' from '{source}'; sources: {', '.join(sources)}")
    path = directory / "summary.csv"
    row = next(row for row in summaries if (row["task"], row["source"]) == (task, source))
    return Norms(
        task=task,
        source=source,
        items=_items(directory / f"{task}.{source}.csv"),
        participants=_number(int, row, "participants", path),
        trials=_number(int, row, "trials", path),
        trials_kept=_number(int, row, "trials_kept", path),
        reliability=_number_or_none(row, "reliability", path),
        reliability_low=_number_or_none(row, "reliability_low", path),
        reliability_high=_number_or_none(row, "reliability_high", path),
        splits=_number(int, row, "splits", path),
        rule=row["rule"],
        reliability_centred=_number_or_none(row, "reliability_centred", path),
        reliability_centred_low=_number_or_none(row, "reliability_centred_low", path),
        reliability_centred_high=_number_or_none(row, "reliability_centred_high", path),
        order_slope=_number_or_none(row, "order_slope", path),
    )


def summary_rows(directory: Path) -> list[dict[str, str]]:
    """The rows of a folder's ``summary.csv`` as text, one a task and source.

    Raises:
        UserError: it is missing or damaged.
    """
    return _rows(directory / "summary.csv", SUMMARY_COLUMNS)


def _items(path: Path) -> dict[str, ItemNorm]:
    return {
        row["item"]: ItemNorm(
            n=_number(int, row, "n", path),
            accuracy=_number_or_none(row, "accuracy", path),
            mean_rt_s=_number(float, row, "mean_rt_s", path),
            mean_log_rt=_number(float, row, "mean_log_rt", path),
            se_log_rt=_number_or_none(row, "se_log_rt", path),
            mean_log_rt_centred=_number_or_none(row, "mean_log_rt_centred", path),
        )
        for row in _rows(path, ITEM_COLUMNS)
    }


def _rows(path: Path, columns: list[str]) -> list[dict[str, str]]:
    cure = "write it with 'handan norms build' or 'handan norms compute'"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or [])
            rows = list(reader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; {cure}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a table of norms ({error}); {cure}") from None
    if header not in (columns, [name for name in columns if name not in OPTIONAL]):
        raise UserError(f"{path}: the columns are not {','.join(columns)}; {cure}")
    for number, row in enumerate(rows, start=1):
        row |= {name: row.get(name) or "" for name in OPTIONAL & set(columns)}
        # A short row has None in the columns it lacks, a long one its surplus under None.
        if None in row or None in row.values():
            raise UserError(f"{path}, row {number}: too few or too many cells; {cure}")
    return rows


def _number_or_none(row: dict[str, str], column: str, path: Path) -> float | None:
    return _number(float, row, column, path) if row[column] else None


def _number(kind: Callable[[str], T], row: dict[str, str], column: str, path: Path) -> T:
    try:
        value = kind(row[column])
        if math.isfinite(value):
            return value
    except ValueError:
        pass
    raise UserError(
        f"{path}, {next(iter(row.values()))}: no number in column '{column}'; "
        "write the table again with 'handan norms build' or 'handan norms compute'"
    )
