"""All benchmarks of speed, one after the other, and one table of what they found.

    make bench

Each script prints its own tables; lines that begin with ``RESULT`` are rows of the summary. A
target that is missed is a row like any other; a script that fails makes this one fail.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from measure import RESULT, table

HERE = Path(__file__).parent
# Not here: coverage.py, arm_matrix.py, fsdp2_on_cpu.py and soak.py, which take half an hour each or
# measure no time; template_matrix.py and trace_policies.py, which measure no time.
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
        else:
            print(line, end="", flush=True)
    code = running.wait()
    print(f"\n{script}: {time.monotonic() - started:.0f} s\n", flush=True)
    return code, results


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
