"""From responses to the rows of ``costs.csv``: their cost beside what it is compared to."""

from collections.abc import Sequence

from handan.alignment.data.cost_rule import RESPONSE, SPAN, status_under
from handan.alignment.data.cost_table import GREEDY_SUFFIX
from handan.formats import FORMATS
from handan.suite import SuiteItem

COST_COLUMNS = (
    "model",
    "task",
    "item",
    "sample",
    "step",
    "human_rt_s",
    "human_mean_rt_s",
    "norms",
    "analytic_cost",
    "oracle_tokens",
    "prompt_tokens",
    "reasoning_tokens",
    "answer_tokens",
    "reasoning_characters",
    "answer_characters",
    "cost_rule",
    "counted_by",
    "status",
    "looping",
    "correct",
)
# What an item has beside the figures that have columns of their own.
NO_COVARIATES = ("analytic_cost", "oracle_tokens")
GREEDY = -1  # number of the sample at temperature 0


def cost_columns(items: Sequence[SuiteItem]) -> list[str]:
    """Columns of ``costs.csv``: the fixed ones and a covariate for each property of an item."""
    names = dict.fromkeys(
        name
        for entry in items
        for name in entry.item.covariates
        if not name.startswith(NO_COVARIATES)
    )
    return [*COST_COLUMNS, *(f"covariate_{name}" for name in names)]


def cost_of(row: dict, cost_without_span: str) -> dict:
    """Cost, rule and status of a response, as ``costs.csv`` has them.

    Args:
        row: of ``generations.jsonl``, which has bare counts.
        cost_without_span: of the suite: what a response of a format without a span costs.
    """
    thinks = FORMATS[row["reasoning_format"]].thinks
    rule = SPAN if thinks or cost_without_span == "none" else RESPONSE
    tokens, characters = row["reasoning_tokens"], row["reasoning_characters"]
    if rule == RESPONSE:
        tokens, characters = tokens + row["answer_tokens"], characters + row["answer_characters"]
    return {
        "reasoning_tokens": tokens,
        "reasoning_characters": characters,
        "cost_rule": rule,
        "status": status_under(rule, row["status"], tokens),
    }


def cost_rows(
    generations: Sequence[dict], items: Sequence[SuiteItem], cost_without_span: str
) -> list[dict]:
    """Rows of ``costs.csv``: responses joined with what they are compared to.

    Greedy responses form a model of their own, named ``<model> (T=0)``. The order is that of the
    items, sampled responses first, whatever the order in which they were drawn.
    """
    by_key = {(entry.item.task, entry.item.key): entry for entry in items}
    columns = cost_columns(items)
    place = {key: index for index, key in enumerate(by_key)}

    def order(row: dict) -> tuple:
        return row["sample"] == GREEDY, place[row["task"], row["item"]], row["sample"]

    out = []
    for row in sorted(generations, key=order):
        entry = by_key[row["task"], row["item"]]
        greedy = row["sample"] == GREEDY
        joined = {
            **row,
            **cost_of(row, cost_without_span),
            "model": row["model"] + (GREEDY_SUFFIX if greedy else ""),
            "sample": 0 if greedy else row["sample"],
            "step": row.get("step"),
            "human_rt_s": entry.human_rt_s,
            "human_mean_rt_s": entry.human_mean_rt_s,
            "norms": entry.norms,
            "analytic_cost": entry.analytic_cost,
            "oracle_tokens": entry.oracle_tokens,
            **{f"covariate_{name}": value for name, value in entry.item.covariates.items()},
        }
        # Responses from before a column was there leave it empty.
        out.append({column: joined.get(column) for column in columns})
    return out
