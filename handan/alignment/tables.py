"""Tables of a result of ``handan align``: which measure stands where."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handan.alignment import measures
from handan.alignment.contrasts import in_words
from handan.alignment.correlation import EQUAL, INVERSE_VARIANCE
from handan.alignment.costs import GREEDY, decoded_name, split_name
from handan.alignment.measures import at
from handan.budgets import MEASURES as BUDGET_MEASURES
from handan.errors import printable
from handan.files import write_text
from handan.formatting import WRITERS, Table, as_text, known_only, without

if TYPE_CHECKING:
    from handan.norms import Norms

MAX_CHECKS = 40  # rows of the table of checks that are printed; beyond, those with a flag
WEIGHED = {
    INVERSE_VARIANCE: "by n - 3, the inverse variance of Fisher's z",
    EQUAL: "with equal weights",
}

# Columns: header, kind, where the value is in a row, and where its interval is.
# fmt: off
CONTRASTS = (
    ("a", "text", "a"), ("b", "text", "b"), ("on", "text", "on"), ("n", "count", "n"),
    ("r a", "number", "r_a"), ("r b", "number", "r_b"),
    ("difference", "estimate", "difference", "ci"), ("90 %", "estimate", "difference", "ci90"),
    ("Zou", "estimate", "zou", "zou_ci"), ("p", "p", "p"), ("p Holm", "p", "p_holm"),
    ("p BH", "p", "p_bh"), ("p equivalence", "p", "p_equivalence"),
    ("p equivalence Holm", "p", "p_equivalence_holm"), ("BF01", "p", "bf01"),
    ("p Williams", "p", "williams_p"), ("p Steiger", "p", "steiger_p"),
    ("verdict", "text", "verdict"), ("withheld", "text", "withheld"),
    ("flags", "text", "all_flags"),
)
OUTCOMES = (
    ("a", "text", "a"), ("b", "text", "b"), ("on", "text", "on"), ("n", "count", "n"),
    ("accuracy a", "number", "accuracy_a"), ("accuracy b", "number", "accuracy_b"),
    ("difference", "estimate", "accuracy_difference", "accuracy_ci"),
    ("tokens a", "tokens", "tokens_a"), ("tokens b", "tokens", "tokens_b"),
    ("ratio", "estimate", "tokens_ratio", "tokens_ratio_ci"),
)
INFLATION = (
    ("model", "text", "student"), ("base", "text", "base"), ("task", "text", "on"),
    ("n", "count", "n"), ("k", "estimate", "k", "k_ci"), ("b", "estimate", "b", "b_ci"),
    ("b corrected", "estimate", "corrected/b", "corrected/b_ci"),
    ("b Deming", "estimate", "deming/b", "deming/b_ci"),
    ("b Theil-Sen", "estimate", "theil_sen/b", "theil_sen/b_ci"),
    ("residual sd", "estimate", "residual_sd", "residual_sd_ci"),
    ("of it noise", "number", "noise_sd"),
    ("mean ratio", "estimate", "geometric_mean_ratio", "geometric_mean_ratio_ci"),
    ("r", "estimate", "r", "r_ci"), ("law", "text", "law"),
)
LEVELS = (
    ("level", "text", "level"), ("points", "count", "n"),
    ("slope", "estimate", "slope", "slope_ci"), ("intercept", "number", "intercept"),
    ("k", "number", "k"), ("b", "estimate", "b", "b_ci"), ("b Deming", "number", "deming_b"),
    ("b Theil-Sen", "estimate", "theil_sen_b", "theil_sen_b_ci"),
    ("residual sd", "number", "residual_sd"),
)
OVER_PAIRS = (
    ("a", "text", "a"), ("b", "text", "b"), ("pairs", "count", "pairs"),
    ("points", "count", "points"), ("difference of z", "estimate", "mean_difference_z", "ci"),
    ("p", "p", "p"), ("t of points", "number", "t_of_points"), ("p of points", "p", "p_of_points"),
)
EFFORT = (
    ("model", "text", "model"), ("teacher", "text", "teacher"), ("task", "text", "task"),
    ("relative effort", "number", "effort"), ("KL, all tasks (nats)", "number", "kl_divergence"),
)
SIMILARITY = (
    ("a", "text", "a"), ("b", "text", "b"), ("r", "estimate", "r", "ci"),
    ("tasks", "count", "tasks"), ("n", "count", "n"),
)
PARTIAL = (
    ("model", "text", "model"), ("task", "text", "task"), ("held constant", "text", "covariate"),
    ("n", "count", "n"), ("partial r", "estimate", "r", "ci"),
)
MIXED = (
    ("model", "text", "model"), ("task", "text", "task"), ("items", "count", "n"),
    ("trials", "count", "trials"), ("people", "count", "participants"),
    ("beside tokens", "text", "beside"), ("b", "estimate", "b", "b_ci"), ("p", "p", "p"),
    ("sd people", "number", "sd_participants"), ("sd items", "number", "sd_items"),
    ("sd residual", "number", "sd_residual"), ("R2 held out", "number", "r2"),
    ("of it tokens", "number", "delta_r2"),
)
POWER = (
    ("task", "text", "on"), ("n", "count", "n"), ("r between models", "number", "r_ab"),
    ("power for .64 against .34", "number", "power_reported"),
    ("detectable at 80 % power", "number", "detectable_80"),
    ("detectable at 95 % power", "number", "detectable_95"),
    ("power to show ±{bound:g}", "number", "power_equivalence"),
    ("items for 80 %", "count", "items_needed_80"),
)
BUDGETS = (
    ("a", "text", "a"), ("b", "text", "b"), ("measure", "text", "measure"),
    ("of a", "tokens", "of_a"), ("of b", "tokens", "of_b"), ("ratio", "number", "ratio"),
    ("within", "text", "within"),
)
NORMS = (
    ("task", "text", "task"), ("source", "text", "source"), ("items", "count", "items"),
    ("participants", "count", "participants"), ("trials", "count", "trials"),
    ("reliability", "estimate", "reliability", "ci"),
    ("centred", "estimate", "centred", "centred_ci"), ("trials that count", "text", "rule"),
)
# fmt: on


def _table(name: str, title: str, columns: Sequence, rows: Iterable, hidden: tuple = ()) -> Table:
    cells = [
        [
            tuple(at(row, path) for path in paths) if kind == "estimate" else at(row, paths[0])
            for _, kind, *paths in columns
        ]
        for row in rows
    ]
    return Table(name, title, {header: kind for header, kind, *_ in columns}, cells, hidden)


def tables(result: Mapping[str, Any]) -> list[Table]:
    """Every table of a result of ``handan.alignment.align.align`` that has rows."""
    bound, study = result["settings"]["equivalence_bound"], result["study"]
    of_tasks, with_means = [], []
    for name, model in result["models"].items():
        for task, of in model["tasks"].items():
            of_tasks.append((name, task, of))
            source = " (analytic)" if of["cost_source"] == "analytic" else ""
            with_means.append((name, task + source, of))
        for mean in measures.MEANS:
            if (value := mean.value(model)) is not None:
                as_task = {"r_loglog": value, "r_loglog_ci": mean.interval(model)}
                with_means.append((name, mean.label, as_task))
    contrasts = [
        {
            **row,
            "on": row["task"] or f"mean of {row['mean']} tasks",
            "zou": row["difference"] if row["zou_ci"] else None,
            "all_flags": "; ".join(row["flags"]),
        }
        for row in result["contrasts"]
    ]
    outcomes = [row | of for row in contrasts if (of := row.get("outcomes"))]
    fits = [{**row, "on": row["task"] or "all, an intercept each"} for row in result["inflation"]]
    effort = [
        {**row, "task": task, "effort": value}
        for row in study["effort"]
        for task, value in row["relative_effort"].items()
    ]
    partial = [
        {"model": name, "task": task, "covariate": covariate, **found}
        for name, task, of in of_tasks
        for covariate, found in of["partial"].items()
    ]
    mixed = result.get("mixed", ())  # which files of before do not have, nor outcomes
    mixed = [{**row, "beside": ", ".join(row["covariates"]) or None} for row in mixed]
    power = [{**row, "on": row["task"] or "mean of human tasks"} for row in result["power"]]
    spent = [
        {"of_a": row["a"], "of_b": row["b"], "ratio": row["ratio"], "a": pair["a"], "b": pair["b"]}
        | {"measure": BUDGET_MEASURES[row["measure"]]}
        | {"within": {True: "yes", False: "no", None: "unknown"}[row["within"]]}
        for pair in result.get("budgets", [])
        for row in pair["measures"]
    ]
    of_power = [(header.format(bound=bound), *rest) for header, *rest in POWER]
    # fmt: off
    made = [
        _of_measures(
            "alignment",
            "Alignment: correlation over items of a model's tokens with people's time, 95 % "
            f"intervals; means over tasks {WEIGHED[result['settings']['task_weights']]}",
            with_means),
        _table("contrasts",
               "Contrasts: r log-log of a minus that of b, on shared items, 95 % intervals",
               CONTRASTS, contrasts,
               ("90 %", "Zou", "p equivalence", "p equivalence Holm", "p Williams", "p Steiger",
                "flags")),
        _table("outcomes",
               "Accuracy and length: a beside b on the items of both, 95 % intervals; over tasks "
               "means of accuracy and geometric means of tokens", OUTCOMES, outcomes),
        _table("inflation",
               "Inflation: log tokens of the model = log k + b log tokens of its base + e",
               INFLATION, fits, ("b Deming", "b Theil-Sen", "r")),
        _table("levels", "Inflation over (pair, task) points: slope as it is, k and b in logs",
               LEVELS, study["levels"]),
        _table("over_pairs",
               "All pairs and tasks together: mean difference of Fisher's z of a and b",
               OVER_PAIRS, study["over_pairs"]),
        _table("effort",
               "Effort: mean tokens divided by the teacher's, and the divergence from its "
               "distribution", EFFORT, effort),
        _table("similarity", "Similarity of difficulty fingerprints (RSA)",
               SIMILARITY, study["similarity"]),
        _of_measures("checks", "Checks: shares of responses, and r log-log under other choices",
                     of_tasks),
        _table("mixed",
               "Mixed model: log response time = b log tokens + covariates + people + items + e; "
               "R2 of held-out items", MIXED, mixed),
        _table("partial", "Partial correlations of log tokens with log time", PARTIAL, partial),
        _table("power",
               "Power: what contrasts on these items can show (normal theory, 5 % two-sided)",
               of_power, power),
        _table("budgets", "Budgets: everything that led to the weights of a and of b",
               BUDGETS, spent),
    ]
    # fmt: on
    return [table for table in made if table.rows]


def _of_measures(name: str, title: str, rows: Iterable[tuple[str, str, dict]]) -> Table:
    """The measures that are shown in the table of this name, of rows of model, task and result."""
    shown, units = measures.shown(name), {measures.COUNT: "count", measures.TOKENS: "tokens"}
    kinds = {"model": "text", "task": "text"}
    for of in shown:
        kinds[of.label] = "estimate" if of.ci or of.path else units.get(of.unit, "number")
    cells = [
        [
            *(model, task),
            *((m.value(of), m.interval(of)) if m.ci or m.path else m.value(of) for m in shown),
            ", ".join(of.get("flags", ())),
        ]
        for model, task, of in rows
    ]
    hidden = tuple(of.label for of in shown if not of.printed)
    return Table(name, title, kinds | {"flags": "text"}, cells, hidden)


def write_tables(result: Mapping[str, Any], folder: Path) -> None:
    """Write every table as ``NAME.csv``, ``NAME.md`` and ``NAME.tex``."""
    for table in tables(result):
        for suffix, write in WRITERS.items():
            write_text(folder / f"{table.name}.{suffix}", write(table))


def shown_tables(result: Mapping[str, Any], power: bool = False) -> list[Table]:
    """What a terminal or a notebook shows of the tables, as far as they are known."""
    left_out = ("partial",) if power else ("partial", "power")
    named = {table.name: table for table in tables(result) if table.name not in left_out}
    if not 3 <= len(result["models"]) <= 12:
        named.pop("similarity", None)
    if (checks := named.get("checks")) is not None and len(checks.rows) > MAX_CHECKS:
        named["checks"] = checks._replace(rows=_flagged(checks))
    shown = [table for table in named.values() if table.rows]
    return [known_only(without(table, table.files_only)) for table in shown]


def _flagged(checks: Table) -> list[list]:
    return [row for row in checks.rows if row[-1]]


def verdicts(result: Mapping[str, Any]) -> list[str]:
    """One sentence a contrast on the mean over human tasks, or else over analytic ones."""
    on_means = [row for row in result["contrasts"] if row["mean"] is not None]
    human = [row for row in on_means if row["mean"] == "human"]
    return [in_words(row, *(row["roles"] or ("", ""))) for row in human or on_means]


def alignment_notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the tables must know, one sentence each."""
    checks, notes = next((of for of in tables(result) if of.name == "checks"), None), []
    if checks is not None:
        notes.append(
            f"{len(_flagged(checks))} of {len(checks.rows)} conditions have more capped or looping "
            "(1 %), unparsed or no-reasoning (5 %) responses than tolerated"
        )
    settings = result["settings"]
    return [
        *notes,
        f"intervals: {settings['interval']}, {settings['bootstrap']} draws, seed "
        f"{settings['seed']}; log measures over samples with at least one reasoning token",
        *result["notes"],
    ]


