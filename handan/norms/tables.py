"""From the trials of one task to its table, its row of ``summary.csv`` and what is printed."""

import math
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan import norms
from handan.errors import UserError
from handan.norms.cleaning import Cleaned, Cleaning, clean
from handan.norms.reliability import Reliability, split_half_reliability
from handan.norms.trials import Trial
from handan.records import write_csv


class Table(NamedTuple):
    """The figures of one task from one source, as they are written.

    Attributes:
        name: ``<task>.<source>``.
        items: rows with ``norms.ITEM_COLUMNS``.
        summary: a row with ``norms.SUMMARY_COLUMNS``.
        reliability: of the items' means.
        report: what the cleaning left out and what came of the rest, in a few lines.
    """

    name: str
    items: list[dict[str, Any]]
    summary: dict[str, Any]
    reliability: Reliability
    report: str


def check_splits(splits: int, seed: int) -> None:
    """Check what decides the random splits, before anything is read.

    Raises:
        UserError: fewer than one split, or a negative seed.
    """
    if splits < 1:
        raise UserError(f"splits is {splits}; give at least 1")
    if seed < 0:
        raise UserError(f"seed is {seed}; give 0 or more")


def compute_table(
    path: Path,
    task: str,
    source: str,
    trials: list[Trial],
    cleaning: Cleaning,
    splits: int,
    seed: int,
) -> Table:
    """Clean the trials of one task and compute its figures.

    Args:
        path: the file the trials are from, for messages.
        task, source: name the table.
        trials: of this task.
        cleaning: which of them count.
        splits, seed: random splits behind the reliability, as ``check_splits`` allows them. Every
            table has its own random stream, so that none depends on the others.

    Raises:
        UserError: no trial is kept.
    """
    name = f"{task}.{source}"
    cleaned = clean(trials, cleaning)
    if not cleaned.kept:
        raise UserError(
            f"{path}: no usable trials for {name} ({_counts(cleaned)}); "
            "add some or change the rules"
        )
    items = item_table(cleaned.valid, cleaned.kept)
    values, counts = participant_item_sums(cleaned.kept)
    stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
    reliability = split_half_reliability(values, counts, splits, stream)
    summary = {
        "task": task,
        "source": source,
        "items": len(items),
        "participants": len(values),
        "trials": len(cleaned.valid),
        "trials_kept": len(cleaned.kept),
        "reliability": _four_digits(reliability.value),
        "reliability_low": _four_digits(reliability.low),
        "reliability_high": _four_digits(reliability.high),
        "splits": splits,
        "rule": cleaning.rule,
    }
    report = _report(name, trials, cleaned, reliability)
    return Table(name, items, summary, reliability, report)


def write_tables(output_dir: Path, tables: list[Table], keep: list[dict[str, str]]) -> None:
    """Write ``<task>.<source>.csv`` for every table, and ``summary.csv``.

    Args:
        output_dir: made if it does not exist.
        tables: the tables.
        keep: rows of a former ``summary.csv`` that stay unless a table replaces them.

    Raises:
        UserError: a file cannot be written.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (row["task"], row["source"]): row for row in keep
    }
    rows |= {(table.summary["task"], table.summary["source"]): table.summary for table in tables}
    for table in tables:
        write_csv(output_dir / f"{table.name}.csv", norms.ITEM_COLUMNS, table.items)
    write_csv(output_dir / "summary.csv", norms.SUMMARY_COLUMNS, rows.values())


def item_table(valid: list[Trial], kept: list[Trial]) -> list[dict[str, Any]]:
    """One row an item with at least one kept trial, in ascending order of keys, rounded."""
    right: dict[str, list[bool | None]] = {}
    times: dict[str, list[float]] = {}
    for trial in valid:
        right.setdefault(trial.item, []).append(trial.correct)
    for trial in kept:
        times.setdefault(trial.item, []).append(trial.rt_s)
    rows = []
    for item in sorted(times):
        rt_s = np.array(times[item])
        log_rt = np.log(rt_s)
        n = len(rt_s)
        scored = [correct for correct in right[item] if correct is not None]
        rows.append(
            {
                "item": item,
                "n": n,
                "accuracy": f"{np.mean(scored):.4f}" if scored else None,
                "mean_rt_s": f"{rt_s.mean():.3f}",
                "mean_log_rt": f"{log_rt.mean():.5f}",
                "se_log_rt": f"{log_rt.std(ddof=1) / math.sqrt(n):.5f}" if n > 1 else None,
            }
        )
    return rows


def participant_item_sums(kept: list[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of log response times and numbers of trials, both of shape (participants, items)."""
    participants = {name: i for i, name in enumerate(sorted({t.participant for t in kept}))}
    items = {key: i for i, key in enumerate(sorted({t.item for t in kept}))}
    values = np.zeros((len(participants), len(items)))
    counts = np.zeros_like(values)
    for trial in kept:
        cell = participants[trial.participant], items[trial.item]
        values[cell] += math.log(trial.rt_s)
        counts[cell] += 1
    return values, counts


def _four_digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _report(name: str, trials: list[Trial], cleaned: Cleaned, reliability: Reliability) -> str:
    """What is printed: trials, what each rule left out, what is kept, and the reliability."""
    text = "undefined" if reliability.value is None else f"{reliability.value:.3f}"
    if reliability.low is not None and reliability.high is not None:
        text += f" [{reliability.low:.3f}, {reliability.high:.3f}]"
    if reliability.why:
        text += f" ({reliability.why})"
    unscored = sum(trial.correct is None for trial in cleaned.kept)
    num_participants, num_items = _participants_and_items(trials)
    kept_participants, kept_items = _participants_and_items(cleaned.kept)
    return "\n".join(
        [
            f"{name}: {len(trials)} trials of {num_participants} participants on {num_items} items",
            f"  left out: {_counts(cleaned)}",
            f"  kept: {len(cleaned.kept)} trials ({unscored} unscored) of {kept_participants} "
            f"participants on {kept_items} items",
            f"  without a kept trial: {num_participants - kept_participants} participants, "
            f"{num_items - kept_items} items",
            f"  reliability {text}",
        ]
    )


def _participants_and_items(trials: list[Trial]) -> tuple[int, int]:
    return len({trial.participant for trial in trials}), len({trial.item for trial in trials})


def _counts(cleaned: Cleaned) -> str:
    return ", ".join(f"{count} {rule}" for rule, count in cleaned.left_out.items())
