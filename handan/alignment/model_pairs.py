"""Do two models find the same items hard? Difficulty fingerprints and their similarity.

A model's fingerprint are its log costs, z-scored within each task and strung together. The
similarity of two models (RSA, arXiv 2601.05019) is Pearson's r of their fingerprints. With
z-scores this is the mean of the within-task correlations, weighted by items, and is computed as
that.
"""

from itertools import combinations

import numpy as np

from handan.alignment.bootstrap import NO_INTERVAL, Bootstrap, interval, p_value
from handan.alignment.correlation import FloatArray, finite_or_none, pearson
from handan.alignment.items import TaskCosts
from handan.alignment.pairs import Comparisons, CostsByModel, Pairs, decoded_alike, shared_tasks
from handan.alignment.task_measures import levels, relative_effort


def similarity(costs: CostsByModel, pairs: Pairs, bootstrap: Bootstrap) -> list[dict]:
    """r of the fingerprints of each pair over the items of both, with its interval.

    Tasks where a cost is constant are left out; 'tasks' counts the others, 'n' their items.
    """
    shared = shared_tasks(costs, pairs)
    batches: dict[tuple, list[tuple[tuple[str, str], TaskCosts, TaskCosts]]] = {}
    for pair, tasks in shared.items():
        for task, (a, b) in tasks.items():
            if not np.isnan(pearson(a.log_cost, b.log_cost)):
                batches.setdefault((task, a.items), []).append((pair, a, b))
    sums = {pair: np.zeros(bootstrap.num_draws) for pair in shared}
    values: dict[tuple[str, str], float] = dict.fromkeys(shared, 0.0)
    sizes: dict[tuple[str, str], list[int]] = {pair: [] for pair in shared}
    for (task, items), members in batches.items():
        x = np.column_stack([a.log_cost for _, a, _ in members])
        y = np.column_stack([b.log_cost for _, _, b in members])
        draws = bootstrap.correlations(task, items, x, y)
        for column, (pair, a, b) in enumerate(members):
            sums[pair] += len(items) * draws[:, column]
            values[pair] += len(items) * pearson(a.log_cost, b.log_cost)
            sizes[pair].append(len(items))
    out = []
    for pair, of_pair in sizes.items():
        total = sum(of_pair)
        found = bool(of_pair)
        bounds = interval(sums[pair] / total, of_pair) if found else NO_INTERVAL
        out.append(
            {
                "a": pair[0],
                "b": pair[1],
                "r": finite_or_none(values[pair] / total if found else np.nan),
                "ci": finite_or_none(bounds),
                "tasks": len(of_pair),
                "n": total,
            }
        )
    return out


# The measures of the study (arXiv 2601.05019) that look at pairs of models over all tasks.

# Beyond this many models only pairs that are compared anyway have their similarity computed.
MAX_MODELS_FOR_SIMILARITY = 20


def study(costs: CostsByModel, comparisons: Comparisons, bootstrap: Bootstrap) -> dict:
    """Similarity of fingerprints, effort, inflation over tasks, and claims over all pairs.

    Args:
        costs: {model: {task: costs}} at the end of training.
        comparisons: which models belong together.
        bootstrap: the draws of items.
    """
    costs = _of_one_source(costs)
    models = list(costs)
    if len(models) <= MAX_MODELS_FOR_SIMILARITY:
        alike = [pair for pair in combinations(models, 2) if decoded_alike(*pair)]
    else:
        alike = list(dict.fromkeys(comparisons.inflation + comparisons.effort))
    over_pairs = [
        _over_pairs(costs, comparisons, roles, bootstrap)
        for roles in (("student", "teacher"), ("student", "base"))
    ]
    return {
        "similarity": similarity(costs, alike, bootstrap),
        "effort": [relative_effort(costs, *pair) for pair in comparisons.effort],
        "levels": levels(costs, comparisons.inflation),
        "over_pairs": [row for row in over_pairs if row is not None],
    }


def _of_one_source(costs: CostsByModel) -> CostsByModel:
    sources = {entry.cost_source for tasks in costs.values() for entry in tasks.values()}
    source = "human" if "human" in sources else "analytic"
    return {
        model: {task: entry for task, entry in tasks.items() if entry.cost_source == source}
        for model, tasks in costs.items()
    }


def _over_pairs(
    costs: CostsByModel,
    comparisons: Comparisons,
    wanted: tuple[str, str],
    bootstrap: Bootstrap,
) -> dict | None:
    """Mean difference of Fisher's z over all pairs in these roles and their tasks, by n - 3.

    Its interval has the draws of items that all of them share. 't_of_points' is the study's own
    test, of (pair, task) points as if they were independent.
    """
    pairs = [pair for pair, roles in comparisons.roles.items() if roles == wanted]
    points: list[float] = []
    weights: list[int] = []
    total: FloatArray = np.zeros(bootstrap.num_draws)
    sizes: dict[tuple, int] = {}
    for tasks in shared_tasks(costs, pairs).values():
        for a, b in tasks.values():
            if np.isnan(a.r + b.r) or 1 in (a.r**2, b.r**2) or not (a.answers and b.answers):
                continue
            draws = bootstrap.alignment([a, b])
            weight = len(a.items) - 3
            with np.errstate(divide="ignore", invalid="ignore"):
                total = total + weight * (np.arctanh(draws[0]) - np.arctanh(draws[1]))
            points.append(float(np.arctanh(a.r) - np.arctanh(b.r)))
            weights.append(weight)
            sizes[a.task, a.items] = len(a.items)
    if not points:
        return None
    draws_of_mean = np.where(np.isfinite(total), total, np.nan) / sum(weights)
    test = None
    if len(points) > 1:
        from scipy.stats import ttest_1samp  # takes as long to import as most files to align

        test = ttest_1samp(points, 0.0)
    of_tasks = list(sizes.values())
    return {
        "a": wanted[0],
        "b": wanted[1],
        "mean_difference_z": finite_or_none(np.average(points, weights=weights)),
        "ci": finite_or_none(interval(draws_of_mean, of_tasks)),
        "p": finite_or_none(p_value(draws_of_mean, of_tasks)),
        "points": len(points),
        "pairs": len(pairs),
        "t_of_points": finite_or_none(test.statistic) if test else None,
        "p_of_points": finite_or_none(test.pvalue) if test else None,
    }
