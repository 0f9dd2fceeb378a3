"""What students were trained on: the allocation in their traces, and no human item."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from handan.alignment.statistics.basic import finite_or_none, fisher_mean, pearson
from handan.config import read_yaml
from handan.errors import UserError
from handan.records import file_hash, read_keyed
from handan.study.arms import spread
from handan.study.cells import Cell, Results
from handan.study.declared import Study
from handan.tiny.families import problem_of_key
from handan.tiny.tasks import held_out, identity_hash, item_from_problem
from handan.training.prompts import load_prompts

ORACLE = "oracle_tokens_carry-cost"


def trace_sets(study: Study, results: Results) -> dict[str, dict[str, Any]]:
    """Of each trace set that an arm learned from: how many, how long, and their allocation.

    Allocation is r of log tokens with the log of the noise-free length in the carry-cost format,
    over the training prompts of a family; Fisher-z mean over families, then mean and range over
    seeds.
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


def audits(study: Study, results: Results) -> list[dict[str, Any]]:
    """Of each arm's training sets: rows, and how many of them are evaluation items.

    Rows are traces for imitation, prompts for the others, sequences for pretraining.
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
                counted, found = _items_among(_traces_of(cell, results))
                rows.append(_row(cell, "traces", counted, found))
            else:
                # Raises if one of them is an evaluation item.
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
def _rows_of(path: Path) -> Sequence[tuple[str, str, int]]:
    """Task, item and reasoning tokens of every trace."""
    rows = read_keyed(path, ("task", "item", "sample"))
    return [(row["task"], row["item"], row["reasoning_tokens"]) for row in rows]


@cache
def _items_among(path: Path) -> tuple[int, int]:
    rows = _rows_of(path)
    return len(rows), sum(identity_hash(task, item) in held_out() for task, item, _ in rows)


@cache
def _oracle_tokens(task: str, item: str) -> float:
    return item_from_problem(problem_of_key(task, item)).covariates[ORACLE]


@cache
def _allocation(path: Path) -> dict[str, float | None]:
    rows = [row for row in _rows_of(path) if row[2] > 0]
    by_task: dict[str, list[tuple[float, float]]] = {}
    for task, item, tokens in rows:
        by_task.setdefault(task, []).append((np.log(tokens), np.log(_oracle_tokens(task, item))))
    r = {task: pearson(*np.array(pairs).T) for task, pairs in by_task.items()}
    binary = [value for task, value in r.items() if task.startswith("binary")]
    return {
        "traces": float(len(_rows_of(path))),
        "tokens": float(np.mean([tokens for *_, tokens in rows])),
        "r_oracle": finite_or_none(fisher_mean(np.array(list(r.values())))),
        "r_oracle_binary": finite_or_none(fisher_mean(np.array(binary))),
    }
