"""What the benchmarks share: measuring in turn, and one line of result that ``all.py`` collects.

Seconds are CPU seconds wherever one process does the work: other work on the machine then counts
for little, and what it does to caches and clocks falls on both sides, which take turns.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

# Begins a line that holds a result as JSON.
RESULT = "RESULT "


@dataclass(frozen=True)
class Result:
    """One row of the summary.

    Attributes:
        what, against: what is measured, and against whom or what.
        target: as the issue of speed words it, such as ``>= 2x``.
        measured: the figure, with its unit.
        met: whether it reaches the target.
    """

    what: str
    against: str
    target: str
    measured: str
    met: bool

    def tell(self) -> None:
        """Print the line that ``all.py`` collects."""
        print(RESULT + json.dumps(asdict(self)), flush=True)


def in_turn(
    functions: Mapping[str, Callable[[], Any]],
    runs: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of every function in every run; all of them take turns."""
    spent: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(runs):
        for name, function in functions.items():
            started = clock()
            function()
            spent[name].append(clock() - started)
    return spent


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Median over runs of how many times as long the other one takes."""
    return statistics.median(t / o for t, o in zip(theirs, ours, strict=True))


class Process(NamedTuple):
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def process(arguments: Sequence[str], **options: Any) -> Process:
    """Run a process to its end.

    Raises:
        SystemExit: it failed.
    """
    options = {"stdout": subprocess.DEVNULL, **options}
    started = time.monotonic()
    running = subprocess.Popen(arguments, **options)
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {running.returncode}")
    seconds = usage.ru_utime + usage.ru_stime
    return Process(time.monotonic() - started, seconds, usage.ru_maxrss / 1024)


def lines_of(arguments: Sequence[str], **options: Any) -> list[str]:
    """What a process prints, as lines.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True, **options)
    return done.stdout.splitlines()


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table in Markdown; the first column is text, the others are numbers."""
    print("| " + " | ".join(header) + " |")
    print("|---|" + "--:|" * (len(header) - 1))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print(flush=True)
