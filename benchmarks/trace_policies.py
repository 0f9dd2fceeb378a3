"""What policies make of the lengths of real traces: how far choosing among samples goes.

    python benchmarks/trace_policies.py [NUM_PROMPTS]

The teacher of the embedded world answers training prompts eight times each; policies then choose
among the first two, four, or all eight right traces. Difficulty, by which ``length_shuffled``
chooses, is a prompt's mean log length; the last column is a check from outside: the correlation
with the analytic cost of the problem, which no policy has seen.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import math
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from scipy.stats import pearsonr

from handan.files import read_jsonl
from handan.launch import SINGLE
from handan.tiny.families import random_problem
from handan.traces import trace_settings as known
from handan.traces.generate import generate_traces
from handan.traces.select import POLICIES, apply

CONFIGS = Path(__file__).parents[1] / "recipes" / "configs" / "tiny"


def analytic_costs(problem_set: dict) -> dict[tuple[str, str], float]:
    """Cost of every problem of a problem set, drawn as the prompts were."""
    rng = random.Random(problem_set["seed"])
    names, shares = zip(*problem_set["families"].items(), strict=True)
    costs: dict[tuple[str, str], float] = {}
    for _ in range(20 * problem_set["num_problems"]):
        problem = random_problem(rng.choices(names, shares)[0], rng, problem_set["widths"])
        costs.setdefault((problem.family, problem.key), problem.analytic_cost)
    return costs


def main() -> None:
    """Print one table."""
    problem_set = yaml.safe_load((CONFIGS / "prompts.yaml").read_text())
    problem_set["num_problems"] = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    costs = analytic_costs(problem_set)
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.yaml"
        prompts.write_text(yaml.safe_dump(problem_set))
        shipped = known.load(CONFIGS / "traces_samples.yaml")
        generate_traces(replace(shipped, prompts=str(prompts), output_dir=folder), SINGLE)
        rows = read_jsonl(Path(folder) / "traces.jsonl")
    print(
        "| task | samples | policy | n | mean tokens | sd of log | r with difficulty (95 %) "
        "| slope | remaining | r with analytic cost |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    settings = known.load(CONFIGS / "traces_as_is.yaml")
    lines = []
    for samples in (2, 4, 8):
        some = [row for row in rows if row["sample"] < samples]
        for policy in POLICIES:
            chosen, _, report = apply(some, replace(settings, policy=policy), "traces")
            for task, entry in report["tasks"].items():
                lines.append((task, samples, line(task, samples, policy, entry, chosen, costs)))
    print("\n".join(text for _, _, text in sorted(lines, key=lambda entry: entry[:2])))


def line(task: str, samples: int, policy: str, entry: dict, chosen: list[dict], costs: dict) -> str:
    """One row of the table."""
    of = [row for row in chosen if row["task"] == task]
    logs = [math.log(row["reasoning_tokens"]) for row in of]
    outside = pearsonr(logs, np.log([costs[task, row["item"]] for row in of])).statistic
    after, remaining = entry["chosen"], entry["remaining"]
    low, high = after["r_difficulty_ci"]
    cells = [
        task,
        str(samples),
        policy,
        str(after["n"]),
        f"{after['mean']:.1f}",
        f"{after['sd_log']:.2f}",
        f"{after['r_difficulty']:.2f} [{low:.2f}, {high:.2f}]",
        f"{after['slope_difficulty']:.2f}",
        "" if remaining is None else f"{remaining:.2f}",
        f"{outside:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
