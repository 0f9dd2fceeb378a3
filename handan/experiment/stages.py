"""Running the commands of an experiment, several at a time, each one a command a user could type.

Whatever is finished is not run again, and what was cut off goes on, because every script does.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handan import rundir
from handan.durable import append_text, make_directory
from handan.errors import UserError
from handan.records import content_hash, read_json, write_json
from handan.stopping import SIGNALS, STOPPED

# Lines of a stage that are shown while it runs; everything else is in its log.
SHOWN = (": step ", " responses, ", "error:", ": kept", ": saved")
# What each kind of stage adds to its part of run.json at its very end.
LAST = {
    "training": "finished",
    "traces": "traces_sha256",
    "evaluation": "generations_sha256",
}


@dataclass(frozen=True)
class Stage:
    """One command of an experiment.

    Attributes:
        name: of its log and of its mark of completion.
        kind: what it adds to run.json: training, traces or evaluation.
        script: what is run.
        arguments: of the script.
        output_dir: the run directory it writes.
        accelerate_config: of its launch; None starts the script as one plain process.
        needs: stages that must be finished before.
    """

    name: str
    kind: str
    script: str
    arguments: tuple[str, ...]
    output_dir: Path
    accelerate_config: str | None = None
    needs: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The command as a user would type it."""
        if self.accelerate_config is None:
            return ["python", self.script, *self.arguments]
        launch = ["accelerate", "launch", "--config_file", self.accelerate_config]
        return [*launch, self.script, *self.arguments]

    def argv(self) -> list[str]:
        """The same command for this interpreter."""
        words = self.command()
        if words[0] == "python":
            return [sys.executable, *words[1:]]
        return [sys.executable, "-m", "accelerate.commands.launch", "--quiet", *words[2:]]


def identities(stages: Sequence[Stage]) -> dict[str, dict]:
    """What each stage is: its command, its settings files, and the stages it builds on."""
    found: dict[str, dict] = {}
    for stage in stages:
        files = [word for word in stage.command() if word.endswith(".yaml")]
        texts = [Path(name).read_text(encoding="utf-8") for name in files]
        found[stage.name] = {
            "command": shlex.join(stage.command()),
            "settings": content_hash(texts),
            "needs": content_hash([found[name] for name in stage.needs]),
        }
    return found


def finished(stages: Sequence[Stage], logs: Path) -> set[str]:
    """Names of the stages that ended well, with this command, and whose results are still there."""
    wanted = identities(stages)
    return {stage.name for stage in stages if _is_finished(stage, wanted[stage.name], logs)}


def _is_finished(stage: Stage, identity: dict, logs: Path) -> bool:
    mark, run = logs / f"{stage.name}.done.json", stage.output_dir / "run.json"
    if not (mark.exists() and run.exists()) or read_json(mark) != identity:
        return False
    return LAST[stage.kind] in read_json(run).get(stage.kind, {})


def run(
    stages: Sequence[Stage], chosen: Sequence[str], done: set[str], logs: Path, parallel: int
) -> None:
    """Run stages as soon as what they need is done, the first ones first.

    Args:
        stages: all of the experiment.
        chosen: names of those to be run.
        done: names of those that are finished already; grows.
        logs: folder of logs and marks.
        parallel: how many run at the same time.

    Raises:
        UserError: a stage failed; the others were asked to stop.
        SystemExit: this process was asked to stop, and so were the stages.
    """
    identity = identities(stages)
    make_directory(logs)
    started = time.monotonic()
    waiting = [stage for stage in stages if stage.name in chosen and stage.name not in done]
    running: dict[str, tuple[Stage, subprocess.Popen]] = {}
    with _stop_requests() as asked, _ended_with_us(running):
        while waiting or running:
            for stage in list(waiting):
                if len(running) < parallel and done >= set(stage.needs):
                    say(started, f"{stage.name}: {shlex.join(stage.command())}")
                    waiting.remove(stage)
                    running[stage.name] = (stage, _start(stage, logs, started))
            time.sleep(0.2)
            if asked:
                say(started, f"asked to stop by {asked[0].name}; run the command again to go on")
                raise SystemExit(STOPPED)
            for name, (_, process) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode != 0:
                    raise UserError(f"{name} failed; its last words are in {logs}/{name}.log")
                write_json(logs / f"{name}.done.json", identity[name])
                done.add(name)
                say(started, f"{name}: finished, {len(done)} of {len(stages)}")


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
def _ended_with_us(running: dict[str, tuple[Stage, subprocess.Popen]]) -> Iterator[None]:
    """Stop what still runs at the end, trainings after they have saved a checkpoint."""
    try:
        yield
    finally:
        try:
            for stage, process in running.values():
                _stop(stage, process)
        except KeyboardInterrupt:  # a second one: no more patience
            for _, process in running.values():
                os.killpg(process.pid, signal.SIGKILL)


def _stop(stage: Stage, process: subprocess.Popen) -> None:
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


def _start(stage: Stage, logs: Path, started: float) -> subprocess.Popen:
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"}
    process = subprocess.Popen(
        stage.argv(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    threading.Thread(target=_follow, args=(process, stage, logs, started), daemon=True).start()
    return process


def _follow(process: subprocess.Popen, stage: Stage, logs: Path, started: float) -> None:
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
