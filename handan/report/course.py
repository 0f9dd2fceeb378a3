"""The course of training: what probes wrote to metrics.jsonl, on the axes it is shown on."""

from typing import Any

import numpy as np

from handan.report.roles import Arm


def course(arm: Arm) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl with probed measures, each with its share of the training's steps and
    the tokens processed until then.

    The trainer logs tokens as 'num_tokens'; between its rows they are interpolated.
    """
    measured = [
        {key: value for key, value in row.items() if isinstance(value, (int, float))}
        for row in arm.metrics
        if isinstance(row.get("step"), (int, float))
    ]
    steps_in_all = max([row["step"] for row in measured], default=0)
    logged = [(row["step"], row["num_tokens"]) for row in measured if "num_tokens" in row]
    rows = []
    for row in measured:
        if any(key.startswith("alignment/") for key in row):
            rows.append({**row, "share": 100 * row["step"] / max(steps_in_all, 1)})
            if logged:
                steps, tokens = zip(*sorted(logged), strict=True)
                rows[-1]["tokens"] = float(np.interp(row["step"], [0, *steps], [0, *tokens]))
    return sorted(rows, key=lambda row: row["step"])
