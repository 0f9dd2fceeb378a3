"""All numbers of a study's page, from its cells or from an earlier ``study.json``.

A cell is a model, or an arm with one seed, evaluated on one suite.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan.alignment.align import align
from handan.alignment.bootstrap import Bootstrap
from handan.alignment.correlation import finite_or_none, fisher_mean, pearson, reliability_of_means
from handan.alignment.costs import DECODINGS, CostTable, decoded_name, read_costs, split_name
from handan.alignment.items import TaskCosts, final_costs, item_costs
from handan.alignment.measures import EXPERIMENT, TASKS
from handan.alignment.pairs import Comparisons
from handan.budgets import total
from handan.config import read_yaml
from handan.errors import UserError, printable
from handan.experiments import multi_seed
from handan.experiments.declare import SAMPLED, TEMPERATURES, Experiment
from handan.experiments.multi_seed import Costs, difference, estimate, human, right, spread
from handan.experiments.plan import Plan, Stage
from handan.experiments.runner import finished
from handan.files import file_hash, read_json, read_keyed
from handan.tiny.evaluation_items import item_from_problem
from handan.tiny.families import problem_of_key
from handan.training.data import check_held_out, load_prompts

DRAWS, SEED = 10_000, 0
FEW_DRAWS = 1_000  # of ``align``, of which only values are shown
NUM_SAMPLES = (1, 8, 32)
# Stored beside the measures that the page shows.
ALSO_STORED = ("r_logmean", "r_loglog_normalized", "r_characters", "geometric_mean_tokens")
OF_STUDY = ("equivalence_bound", "task_weights")  # numbers depend on these
KEYS = (
    *("cells", "tasks", "ceilings", "arms", "measures", "factors", "samples", "traces", "audit"),
    *("budgets", "oracle", "settings", "tests"),
)


class Cell(NamedTuple):
    arm: str  # or model
    seed: int | None  # None for a model
    evaluation: str | None  # name of a further evaluation; None is the study's own suite
    run_dir: Path
    missing: str | None  # why there is no result, None if there is one

    @property
    def name(self) -> str:
        """As in lists: 'sft, seed 2'."""
        seed = None if self.seed is None else f"seed {self.seed}"
        return ", ".join(filter(None, (self.arm, seed, self.evaluation)))


class Results:
    """Contents of a plan's cells that were made by the commands and settings declared now."""

    def __init__(self, made: Plan, logs: Path) -> None:
        self.cells: list[Cell] = []  # in the order of the plan, finished or not
        self.runs: dict[Path, dict[str, Any]] = {}
        self.tables: dict[Path, CostTable] = {}
        self._costs: dict[tuple, dict[int | None, Costs]] = defaultdict(dict)
        done, stages = finished(made.stages, logs), {stage.name: stage for stage in made.stages}
        for stage in made.stages:
            if stage.cell is None:
                continue
            cell = Cell(*stage.cell, stage.output_dir, _missing(stage, stages, done, logs))
            self.cells.append(cell)
            if cell.missing is not None:
                continue
            self.runs[cell.run_dir] = read_json(cell.run_dir / "run.json")
            table = self.tables[cell.run_dir] = read_costs(cell.run_dir / "costs.csv").table
            for model, tasks in final_costs(item_costs(table)).items():
                temperature = TEMPERATURES[DECODINGS.index(split_name(model)[1])]
                # Draws are kept by model, and the same arm is another model with every seed.
                name = f"{model} of {cell.run_dir}"
                own = {task: replace(costs, model=name) for task, costs in tasks.items()}
                self._costs[cell.arm, temperature, cell.evaluation][cell.seed] = own

    def by_seed(self, arm: str, at: str, evaluation: str | None = None) -> dict[int | None, Costs]:
        """{seed: {task: costs}} of what there is of an arm; a model has the one seed None."""
        return self._costs.get((arm, at, evaluation), {})

    def of(self, arm: str) -> list[Cell]:
        """The cells of an arm on the study's own suite that are there."""
        wanted = (arm, None, None)
        return [cell for cell in self.cells if (cell.arm, cell.evaluation, cell.missing) == wanted]


def _missing(stage: Stage, stages: dict[str, Stage], done: set[str], logs: Path) -> str | None:
    """Say why a stage has no result: its own failure, that of something it needs, or not run."""
    if stage.name in done:
        return None
    mark = logs / f"{stage.name}.failed.json"
    if mark.exists():
        return f"{stage.name} failed: {printable(read_json(mark)['last_line'])}"
    found = [_missing(stages[name], stages, done, logs) for name in stage.needs]
    return next((reason for reason in found if reason not in (None, "not run")), "not run")


