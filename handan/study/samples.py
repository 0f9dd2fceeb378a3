"""How much of a correlation is the noise of few samples: 1, 8 and 32 an item."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.statistics.basic import fisher_mean, pearson, reliability_of_means
from handan.experiment.declared import Experiment
from handan.study.arms import human
from handan.study.cells import SAMPLED, Results

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
