"""What is printed in a terminal: plain text tables of the result of ``handan align``.

Names of models and tasks come from files of others: everything printed goes through
``printable``, so that no name can move the cursor, recolour or hide text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from handan.alignment.cost_rows import GREEDY_SUFFIX
from handan.errors import printable

if TYPE_CHECKING:
    from handan.norms import Norms


def decimal(value: float | None, digits: int = 2) -> str:
    """A number as '.32', '-.05' or '1.00'; '-' if it is unknown."""
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("0.", ".", 1) if -1 < float(text) < 1 else text


def interval(bounds: Sequence[float | None] | None) -> str:
    """An interval as '[.20, .48]'; '-' if it is unknown."""
    return (
        "-" if bounds is None or None in bounds else f"[{decimal(bounds[0])}, {decimal(bounds[1])}]"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]], text_columns: set[int]) -> str:
    """Aligned columns: those with text to the left, those with numbers to the right."""
    cells = [list(header), *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        padded = [
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def alignment_text(result: Mapping) -> str:
    """The result of ``handan.alignment.measure.align`` as tables, with the notes under them."""
    parts = [_models_table(result["models"])]
    if result["contrasts"]:
        parts.append(
            "Contrasts: r log-log of a minus that of b, over the items of both\n"
            + _contrasts_table(result["contrasts"])
            + "\np Holm: adjusted over the contrasts on the mean of human tasks"
        )
    if result["inflation"]:
        parts.append(
            "Inflation: log tokens of the model = log k + b log tokens of the base\n"
            + _inflation_table(result["inflation"])
        )
    settings = result["settings"]
    notes = [
        f"intervals: {settings['interval']}, {settings['bootstrap']} draws, seed "
        f"{settings['seed']}; log measures over samples with at least one reasoning token",
        *result["notes"],
    ]
    parts.append("\n".join(f"note: {printable(note)}" for note in notes))
    return "\n\n".join(parts)


def arms_text(result: Mapping) -> str:
    """One row an arm: accuracy, length and mean r over human tasks, sampled and greedy."""
    header = [
        "arm",
        "accuracy",
        "tokens",
        "mean r",
        "95 % interval",
        "mean r, T=0",
        "95 % interval",
    ]
    rows = []
    for name, figures in result["models"].items():
        if name.endswith(GREEDY_SUFFIX):
            continue
        human = [t for t in figures["tasks"].values() if t["cost_source"] == "human"]
        greedy = result["models"].get(name + GREEDY_SUFFIX, {})
        rows.append(
            [
                name,
                decimal(mean_or_none([t["accuracy"] for t in human])),
                decimal(mean_or_none([t["mean_tokens"] for t in human]), 1),
                decimal(figures["mean_r_loglog"]),
                interval(figures["mean_r_loglog_ci"]),
                decimal(greedy.get("mean_r_loglog")),
                interval(greedy.get("mean_r_loglog_ci")),
            ]
        )
    return table(header, rows, text_columns={0})


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """Mean of the known values, None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _models_table(models: Mapping) -> str:
    header = ["model", "task", "n", "r raw", "r log-log", "95 % interval", "Spearman", "ceiling"]
    header += ["r / ceiling", "reliability", "accuracy", "tokens", "capped", "direct"]
    rows: list[list[object]] = []
    for name, model in models.items():
        for task, figures in model["tasks"].items():
            source = " (analytic)" if figures["cost_source"] == "analytic" else ""
            columns = ["spearman", "ceiling", "r_loglog_normalized", "reliability_model"]
            rows.append(
                [
                    *(name, task + source, figures["n"], decimal(figures["r_raw"])),
                    *(decimal(figures["r_loglog"]), interval(figures["r_loglog_ci"])),
                    *(decimal(figures[column]) for column in [*columns, "accuracy"]),
                    decimal(figures["mean_tokens"], 1),
                    *(decimal(figures["cap_rate"]), decimal(figures["no_reasoning_rate"])),
                ]
            )
        for key, label in (
            ("mean_r_loglog", "mean of human tasks"),
            ("mean_r_loglog_analytic", "mean of analytic tasks"),
        ):
            if model[key] is not None:
                r = [decimal(model[key]), interval(model[f"{key}_ci"])]
                rows.append([name, label, "", "", *r, *[""] * 8])
        if model["cross_task_r"] is not None:
            rows.append([name, "across tasks", "", "", decimal(model["cross_task_r"]), *[""] * 9])
    return table(header, rows, {0, 1})


def _contrasts_table(contrasts: Iterable[Mapping]) -> str:
    header = ["a", "b", "on", "difference", "95 % interval", "90 % interval", "p", "p Holm"]
    header += ["accuracy a", "accuracy b", "n", "verdict"]
    rows = [
        [
            *(row["a"], row["b"], row["task"] or f"mean of {row['mean']} tasks"),
            *(decimal(row["difference"]), interval(row["ci"]), interval(row["ci90"])),
            *(decimal(row["p"], 4), decimal(row["p_holm"], 4)),
            *(decimal(row["accuracy_a"]), decimal(row["accuracy_b"]), row["n"]),
            row["verdict"] or "-",
        ]
        for row in contrasts
    ]
    return table(header, rows, {0, 1, 2, len(header) - 1})


def _inflation_table(fits: Iterable[Mapping]) -> str:
    header = ["model", "base", "task", "k", "b", "95 % interval", "residual sd", "r"]
    header += ["mean ratio", "n"]
    rows = [
        [
            *(row["student"], row["base"], row["task"] or "all, an intercept each"),
            *(decimal(row["k"]), decimal(row["b"]), interval(row["b_ci"])),
            *(decimal(row["residual_sd"]), decimal(row["r"])),
            *(decimal(row["geometric_mean_ratio"]), row["n"]),
        ]
        for row in fits
    ]
    return table(header, rows, {0, 1, 2})


def norms_table(packaged: Iterable["Norms"]) -> str:
    """What human figures there are: people, trials and reliability of each task and source."""
    header = ["task", "source", "items", "participants", "trials", "reliability"]
    header += ["95 % interval", "trials that count"]
    rows = [
        [
            *(norms.task, norms.source, len(norms.items), norms.participants, norms.trials_kept),
            decimal(norms.reliability),
            interval((norms.reliability_low, norms.reliability_high)),
            norms.rule,
        ]
        for norms in packaged
    ]
    return table(header, rows, {0, 1, len(header) - 1})
