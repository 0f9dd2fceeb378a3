"""Columns of ``costs.csv`` and what a cell of each may hold; ``costs.py`` puts them together."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan.csv_input import TRUTH, plain_number, read_cells
from handan.errors import UserError

REQUIRED = ("task", "item", "reasoning_tokens")
DEMANDS = ("human_rt_s", "analytic_cost")
TEXT = (
    *("model", "decoding", "task", "item", "sample", "participant"),
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
DECODINGS = SAMPLED, GREEDY = ("sampled", "greedy")
CHOICES = {"status": STATUSES, "cost_rule": COST_RULES, "decoding": DECODINGS}

# Outside these bounds a column was mistaken for another one, or its unit was.
MAX_COUNT = 10**9
MIN_COST, MAX_COST = 1e-9, 1e12
MIN_TIME_S, MAX_TIME_S = 1e-3, 1e6
# A cell longer than this is no number, name or status.
MAX_CHARACTERS = 10_000


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
    if len(cell) > MAX_CHARACTERS:
        raise UserError(f"{place}: {column} has {len(cell)} characters; is the row quoted rightly?")
    return cell


def _needed(place: str, column: str, cell: str) -> str:
    if not cell:
        raise UserError(f"{place}: empty {column}; fill it in or remove the row")
    return _any_text(place, column, cell)


def _choice(place: str, column: str, cell: str) -> str:
    if cell.lower() not in ("", *CHOICES[column]):
        raise UserError(f"{place}: {column} is '{cell}'; use {', '.join(CHOICES[column])}")
    return cell.lower()


def _parser(name: str) -> Callable[[str, str, str], str | float]:
    """A function of (place, column, cell)."""
    if name in TEXT:
        if name in CHOICES:
            return _choice
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
    if not np.isnan(number) and not (number.is_integer() and 0 <= number <= MAX_COUNT):
        raise UserError(f"{place}: {column} is {cell}; it is a whole number, 0 to {MAX_COUNT:g}")
    return number


def _count(place: str, column: str, cell: str) -> float:
    number = _number(place, column, cell)
    if not np.isnan(number) and not 0 <= number <= MAX_COUNT:
        raise UserError(f"{place}: {column} is {cell}; it is a count, 0 to {MAX_COUNT:g}")
    return number


def _positive(place: str, column: str, cell: str) -> float:
    number = _number(place, column, cell)
    if not np.isnan(number) and not MIN_COST <= number <= MAX_COST:
        raise UserError(
            f"{place}: {column} is {cell}; logarithms need a positive number ({MIN_COST:g} to "
            f"{MAX_COST:g}): remove the row or mend the column"
        )
    return number


def _time(place: str, column: str, cell: str) -> float:
    number = _positive(place, column, cell)
    if not np.isnan(number) and not MIN_TIME_S <= number <= MAX_TIME_S:
        raise UserError(
            f"{place}: {column} is {cell}; it is in seconds, {MIN_TIME_S:g} to "
            f"{MAX_TIME_S:g}: convert the column"
        )
    return number


# The rows of ``costs.csv`` as columns, and what rows must agree on. ``costs.py`` reads them.

FloatArray = NDArray[np.float64]
Codes = NDArray[np.intp]

_GREEDY_SUFFIX = " (T=0)"
# Sorted times of one task that are further apart than this factor are in two units.
UNIT_GAP = 100.0


def decoded_name(model: str, decoding: str) -> str:
    """The name of a model with this decoding: greedy responses form a model of their own."""
    return model + _GREEDY_SUFFIX if decoding == GREEDY else model


def split_name(name: str) -> tuple[str, str]:
    """The model and the decoding behind a name of ``decoded_name``."""
    model = name.removesuffix(_GREEDY_SUFFIX)
    return model, SAMPLED if model == name else GREEDY


@dataclass(frozen=True, eq=False)
class CostTable:
    """Samples of models on items, one a row; all columns have the same length.

    Attributes:
        places: file and line of each row, for messages.
        text: model (as of ``decoded_name``), decoding (never empty), task, item, sample,
            participant, status, norms, counted_by, cost_rule; '' if empty.
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


# ``costs.csv``: what models spent on items and what the items cost people, read and checked.

# Below 1 for what rounding does to short times.
MIN_MEANS_RATIO = 0.99


class CostFile(NamedTuple):
    """The rows of a file and, one sentence each, what was treated rather than refused."""

    table: CostTable
    notes: list[str]


def as_table(rows: CostTable | Iterable[Mapping[str, object]]) -> CostTable:
    """A checked table, from one that is checked or from mappings with the columns of the file.

    A value of None is an empty cell; the place of a mapping is its number, from 1.

    Raises:
        UserError: as ``read_costs``.
    """
    if isinstance(rows, CostTable):
        return rows
    rows = list(rows)
    if not rows:
        raise UserError("no rows; give one a sample")
    header = list(dict.fromkeys(name for row in rows for name in row))
    cells = [["" if row.get(name) is None else str(row[name]) for name in header] for row in rows]
    places = [f"record {number}" for number in range(1, len(rows) + 1)]
    _check_columns(places[0], header, people_elsewhere=False)
    return table_of_cells(header, cells, places)


def table_of_cells(
    header: list[str], cells: Sequence[list[str]], places: Sequence[str]
) -> CostTable:
    """A checked table of the cells of a file whose header has been checked.

    Raises:
        UserError: as ``read_costs``.
    """
    table = _table(header, cells, places, people_elsewhere=False)
    check_table(table)
    return table


