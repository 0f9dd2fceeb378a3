"""Chains of kills: run, kill, run again, kill, until a command ends by itself; then compare.

Its files must be those of an undisturbed run, but for times and memory. What counts as complete is
asked of handan, and never decided here.
"""

import random
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults import Kill, Reference, Running, Stage
from saved import complete_checkpoints

from handan.files import file_hash, read_json, read_jsonl
from handan.stopping import STOPPED

TIMES = re.compile(r"(seconds|probe_share|step_time|memory_gib)$")
FACTS = ("budget", "counts", "steps", "finished", "audit")
PARTIAL = ".partial"
# A run that is waited for so much longer than it takes undisturbed hangs.
PATIENCE = 10
LEAST_PATIENCE_S = 120.0


@dataclass
class Tally:
    """What happened in the chains of one stage."""

    kills: Counter = field(default_factory=Counter)
    places: Counter = field(default_factory=Counter)
    codes: Counter = field(default_factory=Counter)
    whom: Counter = field(default_factory=Counter)
    chains: int = 0
    torn_lines: int = 0
    incomplete_checkpoints: int = 0
    survivors: int = 0
    slowest_end_s: float = 0.0
    faults: list[str] = field(default_factory=list)


def soak(
    stage: Stage,
    folder: Path,
    kills: list[Kill],
    rng: random.Random,
    reference: Reference,
    say: Callable[[str], None] = print,
) -> Tally:
    """Spend all kills on chains of a stage.

    Args:
        stage: what is run.
        folder: receives a directory and a log a chain; those of chains without a fault are removed.
        kills: in order.
        rng: draws another moment for a kill that came too late.
        reference: the undisturbed run.
        say: shows progress.
    """
    tally, todo = Tally(), list(kills)
    starts, most = 0, 10 * len(kills) + 10
    while todo:
        tally.chains += 1
        out, log = folder / f"chain-{tally.chains}", folder / f"chain-{tally.chains}.log"
        faults_before = len(tally.faults)
        going = True
        while going and len(tally.faults) == faults_before:
            starts += 1
            if starts > most:
                raise RuntimeError(f"{stage.name}: {most} starts did not use up the kills")
            kill = todo[0] if todo else None
            struck = one_start(stage, out, log, kill, reference, tally, rng, say)
            if struck:
                todo.pop(0)
            elif kill is not None:
                todo[0] = kill._replace(aim="work", share=rng.random())
            going = struck
        if len(tally.faults) == faults_before:
            found = differences(stage, out, reference.folder)
            tally.faults += [f"chain {tally.chains}: {sentence}" for sentence in found]
        if len(tally.faults) == faults_before:
            shutil.rmtree(out)
            log.unlink()
        for fault in tally.faults[faults_before:]:
            say(f"{stage.name}: FAULT {fault}")
    return tally


def one_start(
    stage: Stage,
    out: Path,
    log: Path,
    kill: Kill | None,
    reference: Reference,
    tally: Tally,
    rng: random.Random,
    say: Callable[[str], None],
) -> bool:
    """Start the command, kill it or not, and note what became of it; whether it was killed."""
    limit_s = max(LEAST_PATIENCE_S, PATIENCE * reference.seconds)
    before = unfinished(out)
    running = Running(stage, out, log)
    struck = kill is not None and running.wait_for_moment(kill, reference)
    if kill is not None and struck:
        place = "before the first write" if not running.has_written() else None
        running.strike(kill)
    after_s, left = running.wait_for_end(limit_s)
    code = running.process.returncode
    tally.survivors += left
    if left:
        tally.faults.append(f"chain {tally.chains}: {left} processes went on after {kill}")
    if kill is None or not struck:
        if code != 0:
            tally.faults.append(f"chain {tally.chains}: ended by itself with exit code {code}")
        return False
    begun = unfinished(out) - before
    more = {path for path in begun if path.suffix != PARTIAL}
    place = place or where(stage, out, reference, bool(begun))
    torn = torn_tables(stage, out)
    if kill.number == signal.SIGKILL and not torn and rng.random() < 1 / 3:
        torn = tear(stage, out)
    tally.incomplete_checkpoints += len(more)
    tally.torn_lines += len(torn)
    tally.kills[kill.number.name] += 1
    tally.whom[kill.whom] += 1
    tally.places[place] += 1
    tally.codes[code] += 1
    tally.slowest_end_s = max(tally.slowest_end_s, after_s)
    number = sum(tally.kills.values())
    say(
        f"{stage.name}: kill {number}, chain {tally.chains}: {kill.number.name} to {kill.whom}, "
        f"aim {kill.aim} {kill.share:.3f}, {place}; exit code {code} after {after_s:.1f} s"
        + (f", half a line in {torn[0].name}" if torn else "")
        + (f", incomplete {', '.join(path.name for path in more)}" if more else "")
    )
    if stage.ranks == 1 and code not in allowed_codes(stage, kill, place):
        tally.faults.append(f"chain {tally.chains}: exit code {code} after {kill}, {place}")
    return True


