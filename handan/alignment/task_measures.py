"""Measures of one model on one task, and what else could make its lengths go with human times."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan.alignment import correlation as stats
from handan.alignment import items
from handan.alignment.bootstrap import Bootstrap, Correlation, Pair, censored_correlation, interval
from handan.alignment.correlation import FloatArray, Interval
from handan.alignment.costs import COVARIATE
from handan.alignment.items import TaskCosts, log_of_positive, row_means, why_unusable
from handan.alignment.measures import BY_KEY
from handan.alignment.participants import named_norms
from handan.formatting import decimal
from handan.formatting import interval as shown_interval
from handan.norms.compute import Reliability, low_reliability

# Shares of samples above which a correlation is flagged.
THRESHOLDS = {"cap_rate": 0.01, "loop_rate": 0.01, "unparsed_rate": 0.05}
THRESHOLDS["no_reasoning_rate"] = items.MAX_NO_REASONING
# Means that differ by less than this in every draw differ by rounding.
SAME = 1e-12


class Measured(NamedTuple):
    """One model on one task at one step: all costs, those with a logarithm, and their log-log r."""

    all_items: TaskCosts
    thinking: TaskCosts
    r: Correlation
    draws: FloatArray


def pairs_of(everything: TaskCosts, costs: TaskCosts) -> dict[str, Pair]:
    """Every further correlation of one model on one task, by its name in the report."""
    reasons = np.full(len(everything.items), np.nan)
    if not everything.reasons:
        reasons = row_means(1 - everything.no_reasoning)
    log_mean = np.log(np.maximum(costs.mean_tokens, 1e-300))
    log_oracle = np.log(costs.of_items["oracle"])
    pairs = {
        "r_raw": _pair(everything, everything.mean_tokens, everything.of_items["raw_difficulty"]),
        "r_reasons": _pair(everything, reasons, everything.log_difficulty),
        "r_logmean": _pair(costs, log_mean, costs.log_difficulty),
        "r_oracle": _pair(costs, costs.log_cost, log_oracle),
        "oracle_human": _pair(costs, log_oracle, costs.log_difficulty),
    }
    # The log-log correlation under other choices of samples and unit, where they differ.
    truncated, characters = costs.of_samples["truncated"], costs.of_samples["characters"]
    chosen = {}
    if np.nansum(truncated) > 0:
        chosen["complete_only"] = costs.where(1 - truncated).log_cost
    if np.nansum(costs.correct) > 0 and np.nanmin(costs.correct) == 0:
        chosen["correct_only"] = costs.where(costs.correct).log_cost
    if np.isfinite(characters).any():
        chosen["characters"] = row_means(log_of_positive(characters))
    pairs |= {f"sensitivity {k}": _pair(costs, v, costs.log_difficulty) for k, v in chosen.items()}
    return pairs | {f"partial {k}": v for k, v in _partial_pairs(costs).items()}


def _pair(costs: TaskCosts, x: FloatArray, y: FloatArray) -> Pair:
    return Pair(costs.task, costs.items, x, y)


def _partial_pairs(costs: TaskCosts) -> dict[str, Pair]:
    """Partial correlations: each covariate held constant by itself, and all of them together.

    Covariates of a sample are averaged over an item, lengths in logs; constant or unknown ones are
    left out. 'all' needs items three times as many as covariates.
    """
    known = {
        "prompt_tokens": row_means(log_of_positive(costs.of_samples["prompt_tokens"])),
        "answer_tokens": row_means(log_of_positive(costs.of_samples["answer_tokens"])),
        "accuracy": row_means(costs.correct),
    }
    for name, values in costs.of_items.items():
        if name.startswith(COVARIATE) and np.isfinite(values).all():
            known[name.removeprefix(COVARIATE)] = values
    held: dict[str, FloatArray] = {
        name: values[:, None]
        for name, values in known.items()
        if np.isfinite(values).all() and len(values) and np.ptp(values) > 0
    }
    if 1 < len(held) <= len(costs.items) / 3:
        held["all"] = np.column_stack(list(held.values()))
    pairs = {}
    for name, predictors in held.items():
        left = stats.residuals(np.column_stack([costs.log_cost, costs.log_difficulty]), predictors)
        fitted = int(np.linalg.matrix_rank(predictors - predictors.mean(axis=0)))
        pairs[name] = Pair(costs.task, costs.items, left[:, 0], left[:, 1], lost=2 + fitted)
    return pairs


def human_reliability(costs: TaskCosts, seed: int, norms_dir: Path | None) -> Reliability:
    """Reliability of human item means: of the trials at hand, or else of all items of the norms."""
    if costs.participants is not None:
        return costs.participants.reliability(np.random.default_rng(seed))
    if costs.norms is None:
        return Reliability(None, None, None, "")
    found = named_norms(costs.task, costs.norms, norms_dir)
    return Reliability(found.reliability, found.reliability_low, found.reliability_high, "")


def task_report(
    measured: Measured, found: dict[str, Correlation], human: Reliability, bootstrap: Bootstrap
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

    outcomes = np.column_stack([row_means(everything.correct), everything.mean_tokens])
    drawn = bootstrap.means(everything.task, everything.items, outcomes).T
    right, spent = (mean_interval(draws, [len(everything.items)]) for draws in drawn)

    def with_interval(name: str, value: float, bounds: tuple[float, float]) -> dict:
        return {name: stats.finite_or_none(value), f"{name}_ci": stats.finite_or_none(bounds)}

    def further(*names: str) -> dict:
        reports = [with_interval(name, *found[name][:2]) for name in names]
        return {key: value for report in reports for key, value in report.items()}

    def divided(by: float) -> tuple[float, tuple[float, float]]:
        """r in units of a ceiling that is taken as known; not clipped."""
        return r.r / by, (r.bounds[0] / by, r.bounds[1] / by)

    def named(kind: str) -> dict[str, dict]:
        return {k.removeprefix(kind): r.report() for k, r in found.items() if k.startswith(kind)}

    geometric = np.exp(np.mean(costs.log_cost)) if len(costs.log_cost) else np.nan
    return {
        "n": len(costs.items),
        "items_dropped": len(everything.items) - len(costs.items),
        "cost_source": costs.cost_source,
        "counted_by": costs.counted_by,
        "cost_rule": costs.cost_rule,
        **further("r_raw"),
        **with_interval("r_loglog", r.r, r.bounds),
        **with_interval("spearman", rho, stats.spearman_interval(rho, len(costs.items))),
        **further("r_logmean", "r_reasons"),
        "distinct_lengths": len(np.unique(np.round(costs.log_cost, 9))),
        "influential": _influential(costs),
        "reliability_human": human.value,
        "reliability_human_ci": None if human.low is None else [human.low, human.high],
        **with_interval("reliability_model", model.value, (model.low, model.high)),
        "ceiling": stats.finite_or_none(ceiling),
        **with_interval("r_loglog_normalized", *divided(ceiling)),
        **with_interval("r_loglog_disattenuated", *divided(noise)),
        **further("r_oracle", "oracle_human"),
        **{name: stats.finite_or_none(rate) for name, rate in of_condition.items()},
        "accuracy_ci": stats.finite_or_none(right),
        "flags": flags(of_condition),
        **with_interval("mean_tokens", float(np.mean(everything.mean_tokens)), spent),
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
    columns = {"cap_rate": "truncated", "loop_rate": "looping", "unparsed_rate": "unparsed"}
    known = {rate: stats.mean_of_known(costs.of_samples[of]) for rate, of in columns.items()}
    return {"accuracy": costs.accuracy, **known, "no_reasoning_rate": costs.no_reasoning_rate}


def flags(of_condition: Mapping[str, float]) -> list[str]:
    """Rates beyond their thresholds, such as 'capped 12 %'."""
    found = []
    if of_condition["accuracy"] < items.MIN_ACCURACY:
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
    """Items without which the log-log correlation is another by more than .1, the most so first."""
    if np.isnan(costs.r):
        return []
    without = stats.leave_one_out(costs.log_cost, costs.log_difficulty)
    moved = np.nan_to_num(np.abs(without - costs.r), nan=np.inf)
    order = np.argsort(-moved, kind="stable")[: np.count_nonzero(moved > 0.1)]
    return [{"item": costs.items[i], "r_without": stats.finite_or_none(without[i])} for i in order]


def mean_interval(draws: FloatArray, num_items: Sequence[int]) -> Interval:
    """Interval of a mean over items, or of the difference of two; none where nothing varies."""
    known = draws[np.isfinite(draws)]
    if len(known) and np.ptp(known) < SAME:
        return stats.NO_INTERVAL
    return interval(np.where(np.isfinite(draws), draws, np.nan), num_items)


def _wrong_minus_right(costs: TaskCosts, bootstrap: Bootstrap) -> dict | None:
    """How much longer, in logs, a model's wrong responses to an item are than its right ones.

    log tokens = effect of the item + delta wrong + e over thinking samples (arXiv 2606.26502):
    delta is estimated within items that have both; None without any. 'ratio' is exp(delta).
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
    return {
        "delta": stats.finite_or_none(above / below),
        "ci": stats.finite_or_none(interval(draws, [int(both.sum())])),
        "ratio": stats.finite_or_none(np.exp(above / below)),
        "items": int(both.sum()),
        "samples": int(np.isfinite(wrong).sum()),
    }


