"""Every other measure of docs/methods.md: ``align`` of all arms of a seed, then over seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from handan.alignment.data.cost_table import GREEDY_SUFFIX, joined
from handan.alignment.data.pairs import Comparisons
from handan.alignment.measure import align
from handan.study.arms import spread
from handan.study.cells import GREEDY, SAMPLED, Results
from handan.study.declared import Study

FEW_DRAWS = 1_000  # only values are shown of these


def by_seed(study: Study, results: Results) -> list[dict[str, Any]]:
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
            names = {
                name: arm + GREEDY_SUFFIX * name.endswith(GREEDY_SUFFIX)
                for name in table.names("model")
            }
            tables.append(table.with_models(names))
        starts = [(a, b) for a in cells if (b := study.start_of(a)) in cells]
        teachers = [(a, b) for a in cells if (b := study.teacher_of(a)) in cells]
        starts += [(a + GREEDY_SUFFIX, f"{b}{GREEDY_SUFFIX}") for a, b in starts]
        teachers += [(a + GREEDY_SUFFIX, f"{b}{GREEDY_SUFFIX}") for a, b in teachers]
        comparisons = Comparisons([], starts, teachers, {})
        result = align(joined(tables), bootstrap=FEW_DRAWS, seed=0, comparisons=comparisons)
        out.append(result)
    return out


OF_TASKS = (
    *("r_raw", "r_logmean", "spearman", "reliability_model", "r_loglog_normalized"),
    *("r_loglog_disattenuated", "cap_rate", "loop_rate", "unparsed_rate", "no_reasoning_rate"),
    *("geometric_mean_tokens", "inverse_efficiency"),
)


def over_seeds(measures: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Mean and range over seeds of what ``align`` says of an arm, plain means over human tasks."""
    out: dict[str, Any] = {}
    for at, suffix in ((SAMPLED, ""), (GREEDY, GREEDY_SUFFIX)):
        model = name + suffix
        of_seeds = [result for result in measures if model in result["models"]]
        tasks = [
            [t for t in result["models"][model]["tasks"].values() if t["cost_source"] == "human"]
            for result in of_seeds
        ]
        row: dict[str, Any] = {
            key: spread([_known_mean(t[key] for t in of) for of in tasks]) for key in OF_TASKS
        }
        for key, (outer, inner, value) in {
            "r_partial": ("partial", "all", "r"),
            "r_characters": ("sensitivity", "characters", "r"),
        }.items():
            row[key] = spread(
                [_known_mean((t[outer].get(inner) or {}).get(value) for t in of) for of in tasks]
            )
        row["wrong_minus_right"] = spread(
            [_known_mean((t["wrong_minus_right"] or {}).get("delta") for t in of) for of in tasks]
        )
        fits = [
            r
            for of in of_seeds
            for r in of["inflation"]
            if r["student"] == model and r["task"] is None
        ]
        row["slope"] = spread([(fit.get("corrected") or fit)["b"] for fit in fits])
        row["ratio"] = spread([fit["geometric_mean_ratio"] for fit in fits])
        row["laws"] = [fit["law"] for fit in fits]
        efforts = [r for of in of_seeds for r in of["study"]["effort"] if r["model"] == model]
        row["effort"] = spread([_known_mean(e["relative_effort"].values()) for e in efforts])
        row["kl"] = spread([e["kl_divergence"] for e in efforts])
        alike = [
            r
            for of in of_seeds
            for r in of["study"]["similarity"]
            if model == r["a"] and not r["b"].startswith(f"{name} ")
        ]
        row["similarity"] = {
            b: spread([r["r"] for r in alike if r["b"] == b])
            for b in dict.fromkeys(r["b"] for r in alike)
        }
        out[at] = row
    return out


def _known_mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
