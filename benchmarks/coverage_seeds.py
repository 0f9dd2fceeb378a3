"""How often do intervals over seeds and items hold the truth? By simulation.

Every study has two arms, each trained under S seeds, and a base that is not trained, on two tasks
of n items. Log costs are slope x log time + what an item costs every training + what it costs
those of this arm + what it costs this training, the noise of four samples with it. Slopes vary
over seeds so that r has the standard deviation 'SD over seeds' around .60 on Fisher's z. Each cell
is the share of studies whose 95 % interval holds the truth: of the mean r of an arm, of the
difference between the two arms, and of the difference between an arm and the base; all with equal
true means. 'items' are intervals over items alone, 'added' those where the variance over seeds is
added whole, with the noise that both parts hold. 'lower' are shares of false verdicts 'lower'.

The second table compares rules where all is normal and the variance over items is known: the
least and the largest share of false alarms at a level, over shares of variance from seeds that
differ not at all to seeds that are nearly everything.

    python benchmarks/coverage_seeds.py [--studies 1000] [--items 60 300] [--seeds 3 5]

About three minutes on one core with 1,000 studies.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri, stdtrit

from handan.alignment.bootstrap import Bootstrap, interval, widened
from handan.alignment.correlation import FloatArray, fisher_mean, pearson_rows
from handan.experiments.multi_seed import Repeated, difference, estimate

TASKS = 2
DRAWS = 1_000
R = 0.6
BOUND = 0.1
# Variances of log cost around the line on log time, and of the noise of an item's four samples.
ITEM, ARM_ITEM, TRAINING_ITEM, NOISE = 0.4, 0.2, 0.1, 0.3
# Studies that are resampled together.
TOGETHER = 20


def r_of_seeds(sd: float, shape: tuple[int, ...], generator: np.random.Generator) -> FloatArray:
    """True correlations of trainings: their Fisher z is normal around that of .60."""
    return np.tanh(np.arctanh(R) + sd / (1 - R**2) * generator.normal(size=shape))


def log_costs(r: FloatArray, log_time: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Costs of trainings of two arms and of the base with these r on one task.

    Args:
        r: shape (studies, models, seeds).
        log_time: shape (studies, items).

    Returns:
        Shape (studies, models, seeds, items).
    """
    studies, models, seeds = r.shape
    num_items = log_time.shape[1]
    normal = generator.normal
    rest = (
        np.sqrt(ITEM) * normal(size=(studies, 1, 1, num_items))
        + np.sqrt(ARM_ITEM) * normal(size=(studies, models, 1, num_items))
        + np.sqrt(TRAINING_ITEM + NOISE) * normal(size=(studies, models, seeds, num_items))
    )
    slope = r / np.sqrt(1 - r**2) * np.sqrt(ITEM + ARM_ITEM + TRAINING_ITEM + NOISE)
    return slope[..., None] * log_time[:, None, None, :] + rest


def studies(
    sd: float, seeds: int, num_items: int, number: int, bootstrap: Bootstrap
) -> Iterator[tuple[Repeated, Repeated, Repeated]]:
    """Both arms and the base of some studies."""
    generator = np.random.default_rng([int(1000 * sd), seeds, num_items, number])
    items = tuple(f"i{index:04d}" for index in range(num_items))
    r = r_of_seeds(sd, (TOGETHER, 3, seeds), generator)
    r[:, 2] = mean_plain_r(sd)
    values, draws = [], []
    for task in range(TASKS):
        log_time = generator.normal(size=(TOGETHER, num_items))
        cost = log_costs(r, log_time, generator)
        times = np.broadcast_to(log_time[:, None, None, :], cost.shape)
        values.append(pearson_rows(cost, times))
        x, y = (of.reshape(-1, num_items).T for of in (cost, times))
        draws.append(bootstrap.correlations(f"t{task}", items, x, y).T.reshape(*r.shape, DRAWS))
    value, drawn = (fisher_mean(np.stack(of), axis=0) for of in (values, draws))
    sizes = (num_items,) * TASKS
    names = tuple(range(seeds))
    for place in range(TOGETHER):
        a, b = (Repeated(names, value[place, m], drawn[place, m], sizes) for m in (0, 1))
        yield a, b, Repeated((None,), value[place, 2, :1], drawn[place, 2, :1], sizes)


def mean_plain_r(sd: float) -> float:
    """Mean of r itself, a little under that of Fisher's z: the base's r where nothing differs."""
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    r = np.tanh(np.arctanh(R) + sd / (1 - R**2) * points)
    return float(r @ weights / weights.sum())


def added(values: FloatArray, draws: FloatArray, sizes: tuple[int, ...]) -> tuple[float, float]:
    """The interval with the whole variance over seeds, noise of seed and item counted twice."""
    few = (stdtrit(len(values) - 1, 0.025) / ndtri(0.025)) ** 2
    extra = few * values.var(ddof=1) / len(values)
    return interval(widened(draws.mean(axis=0), float(values.mean()), float(extra)), sizes)


