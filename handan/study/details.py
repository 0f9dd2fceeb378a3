"""Generated parts of the results page: every other measure, samples, traces, budgets, audit."""

from collections.abc import Callable, Mapping
from typing import Any

from handan.budgets import MEASURES
from handan.experiment.declared import Experiment
from handan.report.notation import UNKNOWN, correlation, count, number, percent
from handan.study.cells import GREEDY, SAMPLED, TEMPERATURES
from handan.study.tables import Found, of_arm, ranged, table, with_interval

MEASURED = {
    "r_raw": ("r raw", correlation),
    "spearman": ("Spearman", correlation),
    "reliability_model": ("reliability of lengths", correlation),
    "r_loglog_disattenuated": ("r disattenuated", correlation),
    "r_partial": ("r, all partialled", correlation),
    "wrong_minus_right": ("wrong - right", correlation),
    "inverse_efficiency": ("tokens / accuracy", number),
    "effort": ("relative effort", correlation),
    "kl": ("KL", correlation),
    "similarity_start": ("fingerprint, r with start", correlation),
    "similarity_teacher": ("with teacher", correlation),
    "slope": ("slope on start", correlation),
    "ratio": ("ratio to start", correlation),
}
RATES = {
    "cap_rate": ("capped", percent),
    "loop_rate": ("looping", percent),
    "unparsed_rate": ("unparsed", percent),
    "no_reasoning_rate": ("direct", percent),
}


def _measures(found: Found, at: str, columns: Mapping[str, tuple[str, Callable]]) -> str:
    rows = [
        [f"`{arm}`", *(ranged(of[at].get(key), write) for key, (_, write) in columns.items())]
        for arm, of in found["measures"].items()
    ]
    return table(["arm", *(title for title, _ in columns.values())], rows)


def measures_sampled(study: Experiment, found: Found) -> str:
    """The other measures at T = 1."""
    return _measures(found, SAMPLED, MEASURED)


def measures_greedy(study: Experiment, found: Found) -> str:
    """The other measures at T = 0, where nothing is sampled."""
    columns = {k: v for k, v in MEASURED.items() if k not in SAMPLING_ONLY}
    return _measures(found, GREEDY, columns)


SAMPLING_ONLY = ("reliability_model", "r_loglog_disattenuated", "wrong_minus_right")


def rates(study: Experiment, found: Found) -> str:
    """What could censor or distort lengths."""
    return _measures(found, SAMPLED, RATES)


def samples(study: Experiment, found: Found) -> str:
    """Mean r by number of samples an item."""
    rows = []
    for row in found["samples"]:
        seed = UNKNOWN if row["seed"] is None else str(row["seed"])
        cells_of = [
            text
            for k in row["k"].values()
            for text in (correlation(k["r"]), correlation(k["reliability"]))
        ]
        rows.append([f"`{row['arm']}`", seed, *cells_of])
    numbers = list(found["samples"][0]["k"]) if found["samples"] else []
    header = [text for k in numbers for text in (f"r, k = {k}", "reliability")]
    return table(["arm", "seed", *header], rows)


def traces(study: Experiment, found: Found) -> str:
    """The allocation in what students imitate, beside their own."""
    rows = []
    for arm, of in study.arms.items():
        sets = found["traces"].get(of.traces or "")
        if sets is None or arm not in found["arms"]:
            continue
        rows.append(
            [
                f"`{arm}`",
                f"`{of.traces}`",
                ranged(sets["traces"], count),
                ranged(sets["tokens"], number),
                *(ranged(sets[key], correlation) for key in ("r_oracle", "r_oracle_same_width")),
                *(with_interval(of_arm(found, arm, at, "r_oracle")) for at in TEMPERATURES),
            ]
        )
    header = ["student", "traces", "number", "tokens", "r(length, oracle) of the traces"]
    return table([*header, "same width", "of the student, T = 1", "T = 0"], rows)


def budgets(study: Experiment, found: Found) -> str:
    """What each arm's weights cost."""
    shown = [key for key in MEASURES if key != "peak_memory_gib"]
    rows = []
    for arm, of in found["budgets"].items():
        row = [f"`{arm}`"]
        for key in shown:
            value = (of.get(key) or {}).get("value")
            row.append(f"{value:.2e}" if key == "model_flops" and value else count(value))
        rows.append(row)
    return table(["arm", *(MEASURES[key] for key in shown)], rows)


def audit(study: Experiment, found: Found) -> str:
    """Whether any evaluation item was in a training set."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["audit"]:
        kinds.setdefault(row["of"], []).append(row)
    rows = []
    for kind, of in kinds.items():
        hits = sum(row.get("found", 0) for row in of)
        refused = sum(row.get("refused", 0) for row in of)
        rows.append(
            [kind, str(len(of)), count(sum(row["rows"] for row in of)), str(hits), str(refused)]
        )
    header = ["training sets of", "cells", "rows checked", "human or other evaluation items found"]
    return table([*header, "refused before training"], rows)


PARTS: dict[str, Callable[[Experiment, Found], str]] = {
    "measures-sampled": measures_sampled,
    "measures-greedy": measures_greedy,
    "rates": rates,
    "samples": samples,
    "traces": traces,
    "budgets": budgets,
    "audit": audit,
}
