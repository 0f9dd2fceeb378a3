"""How much models spend, and at what rate they turn it into right answers.

- *Relative effort*: a model's mean tokens on a task divided by the teacher's. The distribution of
  an item's tokens over the teacher's task mean is compared by the Kullback-Leibler divergence.
- *Inverse efficiency index*: mean tokens / accuracy, of a model on a task. The slope of the
  student's index on its base's, over (pair, task) points, is the multiplier of the study
  (arXiv 2601.05019).
"""

import numpy as np

from handan.alignment.data.item_costs import TaskCosts
from handan.alignment.data.pairs import CostsByModel, Pairs, shared_tasks
from handan.alignment.statistics.basic import FloatArray, finite_or_none, mean_of_known
from handan.alignment.statistics.lines import deming_slope, theil_sen

# A line through fewer points says nothing about its scatter, nor do fewer values of a density.
LEAST_POINTS = 3
# Points of the grid on which densities are compared, and bandwidths beyond the data.
GRID, MARGIN = 512, 4.0


def relative_effort(costs: CostsByModel, model: str, teacher: str) -> dict:
    """Relative effort by task, and the divergence of the distributions over all items."""
    tasks = [task for task in costs[model] if task in costs[teacher]]
    relative, of_model, of_teacher = {}, [], []
    for task in tasks:
        mean = float(np.mean(costs[teacher][task].mean_tokens))
        if mean > 0:
            relative[task] = float(np.mean(costs[model][task].mean_tokens)) / mean
            of_model.append(costs[model][task].mean_tokens / mean)
            of_teacher.append(costs[teacher][task].mean_tokens / mean)
    divergence = float("nan")
    if relative:
        divergence = kl_divergence(np.concatenate(of_model), np.concatenate(of_teacher))
    return {
        "model": model,
        "teacher": teacher,
        "relative_effort": {task: finite_or_none(value) for task, value in relative.items()},
        "kl_divergence": finite_or_none(divergence),
    }


def kl_divergence(p_effort: FloatArray, q_effort: FloatArray) -> float:
    """Kullback-Leibler divergence, in nats, of the distribution of p from that of q.

    Our estimator, as the study names none: Gaussian kernel densities of log effort (Scott's
    bandwidth, ``scipy.stats.gaussian_kde``), integrated over a grid as p log(p / q). Efforts of 0
    have no logarithm and are left out. Checked against the closed form for two normal
    distributions.

    Returns:
        The divergence; NaN with under three values on a side or equal values only.
    """
    p_log, q_log = (np.log(effort[effort > 0]) for effort in (p_effort, q_effort))
    if min(len(p_log), len(q_log)) < LEAST_POINTS or np.ptp(p_log) == 0 or np.ptp(q_log) == 0:
        return float("nan")
    from scipy.stats import gaussian_kde  # takes as long to import as most files to align

    p, q = gaussian_kde(p_log), gaussian_kde(q_log)
    both = np.concatenate([p_log, q_log])
    margin = MARGIN * max(float(np.sqrt(of.covariance[0, 0])) for of in (p, q))
    grid = np.linspace(both.min() - margin, both.max() + margin, GRID)
    log_p, log_q = p.logpdf(grid), q.logpdf(grid)
    density = np.exp(log_p)
    # Where p has no mass left, its part of the integral is 0 whatever the logarithms are.
    part = np.where(density > 0, density * (log_p - log_q), 0.0)
    return float(np.trapezoid(part, grid))


def levels(costs: CostsByModel, pairs: Pairs) -> list[dict]:
    """Student against base over (pair, task) points, as mean log costs and as inverse efficiency.

    Points share items and people, so these intervals (Student's t) are too narrow; those of
    single pairs, item by item, are in 'inflation'.
    """
    points: dict[str, list[tuple[float, float]]] = {"task": [], "inverse_efficiency": []}
    for tasks in shared_tasks(costs, pairs).values():
        for student, base in tasks.values():
            if student.items:
                means = float(np.mean(base.log_cost)), float(np.mean(student.log_cost))
                points["task"].append(means)
    for student_name, base_name in pairs:
        for task in (task for task in costs[student_name] if task in costs[base_name]):
            pair = [inverse_efficiency(costs[name][task]) for name in (base_name, student_name)]
            if np.isfinite(pair).all() and min(pair) > 0:
                points["inverse_efficiency"].append((pair[0], pair[1]))
    return [
        _level(name, np.array(of_level), logs=name == "task")
        for name, of_level in points.items()
        if len(of_level) >= LEAST_POINTS
    ]


def inverse_efficiency(costs: TaskCosts) -> float:
    """Mean tokens / accuracy; NaN where accuracy is 0 or unknown."""
    accuracy = mean_of_known(costs.correct)
    return float(np.mean(costs.mean_tokens)) / accuracy if accuracy > 0 else float("nan")


def _level(name: str, points: FloatArray, logs: bool) -> dict:
    """A line through points of (base, student): in logs, and for the index as it is too."""
    from scipy.stats import linregress, t

    x, y = points.T if logs else np.log(points).T
    out = {"level": name, "n": len(points), "slope": None, "slope_ci": None, "intercept": None}
    if not logs and np.ptp(points[:, 0]) > 0:
        raw = linregress(*points.T)
        half = float(t.ppf(0.975, len(points) - 2)) * raw.stderr
        out["slope"] = finite_or_none(raw.slope)
        out["slope_ci"] = finite_or_none((raw.slope - half, raw.slope + half))
        out["intercept"] = finite_or_none(raw.intercept)
    if np.ptp(x) == 0:
        unknown = ("a", "k", "b", "b_ci", "residual_sd", "deming_b", "theil_sen_b")
        return out | dict.fromkeys((*unknown, "theil_sen_b_ci"))
    fit = linregress(x, y)
    half = float(t.ppf(0.975, len(x) - 2)) * fit.stderr
    residuals = y - fit.intercept - fit.slope * x
    x_centred, y_centred = x - x.mean(), y - y.mean()
    xx, yy, xy = x_centred @ x_centred, y_centred @ y_centred, x_centred @ y_centred
    robust, *bounds = theil_sen(x, y, np.zeros(len(x), dtype=np.intp))
    return out | {
        "a": finite_or_none(fit.intercept),
        "k": finite_or_none(np.exp(min(fit.intercept, 700.0))),
        "b": finite_or_none(fit.slope),
        "b_ci": finite_or_none((fit.slope - half, fit.slope + half)),
        "residual_sd": finite_or_none(np.sqrt(residuals @ residuals / (len(x) - 2))),
        "deming_b": finite_or_none(deming_slope(xx, yy, xy, 1.0)),
        "theil_sen_b": finite_or_none(robust),
        "theil_sen_b_ci": finite_or_none(tuple(bounds)),
    }
