"""Run directories for tests of the report, small and made of nothing but files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from simulated import csv_text

SUITE = {
    "name": "toy",
    "samples": 4,
    "seed": 0,
    "cost_without_span": "none",
    "tasks": [{"task": "alpha", "format": "steps"}, {"task": "beta", "format": "steps"}],
}
CONDITIONS = {
    "suite": "toy",
    "suite_hash": "hash of toy",
    "max_new_tokens": 64,
    "temperature": 1.0,
    "samples": 4,
    "backend": "transformers",
}


def cost_rows(
    model: str,
    r: float,
    *,
    cold_r: float | None = None,
    accuracy: float = 0.9,
    noise: float = 0.1,
    cap_rate: float = 0.0,
    num_items: int = 120,
    num_samples: int = SUITE["samples"],
    tasks: Sequence[str] = ("alpha", "beta"),
    analytic: Sequence[str] = (),
    demand: str = "human_rt_s",
    greedy: bool = True,
) -> list[dict]:
    """Rows of costs.csv of one model whose log cost has about this correlation with log time.

    All models share the part of their costs that has nothing to do with people, so that models
    with the same r have the same costs but for noise: as close as a pair can be. ``cold_r`` is
    the correlation at temperature 0; ``oracle_tokens`` follows people at r = .8.
    """
    rows = []
    for task in (*tasks, *analytic):
        generator = np.random.default_rng(list(task.encode()))
        log_time, shared, drift = generator.normal(size=(3, num_items))
        own = np.random.default_rng(list(f"{task} {model}".encode()))
        oracle = np.round(40 * np.exp(0.3 * (0.8 * log_time + 0.6 * drift)))
        for cold in (False, True) if greedy else (False,):
            wanted = cold_r if cold and cold_r is not None else r
            log_cost = 4 + 0.5 * (wanted * log_time + np.sqrt(1 - wanted**2) * shared)
            for item in range(num_items):
                for sample in range(1 if cold else num_samples):
                    tokens = np.exp(log_cost[item] + (0 if cold else noise) * own.normal())
                    rows.append(
                        {
                            "model": f"{model} (T=0)" if cold else model,
                            "task": task,
                            "item": f"item-{item:03d}",
                            "sample": sample,
                            "human_rt_s": None,
                            "analytic_cost": None,
                            "oracle_tokens": oracle[item],
                            "reasoning_tokens": int(np.ceil(10 * tokens)),
                            "status": "truncated" if own.random() < cap_rate else "complete",
                            "correct": bool(own.random() < accuracy),
                        }
                        | {
                            "analytic_cost" if task in analytic else demand: float(
                                np.exp(1 + 0.4 * log_time[item])
                            )
                        }
                    )
    return rows


def write_run(
    run_dir: Path,
    rows: list[dict],
    *,
    arm: str | None = None,
    weights: str | None = None,
    training: Mapping | None = None,
    start: str | None = None,
    conditions: Mapping = CONDITIONS,
    suite: Mapping = SUITE,
    metrics: Sequence[Mapping] = (),
    generations: Sequence[Mapping] = (),
    items: Sequence[Mapping] = (),
) -> Path:
    """One evaluated run: ``weights`` is the hash it was evaluated with, ``start`` the hash its
    training began with."""
    arm = arm or run_dir.name
    run_dir.mkdir(parents=True)
    run: dict = {
        "arm": arm,
        "comparability": dict(conditions),
        "evaluation": {"command": f"run.py --model {arm}", "python": "3.11", "versions": {}},
    }
    evaluation = {"model": arm, "model_fingerprint": weights or f"{arm} weights", "suite": suite}
    config: dict = {"evaluation": dict(evaluation)}
    if training is not None:
        run["training"] = dict(training)
        config["training"] = {"model_fingerprint": start, "seed": 7}
    (run_dir / "run.json").write_text(json.dumps(run))
    (run_dir / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    (run_dir / "costs.csv").write_text(csv_text(rows))
    for name, lines in (("metrics", metrics), ("generations", generations), ("items", items)):
        if lines:
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (run_dir / f"{name}.jsonl").write_text(text)
    return run_dir


def trained(recipe: str, teacher: str | None = None, **budget: float) -> dict:
    """What run.json says of a training."""
    of_teacher = {"teacher": {"arm": teacher, "model_fingerprint": f"{teacher} weights"}}
    return {
        "command": f"{recipe}.py --seed 7",
        "recipe": recipe,
        "steps": 20,
        "budget": {"trained_tokens": 1000, "generated_tokens": 0, "device_seconds": 10} | budget,
        **(of_teacher | {"traces": f"traces of {teacher}"} if teacher else {}),
    }


def experiment(folder: Path, **costs: Mapping) -> list[Path]:
    """Base, teacher, SFT student, GRPO student and control; ``costs`` are arguments of
    ``cost_rows`` by arm."""
    plans: dict[str, tuple[dict | None, str | None]] = {
        "base": (None, None),
        "teacher": (trained("grpo"), "somewhere else"),
        "sft": (trained("sft_distill", "teacher"), "base weights"),
        "grpo": (trained("grpo"), "base weights"),
        "sft_own": (trained("sft_distill", "grpo"), "base weights"),
    }
    return [
        write_run(
            folder / arm,
            cost_rows(arm, **{"r": 0.6, **costs.get(arm, {})}),
            training=training,
            start=start,
        )
        for arm, (training, start) in plans.items()
    ]
