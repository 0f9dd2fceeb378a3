"""Do two models find the same items hard? Difficulty fingerprints and their similarity.

A model's fingerprint are its log costs, z-scored within each task and strung together. The
similarity of two models (RSA, arXiv 2601.05019) is Pearson's r of their fingerprints. With
z-scores this is the mean of the within-task correlations, weighted by items, and is computed as
that.
"""

import numpy as np

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.data.pairs import CostsByModel, Pairs, shared_tasks
from handan.alignment.statistics.basic import finite_or_none, pearson
from handan.alignment.statistics.bootstrap import Bootstrap
from handan.alignment.statistics.intervals import NO_INTERVAL, interval


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
