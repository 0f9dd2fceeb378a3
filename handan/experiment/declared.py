"""What an experiment declares: models, traces and arms by name, and how they are run.

Paths in the YAML are relative to the clone, as on the command line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from handan.budgets import TOLERANCE
from handan.config import build, read_yaml
from handan.errors import UserError

# Files and folders beside the run directories, and arguments that the experiment gives itself.
RESERVED = ("logs", "report.html", "alignment.json")
OWN = ("output_dir", "config")
RECIPES = ("sft_distill", "grpo", "on_policy_distill")


@dataclass(frozen=True)
class Model:
    """A model that is evaluated as it is.

    Attributes:
        model: directory, or owner/name on the hub.
        revision: of the hub repository.
        suite: what it is evaluated on, if not on the experiment's suite.
        evaluation: more arguments of its evaluation.
    """

    model: str
    revision: str | None = None
    suite: str | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Traces:
    """What a teacher writes, for students to imitate.

    Attributes:
        teacher: name of a model or an arm; null is the one that the config names.
        config: YAML of recipes/traces.py, by default ``CONFIGS/traces.yaml``.
        settings: more arguments of the recipe.
        accelerate_config: if not the experiment's.
    """

    teacher: str | None = None
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

    def config_of(self, entry: Arm | Traces) -> str:
        """The YAML of an arm's recipe, or of a trace set."""
        stem = entry.recipe if isinstance(entry, Arm) else "traces"
        return entry.config or f"{self.configs}/{stem}.yaml"


def load_experiment(path: Path, **changes: Any) -> Experiment:
    """Read an experiment, with ``changes`` from the command line, and check what it refers to.

    Raises:
        UserError: a key or a name is wrong, or a file is missing; says which.
    """
    content = read_yaml(path)
    models = content.get("models")
    if isinstance(models, dict):  # `name: model` is short for `name: {model: model}`
        short = {k: {"model": v} if isinstance(v, str) else v for k, v in models.items()}
        content = {**content, "models": short}
    experiment = replace(build(content, Experiment, str(path)), **changes)
    for problem in _problems(experiment):
        raise UserError(f"{path}: {problem}")
    return experiment


def _more_arguments(experiment: Experiment) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of further arguments, and where it stands."""
    yield "evaluation", experiment.evaluation
    for kind in ("models", "traces", "arms"):
        for name, entry in getattr(experiment, kind).items():
            for key in ("settings", "evaluation"):
                yield f"{kind}.{name}.{key}", getattr(entry, key, {})


def _problems(experiment: Experiment) -> Iterator[str]:
    """What does not fit together, in the order in which one would mend it."""
    models, arms, traces = experiment.models, experiment.arms, experiment.traces
    names = [*models, *traces, *arms]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name in RESERVED:
            yield f"'{name}' is no name for a folder; use letters, digits, '_', '.' and '-'"
        if names.count(name) > 1:
            yield f"'{name}' names two things; every model, trace set and arm needs its own name"
    if experiment.parallel < 1 or not experiment.seeds or experiment.budget_tolerance < 0:
        yield "parallel must be 1 or more, seeds one or more, budget_tolerance 0 or more"
    for place, settings in _more_arguments(experiment):
        for key in settings:
            if not re.fullmatch(r"[A-Za-z]\w*", str(key)) or key in OWN:
                yield f"{place}: '{key}' is no argument to give here; names decide where things go"
    if len(set(experiment.seeds)) < len(experiment.seeds):
        yield "seeds names a seed twice; name each repetition's own"
    files = {"suite": experiment.suite}
    files["accelerate_config"] = experiment.accelerate_config or ""
    files["evaluation_accelerate_config"] = experiment.evaluation_accelerate_config or ""
    for name, model in models.items():
        files[f"models.{name}.suite"] = model.suite or ""
    for name, drawn in traces.items():
        files[f"traces.{name}.config"] = experiment.config_of(drawn)
        if drawn.teacher is not None and drawn.teacher not in {**models, **arms}:
            yield f"traces.{name}: teacher '{drawn.teacher}' is no model and no arm"
    for name, arm in arms.items():
        files[f"arms.{name}.suite"] = arm.suite or ""
        files[f"arms.{name}.config"] = experiment.config_of(arm)
        if arm.recipe not in RECIPES:
            yield f"arms.{name}: recipe is '{arm.recipe}'; use {', '.join(RECIPES)}"
        if arm.traces is not None and arm.traces not in traces:
            yield f"arms.{name}: '{arm.traces}' is not under traces"
        for key, other in (("start", arm.start), ("teacher", arm.teacher)):
            if other is not None and other not in {**models, **arms}:
                yield f"arms.{name}: {key} '{other}' is no model and no arm"
    for key, path in files.items():
        if path and not Path(path).is_file():
            yield f"{key} is {path}: no such file; run this in a clone of the project"
    known = {model.model: model.revision for model in models.values()}
    for name, arm in arms.items():
        config = experiment.config_of(arm)
        settings = read_yaml(Path(config))
        begins, revision = str(settings.get("model_name_or_path")), settings.get("model_revision")
        if arm.start is None and begins not in known:
            yield (
                f"arms.{name}: {config} starts from {begins}, which is not under models; "
                "add it there, so that it is evaluated too, or set start"
            )
        elif arm.start is None and revision != known[begins]:
            yield (
                f"arms.{name}: {config} starts from revision {revision} of {begins}, "
                f"models has {known[begins]}; let both agree"
            )
    launch = experiment.accelerate_config
    processes = read_yaml(Path(launch)).get("num_processes", 1) if launch else 1
    if experiment.parallel > 1 and processes > 1:
        yield (
            f"parallel is {experiment.parallel}, but a launch of {launch} "
            f"has {processes} processes already; set parallel: 1"
        )
