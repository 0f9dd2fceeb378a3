"""From what an experiment declares to the commands that are run, and the pages that are written."""

import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from handan.config import read_yaml
from handan.errors import UserError
from handan.experiment.declared import Arm, Experiment, Model
from handan.experiment.stages import Stage


class Page(NamedTuple):
    """One report: the evaluated run directories it is about, and where it goes."""

    runs: list[Path]
    output: Path


class Plan(NamedTuple):
    """The commands in an order in which each could run alone, and a page for each seed."""

    stages: list[Stage]
    pages: list[Page]


def plan(experiment: Experiment, output_dir: Path) -> Plan:
    """All commands of an experiment, the most urgent first.

    What does not depend on a training, such as the evaluation of a base model, is done once for all
    seeds. With several seeds, everything else lies in a folder of its seed.

    Raises:
        UserError: arms wait for each other in a circle.
    """
    stages: dict[str, Stage] = {}
    pages = []
    for seed in experiment.seeds:
        one = _OneSeed(experiment, output_dir, seed)
        trainings = list(one.trainings())
        models = [one.evaluation(name, entry) for name, entry in experiment.models.items()]
        arms = [one.evaluation(name, entry) for name, entry in experiment.arms.items()]
        # One by one, a broken base model shows before anything is spent on it; side by side, its
        # evaluation fills the time that the long trainings leave.
        order = [*models, *trainings] if experiment.parallel == 1 else [*trainings, *models]
        stages |= {stage.name: stage for stage in [*order, *arms] if stage.name not in stages}
        runs = [stage.output_dir for stage in [*models, *arms]]
        pages.append(Page(runs, one.folder / "report.html"))
    return Plan(list(stages.values()), pages)


def select(stages: list[Stage], only: Collection[str], done: Collection[str]) -> list[Stage]:
    """The stages that were asked for by name; all of them if none was.

    Raises:
        UserError: there is no such stage, or one that it needs is neither named nor finished.
    """
    names = [stage.name for stage in stages]
    if unknown := [name for name in only if name not in names]:
        raise UserError(f"no stage '{unknown[0]}'; there are: {', '.join(names)}")
    chosen = [stage for stage in stages if not only or stage.name in only]
    for stage in chosen:
        if only and (missing := set(stage.needs) - set(only) - set(done)):
            raise UserError(f"{stage.name} needs {min(missing)}, which is not finished; name both")
    return chosen


def script(made: Plan, done: Collection[str], tolerance: float) -> str:
    """The plan as lines that could be pasted into a shell, with what is finished already."""
    from handan.report.page.content import report_command  # takes a moment to import

    lines = []
    for stage in made.stages:
        after = f", after {' and '.join(stage.needs)}" if stage.needs else ""
        lines.append(f"# {stage.name}{after}{': finished' if stage.name in done else ''}")
        lines.append(shlex.join(stage.command()))
    for page in made.pages:
        lines += ["# report", report_command(page.runs, page.output, tolerance)]
    return "\n".join(lines)


