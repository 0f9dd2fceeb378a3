"""Declaration of an experiment or study; its paths are relative to the clone."""

import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from handan.alignment.correlation import INVERSE_VARIANCE, TASK_WEIGHTS
from handan.budgets import TOLERANCE
from handan.config import build, check_values, read_yaml
from handan.errors import UserError
from handan.files import shipped
from handan.report.verdicts import OF_TWO, Requirement
from handan.training.arms import RECIPES

SAMPLED, GREEDY = "T=1", "T=0"
TEMPERATURES = (SAMPLED, GREEDY)
# Names beside the run directories, and arguments that the experiment gives itself.
RESERVED_NAMES = ("logs", "report.html", "alignment.json")
OWN_ARGUMENTS = ("output_dir", "config")
EVALUATE = "eval/run.py"
EXPECTED = {  # what a claim's test may look at, and the outcomes that can be predicted of it
    "r": ("positive",),
    "difference": ("lower", "higher", "kept"),
    "law": ("constant multiplier", "additive", "decoupled"),
    "effort": ("alike",),
}


@dataclass(frozen=True)
class Model:
    """A model that is evaluated as it is, or first made by ``pretraining``."""

    model: str | None = None  # directory, or owner/name on the hub
    pretraining: str | None = None  # YAML of recipes/pretrain.py
    revision: str | None = None  # of the hub repository
    suite: str | None = None  # instead of the experiment's
    evaluation: dict[str, Any] = field(default_factory=dict)  # more arguments of eval/run.py


@dataclass(frozen=True)
class Traces:
    """A trace set, for students to imitate."""

    teacher: str | None = None  # a model or arm; null is the one that the config names
    choose_from: str | None = None  # the trace set that the config's policy chooses from
    config: str | None = None  # of recipes/traces.py, by default CONFIGS/traces.yaml
    settings: dict[str, Any] = field(default_factory=dict)  # more arguments of the recipe
    accelerate_config: str | None = None  # instead of the experiment's


@dataclass(frozen=True)
class Arm:
    """One training and its evaluation."""

    recipe: str  # one of RECIPES
    config: str | None = None  # by default CONFIGS/RECIPE.yaml
    start: str | None = None  # model or arm it begins with; null is what the config names
    traces: str | None = None  # trace set it imitates
    teacher: str | None = None  # model or arm that scores its own samples
    suite: str | None = None  # this and the following as in Model and Traces
    settings: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    accelerate_config: str | None = None
    seeds: list[int] | None = None  # instead of the experiment's


@dataclass(frozen=True)
class Evaluation:
    """A further evaluation of the weights of models and arms, which is in no report."""

    suite: str
    of: list[str]
    seeds: list[int] | None = None  # repetitions of the arms; null is every one


@dataclass(frozen=True)
class Factor:
    """A question, and the arms that answer it beside the model or arm they are compared with."""

    question: str
    against: str
    arms: list[str]


@dataclass(frozen=True)
class ClaimTest:
    """One test at each temperature, with the outcome expected.

    ``r`` is mean alignment of a over the human tasks; ``difference``, a's minus b's; ``law``, that
    lengths of a follow from those of b; ``effort``, a's mean tokens / b's.
    """

    measure: str
    a: str
    expect: str
    b: str | None = None


@dataclass(frozen=True)
class Claim:
    """A claim in a sentence, what must be found for it to be reproduced, and what it requires."""

    says: str
    tests: list[ClaimTest]
    requires: list[Requirement] = field(default_factory=list)


