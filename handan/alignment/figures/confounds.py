"""What else could make a model's lengths go with people's times: the checks a reviewer asks for.

Rates of responses that are not what they seem; the correlation without them, or with the cap
treated as what it is; the correlation with other properties of the items held constant; and
whether a model spends more on an item when it is wrong.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from handan.alignment.data.item_costs import (
    MAX_NO_REASONING,
    MIN_ACCURACY,
    TaskCosts,
    log_of_positive,
    row_means,
)
from handan.alignment.measures import BY_KEY
from handan.alignment.statistics.basic import FloatArray, finite_or_none, mean_of_known, residuals
from handan.alignment.statistics.bootstrap import Bootstrap
from handan.alignment.statistics.censored import censored_correlation
from handan.alignment.statistics.correlate import Correlation, Pair
from handan.alignment.statistics.intervals import interval

# Shares of samples above which a correlation is flagged.
THRESHOLDS = {
    "cap_rate": 0.01,
    "loop_rate": 0.01,
    "unparsed_rate": 0.05,
    "no_reasoning_rate": MAX_NO_REASONING,
}


def rates(costs: TaskCosts) -> dict[str, float]:
    """Shares of samples, NaN where not recorded; right and direct answers over all items."""
    return {
        "accuracy": costs.accuracy,
        "cap_rate": mean_of_known(costs.of_samples["truncated"]),
        "loop_rate": mean_of_known(costs.of_samples["looping"]),
        "unparsed_rate": mean_of_known(costs.of_samples["unparsed"]),
        "no_reasoning_rate": costs.no_reasoning_rate,
    }


def flags(of_condition: Mapping[str, float]) -> list[str]:
    """Rates beyond their thresholds, such as 'capped 12 %'."""
    found = []
    if of_condition["accuracy"] < MIN_ACCURACY:
        found.append(f"right {100 * of_condition['accuracy']:.1f} %")
    for name, threshold in THRESHOLDS.items():
        percent = 100 * of_condition[name]
        if of_condition[name] > threshold:
            found.append(f"{BY_KEY[name].label} {percent:.{0 if percent >= 10 else 1}f} %")
    return found


def sensitivity_pairs(costs: TaskCosts) -> dict[str, Pair]:
    """The log-log correlation under other choices of samples and unit, where they differ.

    Args:
        costs: of ``TaskCosts.thinking``.
    """
    pairs = {}
    truncated, correct = costs.of_samples["truncated"], costs.correct
    if np.nansum(truncated) > 0:
        pairs["complete_only"] = _log_log(costs.where(1 - truncated))
    if np.nansum(correct) > 0 and np.nanmin(correct) == 0:
        pairs["correct_only"] = _log_log(costs.where(correct))
    characters = costs.of_samples["characters"]
    if np.isfinite(characters).any():
        logs = row_means(log_of_positive(characters))
        pairs["characters"] = Pair(costs.task, costs.items, logs, costs.log_demand)
    return pairs


def _log_log(costs: TaskCosts) -> Pair:
    return Pair(costs.task, costs.items, costs.log_cost, costs.log_demand)


def censored(costs: TaskCosts) -> Correlation | None:
    """The correlation with capped items as lower bounds; None without a capped sample.

    An item is a lower bound if any of its thinking samples is.
    """
    capped = np.nansum(costs.of_samples["truncated"] * (costs.tokens > 0), axis=1) > 0
    if not capped.any():
        return None
    return censored_correlation(costs.log_demand, costs.log_cost, capped)


def partial_pairs(costs: TaskCosts) -> dict[str, Pair]:
    """Partial correlations: each covariate held constant by itself, and all of them together.

    Covariates of a sample (prompt and answer length, accuracy) are averaged over the samples of
    an item, lengths in logs. Those that are constant or unknown are left out; several are held
    constant together ('all') where the items are three times as many as they.
    """
    known = {
        "prompt_tokens": row_means(log_of_positive(costs.of_samples["prompt_tokens"])),
        "answer_tokens": row_means(log_of_positive(costs.of_samples["answer_tokens"])),
        "accuracy": row_means(costs.correct),
        **costs.covariates,
    }
    varying = {
        name: values
        for name, values in known.items()
        if np.isfinite(values).all() and len(values) and np.ptp(values) > 0
    }
    held: dict[str, FloatArray] = {name: v[:, None] for name, v in varying.items()}
    if 1 < len(varying) <= len(costs.items) / 3:
        held["all"] = np.column_stack(list(varying.values()))
    pairs = {}
    for name, predictors in held.items():
        left = residuals(np.column_stack([costs.log_cost, costs.log_demand]), predictors)
        fitted = int(np.linalg.matrix_rank(predictors - predictors.mean(axis=0)))
        pairs[name] = Pair(costs.task, costs.items, left[:, 0], left[:, 1], lost=2 + fitted)
    return pairs


def wrong_minus_right(costs: TaskCosts, bootstrap: Bootstrap) -> dict | None:
    """How much longer, in logs, a model's wrong responses to an item are than its right ones.

    log tokens = effect of the item + delta wrong + e over thinking samples: delta is estimated
    within items, from those that have both. People are quicker when they are wrong on an item
    they cannot do; models spend more (arXiv 2606.26502). The interval resamples items.

    Returns:
        delta, its interval and exp(delta) ('ratio'), the items and samples behind it; None where
        no item has both.
    """
    logs = np.where(np.isfinite(costs.correct), costs.log_tokens, np.nan)
    wrong = np.where(np.isfinite(logs), 1 - costs.correct, np.nan)
    share = row_means(wrong)
    both = (share > 0) & (share < 1)
    if not both.any():
        return None
    # Items without both have nothing to add, but stay, so that all models share the draws.
    logs = np.where(both[:, None], logs - row_means(logs)[:, None], np.nan)
    wrong = np.where(both[:, None], wrong - share[:, None], np.nan)
    products = np.column_stack([np.nansum(logs * wrong, axis=1), np.nansum(wrong**2, axis=1)])
    above, below = products.sum(axis=0)
    drawn = bootstrap.sums(costs.task, costs.items, products)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.where(drawn[:, 1] > 0, drawn[:, 0] / drawn[:, 1], np.nan)
    num_items = int(both.sum())
    return {
        "delta": finite_or_none(above / below),
        "ci": finite_or_none(interval(draws, [num_items])),
        "ratio": finite_or_none(np.exp(above / below)),
        "items": num_items,
        "samples": int(np.isfinite(wrong).sum()),
    }


def accuracy_means(entries: Sequence[TaskCosts]) -> float:
    """Mean over tasks of their accuracy, NaN if one is unknown."""
    return float(np.mean([mean_of_known(entry.correct) for entry in entries]))
