"""Runs that are compared: arms, related by hashes of weights, and the figures of each group."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from handan import budgets
from handan.alignment.align import align
from handan.alignment.correlation import finite_or_none, fisher_mean
from handan.alignment.costs import GREEDY, decoded_name
from handan.alignment.items import TaskCosts, final_costs, item_costs
from handan.alignment.pairs import Comparisons, Pairs, choose_pairs, read_runs
from handan.config import read_yaml
from handan.errors import UserError
from handan.files import content_hash, read_appended
from handan.rundir import read_run, read_settings
from handan.training.arms import described

BOOTSTRAP = 10_000
# Long sentences of reports; a '{place}' in one is filled where it is used.
WORDS = read_yaml(Path(__file__).with_name("words.yaml"))
# What a sentence calls an arm of each kind, in the order of tables.
KINDS = {
    "base": "the base model",
    "teacher": "the teacher",
    "student": "the {method} student",  # imitates a teacher
    "trained": "the {method} model",  # on its own answers
    "control": "the {method} control",  # student of a model trained from the student's base
    "model": "model",  # related to no other arm
}
# Keys of a row of ``course``, and what the axis says.
AXES = {
    "step": "optimizer step",
    "share": "% of the arm's own steps",
    "budget/trained_tokens": "trained tokens",
    "budget/processed_tokens": "processed tokens",
    "budget/model_flops": "model FLOPs",
    "budget/device_seconds": "device-seconds",
}
FULL = "full/"  # prefix of what was measured on the full suite


@dataclass(frozen=True, eq=False)
class Arm:
    """One run of one model. What it was trained from or on is None if it was not evaluated."""

    name: str
    run_dir: Path
    run: Mapping[str, Any]
    config: Mapping[str, Any]
    metrics: tuple[dict, ...] = ()
    sweep: tuple[dict, ...] = ()  # rows measured on its checkpoints afterwards
    greedy: str | None = None  # name of its answers at temperature 0
    base: str | None = None  # arm whose weights its training began with
    teacher: str | None = None  # arm whose traces it was trained on
    kind: str = "model"  # of KINDS

    @property
    def training(self) -> Mapping[str, Any]:
        return self.run.get("training", {})

    @property
    def training_config(self) -> Mapping[str, Any]:
        return self.config.get("training", {})

    @property
    def published(self) -> Mapping[str, Any]:
        """The training of a published model as a zoo declares it; empty if it is not of a zoo."""
        return self.run.get("published", {})

    @property
    def started_from(self) -> str | None:
        """Hash of the weights its training began with, evaluated or not."""
        return self.training_config.get("model_fingerprint") or self.published.get("base")

    @property
    def root(self) -> str | None:
        """Hash of the weights at the start of the first of the trainings that led to this arm."""
        return budgets.root(self.training, self.started_from)

    @property
    def evaluation(self) -> Mapping[str, Any]:
        return self.run.get("evaluation", {})

    @property
    def suite(self) -> Mapping[str, Any]:
        return self.config.get("evaluation", {}).get("suite") or {}

    @property
    def fingerprint(self) -> str | None:
        """Hash of the evaluated weights."""
        return self.config.get("evaluation", {}).get("model_fingerprint")

    @property
    def recipe(self) -> str | None:
        return self.training.get("recipe") or self.published.get("recipe")

    @property
    def method(self) -> str | None:
        """Its recipe in words."""
        return described(self.recipe).method if self.recipe else None

    @property
    def taught_by(self) -> Mapping[str, Any]:
        """Its teacher's name and hash of weights as run.json has them, evaluated or not."""
        return self.training.get("teacher") or self.published.get("teacher") or {}

    @property
    def teacher_said(self) -> str | None:
        return self.taught_by.get("arm")

    @property
    def place(self) -> dict[str, str | None]:
        return {"role": self.kind, "base": self.base, "teacher": self.teacher}

    @property
    def noun(self) -> str:
        """Its name in a sentence: its kind, and its own name where that adds something."""
        noun = KINDS[self.kind].format(method=self.method)
        return noun if self.name.casefold() in noun.casefold().split() else f"{noun} {self.name}"

    @property
    def role(self) -> str:
        """Its place in the experiment, for tables."""
        trained = f"{self.method}{f' from {self.base}' if self.base else ''}"
        if self.kind in ("student", "control"):
            whom = self.teacher or self.teacher_said or "an unrecorded teacher"
            relation = ", which has the same base" if self.kind == "control" else ""
            how = described(self.recipe).by_teacher
            return f"{self.kind}: {trained} {how} {whom}{relation}"
        if self.kind == "teacher":
            return f"teacher, trained by {trained}" if self.method else "teacher"
        others = {"base": "base model", "trained": trained, "model": "not related to another arm"}
        return others[self.kind]


