"""`handan align` as a user runs it, and its intervals against scipy's bootstrap.

    python benchmarks/align_speed.py

First the whole command, as processes: 14 models on 7 tasks of 100 items with 5 samples each,
10,000 draws, all contrasts and fits with one model, CSV in and JSON out; and `handan --help`. Then
98 intervals of a correlation, one for each model and task, in turn by `scipy.stats.bootstrap` and
here.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.stats

from handan.alignment.statistics.basic import pearson_rows
from handan.alignment.statistics.bootstrap import Bootstrap
from handan.alignment.statistics.intervals import interval

COLUMNS = "model,task,item,sample,reasoning_tokens,human_rt_s,correct,status,prompt_tokens"
MODELS, TASKS, ITEMS, SAMPLES, DRAWS = 14, 7, 100, 5, 10_000


def write_costs(path: Path) -> None:
    """A costs.csv of this size, with capped responses, accuracy and lengths of prompts."""
    generator = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(COLUMNS.split(","))
        for task in range(TASKS):
            log_time = generator.normal(size=ITEMS)
            for model in range(MODELS):
                r = 0.2 + 0.05 * model
                own = generator.normal(size=ITEMS)
                log_cost = 6 + 0.6 * (r * log_time + np.sqrt(1 - r**2) * own)
                for item in range(ITEMS):
                    for sample in range(SAMPLES):
                        tokens = int(np.exp(log_cost[item] + 0.3 * generator.normal())) + 1
                        status = "truncated" if tokens > 2000 else "complete"
                        time_s = f"{np.exp(1 + 0.4 * log_time[item]):.4f}"
                        right = generator.random() < 0.8
                        name, of_item = f"model-{model}", f"item-{item}"
                        row = [name, f"task-{task}", of_item, sample, tokens, time_s, right, status]
                        write([*row, 20 + item % 9])


def timed(arguments: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident MB of one process."""
    started = time.monotonic()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def scipy_intervals(x: np.ndarray, y: np.ndarray) -> None:
    """98 percentile intervals by scipy, vectorised over draws."""
    for column in range(x.shape[1]):
        scipy.stats.bootstrap(
            (x[:, column], y[:, column]),
            lambda a, b, axis: pearson_rows(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1)),
            paired=True,
            vectorized=True,
            n_resamples=DRAWS,
            method="percentile",
            rng=np.random.default_rng(column),
        )


def own_intervals(x: np.ndarray, y: np.ndarray) -> None:
    """The same here: all models of a task share its draws."""
    bootstrap = Bootstrap(DRAWS, seed=0)
    items = tuple(f"item-{item}" for item in range(ITEMS))
    for task in range(TASKS):
        some = slice(task * MODELS, (task + 1) * MODELS)
        draws = bootstrap.correlations(f"task-{task}", items, x[:, some], y[:, some])
        for column in draws.T:
            interval(column, [ITEMS])


def main() -> None:
    """Time both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    command = [sys.executable, "-m", "handan"]
    with tempfile.TemporaryDirectory() as folder:
        costs = Path(folder) / "costs.csv"
        write_costs(costs)
        more = ["--reference", "model-0", "--output", str(Path(folder) / "out.json")]
        whole = [timed([*command, "align", str(costs), *more]) for _ in range(runs)]
        helps = [timed([*command, "--help"]) for _ in range(runs)]
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(2, ITEMS, MODELS * TASKS))
    spent: dict[str, list[float]] = {"scipy": [], "handan": []}
    for _ in range(runs):
        for name, function in (("scipy", scipy_intervals), ("handan", own_intervals)):
            started = time.process_time()
            function(x, y)
            spent[name].append(time.process_time() - started)
    ratio = statistics.median(
        theirs / ours for theirs, ours in zip(spent["scipy"], spent["handan"], strict=True)
    )
    print("| | median |\n|---|--:|")
    print(f"| handan align, wall s | {statistics.median(wall for wall, _ in whole):.1f} |")
    print(f"| handan align, peak MB | {max(memory for _, memory in whole):.0f} |")
    print(f"| handan --help, wall s | {statistics.median(wall for wall, _ in helps):.2f} |")
    for name, seconds in spent.items():
        print(f"| 98 intervals by {name}, CPU s | {statistics.median(seconds):.2f} |")
    print(f"| ratio | {ratio:.1f} |")


if __name__ == "__main__":
    main()
