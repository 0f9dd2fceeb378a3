"""What a stage of an experiment is, and the marks that say how it ended.

Marks lie beside the logs, each of one stage, so that several commands can run stages of the same
experiment at the same time.
"""

import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from handan.records import content_hash, read_json, write_json
from handan.suite import asked_by, asked_otherwise, load_suite, suite_items

# What each kind of stage adds to its part of run.json at its very end.
LAST = {
    "training": "finished",
    "traces": "traces_sha256",
    "evaluation": "generations_sha256",
    "pretraining": "finished",
}


@dataclass(frozen=True)
class Stage:
    """One command of an experiment.

    Attributes:
        name: of its log and of its mark of completion.
        kind: what it adds to run.json: training, traces, evaluation or pretraining.
        script: what is run, a path or else the name of a module.
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
            place = [self.script] if self.script.endswith(".py") else ["-m", self.script]
            return ["python", *place, *self.arguments]
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
    """Names of the stages that ended well, with this command, and whose results are still there.

    An evaluation also must have been asked what its suite asks now.
    """
    wanted = identities(stages)
    done = [stage for stage in stages if _is_finished(stage, wanted[stage.name], logs)]
    suites = {stage.name: suite for stage in done if (suite := _suite_of(stage))}
    now = {path: asked_by(suite_items(load_suite(Path(path)))) for path in set(suites.values())}
    return {
        stage.name
        for stage in done
        if stage.name not in suites
        or not asked_otherwise(stage.output_dir, now[suites[stage.name]])
    }


def _suite_of(stage: Stage) -> str | None:
    """Path of the suite that an evaluation asks."""
    words = stage.arguments
    asks = stage.kind == "evaluation" and "--suite" in words
    return words[words.index("--suite") + 1] if asks else None


def _is_finished(stage: Stage, identity: dict, logs: Path) -> bool:
    mark, run = logs / f"{stage.name}.done.json", stage.output_dir / "run.json"
    if not (mark.exists() and run.exists()):
        return False
    marked = read_json(mark)
    if {key: marked.get(key) for key in identity} != identity:
        return False
    return LAST[stage.kind] in read_json(run).get(stage.kind, {})


def mark_finished(stage: Stage, identity: dict, seconds: float, logs: Path) -> None:
    """Write that a stage ended well, and how long it took."""
    mark = {**identity, "seconds": round(seconds, 1)}
    write_json(logs / f"{stage.name}.done.json", mark)
    (logs / f"{stage.name}.failed.json").unlink(missing_ok=True)


def mark_failed(stage: Stage, exit_code: int, logs: Path) -> str:
    """Write that a stage failed, and return the last line that it printed."""
    log = logs / f"{stage.name}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    write_json(logs / f"{stage.name}.failed.json", {"exit_code": exit_code, "last_line": last})
    return last


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
            failed = (logs / f"{stage.name}.failed.json").exists()
            state = "failed" if failed else "ready"
        yield f"{wave[stage.name]}\t{stage.name}\t{state}"


class Durations:
    """How long stages take, from those that are finished."""

    def __init__(self, stages: Sequence[Stage], done: Collection[str], logs: Path) -> None:
        self.seconds: dict[tuple[str, str], list[float]] = {}
        for stage in stages:
            mark = logs / f"{stage.name}.done.json"
            if stage.name in done and mark.exists() and "seconds" in (marked := read_json(mark)):
                self.add(stage, marked["seconds"])

    def add(self, stage: Stage, seconds: float) -> None:
        """Count a stage that has ended well."""
        self.seconds.setdefault((stage.kind, stage.script), []).append(seconds)

    def left(self, stages: Iterable[Stage], parallel: int) -> str:
        """What to say of the time that these stages will take, such as ', about 34 min left'."""
        every = [value for values in self.seconds.values() for value in values]
        expected = [self.seconds.get((stage.kind, stage.script), every) for stage in stages]
        if not expected or not every:
            return ""
        minutes = sum(map(fmean, expected)) / parallel / 60
        if minutes >= 120:
            return f", about {minutes / 60:.1f} h left"
        return f", about {max(1, round(minutes))} min left"
