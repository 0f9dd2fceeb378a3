"""Bootstrap of items with expanded percentile intervals: one set of draws, so that all is paired.

A draw gives each item a Poisson weight that depends on seed, task and item alone (Hanley and
MacGibbon 2006; Chamandy et al. 2012). An item brings its samples along; tasks are not resampled.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri, stdtr, stdtrit

from handan.alignment import correlation as stats
from handan.alignment.correlation import MIN_ITEMS, NO_INTERVAL, FloatArray, Interval, pearson
from handan.alignment.items import TaskCosts, participant_variance

# A resample keeping less than this share of a column's variance counts as constant: what is left
# of it after the subtraction of the squared mean would be mostly rounding.
_DEGENERATE = 1e-10
# Poisson numbers with mean 1 in 65,536 equally likely cells, 65,536 exp(-1) / k! of them rounded so
# that mean and variance are 1 still. Looking up a cell takes a seventh of the time of a new number.
_WEIGHTS = np.repeat(
    np.arange(9, dtype=np.uint8), (24_109, 24_109, 12_056, 4_018, 1_005, 200, 33, 5, 1)
)


def task_generator(seed: int, task: str, purpose: str) -> np.random.Generator:
    """Generator that depends on these three alone, the same on every machine."""
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
    """Draws of a run of ``align``: made when they are first needed, kept for the next use."""

    def __init__(self, num_draws: int, seed: int) -> None:
        self.num_draws, self.seed = num_draws, seed
        self._weights: dict[tuple[str, str], NDArray[np.uint8]] = {}
        self._correlations: dict[tuple, FloatArray] = {}

    def weights(self, task: str, items: Sequence[str]) -> NDArray[np.uint8]:
        """Weight of each item in each draw, shape (items, draws)."""
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
        # Few enough numbers in each temporary array to stay in a processor's cache.
        num_chunk = max(1, 200_000 // max(unique.shape))
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
        """Moments of every pair of columns x, y of shape (items, columns) in every draw."""
        chunks = list(self._standard_moments(task, items, x, y))
        mean_x, mean_y, xx, yy, xy = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        x_scale, y_scale = (_standardised(columns)[1] for columns in (x, y))
        mean_x, mean_y = x.mean(axis=0) + mean_x * x_scale, y.mean(axis=0) + mean_y * y_scale
        return Moments(mean_x, mean_y, xx * x_scale**2, yy * y_scale**2, xy * x_scale * y_scale)

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
        """Pearson's r of pairs of columns, shape (draws, columns); NaN where one is constant."""
        if len(items) < 2:
            return np.full((self.num_draws, x.shape[1]), np.nan)
        chunks = self._standard_moments(task, items, x, y)
        return np.concatenate([stats.settle(of.xy / np.sqrt(of.xx * of.yy)) for of in chunks])

    def alignment(self, entries: Iterable[TaskCosts]) -> list[FloatArray]:
        """Draws of the log-log r of each entry of ``TaskCosts.thinking``, shape (draws,) each."""
        keys = []
        together: dict[tuple, dict[tuple, TaskCosts]] = {}
        for entry in entries:
            # What draws depend on, not names: trainings of one model under several seeds share.
            costs, difficulties = entry.log_cost.tobytes(), entry.log_difficulty.tobytes()
            keys.append((entry.task, entry.items, costs, difficulties))
            if keys[-1] not in self._correlations:
                together.setdefault((entry.task, entry.items), {})[keys[-1]] = entry
        for (task, items), group in together.items():
            columns = ([of.log_cost, of.log_difficulty] for of in group.values())
            x, y = (np.column_stack(of) for of in zip(*columns, strict=True))
            drawn = self.correlations(task, items, x, y)
            for key, column in zip(group, drawn.T, strict=True):
                self._correlations[key] = column.copy()
        return [self._correlations[key] for key in keys]


