"""How often do intervals hold the truth, and verdicts claim what is not there? By simulation.

Every study has two models and four tasks of n items. Each cell is the share of studies whose 95 %
interval holds the truth: of r on a task, of the difference of two dependent r, of the mean r over
the tasks, and of the slope b of one model's log cost on the other's; and beside them plain
percentiles and Zou's interval of the difference on the same studies. 'Called lower' and 'called
either' are verdicts on the mean over tasks where there is no difference. The last table asks how
often Steiger's formula of the power is right.

Draws of items are made by the code of `handan align`, 2,000 of them. Data: normal; with heavy
tails (an elliptical t of 6 degrees of freedom); skewed (gamma errors); with few samples, whose
noise lowers r and flattens b, where the slope is the corrected one; with 12 participants who
differ in what they find hard; and normal with twelve items in the last task, under both weights.

    python benchmarks/coverage.py [--studies 1000] [--items 20 60 300] [--data KIND ...]

About eleven minutes on one core with 1,000 studies.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np

from handan.alignment.align import measure, summary
from handan.alignment.bootstrap import Bootstrap
from handan.alignment.contrasts import contrasts
from handan.alignment.correlation import EQUAL as EQUAL_WEIGHTS
from handan.alignment.correlation import INVERSE_VARIANCE, MIN_ITEMS, power, steiger
from handan.alignment.inflation import inflation
from handan.alignment.items import TaskCosts
from handan.alignment.participants import Participants

TASKS = 4
DRAWS = 2_000
SAMPLES, SAMPLE_NOISE = 4, 0.8
PARTICIPANTS, SLOPES, TRIAL_NOISE = 12, 0.5, 0.5
EQUAL, APART = (0.6, 0.6, 0.5), (0.64, 0.34, 0.4)
ROWS = [
    *(("normal", EQUAL), ("normal", APART), ("normal", (0.9, 0.85, 0.8))),
    *(("heavy tails", EQUAL), ("skewed", EQUAL)),
    *(("few samples", EQUAL), ("participants", EQUAL), ("a small task", EQUAL)),
]


def columns(kind: str, r: Sequence[float], num_items: int, generator: np.random.Generator):
    """log time, and log costs of both models, with these correlations; shape (3, items)."""
    r_a, r_b, r_ab = r
    root = np.linalg.cholesky([[1, r_a, r_b], [r_a, 1, r_ab], [r_b, r_ab, 1]])
    if kind == "skewed":
        return root @ ((generator.gamma(2, 1, size=(3, num_items)) - 2) / np.sqrt(2))
    values = root @ generator.normal(size=(3, num_items))
    if kind == "heavy tails":
        values *= np.sqrt(6 / generator.chisquare(6, size=num_items))
    return values


def task_costs(model: str, task: str, log_cost, log_time, noise, people, generator) -> TaskCosts:
    """Costs of one model on one task, as ``handan align`` holds them."""
    items = tuple(f"i{index:04d}" for index in range(len(log_time)))
    samples = SAMPLES if noise else 1
    logs = log_cost[:, None] + noise * generator.normal(size=(len(items), samples))
    unknown = np.full(logs.shape, np.nan)
    names = ("correct", "looping", "prompt_tokens", "answer_tokens", "characters")
    of_samples = dict.fromkeys((*names, "truncated", "unparsed"), unknown)
    of_items = {"difficulty": np.exp(log_time), "log_difficulty": log_time, "oracle": unknown[:, 0]}
    return TaskCosts(
        model=model,
        decoding="sampled",
        task=task,
        step=None,
        cost_source="human",
        norms=None,
        counted_by=None,
        cost_rule="span",
        items=items,
        of_samples={"tokens": np.exp(5 + logs), **of_samples},
        of_items=of_items,
        participants=people,
    )


def people_of(log_time, generator) -> tuple[Participants, np.ndarray]:
    """Participants whose times follow the item, a second property that divides them, and noise."""
    num_items = len(log_time)
    second = generator.normal(size=num_items)
    slopes = SLOPES * generator.normal(size=(PARTICIPANTS, 1))
    noise = TRIAL_NOISE * generator.normal(size=(PARTICIPANTS, num_items))
    log_rt = log_time + slopes * second + noise
    items = tuple(f"i{index:04d}" for index in range(num_items))
    return Participants(items, log_rt, np.exp(log_rt), np.ones_like(log_rt)), second


def study(kind: str, r: Sequence[float], num_items: int, number: int) -> dict:
    """{model: {task: costs}} of one simulated study."""
    generator = np.random.default_rng([len(kind), num_items, number, int(1000 * r[0])])
    costs: dict[str, dict] = {f"a{number}": {}, f"b{number}": {}}
    noise = SAMPLE_NOISE if kind == "few samples" else 0.0
    # One task of few items beside large ones must not decide their mean.
    sizes = [num_items] * TASKS
    if kind == "a small task":
        sizes[-1] = MIN_ITEMS
    for task, size in enumerate(sizes):
        log_time, of_a, of_b = columns(kind, r, size, generator)
        people = None
        if kind == "participants":
            people, second = people_of(log_time, generator)
            # Both models also spend on what divides people: groups of people move both r.
            of_a, of_b = (np.sqrt(0.75) * of + 0.5 * second for of in (of_a, of_b))
            log_time = people.mean_log_rt
        for model, log_cost in zip(costs, (of_a, of_b), strict=True):
            costs[model][f"t{task}"] = task_costs(
                model, f"t{task}", log_cost, log_time, noise, people, generator
            )
    return costs


def truths(kind: str, r: Sequence[float]) -> dict[str, float]:
    """What the intervals of a study should hold."""
    r_a, r_b, r_ab = r
    if kind == "few samples":
        reliability = 1 / (1 + SAMPLE_NOISE**2 / SAMPLES)
        r_a, r_b = r_a * np.sqrt(reliability), r_b * np.sqrt(reliability)
    if kind == "participants":
        # People's mean slope is 0 in the population, so the second property is no part of r.
        shared = np.sqrt(0.75 / (1 + (SLOPES**2 + TRIAL_NOISE**2) / PARTICIPANTS))
        r_a, r_b, r_ab = r_a * shared, r_b * shared, 0.75 * r_ab + 0.25
    return {"r": r_a, "difference": r_a - r_b, "mean r": r_a, "b": r_ab}


def cell(kind: str, r: Sequence[float], num_items: int, num_studies: int) -> dict[str, float]:
    """Shares of studies whose intervals hold the truth, and of wrong verdicts."""
    bootstrap = Bootstrap(DRAWS, seed=num_items)
    true = truths(kind, r)
    hits: dict[str, list[bool]] = {}

    def note(name: str, bounds: Sequence[float] | None, truth: float) -> None:
        inside = bounds is not None and bounds[0] <= truth <= bounds[1]
        hits.setdefault(name, []).append(inside)

    for number in range(num_studies):
        costs = study(kind, r, num_items, number)
        a, b = costs
        entries = list(measure(costs[a].values(), bootstrap))
        note("r", entries[0].r.bounds, true["r"])
        note("mean r", summary(entries, INVERSE_VARIANCE)["mean_r_loglog_ci"], true["mean r"])
        equal = summary(entries, EQUAL_WEIGHTS)["mean_r_loglog_ci"]
        note("mean r, equal weights", equal, true["mean r"])
        rows = contrasts(costs, [(a, b)], bootstrap)
        note("difference", rows[0]["ci"], true["difference"])
        note("Zou", rows[0]["zou_ci"], true["difference"])
        (draws_a, draws_b) = bootstrap.alignment([costs[a]["t0"], costs[b]["t0"]])
        plain = np.nanpercentile(draws_a, [2.5, 97.5])
        note("r, plain", plain, true["r"])
        plain = np.nanpercentile(draws_a - draws_b, [2.5, 97.5])
        note("difference, plain", plain, true["difference"])
        fit = inflation(costs, [(a, b)], bootstrap)[0]
        note("b", (fit["corrected"] if kind == "few samples" else fit)["b_ci"], true["b"])
        if r == EQUAL:
            verdict = (rows[-1]["verdict"] or "").split(",")[0]
            hits.setdefault("called lower", []).append(verdict == "lower")
            hits.setdefault("called either", []).append(verdict in ("lower", "higher"))
        bootstrap._correlations.clear()  # models of other studies
    return {name: float(np.mean(values)) for name, values in hits.items()}


def power_rows(num_studies: int) -> list[tuple[int, float, float]]:
    """Items, power by formula, and how often Steiger's test finds .64 against .34."""
    rows = []
    generator = np.random.default_rng(1)
    for num_items in (30, 60, 100, 150):
        found = 0
        for _ in range(num_studies):
            r = np.corrcoef(columns("normal", APART, num_items, generator))
            found += steiger(r[0, 1], r[0, 2], r[1, 2], num_items).p < 0.05
        rows.append((num_items, power(*APART, [num_items]), found / num_studies))
    return rows


