"""Constant multiplier, additive or decoupled: which law of inflation a slope leaves.

Three laws predict a slope b of logs, and the interval of b tells which of them can be:

- *constant multiplier*, t_student = k t_base: b = 1;
- *additive*, t_student = t_base + c: the slope of log(t_base + c) on log t_base, between 0 and 1
  for c > 0;
- *decoupled*, t_student has nothing to do with t_base: b = 0.

The noise of few samples flattens b, which would look like the additive law. So where the base has
two samples an item, the slope is corrected by the reliability of its costs (``lines.py``).
"""

from collections.abc import Sequence

import numpy as np

from handan.alignment.statistics.basic import FloatArray

LAWS = ("constant multiplier", "additive", "decoupled")


def law(low: float, high: float, additive_slope: float) -> str | None:
    """Which of the three laws the interval of the slope leaves; None without an interval."""
    if not np.isfinite([low, high]).all():
        return None
    predicted = dict(zip(LAWS, (1.0, additive_slope, 0.0), strict=True))
    left = [name for name, slope in predicted.items() if low <= slope <= high]
    if not left:
        return "none of the three"
    return left[0] if len(left) == 1 else f"undecided: {' or '.join(left)}"


def additive_law(tasks: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[float, float]:
    """Tokens added to each item of the last task, and the slope of logs that adding predicts.

    c minimises the squares of log t_student - log(t_base + c), task by task.

    Args:
        tasks: log costs of base and student, shape (items,) each.
    """
    from scipy.optimize import minimize_scalar

    products, squares, added = 0.0, 0.0, float("nan")
    for x, y in tasks:
        tokens = np.exp(x)

        def misfit(c: float, y: FloatArray = y, tokens: FloatArray = tokens) -> float:
            return float(((y - np.log(tokens + c)) ** 2).sum())

        lowest = float(tokens.min())
        highest = max(float(np.exp(y).max()), lowest)
        added = float(
            minimize_scalar(misfit, bounds=(-lowest * (1 - 1e-6), highest), method="bounded").x
        )
        predicted = np.log(tokens + added)
        centred = x - x.mean()
        products += float(centred @ predicted)
        squares += float(centred @ x)
    return added, products / squares if squares > 0 else float("nan")
