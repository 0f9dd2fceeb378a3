"""Which cells a study has, which of them are there, and why the others are not.

A cell is a model, or an arm with one seed, evaluated on one suite.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from handan.alignment.align import align
from handan.alignment.bootstrap import Bootstrap
from handan.alignment.correlation import (
    finite_or_none,
    fisher_mean,
    mean_of_known,
    pearson,
    reliability_of_means,
)
from handan.alignment.costs import (
    DECODINGS,
    CostTable,
    decoded_name,
    joined,
    read_costs,
    split_name,
)
from handan.alignment.items import TaskCosts, final_costs, item_costs
from handan.alignment.pairs import Comparisons
from handan.budgets import total
from handan.config import read_yaml
from handan.errors import UserError, printable
from handan.experiments import multi_seed
from handan.experiments.declare import ClaimTest, Experiment
from handan.experiments.multi_seed import Repeated, Seed, mean_r, paired_mean_r
from handan.experiments.plan import Plan, Stage
from handan.experiments.runner import finished
from handan.files import file_hash, read_json, read_keyed
from handan.tiny.families import problem_of_key
from handan.tiny.items import item_from_problem
from handan.training.data import check_held_out, load_prompts

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
            temperature = TEMPERATURES[DECODINGS.index(split_name(model)[1])]
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


# Alignment of arms and its differences, over seeds and items.

Part = Callable[[Costs], list[TaskCosts]]


def human(tasks: Costs) -> list[TaskCosts]:
    """The tasks with human response times."""
    return [costs for costs in tasks.values() if costs.cost_source == "human"]


def analytic(tasks: Costs) -> list[TaskCosts]:
    """The tasks with an analytic cost."""
    return [costs for costs in tasks.values() if costs.cost_source == "analytic"]


def right(tasks: Costs) -> list[TaskCosts]:
    """The human tasks, with right responses alone."""
    return [
        replace(kept, model=f"right responses of {kept.model}")
        for costs in human(tasks)
        if (kept := costs.where(costs.correct)).items
    ]


def _with_oracle(tasks: Costs) -> list[TaskCosts]:
    """The human tasks, with the noise-free length of the carry-cost format in people's place."""
    return [
        replace(
            costs,
            model=f"{costs.model} against the oracle",
            of_items={**costs.of_items, "log_demand": np.log(costs.oracle)},
            people=None,
        )
        for costs in human(tasks)
    ]


