"""The whole experiment on the embedded world: `make demo`.

A list of commands, each of which a user could type, with what each of them waits for. Two run at a
time, one thread each. Whatever is finished is not run again, and what was cut off goes on.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from handan.alignment.output.tables import arms_text
from handan.errors import UserError
from handan.records import content_hash, read_json, write_json

ROOT_FILES = ("recipes/grpo.py", "eval/run.py", "launch/accelerate/cpu.yaml")
CONFIGS = Path("recipes/configs/tiny")
WEIGHTS = Path("handan/tiny/weights")
PARALLEL = 2


@dataclass(frozen=True)
class Stage:
    """One command of the experiment.

    Attributes:
        name: of its log and of its mark of completion.
        script: run through ``accelerate launch``, or plainly if it lies in eval/.
        arguments: of the script.
        needs: stages that must be finished before.
    """

    name: str
    script: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The command as a user would type it."""
        if self.script.startswith("eval/"):
            return ["python", self.script, *self.arguments]
        launch = ["accelerate", "launch", "--config_file", "launch/accelerate/cpu.yaml"]
        return [*launch, self.script, *self.arguments]

    def argv(self) -> list[str]:
        """The same command for this interpreter."""
        words = self.command()
        if words[0] == "python":
            return [sys.executable, *words[1:]]
        return [sys.executable, "-m", "accelerate.commands.launch", "--quiet", *words[2:]]


def stages(out: Path, seed: int) -> list[Stage]:
    """All commands, the most urgent first."""

    def train(arm: str, script: str, config: str, *more: str, needs: tuple[str, ...] = ()) -> Stage:
        settings = ("--output_dir", f"{out}/{arm}", "--seed", str(seed), *more)
        arguments = ("--config", f"{CONFIGS}/{config}.yaml", *settings)
        return Stage(f"train-{arm}", f"recipes/{script}.py", arguments, needs)

    def evaluate(arm: str, model: str, suite: str, needs: tuple[str, ...] = ()) -> Stage:
        where = ("--model", model, "--suite", f"eval/suites/{suite}.yaml")
        arguments = (*where, "--output_dir", f"{out}/{arm}", "--num_threads", "1")
        return Stage(f"evaluate-{arm}", "eval/run.py", arguments, needs)

    def traces(arm: str, name: str) -> Stage:
        settings = ("--arm", arm, "--model_name_or_path", f"{out}/{arm}", "--seed", str(seed))
        where = ("--config", f"{CONFIGS}/traces.yaml", "--output_dir", f"{out}/{name}")
        needs = (f"train-{arm}",)
        return Stage(f"{name}", "recipes/traces.py", (*where, *settings), needs)

    def sft(arm: str, name: str) -> Stage:
        where = ("--arm", arm, "--traces", f"{out}/{name}/traces.jsonl")
        return train(arm, "sft_distill", "sft_distill", *where, needs=(name,))

    def trained(arm: str, suite: str = "tiny") -> Stage:
        return evaluate(arm, f"{out}/{arm}", suite, (f"train-{arm}",))

    def start(weights: str) -> tuple[str, str]:
        return ("--model_name_or_path", str(WEIGHTS / weights))

    constant = ("--suite", "eval/suites/tiny_constant_probe.yaml")
    return [
        train("teacher", "grpo", "grpo", "--arm", "teacher", *start("teacher_cold_start")),
        train("grpo", "grpo", "grpo"),
        traces("teacher", "traces_teacher"),
        sft("sft", "traces_teacher"),
        traces("grpo", "traces_own"),
        sft("sft_own", "traces_own"),
        train(
            "grpo_constant",
            "grpo",
            "grpo",
            "--arm",
            "grpo_constant",
            *start("base_constant"),
            *constant,
        ),
        evaluate("base", str(WEIGHTS / "base"), "tiny"),
        evaluate("cold_start", str(WEIGHTS / "teacher_cold_start"), "tiny"),
        evaluate("base_constant", str(WEIGHTS / "base_constant"), "tiny_constant"),
        trained("teacher"),
        trained("grpo"),
        trained("sft"),
        trained("sft_own"),
        trained("grpo_constant", "tiny_constant"),
    ]


def run(output_dir: Path, seed: int) -> None:
    """Run what is missing, then write the report.

    Raises:
        UserError: not started in a clone of the project, or a stage failed.
    """
    missing = [name for name in ROOT_FILES if not Path(name).exists()]
    if missing:
        raise UserError(f"{missing[0]}: no such file; run the demo in a clone of the project")
    todo = stages(output_dir, seed)
    logs = output_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    done = {stage.name for stage in todo if _is_done(stage, logs)}
    if done:
        print(f"{len(done)} of {len(todo)} stages are finished already", flush=True)
    running: dict[str, tuple[Stage, subprocess.Popen]] = {}
    try:
        while len(done) < len(todo):
            for stage in todo:
                ready = stage.name not in done | running.keys() and done >= set(stage.needs)
                if ready and len(running) < PARALLEL:
                    print(f"{_clock(started)} {stage.name}: {shlex.join(stage.command())}")
                    running[stage.name] = (stage, _start(stage, logs, started))
            time.sleep(0.2)
            for name, (stage, process) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode != 0:
                    raise UserError(f"{name} failed; its last words are in {logs}/{name}.log")
                write_json(logs / f"{name}.done.json", _identity(stage))
                done.add(name)
                print(f"{_clock(started)} {name}: finished, {len(done)} of {len(todo)}", flush=True)
    finally:
        for _, process in running.values():
            os.killpg(process.pid, signal.SIGTERM)  # the launcher and the script it started
            process.wait()
    arms = [
        stage.arguments[stage.arguments.index("--output_dir") + 1]
        for stage in todo
        if stage.script == "eval/run.py"
    ]
    from handan import report  # draws, and so takes a moment to import

    sentences = report.write([Path(arm) for arm in arms], output_dir / "report.html")
    result = read_json(output_dir / "alignment.json")
    print("", arms_text(result), "", *sentences, "", sep="\n")
    print(f"{_clock(started)} report: {output_dir}/report.html")
    print(f"          figures: {output_dir}/alignment.json", flush=True)


def _identity(stage: Stage) -> dict:
    """What a finished stage was: its command and the settings file it named."""
    texts = [
        Path(word).read_text(encoding="utf-8") for word in stage.arguments if word.endswith(".yaml")
    ]
    return {"command": shlex.join(stage.command()), "settings": content_hash(texts)}


def _is_done(stage: Stage, logs: Path) -> bool:
    mark = logs / f"{stage.name}.done.json"
    return mark.exists() and read_json(mark) == _identity(stage)


def _start(stage: Stage, logs: Path, started: float) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
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
    with open(logs / f"{stage.name}.log", "a", encoding="utf-8") as log:
        for line in process.stdout:
            log.write(line)
            log.flush()
            if ": step " in line or " responses, " in line or "error:" in line or ": kept" in line:
                print(f"{_clock(started)} {stage.name}: {line.strip()}", flush=True)


def _clock(started: float) -> str:
    return f"[{time.monotonic() - started:4.0f} s]"
