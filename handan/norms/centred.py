"""Item means without the composition of an item's participants and the course of the session.

Where people answer different items, an item's mean log time also says how fast the people were
who happened to see it. The second kind of mean is of log times from which each participant's own
mean is taken off (and, where the order of trials is known, a linear effect of it), with the mean
over all trials put back. In a complete design without order both kinds are the same. A participant
with few trials on a task is centred on a mean that these trials themselves make up, which draws
items towards the middle by 1 / their number.
"""

import math

import numpy as np
from numpy.typing import NDArray

from handan.norms.trials import Trial

Array = NDArray[np.float64]
Groups = NDArray[np.intp]  # group of every trial, from 0

# With less of the variance of trial numbers left beside participants and items, their order is as
# good as fixed, and what it does cannot be told from what the items do.
MIN_FREE_ORDER = 0.01
_MAX_SWEEPS = 1_000
_SETTLED = 1e-10


def centred_log_rt(kept: list[Trial]) -> tuple[Array, float | None]:
    """Log times, centred on their participants, of the trials that count; and the effect of order.

    x - b (t - mean t of the participant) - mean (x of the participant) + mean (all x), with x the
    log time and t the number of the trial. The slope b is that of least squares of x on t with an
    effect for each participant and each item (Baayen, Davidson and Bates 2008), so that hard items
    that come late do not make it. Without numbers b is left out.

    Returns:
        values: shape (trials,), in the order of ``kept``.
        slope: b, change of log time from a trial to the next; None without numbers, or where the
            order is nearly the same for everybody and b cannot be told from the items.
    """
    x = np.array([math.log(trial.rt_s) for trial in kept])
    participants = np.unique([trial.participant for trial in kept], return_inverse=True)[1]
    slope = None
    adjusted = x
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
    for _ in range(_MAX_SWEEPS):
        before = free
        free = _less_means(_less_means(free, items), participants)
        if np.abs(free - before).max(initial=0.0) <= _SETTLED * scale:
            break
    if (free @ free) <= MIN_FREE_ORDER * (within @ within):
        return None
    return float(free @ x / (free @ free))
