"""Kill every stage again and again at random moments, resume it, and compare its end: `make soak`.

    python benchmarks/soak.py --kills 30 --seed 1

Prints a Markdown table of what was killed where, with the number of differences from undisturbed
runs, which must be 0; ends with 1 if it is not. What is killed and compared is in tests/faults.py,
tests/fault_chains.py and tests/fault_stages.py; docs/reliability.md says how to read the table.
"""

import argparse
import functools
import os
import random
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import fault_stages
from fault_chains import Tally, soak
from faults import Stage, draw_kills, measure

# A launch of two ranks takes both cores, and is no stage of its own.
FEWER = {"grpo, completions reused": 3, "sft, two ranks": 3}
COLUMNS = (
    "stage",
    "kills",
    "by signal",
    "where they hit",
    "chains",
    "exit codes",
    "half lines",
    "incomplete checkpoints",
    "left running",
    "longest end, s",
    "differences",
)


def one_stage(stage: Stage, folder: Path, number: int, seed: int) -> Tally:
    """Measure a stage undisturbed, then kill it so often."""
    say = functools.partial(print, flush=True)
    place = folder / stage.name.replace(", ", "-").replace(" ", "-")
    place.mkdir(parents=True)
    reference = measure(stage, place / "reference")
    say(
        f"{stage.name}: undisturbed {reference.seconds:.1f} s, {reference.first_s:.1f} s of them "
        f"until the first file; seed {seed}"
    )
    rng = random.Random(f"{seed} {stage.name}")
    return soak(stage, place, draw_kills(stage, number, rng), rng, reference, say)


def cells(name: str, tally: Tally) -> list[str]:
    """One row of the table."""

    def counts(counter: dict) -> str:
        return ", ".join(f"{key} {counter[key]}" for key in sorted(counter, key=str))

    whom = f" (to {counts(tally.whom)})" if "rank" in tally.whom else ""
    return [
        name,
        str(sum(tally.kills.values())),
        counts(tally.kills) + whom,
        counts(tally.places),
        str(tally.chains),
        counts(tally.codes),
        str(tally.torn_lines),
        str(tally.incomplete_checkpoints),
        str(tally.survivors),
        f"{tally.slowest_end_s:.0f}",
        str(len(tally.faults)),
    ]


def main() -> None:
    """Prepare, kill all stages in so many threads, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, default=Path("runs/soak"))
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="some of them; default: all")
    parser.add_argument("--kills", type=int, default=30, help="of each stage, default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of all moments, default %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="stages beside each other")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A shell lets what it starts in the background ignore Ctrl-C, and all that this starts too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    out, started = arguments.output_dir.absolute(), time.monotonic()
    if out.exists() and not (out / "given").exists():
        parser.error(f"{out} is there and no earlier soak's; choose another --output_dir")
    if out.exists():
        shutil.rmtree(out)
    fault_stages.prepare(out / "given")
    known = fault_stages.stages(out / "given")
    names = arguments.stages or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no stage {unknown[0]!r}; there are {', '.join(known)}")
    numbers = {n: -(-arguments.kills // FEWER.get(n, 1)) for n in names}
    tallies: dict[str, Tally] = {}
    with ThreadPoolExecutor(arguments.workers) as pool:
        running = {
            name: pool.submit(one_stage, known[name], out, numbers[name], arguments.seed)
            for name in names
        }
        tallies = {name: future.result() for name, future in running.items()}
    print(f"\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for name, tally in tallies.items():
        print(f"| {' | '.join(cells(name, tally))} |")
    faults = [f"{name}: {fault}" for name, tally in tallies.items() for fault in tally.faults]
    print(f"\nSeed {arguments.seed}, {(time.monotonic() - started) / 60:.0f} minutes.")
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
