"""Run of the stages of an experiment or a zoo, several at a time, each a command a user could type.

The mark beside a stage's log says how it ended; what is finished is not run again.
"""

import atexit
import contextlib
import io
import multiprocessing
import os
import runpy
import shlex
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired
from typing import Any

import yaml

from handan import files, hardware, rundir
from handan.alignment.align import align
from handan.alignment.pairs import read_pairs, read_runs
from handan.config import read_yaml
from handan.errors import UserError
from handan.evaluation.evaluate import BOOTSTRAP
from handan.evaluation.resource_estimate import gpus_needed, work_of
from handan.evaluation.suite import Suite, asked_by, asked_otherwise, load_suite, suite_items
from handan.evaluation.zoo import Entry, Zoo, pair_rows
from handan.experiments.declare import EVALUATE, Experiment
from handan.experiments.plan import Plan, Stage, plan, script, select
from handan.inputs import read_table
from handan.stopping import SIGNALS, STOPPED, end_with_parent

# What each kind of stage adds to its part of run.json at its very end.
LAST_KEYS = {"training": "finished", "pretraining": "finished"}
LAST_KEYS |= {"traces": "traces_sha256", "evaluation": "generations_sha256"}
SHOWN = (": step ", " responses, ", "error:", ": kept", ": saved")  # the log has the others, too
# A new Python spends up to ten seconds on these imports, so plain scripts are forks of a process
# that has done them. A fork cannot use an accelerator that the process before it has looked for.
SLOW_IMPORTS = ["datasets", "trl.trainer.sft_trainer", "trl.trainer.grpo_trainer"]
SLOW_IMPORTS += ["handan.training.run"]
ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd", "/dev/accel0", "/dev/vfio/0")

Durations = dict[tuple[str, str], list[float]]  # seconds of finished stages, by kind and script
Running = tuple[Stage, "Popen | Fork", threading.Thread, float]  # listener, and when it began


def identities(stages: Sequence[Stage]) -> dict[str, dict[str, str]]:
    """Describe each stage: its command, its settings files, and the stages it builds on."""
    found: dict[str, dict[str, str]] = {}
    for stage in stages:
        yamls = [Path(word) for word in stage.command() if word.endswith(".yaml")]
        found[stage.name] = {
            "command": shlex.join(stage.command()),
            "settings": files.content_hash(
                [files.shipped(path).read_text("utf-8") for path in yamls]
            ),
            "needs": files.content_hash([found[name] for name in stage.needs]),
        }
    return found


def finished(stages: Sequence[Stage], logs: Path) -> set[str]:
    """Names of the stages with this command, and this suite, whose results are still there."""
    wanted, done = identities(stages), set()
    asked = cache(lambda path: asked_by(suite_items(load_suite(Path(path)))))
    for stage in stages:
        mark, run = logs / f"{stage.name}.done.json", stage.output_dir / "run.json"
        if not (mark.exists() and run.exists()):
            continue
        marked, identity = files.read_json(mark), wanted[stage.name]
        # A zoo's marks once had neither 'python' nor needs.
        of_zoo = {key: identity[key].removeprefix("python ") for key in ("command", "settings")}
        if not (identity.items() <= marked.items() or marked == of_zoo):
            continue
        if LAST_KEYS[stage.kind] not in files.read_json(run).get(stage.kind, {}):
            continue
        words = stage.arguments if stage.kind == "evaluation" else ()
        suite = words[words.index("--suite") + 1] if "--suite" in words else None
        if suite is None or not asked_otherwise(stage.output_dir, asked(suite)):
            done.add(stage.name)
    return done


def states(stages: Sequence[Stage], done: Collection[str], logs: Path) -> Iterator[str]:
    """Write for each stage its wave, which needs only earlier ones, its name and its state."""
    wave: dict[str, int] = {}
    for stage in stages:
        wave[stage.name] = 1 + max((wave[name] for name in stage.needs), default=0)
        state = "failed" if (logs / f"{stage.name}.failed.json").exists() else "ready"
        if stage.name in done:
            state = "finished"
        elif not set(stage.needs) <= set(done):
            state = "waiting"
        yield f"{wave[stage.name]}\t{stage.name}\t{state}"


def time_left(durations: Durations, stages: Iterable[Stage], parallel: int) -> str:
    """Say how long stages will take, such as ', about 34 min left'."""
    every = [seconds for of in durations.values() for seconds in of]
    expected = [durations.get((stage.kind, stage.script), every) for stage in stages]
    if not expected or not every:
        return ""
    minutes = sum(map(fmean, expected)) / parallel / 60
    left = f"{minutes / 60:.1f} h" if minutes >= 120 else f"{max(1, round(minutes))} min"
    return f", about {left} left"


