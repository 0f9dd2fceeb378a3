"""``costs.csv``: what models spent on items and what the items cost people, read and checked.

One row is one sample of one model on one item; ``docs/files.md`` has the columns. Unknown columns
are ignored and named in a note; whatever else does not fit is a ``UserError``.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handan.alignment.correlation import FloatArray
from handan.errors import UserError
from handan.inputs import MAX_COUNT, TRUTH, Source, called, plain_number, read_cells

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
NUMBERS = ("step", *COUNTS, *POSITIVE, *YES_OR_NO)
COVARIATE = "covariate_"
STATUSES = ("complete", "truncated", "no_reasoning", "unparsed")
COST_RULES = SPAN, RESPONSE = ("span", "response")
DECODINGS = SAMPLED, GREEDY = ("sampled", "greedy")
CHOICES = {"status": STATUSES, "cost_rule": COST_RULES, "decoding": DECODINGS}

# Outside these bounds a column was mistaken for another one, or its unit was.
MIN_COST, MAX_COST = 1e-9, 1e12
MIN_TIME_S, MAX_TIME_S = 1e-3, 1e6
_GREEDY_SUFFIX = " (T=0)"


def decoded_name(model: str, decoding: str) -> str:
    """The name of a model with this decoding: greedy responses form a model of their own."""
    return model + _GREEDY_SUFFIX if decoding == GREEDY else model


def split_name(name: str) -> tuple[str, str]:
    """The model and the decoding behind a name of ``decoded_name``."""
    model = name.removesuffix(_GREEDY_SUFFIX)
    return model, SAMPLED if model == name else GREEDY


@dataclass(frozen=True, eq=False)
class CostTable:
    """Samples of models on items, one a row; all columns have the same length."""

    places: Sequence[str]  # file and line of each row, for messages
    text: Mapping[str, Sequence[str]]  # columns TEXT, '' if empty; models as of decoded_name
    numbers: Mapping[str, FloatArray]  # columns NUMBERS and every covariate_...; NaN if empty
    _groups: dict[tuple[str, ...], NDArray[np.intp]] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def covariates(self) -> list[str]:
        """Names of the columns that describe items."""
        return [name for name in self.numbers if name.startswith(COVARIATE)]

    def names(self, column: str) -> list[str]:
        """Distinct texts of a column in order of first appearance."""
        return list(dict.fromkeys(self.text[column]))

    def groups(self, *columns: str) -> NDArray[np.intp]:
        """A number for each row from 0, by first appearance of its values in these columns."""
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

    def first_rows(self, *columns: str) -> NDArray[np.intp]:
        """For each row the first one that agrees with it in these columns; shape (rows,)."""
        _, first, codes = np.unique(self.groups(*columns), return_index=True, return_inverse=True)
        return np.asarray(first[codes])

    def rows(self, kept: NDArray[np.bool_]) -> "CostTable":
        """The rows where ``kept``, shape (rows,)."""
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

    @staticmethod
    def joined(tables: Sequence["CostTable"]) -> "CostTable":
        """The rows of all tables, one after the other."""
        numbers = {
            name: np.concatenate([t.numbers.get(name, np.full(len(t), np.nan)) for t in tables])
            for name in dict.fromkeys(name for table in tables for name in table.numbers)
        }
        text = {name: [cell for t in tables for cell in t.text[name]] for name in tables[0].text}
        return CostTable([place for table in tables for place in table.places], text, numbers)


class CostFile(NamedTuple):
    """The rows of a file and, one sentence each, what was treated rather than refused."""

    table: CostTable
    notes: list[str]


def read_costs(source: Source, people_elsewhere: bool = False) -> CostFile:
    """Read and check costs, a ``costs.csv`` or the like of it in memory.

    They need no response times if they are ``people_elsewhere``.
    """
    name, (header, lines) = called(source), read_cells(source)
    first_line = f"{name}, line 1" if isinstance(source, str | Path) else name
    _check_columns(first_line, header, people_elsewhere)
    places, rows = zip(*lines, strict=True)
    table = _table(header, rows, places, people_elsewhere)
    notes = []
    unknown = [of for of in header if of not in (*TEXT, *NUMBERS) and not of.startswith(COVARIATE)]
    if unknown:
        named = ", ".join(of or "(no name)" for of in unknown)
        notes.append(f"{name}: ignored unknown columns: {named}")
    tokens = table.numbers["reasoning_tokens"]
    if num_broken := int(np.count_nonzero(tokens != np.round(tokens))):
        taken = "are taken as means over samples, whose noise is not known"
        notes.append(f"{name}: {num_broken} rows have fractions of a token and {taken}")
    if "sample" not in header:
        counts: defaultdict[int, Iterator[int]] = defaultdict(count)
        groups = table.groups("model", "task", "item", "step", "participant").tolist()
        numbered = [str(next(counts[group])) for group in groups]
        table = replace(table, text={**table.text, "sample": numbered})
        if num_repeated := len(table) - len(counts):
            repeated = "rows that repeat an item were counted as its further samples"
            notes.append(f"{name}: no column 'sample': {num_repeated} {repeated}")
    check_table(table)
    return CostFile(table, notes)


def as_table(costs: CostTable | Source) -> CostTable:
    """A checked table."""
    return costs if isinstance(costs, CostTable) else read_costs(costs).table


def table_of_cells(
    header: list[str], cells: Sequence[list[str]], places: Sequence[str]
) -> CostTable:
    """A checked table of the cells of a file whose header has been checked."""
    table = _table(header, cells, places, people_elsewhere=False)
    check_table(table)
    return table


def _check_columns(place: str, header: list[str], people_elsewhere: bool) -> None:
    if missing := [of for of in ("task", "item", "reasoning_tokens") if of not in header]:
        found = ", ".join(header)
        shown = found if len(found) < 300 else f"{found[:300]} ..."
        raise UserError(f"{place}: no column {', '.join(missing)}; found: {shown}")
    if not people_elsewhere and not any(name in header for name in DEMANDS):
        raise UserError(f"{place}: no column human_rt_s or analytic_cost; add one")


def _table(
    header: list[str], rows: Sequence[list[str]], places: Sequence[str], people_elsewhere: bool
) -> CostTable:
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))

    def parsed(name: str) -> list:
        """Cells of a column as text or numbers; each distinct cell is parsed once."""
        cells = columns.get(name, ("model" if name == "model" else "",) * len(rows))
        known: dict = {}
        for cell in dict.fromkeys(cells):
            try:
                known[cell] = _parse("", name, cell.strip())
            except UserError:
                _parse(places[cells.index(cell)], name, cell.strip())  # once more, with its place
                raise
        return [known[cell] for cell in cells]

    text: dict[str, list[str]] = {name: parsed(name) for name in TEXT}
    # Files from before the column was there have the decoding in the name.
    models = [
        (split_name(model)[0], decoding) if decoding else split_name(model)
        for model, decoding in zip(text["model"], text["decoding"], strict=True)
    ]
    text |= {"model": [decoded_name(*of) for of in models], "decoding": [of[1] for of in models]}
    names = (*NUMBERS, *(name for name in header if name.startswith(COVARIATE)))
    table = CostTable(places, text, {name: np.array(parsed(name), float) for name in names})
    _check_rows(table, people_elsewhere)
    return table


def _parse(place: str, column: str, cell: str) -> str | float:
    """The text or number in a cell, NaN for an empty number."""
    if column in CHOICES:
        if cell.lower() not in ("", *CHOICES[column]):
            raise UserError(f"{place}: {column} is '{cell}'; use {', '.join(CHOICES[column])}")
        return cell.lower()
    if column in TEXT:
        if not cell and column in ("task", "item", "model"):
            raise UserError(f"{place}: empty {column}; fill it in or remove the row")
        if len(cell) > 10_000:
            length = f"{column} has {len(cell)} characters"
            raise UserError(f"{place}: {length}; is the row quoted rightly?")
        return cell
    if not cell:
        return np.nan
    if column in YES_OR_NO:
        if cell.lower() not in TRUTH:
            raise UserError(f"{place}: {column} is '{cell}'; use {', '.join(TRUTH)}")
        return float(TRUTH[cell.lower()])
    number = plain_number(place, column, cell)
    wrong = ""
    if column == "step" and not (number.is_integer() and 0 <= number <= MAX_COUNT):
        wrong = f"it is a whole number, 0 to {MAX_COUNT:g}"
    elif column in COUNTS and not 0 <= number <= MAX_COUNT:
        wrong = f"it is a count, 0 to {MAX_COUNT:g}"
    elif column in POSITIVE and not MIN_COST <= number <= MAX_COST:
        wrong = f"logarithms need a positive number ({MIN_COST:g} to {MAX_COST:g}): "
        wrong += "remove the row or mend the column"
    elif column in ("human_rt_s", "human_mean_rt_s") and not MIN_TIME_S <= number <= MAX_TIME_S:
        wrong = f"it is in seconds, {MIN_TIME_S:g} to {MAX_TIME_S:g}: convert the column"
    if wrong:
        raise UserError(f"{place}: {column} is {cell}; {wrong}")
    return number


def _check_rows(table: CostTable, people_elsewhere: bool) -> None:
    """Check the cells of each row with one another."""
    numbers, text = table.numbers, table.text
    human, analytic = (np.isfinite(numbers[name]) for name in DEMANDS)
    arithmetic, tokens = numbers["human_mean_rt_s"], numbers["reasoning_tokens"]
    given = np.isfinite(arithmetic) & (not people_elsewhere)
    neither = ~human & ~analytic & (not people_elsewhere)
    names = ("status", "norms", "participant")
    status, norms, person = (np.array(text[name], dtype=object) for name in names)
    # fmt: off
    rules = (
        (np.isnan(tokens), "empty reasoning_tokens; fill it in or remove the row"),
        ((human & analytic) | neither,
         "fill in one of human_rt_s and analytic_cost, not both or none"),
        (given & (person != ""),
         "human_mean_rt_s in a row of one participant; leave it out, it is made of these rows"),
        # Below 1 for what rounding does to short times.
        (given & ~(arithmetic >= 0.99 * numbers["human_rt_s"]),
         "human_mean_rt_s, the arithmetic mean, is below human_rt_s, the geometric one, or "
         "without it; exchange or fill in"),
        ((norms != "") & analytic, "norms '{norms}' with an analytic_cost; norms are of people"),
        ((status == "no_reasoning") & (tokens > 0),
         "status no_reasoning with {tokens:g} reasoning_tokens; mend one"),
    )
    # fmt: on
    for wrong, sentence in rules:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            filled = sentence.format(norms=norms[row], tokens=tokens[row])
            raise UserError(f"{table.places[row]}: {filled}")


def check_table(table: CostTable) -> None:
    """Check what rows must agree on, within a file or over the files of several runs."""
    first = table.first_rows("model", "task", "item", "sample", "step", "participant")
    if len(repeated := np.flatnonzero(first != np.arange(len(table)))):
        raise UserError(
            f"{table.places[repeated[0]]}: same model, task, item, sample, step and participant as "
            f"{table.places[first[repeated[0]]]}; remove one of them, or number the samples of an "
            "item in column 'sample'"
        )
    numbers, text = table.numbers, table.text
    human, analytic = (np.isfinite(numbers[name]) for name in DEMANDS)
    kinds = np.where(analytic, "analytic_cost", np.where(human, "human_rt_s", "neither"))
    status = list(zip(text["status"], numbers["correct"].tolist(), strict=True))
    task, item, of_model = ("task",), ("task", "item"), ("model", "step", "task")
    sample = (*of_model, "item", "sample")

    def filled(name: str) -> list[str]:
        return ["empty" if missing else "given" for missing in np.isnan(numbers[name])]

    named = ["with" if name else "without" for name in text["participant"]]
    units = ["characters" if of == "characters" else "tokens" for of in text["counted_by"]]
    times = np.where(analytic, numbers["analytic_cost"], numbers["human_rt_s"])
    # Columns that group rows, what must be equal within a group, and what is said if it is not.
    # fmt: off
    rules: list[tuple[tuple[str, ...], Sequence | FloatArray, str]] = [
        (task, list(kinds),
         "task '{task}' is given by {here} but by {there} at {place}; use one for a task"),
        (task, text["norms"],
         "norms of task '{task}' are '{here}' but '{there}' at {place}; use one for a task"),
        (task, named,
         "row {here} participant, but task '{task}' has rows {there} at {place}; fill in all"),
        ((*item, "participant"), times,
         "item '{item}' costs people {here} but {there} at {place}; an item has one "
         "human_rt_s or analytic_cost (for each participant, if there is that column)"),
        (item, numbers["human_mean_rt_s"],
         "human_mean_rt_s of item '{item}' is {here} but {there} at {place}; make it equal"),
        (task, filled("human_mean_rt_s"),
         "human_mean_rt_s is {here} but {there} at {place}; give it for all items of a task or "
         "none"),
        (sample, numbers["reasoning_tokens"],
         "a sample has {here} reasoning_tokens but {there} at {place}, for another "
         "participant; make them equal"),
        (sample, status,
         "a sample has status, correct = {here} but {there} at {place}, for another "
         "participant; make them equal"),
        (task, units,
         "costs of task '{task}' are {here} but {there} at {place}; count them all in one unit"),
        (of_model, [name or SPAN for name in text["cost_rule"]],
         "cost_rule of model and task is {here} but {there} at {place}; recompute one of them "
         "with --cost_rule, or make them equal"),
        ((*of_model, "item"), numbers["oracle_tokens"],
         "oracle_tokens of item '{item}' is {here} but {there} at {place}; it is one for an "
         "item, or empty"),
        (of_model, filled("oracle_tokens"),
         "oracle_tokens is {here} but {there} at {place}; give it for all items of a task or "
         "none"),
    ]
    # fmt: on
    belongs = " of item '{item}' is {here} but {there} at {place}; it belongs to the item, so make "
    rules += [(item, numbers[name], f"{name}{belongs}it equal") for name in table.covariates]
    for keys, values, sentence in rules:
        _agree(table, keys, values, sentence)
    _check_units(table)


def _agree(
    table: CostTable, keys: tuple[str, ...], values: Sequence | FloatArray, sentence: str
) -> None:
    """Check that rows that are equal in the key columns have the same value."""
    first = table.first_rows(*keys)
    if isinstance(values, np.ndarray):
        other = values[first]
        differ = ~((values == other) | (np.isnan(values) & np.isnan(other)))
    else:
        numbered: dict = {}
        known = np.array([numbered.setdefault(str(value), len(numbered)) for value in values])
        differ = known != known[first]
    if not differ.any():
        return
    row = int(np.flatnonzero(differ)[0])
    here, there = (
        ("empty" if np.isnan(value) else f"{value:g}") if isinstance(value, float) else str(value)
        for value in (values[row], values[first[row]])
    )
    task, item = table.text["task"][row], table.text["item"][row]
    place = table.places[first[row]]
    said = sentence.format(task=task, item=item, here=here, there=there, place=place)
    raise UserError(f"{table.places[row]}: {said}")


def _check_units(table: CostTable) -> None:
    """Check that sorted response times of one task do not jump by a factor of 100."""
    times = table.numbers["human_rt_s"]
    tasks = table.groups("task")
    for code in np.unique(tasks[np.isfinite(times)]):
        rows = np.flatnonzero((tasks == code) & np.isfinite(times))
        order = rows[np.argsort(times[rows], kind="stable")]
        wide = np.flatnonzero(np.diff(np.log(times[order])) > np.log(100.0))
        if len(wide):
            low, high = order[wide[0]], order[wide[0] + 1]
            raise UserError(
                f"{table.places[high]}: human_rt_s is {times[high]:g}, but the next shorter one "
                f"of task '{table.text['task'][high]}' is {times[low]:g} at {table.places[low]}: "
                "two units in one task? give all of them in seconds"
            )


def status_under(rule: str, status: str, cost: float) -> str:
    """The status of a response whose cost is counted by ``rule``: 'no_reasoning' costs nothing."""
    if rule == RESPONSE and status == "no_reasoning" and cost > 0:
        return "complete"
    if rule == SPAN and status == "complete" and cost == 0:
        return "no_reasoning"
    return status


def with_cost_rule(table: CostTable, rule: str) -> CostTable:
    """The same responses with all costs by one rule: reasoning_tokens with answer_tokens or not."""
    changed = np.array([name or SPAN for name in table.text["cost_rule"]]) != rule
    sign = 1 if rule == RESPONSE else -1
    costs, characters = (
        np.where(changed, spent + sign * table.numbers[f"answer_{unit}"], spent)
        for unit in ("tokens", "characters")
        for spent in [table.numbers[f"reasoning_{unit}"]]
    )
    unknown = np.flatnonzero(np.isnan(costs) | (costs < 0))
    if len(unknown):
        raise UserError(
            f"{table.places[unknown[0]]}: answer_tokens do not give its cost by rule '{rule}'; "
            "fill in that column or leave out --cost_rule"
        )
    statuses = [
        status_under(rule, status, cost) if differs else status
        for status, cost, differs in zip(table.text["status"], costs, changed, strict=True)
    ]
    return replace(
        table,
        text={**table.text, "status": statuses, "cost_rule": [rule] * len(table)},
        numbers={**table.numbers, "reasoning_tokens": costs, "reasoning_characters": characters},
    )