def reliability_notes(reports: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    """Notes on reliabilities, by model and task, that are too low to divide by."""
    notes: dict[str, None] = {}
    for (model, task), of in reports.items():
        for who, kind in (("people", "human"), (model, "model")):
            notes |= dict.fromkeys(low_reliability(f"{who} on {task}", of[f"reliability_{kind}"]))
    return list(notes)


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
            goes = ""
            if (share := report["r_reasons"]) is not None:
                goes = f", which goes with time at r = {decimal(share)} "
                goes += shown_interval(report["r_reasons_ci"])
            notes.append(
                f"{name}: {100 * everything.no_reasoning_rate:.0f} % of answers without reasoning: "
                f"first comes whether it reasons{goes}; r log-log is of lengths where it does, and "
                "carries no verdict"
            )
        if reason := why_unusable(costs, draws):
            notes.append(f"{name}: {reason}; in no mean and no verdict")
        elif r.r * r.r == 1:
            notes.append(f"{name}: r is exactly {r.r:+.0f}, so it is in no mean with others")
        if np.isnan(r.r):
            continue
        if (distinct := report["distinct_lengths"]) < 5:  # r over them is one of classes
            notes.append(f"{name}: only {distinct} distinct lengths over {num_items} items")
        notes += [
            f"{name}: without item {of['item']} r log-log is {decimal(of['r_without'])} instead of "
            f"{decimal(r.r)}"
            for of in report["influential"]
        ]
    return notes