def allowed_codes(stage: Stage, kill: Kill, place: str) -> set[int]:
    """Exit codes with which a lone process may answer a signal; 0 if it had just ended."""
    plain = -int(kill.number)
    if kill.number == signal.SIGKILL:
        return {plain, 0}
    documented = 130 if kill.number == signal.SIGINT else STOPPED if stage.listens else plain
    if place == "at the end":  # an interpreter that ends dies of the signal itself
        return {documented, 0, plain}
    if place != "before the first write":
        return {documented, 0}
    # A script that still imports dies of the signal itself, and at its very start Python with 1.
    return {documented, 0, plain} | ({1} if kill.number == signal.SIGINT else set())


def unfinished(out: Path) -> set[Path]:
    """Checkpoints that handan does not go on from, and files that were to replace others."""
    incomplete = set(out.glob("checkpoint-*")) - set(complete_checkpoints(out).values())
    return incomplete | set(out.rglob(f"*{PARTIAL}"))


def where(stage: Stage, out: Path, reference: Reference, half_saved: bool) -> str:
    """Where in the life of a run a kill has hit that came after the first write."""
    if half_saved:
        return "during a save"
    rows = [
        sum(len(p.read_bytes().splitlines()) for p in stage.table_files(f))
        for f in (out, reference.folder)
    ]
    results = all((out / name).exists() for name in stage.same)
    return "at the end" if results or (stage.tables and rows[0] >= rows[1]) else "between"


def torn_tables(stage: Stage, out: Path) -> list[Path]:
    """Tables whose last line is cut off."""
    return [p for p in stage.table_files(out) if p.stat().st_size and p.read_bytes()[-1:] != b"\n"]


def tear(stage: Stage, out: Path) -> list[Path]:
    """Leave half a line behind the table that was written last, as a kill within a write does.

    A single write is too short to be hit. Nothing is torn that is never written again.
    """
    record = out / "run.json"
    if record.exists() and read_json(record).get("training", {}).get("finished"):
        return []
    tables = [p for p in stage.table_files(out) if not (p.parent / "alignment.json").exists()]
    tables = [path for path in tables if path.stat().st_size]
    if not tables:
        return []
    path = max(tables, key=lambda path: path.stat().st_mtime_ns)
    last = path.read_bytes().splitlines()[-1]
    with open(path, "ab") as file:
        file.write(last[: len(last) // 2])
    return [path]


def timeless(value: object) -> object:
    """The same without times and memory, at any depth."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not TIMES.search(k)}
    return value


def rows_of(path: Path) -> list[dict]:
    """Rows of a table without times; the trainer's summary of one process's work is none."""
    return [timeless(row) for row in read_jsonl(path) if "train_runtime" not in row]


def differences(stage: Stage, out: Path, reference: Path) -> list[str]:
    """What of a finished run is not as in the undisturbed one, in sentences."""
    found = []
    for name in stage.same:
        if not (out / name).exists():
            found.append(f"{name} is missing")
        elif file_hash(out / name) != file_hash(reference / name):
            found.append(f"{name} has other bytes")
    ours, theirs = (
        {path.relative_to(folder): rows_of(path) for path in stage.table_files(folder)}
        for folder in (out, reference)
    )
    found += [f"{name}: only one run has it" for name in ours.keys() ^ theirs.keys()]
    for name in ours.keys() & theirs.keys():
        if ours[name] != theirs[name]:
            found.append(f"{name}: {first_difference(ours[name], theirs[name])}")
    if stage.record:
        here, there = (read_json(f / "run.json")[stage.record] for f in (out, reference))
        for fact in FACTS:
            if timeless(here.get(fact)) != timeless(there.get(fact)):
                found.append(f"run.json: {fact} is {here.get(fact)}, not {there.get(fact)}")
    found += [f"{path.name} is left behind" for path in out.rglob(f"*{PARTIAL}")]
    return found


def first_difference(ours: list[dict], theirs: list[dict]) -> str:
    """Where two tables part."""
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if keys := [key for key in one | other if one.get(key) != other.get(key)]:
            shown = f"{one.get(keys[0])!r}, not {other.get(keys[0])!r}"
            return f"{len(ours)} rows, not {len(theirs)}; row {number}, {keys}: {shown}"[:600]
    return f"{len(ours)} rows, not {len(theirs)}"
