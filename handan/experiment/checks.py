"""Whether the parts of an experiment fit together, before anything is run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handan.config import read_yaml
from handan.training.arms import RECIPES

if TYPE_CHECKING:
    from handan.experiment.declared import Experiment

# Files and folders beside the run directories, and arguments that the experiment gives itself.
RESERVED = ("logs", "report.html", "alignment.json")
OWN = ("output_dir", "config")


def _more_arguments(experiment: "Experiment") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of further arguments, and where it stands."""
    yield "evaluation", experiment.evaluation
    for kind in ("models", "traces", "arms"):
        for name, entry in getattr(experiment, kind).items():
            for key in ("settings", "evaluation"):
                yield f"{kind}.{name}.{key}", getattr(entry, key, {})


def problems(experiment: "Experiment") -> Iterator[str]:
    """What does not fit together, in the order in which one would mend it."""
    yield from _wrong_names(experiment)
    if experiment.parallel < 1 or not experiment.seeds or experiment.budget_tolerance < 0:
        yield "parallel must be 1 or more, seeds one or more, budget_tolerance 0 or more"
    for place, settings in _more_arguments(experiment):
        for key in settings:
            if not re.fullmatch(r"[A-Za-z]\w*", str(key)) or key in OWN:
                yield f"{place}: '{key}' is no argument to give here; names decide where things go"
    yield from _references(experiment)
    yield from _wrong_seeds(experiment)
    yield from _missing_files(experiment)
    yield from _beginnings(experiment)
    launch = experiment.accelerate_config
    processes = read_yaml(Path(launch)).get("num_processes", 1) if launch else 1
    if experiment.parallel > 1 and processes > 1:
        yield (
            f"parallel is {experiment.parallel}, but a launch of {launch} "
            f"has {processes} processes already; set parallel: 1"
        )


def _wrong_names(experiment: "Experiment") -> Iterator[str]:
    names = [*experiment.models, *experiment.traces, *experiment.arms]
    for key, further in experiment.evaluations.items():
        names += [f"{other}-{key}" for other in further.of]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name in RESERVED:
            yield f"'{name}' is no name for a folder; use letters, digits, '_', '.' and '-'"
        if names.count(name) > 1:
            yield f"'{name}' names two things; every model, trace set and arm needs its own name"


def _references(experiment: "Experiment") -> Iterator[str]:
    """What is named but not declared, or named beside what it excludes."""
    models, arms, traces = experiment.models, experiment.arms, experiment.traces
    weights = {**models, **arms}
    for name, model in models.items():
        if (model.model is None) == (model.pretraining is None):
            yield f"models.{name}: give either model or pretraining"
        if model.pretraining is not None and model.revision is not None:
            yield f"models.{name}: revision is that of a model on the hub; remove it"
    for name, drawn in traces.items():
        if drawn.teacher is not None and drawn.teacher not in weights:
            yield f"traces.{name}: teacher '{drawn.teacher}' is no model and no arm"
        if drawn.choose_from is not None and drawn.choose_from not in traces:
            yield f"traces.{name}: choose_from '{drawn.choose_from}' is not under traces"
        if drawn.teacher is not None and drawn.choose_from is not None:
            yield f"traces.{name}: give either teacher or choose_from"
    for name, arm in arms.items():
        if arm.recipe not in RECIPES:
            yield f"arms.{name}: recipe is '{arm.recipe}'; use {', '.join(RECIPES)}"
        if arm.traces is not None and arm.traces not in traces:
            yield f"arms.{name}: '{arm.traces}' is not under traces"
        for key, other in (("start", arm.start), ("teacher", arm.teacher)):
            if other is not None and other not in weights:
                yield f"arms.{name}: {key} '{other}' is no model and no arm"
    for key, further in experiment.evaluations.items():
        for other in further.of:
            if other not in weights:
                yield f"evaluations.{key}: '{other}' is no model and no arm"
    for name in (*arms, *traces):
        if circle := _circle(experiment, (name,)):
            yield f"arms wait for each other in a circle: {' -> '.join(circle)}"


def _circle(experiment: "Experiment", path: tuple[str, ...]) -> tuple[str, ...]:
    """The first circle on the way from the last name of ``path`` to what it builds on."""
    for other in experiment.builds_on(path[-1]):
        if other in path:
            return (*path[path.index(other) :], other)
        if found := _circle(experiment, (*path, other)):
            return found
    return ()


def _wrong_seeds(experiment: "Experiment") -> Iterator[str]:
    """Repetitions that are named twice, or that lack what they are made from."""
    places = {"seeds": experiment.seeds}
    places |= {f"arms.{n}.seeds": a.seeds for n, a in experiment.arms.items() if a.seeds}
    for place, seeds in places.items():
        if len(set(seeds)) < len(seeds):
            yield f"{place} names a seed twice; name each repetition's own"
    entries = {"arms": experiment.arms, "evaluations": experiment.evaluations}
    for kind, named in entries.items():
        for name, entry in named.items():  # type: ignore[attr-defined]
            if entry.seeds == []:
                yield f"{kind}.{name}.seeds is empty; name one or more, or null for all"
    for name in (*experiment.traces, *experiment.arms):
        for other in experiment.builds_on(name):
            missing = set(experiment.seeds_of(name)) - set(experiment.seeds_of(other))
            if other in experiment.arms and missing:
                yield (
                    f"{name} is made for seed {min(missing)}, {other}, which it builds on, is not; "
                    f"add {min(missing)} to arms.{other}.seeds"
                )
    for key, further in experiment.evaluations.items():
        for other in further.of:
            missing = set(further.seeds or ()) - set(experiment.seeds_of(other))
            if other in experiment.arms and missing:
                yield (
                    f"evaluations.{key}: {other} has no seed {min(missing)}; "
                    f"add it to arms.{other}.seeds or leave it out"
                )


def _missing_files(experiment: "Experiment") -> Iterator[str]:
    files = {"suite": experiment.suite}
    files["accelerate_config"] = experiment.accelerate_config or ""
    files["evaluation_accelerate_config"] = experiment.evaluation_accelerate_config or ""
    for name, model in experiment.models.items():
        files[f"models.{name}.suite"] = model.suite or ""
        files[f"models.{name}.pretraining"] = model.pretraining or ""
    for name, drawn in experiment.traces.items():
        files[f"traces.{name}.config"] = experiment.config_of(drawn)
    for name, arm in experiment.arms.items():
        files[f"arms.{name}.suite"] = arm.suite or ""
        files[f"arms.{name}.config"] = experiment.config_of(arm)
    for key, further in experiment.evaluations.items():
        files[f"evaluations.{key}.suite"] = further.suite
    for key, path in files.items():
        if path and not Path(path).is_file():
            yield f"{key} is {path}: no such file; run this in a clone of the project"


def _beginnings(experiment: "Experiment") -> Iterator[str]:
    """Arms that begin with a model that is not evaluated, as their recipe's YAML names it."""
    known = {m.model: m.revision for m in experiment.models.values() if m.model is not None}
    for name, arm in experiment.arms.items():
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
