"""A line through the items of a task with its band, from the draws of all other intervals."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from handan.alignment.bootstrap import Bootstrap, interval
from handan.alignment.correlation import FloatArray
from handan.alignment.regression import fit_line, least_squares_slope
from handan.report.comparison import Group

POINTS = 25  # of a band; between them it is drawn straight


class Band(NamedTuple):
    """A least-squares line of y on x with a 95 % band for the mean of y at each x.

    All have shape (points,); ``low`` and ``high`` are NaN where there are too few items.
    """

    x: FloatArray
    y: FloatArray
    low: FloatArray
    high: FloatArray


def band(
    group: Group, task: str, items: tuple[str, ...], x: FloatArray, y: FloatArray
) -> Band | None:
    """The line of y on x over the items of a task, shape (items,) each; None if x is constant.

    The band are expanded percentiles at each x of the lines in the group's bootstrap draws.
    """
    if len(items) < 2 or np.ptp(x) == 0:
        return None
    line = fit_line(x, y)
    at = np.linspace(x.min(), x.max(), POINTS)
    settings = group.result["settings"]
    moments = _draws(settings["bootstrap"], settings["seed"]).moments(
        task, items, x[:, None], y[:, None]
    )
    slopes = least_squares_slope(moments.xx, moments.xy)
    bounds = [interval((moments.y + slopes * (place - moments.x))[:, 0], [len(x)]) for place in at]
    low, high = np.array(bounds).T
    return Band(at, line.intercepts[0] + line.slope * at, low, high)


@lru_cache(maxsize=1)
def _draws(num_draws: int, seed: int) -> Bootstrap:
    return Bootstrap(num_draws, seed)
