"""What could the items at hand show? Power of the contrasts, before or after they are made."""

from collections.abc import Sequence

import numpy as np

from handan.alignment.data.pairs import CostsByModel
from handan.alignment.statistics.basic import (
    INVERSE_VARIANCE,
    MIN_ITEMS,
    finite_or_none,
    fisher_mean,
    pearson,
)
from handan.alignment.statistics.dependent import (
    REPORTED,
    TYPICAL_R_AB,
    detectable,
    effective_items,
    equivalence_power,
    items_needed,
    power,
)


def power_table(
    costs: CostsByModel, equivalence_bound: float, task_weights: str = INVERSE_VARIANCE
) -> list[dict]:
    """One row a human task, and one for the mean over them ('task' null).

    A row answers, for its items and for models as alike as these (``r_ab``, Fisher-z mean of the
    correlations of their log costs; .4 for a single model): how often would the difference that
    the study reports, .64 against .34, be found at 5 %; which difference below .64 is found with a
    power of 80 and 95 %; how often would two equally aligned models be shown to be within the
    equivalence bound; and how many items of a single task the reported difference needs.
    """
    tasks = dict.fromkeys(
        task
        for of_model in costs.values()
        for task, entry in of_model.items()
        if entry.cost_source == "human"
    )
    rows, sizes, likenesses = [], [], []
    for task in tasks:
        entries = [of[task].thinking() for of in costs.values() if task in of]
        num_items = min(len(entry.items) for entry in entries)
        likeness = _likeness([entry.log_cost for entry in entries if len(entry.items) == num_items])
        rows.append({"task": task} | _row([num_items], likeness, equivalence_bound))
        sizes.append(num_items)
        likenesses.append(likeness)
    if len(sizes) > 1:
        mean = float(np.mean(likenesses))
        counted = [n for n in sizes if n >= MIN_ITEMS]
        effective = [effective_items(counted, task_weights)] if counted else [0]
        row = _row(effective, mean, equivalence_bound)
        rows.append({"task": None, **row, "n": sum(counted)})
    return rows


def _likeness(columns: Sequence[np.ndarray]) -> float:
    """Mean correlation of the models' log costs."""
    found = [
        r
        for i, a in enumerate(columns)
        for b in columns[:i]
        if not np.isnan(r := pearson(a, b)) and r * r < 1
    ]
    return float(fisher_mean(np.array(found))) if found else TYPICAL_R_AB


def _row(sizes: Sequence[float], r_ab: float, bound: float) -> dict:
    strong, weak = REPORTED
    return {
        "n": sum(sizes),
        "r_ab": finite_or_none(r_ab),
        "power_reported": finite_or_none(power(strong, weak, r_ab, sizes)),
        "detectable_80": finite_or_none(detectable(strong, r_ab, sizes, 0.80)),
        "detectable_95": finite_or_none(detectable(strong, r_ab, sizes, 0.95)),
        "power_equivalence": finite_or_none(equivalence_power(strong, r_ab, sizes, bound)),
        "items_needed_80": items_needed(strong, weak, r_ab, 0.80),
    }
