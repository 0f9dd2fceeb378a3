"""Norms from trials: item means, their split-half reliability, and the tables of each task.

Where people answer different items, an item's mean log time also says how fast the people were
who happened to see it; centred log times are without that (README.md, *Centred means*).
"""

import math
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan import norms
from handan.errors import UserError, printable
from handan.files import write_csv
from handan.norms.trials import (
    Cleaning,
    Trial,
    check_file_name,
    clean,
    clean_task,
    read_trials,
    their_columns,
)

Array = NDArray[np.float64]
Groups = NDArray[np.intp]  # group of every trial, from 0

INTERVAL_SPLITS = 500
# Below this most of the differences between items are noise, and so is what is divided by it.
MIN_RELIABILITY = 0.3
# Numbers held at once while dividing: 16 MB for each temporary array.
_CHUNK = 2_000_000


class Reliability(NamedTuple):
    """A reliability with its 95 % interval; None where it is undefined."""

    value: float | None = None  # neither clipped nor made positive
    low: float | None = None
    high: float | None = None
    why: str = ""  # something is undefined, or left out of the interval; else empty


def split_half_reliability(
    values_participant_item: Array,
    counts_participant_item: Array,
    splits: int,
    rng: np.random.Generator,
) -> Reliability:
    """Compute the reliability of the item means, with a 95 % interval.

    Participants are divided at random into two halves. In each half every item has the mean of its
    trials; r is Pearson's correlation of the two means over the items that both halves answered;
    the reliability of the whole is 2 r / (1 + r) (Spearman, 1910; Brown, 1910). The figure is the
    mean over ``splits`` random divisions. Nothing is clipped: it may be negative.

    The interval is the 2.5th to 97.5th percentile over 1,000 bootstrap samples of the items, each
    averaged over the first 500 divisions.

    The figure is undefined with under four participants, and where in any division the halves
    share under three items, the means of a half are all the same, or r is -1. Bootstrap samples
    of which the latter two hold are left out of the interval and counted; over 5 % of them, as with
    under six items, and there is no interval.

    The values are sums of log response times, the counts the numbers of trials behind them, both of
    shape (participants, items).
    """
    num_participants, num_items = counts_participant_item.shape
    if num_participants < 4:
        return Reliability(why=f"{num_participants} participants; halves need at least four")
    # Centring changes no correlation and keeps the sums of squares below accurate.
    centre = values_participant_item.sum() / counts_participant_item.sum()
    values = values_participant_item - counts_participant_item * centre
    corrected, for_interval, num_few = [], [], 0
    num_chunk = max(1, _CHUNK // max(num_items, num_participants))
    for start in range(0, splits, num_chunk):
        num_rows = min(num_chunk, splits - start)
        ranks = rng.random((num_rows, num_participants)).argsort(axis=1).argsort(axis=1)
        half = (ranks < num_participants // 2).astype(float)
        first, second = (_means(of, values, counts_participant_item) for of in (half, 1 - half))
        num_shared = (np.isfinite(first) & np.isfinite(second)).sum(axis=1)
        num_few += int(np.count_nonzero(num_shared < 3))
        corrected.append(_corrected(np.ones((1, num_items)), first, second)[0])
        if start < INTERVAL_SPLITS:
            few = slice(None, INTERVAL_SPLITS - start)
            for_interval.append((first[few], second[few]))
    if num_few:
        return Reliability(
            why=f"in {num_few} of {splits} divisions the halves share under three items; "
            "more participants must answer the same items"
        )
    estimates = np.concatenate(corrected)
    if num_bad := int(np.count_nonzero(np.isnan(estimates))):
        return Reliability(
            why=f"in {num_bad} of {splits} divisions the item means of a half are all the same, "
            "or exactly opposite to the other half's"
        )
    value = float(estimates.mean())
    draws = rng.integers(num_items, size=(1000, num_items))
    weights = np.stack([np.bincount(draw, minlength=num_items) for draw in draws]).astype(float)
    first, second = (np.concatenate(halves) for halves in zip(*for_interval, strict=True))
    resampled = _corrected(weights, first, second).mean(axis=1)
    known = resampled[np.isfinite(resampled)]
    left_out = len(resampled) - len(known)
    why = f"{left_out} of {len(resampled)} resamples of the items undefined" if left_out else ""
    if left_out > 0.05 * len(resampled):
        return Reliability(value, None, None, f"{why}: no interval")
    low, high = np.percentile(known, [2.5, 97.5])
    return Reliability(value, float(low), float(high), why and f"{why}, left out of the interval")


def sums_by_cell(
    participants: Sequence[str], items: Sequence[str], *columns: Array
) -> tuple[list[str], list[Array]]:
    """Items in order, and sums of the trials' columns in shape (participants, items) each."""
    people, row = np.unique(np.array(participants, dtype=str), return_inverse=True)
    names, column = np.unique(np.array(items, dtype=str), return_inverse=True)
    shape, cells = (len(people), len(names)), row * len(names) + column
    flat = (np.bincount(cells, of, minlength=len(people) * len(names)) for of in columns)
    return names.tolist(), [of.reshape(shape).astype(float) for of in flat]


def in_order_of_values(
    values_participant_item: Array, counts_participant_item: Array
) -> tuple[Array, Array]:
    """Sort participants and items of the two tables, so that their names decide no division."""
    values, counts = values_participant_item, counts_participant_item
    for _ in values.shape:  # participants first, then, on the turned tables, items
        # Squares, because the sums of centred times are the same for everybody.
        order = np.argsort((values**2).sum(axis=1))
        values, counts = values[order].T, counts[order].T
    return values, counts


def low_reliability(whose: str, value: float | None) -> list[str]:
    """Warn of a reliability of item means that is too low to divide by."""
    if value is None or value >= MIN_RELIABILITY:
        return []
    return [
        f"{whose}: reliability {value:.2f}, below {MIN_RELIABILITY:g}: most of the differences "
        "between items are noise, and what is divided by it (ceiling, normalised r) says nothing"
    ]


def _means(members_split_participant: Array, values: Array, counts: Array) -> Array:
    """Item means of one half in every division, shape (splits, items); NaN without a trial."""
    totals = members_split_participant @ values
    trials = members_split_participant @ counts
    return np.where(trials > 0, totals / np.maximum(trials, 1), np.nan)


def _corrected(weights_resample_item: Array, first: Array, second: Array) -> Array:
    """Spearman-Brown corrected correlations, shape (resamples, splits); NaN where undefined.

    ``first`` and ``second`` have shape (splits, items); an item that is NaN in either is left out
    of that split. The weights say how often a resample holds an item.
    """
    shared = np.isfinite(first) & np.isfinite(second)
    x, y = np.where(shared, first, 0.0), np.where(shared, second, 0.0)

    def total(values: Array) -> Array:
        return np.asarray(weights_resample_item @ values.T)

    n, sum_x, sum_y = total(shared.astype(float)), total(x), total(y)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares_x = total(x * x) - sum_x**2 / n
        squares_y = total(y * y) - sum_y**2 / n
        products = total(x * y) - sum_x * sum_y / n
        r = products / np.sqrt(squares_x * squares_y)
        # Item means closer than a millionth of the time are the same, but for rounding.
        spread = np.minimum(squares_x, squares_y) > 1e-12 * n
        defined = spread & (1 + r > 1e-9)
        return np.asarray(np.where(defined, 2 * r / (1 + r), np.nan))


def centred_log_rt(kept: list[Trial]) -> tuple[Array, float | None]:
    """Log times, centred on their participants, of the trials that count; and the effect of order.

    x - b (t - mean t of the participant) - mean (x of the participant) + mean (all x), with x the
    log time and t the number of the trial. The slope b is that of least squares of x on t with an
    effect for each participant and each item (Baayen, Davidson and Bates 2008), so that hard items
    that come late do not make it. It is None and left out without numbers, or where the order is
    nearly the same for everybody and b cannot be told from the items.
    """
    x = np.array([math.log(trial.rt_s) for trial in kept])
    participants = np.unique([trial.participant for trial in kept], return_inverse=True)[1]
    slope, adjusted = None, x
    if all(trial.number is not None for trial in kept):
        t = np.array([trial.number for trial in kept], dtype=float)
        items = np.unique([trial.item for trial in kept], return_inverse=True)[1]
        slope = _slope(x, t, participants, items)
        adjusted = x - (slope or 0.0) * t
    return _less_means(adjusted, participants) + x.mean(), slope


def _less_means(values: Array, groups: Groups) -> Array:
    means = np.bincount(groups, values) / np.bincount(groups)
    return np.asarray(values - means[groups])


def _slope(x: Array, t: Array, participants: Groups, items: Groups) -> float | None:
    """Slope of x on t with an effect for each participant and item (Frisch and Waugh 1933).

    What the effects leave of t is found by taking off the means of both in turn.
    """
    free = within = _less_means(t, participants)
    scale = float(np.abs(within).max(initial=0.0))
    for _ in range(1_000):
        before = free
        free = _less_means(_less_means(free, items), participants)
        if np.abs(free - before).max(initial=0.0) <= 1e-10 * scale:
            break
    # With so little left, the order is as good as fixed and cannot be told from the items.
    fixed = (free @ free) <= 0.01 * (within @ within)
    return None if fixed else float(free @ x / (free @ free))


# -- the table of each task, its row of summary.csv and a printed account --------------------------


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
    centred, slope = centred_log_rt(kept)
    items = item_table(cleaned.valid, kept)
    log_rt = np.array([math.log(trial.rt_s) for trial in kept])
    names = [trial.participant for trial in kept], [trial.item for trial in kept]
    _, (plain_values, values, counts) = sums_by_cell(*names, log_rt, centred, np.ones(len(kept)))
    for row, mean in zip(items, values.sum(axis=0) / counts.sum(axis=0), strict=True):
        row["mean_log_rt_centred"] = f"{mean:.5f}"
    plain, of_centred = (
        split_half_reliability(*in_order_of_values(*sums), splits, np.random.default_rng(seed))
        for sums in ((plain_values, counts), (values, counts))
    )
    summary = {
        "task": task, "source": source, "items": len(items), "participants": len(values),
        "trials": len(cleaned.valid), "trials_kept": len(kept),
        **_in_columns("reliability", plain), "splits": splits, "rule": rules.rule,
        **_in_columns("reliability_centred", of_centred),
        "order_slope": None if slope is None else f"{slope:.6f}",
    }  # fmt: skip
    num_participants, num_items = (len({trial[i] for trial in trials}) for i in (0, 1))
    unscored = sum(trial.correct is None for trial in kept)
    report = [
        f"{name}: {len(trials)} trials of {num_participants} participants on {num_items} items",
        f"  left out: {cleaned.counts}",
        f"  kept: {len(kept)} trials ({unscored} unscored) of {len(values)} participants on "
        f"{len(items)} items",
        f"  without a kept trial: {num_participants - len(values)} participants, "
        f"{num_items - len(items)} items",
        f"  reliability {_in_words(plain)}; without who saw which item {_in_words(of_centred)}",
    ]
    if slope is not None:
        change = f"{math.expm1(10 * slope):+.1%} time over ten trials"
        report += [f"  order of trials: {change}, taken off the centred means"]
    elif kept[0].number is not None:
        report += ["  order of trials: nearly the same for everybody, so not told from the items"]
    notes += low_reliability(name, plain.value)
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


def _in_columns(name: str, found: Reliability) -> dict[str, str | None]:
    columns = {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return {key: None if value is None else f"{value:.4f}" for key, value in columns.items()}


def _in_words(found: Reliability) -> str:
    text = "undefined" if found.value is None else f"{found.value:.3f}"
    if found.low is not None and found.high is not None:
        text += f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{text} ({found.why})" if found.why else text


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
    columns: Sequence[str] = (),
    task: str | None = None,
    drop_invalid: bool = False,
) -> list[Table]:
    """Compute the norms of every task of a file, print what was left out, write when all is done.

    Response times are those of correct trials in tasks with a scored trial, unless ``all_trials``.
    Rows of other tasks and sources in ``summary.csv`` stay. Every table has its own random stream
    of ``seed``, so that none depends on the others.
    """
    check_splits(splits, seed)
    check_file_name("--source", "source", source)
    cleaning = Cleaning(floor_s, ceiling_s, True, trim_sd, least_trials, drop_invalid)
    trials, notes = read_trials(path, their_columns(columns), task, drop_invalid)
    keep = norms.summary_rows(output_dir) if os.path.exists(output_dir / "summary.csv") else []
    scored = {of for of in trials if any(trial.correct is not None for trial in trials[of])}
    if all_trials and not scored:
        notes.append("--all_trials changes nothing: no trial is scored, so all count anyway")
    for note in notes:
        print(f"note: {printable(note)}")
    tables = []
    for name, of_task in trials.items():
        rules = replace(cleaning, correct_only=name in scored and not all_trials)
        table = compute_table(path, name, source, of_task, rules, splits, seed)
        print(table.report)
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
