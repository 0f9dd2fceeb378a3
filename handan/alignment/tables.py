"""Tables of what looks at pairs of models over all tasks, and of the power of the items."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handan.alignment import measures
from handan.alignment.contrasts import in_words
from handan.alignment.correlation import EQUAL, INVERSE_VARIANCE
from handan.alignment.costs import GREEDY, decoded_name, split_name
from handan.alignment.measures import Measure
from handan.budgets import MEASURES
from handan.errors import printable
from handan.files import write_text
from handan.table_formats import WRITERS, Table, as_text, known_only


def levels_table(levels: Iterable[Mapping]) -> Table:
    kinds = {"level": "text", "points": "count", "slope": "estimate", "intercept": "number"}
    kinds |= {"k": "number", "b": "estimate", "b Deming": "number", "b Theil-Sen": "estimate"}
    kinds |= {"residual sd": "number"}
    rows = [
        [
            *(row["level"], row["n"], (row["slope"], row["slope_ci"]), row["intercept"]),
            *(row["k"], (row["b"], row["b_ci"]), row["deming_b"]),
            *((row["theil_sen_b"], row["theil_sen_b_ci"]), row["residual_sd"]),
        ]
        for row in levels
    ]
    title = "Inflation over (pair, task) points: slope as it is, k and b in logs"
    return Table("levels", title, kinds, rows)


def over_pairs_table(over_pairs: Iterable[Mapping]) -> Table:
    kinds = {"a": "text", "b": "text", "pairs": "count", "points": "count"}
    kinds |= {"difference of z": "estimate", "p": "p", "t of points": "number", "p of points": "p"}
    rows = [
        [
            *(row["a"], row["b"], row["pairs"], row["points"]),
            (row["mean_difference_z"], row["ci"]),
            *(row["p"], row["t_of_points"], row["p_of_points"]),
        ]
        for row in over_pairs
    ]
    title = "All pairs and tasks together: mean difference of Fisher's z of a and b"
    return Table("over_pairs", title, kinds, rows)


def budgets_table(budgets: Iterable[Mapping]) -> Table:
    kinds = {"a": "text", "b": "text", "measure": "text", "of a": "tokens", "of b": "tokens"}
    kinds |= {"ratio": "number", "within": "text"}
    rows = [
        [
            *(pair["a"], pair["b"], MEASURES[row["measure"]], row["a"], row["b"], row["ratio"]),
            {True: "yes", False: "no", None: "unknown"}[row["within"]],
        ]
        for pair in budgets
        for row in pair["measures"]
    ]
    title = "Budgets: everything that led to the weights of a and of b"
    return Table("budgets", title, kinds, rows)


def effort_table(effort: Iterable[Mapping]) -> Table:
    kinds = {"model": "text", "teacher": "text", "task": "text", "relative effort": "number"}
    kinds |= {"KL, all tasks (nats)": "number"}
    rows = [
        [row["model"], row["teacher"], task, value, row["kl_divergence"]]
        for row in effort
        for task, value in row["relative_effort"].items()
    ]
    title = "Effort: mean tokens divided by the teacher's, and the divergence from its distribution"
    return Table("effort", title, kinds, rows)


def similarity_table(similarity: Iterable[Mapping]) -> Table:
    kinds = {"a": "text", "b": "text", "r": "estimate", "tasks": "count", "n": "count"}
    rows = [
        [row["a"], row["b"], (row["r"], row["ci"]), row["tasks"], row["n"]] for row in similarity
    ]
    return Table("similarity", "Similarity of difficulty fingerprints (RSA)", kinds, rows)


def power_table(rows: Iterable[Mapping], bound: float) -> Table:
    kinds = {"task": "text", "n": "count", "r between models": "number"}
    kinds |= {"power for .64 against .34": "number", "found with 80 %": "number"}
    kinds |= {"found with 95 %": "number", f"power to show ±{bound:g}": "number"}
    kinds |= {"items for 80 %": "count"}
    keys = ("n", "r_ab", "power_reported", "detectable_80", "detectable_95")
    values = [
        [
            row["task"] or "mean of human tasks",
            *(row[key] for key in (*keys, "power_equivalence", "items_needed_80")),
        ]
        for row in rows
    ]
    title = "Power: what contrasts on these items can show (normal theory, 5 % two-sided)"
    return Table("power", title, kinds, values)


# The tables of a result of ``handan align``: which figures stand where. ``render.py`` writes.

if TYPE_CHECKING:
    from handan.norms import Norms

# More rows than this are not printed in a terminal but for those with a flag.
MAX_ROWS = 40
MAX_MODELS_IN_MATRIX = 12
WEIGHED = {
    INVERSE_VARIANCE: "by n - 3, the inverse variance of Fisher's z",
    EQUAL: "with equal weights",
}


def tables(result: Mapping) -> list[Table]:
    """Every table of a result of ``handan.alignment.align.align`` that has rows."""
    made = [
        _alignment(result["models"], result["settings"]["task_weights"]),
        _contrasts(result["contrasts"]),
        _inflation(result["inflation"]),
        levels_table(result["study"]["levels"]),
        over_pairs_table(result["study"]["over_pairs"]),
        effort_table(result["study"]["effort"]),
        similarity_table(result["study"]["similarity"]),
        _checks(result["models"]),
        _partial(result["models"]),
        power_table(result["power"], result["settings"]["equivalence_bound"]),
        budgets_table(result.get("budgets", [])),
    ]
    return [table for table in made if table.rows]


def write_tables(result: Mapping, folder: Path) -> None:
    """Write every table as ``NAME.csv``, ``NAME.md`` and ``NAME.tex``.

    Raises:
        UserError: the folder cannot be written.
    """
    for table in tables(result):
        for suffix, write in WRITERS.items():
            write_text(folder / f"{table.name}.{suffix}", write(table))


def alignment_text(result: Mapping, power: bool = False) -> str:
    """The result for a terminal: its tables as far as they are known, their claims, and notes."""
    named = {table.name: table for table in tables(result)}
    if not power:
        named.pop("power", None)
    named.pop("partial", None)
    if len(result["models"]) > MAX_MODELS_IN_MATRIX or len(result["models"]) < 3:
        named.pop("similarity", None)
    notes = []
    if (checks := named.get("checks")) is not None:
        flagged = [row for row in checks.rows if row[-1]]
        notes.append(
            f"{len(flagged)} of {len(checks.rows)} conditions have more capped or looping (1 %), "
            "unparsed or no-reasoning (5 %) responses than tolerated"
        )
        if len(checks.rows) > MAX_ROWS:
            named["checks"] = checks._replace(rows=flagged)
    settings = result["settings"]
    notes += [
        f"intervals: {settings['interval']}, {settings['bootstrap']} draws, seed "
        f"{settings['seed']}; log measures over samples with at least one reasoning token",
        *result["notes"],
    ]
    parts = [as_text(known_only(table)) for table in named.values() if table.rows]
    if claims := _claims(result["contrasts"]):
        parts.append("\n".join(claims))
    if budgets := result.get("budgets"):
        parts.append("\n".join(printable(pair["sentence"]) for pair in budgets))
    parts.append("\n".join(f"note: {printable(note)}" for note in notes))
    return "\n\n".join(parts)


def _claims(contrasts: Iterable[Mapping]) -> list[str]:
    """Sentences on the mean over human tasks, if there are any, of models in known roles."""
    on_means = [row for row in contrasts if row["roles"] and row["mean"] is not None]
    human = [row for row in on_means if row["mean"] == "human"]
    return [printable(in_words(row, *row["roles"])) for row in human or on_means]


def arms_text(result: Mapping) -> str:
    """One row an arm: accuracy, length and mean r over human tasks, sampled and greedy."""
    kinds = {"arm": "text", "accuracy": "number", "tokens": "tokens"}
    kinds |= {"mean r, T>0": "estimate", "mean r, T=0": "estimate"}
    rows = []
    for name, figures in result["models"].items():
        if split_name(name)[1] == GREEDY:
            continue
        human = [t for t in figures["tasks"].values() if t["cost_source"] == "human"]
        greedy = result["models"].get(decoded_name(name, GREEDY), {})
        rows.append(
            [
                name,
                mean_or_none([t["accuracy"] for t in human]),
                mean_or_none([t["mean_tokens"] for t in human]),
                (figures["mean_r_loglog"], figures["mean_r_loglog_ci"]),
                (greedy.get("mean_r_loglog"), greedy.get("mean_r_loglog_ci")),
            ]
        )
    title = "Arms on the human tasks: r of log tokens with log response time, 95 % intervals"
    return as_text(Table("arms", title, kinds, rows))


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """Mean of the known values, None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _kind(measure: Measure) -> str:
    kinds = {measures.COUNT: "count", measures.TOKENS: "tokens"}
    return "estimate" if measure.has_interval else kinds.get(measure.unit, "number")