def shown(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}".removeprefix("0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--studies", type=int, default=1_000, metavar="N")
    parser.add_argument("--items", type=int, nargs="+", default=[20, 60, 300], metavar="N")
    kinds = list(dict.fromkeys(kind for kind, _ in ROWS))
    parser.add_argument("--data", nargs="+", choices=kinds, default=kinds, metavar="KIND")
    arguments = parser.parse_args()
    kept = ("r", "difference", "mean r", "mean r, equal weights", "b")
    kept += ("r, plain", "difference, plain", "Zou")
    names = (*kept, "called lower", "called either")
    print(
        f"{arguments.studies} studies a row; the error of a share of .95 is "
        f"{np.sqrt(0.95 * 0.05 / arguments.studies):.3f}\n"
    )
    print("| data | r | items | " + " | ".join(names) + " |")
    print("|---|---|--:|" + "--:|" * len(names))
    started = time.monotonic()
    for kind, r in [row for row in ROWS if row[0] in arguments.data]:
        for num_items in arguments.items:
            found = cell(kind, r, num_items, arguments.studies)
            cells = " | ".join(shown(found.get(name)) for name in names)
            both = f"{shown(r[0], 2)}, {shown(r[1], 2)}"
            print(f"| {kind} | {both} | {num_items} | {cells} |", flush=True)
    print("\n| items | power by formula | found by simulation |\n|--:|--:|--:|")
    for num_items, expected, found in power_rows(arguments.studies):
        print(f"| {num_items} | {shown(expected)} | {shown(found)} |")
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