def alignment_text(result: Mapping[str, Any], power: bool = False) -> str:
    """The result for a terminal: its tables, sentences on models in known roles, and notes."""
    parts = [as_text(table) for table in shown_tables(result, power)]
    if any(row["roles"] for row in result["contrasts"]):
        parts.append("\n".join(map(printable, verdicts(result))))
    if compared := result.get("budgets"):
        parts.append("\n".join(printable(pair["sentence"]) for pair in compared))
    parts.append("\n".join(f"note: {printable(note)}" for note in alignment_notes(result)))
    return "\n\n".join(part for part in parts if part)


def arms_text(result: Mapping[str, Any]) -> str:
    """One row an arm: accuracy, length and mean r over human tasks, sampled and greedy."""
    columns = (
        *(("arm", "text", "arm"), ("accuracy", "number", "accuracy")),
        ("tokens", "tokens", "mean_tokens"),
        ("mean r, T>0", "estimate", "mean_r_loglog", "mean_r_loglog_ci"),
        ("mean r, T=0", "estimate", "greedy/mean_r_loglog", "greedy/mean_r_loglog_ci"),
    )
    rows = []
    for name, model in result["models"].items():
        if split_name(name)[1] == GREEDY:
            continue
        row = {**model, "arm": name, "greedy": result["models"].get(decoded_name(name, GREEDY))}
        human = [t for t in model["tasks"].values() if t["cost_source"] == "human"]
        for of in ("accuracy", "mean_tokens"):
            known = [task[of] for task in human if task[of] is not None]
            row[of] = sum(known) / len(known) if known else None
        rows.append(row)
    title = "Arms on the human tasks: r of log tokens with log response time, 95 % intervals"
    return as_text(_table("arms", title, columns, rows))


def norms_table(packaged: Iterable["Norms"]) -> str:
    """Participants, trials and reliability of each task and source of human norms."""
    rows = []
    for of in packaged:
        bounds = (of.reliability_low, of.reliability_high)
        centred = (of.reliability_centred_low, of.reliability_centred_high)
        row = {name: getattr(of, name) for name in ("task", "source", "participants", "rule")}
        row |= {"items": len(of.items), "trials": of.trials_kept, "reliability": of.reliability}
        row |= {"centred": of.reliability_centred, "ci": None if None in bounds else bounds}
        rows.append(row | {"centred_ci": None if None in centred else centred})
    return as_text(_table("norms", "Human norms, 95 % intervals", NORMS, rows))