def run_stages(
    stages: Sequence[Stage],
    chosen: Sequence[str],
    done: set[str],
    logs: Path,
    parallel: int,
    keep_going: bool = False,
) -> None:
    """Run ``chosen`` of all ``stages`` as soon as what they need is in ``done``, which grows.

    With ``keep_going`` everything runs that does not need a stage that failed, before telling so.
    """
    if done:
        print(f"{len(done)} of {len(stages)} stages are finished already")
    identity = identities(stages)
    files.make_directory(logs)
    durations: Durations = {}
    for stage in stages:
        mark = logs / f"{stage.name}.done.json"
        if stage.name in done and mark.exists() and "seconds" in (marked := files.read_json(mark)):
            durations.setdefault((stage.kind, stage.script), []).append(marked["seconds"])
    started = time.monotonic()
    waiting = [stage for stage in stages if stage.name in chosen and stage.name not in done]
    forks = sum(map(can_fork, waiting)) > 1
    failed: dict[str, str] = {}
    left_out: list[str] = []
    running: dict[str, Running] = {}
    with _stop_requests(running) as asked:
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
            for name, (stage, process, listener, since) in list(running.items()):
                code = process.poll()
                if code is None:
                    continue
                del running[name]
                mark, log = logs / f"{name}.failed.json", logs / f"{name}.log"
                if code != 0:
                    listener.join(timeout=5)  # what it started may still hold the pipe
                    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
                    last = text.strip().rpartition("\n")[2].strip()
                    files.write_json(mark, {"exit_code": code, "last_line": last})
                    if not keep_going:
                        raise UserError(f"{name} failed; its last words are in {log}")
                    say(started, f"{name} failed; its last words are in {log}: {last}")
                    failed[name] = last.removeprefix("handan: error: ") or f"exit code {code}"
                    for other in list(waiting):  # stages come after what they need
                        if lacking := sorted({*failed, *left_out} & set(other.needs)):
                            waiting.remove(other)
                            left_out.append(other.name)
                            why = f"it waits for {' and '.join(lacking)}"
                            say(started, f"{other.name}: not run, {why}")
                    continue
                seconds = round(time.monotonic() - since, 1)
                files.write_json(logs / f"{name}.done.json", identity[name] | {"seconds": seconds})
                mark.unlink(missing_ok=True)
                done.add(name)
                durations.setdefault((stage.kind, stage.script), []).append(seconds)
                unfinished = [*waiting, *(other for other, *_ in running.values())]
                left = time_left(durations, unfinished, parallel)
                say(started, f"{name}: finished, {len(done)} of {len(stages)}{left}")
    if failed:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in failed.items())
        others = f"; left out, as they need these: {', '.join(left_out)}" if left_out else ""
        cure = f"see {logs}/STAGE.log, the same command tries them again"
        raise UserError(f"failed: {reasons}{others}; {cure}")


def say(started: float, text: str) -> None:
    """Print a sentence with the seconds since ``started``, of ``time.monotonic``."""
    print(f"[{time.monotonic() - started:4.0f} s] {text}")


@contextlib.contextmanager
def _stop_requests(running: dict[str, Running]) -> Iterator[list[signal.Signals]]:
    """List the signals to stop which have come; stop what still runs at the end."""
    asked: list[signal.Signals] = []
    before = {
        number: signal.signal(number, lambda got, _: asked.append(signal.Signals(got)))
        for number in SIGNALS
    }
    try:
        yield asked
    finally:
        try:
            for stage, process, *_ in running.values():
                _stop(stage, process)
        except KeyboardInterrupt:  # a second one: no more patience
            for _, process, *_ in running.values():
                os.killpg(process.pid, signal.SIGKILL)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _stop(stage: Stage, process: "Popen | Fork") -> None:
    while process.poll() is None:
        # A training is asked itself, by its first process: a launcher would not let it save.
        trains = rundir.lock_holder(stage.output_dir) if stage.kind == "training" else None
        with contextlib.suppress(ProcessLookupError):
            if trains is not None:
                os.kill(trains, signal.SIGUSR1)
            else:
                os.killpg(process.pid, signal.SIGTERM)  # the launcher and the script it started
        with contextlib.suppress(TimeoutExpired):
            process.wait(timeout=2)


