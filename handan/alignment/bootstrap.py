"""Resampling of items: one set of draws for all models and steps of a task, so that all is paired.

A draw is a row of item counts. The counts come from a generator that depends on the seed and the
task alone, so neither other tasks nor other models in a file change an interval. Conventions are
those of ``statistics.py``; draws are the first axis.

Simplified: items are resampled within tasks. Human figures and samples are taken as they are, and
tasks are not resampled: intervals hold for these tasks, these people and this number of samples.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from handan.alignment.item_costs import TaskCosts
from handan.alignment.statistics import FloatArray, centred, settle

# A resample keeping less than this share of a column's variance counts as constant: what is left
# of it after the subtraction of the squared mean would be mostly rounding.
_DEGENERATE = 1e-10
# Numbers held at once while resampling: 16 MB for each temporary array.
_CHUNK = 2_000_000
# A resample of three items repeats one of them nearly always: no interval is stated under four.
LEAST_ITEMS_FOR_INTERVAL = 4


def task_generator(seed: int, task: str, purpose: str) -> np.random.Generator:
    """A generator that depends on these three alone, the same on every machine."""
    digest = hashlib.sha256(f"{purpose}\0{task}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8])])


def item_counts(
    num_items: int, num_draws: int, generator: np.random.Generator, num_columns: int = 1
) -> Iterator[FloatArray]:
    """How often each item occurs in each bootstrap draw, in chunks of shape (draws, items).

    Every statistic that uses the same chunks is resampled with the same items: paired. Each row
    sums to ``num_items``. ``num_columns`` only bounds the memory of what is computed from a chunk.
    """
    num_chunk = max(1, _CHUNK // max(num_items, num_columns))
    for start in range(0, num_draws, num_chunk):
        num_rows = min(num_chunk, num_draws - start)
        drawn = generator.integers(0, num_items, size=(num_rows, num_items))
        drawn += np.arange(num_rows)[:, None] * num_items
        counts = np.bincount(drawn.ravel(), minlength=num_rows * num_items)
        yield counts.reshape(num_rows, num_items).astype(float)


class Moments(NamedTuple):
    """Sums over a resample's items of squared and crossed deviations from its own means.

    Each has shape (draws, columns). ``xx`` and ``yy`` are NaN where the resample is constant.
    """

    xx: FloatArray
    yy: FloatArray
    xy: FloatArray


def bootstrap_moments(
    x_items_columns: FloatArray,
    y_items_columns: FloatArray,
    num_draws: int,
    generator: np.random.Generator,
) -> Moments:
    """Moments of every column under the same draws of items, as counts times columns.

    Args:
        x_items_columns: shape (items, columns), e.g. a model's log cost in each column.
        y_items_columns: shape (items, columns) or (items, 1): partner of each column of x.
        num_draws: number of resamples.
        generator: the only source of the draws.
    """
    x, x_scale = _standardised(x_items_columns)
    y, y_scale = _standardised(y_items_columns)
    num_items, num_columns = x.shape
    products = np.concatenate([x, y, x * x, y * y, x * y], axis=1)
    ends = np.cumsum([num_columns, y.shape[1], num_columns, y.shape[1]])
    chunks = []
    for counts in item_counts(num_items, num_draws, generator, products.shape[1]):
        mean_x, mean_y, mean_xx, mean_yy, mean_xy = np.split(
            counts @ products / num_items, ends, axis=1
        )
        chunks.append((mean_xx - mean_x**2, mean_yy - mean_y**2, mean_xy - mean_x * mean_y))
    xx, yy, xy = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    xx[xx < _DEGENERATE] = np.nan
    yy[yy < _DEGENERATE] = np.nan
    scale = num_items * x_scale * y_scale
    return Moments(num_items * xx * x_scale**2, num_items * yy * y_scale**2, xy * scale)


def _standardised(columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Columns (items, columns) with mean 0 and variance 1, and their scale; constant ones are NaN.

    Standardising first keeps the subtraction of squared means accurate.
    """
    deviations, norm = centred(columns.T)
    scale = norm / np.sqrt(columns.shape[0])
    return (deviations / scale[:, None]).T, scale


def correlations(moments: Moments) -> FloatArray:
    """Pearson's r of every draw and column, shape (draws, columns); NaN in degenerate draws."""
    return settle(moments.xy / np.sqrt(moments.xx * moments.yy))


def percentile_interval(draws: FloatArray, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of draws of shape (draws,), NaN left out; (NaN, NaN) if none is left."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    tail = 50 * (1 - confidence)
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def bootstrap_p(draws: FloatArray) -> float:
    """Two-sided bootstrap p of 'the difference is 0': 2 min(P(draw <= 0), P(draw >= 0)), at most 1.

    One is added to both counts and to the number of draws (Davison and Hinkley 1997, ch. 4),
    so that p is never 0; its least value is 2 / (draws + 1). NaN without draws.
    """
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan")
    fewer = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return min(1.0, 2 * (fewer + 1) / (len(known) + 1))


def correlation_draws(entries: Sequence[TaskCosts], num_draws: int, seed: int) -> list[FloatArray]:
    """Draws of the log-log correlation of each entry, shape (draws,) each, NaN where undefined.

    Entries of one task with the same items share their draws, whatever their model or step. To
    contrast entries whose items differ, select the shared items first.

    Args:
        entries: costs whose items all have a log cost (``TaskCosts.thinking``).
        num_draws: number of resamples.
        seed: with the task's name it decides the draws.
    """
    together: dict[tuple, list[int]] = {}
    for index, entry in enumerate(entries):
        together.setdefault((entry.task, entry.items), []).append(index)
    draws = [np.full(num_draws, np.nan) for _ in entries]
    for (task, items), indices in together.items():
        if len(items) < LEAST_ITEMS_FOR_INTERVAL:
            continue
        moments = bootstrap_moments(
            np.column_stack([entries[index].log_cost for index in indices]),
            entries[indices[0]].log_demand[:, None],
            num_draws,
            task_generator(seed, task, "items"),
        )
        for index, column in zip(indices, correlations(moments).T, strict=True):
            draws[index] = column.copy()
    return draws
