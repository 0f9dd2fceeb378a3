"""Tables of what looks at pairs of models over all tasks, and of the power of the items."""

from collections.abc import Iterable, Mapping

from handan.alignment.output.render import Table
from handan.budgets import MEASURES


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