def numbers(study: Experiment, results: Results) -> dict[str, Any]:
    """Compute all that the page shows but verdicts on claims, as JSON; unknown values are None."""
    bootstrap = Bootstrap(DRAWS, SEED)
    known = [name for name in (*study.models, *study.arms) if results.of(name)]
    aligned = _aligned(study, results)

    def between(a: str, b: str, at: str, part: multi_seed.Part = human) -> dict[str, Any]:
        """Mean r of a minus that of b, on the seeds and items of both."""
        found = (results.by_seed(name, at) for name in (a, b))
        side_a, side_b = ({seed: part(costs) for seed, costs in of.items()} for of in found)
        both = multi_seed.paired_mean_r(side_a, side_b, bootstrap, study.task_weights)
        return difference(*both, study.equivalence_bound)

    arms: dict[str, dict[str, Any]] = {}
    for name in known:
        arms[name] = {"seeds": list(results.by_seed(name, SAMPLED))}
        for at in TEMPERATURES:
            if by_seed := results.by_seed(name, at):
                arms[name][at] = multi_seed.arm_numbers(by_seed, bootstrap, study.task_weights)
    measures = {name: _measures(study, aligned, name) for name in known}
    tests = []
    for test, at in ((test, at) for test in study.tests for at in TEMPERATURES):
        keys = ("measure", "a", "b", "expect")
        row: dict[str, Any] = {key: getattr(test, key) for key in keys} | {"at": at}
        of_a, of_b = (arms.get(name or "", {}).get(at, {}) for name in (test.a, test.b))
        if test.measure == "r":
            row |= of_a.get("r", {"value": None, "ci": None})
        elif test.measure == "difference" and test.b is not None:
            row |= between(test.a, test.b, at)
            row["right_only"] = between(test.a, test.b, at, right)
            for side, of in (("a", of_a), ("b", of_b)):
                row[f"accuracy_{side}"] = of.get("accuracy_human", {}).get("value")
        else:
            others = measures.get(test.a, {}).get(at, {})
            of_test = ["laws", "slope", "ratio"] if test.measure == "law" else ["effort", "kl"]
            row |= {key: others.get(key) for key in of_test}
        tests.append(row)
    missing = [{"cell": c.name, "reason": c.missing} for c in results.cells if c.missing]
    declared = len(results.cells)
    cells = {"declared": declared, "found": declared - len(missing), "missing": missing}
    runs = results.runs.values()
    parts = [run[of] for run in runs for of in ("training", "evaluation") if of in run]
    commits = {str(part["git"]["commit"]) for part in parts if part.get("git")}
    budgets = {}
    for name in (name for name in study.arms if name in known):  # means over seeds
        totals = [of for cell in results.of(name) if (of := total(results.runs[cell.run_dir]))]
        measured = dict.fromkeys(key for of in totals for key in of)
        budgets[name] = {key: spread([of[key] for of in totals]) for key in measured}
    oracle = None  # r of the noise-free length with people: that of the format itself
    sampled = [costs for name in known for costs in results.by_seed(name, SAMPLED).values()]
    if sampled:
        entries: dict[int | None, Any] = {None: multi_seed.oracle_entries(sampled[0])}
        of_oracle = multi_seed.mean_r(entries, bootstrap, study.task_weights)
        oracle = estimate(of_oracle, correlation=True)
    sources = {task: one.cost_source for of in sampled for task, one in of.items()}
    tasks = {kind: [t for t in sources if sources[t] == kind] for kind in ("human", "analytic")}
    ceilings = {
        name: task["ceiling"]
        for result in aligned
        for model in result["models"].values()
        for name, task in model["tasks"].items()
        if task["cost_source"] == "human" and task["ceiling"] is not None
    }
    factors = {
        name: {arm: {at: between(arm, of.against, at) for at in TEMPERATURES} for arm in of.arms}
        for name, of in study.factors.items()
    }
    return {
        "cells": cells | {"commits": sorted(commits)},
        "tasks": tasks,
        "ceilings": ceilings,
        "arms": arms,
        "measures": measures,
        "factors": factors,
        "samples": _by_samples(study, results),
        "traces": _trace_sets(study, results),
        "audit": _audits(study, results),
        "budgets": budgets,
        "oracle": oracle,
        "settings": {"draws": DRAWS, "seed": SEED} | {key: getattr(study, key) for key in OF_STUDY},
        "tests": tests,
    }


