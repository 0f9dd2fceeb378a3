"""Correlations with their intervals, many at a time, all under the draws of their task's items."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from handan.alignment.statistics.basic import MIN_ITEMS, FloatArray, finite_or_none, pearson
from handan.alignment.statistics.bootstrap import Bootstrap
from handan.alignment.statistics.intervals import NO_INTERVAL, Interval, interval


class Pair(NamedTuple):
    """Two columns over the items of a task, shape (items,) each; NaN marks an item to leave out.

    ``lost`` counts the numbers fitted on the way, see ``handan.alignment.statistics.intervals``.
    """

    task: str
    items: tuple[str, ...]
    x: FloatArray
    y: FloatArray
    lost: int = 2


class Correlation(NamedTuple):
    """Pearson's r, its 95 % interval and the number of items.

    Both are NaN where r is undefined or the items are under ``MIN_ITEMS``; the interval alone
    where its draws are undefined too often.
    """

    r: float
    bounds: Interval
    num_items: int

    def report(self) -> dict:
        """As in ``alignment.json``."""
        return {
            "r": finite_or_none(self.r),
            "ci": finite_or_none(self.bounds),
            "n": self.num_items,
        }


UNDEFINED = Correlation(float("nan"), NO_INTERVAL, 0)


def correlate(pairs: Sequence[Pair], bootstrap: Bootstrap) -> list[Correlation]:
    """Pearson's r of every pair and its interval, in the order of the pairs."""
    known = [_without_unknown(pair) for pair in pairs]
    together: dict[tuple, list[int]] = {}
    for place, pair in enumerate(known):
        if len(pair.items) >= MIN_ITEMS + pair.lost - 2:
            together.setdefault((pair.task, pair.items), []).append(place)
    out = [UNDEFINED._replace(num_items=len(pair.items)) for pair in known]
    for (task, items), places in together.items():
        x = np.column_stack([known[place].x for place in places])
        y = np.column_stack([known[place].y for place in places])
        draws = bootstrap.correlations(task, items, x, y)
        for column, place in enumerate(places):
            pair = known[place]
            r = pearson(pair.x, pair.y)
            bounds = NO_INTERVAL
            if not np.isnan(r):
                bounds = interval(draws[:, column], [len(items)], lost=pair.lost)
            out[place] = Correlation(r, bounds, len(items))
    return out


def _without_unknown(pair: Pair) -> Pair:
    kept = np.isfinite(pair.x) & np.isfinite(pair.y)
    if kept.all():
        return pair
    items = tuple(item for item, keep in zip(pair.items, kept, strict=True) if keep)
    return pair._replace(items=items, x=pair.x[kept], y=pair.y[kept])
