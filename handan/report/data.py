"""Run directories become arms; arms that were measured alike become a group with its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handan.alignment.data.compare import read_runs
from handan.alignment.data.cost_table import GREEDY_SUFFIX, CostTable
from handan.alignment.data.item_costs import TaskCosts, final_costs, item_costs
from handan.alignment.measure import align
from handan.alignment.statistics.basic import finite_or_none, fisher_mean
from handan.budgets import TOLERANCE
from handan.config import read_yaml
from handan.errors import UserError
from handan.records import content_hash, read_appended, read_json
from handan.report.roles import Arm, comparisons, relate

BOOTSTRAP = 10_000


@dataclass(frozen=True)
class Group:
    """Arms that were measured under the same conditions, with their figures.

    Attributes:
        conditions: 'comparability' of their run.json.
        arms: base first, then teacher, students, controls.
        costs: {model: {task: costs}}; the answers at temperature 0 are models of their own.
        result: of ``handan.alignment.measure.align``.
    """

    conditions: Mapping[str, Any]
    arms: list[Arm]
    costs: Mapping[str, Mapping[str, TaskCosts]]
    result: Mapping[str, Any]

    def tasks(self, source: str) -> list[str]:
        """Names of the tasks whose costs are compared with 'human' or 'analytic' ones."""
        found = {
            task: None
            for arm in self.arms
            for task, costs in self.costs[arm.name].items()
            if costs.cost_source == source
        }
        return sorted(found)

    def figures(self, model: str | None) -> Mapping[str, Any] | None:
        """All figures of a model, None if there is no such model."""
        return self.result["models"].get(model) if model else None

    def over_tasks(self, model: str | None, column: str, source: str = "human") -> float | None:
        """Plain mean of a figure over the tasks of one source; None where it is unknown."""
        figures = self.figures(model)
        if figures is None:
            return None
        values = [
            task[column]
            for task in figures["tasks"].values()
            if task["cost_source"] == source and task[column] is not None
        ]
        return sum(values) / len(values) if values else None

    def ceiling(self) -> float | None:
        """Fisher-z mean of the human ceilings over the human tasks; None if one is unknown."""
        ceilings = [self.task_figure(task, "ceiling") for task in self.tasks("human")]
        if not ceilings or None in ceilings:
            return None
        return finite_or_none(fisher_mean(np.array(ceilings, dtype=float)))

    def task_figure(self, task: str, column: str) -> float | None:
        """A figure that belongs to the task, so that the first arm which knows it will do."""
        for arm in self.arms:
            figures = self.result["models"][arm.name]["tasks"].get(task)
            if figures and figures[column] is not None:
                return float(figures[column])
        return None

    def arm(self, wanted: str | None) -> Arm:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == wanted)

    def contrast(
        self, a: str | None, b: str | None, task: str | None = None, mean: str = "human"
    ) -> Mapping[str, Any] | None:
        """The contrast of a with b on a task, or on the mean over human or analytic tasks."""
        for row in self.result["contrasts"]:
            on = row["task"] == task if task else row["mean"] == mean
            if (row["a"], row["b"]) == (a, b) and on:
                return row
        return None

    def format_of(self, task: str) -> str | None:
        """The trace format whose noise-free length is the oracle of a task."""
        for arm in self.arms:
            for entry in arm.suite.get("tasks", []):
                if entry.get("task") == task and entry.get("format"):
                    return str(entry["format"])
        return None


@dataclass(frozen=True)
class Study:
    """Everything the page is made of; the largest group comes first."""

    groups: list[Group]
    traces: Mapping[str, Mapping[str, Any]]
    tolerance: float = TOLERANCE  # of budgets

    @property
    def main(self) -> Group:
        """The group with most runs, the one given first among equals."""
        return self.groups[0]

    @property
    def arms(self) -> list[Arm]:
        """All arms of all groups."""
        return [arm for group in self.groups for arm in group.arms]

    def alignment(self) -> dict[str, Any]:
        """All models, contrasts and fits in the layout of alignment.json.

        Power is that of the main group's items.
        """
        results = [group.result for group in self.groups]
        return {
            "models": {k: v for result in results for k, v in result["models"].items()},
            "contrasts": [row for result in results for row in result["contrasts"]],
            "inflation": [row for result in results for row in result["inflation"]],
            "study": {
                name: [row for result in results for row in result["study"][name]]
                for name in results[0]["study"]
            },
            "power": results[0]["power"],
            "settings": results[0]["settings"],
            "notes": [note for result in results for note in result["notes"]],
            "groups": [
                {
                    "comparability": group.conditions,
                    "arms": {
                        arm.name: {"role": arm.kind, "base": arm.base, "teacher": arm.teacher}
                        for arm in group.arms
                    },
                }
                for group in self.groups
            ],
        }


def read_study(run_dirs: Sequence[Path], tolerance: float = TOLERANCE) -> Study:
    """Read run directories, relate them, and compute all figures group by group.

    Directories of traces may be among them; they are found by themselves if they lie where they
    were made.

    Raises:
        UserError: a file is missing or wrong, or two arms have the same name.
    """
    together: dict[str, list[Path]] = {}
    trace_runs: list[Mapping[str, Any]] = []
    for run_dir in run_dirs:
        run = _read_run(run_dir)
        if "comparability" not in run and "traces" in run:
            trace_runs.append(run["traces"])
        else:
            together.setdefault(content_hash(run.get("comparability")), []).append(run_dir)
    if not together:
        raise UserError("no evaluated run was named; evaluate one with eval/run.py")
    read = [
        (read_runs(of_group, allow_different=False), of_group)
        for of_group in sorted(together.values(), key=len, reverse=True)
    ]
    arms = [
        [_read_arm(run_dir, runs.models[run_dir]) for run_dir in of_group]
        for runs, of_group in read
    ]
    seen: dict[str, Arm] = {}
    for arm in (arm for of_group in arms for arm in of_group):
        if arm.name in seen:
            raise UserError(
                f"{seen[arm.name].run_dir} and {arm.run_dir} both have a model named "
                f"'{arm.name}'; rename 'arm' in one run.json"
            )
        seen[arm.name] = arm
    groups = [
        _group(relate(of_group), runs.table, runs.notes)
        for of_group, (runs, _) in zip(arms, read, strict=True)
    ]
    everyone = [arm for group in groups for arm in group.arms]
    found = {arm.name: _traces_of(arm, trace_runs) for arm in everyone}
    known = {name: traces for name, traces in found.items() if traces is not None}
    return Study(groups, known, tolerance)


def _read_run(run_dir: Path) -> dict[str, Any]:
    if not run_dir.is_dir():
        raise UserError(f"{run_dir}: no such run directory; name the directory of an evaluated run")
    if not (run_dir / "run.json").exists():
        raise UserError(f"{run_dir}: holds no run.json; name the directory of an evaluated run")
    run = read_json(run_dir / "run.json")
    if not isinstance(run, dict):
        raise UserError(f"{run_dir / 'run.json'}: expected a JSON object; evaluate the run again")
    return run


def _read_arm(run_dir: Path, models: Sequence[str]) -> Arm:
    run = _read_run(run_dir)
    config = read_yaml(run_dir / "config.yaml") if (run_dir / "config.yaml").exists() else {}
    for part in (run, config):
        for stage in ("training", "evaluation"):
            if not isinstance(part.get(stage, {}), dict):
                raise UserError(
                    f"{run_dir}: '{stage}' in run.json or config.yaml is no mapping; restore it"
                )
    called = str(run.get("arm") or run_dir.resolve().name)
    name = called if called in models else models[0]
    greedy = called + GREEDY_SUFFIX
    return Arm(
        name=name,
        run_dir=run_dir,
        run=run,
        config=config,
        metrics=_rows(run_dir / "metrics.jsonl"),
        sweep=_rows(run_dir / "sweep" / "metrics.jsonl"),
        greedy=greedy if greedy in models and greedy != name else None,
    )


def _rows(path: Path) -> tuple[dict, ...]:
    return tuple(read_appended(path)) if path.exists() else ()


def _group(arms: list[Arm], table: CostTable, notes: list[str]) -> Group:
    seed = arms[0].suite.get("seed", 0)
    result = align(
        table,
        bootstrap=BOOTSTRAP,
        seed=seed if isinstance(seed, int) and seed >= 0 else 0,
        comparisons=comparisons(arms),
    )
    result["notes"] = notes + result["notes"]
    return Group(arms[0].run["comparability"], arms, final_costs(item_costs(table)), result)


def _traces_of(arm: Arm, given: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What run.json of its teacher's traces says; the file's hash proves that they are the ones."""
    wanted = arm.training.get("traces")
    if not wanted:
        return None
    place = Path(str(arm.training_config.get("traces", "")))
    candidates = list(given)
    for folder in (place.parent, arm.run_dir.parent / place.parent.name):
        if (folder / "run.json").exists():
            candidates.append(_read_run(folder).get("traces", {}))
    return next((traces for traces in candidates if traces.get("traces_sha256") == wanted), None)
