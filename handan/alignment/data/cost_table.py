"""The rows of ``costs.csv`` as columns, and what rows must agree on. ``costs.py`` reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from handan.errors import UserError

FloatArray = NDArray[np.float64]
Codes = NDArray[np.intp]

# Ends the name of a model that was decoded greedily, beside the same model with sampling.
GREEDY_SUFFIX = " (T=0)"
# Sorted times of one task that are further apart than this factor are in two units.
UNIT_GAP = 100.0


@dataclass(frozen=True, eq=False)
class CostTable:
    """Samples of models on items, one a row; all columns have the same length.

    Attributes:
        places: file and line of each row, for messages.
        text: model, task, item, sample, participant, status, norms, counted_by, cost_rule;
            '' if empty.
        numbers: the other columns of ``costs.csv`` and every ``covariate_...``; NaN if empty.
    """

    places: Sequence[str]
    text: Mapping[str, Sequence[str]]
    numbers: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return len(self.places)

    def names(self, column: str) -> list[str]:
        """Distinct texts of a column in order of first appearance."""
        return list(dict.fromkeys(self.text[column]))

    def groups(self, *columns: str) -> Codes:
        """A number for each row, equal for rows that agree in these columns; shape (rows,).

        Numbers begin at 0 and follow the order of first appearance.
        """
        if columns not in self._groups:
            *fewer, last = columns
            before = self.groups(*fewer) if fewer else np.zeros(len(self), dtype=np.intp)
            if last in self.text:
                numbered = {name: code for code, name in enumerate(self.names(last))}
                codes = np.array([numbered[name] for name in self.text[last]], dtype=np.intp)
            else:
                _, codes = np.unique(self.numbers[last], return_inverse=True)
            codes = before * (codes.max(initial=0) + 1) + codes
            _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
            self._groups[columns] = np.argsort(np.argsort(first))[codes]
        return self._groups[columns]

    @cached_property
    def _groups(self) -> dict[tuple[str, ...], Codes]:
        return {}

    def rows(self, kept: NDArray[np.bool_]) -> "CostTable":
        """Only the rows where ``kept``, shape (rows,)."""
        if kept.all():
            return self
        return CostTable(
            list(compress(self.places, kept)),
            {name: list(compress(cells, kept)) for name, cells in self.text.items()},
            {name: values[kept] for name, values in self.numbers.items()},
        )

    def with_models(self, names: Mapping[str, str]) -> "CostTable":
        """The same rows with models renamed."""
        renamed = [names.get(name, name) for name in self.text["model"]]
        return replace(self, text={**self.text, "model": renamed})


def joined(tables: Sequence[CostTable]) -> CostTable:
    """The rows of all tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    columns = dict.fromkeys(name for table in tables for name in table.numbers)
    return CostTable(
        [place for table in tables for place in table.places],
        {name: [cell for t in tables for cell in t.text[name]] for name in tables[0].text},
        {
            name: np.concatenate([t.numbers.get(name, np.full(len(t), np.nan)) for t in tables])
            for name in columns
        },
    )