def same_start(a: Arm, b: Arm) -> bool:
    """Tell whether the trainings of both began with the same weights."""
    return a.started_from is not None and a.started_from == b.started_from


def relate(arms: Sequence[Arm]) -> list[Arm]:
    """The arms of a group with base, teacher and kind, in the order of ``KINDS``."""
    by_weights = {arm.fingerprint: arm.name for arm in reversed(arms) if arm.fingerprint}

    def found(weights: str | None, seeker: Arm) -> str | None:
        name = by_weights.get(weights or "")
        return None if name == seeker.name else name

    by_name = {arm.name: arm for arm in arms}
    base_of = {arm.name: found(arm.started_from, arm) for arm in arms}
    teacher_of = {arm.name: found(arm.taught_by.get("model_fingerprint"), arm) for arm in arms}
    taught = {a: teacher for a, teacher in teacher_of.items() if teacher}
    controls = {a for a, teacher in taught.items() if same_start(by_name[a], by_name[teacher])}
    teachers = {teacher for a, teacher in taught.items() if a not in controls}

    def kind(arm: Arm) -> str:
        if arm.method and (arm.teacher_said or arm.training.get("traces")):
            return "control" if arm.name in controls else "student"
        if arm.name in base_of.values() and not arm.method:
            return "base"
        if arm.name in teachers:
            return "teacher"
        return "trained" if arm.method else "model"

    related = [
        replace(arm, base=base_of[arm.name], teacher=teacher_of[arm.name], kind=kind(arm))
        for arm in arms
    ]
    return sorted(related, key=lambda arm: list(KINDS).index(arm.kind))


def compared_budgets(arms: Iterable[Arm], tolerance: float) -> list[dict[str, Any]]:
    """Budgets of pairs of arms that began with the same weights; none went on from the other."""
    return [
        row
        for a, b in combinations(arms, 2)
        if a.root is not None and a.root == b.root and a.base != b.name and b.base != a.name
        if (row := budgets.compare((a.name, a.run), (b.name, b.run), tolerance)) is not None
    ]


def comparisons(arms: Sequence[Arm]) -> Comparisons:
    """Pairs to contrast, to regress and to compare in effort, each also at temperature 0.

    Arms are contrasted with teacher, base and the first base; students with arms trained from the
    same base on their own answers, and those with the teachers; unrelated ones all, if few.
    """
    to_teacher = [(arm.name, arm.teacher) for arm in arms if arm.teacher]
    to_base = [(arm.name, arm.base) for arm in arms if arm.base]
    to_first = [
        (arm.name, other.name)
        for arm, other in product(arms, arms)
        if arm.root != arm.started_from and other.started_from == arm.root
        if other.name != arm.base
    ]
    students, trained = ([a for a in arms if a.kind == kind] for kind in ("student", "trained"))
    beside = [(one, other) for one, other in product(students, trained) if same_start(one, other)]
    pairs = to_teacher + to_base + to_first + [(a.name, b.name) for a, b in beside]
    pairs += [
        (other.name, student.teacher)
        for student, other in beside
        if student.teacher and (student.teacher, other.name) not in pairs
    ]
    pairs = pairs or choose_pairs([arm.name for arm in arms], None)
    greedy = {arm.name: arm.greedy for arm in arms}

    def also_greedy(pairs: Pairs) -> Pairs:
        unique = list(dict.fromkeys(pairs))
        cold = [(greedy[a], greedy[b]) for a, b in unique]
        return unique + [(a, b) for a, b in cold if a and b]

    roles = {
        pair: (arm.kind, role)
        for arm in arms
        for name, role in ((arm.teacher, "teacher"), (arm.base, "base"))
        if name and arm.kind in ("student", "teacher")
        for pair in also_greedy([(arm.name, name)])
    }
    return Comparisons(also_greedy(pairs), also_greedy(to_base), also_greedy(to_teacher), roles)


