"""Commands that run an experiment, in order, and the pages that are written."""

import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from handan.config import read_yaml
from handan.errors import UserError
from handan.experiments.declare import EVALUATE, Arm, Experiment, Model
from handan.files import shipped


@dataclass(frozen=True)
class Stage:
    """One command of an experiment or a zoo."""

    name: str  # of its log and of its mark of completion
    kind: str  # what it adds to run.json: training, traces, evaluation or pretraining
    script: str  # its path in the clone
    arguments: tuple[str, ...]
    output_dir: Path  # the run directory it writes
    accelerate_config: str | None = None  # of its launch; without, it is one plain process
    needs: tuple[str, ...] = ()  # stages that must be finished before
    # What an evaluation is of: model or arm, seed of an arm, name of a further evaluation.
    cell: tuple[str, int | None, str | None] | None = None

    def command(self) -> list[str]:
        """As a user would type it."""
        if self.accelerate_config is None:
            return ["python", self.script, *self.arguments]
        launch = ["accelerate", "launch", "--config_file", self.accelerate_config]
        return [*launch, self.script, *self.arguments]

    def found(self) -> list[str]:
        """The same, its script and launch config where they are: perhaps not in this folder."""
        files = (self.script, self.accelerate_config)
        return [shipped(word) if word in files else word for word in self.command()]

    def argv(self) -> list[str]:
        """For this interpreter."""
        words = self.found()
        if words[0] == "python":
            return [sys.executable, *words[1:]]
        return [sys.executable, "-m", "accelerate.commands.launch", "--quiet", *words[2:]]


class Page(NamedTuple):
    """The report of one seed."""

    runs: list[Path]  # evaluated run directories
    output: Path


class Plan(NamedTuple):
    """The commands in an order in which each could run alone, and a page for each seed."""

    stages: list[Stage]
    pages: list[Page]


def plan(experiment: Experiment, output_dir: Path) -> Plan:
    """List all commands, the most urgent first.

    What does not depend on a training is done once for all seeds, else in a folder of its seed.
    """
    stages: dict[str, Stage] = {}
    pages = []
    for seed in experiment.all_seeds():
        one = _OneSeed(experiment, output_dir, seed)
        trainings = list(one.trainings())
        made = [one.pretraining(n) for n, m in experiment.models.items() if m.pretraining]
        models = [one.evaluation(name) for name in experiment.models]
        arms = [one.evaluation(name) for name in one.arms]
        further = [
            one.evaluation(name, key)
            for key, entry in experiment.evaluations.items()
            for name in entry.of
            if name in experiment.models
            or (name in one.arms and (entry.seeds is None or seed in entry.seeds))
        ]
        # One by one, a broken base model shows before anything is spent on it; side by side, its
        # evaluation fills the time that the long trainings leave.
        first = [*made, *models]
        order = [*first, *trainings] if experiment.parallel == 1 else [*trainings, *first]
        stages |= {s.name: s for s in [*order, *arms, *further] if s.name not in stages}
        runs = [stage.output_dir for stage in [*models, *arms]]
        pages.append(Page(runs, one.folder / "report.html"))
    return Plan(list(stages.values()), pages)


def select(stages: list[Stage], only: Collection[str], done: Collection[str]) -> list[Stage]:
    """Choose the stages asked for by name, all of them if none was."""
    names = [stage.name for stage in stages]
    if unknown := [name for name in only if name not in names]:
        raise UserError(f"no stage '{unknown[0]}'; there are: {', '.join(names)}")
    chosen = [stage for stage in stages if not only or stage.name in only]
    for stage in chosen:
        if only and (missing := set(stage.needs) - set(only) - set(done)):
            raise UserError(f"{stage.name} needs {min(missing)}, which is not finished; name both")
    return chosen


def script(made: Plan, done: Collection[str], tolerance: float) -> list[str]:
    """Write the plan as lines that could be pasted into a shell, with what is finished already."""
    lines = []
    for stage in made.stages:
        after = f", after {' and '.join(stage.needs)}" if stage.needs else ""
        lines.append(f"# {stage.name}{after}{': finished' if stage.name in done else ''}")
        lines.append(shlex.join(stage.found()))
    for page in made.pages:
        words = ["handan", "report", *map(str, page.runs), "--output", str(page.output)]
        lines += ["# report", shlex.join([*words, "--budget_tolerance", f"{tolerance:g}"])]
    return lines


