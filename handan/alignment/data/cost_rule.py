"""What a response costs: the tokens inside its reasoning span, or those of the whole response.

A model that reasons has a span, and its cost is what lies in it (rule ``span``). A model without
one, such as an Instruct control, either costs nothing by that rule or is given its whole response
(rule ``response``). ``reasoning_tokens`` of ``costs.csv`` holds the cost by the row's rule, and
``answer_tokens`` the answer's, so that each rule can be computed from the other.
"""

from dataclasses import replace

import numpy as np

from handan.alignment.data.cells import COST_RULES
from handan.alignment.data.cost_table import CostTable
from handan.errors import UserError

SPAN, RESPONSE = COST_RULES


def status_under(rule: str, status: str, cost: float) -> str:
    """The status of a response whose cost is counted by ``rule``.

    ``no_reasoning`` says that nothing was spent: under ``response`` a direct answer is complete.
    """
    if rule == RESPONSE and status == "no_reasoning" and cost > 0:
        return "complete"
    if rule == SPAN and status == "complete" and cost == 0:
        return "no_reasoning"
    return status


def with_cost_rule(table: CostTable, rule: str) -> CostTable:
    """The same responses with all costs by one rule.

    Raises:
        UserError: a row that has to be changed does not say how long the answer is.
    """
    own = np.array([name or SPAN for name in table.text["cost_rule"]])
    changed = own != rule
    tokens, answers = table.numbers["reasoning_tokens"], table.numbers["answer_tokens"]
    sign = 1 if rule == RESPONSE else -1
    costs = np.where(changed, tokens + sign * answers, tokens)
    unknown = np.isnan(costs) | (costs < 0)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise UserError(
            f"{table.places[row]}: answer_tokens do not give its cost by rule '{rule}'; "
            "fill in that column or leave out --cost_rule"
        )
    characters = table.numbers["reasoning_characters"]
    of_answers = table.numbers["answer_characters"]
    statuses = [
        status_under(rule, status, cost) if differs else status
        for status, cost, differs in zip(table.text["status"], costs, changed, strict=True)
    ]
    return replace(
        table,
        text={**table.text, "status": statuses, "cost_rule": [rule] * len(table)},
        numbers={
            **table.numbers,
            "reasoning_tokens": costs,
            "reasoning_characters": np.where(changed, characters + sign * of_answers, characters),
        },
    )