@dataclass(frozen=True)
class Group:
    """Arms that were measured under the same conditions, with their figures."""

    conditions: Mapping[str, Any]  # 'comparability' of their run.json
    arms: list[Arm]
    costs: Mapping[str, Mapping[str, TaskCosts]]  # {model, with sampling or at T = 0: {task: ...}}
    result: Mapping[str, Any]  # of handan.alignment.align.align

    def tasks(self, source: str) -> list[str]:
        """Names of the tasks whose costs are compared with 'human' or 'analytic' ones."""
        every = [of_task for arm in self.arms for of_task in self.costs[arm.name].items()]
        return sorted({task for task, costs in every if costs.cost_source == source})

    def figures(self, model: str | None) -> Mapping[str, Any] | None:
        """All figures of a model, None if there is no such model."""
        return self.result["models"].get(model) if model else None

    def of_tasks(self, model: str | None) -> Mapping[str, Mapping[str, Any]]:
        """{task: figures} of a model, empty if there is no such model."""
        return (self.figures(model) or {"tasks": {}})["tasks"]

    def models(self) -> list[str]:
        """Arm by arm its name and that of its answers at temperature 0."""
        return [name for arm in self.arms for name in (arm.name, arm.greedy) if name]

    def over_tasks(self, model: str | None, column: str) -> float | None:
        """Plain mean of a figure over the human tasks; None where it is unknown."""
        rows = [row for row in self.of_tasks(model).values() if row["cost_source"] == "human"]
        values = [row[column] for row in rows if row[column] is not None]
        return sum(values) / len(values) if values else None

    def mean_r(
        self, model: str | None, source: str = "human"
    ) -> tuple[float | None, Sequence[float] | None]:
        """Mean r of a model over its human or analytic tasks, and its interval."""
        key = "mean_r_loglog" if source == "human" else "mean_r_loglog_analytic"
        figures = self.figures(model) or {}
        return figures.get(key), figures.get(f"{key}_ci")

    def ceiling(self) -> float | None:
        """Fisher-z mean of the human ceilings over the human tasks; None if one is unknown."""
        ceilings = [self.task_figure(task, "ceiling") for task in self.tasks("human")]
        known = bool(ceilings) and None not in ceilings
        return finite_or_none(fisher_mean(np.array(ceilings, dtype=float))) if known else None

    def task_figure(self, task: str, column: str) -> float | None:
        """A figure that belongs to the task, so that the first arm which knows it will do."""
        rows = (self.of_tasks(arm.name).get(task, {}) for arm in self.arms)
        known = (row[column] for row in rows if row and row[column] is not None)
        return next(map(float, known), None)

    def arm(self, wanted: str | None) -> Arm:
        """The arm of this name, which must be there."""
        return next(arm for arm in self.arms if arm.name == wanted)

    def contrast(
        self, a: str | None, b: str | None, task: str | None = None, mean: str = "human"
    ) -> Mapping[str, Any] | None:
        """The contrast of a with b on a task, or on the mean over human or analytic tasks."""
        column, wanted = ("task", task) if task else ("mean", mean)
        rows = self.result["contrasts"]
        return next((r for r in rows if (r["a"], r["b"], r[column]) == (a, b, wanted)), None)

    def contrasts(self, mean: str = "human") -> list[Mapping[str, Any]]:
        """Contrasts of the arms with sampling on the mean over human or analytic tasks."""
        names, rows = [arm.name for arm in self.arms], self.result["contrasts"]
        return [row for row in rows if row["mean"] == mean and row["a"] in names]

    def greedy_contrast(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The contrast of the same two arms on the same mean, at temperature 0."""
        a, b = (self.arm(row[of]).greedy for of in "ab")
        return self.contrast(a, b, mean=row["mean"])

    @property
    def suite(self) -> str:
        return str(self.conditions.get("suite", "without a name"))

    def format_of(self, task: str) -> str | None:
        """The trace format whose noise-free length is the oracle of a task."""
        entries = [entry for arm in self.arms for entry in arm.suite.get("tasks", [])]
        formats = [entry.get("format") for entry in entries if entry.get("task") == task]
        return next((str(found) for found in formats if found), None)


@dataclass(frozen=True)
class Comparison:
    """Everything the page is made of; the largest group comes first."""

    groups: list[Group]
    traces: Mapping[str, Mapping[str, Any]]
    tolerance: float = budgets.TOLERANCE  # of budgets

    @property
    def main(self) -> Group:
        """The group with most runs, the one given first among equals."""
        return self.groups[0]

    @property
    def arms(self) -> list[Arm]:
        return [arm for group in self.groups for arm in group.arms]

    def rows(self, kind: str) -> list[Mapping[str, Any]]:
        """The 'contrasts', 'inflation' or 'notes' of all groups."""
        return [row for group in self.groups for row in group.result[kind]]

    def budget_rows(self) -> list[dict[str, Any]]:
        """Budgets of the arms of a group that began alike, pair by pair."""
        found = [compared_budgets(group.arms, self.tolerance) for group in self.groups]
        return [row for rows in found for row in rows]

    def alignment(self) -> dict[str, Any]:
        """All models, contrasts and fits in the layout of alignment.json; power of ``main``."""
        results = [group.result for group in self.groups]
        parts = results[0]["study"]
        study = {part: [row for of in results for row in of["study"][part]] for part in parts}
        return {
            "models": {k: v for result in results for k, v in result["models"].items()},
            "contrasts": self.rows("contrasts"),
            "inflation": self.rows("inflation"),
            "study": study,
            "mixed": [],
            "power": results[0]["power"],
            "settings": results[0]["settings"],
            "notes": self.rows("notes"),
            "budgets": self.budget_rows(),
            "groups": [
                {"comparability": of.conditions, "arms": {arm.name: arm.place for arm in of.arms}}
                for of in self.groups
            ],
        }


def read_comparison(run_dirs: Sequence[Path], tolerance: float = budgets.TOLERANCE) -> Comparison:
    """Read run directories, among them some of traces, relate them, and compute all figures."""
    together: dict[str, list[Path]] = {}
    trace_runs: list[Mapping[str, Any]] = []
    for run_dir in run_dirs:
        if not (run_dir / "run.json").exists():
            lack = "holds no run.json" if run_dir.is_dir() else "no such run directory"
            raise UserError(f"{run_dir}: {lack}; name the directory of an evaluated run")
        run = read_run(run_dir)
        if "comparability" not in run and "traces" in run:
            trace_runs.append(run["traces"])
        else:
            together.setdefault(content_hash(run.get("comparability")), []).append(run_dir)
    if not together:
        raise UserError("no evaluated run was named; evaluate one with handan evaluate")
    groups: list[Group] = []
    seen: dict[str, Arm] = {}
    for of_group in sorted(together.values(), key=len, reverse=True):
        runs = read_runs(of_group, allow_different=False)
        arms = [read_arm(run_dir, runs.models[run_dir]) for run_dir in of_group]
        for arm in arms:
            other = seen.setdefault(arm.name, arm)
            if other is not arm:
                both = f"{other.run_dir} and {arm.run_dir} both have a model named '{arm.name}'"
                raise UserError(f"{both}; rename 'arm' in one run.json")
        arms = relate(arms)
        seed = arms[0].suite.get("seed", 0)
        valid_seed = seed if isinstance(seed, int) and seed >= 0 else 0
        pairs = comparisons(arms)
        result = align(runs.table, bootstrap=BOOTSTRAP, seed=valid_seed, comparisons=pairs)
        result["notes"] = runs.notes + result["notes"]
        costs = final_costs(item_costs(runs.table))
        groups.append(Group(arms[0].run["comparability"], arms, costs, result))
    found = {name: _traces_of(arm, trace_runs) for name, arm in seen.items()}
    known = {name: traces for name, traces in found.items() if traces is not None}
    return Comparison(groups, known, tolerance)


def read_arm(run_dir: Path, models: Sequence[str]) -> Arm:
    """Read an arm with what was measured along its training, not yet related to others."""
    run, config = read_run(run_dir), read_settings(run_dir)
    called = str(run.get("arm") or run_dir.resolve().name)
    name = called if called in models else models[0]
    greedy = decoded_name(called, GREEDY)
    paths = run_dir / "metrics.jsonl", run_dir / "sweep" / "metrics.jsonl"
    metrics, sweep = (tuple(read_appended(path)) if path.exists() else () for path in paths)
    cold = greedy if greedy in models and greedy != name else None
    return Arm(name, run_dir, run, config, metrics, sweep, cold)


def _traces_of(arm: Arm, given: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Find its teacher's traces in run.json of their making; the hash of the file proves them."""
    if not (wanted := arm.training.get("traces")):
        return None
    made = Path(str(arm.training_config.get("traces", ""))).parent
    folders = [made, arm.run_dir.parent / made.name]
    beside = [read_run(of).get("traces", {}) for of in folders]
    return next((of for of in [*given, *beside] if of.get("traces_sha256") == wanted), None)


def course(arm: Arm) -> list[dict[str, Any]]:
    """Numbers of metrics.jsonl, or of a sweep if there are none, and 'share' in %, step by step."""
    last = max((row["step"] for row in _with_step(arm.metrics + arm.sweep)), default=0)
    rows = _measured(arm.metrics) or _measured(arm.sweep)
    shares = {step: 100 * step / last if last else 0.0 for step in sorted(rows)}
    return [{**rows[step], "share": share} for step, share in shares.items()]


def _with_step(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The numbers of the rows that have a step."""
    numbers = [{k: v for k, v in row.items() if isinstance(v, (int, float))} for row in rows]
    return [row for row in numbers if "step" in row]


def _measured(rows: Iterable[Mapping[str, Any]]) -> dict[float, dict[str, Any]]:
    """{step: row} of the rows with an alignment; several rows of one step become one."""
    found: dict[float, dict[str, Any]] = {}
    for row in _with_step(rows):
        if any(key.startswith(("alignment/", f"{FULL}alignment/")) for key in row):
            found[row["step"]] = found.get(row["step"], {}) | row
    return found


def swept(arm: Arm) -> bool:
    """Tell whether an arm was measured on its checkpoints, not while it was trained."""
    return not _measured(arm.metrics) and bool(_measured(arm.sweep))


def known_axes(arms: Iterable[Arm]) -> dict[str, str]:
    """Those of ``AXES`` that every row of every arm's course knows."""
    rows = [row for arm in arms for row in course(arm)]
    return {key: label for key, label in AXES.items() if all(key in row for row in rows)}
