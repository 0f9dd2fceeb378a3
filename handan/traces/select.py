"""Choice of one trace per prompt, within a task, by its length and never by its text.

How far a policy goes among what was sampled is recorded; a prompt's difficulty is its mean log
length.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from handan.errors import UserError
from handan.files import file_hash, read_keyed
from handan.launch import Processes
from handan.rundir import read_run
from handan.traces.filter_stats import Tally, trace_run, write_traces
from handan.traces.trace_settings import RunSettings

FloatArray = NDArray[np.float64]
Lengths = Sequence[FloatArray]  # log lengths of each prompt's traces, first trace first


def as_is(lengths: Lengths, rng: np.random.Generator) -> list[int]:
    """The first trace of each prompt."""
    return [0] * len(lengths)


def concise(lengths: Lengths, rng: np.random.Generator) -> list[int]:
    """The shortest trace of each prompt."""
    return [int(np.argmin(of)) for of in lengths]


def fixed_length(lengths: Lengths, rng: np.random.Generator) -> list[int]:
    """The trace of each prompt that is nearest to the task's median length."""
    target = np.median([of[0] for of in lengths])
    return [int(np.argmin(np.abs(of - target))) for of in lengths]


def length_shuffled(lengths: Lengths, rng: np.random.Generator) -> list[int]:
    """Traces whose lengths are spread as before, but say nothing about difficulty.

    Each prompt gets the length of another prompt, drawn as a permutation, as its target, and the
    trace nearest to it. The targets are independent of difficulty, but the traces a prompt has are
    not, so some correlation remains. Therefore a pressure lambda is added: prompt i takes the trace
    that minimises (l - target_i)^2 + lambda z_i l, with z its standardised difficulty, and lambda
    is the smallest one that leaves no positive covariance. The covariance falls with lambda, so
    bisection finds it; beyond what the traces allow it stays positive, and is reported.
    """
    targets = rng.permutation([of[0] for of in lengths])
    difficulty = np.array([of.mean() for of in lengths])
    spread = difficulty.std()
    z = (difficulty - difficulty.mean()) / spread if spread > 0 else np.zeros(len(lengths))

    def choose(pressure: float) -> list[int]:
        return [
            int(np.argmin((of - target) ** 2 + pressure * score * of))
            for of, target, score in zip(lengths, targets, z, strict=True)
        ]

    def covariance(chosen: Sequence[int]) -> float:
        return float(z @ [of[i] for of, i in zip(lengths, chosen, strict=True)])

    chosen = choose(0.0)
    if covariance(chosen) <= 0:
        return chosen
    low, high = 0.0, 1.0
    while covariance(choose(high)) > 0 and high < 1e6:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if covariance(choose(middle)) > 0 else (low, middle)
    return min(choose(low), choose(high), key=lambda chosen: abs(covariance(chosen)))


POLICIES: dict[str, Callable[[Lengths, np.random.Generator], list[int]]] = {
    choose.__name__: choose for choose in (as_is, concise, fixed_length, length_shuffled)
}

# What a policy removes: a figure of ``_summary``, its power, and its name in words.
REMOVED = {
    "length_shuffled": ("r_difficulty", 1, "of the correlation of log length with difficulty"),
    "fixed_length": ("sd_log", 2, "of the variance of log length"),
}


def choose_traces(settings: RunSettings, world: Processes) -> None:
    """Make a run directory of the traces that a policy takes from another run."""
    if settings.policy not in POLICIES:
        raise UserError(f"policy '{settings.policy}' is not known; use {', '.join(POLICIES)}")
    if settings.min_samples < 2 and settings.policy != "as_is":
        raise UserError(
            f"min_samples is {settings.min_samples}, but {settings.policy} chooses among the "
            "traces of a prompt; set it to 2 or more, in the paired arms too"
        )
    origin = Path(settings.run)
    path = origin / "traces.jsonl"
    made = read_run(origin, there=True).get("traces")
    if made is None:
        raise UserError(f"{origin}: holds no traces; give the output_dir of handan traces")
    facts = {"run": str(origin), "traces_of_run": file_hash(path)}
    with trace_run(settings, world, made.get("teacher"), **facts) as (run_dir, _):
        if world.rank == 0:
            rows = read_keyed(path, ("task", "item", "sample"))
            kept, tally, lengths = apply(rows, settings, str(path))
            spent = {key: made.get(key) for key in ("budget", "parameters")}
            write_traces(run_dir, kept, tally, lengths=lengths, **spent)


