"""Norms from trials: the table of each task, its row of ``summary.csv`` and a printed account."""

import math
import os
import statistics
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan import norms
from handan.errors import UserError, printable
from handan.files import write_csv
from handan.norms import reliability
from handan.norms.reliability import Array, Reliability
from handan.norms.trials import Cleaning, Trial, check_file_name, clean, clean_task, read_trials


class Table(NamedTuple):
    """The norms of one task from one source, as they are written."""

    name: str  # <task>.<source>
    items: list[dict[str, Any]]
    summary: dict[str, Any]
    reliability: Reliability  # of the items' plain means
    report: str  # what the cleaning left out and what came of the rest


def check_splits(splits: int, seed: int) -> None:
    """Refuse fewer than one random split, or a negative seed, before anything is read."""
    if splits < 1:
        raise UserError(f"splits is {splits}; give at least 1")
    if seed < 0:
        raise UserError(f"seed is {seed}; give 0 or more")


def compute_table(
    path: Path, task: str, source: str, trials: list[Trial], rules: Cleaning, splits: int, seed: int
) -> Table:
    """Compute norms from the trials of one task; no name in them decides about random splits."""
    name = f"{task}.{source}"
    cleaned, notes = clean_task(path, name, trials, rules)
    kept = cleaned.kept
    centred, slope = reliability.centred_log_rt(kept)
    items = item_table(cleaned.valid, kept)
    values, counts = participant_item_sums(kept, centred)
    for row, mean in zip(items, values.sum(axis=0) / counts.sum(axis=0), strict=True):
        row["mean_log_rt_centred"] = f"{mean:.5f}"
    plain, of_centred = (
        reliability.split_half_reliability(
            *reliability.in_order_of_values(*sums), splits, np.random.default_rng(seed)
        )
        for sums in (participant_item_sums(kept), (values, counts))
    )
    summary = {
        "task": task, "source": source, "items": len(items),
        "participants": len({trial.participant for trial in kept}),
        "trials": len(cleaned.valid), "trials_kept": len(kept),
        **_in_columns("reliability", plain), "splits": splits, "rule": rules.rule,
        **_in_columns("reliability_centred", of_centred),
        "order_slope": None if slope is None else f"{slope:.6f}",
    }  # fmt: skip
    report = [
        *_account(name, trials, kept, cleaned.counts),
        f"  reliability {_in_words(plain)}; without who saw which item {_in_words(of_centred)}",
    ]
    if slope is not None:
        change = f"{math.expm1(10 * slope):+.1%} time over ten trials"
        report += [f"  order of trials: {change}, taken off the centred means"]
    elif kept[0].number is not None:
        report += ["  order of trials: nearly the same for everybody, so not told from the items"]
    notes += reliability.low_reliability(name, plain.value)
    report += [f"  warning: {note}" for note in notes]
    return Table(name, items, summary, plain, "\n".join(report))


def write_tables(output_dir: Path, tables: list[Table], keep: list[dict[str, str]]) -> None:
    """Write ``<task>.<source>.csv`` for every table, and ``summary.csv`` with rows to ``keep``."""
    summaries: list[dict[str, Any]] = [*keep, *(table.summary for table in tables)]
    rows = {(row["task"], row["source"]): row for row in summaries}
    for table in tables:
        write_csv(output_dir / f"{table.name}.csv", norms.ITEM_COLUMNS, table.items)
    write_csv(output_dir / "summary.csv", norms.SUMMARY_COLUMNS, rows.values())


def item_table(valid: list[Trial], kept: list[Trial]) -> list[dict[str, Any]]:
    """One row an item with at least one kept trial, in ascending order of keys, rounded."""
    scored: dict[str, list[bool]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    for trial in valid:
        if trial.correct is not None:
            scored[trial.item].append(trial.correct)
    for trial in kept:
        times[trial.item].append(trial.rt_s)

    def row(item: str) -> dict[str, Any]:
        rt_s = np.array(times[item])
        log_rt, n = np.log(rt_s), len(rt_s)
        return {
            "item": item, "n": n,
            "accuracy": f"{np.mean(scored[item]):.4f}" if scored[item] else None,
            "mean_rt_s": f"{rt_s.mean():.3f}", "mean_log_rt": f"{log_rt.mean():.5f}",
            "se_log_rt": f"{log_rt.std(ddof=1) / math.sqrt(n):.5f}" if n > 1 else None,
        }  # fmt: skip

    return [row(item) for item in sorted(times)]


def participant_item_sums(kept: list[Trial], log_rt: Array | None = None) -> tuple[Array, Array]:
    """Sums of log times, or of ``log_rt``, and numbers of trials, both (participants, items)."""
    if log_rt is None:
        log_rt = np.array([math.log(trial.rt_s) for trial in kept])
    participants, row = np.unique([trial.participant for trial in kept], return_inverse=True)
    items, column = np.unique([trial.item for trial in kept], return_inverse=True)
    values = np.zeros((len(participants), len(items)))
    counts = np.zeros_like(values)
    np.add.at(values, (row, column), log_rt)
    np.add.at(counts, (row, column), 1)
    return values, counts


def _in_columns(name: str, found: Reliability) -> dict[str, str | None]:
    columns = {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return {key: None if value is None else f"{value:.4f}" for key, value in columns.items()}


def _in_words(found: Reliability) -> str:
    text = "undefined" if found.value is None else f"{found.value:.3f}"
    if found.low is not None and found.high is not None:
        text += f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{text} ({found.why})" if found.why else text


def _account(name: str, trials: list[Trial], kept: list[Trial], left_out: str) -> list[str]:
    """Lines on what each rule left out, and what is kept."""
    unscored = sum(trial.correct is None for trial in kept)
    num_participants, num_items = (len({trial[i] for trial in trials}) for i in (0, 1))
    kept_participants, kept_items = (len({trial[i] for trial in kept}) for i in (0, 1))
    return [
        f"{name}: {len(trials)} trials of {num_participants} participants on {num_items} items",
        f"  left out: {left_out}",
        f"  kept: {len(kept)} trials ({unscored} unscored) of {kept_participants} "
        f"participants on {kept_items} items",
        f"  without a kept trial: {num_participants - kept_participants} participants, "
        f"{num_items - kept_items} items",
    ]


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
    """Compute the norms of every task of a file, print what was left out, write when all is done.

    Response times are those of correct trials in tasks with a scored trial, unless ``all_trials``.
    Rows of other tasks and sources in ``summary.csv`` stay. Every table has its own random stream
    of ``seed``, so that none depends on the others.
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
        number = len(table.items)
        # The estimate's spread over studies grows without bound with fewer items.
        if table.reliability.value is not None and number < 10:
            print(f"  warning: {number} items; with under ten the reliability says little")
        tables.append(table)
    write_tables(output_dir, tables, keep)
    written = {table.name for table in tables}
    former = [f"{row['task']}.{row['source']}" for row in keep]
    if others := printable(", ".join(name for name in former if name not in written)):
        print(f"note: summary.csv keeps the tables of earlier calls: {others}")
    return tables


def _trim_warning(trials: list[Trial], rules: Cleaning) -> str:
    """Say what trimming cuts from the slower and from the faster half of the items."""
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
