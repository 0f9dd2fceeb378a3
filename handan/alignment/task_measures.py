"""Measures of one model on one task, and the checks a reviewer asks for.

Correlations, reliabilities, ceiling and rates; and what else could make a model's lengths go with
human times: rates of responses that are not what they seem; the correlation without them, or with
the cap treated as what it is; the correlation with other properties of the items held constant; and
whether a model spends more on an item when it is wrong.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan.alignment import correlation as stats
from handan.alignment.bootstrap import Bootstrap, Correlation, Pair, censored_correlation, interval
from handan.alignment.correlation import FloatArray
from handan.alignment.items import (
    MAX_NO_REASONING,
    MIN_ACCURACY,
    TaskCosts,
    log_of_positive,
    row_means,
)
from handan.alignment.means import why_unusable
from handan.alignment.measures import BY_KEY
from handan.alignment.participants import named_norms
from handan.norms.reliability import Reliability, low_reliability
from handan.table_formats import decimal
from handan.table_formats import interval as shown_interval

# Shares of samples above which a correlation is flagged.
THRESHOLDS = {
    "cap_rate": 0.01,
    "loop_rate": 0.01,
    "unparsed_rate": 0.05,
    "no_reasoning_rate": MAX_NO_REASONING,
}
# An item that moves r by more than this is named.
INFLUENTIAL = 0.1
# Correlations over fewer distinct lengths are those of classes, which is said.
FEW_LENGTHS = 5


class Measured(NamedTuple):
    """One model on one task at one step.

    ``thinking`` are the costs that have a logarithm; ``r`` their log-log correlation with its
    interval, and ``draws`` its bootstrap draws, shape (draws,).
    """

    all_items: TaskCosts
    thinking: TaskCosts
    r: Correlation
    draws: FloatArray


def pairs_of(everything: TaskCosts, costs: TaskCosts) -> dict[str, Pair]:
    """Every further correlation of one model on one task, by its name in the report."""
    reasons = np.full(len(everything.items), np.nan)
    if not everything.reasons:
        reasons = row_means(1 - everything.no_reasoning)
    log_mean, log_oracle = np.log(np.maximum(costs.mean_tokens, 1e-300)), np.log(costs.oracle)
    pairs = {
        "r_raw": _pair(everything, everything.mean_tokens, everything.raw_difficulty),
        "r_reasons": _pair(everything, reasons, everything.log_difficulty),
        "r_logmean": _pair(costs, log_mean, costs.log_difficulty),
        "r_oracle": _pair(costs, costs.log_cost, log_oracle),
        "oracle_human": _pair(costs, log_oracle, costs.log_difficulty),
    }
    pairs |= {f"sensitivity {k}": v for k, v in _sensitivity_pairs(costs).items()}
    return pairs | {f"partial {k}": v for k, v in _partial_pairs(costs).items()}


def _pair(costs: TaskCosts, x: FloatArray, y: FloatArray) -> Pair:
    return Pair(costs.task, costs.items, x, y)


def _sensitivity_pairs(costs: TaskCosts) -> dict[str, Pair]:
    """The log-log correlation under other choices of samples and unit, where they differ."""
    truncated, characters = costs.of_samples["truncated"], costs.of_samples["characters"]
    chosen = {}
    if np.nansum(truncated) > 0:
        chosen["complete_only"] = costs.where(1 - truncated)
    if np.nansum(costs.correct) > 0 and np.nanmin(costs.correct) == 0:
        chosen["correct_only"] = costs.where(costs.correct)
    pairs = {name: _pair(of, of.log_cost, of.log_difficulty) for name, of in chosen.items()}
    if np.isfinite(characters).any():
        logs = row_means(log_of_positive(characters))
        pairs["characters"] = _pair(costs, logs, costs.log_difficulty)
    return pairs


def _partial_pairs(costs: TaskCosts) -> dict[str, Pair]:
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
        left = stats.residuals(np.column_stack([costs.log_cost, costs.log_difficulty]), predictors)
        fitted = int(np.linalg.matrix_rank(predictors - predictors.mean(axis=0)))
        pairs[name] = Pair(costs.task, costs.items, left[:, 0], left[:, 1], lost=2 + fitted)
    return pairs


def human_reliability(costs: TaskCosts, seed: int, norms_dir: Path | None) -> Reliability:
    """Reliability of human item means: of the trials at hand, or else of the named norms.

    That of norms is of all their items, also where the file holds only some of them.
    """
    if costs.participants is not None:
        return costs.participants.reliability(np.random.default_rng(seed))
    if costs.norms is None:
        return Reliability(None, None, None, "")
    found = named_norms(costs.task, costs.norms, norms_dir)
    return Reliability(found.reliability, found.reliability_low, found.reliability_high, "")


def task_report(
    measured: Measured,
    correlations: Mapping[str, Correlation],
    human: Reliability,
    bootstrap: Bootstrap,
) -> dict:
    """Measures of one model on one task; log measures over items with a thinking sample."""
    everything, costs, r, draws = measured
    model = stats.reliability_of_means(costs.log_tokens)
    of_human = np.nan if human.value is None else human.value
    ceiling = np.sqrt(of_human) if of_human > 0 else np.nan
    noise = np.sqrt(of_human * model.value) if min(of_human, model.value) > 0 else np.nan
    few = len(costs.items) < stats.MIN_ITEMS
    rho = np.nan if few else stats.spearman(costs.log_cost, costs.log_difficulty)
    of_condition = rates(everything)
    # An item is a lower bound if any of its thinking samples is.
    capped = np.nansum(costs.of_samples["truncated"] * (costs.tokens > 0), axis=1) > 0
    censored = None
    if capped.any():
        censored = censored_correlation(costs.log_difficulty, costs.log_cost, capped).report()

    def with_interval(name: str, found: Correlation) -> dict:
        return {
            name: stats.finite_or_none(found.r),
            f"{name}_ci": stats.finite_or_none(found.bounds),
        }

    def divided(by: float) -> Correlation:
        """r in units of a ceiling that is taken as known; not clipped."""
        return Correlation(r.r / by, (r.bounds[0] / by, r.bounds[1] / by), r.num_items)

    def named(kind: str) -> dict[str, dict]:
        return {
            name.removeprefix(kind): found.report()
            for name, found in correlations.items()
            if name.startswith(kind)
        }

    geometric = np.exp(np.mean(costs.log_cost)) if len(costs.log_cost) else np.nan
    return {
        "n": len(costs.items),
        "items_dropped": len(everything.items) - len(costs.items),
        "cost_source": costs.cost_source,
        "counted_by": costs.counted_by,
        "cost_rule": costs.cost_rule,
        **with_interval("r_raw", correlations["r_raw"]),
        **with_interval("r_loglog", r),
        "spearman": stats.finite_or_none(rho),
        "spearman_ci": stats.finite_or_none(stats.spearman_interval(rho, len(costs.items))),
        **with_interval("r_logmean", correlations["r_logmean"]),
        **with_interval("r_reasons", correlations["r_reasons"]),
        "distinct_lengths": len(np.unique(np.round(costs.log_cost, 9))),
        "influential": _influential(costs),
        "reliability_human": human.value,
        "reliability_human_ci": None if human.low is None else [human.low, human.high],
        "reliability_model": stats.finite_or_none(model.value),
        "reliability_model_ci": stats.finite_or_none((model.low, model.high)),
        "ceiling": stats.finite_or_none(ceiling),
        **with_interval("r_loglog_normalized", divided(ceiling)),
        **with_interval("r_loglog_disattenuated", divided(noise)),
        **with_interval("r_oracle", correlations["r_oracle"]),
        **with_interval("oracle_human", correlations["oracle_human"]),
        **{name: stats.finite_or_none(rate) for name, rate in of_condition.items()},
        "flags": flags(of_condition),
        "mean_tokens": stats.finite_or_none(np.mean(everything.mean_tokens)),
        "geometric_mean_tokens": stats.finite_or_none(geometric),
        "inverse_efficiency": stats.finite_or_none(inverse_efficiency(everything)),
        "sensitivity": {
            **dict.fromkeys(("complete_only", "correct_only", "characters")),
            "censored": censored,
            **named("sensitivity "),
        },
        "partial": named("partial "),
        "wrong_minus_right": _wrong_minus_right(costs, bootstrap),
        "draws_left_out": int(np.isnan(draws).sum()),
    }


def rates(costs: TaskCosts) -> dict[str, float]:
    """Shares of samples, NaN where not recorded; accuracy and no reasoning over all items."""
    return {
        "accuracy": costs.accuracy,
        "cap_rate": stats.mean_of_known(costs.of_samples["truncated"]),
        "loop_rate": stats.mean_of_known(costs.of_samples["looping"]),
        "unparsed_rate": stats.mean_of_known(costs.of_samples["unparsed"]),
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


def accuracy_means(entries: Sequence[TaskCosts]) -> float:
    """Mean over tasks of their accuracy, NaN if one is unknown."""
    return float(np.mean([stats.mean_of_known(entry.correct) for entry in entries]))


def inverse_efficiency(costs: TaskCosts) -> float:
    """Mean tokens / accuracy; NaN where accuracy is 0 or unknown."""
    accuracy = stats.mean_of_known(costs.correct)
    return float(np.mean(costs.mean_tokens)) / accuracy if accuracy > 0 else float("nan")


def _influential(costs: TaskCosts) -> list[dict]:
    """Items without which the log-log correlation is another by more than .1, the most so first.

    'r_without' is null where the correlation without the item is undefined.
    """
    if np.isnan(costs.r):
        return []
    without = stats.leave_one_out(costs.log_cost, costs.log_difficulty)
    moved = np.nan_to_num(np.abs(without - costs.r), nan=np.inf)
    order = np.argsort(-moved, kind="stable")[: np.count_nonzero(moved > INFLUENTIAL)]
    return [{"item": costs.items[i], "r_without": stats.finite_or_none(without[i])} for i in order]


def _wrong_minus_right(costs: TaskCosts, bootstrap: Bootstrap) -> dict | None:
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
        "delta": stats.finite_or_none(above / below),
        "ci": stats.finite_or_none(interval(draws, [num_items])),
        "ratio": stats.finite_or_none(np.exp(above / below)),
        "items": num_items,
        "samples": int(np.isfinite(wrong).sum()),
    }


def reliability_notes(reports: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    """Notes on reliabilities, by model and task, that are too low to divide by."""
    notes: list[str] = []
    for (model, task), of in reports.items():
        notes += low_reliability(f"people on {task}", of["reliability_human"])
        notes += low_reliability(f"{model} on {task}", of["reliability_model"])
    return list(dict.fromkeys(notes))


def task_notes(
    entries: Sequence[Measured], reports: Mapping[tuple[str, str], Mapping[str, Any]]
) -> list[str]:
    """Notes on what was left out, could not be computed or rests on little."""
    notes = []
    for everything, costs, r, draws in entries:
        name, num_items = f"{costs.model}, {costs.task}", len(costs.items)
        report = reports[costs.model, costs.task]
        if costs.counted_by and " + " in costs.counted_by:
            notes.append(f"{name}: tokens counted in more than one way: {costs.counted_by}")
        if dropped := report["items_dropped"]:
            notes.append(f"{name}: {dropped} items without a thinking sample left out of logs")
        if not everything.reasons:
            share, bounds = report["r_reasons"], report["r_reasons_ci"]
            goes = "" if share is None else f", which goes with time at r = {decimal(share)} "
            notes.append(
                f"{name}: {100 * everything.no_reasoning_rate:.0f} % of answers without reasoning: "
                f"first comes whether it reasons{goes}{shown_interval(bounds) if goes else ''}; "
                "r log-log is of lengths where it does, and carries no verdict"
            )
        if reason := why_unusable(costs, draws):
            notes.append(f"{name}: {reason}; in no mean and no verdict")
        elif r.r * r.r == 1:
            notes.append(f"{name}: r is exactly {r.r:+.0f}, so it is in no mean with others")
        if np.isnan(r.r):
            continue
        if (distinct := report["distinct_lengths"]) < FEW_LENGTHS:
            notes.append(f"{name}: only {distinct} distinct lengths over {num_items} items")
        notes += [
            f"{name}: without item {of['item']} r log-log is {decimal(of['r_without'])} instead of "
            f"{decimal(r.r)}"
            for of in report["influential"]
        ]
    return notes
