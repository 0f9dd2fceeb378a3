"""What students were trained on: the allocation in their traces, and no human item."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from handan.alignment.statistics.basic import finite_or_none, fisher_mean, pearson
from handan.config import read_yaml
from handan.errors import UserError
from handan.experiment.declared import Experiment
from handan.records import file_hash, read_keyed
from handan.study.arms import spread
from handan.study.cells import Cell, Results
from handan.tiny.families import problem_of_key
from handan.tiny.tasks import item_from_problem
from handan.training.prompts import check_held_out, load_prompts

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
        **{key: _mean_r(values) for key, values in r.items()},
    }


def _mean_r(values: Sequence[float]) -> float | None:
    return finite_or_none(fisher_mean(np.array(values))) if values else None