def can_fork(stage: Stage) -> bool:
    """Whether a stage is a script of ours in one process, on Linux and without an accelerator."""
    if sys.platform != "linux" or any(map(os.path.exists, ACCELERATORS)):
        return False
    ours = stage.script.startswith(("recipes/", "eval/"))
    return ours and stage.accelerate_config is None


class Fork:
    """A script in a fork of a process that has done the slow imports, used like a ``Popen``.

    It ends with the process that forks, which ends with this one, however that ends.
    """

    def __init__(self, words: Sequence[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(SLOW_IMPORTS)
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_be_script, args=(list(words), sender))
        self._process.start()
        sender.close()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        self.stdout = os.fdopen(os.dup(receiver.fileno()), encoding="utf-8", errors="replace")

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> None:
        self._process.join(timeout)


def _be_script(words: list[str], output: Connection) -> None:
    os.setsid()
    end_with_parent()  # the process that forks
    threading.Thread(target=_end_with_runner, daemon=True).start()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    # What was there before takes the pipe for a file in which one can go back.
    pipe = io.BufferedWriter(io.FileIO(1, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(pipe, sys.stdout.encoding)
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


def _start(stage: Stage, logs: Path, started: float, forks: bool) -> Running:
    env = {"OMP_NUM_THREADS": "1", **os.environ, "TRL_EXPERIMENTAL_SILENCE": "1"}
    process: Popen | Fork
    if forks and can_fork(stage):
        os.environ.update(env)  # of the process that forks
        process = Fork(stage.argv()[1:])
    else:
        process = Popen(
            stage.argv(), env=env, stdout=PIPE, stderr=STDOUT, text=True, start_new_session=True
        )
    listener = threading.Thread(target=_follow, args=(process, stage, logs, started), daemon=True)
    listener.start()
    return stage, process, listener, time.monotonic()


def _follow(process: "Popen | Fork", stage: Stage, logs: Path, started: float) -> None:
    """Keep everything a stage prints, and show its progress lines."""
    assert process.stdout is not None
    log, kept = logs / f"{stage.name}.log", True
    for line in process.stdout:
        if kept:
            try:
                files.append_text(log, line)
            except UserError as error:  # read on, or the stage would wait for ever to be heard
                kept = False
                say(started, f"{stage.name}: {error}; its further words are lost")
        if any(sign in line for sign in SHOWN):
            say(started, f"{stage.name}: {line.strip()}")


def run_experiment(
    experiment: Experiment,
    output_dir: Path | None = None,
    only: Sequence[str] = (),
    dry_run: bool = False,
    list_stages: bool = False,
) -> None:
    """Run what is missing of an experiment, then write its reports; see ``handan experiment``."""
    folder = output_dir or Path(experiment.output_dir)
    made, logs, started = plan(experiment, folder), folder / "logs", time.monotonic()
    if show(made, logs, only, dry_run, list_stages, experiment.budget_tolerance):
        return
    run_missing(experiment, made, logs, only)
    done = finished(made.stages, logs)
    if missing := [stage.name for stage in made.stages if stage.name not in done]:
        return say(started, f"no report yet; to be run: {', '.join(missing)}")
    from handan.alignment.tables import arms_text
    from handan.report.page import write  # draws, and so takes a moment to import

    with rundir.lock(logs, 0):  # of several commands, each may have run a last stage
        for page in made.pages:
            sentences = write(page.runs, page.output, experiment.budget_tolerance)
            numbers = page.output.with_name("alignment.json")
            print("", arms_text(files.read_json(numbers)), "", *sentences, "", sep="\n")
            say(started, f"report: {page.output}\n          figures: {numbers}")


def show(
    made: Plan, logs: Path, only: Sequence[str], dry_run: bool, list_stages: bool, tolerance: float
) -> bool:
    """Print the commands, or a line for each stage, if asked for; returns whether it was."""
    if dry_run and list_stages:
        raise UserError("--dry_run and --list print different things; give one of them")
    if only and (dry_run or list_stages):
        raise UserError("--only chooses what is run, and --dry_run and --list run nothing")
    if dry_run or list_stages:
        done = finished(made.stages, logs)
        lines = states(made.stages, done, logs) if list_stages else script(made, done, tolerance)
        print("\n".join(lines))
    return dry_run or list_stages


def run_missing(
    experiment: Experiment, made: Plan, logs: Path, only: Sequence[str], keep_going: bool = False
) -> None:
    """Run the stages of a plan that are not finished, or ``only`` these, as ``run_stages``."""
    done = finished(made.stages, logs)
    chosen = [stage.name for stage in select(made.stages, only, done)]
    run_stages(made.stages, chosen, done, logs, experiment.parallel, keep_going)


def run_zoo(
    zoo: Zoo,
    entries: Sequence[Entry],
    suite_path: Path,
    output_dir: Path,
    engine: str | None = None,
    more: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Evaluate ``entries`` one by one; compare all of a zoo once all are there, else return None.

    Each has its own process, whose end frees its weights and whose failure does not end the others.
    ``more`` are words for eval/run.py, ``engine`` precedes the zoo's.
    """
    suite, logs = load_suite(suite_path), output_dir / "logs"
    files.make_directory(logs)
    stages = []
    for entry in zoo.models:
        words = (*zoo_words(zoo, entry, suite, suite_path, output_dir, engine), *more)
        stages.append(Stage(entry.name, "evaluation", EVALUATE, words, output_dir / entry.name))
    done = finished(stages, logs)
    run_stages(stages, [entry.name for entry in entries], done, logs, 1, keep_going=True)
    if absent := [stage.name for stage in stages if stage.name not in done]:
        print(f"not compared yet: {', '.join(absent)} of the zoo are not evaluated")
        return None
    with rundir.lock(output_dir, 0):  # of a job array two jobs can be the last one
        return _compared(zoo, suite, output_dir)


def zoo_words(
    zoo: Zoo, entry: Entry, suite: Suite, suite_path: Path, output_dir: Path, engine: str | None
) -> list[str]:
    """List the arguments of eval/run.py for one entry; an engine of its own is written to logs."""
    words = ["--model", entry.model, "--suite", str(suite_path)]
    words += ["--output_dir", str(output_dir / entry.name), "--arm", entry.name]
    words += ["--reasoning_format", entry.reasoning_format]
    if entry.revision is not None:
        words += ["--revision", entry.revision]
    engine = engine or entry.engine or zoo.engine
    if engine is not None:
        of_engine = read_yaml(Path(engine))
        needed = gpus_needed(entry.model, hardware.gpus(), work_of(suite, suite_items(suite)))
        if of_engine.get("engine") == "vllm" and of_engine.get("tensor_parallel_size", 1) < needed:
            engine = str(output_dir / "logs" / f"{entry.name}.engine.yaml")
            shared = of_engine | {"tensor_parallel_size": needed}
            files.write_text(Path(engine), yaml.safe_dump(shared, sort_keys=False))
        words += ["--engine", engine]
    return words


def _compared(zoo: Zoo, suite: Suite, output_dir: Path) -> dict[str, Any]:
    """Write costs.csv, pairs.csv, alignment.json and report over all run directories of a zoo."""
    from handan.report.page import write  # draws, and so takes a moment to import

    run_dirs = [output_dir / entry.name for entry in zoo.models]
    runs = read_runs(run_dirs, allow_different=False)
    rows = [dict(row) for run_dir in run_dirs for _, row in read_table(run_dir / "costs.csv")[1]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    files.write_csv(output_dir / "costs.csv", columns, rows)
    comparisons = None
    if pairs := pair_rows(zoo, suite.greedy):
        files.write_csv(output_dir / "pairs.csv", ["student", "base", "teacher"], pairs)
        comparisons = read_pairs(output_dir / "pairs.csv", runs.table.names("model"))
    result = align(runs.table, bootstrap=BOOTSTRAP, seed=suite.seed, comparisons=comparisons)
    result["notes"] = runs.notes + result["notes"]
    files.write_json(output_dir / "alignment.json", result)
    # Each run.json is told what the zoo says of the model's training, by hashes of weights.
    configs = {run_dir.name: read_yaml(run_dir / "config.yaml") for run_dir in run_dirs}
    weights = {name: of["evaluation"]["model_fingerprint"] for name, of in configs.items()}
    for entry, run_dir in zip(zoo.models, run_dirs, strict=True):
        told: dict[str, Any] = {"role": entry.role, "inferred": entry.inferred}
        if entry.base is not None:
            told["base"] = weights[entry.base]
        if entry.teacher is not None:
            teacher = {"arm": entry.teacher, "model_fingerprint": weights[entry.teacher]}
            told |= {"teacher": teacher, "recipe": "sft_distill"}
        path = run_dir / "run.json"
        with rundir.lock(run_dir, 0):
            files.write_json(path, files.read_json(path) | {"published": told})
    write(run_dirs, output_dir / "report" / "report.html")
    return result
