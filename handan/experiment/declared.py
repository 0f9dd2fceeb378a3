"""What an experiment declares: models, traces and arms by name, and how they are run.

Paths in the YAML are relative to the clone, as on the command line.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from handan.budgets import TOLERANCE
from handan.config import build, read_yaml
from handan.errors import UserError
from handan.experiment.checks import problems


@dataclass(frozen=True)
class Model:
    """A model that is evaluated as it is.

    Attributes:
        model: directory, or owner/name on the hub.
        pretraining: YAML of handan.tiny.pretrain that makes the model, instead of ``model``.
        revision: of the hub repository.
        suite: what it is evaluated on, if not on the experiment's suite.
        evaluation: more arguments of its evaluation.
    """

    model: str | None = None
    pretraining: str | None = None
    revision: str | None = None
    suite: str | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Traces:
    """What a teacher writes, for students to imitate.

    Attributes:
        teacher: name of a model or an arm; null is the one that the config names.
        choose_from: name of the trace set that the config's policy chooses from.
        config: YAML of recipes/traces.py, by default ``CONFIGS/traces.yaml``.
        settings: more arguments of the recipe.
        accelerate_config: if not the experiment's.
    """

    teacher: str | None = None
    choose_from: str | None = None
    config: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    accelerate_config: str | None = None


@dataclass(frozen=True)
class Arm:
    """One training and its evaluation.

    Attributes:
        recipe: one of ``RECIPES``.
        config: its YAML, by default ``CONFIGS/RECIPE.yaml``.
        start: name of the model or arm whose weights it begins with; null is what the config names.
        traces: name of the traces it imitates.
        teacher: name of the model or arm it is distilled from on its own samples.
        suite: what it is evaluated on, if not on the experiment's suite.
        settings: more arguments of the recipe.
        evaluation: more arguments of its evaluation.
        accelerate_config: if not the experiment's.
        seeds: its repetitions, if not the experiment's.
    """

    recipe: str
    config: str | None = None
    start: str | None = None
    traces: str | None = None
    teacher: str | None = None
    suite: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    accelerate_config: str | None = None
    seeds: list[int] | None = None


@dataclass(frozen=True)
class Evaluation:
    """A further evaluation of the same weights, which is on no report page.

    Attributes:
        suite: what they are evaluated on.
        of: names of models and arms.
        seeds: repetitions of the arms; null is every one.
    """

    suite: str
    of: list[str]
    seeds: list[int] | None = None


@dataclass(frozen=True)
class Experiment:
    """The content of a YAML in recipes/experiments.

    Attributes:
        output_dir: folder of all run directories and of the report.
        configs: folder of the recipes' YAMLs.
        suite: what every model and arm is evaluated on.
        accelerate_config: of trainings and traces; null is one plain process.
        evaluation_accelerate_config: of evaluations; null is one plain process.
        evaluation: more arguments of every evaluation.
        parallel: stages that run at the same time; more than 1 only where they share a machine
            without sharing its accelerators.
        seeds: one repetition of everything that depends on training each.
        budget_tolerance: budgets count as matched within this share.
        models, traces, arms: by name, which is also that of the run directory.
        evaluations: further ones, by name; the run directory of one is OF-NAME.
    """

    output_dir: str
    configs: str
    suite: str
    accelerate_config: str | None
    models: dict[str, Model]
    arms: dict[str, Arm]
    traces: dict[str, Traces] = field(default_factory=dict)
    evaluation_accelerate_config: str | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)
    parallel: int = 1
    seeds: list[int] = field(default_factory=lambda: [1])
    budget_tolerance: float = TOLERANCE
    evaluations: dict[str, Evaluation] = field(default_factory=dict)

    def config_of(self, entry: Arm | Traces) -> str:
        """The YAML of an arm's recipe, or of a trace set."""
        stem = entry.recipe if isinstance(entry, Arm) else "traces"
        return entry.config or f"{self.configs}/{stem}.yaml"

    def builds_on(self, name: str) -> list[str]:
        """Names of the models, trace sets and arms that a trace set or an arm is made from."""
        found: list[str | None] = []
        if name in self.traces:
            found = [self.traces[name].teacher, self.traces[name].choose_from]
        elif name in self.arms:
            arm = self.arms[name]
            found = [arm.start, arm.traces, arm.teacher]
        return [other for other in found if other is not None]

    def is_trained(self, name: str) -> bool:
        """Whether anything of this name comes after a training, and so is another for each seed."""
        return name in self.arms or any(map(self.is_trained, self.builds_on(name)))

    def seeds_of(self, name: str) -> list[int]:
        """The repetitions of an arm, or of a trace set: those of what uses it."""
        if name in self.arms:
            own = self.arms[name].seeds
            return self.seeds if own is None else own
        users = [other for other in (*self.traces, *self.arms) if name in self.builds_on(other)]
        found = {seed for other in users for seed in self.seeds_of(other)}
        return sorted(found) if users else self.seeds

    def all_seeds(self) -> list[int]:
        """The repetitions of all arms together, the experiment's first."""
        found = {seed for name in self.arms for seed in self.seeds_of(name)}
        if not self.arms:
            return self.seeds
        return [s for s in self.seeds if s in found] + sorted(found - set(self.seeds))


Kind = TypeVar("Kind", bound=Experiment)


def load_experiment(
    path: Path,
    kind: type[Kind] = Experiment,  # type: ignore[assignment]
    **changes: Any,
) -> Kind:
    """Read an experiment, with ``changes`` from the command line, and check what it refers to.

    Args:
        path: the YAML.
        kind: ``Experiment``, or a dataclass of more keys.
        changes: instead of the YAML's values; ``seeds`` are then those of every arm.

    Raises:
        UserError: a key or a name is wrong, or a file is missing; says which.
    """
    content = read_yaml(path)
    models = content.get("models")
    if isinstance(models, dict):  # `name: model` is short for `name: {model: model}`
        short = {k: {"model": v} if isinstance(v, str) else v for k, v in models.items()}
        content = {**content, "models": short}
    experiment = build(content, kind, str(path))
    if "seeds" in changes:
        for key in ("arms", "evaluations"):
            entries = getattr(experiment, key).items()
            changes[key] = {name: replace(entry, seeds=None) for name, entry in entries}
    experiment = replace(experiment, **changes)
    for problem in problems(experiment):
        raise UserError(f"{path}: {problem}")
    return experiment
