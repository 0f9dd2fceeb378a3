"""Resampling of items: one set of draws for all models, steps and runs, so that all is paired.

In a draw every item has a weight, how often it is there: a Poisson number with mean 1, whose
probabilities are rounded to 1/65,536 so that mean and variance are 1 still. The weights of an item
come from a generator that depends on the seed, the task and the item's name alone. So models,
steps, contrasts and runs that share items share their draws, and nothing else in a file changes an
interval. Numbers of items that vary from draw to draw in this way estimate the same spread as draws
of exactly n items (Hanley and MacGibbon 2006; Chamandy et al. 2012).

Samples are nested in items: an item that is drawn brings its samples along, so their noise is in
the spread already. Drawing samples once more inside the drawn items would count it twice and
lower every correlation in the draws. Participants are crossed with items: what they add is in
``people.py``. Tasks are not resampled: intervals hold for these tasks.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.statistics.basic import FloatArray, centred, settle

# A resample keeping less than this share of a column's variance counts as constant: what is left
# of it after the subtraction of the squared mean would be mostly rounding.
_DEGENERATE = 1e-10
# How many of 65,536 equally likely cells hold a weight of 0, 1, ...: 65,536 exp(-1) / k!, rounded.
# Looking up a cell takes a seventh of the time of a Poisson number.
_CELLS = (24_109, 24_109, 12_056, 4_018, 1_005, 200, 33, 5, 1)
_WEIGHTS = np.repeat(np.arange(len(_CELLS), dtype=np.uint8), _CELLS)
# Numbers in each temporary array while resampling: few enough to stay in a processor's cache.
_CHUNK = 200_000


def task_generator(seed: int, task: str, purpose: str) -> np.random.Generator:
    """A generator that depends on these three alone, the same on every machine."""
    digest = hashlib.sha256(f"{purpose}\0{task}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8])])


class Moments(NamedTuple):
    """Means over a resample's items, and means of squared and crossed deviations from them.

    Each has shape (draws, columns). ``xx`` and ``yy`` are NaN where the resample is constant.
    """

    x: FloatArray
    y: FloatArray
    xx: FloatArray
    yy: FloatArray
    xy: FloatArray


class Bootstrap:
    """The draws of a run of ``align``: made when they are first needed, kept for the next use.

    Args:
        num_draws: number of resamples.
        seed: of all of them.
    """

    def __init__(self, num_draws: int, seed: int) -> None:
        self.num_draws = num_draws
        self.seed = seed
        self._weights: dict[tuple[str, str], NDArray[np.uint8]] = {}
        self._correlations: dict[tuple, FloatArray] = {}

    def weights(self, task: str, items: Sequence[str]) -> NDArray[np.uint8]:
        """How often each item is in each draw, shape (items, draws)."""
        for item in items:
            if (task, item) not in self._weights:
                generator = task_generator(self.seed, task, f"item\0{item}")
                cells = generator.integers(0, len(_WEIGHTS), self.num_draws, dtype=np.uint16)
                self._weights[task, item] = _WEIGHTS[cells]
        return np.stack([self._weights[task, item] for item in items])

    def sums(self, task: str, items: Sequence[str], columns: FloatArray) -> FloatArray:
        """Weighted sums over items in every draw: (items, columns) become (draws, columns)."""
        return np.concatenate(list(self._chunks(task, items, columns)))

    def _chunks(self, task: str, items: Sequence[str], columns: FloatArray) -> Iterator[FloatArray]:
        """The sums of some draws at a time, shape (some draws, columns)."""
        weights = self.weights(task, items)
        # Equal columns, such as the response times beside every model, are summed once.
        first: dict[bytes, int] = {}
        place = [first.setdefault(column.tobytes(), len(first)) for column in columns.T]
        unique = np.empty((len(items), len(first)))
        unique[:, place] = columns
        num_chunk = max(1, _CHUNK // max(unique.shape))
        for start in range(0, self.num_draws, num_chunk):
            # As numbers with a fraction only here: all of them at once would fill the memory.
            sums = weights[:, start : start + num_chunk].astype(float).T @ unique
            yield sums if len(first) == len(place) else sums[:, place]

    def means(self, task: str, items: Sequence[str], columns: FloatArray) -> FloatArray:
        """Mean of every column (items, columns) in every draw, shape (draws, columns)."""
        ones = np.ones((len(items), 1))
        count, sums = np.split(self.sums(task, items, np.hstack([ones, columns])), [1], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(sums / count)

    def moments(self, task: str, items: Sequence[str], x: FloatArray, y: FloatArray) -> Moments:
        """Moments of every pair of columns in every draw.

        Args:
            task, items: name the draws.
            x, y: shape (items, columns): the partners of each pair.
        """
        centres = x.mean(axis=0), y.mean(axis=0)
        chunks = list(self._standard_moments(task, items, x, y))
        mean_x, mean_y, xx, yy, xy = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        x_scale, y_scale = (_standardised(columns)[1] for columns in (x, y))
        return Moments(
            centres[0] + mean_x * x_scale,
            centres[1] + mean_y * y_scale,
            xx * x_scale**2,
            yy * y_scale**2,
            xy * x_scale * y_scale,
        )

    def _standard_moments(
        self, task: str, items: Sequence[str], x: FloatArray, y: FloatArray
    ) -> Iterator[Moments]:
        """Moments of standardised columns, some draws at a time."""
        x, y = _standardised(x)[0], _standardised(y)[0]
        parts = [np.ones((len(items), 1)), x, y, x * x, y * y, x * y]
        ends = np.cumsum([1, *[x.shape[1]] * 4])
        for totals in self._chunks(task, items, np.concatenate(parts, axis=1)):
            with np.errstate(divide="ignore", invalid="ignore"):  # a draw may have no items
                totals = totals[:, 1:] / totals[:, :1]
                mean_x, mean_y, xx, yy, xy = np.split(totals, ends[1:] - 1, axis=1)
                xx = xx - mean_x**2
                yy = yy - mean_y**2
                xx[~(xx >= _DEGENERATE)] = np.nan
                yy[~(yy >= _DEGENERATE)] = np.nan
                yield Moments(mean_x, mean_y, xx, yy, xy - mean_x * mean_y)

    def correlations(
        self, task: str, items: Sequence[str], x: FloatArray, y: FloatArray
    ) -> FloatArray:
        """Pearson's r of every pair of columns in every draw, shape (draws, columns).

        NaN in draws where a column is constant.
        """
        if len(items) < 2:
            return np.full((self.num_draws, x.shape[1]), np.nan)
        return np.concatenate(
            [
                settle(of.xy / np.sqrt(of.xx * of.yy))
                for of in self._standard_moments(task, items, x, y)
            ]
        )

    def alignment(self, entries: Iterable[TaskCosts]) -> list[FloatArray]:
        """Draws of the log-log correlation of each entry, shape (draws,) each.

        Entries of one task with the same items are computed together, and all are kept.

        Args:
            entries: costs whose items all have a log cost (``TaskCosts.thinking``).
        """
        entries = list(entries)
        # What draws depend on, not names: trainings of one model under several seeds share theirs.
        keys = [
            (entry.task, entry.items, entry.log_cost.tobytes(), entry.log_demand.tobytes())
            for entry in entries
        ]
        together: dict[tuple, dict[tuple, TaskCosts]] = {}
        for key, entry in zip(keys, entries, strict=True):
            if key not in self._correlations:
                together.setdefault((entry.task, entry.items), {})[key] = entry
        for (task, items), group in together.items():
            log_cost = np.column_stack([entry.log_cost for entry in group.values()])
            log_demand = np.column_stack([entry.log_demand for entry in group.values()])
            drawn = self.correlations(task, items, log_cost, log_demand)
            for key, column in zip(group, drawn.T, strict=True):
                self._correlations[key] = column.copy()
        return [self._correlations[key] for key in keys]


def _standardised(columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Columns (items, columns) with mean 0 and variance 1, and their scale; constant ones are NaN.

    Standardising first keeps the subtraction of squared means accurate.
    """
    deviations, norm = centred(columns.T)
    scale = norm / np.sqrt(columns.shape[0])
    return (deviations / scale[:, None]).T, scale