def cell(sd: float, seeds: int, num_items: int, num_studies: int) -> dict[str, float]:
    """Shares of studies whose intervals hold the truth, and of false verdicts."""
    hits: dict[str, list[bool]] = {}
    bootstrap, true = Bootstrap(DRAWS, seed=num_items), mean_plain_r(sd)

    def note(name: str, bounds: tuple[float, ...], truth: float) -> None:
        hits.setdefault(name, []).append(bounds[0] <= truth <= bounds[1])

    for number in range(num_studies // TOGETHER):
        for a, b, base in studies(sd, seeds, num_items, number, bootstrap):
            row = estimate(a, correlation=True)
            note("r", row["ci"], true)
            note("r, items", row["ci_items"], true)
            note("r, added", added(a.values, a.draws, a.sizes), true)
            for name, other in (("a - b", b), ("a - base", base)):
                row = difference(a, other, BOUND)
                note(name, row["ci"], 0.0)
                note(f"{name}, items", row["ci_items"], 0.0)
                apart = a.values - other.values, a.draws - other.draws
                note(f"{name}, added", added(*apart, a.sizes), 0.0)
                lower = row["verdict"].startswith("lower")
                hits.setdefault(f"{name}, lower", []).append(lower)
                hits.setdefault(f"{name}, lower, items", []).append(row["ci_items"][1] < 0)
    return {name: float(np.mean(values)) for name, values in hits.items()}


def rules(num_seeds: int, level: float, num_studies: int = 100_000) -> dict[str, list[float]]:
    """Shares of false alarms of each rule, one for each mixture of variances.

    Noise of seed and item has variance 1 for each seed; the item's own, shared by the seeds, and
    that of the seeds' true figures are multiples of it.
    """
    generator = np.random.default_rng(num_seeds)
    normal = -ndtri(level / 2)
    few, few_at_5 = ((stdtrit(num_seeds - 1, at / 2) / ndtri(at / 2)) ** 2 for at in (level, 0.05))
    found: dict[str, list[float]] = {}
    for shared in (0, 0.5, 2, 10):
        for of_seeds in (0, 0.3, 1, 3, 10, 100):
            noise = generator.normal(size=(num_studies, num_seeds))
            figures = np.sqrt(1 + of_seeds) * noise
            items = np.sqrt(shared) * generator.normal(size=num_studies)
            error = np.abs(items / np.sqrt(num_seeds) + figures.mean(axis=1))
            between = figures.var(axis=1, ddof=1)
            satterthwaite = shared + np.maximum(1, between)
            freedom = (num_seeds - 1) * (satterthwaite / between) ** 2
            halves = {
                "ours": normal * np.sqrt(shared + np.maximum(1, few * between)),
                "95 %": normal * np.sqrt(shared + np.maximum(1, few_at_5 * between)),
                "added": normal * np.sqrt(shared + 1 + few * between),
                "Satterthwaite": -stdtrit(freedom, level / 2) * np.sqrt(satterthwaite),
            }
            for name, half in halves.items():
                false = np.mean(error > half / np.sqrt(num_seeds))
                found.setdefault(name, []).append(float(false))
    return found


NAMES = (
    *("r", "r, added", "r, items", "a - b", "a - b, added", "a - b, items"),
    *("a - base", "a - base, items", "a - b, lower", "a - b, lower, items", "a - base, lower"),
)


def shown(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--studies", type=int, default=1_000, metavar="N")
    parser.add_argument("--items", type=int, nargs="+", default=[60, 300], metavar="N")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5], metavar="S")
    arguments = parser.parse_args()
    print("| SD over seeds | seeds | items | " + " | ".join(NAMES) + " |")
    print("|--:|--:|--:|" + "--:|" * len(NAMES))
    started = time.process_time()
    for sd in (0.0, 0.03, 0.1):
        for seeds in arguments.seeds:
            for num_items in arguments.items:
                found = cell(sd, seeds, num_items, arguments.studies)
                cells = " | ".join(shown(found[name]) for name in NAMES)
                print(f"| {sd:.2f} | {seeds} | {num_items} x {TASKS} | {cells} |", flush=True)
    print("\n| seeds | level | ours | 95 % | added | Satterthwaite |\n|--:|--:|--:|--:|--:|--:|")
    for seeds in (2, *arguments.seeds):
        for level in (0.05, 0.0125):
            shares = rules(seeds, level).values()
            cells = " | ".join(f"{shown(min(of))} to {shown(max(of))}" for of in shares)
            print(f"| {seeds} | {shown(level, 4)} | {cells} |", flush=True)
    print(f"\n{time.process_time() - started:.0f} s of processor time")


if __name__ == "__main__":
    main()