def check_table(table: CostTable) -> None:
    """Check what rows must agree on, within a file or over the files of several runs.

    Raises:
        UserError: two rows are the same sample or contradict each other; names both places.
    """
    _unique(
        table,
        ("model", "task", "item", "sample", "step", "participant"),
        "same model, task, item, sample, step and participant as {there}; remove one of them, or "
        "number the samples of an item in column 'sample'",
    )
    numbers, text = table.numbers, table.text
    analytic = np.isfinite(numbers["analytic_cost"])
    human = np.isfinite(numbers["human_rt_s"])
    demand = np.where(analytic, numbers["analytic_cost"], numbers["human_rt_s"])
    kinds = np.where(analytic, "analytic_cost", np.where(human, "human_rt_s", "neither"))
    participants = ["without" if name == "" else "with" for name in text["participant"]]
    oracle = numbers["oracle_tokens"]
    # Of each rule: columns that group rows, what must be equal within a group, and the sentence.
    rules: list[tuple[tuple[str, ...], Sequence | FloatArray, str]] = [
        (
            ("task",),
            list(kinds),
            "task '{task}' is given by {here} but by {there} at {place}; use one for a task",
        ),
        (
            ("task",),
            text["norms"],
            "norms of task '{task}' are '{here}' but '{there}' at {place}; use one for a task",
        ),
        (
            ("task",),
            participants,
            "row {here} participant, but task '{task}' has rows {there} at {place}; fill in all",
        ),
        (
            ("task", "item", "participant"),
            demand,
            "item '{item}' costs people {here} but {there} at {place}; an item has one "
            "human_rt_s or analytic_cost (for each participant, if there is that column)",
        ),
        (
            ("task", "item"),
            numbers["human_mean_rt_s"],
            "human_mean_rt_s of item '{item}' is {here} but {there} at {place}; make it equal",
        ),
        (
            ("task",),
            ["empty" if missing else "given" for missing in np.isnan(numbers["human_mean_rt_s"])],
            "human_mean_rt_s is {here} but {there} at {place}; give it for all items of a task or "
            "none",
        ),
        (
            ("model", "step", "task", "item", "sample"),
            numbers["reasoning_tokens"],
            "a sample has {here} reasoning_tokens but {there} at {place}, for another "
            "participant; make them equal",
        ),
        (
            ("model", "step", "task", "item", "sample"),
            list(zip(text["status"], numbers["correct"].tolist(), strict=True)),
            "a sample has status, correct = {here} but {there} at {place}, for another "
            "participant; make them equal",
        ),
        (
            ("task",),
            ["characters" if by == "characters" else "tokens" for by in text["counted_by"]],
            "costs of task '{task}' are {here} but {there} at {place}; count them all in one unit",
        ),
        (
            ("model", "step", "task"),
            [name or "span" for name in text["cost_rule"]],
            "cost_rule of model and task is {here} but {there} at {place}; recompute one of them "
            "with --cost_rule, or make them equal",
        ),
        (
            ("model", "step", "task", "item"),
            oracle,
            "oracle_tokens of item '{item}' is {here} but {there} at {place}; it is one for an "
            "item, or empty",
        ),
        (
            ("model", "step", "task"),
            ["empty" if missing else "given" for missing in np.isnan(oracle)],
            "oracle_tokens is {here} but {there} at {place}; give it for all items of a task or "
            "none",
        ),
    ]
    for name in covariates(table):
        rules.append(
            (
                ("task", "item"),
                numbers[name],
                name + " of item '{item}' is {here} but {there} at {place}; it belongs to the "
                "item, so make it equal",
            )
        )
    for keys, values, sentence in rules:
        _agree(table, keys, values, sentence)
    _check_units(table)


def covariates(table: CostTable) -> list[str]:
    """Names of the columns that describe items."""
    return [name for name in table.numbers if name.startswith("covariate_")]


def _unique(table: CostTable, keys: tuple[str, ...], sentence: str) -> None:
    _, first, codes = np.unique(table.groups(*keys), return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[codes] != np.arange(len(table)))
    if len(repeated):
        there = table.places[first[codes[repeated[0]]]]
        raise UserError(f"{table.places[repeated[0]]}: {sentence.format(there=there)}")


def _agree(
    table: CostTable, keys: tuple[str, ...], values: Sequence | FloatArray, sentence: str
) -> None:
    """Rows that are equal in the key columns must have the same value."""
    _, first, codes = np.unique(table.groups(*keys), return_index=True, return_inverse=True)
    if isinstance(values, np.ndarray):
        there = values[first[codes]]
        differ = ~((values == there) | (np.isnan(values) & np.isnan(there)))
    else:
        numbered: dict = {}
        known = np.array([numbered.setdefault(str(value), len(numbered)) for value in values])
        differ = known != known[first[codes]]
    if not differ.any():
        return
    row = int(np.flatnonzero(differ)[0])
    other = int(first[codes[row]])
    text = sentence.format(
        task=table.text["task"][row],
        item=table.text["item"][row],
        here=_shown(values[row]),
        there=_shown(values[other]),
        place=table.places[other],
    )
    raise UserError(f"{table.places[row]}: {text}")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "empty" if np.isnan(value) else f"{value:g}"
    return str(value)


def _check_units(table: CostTable) -> None:
    """Response times of one task must be in one unit."""
    times = table.numbers["human_rt_s"]
    tasks = table.groups("task")
    for code in np.unique(tasks[np.isfinite(times)]):
        rows = np.flatnonzero((tasks == code) & np.isfinite(times))
        order = rows[np.argsort(times[rows], kind="stable")]
        wide = np.flatnonzero(np.diff(np.log(times[order])) > np.log(UNIT_GAP))
        if len(wide):
            low, high = order[wide[0]], order[wide[0] + 1]
            raise UserError(
                f"{table.places[high]}: human_rt_s is {times[high]:g}, but the next shorter one "
                f"of task '{table.text['task'][high]}' is {times[low]:g} at {table.places[low]}: "
                "two units in one task? give all of them in seconds"
            )
