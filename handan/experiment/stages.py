"""Running the commands of an experiment, several at a time, each one a command a user could type.

Whatever is finished is not run again, and what was cut off goes on, because every script does.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handan import rundir
from handan.durable import append_text, make_directory
from handan.errors import UserError
from handan.experiment.marks import Durations, Stage, identities, mark_failed, mark_finished
from handan.experiment.warm import Fork, Server, can_fork
from handan.stopping import SIGNALS, STOPPED

# Lines of a stage that are shown while it runs; everything else is in its log.
SHOWN = (": step ", " responses, ", "error:", ": kept", ": saved")


@dataclass(frozen=True)
class _Running:
    """A stage that runs, and the thread that keeps what it prints."""

    stage: Stage
    process: subprocess.Popen | Fork
    listener: threading.Thread
    since: float = field(default_factory=time.monotonic)


def run(
    stages: Sequence[Stage],
    chosen: Sequence[str],
    done: set[str],
    logs: Path,
    parallel: int,
    keep_going: bool = False,
) -> None:
    """Run stages as soon as what they need is done, the first ones first.

    Args:
        stages: all of the experiment.
        chosen: names of those to be run.
        done: names of those that are finished already; grows.
        logs: folder of logs and marks.
        parallel: how many run at the same time.
        keep_going: run everything that does not need a stage that failed, before telling so.

    Raises:
        UserError: a stage failed; the others were asked to stop, or have run if ``keep_going``.
        SystemExit: this process was asked to stop, and so were the stages.
    """
    identity = identities(stages)
    make_directory(logs)
    durations = Durations(stages, done, logs)
    started = time.monotonic()
    waiting = [stage for stage in stages if stage.name in chosen and stage.name not in done]
    failed: list[str] = []
    left_out: list[str] = []
    running: dict[str, _Running] = {}
    with _stop_requests() as asked, _server(waiting) as server, _ended_with_us(running):
        while waiting or running:
            for stage in list(waiting):
                if len(running) < parallel and done >= set(stage.needs):
                    say(started, f"{stage.name}: {shlex.join(stage.command())}")
                    waiting.remove(stage)
                    running[stage.name] = _start(stage, logs, started, server)
            time.sleep(0.2)
            if asked:
                say(started, f"asked to stop by {asked[0].name}; run the command again to go on")
                raise SystemExit(STOPPED)
            for name, one in list(running.items()):
                code = one.process.poll()
                if code is None:
                    continue
                del running[name]
                if code != 0:
                    one.listener.join(timeout=5)  # what it started may still hold the pipe
                    last = mark_failed(one.stage, code, logs)
                    where = f"{name} failed; its last words are in {logs}/{name}.log"
                    if not keep_going:
                        raise UserError(where)
                    say(started, f"{where}: {last}")
                    failed.append(name)
                    left_out += _leave_out(waiting, {*failed, *left_out}, started)
                    continue
                seconds = time.monotonic() - one.since
                mark_finished(one.stage, identity[name], seconds, logs)
                done.add(name)
                durations.add(one.stage, seconds)
                left = durations.left([*waiting, *(r.stage for r in running.values())], parallel)
                say(started, f"{name}: finished, {len(done)} of {len(stages)}{left}")
    if failed:
        others = f"; left out, as they need these: {', '.join(left_out)}" if left_out else ""
        raise UserError(f"failed: {', '.join(failed)} (see {logs}/STAGE.log){others}")


def _leave_out(waiting: list[Stage], missing: set[str], started: float) -> list[str]:
    """Take out what needs a missing stage, and what needs that; stages come after their needs."""
    names = []
    for stage in list(waiting):
        if lacking := sorted(missing & set(stage.needs)):
            waiting.remove(stage)
            missing.add(stage.name)
            names.append(stage.name)
            say(started, f"{stage.name}: not run, it waits for {' and '.join(lacking)}")
    return names


def say(started: float, text: str) -> None:
    """Print a line with the seconds since ``started``."""
    print(f"[{time.monotonic() - started:4.0f} s] {text}", flush=True)


@contextlib.contextmanager
def _stop_requests() -> Iterator[list[signal.Signals]]:
    """A list that holds the signals to stop which have come."""
    asked: list[signal.Signals] = []
    before = {
        number: signal.signal(number, lambda got, _: asked.append(signal.Signals(got)))
        for number in SIGNALS
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _ended_with_us(running: dict[str, _Running]) -> Iterator[None]:
    """Stop what still runs at the end, trainings after they have saved a checkpoint."""
    try:
        yield
    finally:
        try:
            for one in running.values():
                _stop(one.stage, one.process)
        except KeyboardInterrupt:  # a second one: no more patience
            for one in running.values():
                os.killpg(one.process.pid, signal.SIGKILL)


def _stop(stage: Stage, process: subprocess.Popen | Fork) -> None:
    while process.poll() is None:
        # A training is asked itself, by its first process: a launcher would not let it save.
        trains = rundir.lock_holder(stage.output_dir) if stage.kind == "training" else None
        with contextlib.suppress(ProcessLookupError):
            if trains is not None:
                os.kill(trains, signal.SIGUSR1)
            else:
                os.killpg(process.pid, signal.SIGTERM)  # the launcher and the script it started
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)


def _environment() -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1", **os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"}


def _forks(stage: Stage) -> bool:
    return stage.accelerate_config is None and can_fork(stage.script)


@contextlib.contextmanager
def _server(waiting: Sequence[Stage]) -> Iterator[Server | None]:
    """What forks for plain scripts, if there are several of them."""
    if sum(map(_forks, waiting)) < 2:
        yield None
        return
    server = Server(_environment())
    try:
        yield server
    finally:
        server.close()


def _start(stage: Stage, logs: Path, started: float, server: Server | None) -> _Running:
    process: subprocess.Popen | Fork
    if server is not None and server.process.poll() is None and _forks(stage):
        process = Fork(server, stage.argv()[1:])
    else:
        process = subprocess.Popen(
            stage.argv(),
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    words = (process, stage, logs, started)
    listener = threading.Thread(target=_follow, args=words, daemon=True)
    listener.start()
    return _Running(stage, process, listener)


def _follow(process: subprocess.Popen | Fork, stage: Stage, logs: Path, started: float) -> None:
    """Keep everything a stage prints, and show its progress lines."""
    assert process.stdout is not None
    log, kept = logs / f"{stage.name}.log", True
    for line in process.stdout:
        if kept:
            try:
                append_text(log, line)
            except UserError as error:  # read on, or the stage would wait for ever to be heard
                kept = False
                say(started, f"{stage.name}: {error}; its further words are lost")
        if any(sign in line for sign in SHOWN):
            say(started, f"{stage.name}: {line.strip()}")
