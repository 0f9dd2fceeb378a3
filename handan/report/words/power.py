"""What the items at hand could have shown, in one short sentence, by normal theory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handan.alignment.statistics.basic import fisher_mean
from handan.alignment.statistics.dependent import (
    REPORTED,
    detectable,
    detectable_from_zero,
    equivalence_power,
)
from handan.report.data import Group
from handan.report.notation import correlation, percent

# A study should find what is there four times in five.
USUAL_POWER = 0.80


def power_of_contrast(group: Group, row: Mapping[str, Any], found: str) -> str | None:
    """Power of a contrast on the mean over human tasks; None where normal theory has none.

    For the r that the study reports of teachers, and for two arms as alike as these: the
    correlations of their log costs are in the rows of the tasks.

    Args:
        group: the arms, with all contrasts.
        row: the contrast.
        found: its verdict, a key of ``handan.report.words.verdicts.SAID``. Where a difference was
            found, nothing is said of equivalence, and where equivalence was, of differences.
    """
    tasks = [group.contrast(row["a"], row["b"], task) for task in group.tasks("human")]
    known = [of_task for of_task in tasks if of_task is not None and of_task["r_ab"] is not None]
    if not known:
        return None
    sizes = [of_task["n"] for of_task in known]
    likeness = float(fisher_mean(np.array([of_task["r_ab"] for of_task in known])))
    bound = row["equivalence_bound"]
    least = detectable(REPORTED[0], likeness, sizes, USUAL_POWER)
    equal = equivalence_power(REPORTED[0], likeness, sizes, bound)
    parts = []
    if found != "preserved" and not np.isnan(least):
        often = f"in {percent(USUAL_POWER)} of studies"
        parts.append(f"a difference of {correlation(least)} is found {often}")
    if found in ("preserved", "open") and not np.isnan(equal):
        often = f"in {percent(equal)} of studies"
        parts.append(f"equal arms are shown to be within ±{correlation(bound, 1)} {often}")
    if not parts:
        return None
    return f"Power: with these {sum(sizes)} items, {' and '.join(parts)}."


def power_of_r(sizes: Sequence[int]) -> str | None:
    """The smallest mean r over tasks of these sizes that is usually told from 0."""
    least = detectable_from_zero(sizes, USUAL_POWER)
    if np.isnan(least):
        return None
    return (
        f"Power: with these {sum(sizes)} items, an r of {correlation(least)} is told from 0 in "
        f"{percent(USUAL_POWER)} of studies."
    )
