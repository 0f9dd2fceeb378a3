"""Run the stages of an experiment or a zoo, several at a time, each a command a user could type.

Finished stages are not run again, and what was cut off goes on, because every script does. Beside
its log each stage has a mark that says how it ended, so that several commands can run stages of the
same experiment at the same time.
"""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean

from handan import rundir
from handan.durable import append_text, make_directory
from handan.errors import UserError
from handan.experiment.plan import Stage
from handan.records import content_hash, read_json, write_json
from handan.stopping import SIGNALS, STOPPED, end_with_parent
from handan.suite import asked_by, asked_otherwise, load_suite, suite_items

# What each kind of stage adds to its part of run.json at its very end.
LAST_KEYS = {
    "training": "finished",
    "traces": "traces_sha256",
    "evaluation": "generations_sha256",
    "pretraining": "finished",
}
# Lines of a stage that are shown while it runs; everything else is in its log.
SHOWN = (": step ", " responses, ", "error:", ": kept", ": saved")
# A new Python spends up to ten seconds on these imports, so plain scripts are forks of a process
# that has done them. A fork cannot use an accelerator that the process before it has looked for.
SLOW_IMPORTS = (
    *("datasets", "trl.trainer.sft_trainer", "trl.trainer.grpo_trainer", "handan.training.run"),
)
ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd", "/dev/accel0", "/dev/vfio/0")

# Seconds that finished stages took, by kind and script.
Durations = dict[tuple[str, str], list[float]]


def identities(stages: Sequence[Stage]) -> dict[str, dict[str, str]]:
    """What each stage is: its command, its settings files, and the stages it builds on."""
    found: dict[str, dict[str, str]] = {}
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
    """Names of the stages that ended well, with this command, and whose results are still there.

    An evaluation also must have been asked what its suite asks now.
    """
    wanted = identities(stages)
    done = {s.name: s for s in stages if _is_marked(s, wanted[s.name], logs)}
    suites = {
        name: stage.arguments[stage.arguments.index("--suite") + 1]
        for name, stage in done.items()
        if stage.kind == "evaluation" and "--suite" in stage.arguments
    }
    asked = {path: asked_by(suite_items(load_suite(Path(path)))) for path in set(suites.values())}
    changed = {n for n, path in suites.items() if asked_otherwise(done[n].output_dir, asked[path])}
    return set(done) - changed


def _is_marked(stage: Stage, identity: dict[str, str], logs: Path) -> bool:
    mark, run = logs / f"{stage.name}.done.json", stage.output_dir / "run.json"
    if not (mark.exists() and run.exists()):
        return False
    marked = read_json(mark)
    # A zoo's marks once had neither 'python' nor needs.
    of_zoo = {key: identity[key].removeprefix("python ") for key in ("command", "settings")}
    if not (identity.items() <= marked.items() or marked == of_zoo):
        return False
    return LAST_KEYS[stage.kind] in read_json(run).get(stage.kind, {})


def states(stages: Sequence[Stage], done: Collection[str], logs: Path) -> Iterator[str]:
    """A line for each stage: its wave, its name, and finished, failed, waiting or ready.

    The stages of a wave need only stages of earlier waves.
    """
    wave: dict[str, int] = {}
    for stage in stages:
        wave[stage.name] = 1 + max((wave[name] for name in stage.needs), default=0)
        if stage.name in done:
            state = "finished"
        elif not set(stage.needs) <= set(done):
            state = "waiting"
        else:
            state = "failed" if (logs / f"{stage.name}.failed.json").exists() else "ready"
        yield f"{wave[stage.name]}\t{stage.name}\t{state}"


def time_left(durations: Durations, stages: Iterable[Stage], parallel: int) -> str:
    """What to say of the time that stages will take, such as ', about 34 min left'."""
    every = [seconds for of in durations.values() for seconds in of]
    expected = [durations.get((stage.kind, stage.script), every) for stage in stages]
    if not expected or not every:
        return ""
    minutes = sum(map(fmean, expected)) / parallel / 60
    if minutes >= 120:
        return f", about {minutes / 60:.1f} h left"
    return f", about {max(1, round(minutes))} min left"


