"""Real commands that get real signals at chosen moments; Linux only, processes are found in /proc.

``fault_stages.py`` has the commands, ``fault_chains.py`` kills, resumes and compares.
"""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from embedded import ROOT, free_port

MARK = "HANDAN_FAULTS"
GRACE_S = 20.0

# Where a signal is sent: at any time, after the first file of this run was written, when a table
# has grown, when a checkpoint or a file that is replaced as a whole appears, when a checkpoint gets
# its ledger.
AIMS = {"any": 8, "work": 6, "row": 3, "save": 4, "ledger": 2}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGUSR1)


@dataclass(frozen=True)
class Stage:
    """A command, and what of its files must not depend on kills.

    Attributes:
        name: in the table.
        words: of the command after ``python``; OUT stands for the directory it writes.
        same: files that must be equal byte by byte.
        tables: files of JSON lines that must have equal rows in equal order, by name or pattern.
        record: what it is called in ``run.json``, None if it writes none.
        listens: whether it ends with 75 when it is asked to stop.
        saves: whether it writes checkpoints.
        ranks: processes of its launch.
        inside: whether it runs in the directory it writes, rather than in the project's.
    """

    name: str
    words: tuple[str, ...]
    same: tuple[str, ...]
    tables: tuple[str, ...] = ()
    record: str | None = None
    listens: bool = True
    saves: bool = False
    ranks: int = 1
    inside: bool = False

    def command(self, out: Path) -> list[str]:
        """The words of one start; a launch of several processes needs a port of its own."""
        parts = {"OUT": str(out), "PORT": str(free_port())}
        return [sys.executable, *(parts.get(word, word) for word in self.words)]

    def table_files(self, out: Path) -> list[Path]:
        """The tables that are there."""
        return sorted(path for name in self.tables for path in out.glob(name))


class Reference(NamedTuple):
    """An undisturbed run: its directory, its seconds, and those until its first file."""

    folder: Path
    seconds: float
    first_s: float


class Kill(NamedTuple):
    """A signal, its aim, a random number that says when, and who gets it."""

    number: signal.Signals
    aim: str
    share: float
    whom: str


def draw_kills(stage: Stage, number: int, rng: random.Random) -> list[Kill]:
    """So many kills of a stage, all signals and aims in fixed shares, in random order."""
    signals = [s for s in SIGNALS if stage.listens or s != signal.SIGUSR1]
    aims = [a for a, n in AIMS.items() for _ in range(n) if stage.saves or a != "ledger"]
    aims = [a for a in aims if stage.tables or a != "row"]
    whom = ["process", "group"] if stage.ranks == 1 else ["rank", "launcher", "rank", "all"]
    numbers = [signals[index % len(signals)] for index in range(number)]
    rng.shuffle(numbers)
    rng.shuffle(aims)
    kills = []
    for index, drawn in enumerate(numbers):
        aim = aims[index % len(aims)]
        # What is half saved is left only by a kill: after every other signal the save ends.
        deadly = aim == "ledger" or (aim == "save" and index % 2)
        chosen = signal.SIGKILL if deadly else drawn
        kills.append(Kill(chosen, aim, rng.random(), rng.choice(whom)))
    return kills


