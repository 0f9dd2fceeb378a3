"""Columns of ``costs.csv`` and what a cell of each may hold; ``costs.py`` puts them together."""

from collections.abc import Callable, Sequence

import numpy as np

from handan.csv_input import TRUTH, plain_number
from handan.errors import UserError

REQUIRED = ("task", "item", "reasoning_tokens")
DEMANDS = ("human_rt_s", "analytic_cost")
TEXT = (
    *("model", "task", "item", "sample", "participant"),
    *("status", "norms", "counted_by", "cost_rule"),
)
COUNTS = (
    *("reasoning_tokens", "prompt_tokens", "answer_tokens"),
    *("reasoning_characters", "answer_characters"),
)
POSITIVE = (*DEMANDS, "human_mean_rt_s", "oracle_tokens")
YES_OR_NO = ("correct", "looping")
KNOWN = (*TEXT, "step", *COUNTS, *POSITIVE, *YES_OR_NO)
NEEDED = ("task", "item", "model")
STATUSES = ("complete", "truncated", "no_reasoning", "unparsed")
COST_RULES = ("span", "response")

# Outside these bounds a column was mistaken for another one, or its unit was.
MOST_COUNT = 10**9
LEAST_COST, MOST_COST = 1e-9, 1e12
LEAST_TIME_S, MOST_TIME_S = 1e-3, 1e6
# A cell longer than this is no number, name or status.
MOST_CHARACTERS = 10_000


def parsed(name: str, cells: Sequence[str], places: Sequence[str]) -> list:
    """The cells of a column as text or numbers, NaN for an empty number.

    Args:
        name: of the column.
        cells: as they stand in the file, with or without spaces around them.
        places: file and line of each, for messages.

    Raises:
        UserError: a cell is not what its column holds.
    """
    parse = _parser(name)
    known: dict = {}
    for cell in dict.fromkeys(cells):
        try:
            known[cell] = parse("", name, cell.strip())
        except UserError:
            parse(places[cells.index(cell)], name, cell.strip())  # once more, with its place
            raise
    return [known[cell] for cell in cells]


def _any_text(place: str, column: str, cell: str) -> str:
    if len(cell) > MOST_CHARACTERS:
        raise UserError(f"{place}: {column} has {len(cell)} characters; is the row quoted rightly?")
    return cell


def _needed(place: str, column: str, cell: str) -> str:
    if not cell:
        raise UserError(f"{place}: empty {column}; fill it in or remove the row")
    return _any_text(place, column, cell)


def _status(place: str, column: str, cell: str) -> str:
    if cell.lower() not in ("", *STATUSES):
        raise UserError(f"{place}: {column} is '{cell}'; use {', '.join(STATUSES)}")
    return cell.lower()


def _rule(place: str, column: str, cell: str) -> str:
    if cell not in ("", *COST_RULES):
        raise UserError(f"{place}: {column} is '{cell}'; use {', '.join(COST_RULES)}")
    return cell


def _parser(name: str) -> Callable[[str, str, str], str | float]:
    """A function of (place, column, cell)."""
    if name in TEXT:
        if name in ("status", "cost_rule"):
            return _status if name == "status" else _rule
        return _needed if name in NEEDED else _any_text
    if name in YES_OR_NO:
        return _yes_or_no
    if name == "step":
        return _whole
    if name in COUNTS:
        return _count
    if name in ("human_rt_s", "human_mean_rt_s"):
        return _time
    return _positive if name in POSITIVE else _number


def _yes_or_no(place: str, column: str, cell: str) -> float:
    if cell.lower() not in ("", *TRUTH):
        raise UserError(f"{place}: {column} is '{cell}'; use {', '.join(TRUTH)}")
    return float(TRUTH[cell.lower()]) if cell else np.nan


def _number(place: str, column: str, cell: str) -> float:
    """The number in a cell, NaN for an empty one."""
    return plain_number(place, column, cell) if cell else np.nan


def _whole(place: str, column: str, cell: str) -> float:
    number = _number(place, column, cell)
    if not np.isnan(number) and not (number.is_integer() and 0 <= number <= MOST_COUNT):
        raise UserError(f"{place}: {column} is {cell}; it is a whole number, 0 to {MOST_COUNT:g}")
    return number


def _count(place: str, column: str, cell: str) -> float:
    number = _number(place, column, cell)
    if not np.isnan(number) and not 0 <= number <= MOST_COUNT:
        raise UserError(f"{place}: {column} is {cell}; it is a count, 0 to {MOST_COUNT:g}")
    return number


def _positive(place: str, column: str, cell: str) -> float:
    number = _number(place, column, cell)
    if not np.isnan(number) and not LEAST_COST <= number <= MOST_COST:
        raise UserError(
            f"{place}: {column} is {cell}; logarithms need a positive number ({LEAST_COST:g} to "
            f"{MOST_COST:g}): remove the row or mend the column"
        )
    return number


def _time(place: str, column: str, cell: str) -> float:
    number = _positive(place, column, cell)
    if not np.isnan(number) and not LEAST_TIME_S <= number <= MOST_TIME_S:
        raise UserError(
            f"{place}: {column} is {cell}; it is in seconds, {LEAST_TIME_S:g} to "
            f"{MOST_TIME_S:g}: convert the column"
        )
    return number
