"""Measures of pairs of models over all human tasks, or else analytic ones (paper 2601.05019)."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from handan.alignment.bootstrap import NO_INTERVAL, Bootstrap, interval, p_value
from handan.alignment.correlation import FloatArray, finite_or_none, pearson
from handan.alignment.inflation import deming_slope, theil_sen
from handan.alignment.items import TaskCosts, row_means
from handan.alignment.pairs import Comparisons, CostsByModel, Pairs, decoded_alike, shared_tasks
from handan.alignment.task_measures import inverse_efficiency, mean_interval

# A line through fewer points says nothing about its scatter, nor do fewer values of a density.
MIN_POINTS = 3


def study(costs: CostsByModel, comparisons: Comparisons, bootstrap: Bootstrap) -> dict:
    """Similarity of fingerprints, effort, inflation over tasks, and claims over all pairs."""
    sources = {entry.cost_source for tasks in costs.values() for entry in tasks.values()}
    source = "human" if "human" in sources else "analytic"
    costs = {
        model: {task: entry for task, entry in tasks.items() if entry.cost_source == source}
        for model, tasks in costs.items()
    }
    if len(costs) <= 20:  # beyond, only of pairs that are compared anyway
        alike = [pair for pair in combinations(costs, 2) if decoded_alike(*pair)]
    else:
        alike = list(dict.fromkeys(comparisons.inflation + comparisons.effort))
    roles = (("student", "teacher"), ("student", "base"))
    over_pairs = [_over_pairs(costs, comparisons, of, bootstrap) for of in roles]
    return {
        "similarity": similarity(costs, alike, bootstrap),
        "effort": [relative_effort(costs, *pair) for pair in comparisons.effort],
        "levels": levels(costs, comparisons.inflation),
        "over_pairs": [row for row in over_pairs if row is not None],
    }


def similarity(costs: CostsByModel, pairs: Pairs, bootstrap: Bootstrap) -> list[dict]:
    """r of the difficulty fingerprints (RSA) of each pair over the items of both.

    A fingerprint are the log costs, z-scored within each task and strung together, so r is the mean
    of the within-task correlations by items. Tasks where a cost is constant are left out.
    """
    shared = shared_tasks(costs, pairs)
    batches: dict[tuple, list[tuple[tuple[str, str], TaskCosts, TaskCosts]]] = {}
    for pair, tasks in shared.items():
        for task, (a, b) in tasks.items():
            if not np.isnan(pearson(a.log_cost, b.log_cost)):
                batches.setdefault((task, a.items), []).append((pair, a, b))
    # Of each pair and task: r, its draws and the number of items.
    found: dict[tuple[str, str], list[tuple[float, FloatArray, int]]] = {of: [] for of in shared}
    for (task, items), members in batches.items():
        _, *sides = zip(*members, strict=True)
        x, y = (np.column_stack([of.log_cost for of in side]) for side in sides)
        draws = bootstrap.correlations(task, items, x, y)
        for (pair, a, b), of_pair in zip(members, draws.T, strict=True):
            found[pair].append((pearson(a.log_cost, b.log_cost), of_pair, len(items)))
    out = []
    for (name_a, name_b), parts in found.items():
        sizes = [size for _, _, size in parts]
        r, bounds = float("nan"), NO_INTERVAL
        if parts:
            r = sum(size * of for of, _, size in parts) / sum(sizes)
            total = sum((size * of for _, of, size in parts), np.zeros(bootstrap.num_draws))
            bounds = interval(total / sum(sizes), sizes)
        row = {"a": name_a, "b": name_b, "r": finite_or_none(r), "ci": finite_or_none(bounds)}
        out.append(row | {"tasks": len(sizes), "n": sum(sizes)})
    return out


def relative_effort(costs: CostsByModel, model: str, teacher: str) -> dict:
    """Mean tokens over the teacher's, by task, and the divergence of items' tokens over that."""
    relative, of_items = {}, []
    for task in (task for task in costs[model] if task in costs[teacher]):
        spent, by_teacher = (costs[name][task].mean_tokens for name in (model, teacher))
        mean = float(np.mean(by_teacher))
        if mean > 0:
            relative[task] = float(np.mean(spent)) / mean
            of_items.append((spent / mean, by_teacher / mean))
    sides = [np.concatenate(side) for side in zip(*of_items, strict=True)]
    divergence = kl_divergence(*sides) if sides else float("nan")
    return {
        "model": model,
        "teacher": teacher,
        "relative_effort": {task: finite_or_none(value) for task, value in relative.items()},
        "kl_divergence": finite_or_none(divergence),
    }


def kl_divergence(p_effort: FloatArray, q_effort: FloatArray) -> float:
    """Kullback-Leibler divergence, in nats, of the distribution of p from that of q.

    Our estimator, as the paper names none: Gaussian kernel densities of log effort (Scott's
    bandwidth, ``scipy.stats.gaussian_kde``), integrated over a grid as p log(p / q), without
    efforts of 0. NaN with under three values on a side or equal values only.
    """
    p_log, q_log = (np.log(effort[effort > 0]) for effort in (p_effort, q_effort))
    if min(len(p_log), len(q_log)) < MIN_POINTS or np.ptp(p_log) == 0 or np.ptp(q_log) == 0:
        return float("nan")
    from scipy.stats import gaussian_kde  # takes as long to import as most files to align

    p, q = gaussian_kde(p_log), gaussian_kde(q_log)
    both = np.concatenate([p_log, q_log])
    margin = 4.0 * max(float(np.sqrt(of.covariance[0, 0])) for of in (p, q))
    grid = np.linspace(both.min() - margin, both.max() + margin, 512)
    log_p, log_q = p.logpdf(grid), q.logpdf(grid)
    density = np.exp(log_p)
    # Where p has no mass left, its part of the integral is 0 whatever the logarithms are.
    part = np.where(density > 0, density * (log_p - log_q), 0.0)
    return float(np.trapezoid(part, grid))


def levels(costs: CostsByModel, pairs: Pairs) -> list[dict]:
    """Student against base over (pair, task) points, as mean log costs and as inverse efficiency.

    Points share items and people, so these intervals (Student's t) are too narrow.
    """
    points: dict[str, list[tuple[float, float]]] = {"task": [], "inverse_efficiency": []}
    for tasks in shared_tasks(costs, pairs).values():
        points["task"] += [
            (float(np.mean(base.log_cost)), float(np.mean(student.log_cost)))
            for student, base in tasks.values()
            if student.items
        ]
    for student_name, base_name in pairs:
        for task in (task for task in costs[student_name] if task in costs[base_name]):
            pair = [inverse_efficiency(costs[name][task]) for name in (base_name, student_name)]
            if np.isfinite(pair).all() and min(pair) > 0:
                points["inverse_efficiency"].append((pair[0], pair[1]))
    return [
        _level(name, np.array(of_level), logs=name == "task")
        for name, of_level in points.items()
        if len(of_level) >= MIN_POINTS
    ]


def _level(name: str, points: FloatArray, logs: bool) -> dict:
    """A line through points of (base, student): in logs, and for the index as it is too."""
    from scipy.stats import linregress, t

    x, y = points.T if logs else np.log(points).T
    out = {"level": name, "n": len(points), "slope": None, "slope_ci": None, "intercept": None}
    wide = float(t.ppf(0.975, len(points) - 2))
    if not logs and np.ptp(points[:, 0]) > 0:
        raw = linregress(*points.T)
        half = wide * raw.stderr
        out["slope"] = finite_or_none(raw.slope)
        out["slope_ci"] = finite_or_none((raw.slope - half, raw.slope + half))
        out["intercept"] = finite_or_none(raw.intercept)
    if np.ptp(x) == 0:
        unknown = ("a", "k", "b", "b_ci", "residual_sd", "deming_b", "theil_sen_b")
        return out | dict.fromkeys((*unknown, "theil_sen_b_ci"))
    fit = linregress(x, y)
    half = wide * fit.stderr
    left = y - fit.intercept - fit.slope * x
    dx, dy = x - x.mean(), y - y.mean()
    robust, *bounds = theil_sen(x, y, np.zeros(len(x), dtype=np.intp))
    return out | {
        "a": finite_or_none(fit.intercept),
        "k": finite_or_none(np.exp(min(fit.intercept, 700.0))),
        "b": finite_or_none(fit.slope),
        "b_ci": finite_or_none((fit.slope - half, fit.slope + half)),
        "residual_sd": finite_or_none(np.sqrt(left @ left / (len(x) - 2))),
        "deming_b": finite_or_none(deming_slope(dx @ dx, dy @ dy, dx @ dy, 1.0)),
        "theil_sen_b": finite_or_none(robust),
        "theil_sen_b_ci": finite_or_none(tuple(bounds)),
    }


def _over_pairs(
    costs: CostsByModel, comparisons: Comparisons, wanted: tuple[str, str], bootstrap: Bootstrap
) -> dict | None:
    """Mean difference of Fisher's z over all pairs in these roles and their tasks, by n - 3.

    't_of_points' is the paper's own test, of (pair, task) points as if they were independent.
    """
    pairs = [pair for pair, roles in comparisons.roles.items() if roles == wanted]
    points, weights = [], []
    total: FloatArray = np.zeros(bootstrap.num_draws)
    sizes: dict[tuple, int] = {}
    for tasks in shared_tasks(costs, pairs).values():
        for a, b in tasks.values():
            if np.isnan(a.r + b.r) or 1 in (a.r**2, b.r**2) or not (a.answers and b.answers):
                continue
            draws = bootstrap.alignment([a, b])
            weights.append(len(a.items) - 3)
            with np.errstate(divide="ignore", invalid="ignore"):
                total = total + weights[-1] * (np.arctanh(draws[0]) - np.arctanh(draws[1]))
            points.append(float(np.arctanh(a.r) - np.arctanh(b.r)))
            sizes[a.task, a.items] = len(a.items)
    if not points:
        return None
    draws_of_mean = np.where(np.isfinite(total), total, np.nan) / sum(weights)
    from scipy.stats import ttest_1samp  # takes as long to import as most files to align

    test = ttest_1samp(points, 0.0) if len(points) > 1 else None
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


# -- accuracy and length of two models, paired by item like their r -------------------------------


class Outcome(NamedTuple):
    """A model's mean accuracy and the log of its mean tokens on one task, with their draws."""

    means: FloatArray  # shape (2,)
    draws: FloatArray  # shape (draws, 2)
    num_items: int


def outcomes(
    costs: CostsByModel, pairs: Sequence[tuple[str, str]], bootstrap: Bootstrap
) -> dict[tuple, dict]:
    """{(a, b, task, None) or (a, b, None, source): a beside b} on the items both were asked.

    Difference a - b of accuracy and ratio a / b of mean tokens, with intervals of the draws that r
    has. Over the tasks of a source: the mean of accuracies, the geometric mean of mean tokens.
    """
    asked: dict[tuple[str, tuple[str, ...]], dict[str, TaskCosts]] = {}
    shared = []
    for a, b in pairs:
        for task in (task for task in costs[a] if task in costs[b]):
            of_a, of_b = costs[a][task], costs[b][task]
            items = set(of_a.items) & set(of_b.items)
            if items:
                of_a, of_b = of_a.select(items), of_b.select(items)
                asked.setdefault((task, of_a.items), {}).update({a: of_a, b: of_b})
                shared.append((a, b, of_a.cost_source, (task, of_a.items)))
    found = {key: _of_models(*key, models, bootstrap) for key, models in asked.items()}
    together: dict[tuple, list[tuple[Outcome, Outcome]]] = {}
    for a, b, source, key in shared:
        for on in ((key[0], None), (None, source)):
            together.setdefault((a, b, *on), []).append((found[key][a], found[key][b]))
    return {key: _beside(of_tasks) for key, of_tasks in together.items()}


def _of_models(
    task: str, items: Sequence[str], models: dict[str, TaskCosts], bootstrap: Bootstrap
) -> dict[str, Outcome]:
    columns = [of for e in models.values() for of in (row_means(e.correct), e.mean_tokens)]
    means, draws = np.mean(columns, axis=1), bootstrap.means(task, items, np.column_stack(columns))
    with np.errstate(divide="ignore"):  # a model that never thinks
        for of in (means, draws.T):
            of[1::2] = np.log(of[1::2])
    parts = [slice(at, at + 2) for at in range(0, len(columns), 2)]
    made = [Outcome(means[part], draws[:, part], len(items)) for part in parts]
    return dict(zip(models, made, strict=True))


def _beside(tasks: Sequence[tuple[Outcome, Outcome]]) -> dict:
    """Outcomes of a and b over one or several tasks."""
    sizes = [of_a.num_items for of_a, _ in tasks]
    sides = zip(*tasks, strict=True)
    of_a, of_b = (np.mean([of.means for of in side], axis=0) for side in sides)
    with np.errstate(invalid="ignore"):
        draws = np.mean([a.draws - b.draws for a, b in tasks], axis=0)
        difference = of_a - of_b
    low_high = [mean_interval(column, sizes) for column in draws.T]
    found = {
        "accuracy_a": of_a[0],
        "accuracy_b": of_b[0],
        "accuracy_difference": difference[0],
        "accuracy_ci": low_high[0],
        "tokens_a": np.exp(of_a[1]),
        "tokens_b": np.exp(of_b[1]),
        "tokens_ratio": np.exp(difference[1]),
        "tokens_ratio_ci": (float(np.exp(low_high[1][0])), float(np.exp(low_high[1][1]))),
    }
    return {"n": sum(sizes)} | {name: finite_or_none(value) for name, value in found.items()}