class Running:
    """A started command, with everything it starts."""

    def __init__(self, stage: Stage, out: Path, log: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.stage, self.out, self.token = stage, out, uuid.uuid4().hex
        self.before = files(out)
        self.started = time.monotonic()
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                stage.command(out),
                cwd=out if stage.inside else ROOT,
                env={**os.environ, MARK: self.token},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Whether the command itself has ended."""
        return self.process.poll() is not None

    def members(self, only: str = "") -> list[int]:
        """Live processes of this command; those that have ``only`` in their environment too."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                words = entry.read_bytes().split(b"\0")
                state = (entry.parent / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:  # ended meanwhile, or another user's
                continue
            named = not only or any(word.startswith(only.encode() + b"=") for word in words)
            if f"{MARK}={self.token}".encode() in words and named and state != "Z":
                found.append(int(entry.parent.name))
        return sorted(found)

    def wait_for(self, happened: Callable[[], bool], pause_s: float = 0.001) -> bool:
        """Wait; False if the command ended first."""
        while not happened():
            if self.ended():
                return False
            time.sleep(pause_s)
        return True

    def wait(self, seconds: float) -> bool:
        """Let it run for so long; False if it ended first."""
        until = time.monotonic() + seconds
        return self.wait_for(lambda: time.monotonic() >= until)

    def wait_for_moment(self, kill: Kill, reference: Reference) -> bool:
        """Wait for the moment of a kill; False if the command ended first."""
        if kill.aim == "any":
            return self.wait(kill.share * reference.seconds)
        if kill.aim == "work":
            rest_s = reference.seconds - reference.first_s
            return self.wait_for(self.has_written) and self.wait(kill.share * rest_s)
        looks = {"row": self._rows, "save": self._saves, "ledger": self._ledgers}
        for _ in range(1 + int(4 * kill.share)):
            if not self._wait_for_new(looks[kill.aim]):
                return False
        # A save takes some hundredths of a second.
        return kill.aim != "save" or self.wait(kill.share % 0.25 / 4)

    def _wait_for_new(self, look: Callable[[], set]) -> bool:
        seen = look()
        return self.wait_for(lambda: bool(look() - seen))

    def has_written(self) -> bool:
        """Whether this run has changed a file."""
        return files(self.out) != self.before

    def _rows(self) -> set:
        sizes = {(path, path.stat().st_size) for path in self.stage.table_files(self.out)}
        return {(path, size) for path, size in sizes if size}

    def _saves(self) -> set:
        # A file that was replaced has another inode, even if its partial one was never seen.
        names = ("checkpoint-*", "*.partial", "*/*.partial", "*.json", "*/*.json")
        return {(path, inode(path)) for name in names for path in self.out.glob(name)}

    def _ledgers(self) -> set:
        return {(path, inode(path)) for path in self.out.glob("checkpoint-*/ledger.json")}

    def strike(self, kill: Kill) -> None:
        """Send the signal to whom it is meant for; to the command itself if there are no ranks."""
        if kill.whom == "group":
            os.killpg(self.process.pid, kill.number)
            return
        chosen = [self.process.pid]
        if kill.whom == "all":
            chosen = self.members()
        elif kill.whom == "rank" and (ranks := self.members("LOCAL_RANK")):
            chosen = [ranks[int(kill.share * 1000) % len(ranks)]]
        for pid in chosen:
            try:
                os.kill(pid, kill.number)
            except ProcessLookupError:  # one of a launch, which ends the others
                continue

    def wait_for_end(self, limit_s: float) -> tuple[float, int]:
        """Wait until the whole command has ended, and end what is left then.

        What a killed launcher has started may go on to its own end.

        Returns:
            Seconds until all of it had ended, and how many processes were left.
        """
        started = time.monotonic()
        while not self.ended() and time.monotonic() < started + limit_s:
            time.sleep(0.02)
        seconds = time.monotonic() - started
        until = max(time.monotonic() + GRACE_S, started + limit_s * (self.stage.ranks > 1))
        while (left := self.members()) and time.monotonic() < until:
            time.sleep(0.05)
            seconds = time.monotonic() - started
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        return seconds, len(left)


def inode(path: Path) -> int:
    """Number of a file on its disk, 0 if it is gone."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and size of every file of a directory, but the lock."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            try:
                status = os.stat(path)
            except FileNotFoundError:  # a partial file that was renamed meanwhile
                continue
            if name != ".lock":
                found[path] = (status.st_mtime_ns, status.st_size)
    return found


def measure(stage: Stage, folder: Path) -> Reference:
    """Run a stage undisturbed."""
    running = Running(stage, folder, folder.with_suffix(".log"))
    running.wait_for(running.has_written)
    first_s = time.monotonic() - running.started
    code = running.process.wait()
    seconds = time.monotonic() - running.started
    if code != 0:
        text = folder.with_suffix(".log").read_text(errors="replace")
        raise RuntimeError(f"{stage.name}: the undisturbed run ended with {code}\n{text[-3000:]}")
    return Reference(folder, seconds, first_s)
