"""``handan costs``: logs of other tools and what items cost people, as one ``costs.csv``."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from handan.alignment.costs import DEMANDS, STATUSES, table_of_cells
from handan.errors import UserError
from handan.files import write_csv
from handan.generation.chat import Unusable
from handan.inputs import read_cells
from handan.readers import chat_api, inspect_ai, lighteval, lm_eval
from handan.readers.logged import (
    ITEM_COLUMNS,
    LoggedSample,
    Options,
    agreement,
    cost,
    load_tokenizer,
    some,
)

READERS = {
    "lm_eval": lm_eval.read, "lighteval": lighteval.read, "inspect": inspect_ai.read,
    "openai": chat_api.read, "anthropic": chat_api.read,
}  # fmt: skip
COLUMNS = (
    *("model", "task", "item", "sample", "reasoning_tokens", "answer_tokens", "prompt_tokens"),
    *("reasoning_characters", "status", "correct", "counted_by", "human_rt_s"),
)

# What an item costs people, or by analysis, by (task, item); a cell is None where it is empty.
Items = dict[tuple[str, str], dict[str, float | str | None]]


def read_items(path: Path) -> tuple[Items, list[str]]:
    """Read ``ITEMS.csv``: ``task,item``, a demand, and perhaps other columns of ``costs.csv``."""
    header, lines = read_cells(path)
    for name in ("task", "item"):
        if name not in header:
            raise UserError(f"{path}, line 1: no column '{name}'; add it")
    if not set(DEMANDS) & set(header):
        raise UserError(f"{path}, line 1: no column human_rt_s or analytic_cost; add one")
    kept = [place for place, name in enumerate(header) if name in ITEM_COLUMNS]
    rows = [(place, [cells[column] for column in kept]) for place, cells in lines]
    unknown = [name or "(no name)" for name in header if name not in ITEM_COLUMNS]
    notes = [f"{path}: ignored other columns: {', '.join(unknown)}"] if unknown else []
    return _items([header[column] for column in kept], rows), notes


def _items(header: list[str], lines: list[tuple[str, list[str]]]) -> Items:
    places, rows = zip(*lines, strict=True)
    names = [(row[header.index("task")].strip(), row[header.index("item")].strip()) for row in rows]
    _check_unique(zip(names, places, strict=True), "same task and item as", "remove one")
    # As a table of costs of models that spend nothing, its rules hold for the items too.
    table = table_of_cells([*header, "reasoning_tokens"], [[*row, "0"] for row in rows], places)
    columns: dict[str, Sequence[float | str | None]] = {
        name: [None if np.isnan(value) else float(value) for value in table.numbers[name]]
        for name in (*DEMANDS, "human_mean_rt_s")
    }
    columns["norms"] = [source or None for source in table.text["norms"]]
    there = [name for name in columns if name in header or name == "human_rt_s"]
    return {name: {of: columns[of][row] for of in there} for row, name in enumerate(names)}


def _check_unique(named: Iterable[tuple[tuple[str, ...], str]], what: str, cure: str) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for name, place in named:
        if seen.setdefault(name, place) != place:
            raise UserError(f"{place}: {what} {seen[name]}; {cure}")


def write_costs(
    logs: Sequence[Path],
    tool: str,
    items_csv: Path | None,
    output: Path,
    options: Options,
    tokenizer: str | None,
    characters: bool,
) -> list[str]:
    """Read logs by one of ``READERS``, count, join with items, write; return notes for the user."""
    opening, closing = ((tag or "").strip() for tag in (options.tags.open, options.tags.close))
    if not opening or not closing or opening == closing:
        raise UserError("--tags needs two different strings, such as <think> </think>")
    if output.resolve() in {path.resolve() for path in (items_csv, *logs) if path is not None}:
        raise UserError(f"{output}: is one of the inputs; choose another --output")
    items, notes = read_items(items_csv) if items_csv is not None else ({}, [])
    tokens = load_tokenizer(tokenizer) if tokenizer else None
    samples: list[LoggedSample] = []
    logged_items: dict[tuple[str, ...], str] = {}
    for path in logs:
        log = READERS[tool](path, options)
        samples += log.samples
        notes += log.notes
        logged_items |= log.items
    if items_csv is None:
        if not logged_items:
            raise UserError(f"{logs[0]}: does not say what items cost people; name it with --items")
        items = _items(list(ITEM_COLUMNS), [(at, list(row)) for row, at in logged_items.items()])
    _check_unique(
        (((s.model, s.task, s.item, s.sample), s.place) for s in samples),
        "same model, task, item and sample as",
        "leave one out, or tell them apart by --model or the sample's number",
    )
    joined = [sample for sample in samples if (sample.task, sample.item) in items]
    if not joined:
        logged = [(sample.task, sample.item) for sample in samples]
        raise UserError(
            f"{items_csv or logs[0]}: no item of the logs is in it; the logs have "
            f"{_example(logged)}, it has {_example(items)}"
        )
    # By model, by item as in ITEMS.csv, by sample: tools log in the order of completion.
    models = list(dict.fromkeys(sample.model for sample in joined))
    place = {name: index for index, name in enumerate(items)}
    joined.sort(
        key=lambda s: (models.index(s.model), place[s.task, s.item], len(s.sample), s.sample)
    )
    counted, rows, uncounted, why = [], [], [], ""
    for sample in joined:
        names = {name: getattr(sample, name) for name in ("model", "task", "item", "sample")}
        try:
            row = cost(sample, tokens, characters)
        except Unusable as error:
            why = why or str(error)
            uncounted.append(f"{sample.task}, {sample.item}, sample {sample.sample}")
            continue
        counted.append(sample)
        rows.append(names | row | {"correct": sample.correct} | items[sample.task, sample.item])
    if uncounted:
        notes.append(
            f"left out {len(uncounted)} of {len(joined)} responses, which cannot be counted: "
            f"{some(uncounted)} (of the first, {why})"
        )
    if not rows:
        raise UserError(notes[-1])
    write_csv(output, tuple(dict.fromkeys((*COLUMNS, *next(iter(items.values()))))), rows)
    if characters:
        notes.append("reasoning_tokens and answer_tokens hold characters, not tokens")
    if tokenizer and not any(row["counted_by"] == "retokenized" for row in rows):
        notes.append("--tokenizer changes nothing: every response has a count of its own")
    tasks = dict.fromkeys([*(sample.task for sample in samples), *(task for task, _ in items)])
    notes += agreement(counted, rows)
    for of in product(dict.fromkeys(sample.model for sample in samples), tasks):
        asked = [s.item for s in samples if (s.model, s.task) == of]
        own_rows = [row for row in rows if (row["model"], row["task"]) == of]
        known = [item for task, item in items if task == of[1]]
        notes.append(_summary(", ".join(of), asked, own_rows, known))
    return notes


def _example(names: Iterable[tuple[str, str]]) -> str:
    first = next(iter(names), None)
    return f"task '{some([first[0]])}', item '{some([first[1]])}'" if first else "no samples"


def _summary(name: str, logged: list[str], rows: list[dict], known: list[str]) -> str:
    parts, sources = [f"{name}: {len(rows)} rows"], ("usage", "retokenized", "characters")
    for column, words in (("counted_by", sources), ("status", STATUSES)):
        counts = Counter(row[column] for row in rows)
        if rows:
            parts.append(", ".join(f"{counts[word]} {word}" for word in words if counts[word]))
    if len({row["counted_by"] for row in rows}) > 1:
        parts.append("counts of different sources do not compare")
    with_row, asked = set(known), set(logged)
    if left_out := [item for item in logged if item not in with_row]:
        told = f"left out {len(left_out)} samples of items without a row in ITEMS.csv"
        parts.append(f"{told}: {some(list(dict.fromkeys(left_out)))}")
    if unasked := [item for item in known if item not in asked]:
        parts.append(f"{len(unasked)} of {len(known)} items without a sample: {some(unasked)}")
    return "; ".join(parts)