class _OneSeed:
    def __init__(self, experiment: Experiment, output_dir: Path, seed: int) -> None:
        self.experiment, self.seed, self.shared = experiment, seed, output_dir
        self.arms = [name for name in experiment.arms if seed in experiment.seeds_of(name)]
        self.alone = len(experiment.all_seeds()) == 1
        self.folder = output_dir if self.alone else output_dir / f"seed-{seed}"

    def trainings(self) -> Iterator[Stage]:
        """Trainings in the order of the file, each after the traces and arms it builds on."""
        seen: set[str] = set()
        for name in (*self.arms, *self.experiment.traces):
            if not self.experiment.is_trained(name) or self.seed in self.experiment.seeds_of(name):
                yield from self._with_needs(name, seen)

    def _with_needs(self, name: str, seen: set[str]) -> Iterator[Stage]:
        if name in seen:
            return
        seen.add(name)
        for other in self.experiment.builds_on(name):
            yield from self._with_needs(other, seen)
        if name in self.experiment.arms:
            yield self._training(name)
        elif name in self.experiment.traces:
            yield self._traces(name)
        elif self.experiment.models[name].pretraining is not None:
            yield self.pretraining(name)

    def pretraining(self, name: str) -> Stage:
        """The pretraining of a model, the same for all seeds."""
        config, folder = self.experiment.models[name].pretraining, self._dir(name)
        words = ("--config", str(config), "--output_dir", str(folder))
        return Stage(f"pretrain-{name}", "pretraining", "recipes/pretrain.py", words, folder)

    def evaluation(self, name: str, further: str | None = None) -> Stage:
        """The evaluation of a model, or of an arm after its training; or a further one, by name."""
        experiment = self.experiment
        entry: Model | Arm = experiment.models.get(name) or experiment.arms[name]
        suite, more = entry.suite or experiment.suite, ""
        if further is not None:
            suite, more = experiment.evaluations[further].suite, f"-{further}"
        run_dir = self._dir(name).with_name(name + more)
        words = ["--model", self._weights(name), "--suite", suite, *self._revision(name)]
        words += ["--output_dir", str(run_dir), *_words(experiment.evaluation | entry.evaluation)]
        kind = self._stage_name("evaluate-", name) + more, "evaluation", EVALUATE
        launch, needs = experiment.evaluation_accelerate_config, self._needs(name)
        cell = (name, self.seed if name in experiment.arms else None, further)
        return Stage(*kind, tuple(words), run_dir, launch, needs, cell)

    def _traces(self, name: str) -> Stage:
        entry, folder = self.experiment.traces[name], self._dir(name)
        words = ["--config", self.experiment.config_of(entry), "--output_dir", str(folder)]
        if entry.teacher is not None:
            words += ["--arm", entry.teacher, "--model_name_or_path", self._weights(entry.teacher)]
            words += self._revision(entry.teacher)
        if entry.choose_from is not None:
            words += ["--run", str(self._dir(entry.choose_from))]
        if self.experiment.is_trained(name):
            words += ["--seed", str(self.seed)]
        arguments = (*words, *_words(entry.settings))
        launch = entry.accelerate_config or self.experiment.accelerate_config
        needs, stage = self._needs(entry.teacher, entry.choose_from), self._stage_name("", name)
        return Stage(stage, "traces", "recipes/traces.py", arguments, folder, launch, needs)

    def _training(self, name: str) -> Stage:
        arm, folder = self.experiment.arms[name], self._dir(name)
        config = self.experiment.config_of(arm)
        words = ["--config", config, "--arm", name, "--output_dir", str(folder)]
        words += ["--seed", str(self.seed), *self._model_words("model", arm.start, config)]
        if arm.traces is not None:
            words += ["--traces", str(self._dir(arm.traces) / "traces.jsonl")]
        words += self._model_words("teacher_model", arm.teacher, config)
        arguments = (*words, *_words(self.experiment.training | arm.settings))
        launch = arm.accelerate_config or self.experiment.accelerate_config
        needs = self._needs(arm.start, arm.traces, arm.teacher)
        stage, script = self._stage_name("train-", name), f"recipes/{arm.recipe}.py"
        return Stage(stage, "training", script, arguments, folder, launch, needs)

    def _model_words(self, key: str, name: str | None, config: str) -> list[str]:
        if name is None:
            return []
        words = [f"--{key}_name_or_path", self._weights(name)]
        revision = self._revision(name)[1:]
        # A revision in the recipe's YAML is that of another model.
        if not revision and f"{key}_revision" in read_yaml(Path(config)):
            revision = ["main"]
        return [*words, f"--{key}_revision", *revision] if revision else words

    def _revision(self, name: str) -> list[str]:
        model = self.experiment.models.get(name)
        return ["--revision", model.revision] if model is not None and model.revision else []

    def _dir(self, name: str) -> Path:
        return (self.folder if self.experiment.is_trained(name) else self.shared) / name

    def _weights(self, name: str) -> str:
        model = self.experiment.models.get(name)
        return str(self._dir(name)) if model is None or model.model is None else model.model

    def _stage_name(self, prefix: str, name: str) -> str:
        own = "" if self.alone or not self.experiment.is_trained(name) else f"seed-{self.seed}-"
        return f"{own}{prefix}{name}"

    def _needs(self, *names: str | None) -> tuple[str, ...]:
        """Names of the stages that make these models, arms or traces."""
        found = []
        for name in filter(None, names):
            if name in self.experiment.arms:
                found.append(self._stage_name("train-", name))
            elif name in self.experiment.traces:
                found.append(self._stage_name("", name))
            elif self.experiment.models[name].pretraining:
                found.append(f"pretrain-{name}")
        return tuple(found)


def _words(settings: Mapping[str, Any]) -> list[str]:
    words = []
    for key, value in settings.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{key}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in values)]
    return words