def arm_figures(
    study: Experiment, results: Results, name: str, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Figures of an arm at both temperatures."""

    def over_tasks(by_seed: Mapping[Seed, Costs], part: Part) -> Repeated:
        of_part = {seed: part(tasks) for seed, tasks in by_seed.items()}
        return mean_r(of_part, bootstrap, study.task_weights)

    out: dict[str, Any] = {}
    for at in TEMPERATURES:
        by_seed = results.by_seed(name, at)
        if not by_seed:
            continue
        tasks = list(next(iter(by_seed.values())))
        parts: dict[str, Part] = {
            "r": human,
            "r_analytic": analytic,
            "r_oracle": _with_oracle,
            "r_right": right,
            **{f"r_{task}": _one(task) for task in tasks},
        }
        out[at] = {
            key: multi_seed.estimate(over_tasks(by_seed, part), correlation=True)
            for key, part in parts.items()
        }
        for column, of in (("accuracy", _accuracy), ("tokens", _tokens)):
            for key, part in (("human", human), ("analytic", analytic)):
                values = [_mean(of(costs) for costs in part(t)) for t in by_seed.values()]
                out[at][f"{column}_{key}"] = spread(values)
            for task in tasks:
                values = [of(t[task]) for t in by_seed.values()]
                out[at][f"{column}_{task}"] = spread(values)
    return {"seeds": [seed for seed in results.by_seed(name, SAMPLED)], **out}


def _one(task: str) -> Part:
    return lambda tasks: [tasks[task]]


def _accuracy(costs: TaskCosts) -> float:
    return float(mean_of_known(costs.correct))


def _tokens(costs: TaskCosts) -> float:
    return float(np.mean(costs.mean_tokens))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and range over seeds; None where no seed has a value."""
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    if not known:
        return {"value": None, "low": None, "high": None, "seeds": 0}
    return {
        "value": float(np.mean(known)),
        "low": min(known),
        "high": max(known),
        "seeds": len(known),
    }


def oracle(
    study: Experiment, results: Results, names: Sequence[str], bootstrap: Bootstrap
) -> dict[str, Any] | None:
    """r of the noise-free length with people, on the human tasks: what the format itself has."""
    for name in names:
        for tasks in results.by_seed(name, SAMPLED).values():
            entries = [
                replace(
                    costs,
                    model="the oracle",
                    of_samples={**costs.of_samples, "tokens": costs.oracle[:, None]},
                )
                for costs in human(tasks)
            ]
            of_oracle = mean_r({None: entries}, bootstrap, study.task_weights)
            return multi_seed.estimate(of_oracle, correlation=True)
    return None


def difference(
    study: Experiment,
    results: Results,
    a: str,
    b: str,
    at: str,
    bootstrap: Bootstrap,
    part: Part = human,
) -> dict[str, Any]:
    """Mean r of a less that of b, on the seeds and items of both; see ``over_seeds.difference``.

    Args:
        study: declares the bound of equivalence, and how tasks weigh.
        results: the cells that are there.
        a, b: names of arms or models.
        at: temperature.
        bootstrap: the draws of items.
        part: which costs of a cell.
    """
    sides = [
        {seed: part(tasks) for seed, tasks in results.by_seed(name, at).items()} for name in (a, b)
    ]
    both = paired_mean_r(sides[0], sides[1], bootstrap, study.task_weights)
    return multi_seed.difference(*both, study.equivalence_bound, study.equivalence_unit)


# Every other measure of docs/methods.md: ``align`` of all arms of a seed, then over seeds.

FEW_DRAWS = 1_000  # only values are shown of these


def by_seed(study: Experiment, results: Results) -> list[dict[str, Any]]:
    """``align`` of all arms of each seed."""
    out = []
    seeds = sorted({cell.seed for cell in results.cells if cell.seed is not None})
    for seed in seeds:
        cells = {
            cell.arm: cell
            for cell in results.cells
            if cell.missing is None and cell.evaluation is None and cell.seed in (None, seed)
        }
        if not cells:
            continue
        tables = []
        for arm, cell in cells.items():
            table = results.tables[cell.run_dir]
            names = {name: decoded_name(arm, split_name(name)[1]) for name in table.names("model")}
            tables.append(table.with_models(names))
        starts = [(a, b) for a in cells if (b := study.start_of(a)) in cells]
        teachers = [(a, b) for a in cells if (b := study.teacher_of(a)) in cells]
        fits, effort = (
            [(decoded_name(a, of), decoded_name(str(b), of)) for of in DECODINGS for a, b in pairs]
            for pairs in (starts, teachers)
        )
        comparisons = Comparisons([], fits, effort, {})
        result = align(joined(tables), bootstrap=FEW_DRAWS, seed=0, comparisons=comparisons)
        out.append(result)
    return out


def ceilings(of_seeds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The human ceiling of each task whose response times have a known reliability."""
    return {
        name: task["ceiling"]
        for result in of_seeds
        for model in result["models"].values()
        for name, task in model["tasks"].items()
        if task["cost_source"] == "human" and task["ceiling"] is not None
    }


OF_TASKS = (
    *("r_raw", "r_logmean", "spearman", "reliability_model", "r_loglog_normalized"),
    *("r_loglog_disattenuated", "cap_rate", "loop_rate", "unparsed_rate", "no_reasoning_rate"),
    *("geometric_mean_tokens", "inverse_efficiency"),
)


NESTED = {
    "r_partial": ("partial", "all", "r"),
    "r_characters": ("sensitivity", "characters", "r"),
}


def over_seeds(
    study: Experiment, measures: Sequence[Mapping[str, Any]], name: str
) -> dict[str, Any]:
    """What ``align`` says of an arm at both temperatures: mean and range over seeds.

    Args:
        study: says what the arm started from and who taught it.
        measures: of ``by_seed``.
        name: of the arm or model.
    """
    others = {"start": study.start_of(name), "teacher": study.teacher_of(name)}
    out = {}
    for at, decoding in zip(TEMPERATURES, DECODINGS, strict=True):
        model = decoded_name(name, decoding)
        of_seeds = [result for result in measures if model in result["models"]]
        beside = {role: decoded_name(of, decoding) for role, of in others.items() if of is not None}
        out[at] = {**_alone(of_seeds, model), **_beside(of_seeds, model, beside)}
    return out


def _alone(of_seeds: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any]:
    """Figures of one model, plain means over human tasks."""
    tasks = [
        [t for t in result["models"][model]["tasks"].values() if t["cost_source"] == "human"]
        for result in of_seeds
    ]
    row = {key: spread([_known_mean(t[key] for t in of) for of in tasks]) for key in OF_TASKS}
    for key, (outer, inner, value) in NESTED.items():
        row[key] = spread(
            [_known_mean((t[outer].get(inner) or {}).get(value) for t in of) for of in tasks]
        )
    row["wrong_minus_right"] = spread(
        [_known_mean((t["wrong_minus_right"] or {}).get("delta") for t in of) for of in tasks]
    )
    return row


def _beside(
    of_seeds: Sequence[Mapping[str, Any]], model: str, others: Mapping[str, str]
) -> dict[str, Any]:
    """Figures of a model beside what it started from and its teacher, by 'start' and 'teacher'."""
    fits = [
        row
        for result in of_seeds
        for row in result["inflation"]
        if row["student"] == model and row["task"] is None
    ]
    efforts = [
        row for result in of_seeds for row in result["study"]["effort"] if row["model"] == model
    ]
    alike = [row for result in of_seeds for row in result["study"]["similarity"]]
    return {
        "slope": spread([_corrected(fit) for fit in fits]),
        "ratio": spread([fit["geometric_mean_ratio"] for fit in fits]),
        "laws": [fit["law"] for fit in fits],
        "effort": spread([_known_mean(row["relative_effort"].values()) for row in efforts]),
        "kl": spread([row["kl_divergence"] for row in efforts]),
        **{
            f"similarity_{role}": spread(
                [row["r"] for row in alike if {row["a"], row["b"]} == {model, other}]
            )
            for role, other in others.items()
        },
    }


def _corrected(fit: Mapping[str, Any]) -> float | None:
    """Slope with the noise of the other's lengths taken out, where that is known."""
    corrected = (fit["corrected"] or {}).get("b")
    return fit["b"] if corrected is None else corrected


def _known_mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


# How much of a correlation is the noise of few samples: 1, 8 and 32 an item.

NUM_SAMPLES = (1, 8, 32)


def by_samples(study: Experiment, results: Results) -> list[dict[str, Any]]:
    """Mean r over the human tasks of each arm and seed of a further evaluation, by samples.

    r with k samples is the Fisher-z mean over as many groups of k as there are. Reliability is that
    of means of k, by Spearman and Brown's formula from that of all samples.
    """
    return [
        {"arm": arm, "seed": seed, "evaluation": name, "k": _figures(human(tasks))}
        for name, more in study.evaluations.items()
        for arm in more.of
        for seed, tasks in results.by_seed(arm, SAMPLED, name).items()
    ]


def _figures(entries: Sequence[TaskCosts]) -> dict[str, dict[str, float]]:
    most = min(entry.tokens.shape[1] for entry in entries)
    whole = np.array([reliability_of_means(entry.thinking().log_tokens).value for entry in entries])
    of_one = whole / (most - (most - 1) * whole)
    out = {}
    for k in NUM_SAMPLES:
        r = [
            _mean_r([entry.where(_only(entry, start, k)).thinking() for entry in entries])
            for start in range(0, most - k + 1, k)
        ]
        if r:
            out[str(k)] = {
                "r": float(fisher_mean(np.array(r))),
                "groups": len(r),
                "reliability": float(np.mean(k * of_one / (1 + (k - 1) * of_one))),
            }
    return out


def _mean_r(entries: Sequence[TaskCosts]) -> float:
    return float(fisher_mean(np.array([pearson(e.log_cost, e.log_demand) for e in entries])))


def _only(entry: TaskCosts, start: int, k: int) -> np.ndarray:
    """1 for k samples of each item, beginning with one of them."""
    kept = np.zeros(entry.tokens.shape)
    kept[:, start : start + k] = 1
    return kept


# What students were trained on: the allocation in their traces, and no human item.

ORACLE = "oracle_tokens_carry-cost"


def trace_sets(study: Experiment, results: Results) -> dict[str, dict[str, Any]]:
    """Of each trace set that an arm learned from: how many, how long, and their allocation.

    Allocation is r of log tokens with the log of the noise-free length in the carry-cost format,
    over the training prompts of a binary family; over all of them, where any format is longer for
    wider problems, and among problems of the same width, as the human items are. Fisher-z mean over
    both families, then mean and range over seeds.
    """
    files: dict[str, dict[Path, None]] = {}
    for name, arm in study.arms.items():
        if arm.traces is not None:
            for cell in results.of(name):
                files.setdefault(arm.traces, {})[_traces_of(cell, results)] = None
    out = {}
    for name, paths in files.items():
        found = [_allocation(path) for path in paths]
        out[name] = {
            "sets": len(found),
            **{key: spread([one[key] for one in found]) for key in found[0]},
        }
    return out


def audits(study: Experiment, results: Results) -> list[dict[str, Any]]:
    """Of each arm's training sets: rows, and how many of them are evaluation items.

    Rows are traces for imitation, prompts for the others, sequences for pretraining.

    Raises:
        UserError: an evaluation item is in a training set.
    """
    rows = []
    for name in (*study.models, *study.arms):
        for cell in results.of(name):
            run = results.runs[cell.run_dir]
            if "pretraining" in run:
                made = run["pretraining"]
                rows.append(_row(cell, "sequences", made["sequences"], made["held_out_refused"]))
            if "training" not in run:
                continue
            config = read_yaml(cell.run_dir / "config.yaml")["training"]
            if config.get("traces"):
                rows.append(_row(cell, "traces", _checked(_traces_of(cell, results)), 0))
            else:  # reading them is a check already
                rows.append(_row(cell, "prompts", len(load_prompts(Path(config["prompts"]))), 0))
    return rows


def _row(cell: Cell, kind: str, rows: int, found: int) -> dict[str, Any]:
    key = "refused" if kind == "sequences" else "found"
    return {"cell": cell.name, "of": kind, "rows": rows, key: found}


def _traces_of(cell: Cell, results: Results) -> Path:
    """The trace file that a cell was trained on, once it is known to be the same still.

    Raises:
        UserError: it is not there or was changed.
    """
    path = Path(read_yaml(cell.run_dir / "config.yaml")["training"]["traces"])
    wanted = results.runs[cell.run_dir]["training"]["traces"]
    if not path.exists() or _hash(path) != wanted:
        raise UserError(
            f"{path}: not the traces that {cell.name} was trained on; run the study again, so "
            "that both are made anew"
        )
    return path


@cache
def _hash(path: Path) -> str:
    return file_hash(path)


@cache
def _rows_of(path: Path) -> list[dict]:
    return read_keyed(path, ("task", "item", "sample"))


@cache
def _checked(path: Path) -> int:
    """Rows of a trace file, once none of them is an evaluation item.

    Raises:
        UserError: one of them is.
    """
    rows = _rows_of(path)
    check_held_out(rows, str(path))
    return len(rows)


@cache
def _oracle_tokens(task: str, item: str) -> float:
    return item_from_problem(problem_of_key(task, item)).covariates[ORACLE]


@cache
def _allocation(path: Path) -> dict[str, float | None]:
    """Figures of one trace file; in natural wording there is no noise-free length."""
    rows = [row for row in _rows_of(path) if row["reasoning_tokens"]]
    by_width: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for row in rows:
        if row["wording"] == "compact" and row["task"].startswith("binary"):
            width = len(re.split("[-+]", row["item"])[0])
            oracle = _oracle_tokens(row["task"], row["item"])
            point = float(np.log(row["reasoning_tokens"])), float(np.log(oracle))
            by_width.setdefault((row["task"], width), []).append(point)
    r: dict[str, list[float]] = {"r_oracle": [], "r_oracle_same_width": []}
    for task in dict.fromkeys(task for task, _ in by_width):
        groups = [np.array(points) for key, points in by_width.items() if key[0] == task]
        r["r_oracle"].append(pearson(*np.concatenate(groups).T))
        within = np.concatenate([group - group.mean(axis=0) for group in groups])
        r["r_oracle_same_width"].append(pearson(*within.T))
    return {
        "traces": float(len(_rows_of(path))),
        "tokens": float(np.mean([row["reasoning_tokens"] for row in rows])) if rows else None,
        **{key: _mean_r_traces(values) for key, values in r.items()},
    }


def _mean_r_traces(values: Sequence[float]) -> float | None:
    return finite_or_none(fisher_mean(np.array(values))) if values else None


# All numbers of a study's page, from its cells or from an earlier ``study.json``.

DRAWS, SEED = 10_000, 0
KEYS = (
    *("cells", "tasks", "ceilings", "arms", "measures", "factors", "samples", "traces", "audit"),
    *("budgets", "oracle", "settings", "tests"),
)


def numbers(study: Experiment, results: Results) -> dict[str, Any]:
    """Everything the page shows but verdicts on claims, ready for JSON; unknown values are None."""
    bootstrap = Bootstrap(DRAWS, SEED)
    known = [name for name in (*study.models, *study.arms) if results.of(name)]
    of_seeds = by_seed(study, results)
    found: dict[str, Any] = {
        "cells": _cells(results),
        "tasks": _tasks(results, known),
        "ceilings": ceilings(of_seeds),
        "arms": {name: arm_figures(study, results, name, bootstrap) for name in known},
        "measures": {name: over_seeds(study, of_seeds, name) for name in known},
        "factors": {
            name: {
                arm: {
                    at: difference(study, results, arm, of.against, at, bootstrap)
                    for at in TEMPERATURES
                }
                for arm in of.arms
            }
            for name, of in study.factors.items()
        },
        "samples": by_samples(study, results),
        "traces": trace_sets(study, results),
        "audit": audits(study, results),
        "budgets": {name: _budget(results, name) for name in study.arms if name in known},
        "oracle": oracle(study, results, known, bootstrap),
        "settings": {
            "draws": DRAWS,
            "seed": SEED,
            "equivalence_bound": study.equivalence_bound,
            "equivalence_unit": study.equivalence_unit,
            "task_weights": study.task_weights,
        },
    }
    tests = [
        {"measure": test.measure, "a": test.a, "b": test.b, "expect": test.expect, "at": at}
        | _test(study, results, test, at, found, bootstrap)
        for test in study.tests
        for at in TEMPERATURES
    ]
    return found | {"tests": tests}


def stored(study: Experiment, path: Path) -> dict[str, Any]:
    """The numbers of a study.json that an earlier page left, for the tests that are declared now.

    Raises:
        UserError: it is no such file, was computed with another bound, or lacks a test or factor.
    """
    found = read_json(path)
    lacks = [key for key in KEYS if not isinstance(found, dict) or key not in found]
    if lacks:
        raise UserError(f"{path}: no study.json of a study, for it has no '{lacks[0]}'")
    for key in ("equivalence_bound", "equivalence_unit", "task_weights"):
        was, declared = found["settings"][key], getattr(study, key)
        if was != declared:
            raise UserError(
                f"{path}: computed with {key} {was}, and {declared} is declared; only the runs can "
                "give another: leave out --numbers"
            )
    rows = {(row["measure"], row["a"], row["b"], row["at"]): row for row in found["tests"]}
    keys = [(t, (t.measure, t.a, t.b, at)) for t in study.tests for at in TEMPERATURES]
    missing = [" ".join(filter(None, key)) for _, key in keys if key not in rows]
    missing += [f"factor {name}" for name in study.factors if name not in found["factors"]]
    if missing:
        raise UserError(f"{path}: has no {missing[0]}, which is declared; leave out --numbers")
    return found | {"tests": [rows[key] | {"expect": test.expect} for test, key in keys]}


def _tasks(results: Results, names: Sequence[str]) -> dict[str, list[str]]:
    """Names of the human and of the analytic tasks."""
    found: dict[str, dict[str, None]] = {"human": {}, "analytic": {}}
    for name in names:
        for tasks in results.by_seed(name, SAMPLED).values():
            for task, costs in tasks.items():
                found[costs.cost_source][task] = None
    return {source: list(tasks) for source, tasks in found.items()}


def _cells(results: Results) -> dict[str, Any]:
    missing = [cell for cell in results.cells if cell.missing is not None]
    commits = {
        str(run[part]["git"]["commit"])
        for run in results.runs.values()
        for part in ("training", "evaluation")
        if part in run and run[part].get("git")
    }
    return {
        "declared": len(results.cells),
        "found": len(results.cells) - len(missing),
        "missing": [{"cell": cell.name, "reason": cell.missing} for cell in missing],
        "commits": sorted(commits),
    }


def _test(
    study: Experiment,
    results: Results,
    test: ClaimTest,
    at: str,
    found: Mapping[str, Any],
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """What a test looks at, at one temperature."""
    of_arm = found["arms"].get(test.a, {}).get(at, {})
    if test.measure == "r":
        return dict(of_arm.get("r", {"value": None, "ci": None}))
    if test.measure == "difference" and test.b is not None:
        pair = (study, results, test.a, test.b, at, bootstrap)
        other = found["arms"].get(test.b, {}).get(at, {})
        return difference(*pair) | {
            "right_only": difference(*pair, right),
            "accuracy_a": of_arm.get("accuracy_human", {}).get("value"),
            "accuracy_b": other.get("accuracy_human", {}).get("value"),
        }
    others = found["measures"].get(test.a, {}).get(at, {})
    if test.measure == "law":
        return {key: others.get(key) for key in ("laws", "slope", "ratio")}
    return {key: others.get(key) for key in ("effort", "kl")}


def _budget(results: Results, name: str) -> dict[str, Any]:
    """Means over seeds of what an arm's weights cost, its teacher's and its start's part in it."""
    totals = [total(results.runs[cell.run_dir]) for cell in results.of(name)]
    keys = dict.fromkeys(key for of in totals if of for key in of)
    return {key: spread([of[key] for of in totals if of]) for key in keys}
