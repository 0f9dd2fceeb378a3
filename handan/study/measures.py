"""Every other measure of docs/methods.md: ``align`` of all arms of a seed, then over seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from handan.alignment.data.cost_table import GREEDY_SUFFIX, joined
from handan.alignment.data.pairs import Comparisons
from handan.alignment.measure import align
from handan.experiment.declared import Experiment
from handan.study.arms import spread
from handan.study.cells import GREEDY, SAMPLED, Results

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
    for at, suffix in ((SAMPLED, ""), (GREEDY, GREEDY_SUFFIX)):
        of_seeds = [result for result in measures if name + suffix in result["models"]]
        named = {role: f"{other}{suffix}" for role, other in others.items() if other is not None}
        out[at] = {**_alone(of_seeds, name + suffix), **_beside(of_seeds, name + suffix, named)}
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
