"""Bootstrap intervals of 14 models on one task of 700 items against ``scipy.stats.bootstrap``.

    python benchmarks/intervals.py

10,000 draws each. Two statistics are given to scipy: its own ``pearsonr``, as its documentation
shows, and the arithmetic of this project on whole arrays; both also in batches of 100, which keeps
them in the processor's cache and is scipy at its best. Then two checks that the intervals are the
same: every draw against rows repeated by the same weights, and, with the resamples that scipy drew,
its own interval against ours.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from measure import Result, in_turn, ratio, table
from numpy.typing import NDArray

from handan.alignment.bootstrap import Bootstrap, interval
from handan.alignment.correlation import pearson_rows

MODELS, ITEMS, DRAWS = 14, 700, 10_000
NAMES = tuple(f"item-{item}" for item in range(ITEMS))
TOLERANCE = 1e-6
Statistic = Callable[..., NDArray[np.float64]]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Log costs of all models (items, models), and log response times (items,)."""
    generator = np.random.default_rng(0)
    times = generator.normal(size=ITEMS)
    return 0.4 * times[:, None] + generator.normal(size=(ITEMS, MODELS)), times


def whole_arrays(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """r over an axis by this project's function, faster than scipy's."""
    return pearson_rows(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1))


def pearsonr(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """r over an axis by scipy's function."""
    return scipy.stats.pearsonr(a, b, axis=axis).statistic


def by_scipy(x: np.ndarray, y: np.ndarray, statistic: Statistic, batch: int | None) -> list:
    """Percentile intervals of all models; equal generators make the draws those of a pair."""
    found = []
    for column in x.T:
        result = scipy.stats.bootstrap(
            (column, y),
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            batch=batch,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        found.append(result.confidence_interval)
    return found


def draws_of(x: np.ndarray, y: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    """Correlations in every draw, shape (draws, models)."""
    return bootstrap.correlations("task", NAMES, x, np.repeat(y[:, None], MODELS, axis=1))


def here(x: np.ndarray, y: np.ndarray) -> list:
    """The same from nothing here: weights, correlations, intervals."""
    return [interval(column, [ITEMS]) for column in draws_of(x, y, Bootstrap(DRAWS, 0)).T]


class Given(Bootstrap):
    """A bootstrap whose weights come from elsewhere."""

    given: NDArray[np.uint8]

    def weights(self, task: str, items: Sequence[str]) -> NDArray[np.uint8]:
        return self.given


def error_of_draws(x: np.ndarray, y: np.ndarray) -> float:
    """Largest difference of a draw from ``corrcoef`` of rows repeated by the same weights."""
    bootstrap = Bootstrap(DRAWS, 0)
    drawn, weights = draws_of(x, y, bootstrap), bootstrap.weights("task", NAMES)
    both = np.column_stack([x, y])
    worst = 0.0
    for draw in range(DRAWS):
        rows = np.repeat(both, weights[:, draw], axis=0)
        known = np.corrcoef(rows, rowvar=False)[-1, :-1]
        worst = max(worst, float(np.abs(known - drawn[draw]).max()))
    return worst


def error_of_intervals(x: np.ndarray, y: np.ndarray) -> float:
    """Largest difference of scipy's bounds from ours on the very resamples that scipy drew."""
    drawn: list[np.ndarray] = []

    def statistic(a: np.ndarray, b: np.ndarray, item: np.ndarray, axis: int) -> np.ndarray:
        if item.ndim == 2:
            drawn.extend(np.bincount(row, minlength=ITEMS) for row in item)
        return whole_arrays(a, b, axis)

    worst = 0.0
    for model, column in enumerate(x.T):
        drawn.clear()
        bounds = scipy.stats.bootstrap(
            (column, y, np.arange(ITEMS)),
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            method="percentile",
            rng=np.random.default_rng(model),
        ).confidence_interval
        bootstrap = Given(DRAWS, 0)
        bootstrap.given = np.array(drawn, dtype=np.uint8).T.copy()
        ours = np.percentile(draws_of(x, y, bootstrap)[:, model], [2.5, 97.5])
        worst = max(worst, float(np.abs(np.array(bounds) - ours).max()))
    return worst


def peak_gflops() -> float:
    """Billions of operations a second that a product of large matrices reaches here."""
    matrix = np.random.default_rng(0).normal(size=(1500, 1500))
    spent = in_turn({"product": lambda: matrix @ matrix}, 3)["product"]
    return 2 * 1500**3 / min(spent) / 1e9


def bounds(x: np.ndarray, y: np.ndarray) -> None:
    """Where the time goes, and the least that the products could take."""
    started = time.process_time()
    bootstrap = Bootstrap(DRAWS, 0)
    bootstrap.weights("task", NAMES)
    drawn = time.process_time()
    found = draws_of(x, y, bootstrap)
    correlated = time.process_time()
    for column in found.T:
        interval(column, [ITEMS])
    done = time.process_time()
    columns = 1 + 3 * MODELS + 2  # ones; x, xx and xy of each model; y and yy
    least = 2 * DRAWS * ITEMS * columns / peak_gflops() / 1e9
    rows = [
        ("drawing weights", f"{drawn - started:.3f}"),
        ("correlations", f"{correlated - drawn:.3f}"),
        ("of them products at the speed of large ones", f"{least:.3f}"),
        ("percentiles", f"{done - correlated:.3f}"),
    ]
    table(("part of an interval here", "CPU s"), rows)


def main() -> None:
    """Time all, check both, print tables and results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    x, y = data()
    theirs = {
        "scipy, pearsonr": lambda: by_scipy(x, y, pearsonr, None),
        "scipy, pearsonr, batches of 100": lambda: by_scipy(x, y, pearsonr, 100),
        "scipy, whole arrays": lambda: by_scipy(x, y, whole_arrays, None),
        "scipy, whole arrays, batches of 100": lambda: by_scipy(x, y, whole_arrays, 100),
    }
    spent = in_turn({"handan": lambda: here(x, y), **theirs}, runs)
    times = {name: ratio(spent[name], spent["handan"]) for name in spent}
    rows = [
        (name, f"{statistics.median(seconds):.2f}", f"{times[name]:.1f}")
        for name, seconds in spent.items()
    ]
    table((f"{MODELS} intervals, {ITEMS} items, {DRAWS} draws", "CPU s", "times handan's"), rows)
    bounds(x, y)
    errors = error_of_draws(x, y), error_of_intervals(x, y)
    equal = max(errors) <= TOLERANCE
    print(f"largest difference of a draw from repeated rows: {errors[0]:.1e}")
    print(f"largest difference of an interval from scipy's on its draws: {errors[1]:.1e}\n")
    what = "paired bootstrap, 14 models, 700 items, 10,000 draws"
    for against in ("scipy, pearsonr", "scipy, whole arrays"):
        measured = f"{times[against]:.1f}x"
        Result(what, against, ">= 20x", measured, times[against] >= 20).tell()
    Result(
        "its draws and intervals", "scipy's", "equal to 1e-6", f"{max(errors):.0e}", equal
    ).tell()
    if not equal:
        raise SystemExit("the intervals differ")


if __name__ == "__main__":
    main()
