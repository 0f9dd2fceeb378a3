"""Simulated studies for tests: people and models whose true correlation is known."""

from collections.abc import Mapping, Sequence

import numpy as np


def study(
    models: Mapping[str, float],
    tasks: tuple[str, ...] = ("alpha",),
    num_items: int = 40,
    num_samples: int = 2,
    noise: float = 0.2,
    accuracy: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[dict]:
    """Rows as in costs.csv: log RT and each model's log cost correlate at the given value.

    Every model's own noise comes from its name, so that adding a model changes no other one.
    """
    rows = []
    for task in tasks:
        log_rt = np.random.default_rng([seed, *task.encode()]).normal(size=num_items)
        for model, r in models.items():
            generator = np.random.default_rng([seed, *task.encode(), *model.encode()])
            own = generator.normal(size=num_items)
            log_cost = 5 + 0.6 * (r * log_rt + np.sqrt(1 - r**2) * own)
            rate = (accuracy or {}).get(model, 1.0)
            for item in range(num_items):
                for sample in range(num_samples):
                    tokens = np.exp(log_cost[item] + noise * generator.normal())
                    rows.append(
                        {
                            "model": model,
                            "task": task,
                            "item": f"item-{item:03d}",
                            "sample": sample,
                            "reasoning_tokens": int(1000 * tokens),
                            "human_rt_s": float(np.exp(1 + 0.4 * log_rt[item])),
                            "correct": item < rate * num_items,
                            "status": "complete",
                        }
                    )
    return rows


def rows_of(tokens: Sequence, times: Sequence, **columns: object) -> list[dict]:
    """Rows as in costs.csv: one sample of each item of one task."""
    return [
        {"task": "alpha", "item": f"i{index}", "reasoning_tokens": count, "human_rt_s": time}
        | columns
        for index, (count, time) in enumerate(zip(tokens, times, strict=True))
    ]


def csv_text(rows: list[dict]) -> str:
    """The rows as the text of a costs.csv."""
    lines = [",".join(rows[0])]
    for row in rows:
        cells = (row[column] for column in rows[0])
        lines.append(",".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join(lines) + "\n"
