"""Norms from anyone's trials, in the layout of the packaged tables."""

import os
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

from handan import norms
from handan.errors import printable
from handan.norms.cleaning import Cleaning, clean
from handan.norms.own_trials import check_file_name, read_trials
from handan.norms.tables import Table, check_splits, compute_table, item_table, write_tables
from handan.norms.trials import Trial

# The estimate's spread over studies grows without bound with fewer items.
FEW_ITEMS = 10


def compute(
    path: Path,
    source: str,
    output_dir: Path,
    floor_s: float = 0.2,
    ceiling_s: float = 300.0,
    all_trials: bool = False,
    trim_sd: float | None = None,
    least_trials: int = 1,
    splits: int = 5000,
    seed: int = 0,
) -> list[Table]:
    """Compute the norms of every task of a file, print what was left out, and write them.

    Response times are those of correct trials in tasks with a scored trial, unless ``all_trials``;
    of all valid trials in others. The other rules are those of ``Cleaning``.

    Args:
        path: trials in the columns of ``read_trials``.
        source: short name of the study; with the task it names a table.
        output_dir: gets ``<task>.<source>.csv`` for every task, and ``summary.csv``. Rows that an
            earlier call left in ``summary.csv`` for other tasks and sources stay.
        floor_s, ceiling_s, all_trials, trim_sd, least_trials: the cleaning.
        splits: number of random splits behind each reliability.
        seed: every table has its own random stream, so that none depends on the others.

    Raises:
        UserError: an option, the file or a row is not usable, a task has no trial left, or a table
            cannot be written. Nothing is written before all tasks are computed.
    """
    check_splits(splits, seed)
    check_file_name("--source", "source", source)
    cleaning = Cleaning(floor_s, ceiling_s, True, trim_sd, least_trials)
    trials, notes = read_trials(path)
    keep = norms.summary_rows(output_dir) if os.path.exists(output_dir / "summary.csv") else []
    scored = {task for task in trials if any(t.correct is not None for t in trials[task])}
    if all_trials and not scored:
        notes.append("--all_trials changes nothing: no trial is scored, so all count anyway")
    for note in notes:
        print(f"note: {printable(note)}")
    tables = []
    for task, of_task in trials.items():
        rules = replace(cleaning, correct_only=task in scored and not all_trials)
        table = compute_table(path, task, source, of_task, rules, splits, seed)
        print(table.report, flush=True)
        if rules.trim_sd is not None:
            print(_trim_warning(of_task, rules))
        if table.reliability.value is not None and len(table.items) < FEW_ITEMS:
            print(
                f"  warning: {len(table.items)} items; with under ten the reliability says little"
            )
        tables.append(table)
    write_tables(output_dir, tables, keep)
    written = {table.name for table in tables}
    former = [f"{row['task']}.{row['source']}" for row in keep]
    if others := [name for name in former if name not in written]:
        print(
            f"note: summary.csv keeps the tables of earlier calls: {printable(', '.join(others))}"
        )
    return tables


def _trim_warning(trials: list[Trial], rules: Cleaning) -> str:
    """What trimming cuts from the slower and from the faster half of the items."""
    trimmed = replace(rules, least_trials=1)
    before = clean(trials, replace(trimmed, trim_sd=None)).kept
    after = clean(trials, trimmed).kept
    mean_log_rt = {row["item"]: float(row["mean_log_rt"]) for row in item_table(before, before)}
    middle = statistics.median(mean_log_rt.values())
    num_before, num_after = (
        Counter(mean_log_rt[trial.item] > middle for trial in kept) for kept in (before, after)
    )
    slower, faster = (
        1 - num_after[half] / num_before[half] if num_before[half] else 0.0
        for half in (True, False)
    )
    return (
        f"  warning: --trim_sd cut {slower:.1%} of the trials of the slower half of the items and "
        f"{faster:.1%} of the faster half; hard items lose more than easy ones where their times "
        "lie far above a participant's mean, and item means are drawn together"
    )