def _cell(measure: Measure, of_task: Mapping) -> object:
    value = measure.value(of_task)
    return (value, measure.interval(of_task)) if measure.has_interval else value


def _alignment(models: Mapping, task_weights: str) -> Table:
    shown = measures.shown(measures.ALIGNMENT)
    kinds = {"model": "text", "task": "text", **{of.label: _kind(of) for of in shown}}
    kinds |= {"flags": "text"}
    rows: list[list] = []
    for name, model in models.items():
        for task, of_task in model["tasks"].items():
            source = " (analytic)" if of_task["cost_source"] == "analytic" else ""
            cells = [_cell(measure, of_task) for measure in shown]
            rows.append([name, task + source, *cells, ", ".join(of_task["flags"])])
        for mean in measures.MEANS:
            if mean.value(model) is not None:
                as_task = {"r_loglog": mean.value(model), "r_loglog_ci": mean.interval(model)}
                rows.append([name, mean.label, *(_cell(of, as_task) for of in shown), ""])
    title = (
        "Alignment: correlation over items of a model's tokens with people's time, 95 % "
        f"intervals; means over tasks {WEIGHED[task_weights]}"
    )
    hidden = tuple(of.label for of in shown if not of.printed)
    return Table("alignment", title, kinds, rows, hidden)


