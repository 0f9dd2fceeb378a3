"""All benchmarks of speed, one after the other, and one table of what they found.

    make bench

Each script prints its own tables; lines that begin with ``RESULT`` are rows of the summary. A
target that is missed is a row like any other; a script that fails makes this one fail.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from measure import RESULT, Result, table

HERE = Path(__file__).parent
# Not here: coverage.py, arm_matrix.py, fsdp2_on_cpu.py and soak.py, which take half an hour each or
# measure no time; coverage_seeds.py, template_matrix.py and trace_policies.py, which measure no
# time.
SCRIPTS = (
    "startup.py",
    "intervals.py",
    "grading.py",
    "growth.py",
    "evaluation.py",
    "sft_step.py",
    "grpo_step.py",
    "along_training.py",
    "report_page.py",
)


def run(script: str) -> tuple[int, list[dict]]:
    """The exit code of a script, and its results; everything else it says is shown."""
    results = []
    started = time.monotonic()
    print(f"## {script}\n", flush=True)
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"}
    running = subprocess.Popen(
        [sys.executable, str(HERE / script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith(RESULT):
            results.append(json.loads(line.removeprefix(RESULT)))
            continue
        print(line, end="", flush=True)
        if script == "sft_step.py":
            results += imitation(line)
    code = running.wait()
    print(f"\n{script}: {time.monotonic() - started:.0f} s\n", flush=True)
    return code, results


def imitation(line: str) -> list[dict]:
    """Results in a line of the table of ``sft_step.py``; none in any other line."""
    cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    match = re.match(r"([\d.]+) \(", cells[-2]) if len(cells) == 8 else None
    if match is None:
        return []
    name, lengths = cells[0], cells[1].split(":")[0]
    least = 1.3 if lengths == "R1" else 1.0
    what = f"SFT recipe, tokens/s, {name}, lengths {lengths}"
    speed = Result(what, "stock trl", f">= {least:g}x", f"{match[1]}x", float(match[1]) >= least)
    # The tiny model's overhead is TRL's chunked loss; it is explained, not bounded.
    bounded = not name.startswith("tiny")
    met = not bounded or float(cells[-1].rstrip("%")) < 10
    target = "< 10 %" if bounded else "explained"
    own = Result(f"its own overhead, {name}, {lengths}", "a bare loop", target, cells[-1], met)
    return [asdict(speed), asdict(own)]


def main() -> None:
    """Run all scripts, then print the summary.

    Raises:
        SystemExit: a script failed, or did not find what it compares to be equal.
    """
    rows, failed = [], []
    for script in SCRIPTS:
        code, results = run(script)
        if code:
            failed.append(script)
        for found in results:
            met = "met" if found.pop("met") else "**missed**"
            rows.append([*found.values(), met])
    print("## Summary\n")
    table(("what", "against", "target", "measured", ""), rows)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
