"""Alignment of arms and its differences, over seeds and items."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.statistics.basic import mean_of_known
from handan.alignment.statistics.bootstrap import Bootstrap
from handan.experiment.declared import Experiment
from handan.study import over_seeds
from handan.study.cells import SAMPLED, TEMPERATURES, Costs, Results
from handan.study.repeated import Repeated, Seed, mean_r, paired_mean_r

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
            key: over_seeds.estimate(over_tasks(by_seed, part), correlation=True)
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
            return over_seeds.estimate(of_oracle, correlation=True)
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
    return over_seeds.difference(*both, study.equivalence_bound, study.equivalence_unit)