@dataclass(frozen=True)
class _Running:
    """A stage that runs, and the thread that keeps what it prints."""

    stage: Stage
    process: "subprocess.Popen | Fork"
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
    if done:
        print(f"{len(done)} of {len(stages)} stages are finished already", flush=True)
    identity = identities(stages)
    make_directory(logs)
    durations: Durations = {}
    for stage in stages:
        mark = logs / f"{stage.name}.done.json"
        if stage.name in done and mark.exists() and "seconds" in (marked := read_json(mark)):
            durations.setdefault((stage.kind, stage.script), []).append(marked["seconds"])
    started = time.monotonic()
    waiting = [stage for stage in stages if stage.name in chosen and stage.name not in done]
    forks = sum(map(can_fork, waiting)) > 1
    failed: dict[str, str] = {}
    left_out: list[str] = []
    running: dict[str, _Running] = {}
    with _stop_requests() as asked, _ended_with_us(running):
        while waiting or running:
            for stage in list(waiting):
                if len(running) < parallel and done >= set(stage.needs):
                    say(started, f"{stage.name}: {shlex.join(stage.command())}")
                    waiting.remove(stage)
                    running[stage.name] = _start(stage, logs, started, forks)
            time.sleep(0.2)
            if asked:
                say(started, f"asked to stop by {asked[0].name}; run the command again to go on")
                raise SystemExit(STOPPED)
            for name, one in list(running.items()):
                code = one.process.poll()
                if code is None:
                    continue
                del running[name]
                mark = logs / f"{name}.failed.json"
                if code != 0:
                    one.listener.join(timeout=5)  # what it started may still hold the pipe
                    last = _last_line(logs / f"{name}.log")
                    write_json(mark, {"exit_code": code, "last_line": last})
                    if not keep_going:
                        raise UserError(f"{name} failed; its last words are in {logs}/{name}.log")
                    say(started, f"{name} failed; its last words are in {logs}/{name}.log: {last}")
                    failed[name] = last.removeprefix("handan: error: ") or f"exit code {code}"
                    left_out += _leave_out(waiting, {*failed, *left_out}, started)
                    continue
                seconds = round(time.monotonic() - one.since, 1)
                write_json(logs / f"{name}.done.json", identity[name] | {"seconds": seconds})
                mark.unlink(missing_ok=True)
                done.add(name)
                durations.setdefault((one.stage.kind, one.stage.script), []).append(seconds)
                open_stages = [*waiting, *(other.stage for other in running.values())]
                left = time_left(durations, open_stages, parallel)
                say(started, f"{name}: finished, {len(done)} of {len(stages)}{left}")
    if failed:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in failed.items())
        others = f"; left out, as they need these: {', '.join(left_out)}" if left_out else ""
        raise UserError(
            f"failed: {reasons}{others}; see {logs}/STAGE.log, the same command tries them again"
        )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


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


def _stop(stage: Stage, process: "subprocess.Popen | Fork") -> None:
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


def can_fork(stage: Stage) -> bool:
    if sys.platform != "linux" or any(map(os.path.exists, ACCELERATORS)):
        return False
    ours = stage.script.startswith(("recipes/", "eval/")) and stage.script.endswith(".py")
    return ours and stage.accelerate_config is None


class Fork:
    """A script in a fork of a process that has done the slow imports, used like a ``Popen``.

    It has its own session, output and signals, and the exit code that a new Python would have. It
    ends with the process that forks, which ends with this one, however that ends.
    """

    def __init__(self, words: Sequence[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(SLOW_IMPORTS))
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_be_script, args=(list(words), sender))
        self._process.start()
        sender.close()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        self.stdout = os.fdopen(os.dup(receiver.fileno()), encoding="utf-8", errors="replace")

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> None:
        """Wait until it has ended, but no longer than this."""
        self._process.join(timeout)


def _be_script(words: list[str], output: Connection) -> None:
    os.setsid()
    end_with_parent()  # the process that forks
    threading.Thread(target=_end_with_runner, daemon=True).start()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out


def _end_with_runner() -> None:
    runner = multiprocessing.parent_process()
    assert runner is not None
    runner.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _start(stage: Stage, logs: Path, started: float, forks: bool) -> _Running:
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"}
    process: subprocess.Popen | Fork
    if forks and can_fork(stage):
        os.environ.update(environment)  # of the process that forks
        process = Fork(stage.argv()[1:])
    else:
        process = subprocess.Popen(
            stage.argv(),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    words = (process, stage, logs, started)
    listener = threading.Thread(target=_follow, args=words, daemon=True)
    listener.start()
    return _Running(stage, process, listener)


def _follow(process: "subprocess.Popen | Fork", stage: Stage, logs: Path, started: float) -> None:
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
