"""One row of ``costs.csv``, and what rows must agree on. ``handan.alignment.costs`` reads them."""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from handan.errors import UserError

# Ends the name of a model that was decoded greedily, beside the same model with sampling.
GREEDY_SUFFIX = " (T=0)"


class CostRow(NamedTuple):
    """One sample of one model on one item; ``place`` is its file and line, for messages."""

    place: str
    model: str
    task: str
    item: str
    sample: str
    step: int | None
    participant: str
    reasoning_tokens: int
    human_rt_s: float | None
    analytic_cost: float | None
    correct: bool | None
    status: str | None
    norms: str | None
    oracle_tokens: float | None
    prompt_tokens: int | None
    answer_tokens: int | None
    reasoning_characters: int | None


def check_rows(rows: Iterable[CostRow]) -> None:
    """Check what rows must agree on, within a file or over the files of several runs.

    Raises:
        UserError: two rows are the same sample or contradict each other; names both places.
    """
    rows = list(rows)
    seen: dict[tuple, str] = {}
    for row in rows:
        key = (row.model, row.task, row.item, row.sample, row.step, row.participant)
        if key in seen:
            raise UserError(
                f"{row.place}: same model, task, item, sample, step and participant as {seen[key]}"
                "; remove one of them, or number the samples of an item in column 'sample'"
            )
        seen[key] = row.place

    _agree(
        rows,
        lambda row: row.task,
        lambda row: "human_rt_s" if row.analytic_cost is None else "analytic_cost",
        "task '{row.task}' is given by {here} but by {there} at {place}; use one for a task",
    )
    _agree(
        rows,
        lambda row: row.task,
        lambda row: row.norms,
        "norms of task '{row.task}' are '{here}' but '{there}' at {place}; use one for a task",
    )
    _agree(
        rows,
        lambda row: row.task,
        lambda row: "with" if row.participant else "without",
        "row {here} participant, but task '{row.task}' has rows {there} at {place}; fill in all",
    )
    _agree(
        rows,
        lambda row: (row.task, row.item, row.participant),
        lambda row: row.human_rt_s or row.analytic_cost,
        "item '{row.item}' costs people {here} but {there} at {place}; an item has one "
        "human_rt_s or analytic_cost (for each participant, if there is that column)",
    )
    _agree(
        rows,
        lambda row: (row.model, row.step, row.task, row.item, row.sample),
        lambda row: (row.reasoning_tokens, row.status, row.correct),
        "a sample has tokens, status, correct = {here} but {there} at {place}, for another "
        "participant; make them equal",
    )
    _agree(
        rows,
        lambda row: (row.model, row.step, row.task, row.item),
        lambda row: row.oracle_tokens,
        "oracle_tokens of item '{row.item}' is {here} but {there} at {place}; it is one for an "
        "item, or empty",
    )
    _agree(
        rows,
        lambda row: (row.model, row.step, row.task),
        lambda row: "empty" if row.oracle_tokens is None else "given",
        "oracle_tokens is {here} but {there} at {place}; give it for all items of a task or none",
    )


def _agree(
    rows: list[CostRow],
    key: Callable[[CostRow], Hashable],
    value: Callable[[CostRow], object],
    sentence: str,
) -> None:
    """Rows with the same key must have the same value."""
    first: dict[Hashable, tuple[object, str]] = {}
    for row in rows:
        there, place = first.setdefault(key(row), (value(row), row.place))
        if value(row) != there:
            text = sentence.format(row=row, here=value(row), there=there, place=place)
            raise UserError(f"{row.place}: {text}")
