"""Human norms: how long people take on each item, and how reliable these means are.

The tables beside this file are computed from published trials by ``handan.norms.build``; README.md
names sources, licences and cleaning rules.
"""

import csv
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


@dataclass(frozen=True)
class ItemNorm:
    """What people did on one item.

    Attributes:
        n: trials that enter the response times.
        accuracy: share of right answers among all valid trials; None where no answer is right.
        mean_rt_s: mean response time in seconds.
        mean_log_rt: mean natural logarithm of the response time in seconds.
        se_log_rt: its standard error over trials; None for a single trial.
    """

    n: int
    accuracy: float | None
    mean_rt_s: float
    mean_log_rt: float
    se_log_rt: float | None


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
            Spearman-Brown, mean over ``splits`` random splits. Neither clipped nor made positive.
        reliability_low, reliability_high: 95 % percentile interval, bootstrap over items.
        splits: number of random splits.
        rule: the cleaning rule in words.
    """

    task: str
    source: str
    items: dict[str, ItemNorm]
    participants: int
    trials: int
    trials_kept: int
    reliability: float
    reliability_low: float
    reliability_high: float
    splits: int
    rule: str


def available(directory: Path = PACKAGED) -> list[tuple[str, str]]:
    """All pairs of task and source in a folder of norms, in the order of its ``summary.csv``."""
    return [(row["task"], row["source"]) for row in _rows(directory / "summary.csv")]


def load(task: str, source: str | None = None, directory: Path = PACKAGED) -> Norms:
    """The norms of a task.

    Args:
        task: the task's name.
        source: the study; None for the one in ``DEFAULT_SOURCE``.
        directory: where ``build`` wrote its tables; the packaged ones by default.

    Raises:
        UserError: unknown task or source, or a damaged table.
    """
    summaries = _rows(directory / "summary.csv")
    sources = [row["source"] for row in summaries if row["task"] == task]
    if not sources:
        tasks = list(dict.fromkeys(row["task"] for row in summaries))
        raise UserError(f"no human norms for task '{task}'; there are norms for {', '.join(tasks)}")
    source = source or DEFAULT_SOURCE.get(task, sources[0])
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
        reliability=_number(float, row, "reliability", path),
        reliability_low=_number(float, row, "reliability_low", path),
        reliability_high=_number(float, row, "reliability_high", path),
        splits=_number(int, row, "splits", path),
        rule=row["rule"],
    )


def _items(path: Path) -> dict[str, ItemNorm]:
    return {
        row["item"]: ItemNorm(
            n=_number(int, row, "n", path),
            accuracy=_number(float, row, "accuracy", path) if row["accuracy"] else None,
            mean_rt_s=_number(float, row, "mean_rt_s", path),
            mean_log_rt=_number(float, row, "mean_log_rt", path),
            se_log_rt=_number(float, row, "se_log_rt", path) if row["se_log_rt"] else None,
        )
        for row in _rows(path)
    }


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; write it with 'handan norms build'") from None


def _number(kind: Callable[[str], T], row: dict[str, str], column: str, path: Path) -> T:
    try:
        return kind(row[column])
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}, {next(iter(row.values()))}: no number in column '{column}'; "
            "write the table again with 'handan norms build'"
        ) from None
