"""Which cells a study has, which of them are there, and why the others are not.

A cell is a model, or an arm with one seed, evaluated on one suite.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handan.alignment.data.cost_table import GREEDY_SUFFIX, CostTable
from handan.alignment.data.costs import read_costs
from handan.alignment.data.item_costs import TaskCosts, final_costs, item_costs
from handan.errors import printable
from handan.experiment.declared import Experiment
from handan.experiment.plan import Plan, Stage
from handan.experiment.stages import finished
from handan.records import read_json

SAMPLED, GREEDY = "T=1", "T=0"
TEMPERATURES = (SAMPLED, GREEDY)
Costs = dict[str, TaskCosts]  # by task


@dataclass(frozen=True)
class Cell:
    """One evaluated cell, or one that should be.

    Attributes:
        arm: name of the model or arm.
        seed: None for a model, which has none.
        evaluation: name of a further evaluation; None is the study's own suite.
        run_dir: where it is evaluated.
        missing: why there is no result, None if there is one.
    """

    arm: str
    seed: int | None
    evaluation: str | None
    run_dir: Path
    missing: str | None

    @property
    def name(self) -> str:
        """As in lists: 'sft, seed 2'."""
        parts = [self.arm, f"seed {self.seed}" if self.seed is not None else None, self.evaluation]
        return ", ".join(part for part in parts if part)


def find(study: Experiment, made: Plan, folder: Path) -> list[Cell]:
    """Every cell that the study declares, in the order of its file, finished or not.

    A result counts only if it was made by the commands and settings that are declared now.
    """
    logs = folder / "logs"
    done = finished(made.stages, logs)
    by_name = {stage.name: stage for stage in made.stages}
    return [
        _cell(study, stage, folder, _missing(stage, by_name, done, logs))
        for stage in made.stages
        if stage.kind == "evaluation"
    ]


def _cell(study: Experiment, stage: Stage, folder: Path, missing: str | None) -> Cell:
    place = stage.output_dir.relative_to(folder)
    arm, evaluation = place.name, None
    for name, more in study.evaluations.items():
        for other in more.of:
            if place.name == f"{other}-{name}":
                arm, evaluation = other, name
    seed = None
    if arm in study.arms:
        folders = len(place.parts) > 1
        seed = int(place.parts[0].removeprefix("seed-")) if folders else study.seeds[0]
    return Cell(arm, seed, evaluation, stage.output_dir, missing)


def _missing(stage: Stage, by_name: dict[str, Stage], done: set[str], logs: Path) -> str | None:
    """Why a stage has no result: its own failure, that of something it needs, or not run."""
    if stage.name in done:
        return None
    waits = [stage]
    while waits:
        one = waits.pop()
        if one.name in done:
            continue
        mark = logs / f"{one.name}.failed.json"
        if mark.exists():
            return f"{one.name} failed: {printable(read_json(mark)['last_line'])}"
        waits += [by_name[name] for name in one.needs]
    return "not run"


class Results:
    """The costs of all cells that are there, by arm, temperature and seed.

    Attributes:
        cells: all of them, missing ones too.
        runs: content of run.json, by run directory.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = list(cells)
        self.runs: dict[Path, dict[str, Any]] = {}
        self.tables: dict[Path, CostTable] = {}
        self._costs: dict[tuple, dict[int | None, Costs]] = defaultdict(dict)
        for cell in self.cells:
            if cell.missing is None:
                self._read(cell)

    def _read(self, cell: Cell) -> None:
        self.runs[cell.run_dir] = read_json(cell.run_dir / "run.json")
        table = read_costs(cell.run_dir / "costs.csv").table
        self.tables[cell.run_dir] = table
        for model, tasks in final_costs(item_costs(table)).items():
            temperature = GREEDY if model.endswith(GREEDY_SUFFIX) else SAMPLED
            # Draws are kept by model, and the same arm is another model with every seed.
            name = f"{model} of {cell.run_dir}"
            self._costs[cell.arm, temperature, cell.evaluation][cell.seed] = {
                task: replace(costs, model=name) for task, costs in tasks.items()
            }

    def by_seed(
        self, arm: str, temperature: str, evaluation: str | None = None
    ) -> dict[int | None, Costs]:
        """{seed: {task: costs}} of what there is of an arm; a model has the one seed None."""
        return self._costs.get((arm, temperature, evaluation), {})

    def of(self, arm: str, evaluation: str | None = None) -> list[Cell]:
        """The cells of an arm that are there."""
        return [
            cell
            for cell in self.cells
            if (cell.arm, cell.evaluation) == (arm, evaluation) and cell.missing is None
        ]