def stored(study: Experiment, path: Path) -> dict[str, Any]:
    """Read the numbers of a study.json of an earlier page, for the tests that are declared now."""
    found = read_json(path)
    lacks = [key for key in KEYS if not isinstance(found, dict) or key not in found]
    if lacks:
        raise UserError(f"{path}: no study.json of a study, for it has no '{lacks[0]}'")
    for key in OF_STUDY:
        was, declared = found["settings"][key], getattr(study, key)
        if was != declared:
            but = f"{declared} is declared; only the runs can give another: leave out --numbers"
            raise UserError(f"{path}: computed with {key} {was}, and {but}")
    rows = {(row["measure"], row["a"], row["b"], row["at"]): row for row in found["tests"]}
    keys = [(t, (t.measure, t.a, t.b, at)) for t in study.tests for at in TEMPERATURES]
    missing = [" ".join(filter(None, key)) for _, key in keys if key not in rows]
    missing += [f"factor {name}" for name in study.factors if name not in found["factors"]]
    if missing:
        raise UserError(f"{path}: has no {missing[0]}, which is declared; leave out --numbers")
    return found | {"tests": [rows[key] | {"expect": test.expect} for test, key in keys]}


def _aligned(study: Experiment, results: Results) -> list[dict[str, Any]]:
    out = []
    there = [one for one in results.cells if one.missing is None and one.evaluation is None]
    for seed in sorted({cell.seed for cell in results.cells if cell.seed is not None}):
        cells = {cell.arm: cell for cell in there if cell.seed in (None, seed)}
        if not cells:
            continue
        tables = []
        for arm, cell in cells.items():
            table = results.tables[cell.run_dir]
            names = {name: decoded_name(arm, split_name(name)[1]) for name in table.names("model")}
            tables.append(table.with_models(names))
        starts = [(a, b) for a in cells if (b := study.start_of(a)) in cells]
        teachers = [(a, b) for a in cells if (b := study.teacher_of(a)) in cells]
        fits, efforts = (
            [(decoded_name(a, of), decoded_name(str(b), of)) for of in DECODINGS for a, b in pairs]
            for pairs in (starts, teachers)
        )
        comparisons = Comparisons([], fits, efforts, {})
        out.append(
            align(CostTable.joined(tables), bootstrap=FEW_DRAWS, seed=0, comparisons=comparisons)
        )
    return out


