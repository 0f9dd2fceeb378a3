"""How soon ``handan`` answers: whole processes, as a user starts them.

    python benchmarks/startup.py

``handan --help`` against ``trl --help``, in turn; ``handan align`` of 10,000 rows (5 models, 2
tasks of 200 items, 5 samples) and of 49,000 rows (14 models, 7 tasks of 100 items, 5 samples, all
contrasts and fits with one model), 10,000 draws, CSV in and JSON out.
"""

import argparse
import csv
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import Process, Result, process, ratio, table

COLUMNS = "model,task,item,sample,reasoning_tokens,human_rt_s,correct,status,prompt_tokens"
SAMPLES = 5


def write_costs(path: Path, models: int, tasks: int, items: int, samples: int = SAMPLES) -> None:
    """A costs.csv of this size, with capped responses, accuracy and lengths of prompts."""
    generator = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(COLUMNS.split(","))
        for task in range(tasks):
            log_time = generator.normal(size=items)
            for model in range(models):
                r = 0.2 + 0.7 * model / models
                own = generator.normal(size=items)
                log_cost = 6 + 0.6 * (r * log_time + np.sqrt(1 - r**2) * own)
                for item in range(items):
                    for sample in range(samples):
                        tokens = int(np.exp(log_cost[item] + 0.3 * generator.normal())) + 1
                        status = "truncated" if tokens > 2000 else "complete"
                        time_s = f"{np.exp(1 + 0.4 * log_time[item]):.4f}"
                        right = generator.random() < 0.8
                        name, of_item = f"model-{model}", f"item-{item}"
                        row = [name, f"task-{task}", of_item, sample, tokens, time_s, right, status]
                        write([*row, 20 + item % 9])


def _row(name: str, found: list[Process]) -> list[str]:
    wall, seconds, peak = (statistics.median(values) for values in zip(*found, strict=True))
    return [name, f"{wall:.2f}", f"{seconds:.2f}", f"{peak:.0f}"]


def main() -> None:
    """Time all commands, print one table and the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    own = [sys.executable, "-m", "handan"]
    trl = shutil.which("trl", path=str(Path(sys.executable).parent))
    if trl is None:
        raise SystemExit("no trl beside this interpreter; run make setup")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.csv", Path(folder) / "large.csv"
        write_costs(small, models=5, tasks=2, items=200)
        write_costs(large, models=14, tasks=7, items=100)
        output = ["--output", str(Path(folder) / "out.json")]
        commands = {
            "handan --help": [*own, "--help"],
            "trl --help": [trl, "--help"],
            "handan align, 10,000 rows": [*own, "align", str(small), *output],
        }
        whole = [*own, "align", str(large), "--reference", "model-0", *output]
        for command in commands.values():
            process(command)  # files are then in memory, bytecode on disk
        found: dict[str, list[Process]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                found[name].append(process(command))
        found["handan align, 49,000 rows, 14 models, one reference"] = [
            process(whole) for _ in range(2)
        ]
    table(("command", "wall s", "CPU s", "peak MB"), [_row(name, of) for name, of in found.items()])
    helps, theirs, rows = (found[name] for name in commands)
    share = 1 / ratio([of.cpu_s for of in theirs], [of.cpu_s for of in helps])
    Result("handan --help", "trl --help", "<= 0.6x", f"{share:.2f}x", share <= 0.6).tell()
    wall, seconds = (statistics.median(values) for values in list(zip(*rows, strict=True))[:2])
    measured = f"{wall:.2f} s (CPU {seconds:.2f} s)"
    Result("handan align, 10,000 rows", "the clock", "< 1 s", measured, wall < 1).tell()


if __name__ == "__main__":
    main()