def _standardised(columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Columns with mean 0 and variance 1, to subtract squared means exactly, and their scale."""
    deviations, norm = stats.centred(columns.T)
    scale = norm / np.sqrt(columns.shape[0])
    return (deviations / scale[:, None]).T, scale


# -- intervals and p values of draws ---------------------------------------------------------------


def _expansion(num_items: Sequence[int], lost: int) -> tuple[float, float]:
    """The factor by which draws are too narrow, and the degrees of freedom."""
    sizes = np.asarray(num_items, float)
    return float(np.sqrt(np.mean(sizes / (sizes - lost)))), float(np.sum(sizes - lost))


def interval(
    draws: FloatArray, num_items: Sequence[int], confidence: float = 0.95, lost: int = 2
) -> Interval:
    """Expanded percentile interval (Hesterberg 2015) of one measure's draws, shape (draws,).

    Its percentiles are Phi(-sqrt(n / (n - lost)) t), with Student's t of n - lost degrees of
    freedom, for the draws' spread falls short by sqrt((n - lost) / n). Over tasks the degrees of
    freedom add up and n / (n - lost) is averaged. NaN if a task has under ``MIN_ITEMS`` items (plus
    covariates) or too many draws are undefined. ``num_items`` is that of each task; ``lost`` counts
    fitted numbers: 2 for a correlation or slope, one more for each covariate.
    """
    known = _usable(draws, num_items, lost)
    if not len(known):
        return NO_INTERVAL
    factor, freedom = _expansion(num_items, lost)
    tail = 100 * float(ndtr(factor * stdtrit(freedom, (1 - confidence) / 2)))
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def _usable(draws: FloatArray, num_items: Sequence[int], lost: int = 2) -> FloatArray:
    """Defined draws; none of them if they are too few or the items are."""
    known = draws[~np.isnan(draws)]
    too_few = min(num_items, default=0) < MIN_ITEMS + lost - 2
    return known[:0] if too_few or np.isnan(draws).mean() > stats.MAX_UNDEFINED_DRAWS else known


def p_value(draws: FloatArray, num_items: Sequence[int], at: float = 0.0) -> float:
    """Two-sided bootstrap p of 'the measure is ``at``', in agreement with ``interval``.

    The smaller share of draws on one side becomes a tail of Student's t by the same expansion. One
    is added to the counts (Davison and Hinkley 1997, ch. 4). NaN where there is no interval.
    """
    return float(np.minimum(1.0, 2 * _tail(draws, num_items, at, at, min)))


def _tail(
    draws: FloatArray,
    num_items: Sequence[int],
    low: float,
    high: float,
    side: Callable[[int, int], int],
) -> float:
    """Tail of Student's t for the share of draws beyond the smaller or larger ``side``."""
    known = _usable(draws, num_items)
    if not len(known):
        return float("nan")
    beyond = side(int(np.sum(known <= low)), int(np.sum(known >= high)))
    factor, freedom = _expansion(num_items, lost=2)
    return float(stdtr(freedom, ndtri(min((beyond + 1) / (len(known) + 1), 1 - 1e-16)) / factor))


def equivalence_p(draws: FloatArray, num_items: Sequence[int], bound: float) -> float:
    """p of 'the difference is at least ``bound``', by two one-sided tests (Schuirmann 1987).

    Below 5 % where the 90 % interval lies within the bound; NaN where there is no interval.
    """
    return _tail(draws, num_items, -bound, bound, max)


def bayes_factor(difference: float, draws: FloatArray, num_items: Sequence[int]) -> float:
    """How much likelier the data are without a difference than with one: BF01.

    That of Rouder's t test (``correlation.jzs_bf01``) for the difference over its standard error,
    which is the spread of the draws, expanded as in ``interval``. NaN where there is no interval.
    """
    known = _usable(draws, num_items)
    if not len(known) or not np.std(known) > 0:
        return float("nan")
    factor, freedom = _expansion(num_items, lost=2)
    return stats.jzs_bf01(difference / (factor * float(np.std(known))), freedom)


def widened(draws: FloatArray, centre: float, extra_variance: float) -> FloatArray:
    """Draws of shape (draws,), moved away from the centre to add ``extra_variance`` to theirs."""
    known = draws[np.isfinite(draws)]
    spread = float(np.var(known)) if len(known) else 0.0
    if not extra_variance > 0 or not spread > 0:
        return draws
    return centre + (draws - centre) * np.sqrt(1 + extra_variance / spread)


# -- correlations with their intervals -------------------------------------------------------------


class Pair(NamedTuple):
    """Two columns over a task's items, NaN to leave one out, and ``lost`` of ``interval``."""

    task: str
    items: tuple[str, ...]
    x: FloatArray
    y: FloatArray
    lost: int = 2


class Correlation(NamedTuple):
    """Pearson's r and its 95 % interval, NaN where undefined, and the number of items."""

    r: float
    bounds: Interval
    num_items: int

    def report(self) -> dict:
        """The entry of ``alignment.json``."""
        r, ci = map(stats.finite_or_none, (self.r, self.bounds))
        return {"r": r, "ci": ci, "n": self.num_items}


UNDEFINED = Correlation(float("nan"), NO_INTERVAL, 0)


def correlate(pairs: Sequence[Pair], bootstrap: Bootstrap) -> list[Correlation]:
    """Pearson's r of every pair and its interval, in the order of the pairs."""
    known: list[Pair] = []
    together: dict[tuple, list[int]] = {}
    for place, pair in enumerate(pairs):
        kept = np.isfinite(pair.x) & np.isfinite(pair.y)
        if not kept.all():
            items = tuple(compress(pair.items, kept))
            pair = pair._replace(items=items, x=pair.x[kept], y=pair.y[kept])
        known.append(pair)
        if len(pair.items) >= MIN_ITEMS + pair.lost - 2:
            together.setdefault((pair.task, pair.items), []).append(place)
    out = [UNDEFINED._replace(num_items=len(pair.items)) for pair in known]
    for (task, items), places in together.items():
        x = np.column_stack([known[place].x for place in places])
        y = np.column_stack([known[place].y for place in places])
        draws = bootstrap.correlations(task, items, x, y)
        for of_pair, place in zip(draws.T, places, strict=True):
            r = pearson(known[place].x, known[place].y)
            bounds = interval(of_pair, [len(items)], lost=known[place].lost)
            out[place] = Correlation(r, NO_INTERVAL if np.isnan(r) else bounds, len(items))
    return out


def censored_correlation(x: FloatArray, y: FloatArray, censored: NDArray[np.bool_]) -> Correlation:
    """r of x with y, shape (items,), some y lower bounds, by maximum likelihood, and its interval.

    The censored regression of Tobin 1958, y = alpha + beta x + sigma e with normal e, where a
    censored y only says that y is larger: r = beta s_x / sqrt(beta^2 s_x^2 + sigma^2), with the
    standard deviation s_x of x (divided by n). Without censoring this is Pearson's r exactly. The
    likelihood is concave in (alpha, beta, 1) / sigma (Olsen 1978). The interval is that of
    z = arctanh r with a robust standard error: the sum over items of squared influences, including
    that on s_x, times n / (n - 3), and Student's t with as many degrees of freedom as y are known
    exactly, less 2. NaN where under six y are known exactly or a column is constant.
    """
    n = len(x)
    exact = y[~censored]
    if len(exact) < 6 or np.ptp(x) == 0 or np.ptp(exact) == 0:
        return UNDEFINED._replace(num_items=n)
    of_known = pearson(x[~censored], exact)
    if of_known * of_known == 1:  # all on a line: its scatter has no likelihood
        return Correlation(of_known, (of_known, of_known), n)
    x = (x - x.mean()) / x.std()
    centre, scale = exact.mean(), exact.std()
    y = (y - centre) / scale
    design = np.column_stack([np.ones(n), x, -y])

    def parts(theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Minus log likelihood, d / d u and -d2 / d u2 of each item; u = theta . design."""
        u = design @ theta
        # u is minus the standardised residual, so a censored cost has probability Phi(u).
        mills = np.exp(-(u**2) / 2 - 0.5 * np.log(2 * np.pi) - log_ndtr(u))
        loss = np.where(censored, -log_ndtr(u), u**2 / 2 - np.log(theta[2]))
        return loss, np.where(censored, mills, -u), np.where(censored, mills * (mills + u), 1.0)

    def loss(theta: FloatArray) -> float:
        return float(parts(theta)[0].sum()) if theta[2] > 0 else np.inf

    def gradient(theta: FloatArray) -> FloatArray:
        return np.asarray(-design.T @ parts(theta)[1] - [0, 0, len(exact) / theta[2]])

    def information(theta: FloatArray) -> FloatArray:
        matrix = (design * parts(theta)[2][:, None]).T @ design
        matrix[2, 2] += len(exact) / theta[2] ** 2
        return np.asarray(matrix)

    from scipy.optimize import minimize  # only files with capped responses wait for its import

    start = np.array([0.0, 0.0, 1.0])
    found = minimize(loss, start, jac=gradient, hess=information, method="trust-exact")
    theta = found.x
    if not found.success or theta[2] > 1e6:
        return UNDEFINED._replace(num_items=n)
    scores = design * parts(theta)[1][:, None]
    scores[~censored, 2] += 1 / theta[2]
    influence = n * np.linalg.solve(information(theta), scores.T)[1]
    # x has standard deviation 1 here; another sample of items would have another one.
    influence = influence + theta[1] * (x**2 - 1) / 2
    influence = influence / np.sqrt(1 + theta[1] ** 2)
    error = np.sqrt((influence**2).sum()) / n * np.sqrt(n / (n - 3))
    z = np.arcsinh(theta[1])
    half = -float(stdtrit(len(exact) - 2, 0.025)) * error
    bounds = float(np.tanh(z - half)), float(np.tanh(z + half))
    return Correlation(float(np.tanh(z)), bounds, n)


# -- over several tasks: the mean of correlations, and the correlation across tasks ----------------


def mean_bounds(
    entries: Sequence[TaskCosts], draws: Sequence[FloatArray], weights: FloatArray
) -> Interval:
    """Interval of one model's Fisher-z mean over tasks, for other items and, where known, people.

    Each task has draws of shape (draws,) and one of the ``weights``, which sum to 1.
    """
    sizes = [len(entry.items) for entry in entries]
    extra = participant_variance(entries, weights)
    mean = stats.fisher_mean(np.stack(draws), weights, axis=0)
    if not extra:
        return interval(mean, sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = float(np.arctanh([entry.r for entry in entries]) @ weights)
        wider = widened(np.arctanh(mean), centre, extra)
    return interval(np.tanh(wider), sizes)


def cross_task_r(tasks: Sequence[TaskCosts], seed: int) -> tuple[float, Interval]:
    """Mean r over tasks of one random item of each, after de Varda et al. 2025, and its range.

    1,000 draws, of which the range holds 95 %. That the mean is a plain one is our inference. NaN
    under three human tasks.
    """
    human = [costs for costs in tasks if costs.cost_source == "human" and costs.items]
    if len(human) < stats.MIN_TASKS_ACROSS:
        return float("nan"), NO_INTERVAL
    columns = []
    for costs in human:
        generator = task_generator(seed, costs.task, "cross-task")
        items = generator.integers(0, len(costs.items), size=1_000)
        columns.append((costs.log_cost[items], costs.log_difficulty[items]))
    r = stats.pearson_rows(*(np.column_stack(of) for of in zip(*columns, strict=True)))
    low, high = np.nanpercentile(r, [2.5, 97.5]) if np.isfinite(r).any() else (np.nan, np.nan)
    return stats.mean_of_known(r), (float(low), float(high))
