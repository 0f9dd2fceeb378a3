"""All numbers of a study's page, from its cells or from an earlier ``study.json``.

Alignment and its differences have intervals over seeds and items (``arms``, ``over_seeds``). Other
measures are given as mean and range over seeds (``measures``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handan.alignment.statistics.bootstrap import Bootstrap
from handan.budgets import total
from handan.errors import UserError
from handan.experiment.declared import ClaimTest, Experiment
from handan.records import read_json
from handan.study import measures
from handan.study.arms import arm_figures, difference, oracle, right, spread
from handan.study.cells import SAMPLED, TEMPERATURES, Results
from handan.study.samples import by_samples
from handan.study.traces import audits, trace_sets

DRAWS, SEED = 10_000, 0
KEYS = (
    *("cells", "tasks", "ceilings", "arms", "measures", "factors", "samples", "traces", "audit"),
    *("budgets", "oracle", "settings", "tests"),
)


def numbers(study: Experiment, results: Results) -> dict[str, Any]:
    """Everything the page shows but verdicts on claims, ready for JSON; unknown values are None."""
    bootstrap = Bootstrap(DRAWS, SEED)
    known = [name for name in (*study.models, *study.arms) if results.of(name)]
    of_seeds = measures.by_seed(study, results)
    found: dict[str, Any] = {
        "cells": _cells(results),
        "tasks": _tasks(results, known),
        "ceilings": measures.ceilings(of_seeds),
        "arms": {name: arm_figures(study, results, name, bootstrap) for name in known},
        "measures": {name: measures.over_seeds(study, of_seeds, name) for name in known},
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