def read_costs(path: Path, people_elsewhere: bool = False) -> CostFile:
    """Read and check one ``costs.csv`` (UTF-8, with or without a byte order mark).

    Args:
        path: the file.
        people_elsewhere: whether response times come from norms or trials, so that the file need
            not have them.

    Raises:
        UserError: the file cannot be read, or a row breaks a rule of this module's docstring.
    """
    header, lines = read_cells(path)
    _check_columns(f"{path}, line 1", header, people_elsewhere)
    places, rows = zip(*lines, strict=True)
    table = _table(header, rows, places, people_elsewhere)
    notes = []
    unknown = [name or "(no name)" for name in header if not _is_known(name)]
    if unknown:
        notes.append(f"{path}: ignored unknown columns: {', '.join(unknown)}")
    tokens = table.numbers["reasoning_tokens"]
    if num_broken := int(np.count_nonzero(tokens != np.round(tokens))):
        notes.append(
            f"{path}: {num_broken} rows have fractions of a token and are taken as means over "
            "samples, whose noise is not known"
        )
    if "sample" not in header:
        table, num_repeated = _number_samples(table)
        if num_repeated:
            notes.append(
                f"{path}: no column 'sample': {num_repeated} rows that repeat an item were "
                "counted as its further samples"
            )
    check_table(table)
    return CostFile(table, notes)


def _is_known(name: str) -> bool:
    return name in KNOWN or name.startswith("covariate_")


def _number_samples(table: CostTable) -> tuple[CostTable, int]:
    """Rows with their sample numbered from 0 within item and participant; how many are not 0."""
    counts: Counter[int] = Counter()
    numbered = []
    for group in table.groups("model", "task", "item", "step", "participant").tolist():
        numbered.append(str(counts[group]))
        counts[group] += 1
    return (
        CostTable(table.places, {**table.text, "sample": numbered}, table.numbers),
        len(table) - len(counts),
    )


def _check_columns(place: str, header: list[str], people_elsewhere: bool) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        shown = ", ".join(header)
        shown = shown if len(shown) < 300 else f"{shown[:300]} ..."
        raise UserError(f"{place}: no column {', '.join(missing)}; found: {shown}")
    if not people_elsewhere and not any(name in header for name in DEMANDS):
        raise UserError(f"{place}: no column human_rt_s or analytic_cost; add one")


def _table(
    header: list[str],
    rows: Sequence[list[str]],
    places: Sequence[str],
    people_elsewhere: bool,
) -> CostTable:
    """Columns of parsed cells; each distinct text is parsed once."""
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    text: dict[str, Sequence[str]] = {}
    for name in TEXT:
        cells = columns.get(name, ("model" if name == "model" else "",) * len(rows))
        text[name] = parsed(name, cells, places)
    # Files from before the column was there have it in the name.
    models = [
        (split_name(model)[0], decoding) if decoding else split_name(model)
        for model, decoding in zip(text["model"], text["decoding"], strict=True)
    ]
    text["model"] = [decoded_name(*model) for model in models]
    text["decoding"] = [decoding for _, decoding in models]
    numbers: dict[str, FloatArray] = {}
    for name in ("step", *COUNTS, *POSITIVE, *YES_OR_NO, *filter(_is_covariate, header)):
        cells = columns.get(name, ("",) * len(rows))
        numbers[name] = np.array(parsed(name, cells, places), dtype=float)
    table = CostTable(places, text, numbers)
    _check_rows(table, people_elsewhere)
    return table


def _is_covariate(name: str) -> bool:
    return name.startswith("covariate_")


def _check_rows(table: CostTable, people_elsewhere: bool) -> None:
    """Rules on the cells of one row."""
    numbers, text = table.numbers, table.text
    human, analytic = (np.isfinite(numbers[name]) for name in DEMANDS)
    arithmetic = numbers["human_mean_rt_s"]
    given = np.isfinite(arithmetic) & (not people_elsewhere)
    tokens = numbers["reasoning_tokens"]
    status, norms = np.array(text["status"], dtype=object), np.array(text["norms"], dtype=object)
    neither = np.zeros(len(table), bool) if people_elsewhere else ~human & ~analytic
    for wrong, sentence in (
        (np.isnan(tokens), "empty reasoning_tokens; fill it in or remove the row"),
        (
            (human & analytic) | neither,
            "fill in one of human_rt_s and analytic_cost, not both or none",
        ),
        (
            given & np.array([name != "" for name in text["participant"]], dtype=bool),
            "human_mean_rt_s in a row of one participant; leave it out, it is made of these rows",
        ),
        (
            given & ~(arithmetic >= MIN_MEANS_RATIO * numbers["human_rt_s"]),
            "human_mean_rt_s, the arithmetic mean, is below human_rt_s, the geometric one, or "
            "without it; exchange or fill in",
        ),
        (
            (norms != "") & analytic,
            "norms '{norms}' with an analytic_cost; norms are of people",
        ),
        (
            (status == "no_reasoning") & (tokens > 0),
            "status no_reasoning with {tokens:g} reasoning_tokens; mend one",
        ),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            filled = sentence.format(norms=norms[row], tokens=tokens[row])
            raise UserError(f"{table.places[row]}: {filled}")


# What a response costs: the tokens inside its reasoning span, or those of the whole response.

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