@dataclass(frozen=True)
class Experiment:
    """The content of a YAML in recipes/experiments, or of a study in recipes/studies."""

    output_dir: str  # folder of all run directories and of the report
    configs: str  # folder of the recipes' YAMLs
    suite: str  # of every model and arm
    accelerate_config: str | None  # of trainings and traces; null is one plain process
    models: dict[str, Model]  # by name, which is also that of the run directory
    arms: dict[str, Arm]
    traces: dict[str, Traces] = field(default_factory=dict)
    evaluation_accelerate_config: str | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)  # more arguments of eval/run.py
    training: dict[str, Any] = field(default_factory=dict)  # more arguments of every arm's recipe
    parallel: int = 1  # stages at the same time; more than 1 only if they share no accelerator
    seeds: list[int] = field(default_factory=lambda: [1])  # of all that depends on training
    budget_tolerance: float = TOLERANCE  # budgets count as matched within this share
    evaluations: dict[str, Evaluation] = field(default_factory=dict)  # into directories OF-NAME
    # Of a study: its results page, with a table for each factor; its claims; the bound within
    # which differences of r count as none; and how tasks weigh in a mean.
    page: str = ""
    factors: dict[str, Factor] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    equivalence_bound: float = 0.1
    task_weights: str = INVERSE_VARIANCE

    @property
    def tests(self) -> list[ClaimTest]:
        """Those of all claims, each once."""
        return list(dict.fromkeys(test for claim in self.claims.values() for test in claim.tests))

    def config_of(self, entry: Arm | Traces) -> str:
        """The YAML of an arm's recipe, or of a trace set."""
        stem = entry.recipe if isinstance(entry, Arm) else "traces"
        return entry.config or f"{self.configs}/{stem}.yaml"

    def builds_on(self, name: str) -> list[str]:
        """Names of the models, trace sets and arms that a trace set or an arm is made from."""
        if name in self.traces:
            found = [self.traces[name].teacher, self.traces[name].choose_from]
        else:
            arm = self.arms.get(name)
            found = [arm.start, arm.traces, arm.teacher] if arm else []
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
        first = [seed for seed in self.seeds if seed in found or not self.arms]
        return first + sorted(found - set(self.seeds))

    def start_of(self, name: str) -> str | None:
        """What an arm begins with; None for a model."""
        return self.arms[name].start if name in self.arms else None

    def teacher_of(self, name: str) -> str | None:
        """The declared writer of what an arm imitates, or scorer of its samples; None without."""
        arm = self.arms.get(name)
        if arm is None or arm.teacher is not None or arm.traces is None:
            return arm.teacher if arm else None
        traces = self.traces[arm.traces]
        while traces.choose_from is not None:
            traces = self.traces[traces.choose_from]
        return traces.teacher


def load_experiment(
    path: Path, seed: int | None = None, accelerate_config: str | None = None, study: bool = False
) -> Experiment:
    """Read and check an experiment or study; a single ``seed`` is that of every arm."""
    content = read_yaml(path)
    models = content.get("models")
    if isinstance(models, dict):  # `name: model` is short for `name: {model: model}`
        short = {k: {"model": v} if isinstance(v, str) else v for k, v in models.items()}
        content = {**content, "models": short}
    experiment = build(content, Experiment, str(path))
    if accelerate_config is not None:
        experiment = replace(experiment, accelerate_config=accelerate_config)
    if seed is not None:
        arms = {name: replace(arm, seeds=None) for name, arm in experiment.arms.items()}
        further = {k: replace(entry, seeds=None) for k, entry in experiment.evaluations.items()}
        experiment = replace(experiment, seeds=[seed], arms=arms, evaluations=further)
    of_study = study or experiment.claims or experiment.factors
    for problems in (_problems, _problems_of_study) if of_study else (_problems,):
        for problem in problems(experiment):
            raise UserError(f"{path}: {problem}")
    return experiment


def _problems(experiment: Experiment) -> Iterator[str]:
    """Find what does not fit together, in the order in which one would mend it."""
    names = [*experiment.models, *experiment.traces, *experiment.arms]
    for key, further in experiment.evaluations.items():
        names += [f"{other}-{key}" for other in further.of]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name in RESERVED_NAMES:
            yield f"'{name}' is no name for a folder; use letters, digits, '_', '.' and '-'"
        if names.count(name) > 1:
            yield f"'{name}' names two things; every model, trace set and arm needs its own name"
    yield from _wrong_entries(experiment)
    yield from _unknown_names(experiment)
    names = [*experiment.arms, *experiment.traces]
    try:
        TopologicalSorter({name: experiment.builds_on(name) for name in names}).prepare()
    except CycleError as error:
        yield f"arms wait for each other in a circle: {' -> '.join(reversed(error.args[1]))}"
    yield from _wrong_seeds(experiment)
    yield from _missing_files(experiment)
    yield from _unevaluated_starts(experiment)
    launch = experiment.accelerate_config
    processes = read_yaml(Path(launch)).get("num_processes", 1) if launch else 1
    if experiment.parallel > 1 and processes > 1:
        already = f"a launch of {launch} has {processes} processes already"
        yield f"parallel is {experiment.parallel}, but {already}; set parallel: 1"