class _OneSeed:
    """The commands of an experiment for one seed."""

    def __init__(self, experiment: Experiment, output_dir: Path, seed: int) -> None:
        self.experiment, self.seed, self.shared = experiment, seed, output_dir
        self.alone = len(experiment.seeds) == 1
        self.folder = output_dir if self.alone else output_dir / f"seed-{seed}"

    def trainings(self) -> Iterator[Stage]:
        """Trainings in the order of the file, each after the traces and arms it builds on."""
        seen: set[str] = set()
        for name in (*self.experiment.arms, *self.experiment.traces):
            yield from self._with_needs(name, seen, ())

    def evaluation(self, name: str, entry: Model | Arm) -> Stage:
        """The evaluation of a model, or of an arm after its training."""
        experiment = self.experiment
        words = ["--model", self._weights(name), "--suite", entry.suite or experiment.suite]
        if isinstance(entry, Model) and entry.revision is not None:
            words += ["--revision", entry.revision]
        words += ["--output_dir", str(self._dir(name))]
        words += _words(experiment.evaluation | entry.evaluation)
        return Stage(
            name=self._stage_name("evaluate-", name),
            kind="evaluation",
            script="eval/run.py",
            arguments=tuple(words),
            output_dir=self._dir(name),
            accelerate_config=experiment.evaluation_accelerate_config,
            needs=self._needs(name),
        )

    def _with_needs(self, name: str, seen: set[str], path: tuple[str, ...]) -> Iterator[Stage]:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise UserError(f"arms wait for each other in a circle: {circle}")
        if name in seen or name in self.experiment.models:
            return
        for other in self._builds_on(name):
            yield from self._with_needs(other, seen, (*path, name))
        seen.add(name)
        yield self._training(name) if name in self.experiment.arms else self._traces(name)

    def _builds_on(self, name: str) -> list[str]:
        if name in self.experiment.traces:
            found = [self.experiment.traces[name].teacher]
        elif name in self.experiment.arms:
            arm = self.experiment.arms[name]
            found = [arm.start, arm.traces, arm.teacher]
        else:
            found = []
        return [other for other in found if other is not None]

    def _is_trained(self, name: str) -> bool:
        """Whether anything of this name comes after a training."""
        if name in self.experiment.arms:
            return True
        return any(self._is_trained(other) for other in self._builds_on(name))

    def _dir(self, name: str) -> Path:
        return (self.folder if self._is_trained(name) else self.shared) / name

    def _weights(self, name: str) -> str:
        models = self.experiment.models
        return models[name].model if name in models else str(self._dir(name))

    def _stage_name(self, prefix: str, name: str) -> str:
        own = "" if self.alone or not self._is_trained(name) else f"seed-{self.seed}-"
        return f"{own}{prefix}{name}"

    def _needs(self, *names: str | None) -> tuple[str, ...]:
        """The stages that make these models, arms or traces."""
        found = []
        for name in names:
            if name in self.experiment.arms:
                found.append(self._stage_name("train-", name))
            elif name in self.experiment.traces:
                found.append(self._stage_name("", name))
        return tuple(found)

    def _traces(self, name: str) -> Stage:
        entry = self.experiment.traces[name]
        words = ["--config", self.experiment.config_of(entry), "--output_dir", str(self._dir(name))]
        if entry.teacher is not None:
            words += ["--arm", entry.teacher, "--model_name_or_path", self._weights(entry.teacher)]
            model = self.experiment.models.get(entry.teacher)
            if model is not None and model.revision is not None:
                words += ["--revision", model.revision]
        if self._is_trained(name):
            words += ["--seed", str(self.seed)]
        return Stage(
            name=self._stage_name("", name),
            kind="traces",
            script="recipes/traces.py",
            arguments=(*words, *_words(entry.settings)),
            output_dir=self._dir(name),
            accelerate_config=entry.accelerate_config or self.experiment.accelerate_config,
            needs=self._needs(entry.teacher),
        )

    def _training(self, name: str) -> Stage:
        arm = self.experiment.arms[name]
        config = self.experiment.config_of(arm)
        words = ["--config", config, "--arm", name]
        words += ["--output_dir", str(self._dir(name)), "--seed", str(self.seed)]
        words += self._model_words("model", arm.start, config)
        if arm.traces is not None:
            words += ["--traces", str(self._dir(arm.traces) / "traces.jsonl")]
        words += self._model_words("teacher_model", arm.teacher, config)
        return Stage(
            name=self._stage_name("train-", name),
            kind="training",
            script=f"recipes/{arm.recipe}.py",
            arguments=(*words, *_words(arm.settings)),
            output_dir=self._dir(name),
            accelerate_config=arm.accelerate_config or self.experiment.accelerate_config,
            needs=self._needs(arm.start, arm.traces, arm.teacher),
        )

    def _model_words(self, key: str, name: str | None, config: str) -> list[str]:
        if name is None:
            return []
        model = self.experiment.models.get(name)
        words = [f"--{key}_name_or_path", self._weights(name)]
        if model is not None and model.revision is not None:
            return [*words, f"--{key}_revision", model.revision]
        # A revision in the recipe's YAML is that of another model.
        foreign = f"{key}_revision" in read_yaml(Path(config))
        return [*words, f"--{key}_revision", "main"] if foreign else words


def _words(settings: Mapping[str, Any]) -> list[str]:
    """Settings as command-line arguments."""
    words = []
    for key, value in settings.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{key}", *(str(v).lower() if isinstance(v, bool) else str(v) for v in values)]
    return words