def apply(
    rows: Sequence[dict], settings: RunSettings, place: str
) -> tuple[list[dict], Tally, dict[str, Any]]:
    """Choose one trace of each prompt; also what became of all, and lengths before and after."""
    known = all(row["reasoning_tokens"] is not None for row in rows)
    unit = "reasoning_tokens" if known else "reasoning_characters"
    tally = Tally(unit)
    prompts: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: (row["task"], row["item"], row["sample"])):
        if row[unit] > 0:
            prompts[row["task"]][row["item"]].append(row)
        else:
            tally.drop(row["task"], "no_reasoning", row[unit])
    most = max((len(of) for items in prompts.values() for of in items.values()), default=0)
    if most < settings.min_samples:
        raise UserError(
            f"{place}: {settings.policy} with min_samples {settings.min_samples} needs as many "
            f"traces with reasoning of a prompt, and no prompt has more than {most}; draw at least "
            f"{settings.min_samples} samples, and more where some are wrong"
        )
    kept: list[dict] = []
    report: dict[str, Any] = {}
    for task, items in prompts.items():
        enough = [of for of in items.values() if len(of) >= settings.min_samples]
        for of in items.values():
            for row in of if len(of) < settings.min_samples else []:
                tally.drop(task, "too_few_samples", row[unit])
        if not enough:
            continue
        lengths = [np.log([row[unit] for row in of]) for of in enough]
        rng = np.random.default_rng([settings.seed, *task.encode()])
        chosen = POLICIES[settings.policy](lengths, rng)
        for of, index in zip(enough, chosen, strict=True):
            kept.append(of[index])
            tally.keep(task, of[index][unit])
            for row in of[:index] + of[index + 1 :]:
                tally.drop(task, "not_chosen", row[unit])
        entry = report[task] = _describe(lengths, chosen, settings.policy)
        limit, remaining = settings.max_remaining, entry["remaining"]
        if limit is not None and remaining is not None and remaining > limit:
            raise UserError(
                f"{place}: in {task} {remaining:.0%} {REMOVED[settings.policy][2]} remains, more "
                f"than max_remaining {limit:.0%}, with {entry['traces_per_prompt']:.1f} traces per "
                "prompt; draw more samples, or at a higher temperature, or let more remain"
            )
    return kept, tally, {"unit": unit, "tasks": report}


def _describe(lengths: Lengths, chosen: Sequence[int], policy: str) -> dict[str, Any]:
    difficulty = np.array([of.mean() for of in lengths])
    before = _summary(np.array([of[0] for of in lengths]), difficulty)
    after = _summary(np.array([of[i] for of, i in zip(lengths, chosen, strict=True)]), difficulty)
    remaining = None
    if policy in REMOVED:
        name, power, _ = REMOVED[policy]
        if before[name] and after[name] is not None:
            remaining = abs(after[name] / before[name]) ** power
    return {
        "prompts": len(lengths), "traces_per_prompt": float(np.mean([len(of) for of in lengths])),
        "as_is": before, "chosen": after, "remaining": remaining,
    }  # fmt: skip


def _summary(logs: FloatArray, difficulty: FloatArray) -> dict[str, Any]:
    r, slope, interval, quantiles = None, None, None, (0.05, 0.25, 0.5, 0.75, 0.95)
    if len(logs) > 3 and np.ptp(logs) > 0 and np.ptp(difficulty) > 0:
        found = stats.pearsonr(logs, difficulty)
        low, high = found.confidence_interval(0.95)
        r, interval = float(found.statistic), [float(low), float(high)]
        slope = float(r * logs.std() / difficulty.std())
    return {
        "mean": float(np.exp(logs).mean()), "sd": float(np.exp(logs).std()),
        "sd_log": float(logs.std()),
        "quantiles": {str(q): float(np.exp(np.quantile(logs, q))) for q in quantiles},
        "r_difficulty": r, "r_difficulty_ci": interval, "slope_difficulty": slope, "n": len(logs),
    }  # fmt: skip