def _wrong_entries(experiment: Experiment) -> Iterator[str]:
    if experiment.parallel < 1 or not experiment.seeds or experiment.budget_tolerance < 0:
        yield "parallel must be 1 or more, seeds one or more, budget_tolerance 0 or more"
    for name, model in experiment.models.items():
        if (model.model is None) == (model.pretraining is None):
            yield f"models.{name}: give either model or pretraining"
        if model.pretraining is not None and model.revision is not None:
            yield f"models.{name}: revision is that of a model on the hub; remove it"
    for name, drawn in experiment.traces.items():
        if drawn.teacher is not None and drawn.choose_from is not None:
            yield f"traces.{name}: give either teacher or choose_from"
    for name, arm in experiment.arms.items():
        if arm.recipe not in RECIPES:
            yield f"arms.{name}: recipe is '{arm.recipe}'; use {', '.join(RECIPES)}"
    for place, _, arguments in _passed_on(experiment):
        for key in arguments:
            if not re.fullmatch(r"[A-Za-z]\w*", str(key)) or key in OWN_ARGUMENTS:
                yield f"{place}: '{key}' is no argument to give here; names decide where things go"


def _passed_on(experiment: Experiment) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Place, script (of a trace set, its YAML) and values of all further arguments."""
    yield "evaluation", EVALUATE, experiment.evaluation
    for kind in ("models", "arms"):
        for name, entry in getattr(experiment, kind).items():
            yield f"{kind}.{name}.evaluation", EVALUATE, entry.evaluation
    for name, drawn in experiment.traces.items():
        yield f"traces.{name}.settings", experiment.config_of(drawn), drawn.settings
    for name, arm in experiment.arms.items():
        yield "training", f"recipes/{arm.recipe}.py", experiment.training
        yield f"arms.{name}.settings", f"recipes/{arm.recipe}.py", arm.settings


def check_passed_on(experiment: Experiment, place: str) -> None:
    """Check keys and types of all further arguments; scripts are imported, which takes seconds."""
    from trl import ModelConfig

    from handan.traces.trace_settings import kind_of

    for key, source, arguments in _passed_on(experiment):
        kinds: list[Any] = [] if source == EVALUATE else [ModelConfig]
        if source.endswith(".py"):
            kinds += [of for of in runpy.run_path(shipped(source)).values() if is_dataclass(of)]
        else:
            kinds = [kind_of(Path(source))]
        check_values(arguments, kinds, f"{place}: {key}", words=True)


def _unknown_names(experiment: Experiment) -> Iterator[str]:
    weights = {*experiment.models, *experiment.arms}
    named: list[tuple[str, str | None]] = []
    for kind, of_set in (("traces", "choose_from"), ("arms", "traces")):
        for key, entry in getattr(experiment, kind).items():
            if (other := getattr(entry, of_set)) and other not in experiment.traces:
                yield f"{kind}.{key}: {of_set} '{other}' is not under traces"
            roles = [role for role in ("start", "teacher") if hasattr(entry, role)]
            named += [(f"{kind}.{key}: {role}", getattr(entry, role)) for role in roles]
    for key, further in experiment.evaluations.items():
        named += [(f"evaluations.{key}:", other) for other in further.of]
    for key, factor in experiment.factors.items():
        named += [(f"factors.{key}:", other) for other in (factor.against, *factor.arms)]
    for key, claim in experiment.claims.items():
        pairs = [(one.a, one.b) for one in claim.requires] + [(t.a, t.b) for t in claim.tests]
        named += [(f"claims.{key}:", other) for pair in pairs for other in pair]
    for place, name in named:
        if name and name not in weights:
            yield f"{place} '{name}' is no model and no arm"


def _wrong_seeds(experiment: Experiment) -> Iterator[str]:
    declared: dict[str, list[int] | None] = {"seeds": experiment.seeds}
    for kind in ("arms", "evaluations"):
        for name, entry in getattr(experiment, kind).items():
            declared[f"{kind}.{name}.seeds"] = entry.seeds
    for place, seeds in declared.items():
        if seeds is not None and len(set(seeds)) < len(seeds):
            yield f"{place} names a seed twice; name each repetition's own"
        if seeds == []:
            yield f"{place} is empty; name one or more, or null for all"
    for name in (*experiment.traces, *experiment.arms):
        for other in experiment.builds_on(name):
            missing = set(experiment.seeds_of(name)) - set(experiment.seeds_of(other))
            if other in experiment.arms and missing:
                cure = f"add {min(missing)} to arms.{other}.seeds"
                made = f"{name} is made for seed {min(missing)}"
                yield f"{made}, {other}, which it builds on, is not; {cure}"
    for key, further in experiment.evaluations.items():
        for other in further.of:
            missing = set(further.seeds or ()) - set(experiment.seeds_of(other))
            if other in experiment.arms and missing:
                cure = f"add it to arms.{other}.seeds or leave it out"
                yield f"evaluations.{key}: {other} has no seed {min(missing)}; {cure}"


def _missing_files(experiment: Experiment) -> Iterator[str]:
    keys = ("suite", "accelerate_config", "evaluation_accelerate_config")
    files: dict[str, str | None] = {key: getattr(experiment, key) for key in keys}
    for kind in ("models", "traces", "arms", "evaluations"):
        for name, entry in getattr(experiment, kind).items():
            for key in ("suite", "pretraining", "accelerate_config"):
                files[f"{kind}.{name}.{key}"] = getattr(entry, key, None)
            if kind in ("traces", "arms"):
                files[f"{kind}.{name}.config"] = experiment.config_of(entry)
    for key, path in files.items():
        if path and not Path(shipped(path)).is_file():
            yield f"{key} is {path}: no such file; give its path from this folder"


def _unevaluated_starts(experiment: Experiment) -> Iterator[str]:
    """Find arms that begin with a model that is not evaluated, as their recipe's YAML names it."""
    known = {m.model: m.revision for m in experiment.models.values() if m.model is not None}
    for name in (name for name, arm in experiment.arms.items() if arm.start is None):
        config = experiment.config_of(experiment.arms[name])
        settings = read_yaml(Path(config))
        begins, revision = str(settings.get("model_name_or_path")), settings.get("model_revision")
        if begins not in known:
            cure = "add it there, so that it is evaluated too, or set start"
            yield f"arms.{name}: {config} starts from {begins}, which is not under models; {cure}"
        elif revision != known[begins]:
            starts = f"{config} starts from revision {revision} of {begins}"
            yield f"arms.{name}: {starts}, models has {known[begins]}; let both agree"