SHOWN_P = ("p", "p Holm", "p BH")


def _contrasts(contrasts: Iterable[Mapping]) -> Table:
    p_values = {"p": "p", "p Holm": "p_holm", "p BH": "p_bh", "p equivalence": "p_equivalence"}
    p_values |= {"p equivalence Holm": "p_equivalence_holm"}
    p_values |= {"p Williams": "williams_p", "p Steiger": "steiger_p"}
    kinds = {"a": "text", "b": "text", "on": "text", "n": "count", "r a": "number", "r b": "number"}
    kinds |= {"difference": "estimate", "90 %": "estimate", "Zou": "estimate"}
    kinds |= dict.fromkeys(p_values, "p")
    kinds |= {"accuracy a": "number", "accuracy b": "number", "verdict": "text", "withheld": "text"}
    kinds |= {"flags": "text"}
    rows = []
    for row in contrasts:
        difference = row["difference"]
        rows.append(
            [
                *(row["a"], row["b"], row["task"] or f"mean of {row['mean']} tasks", row["n"]),
                *(row["r_a"], row["r_b"], (difference, row["ci"]), (difference, row["ci90"])),
                (difference if row["zou_ci"] else None, row["zou_ci"]),
                *(row[key] for key in p_values.values()),
                *(row["accuracy_a"], row["accuracy_b"], row["verdict"], row["withheld"]),
                "; ".join(row["flags"]),
            ]
        )
    title = "Contrasts: r log-log of a minus that of b, on shared items, 95 % intervals"
    hidden = ("90 %", "Zou", *(name for name in p_values if name not in SHOWN_P), "flags")
    return Table("contrasts", title, kinds, rows, hidden)


def _inflation(fits: Iterable[Mapping]) -> Table:
    kinds = {"model": "text", "base": "text", "task": "text", "n": "count", "k": "estimate"}
    kinds |= {"b": "estimate", "b corrected": "estimate", "b Deming": "estimate"}
    kinds |= {"b Theil-Sen": "estimate", "residual sd": "estimate", "of it noise": "number"}
    kinds |= {"mean ratio": "estimate", "r": "estimate", "law": "text"}
    rows = [
        [
            *(fit["student"], fit["base"], fit["task"] or "all, an intercept each", fit["n"]),
            (fit["k"], fit["k_ci"]),
            (fit["b"], fit["b_ci"]),
            *((fit[how]["b"], fit[how]["b_ci"]) for how in ("corrected", "deming", "theil_sen")),
            (fit["residual_sd"], fit["residual_sd_ci"]),
            fit["noise_sd"],
            (fit["geometric_mean_ratio"], fit["geometric_mean_ratio_ci"]),
            (fit["r"], fit["r_ci"]),
            fit["law"],
        ]
        for fit in fits
    ]
    title = "Inflation: log tokens of the model = log k + b log tokens of its base + e"
    return Table("inflation", title, kinds, rows, ("b Deming", "b Theil-Sen", "r"))


def _checks(models: Mapping) -> Table:
    shown = measures.shown(measures.CHECKS)
    kinds = {"model": "text", "task": "text", **{of.label: _kind(of) for of in shown}}
    kinds |= {"flags": "text"}
    rows = [
        [name, task, *(_cell(measure, of) for measure in shown), ", ".join(of["flags"])]
        for name, model in models.items()
        for task, of in model["tasks"].items()
    ]
    title = "Checks: shares of responses, and r log-log under other choices"
    return Table("checks", title, kinds, rows, tuple(of.label for of in shown if not of.printed))


def _partial(models: Mapping) -> Table:
    kinds = {"model": "text", "task": "text", "held constant": "text", "n": "count"}
    kinds |= {"partial r": "estimate"}
    rows = [
        [name, task, covariate, found["n"], (found["r"], found["ci"])]
        for name, model in models.items()
        for task, of in model["tasks"].items()
        for covariate, found in of["partial"].items()
    ]
    return Table("partial", "Partial correlations of log tokens with log time", kinds, rows)


def norms_table(packaged: Iterable["Norms"]) -> str:
    """What human figures there are: people, trials and reliability of each task and source."""
    kinds = {"task": "text", "source": "text", "items": "count", "participants": "count"}
    kinds |= {"trials": "count", "reliability": "estimate", "centred": "estimate"}
    kinds |= {"trials that count": "text"}
    rows = [
        [
            *(norms.task, norms.source, len(norms.items), norms.participants, norms.trials_kept),
            (norms.reliability, _known((norms.reliability_low, norms.reliability_high))),
            (
                norms.reliability_centred,
                _known((norms.reliability_centred_low, norms.reliability_centred_high)),
            ),
            norms.rule,
        ]
        for norms in packaged
    ]
    return as_text(Table("norms", "Human norms, 95 % intervals", kinds, rows))


def _known(bounds: tuple[float | None, float | None]) -> tuple | None:
    return None if None in bounds else bounds