def _measures(study: Experiment, aligned: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Mean and range over seeds, at both temperatures; of tasks, plain means over human ones."""
    others = {"start": study.start_of(name), "teacher": study.teacher_of(name)}
    out = {}
    for at, decoding in zip(TEMPERATURES, DECODINGS, strict=True):
        model = decoded_name(name, decoding)
        of_seeds = [result for result in aligned if model in result["models"]]
        every = [result["models"][model]["tasks"].values() for result in of_seeds]
        tasks = [[task for task in of if task["cost_source"] == "human"] for of in every]
        row: dict[str, Any] = {
            measure.key: spread([_known_mean(map(measure.value, of)) for of in tasks])
            for measure in TASKS
            if EXPERIMENT in measure.places or measure.key in ALSO_STORED
        }
        fits = [fit for result in of_seeds for fit in result["inflation"]]
        fits = [fit for fit in fits if fit["student"] == model and fit["task"] is None]
        efforts = [effort for result in of_seeds for effort in result["study"]["effort"]]
        efforts = [effort for effort in efforts if effort["model"] == model]
        # The slope with the noise of the other's lengths taken out, where that is known.
        corrected = [(fit["corrected"] or {}).get("b") for fit in fits]
        slopes = [fit["b"] if b is None else b for fit, b in zip(fits, corrected, strict=True)]
        row |= {
            "slope": spread(slopes),
            "ratio": spread([fit["geometric_mean_ratio"] for fit in fits]),
            "laws": [fit["law"] for fit in fits],
            "effort": spread([_known_mean(row["relative_effort"].values()) for row in efforts]),
            "kl": spread([row["kl_divergence"] for row in efforts]),
        }
        for role, other in others.items():
            if other is not None:
                pair = {model, decoded_name(other, decoding)}
                alike = [row for result in of_seeds for row in result["study"]["similarity"]]
                found = [one["r"] for one in alike if {one["a"], one["b"]} == pair]
                row[f"similarity_{role}"] = spread(found)
        out[at] = row
    return out


def _known_mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _by_samples(study: Experiment, results: Results) -> list[dict[str, Any]]:
    """Mean r by samples, for each arm and seed of a further evaluation.

    Fisher-z mean over as many groups of k as there are; reliability by Spearman and Brown.
    """
    return [
        {"arm": arm, "seed": seed, "evaluation": name, "k": _with_samples(human(tasks))}
        for name, more in study.evaluations.items()
        for arm in more.of
        for seed, tasks in results.by_seed(arm, SAMPLED, name).items()
    ]


def _with_samples(entries: Sequence[TaskCosts]) -> dict[str, dict[str, float]]:
    num_samples = min(entry.tokens.shape[1] for entry in entries)
    whole = np.array([reliability_of_means(entry.thinking().log_tokens).value for entry in entries])
    of_one = whole / (num_samples - (num_samples - 1) * whole)
    out = {}
    for k in NUM_SAMPLES:
        means = []
        for start in range(0, num_samples - k + 1, k):
            r = []
            for entry in entries:
                kept = np.zeros(entry.tokens.shape)
                kept[:, start : start + k] = 1
                few = entry.where(kept).thinking()
                r.append(pearson(few.log_cost, few.log_difficulty))
            means.append(float(fisher_mean(np.array(r))))
        if means:
            out[str(k)] = {
                "r": float(fisher_mean(np.array(means))),
                "groups": len(means),
                "reliability": float(np.mean(k * of_one / (1 + (k - 1) * of_one))),
            }
    return out


def _trace_sets(study: Experiment, results: Results) -> dict[str, dict[str, Any]]:
    """Describe each trace set that an arm learned from: how many, how long, and their allocation.

    Allocation is r of log tokens with the log of the noise-free carry-cost length, over all prompts
    of a binary family and among problems of the same width: Fisher-z mean over both families.
    """
    files: dict[str, dict[Path, None]] = {}
    for name, arm in study.arms.items():
        if arm.traces is not None:
            for cell in results.of(name):
                files.setdefault(arm.traces, {})[_traces_of(cell, results)] = None
    out = {}
    for name, paths in files.items():
        found = [_allocation(path) for path in paths]
        numbers = {key: spread([one[key] for one in found]) for key in found[0]}
        out[name] = {"sets": len(found), **numbers}
    return out


def _audits(study: Experiment, results: Results) -> list[dict[str, Any]]:
    """Count each arm's training rows (traces, prompts or sequences); none is an evaluation item."""
    rows: list[dict[str, Any]] = []
    for cell in (cell for name in (*study.models, *study.arms) for cell in results.of(name)):
        run = results.runs[cell.run_dir]
        if made := run.get("pretraining"):
            counted = {"rows": made["sequences"], "refused": made["held_out_refused"]}
            rows.append({"cell": cell.name, "of": "sequences", **counted})
        if "training" not in run:
            continue
        config = read_yaml(cell.run_dir / "config.yaml")["training"]
        if config.get("traces"):
            counted = {"of": "traces", "rows": len(_read_traces(_traces_of(cell, results))[1])}
        else:  # reading them is a check already
            counted = {"of": "prompts", "rows": len(load_prompts(Path(config["prompts"])))}
        rows.append({"cell": cell.name, **counted, "found": 0})
    return rows


def _traces_of(cell: Cell, results: Results) -> Path:
    """Path of the traces that a cell was trained on, once they are known to be the same still."""
    path = Path(read_yaml(cell.run_dir / "config.yaml")["training"]["traces"])
    wanted = results.runs[cell.run_dir]["training"]["traces"]
    if not path.exists() or _read_traces(path)[0] != wanted:
        again = "run the study again, so that both are made anew"
        raise UserError(f"{path}: not the traces that {cell.name} was trained on; {again}")
    return path


@cache
def _read_traces(path: Path) -> tuple[str, list[dict]]:
    """Hash and rows of a trace file."""
    rows = read_keyed(path, ("task", "item", "sample"))
    check_held_out(rows, str(path))
    return file_hash(path), rows


@cache
def _allocation(path: Path) -> dict[str, float | None]:
    """Describe one trace file; in natural wording there is no noise-free length."""
    every = _read_traces(path)[1]
    rows = [row for row in every if row["reasoning_tokens"]]
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
    means = {k: finite_or_none(fisher_mean(np.array(v))) if v else None for k, v in r.items()}
    tokens = float(np.mean([row["reasoning_tokens"] for row in rows])) if rows else None
    return {"traces": float(len(every)), "tokens": tokens, **means}


@cache
def _oracle_tokens(task: str, item: str) -> float:
    return item_from_problem(problem_of_key(task, item)).covariates["oracle_tokens_carry-cost"]