def _problems_of_study(study: Experiment) -> Iterator[str]:
    if not study.page or not study.factors or not study.claims:
        cure = "an experiment without them is run by handan experiment"
        yield f"a study names a page, factors and claims; {cure}"
    if not 0 < study.equivalence_bound < 1:
        yield f"equivalence_bound is {study.equivalence_bound:g}; give one between 0 and 1"
    if study.task_weights not in TASK_WEIGHTS:
        yield f"task_weights is '{study.task_weights}'; use {' or '.join(TASK_WEIGHTS)}"
    shown = {arm for factor in study.factors.values() for arm in (factor.against, *factor.arms)}
    for name, arm in study.arms.items():
        if arm.start is None:
            yield f"arms.{name}: name the model or arm it begins with as start"
        if name not in shown:
            yield f"arms.{name}: in no factor, so that it would be in no table; add it to one"
    required = [(name, one) for name, claim in study.claims.items() for one in claim.requires]
    for name, one in required:
        if one.measure not in OF_TWO:
            yield f"claims.{name}: '{one.measure}' is no requirement; use {', '.join(OF_TWO)}"
        elif bool(one.b) != OF_TWO[one.measure]:
            sides = "a and b" if OF_TWO[one.measure] else "a alone"
            yield f"claims.{name}: requirement {one.measure} needs {sides}"
    for name, test in ((name, test) for name, of in study.claims.items() for test in of.tests):
        if test.expect not in EXPECTED.get(test.measure, ()):
            allowed = "; ".join(f"{k}: {', '.join(v)}" for k, v in EXPECTED.items())
            yield f"claims.{name}: '{test.measure}: {test.expect}' is no test; use {allowed}"
        by_measure = {"law": study.start_of(test.a), "effort": study.teacher_of(test.a)}
        if test.b is not None and by_measure.get(test.measure, test.b) != test.b:
            beside = "what it starts from (law) or its teacher (effort)"
            of = f"claims.{name}: measure {test.measure} is of an arm beside {beside}"
            yield f"{of}, and '{test.b}' is not that of '{test.a}'"
        if (test.b is None) != (test.measure == "r"):
            yield f"claims.{name}: measure {test.measure} needs a and b; r needs a alone"
