"""``ITEMS.csv``: what each item costs people, or by analysis; what logs are joined with."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handan.alignment.costs import DEMANDS, STATUSES, table_of_cells
from handan.csv_input import read_cells
from handan.errors import UserError
from handan.files import write_csv
from handan.generation.chat import Count, Unusable
from handan.readers import inspect_ai, lm_eval, openai
from handan.readers.logged import LoggedSample, Options, agreement, cost, load_tokenizer, some

COLUMNS = ("task", "item", *DEMANDS, "human_mean_rt_s", "norms")


class Item(NamedTuple):
    """One row: exactly one of the two demands is not None."""

    task: str
    item: str
    human_rt_s: float | None
    analytic_cost: float | None
    human_mean_rt_s: float | None
    norms: str | None


class Items(NamedTuple):
    """The items by (task, item), the columns they have, and notes."""

    by_name: dict[tuple[str, str], Item]
    columns: list[str]
    notes: list[str]


def read_items(path: Path) -> Items:
    """Read and check one ``ITEMS.csv`` (UTF-8): ``task, item``, a demand; optional others.

    Raises:
        UserError: the file cannot be read or is not such a table.
    """
    header, lines = read_cells(path)
    for name in ("task", "item"):
        if name not in header:
            raise UserError(f"{path}, line 1: no column '{name}'; add it")
    if not set(DEMANDS) & set(header):
        raise UserError(f"{path}, line 1: no column human_rt_s or analytic_cost; add one")
    kept = [place for place, name in enumerate(header) if name in COLUMNS]
    places, rows = zip(*lines, strict=True)
    # As a table of costs of models that spend nothing, its rules hold for the items too.
    cells = [[*(row[place] for place in kept), "0"] for row in rows]
    names = [(row[header.index("task")].strip(), row[header.index("item")].strip()) for row in rows]
    first: dict[tuple[str, str], str] = {}
    for place, key in zip(places, names, strict=True):
        if first.setdefault(key, place) != place:
            raise UserError(f"{place}: same task and item as {first[key]}; remove one")
    table = table_of_cells([*(header[place] for place in kept), "reasoning_tokens"], cells, places)
    human, analytic, arithmetic = (
        [None if np.isnan(value) else float(value) for value in table.numbers[name]]
        for name in (*DEMANDS, "human_mean_rt_s")
    )
    items = {
        name: Item(
            *name, human[row], analytic[row], arithmetic[row], table.text["norms"][row] or None
        )
        for row, name in enumerate(names)
    }
    unknown = [name or "(no name)" for name in header if name not in COLUMNS]
    notes = [f"{path}: ignored other columns: {', '.join(unknown)}"] if unknown else []
    return Items(items, [name for name in COLUMNS if name in header], notes)


# ``handan costs``: logs of other tools, joined with their items, as one ``costs.csv``.

READERS = {"lm_eval": lm_eval.read, "inspect": inspect_ai.read, "openai": openai.read}
SOURCES = ("usage", "retokenized", "characters")
COLUMNS_TABLE = (
    *("model", "task", "item", "sample", "reasoning_tokens", "answer_tokens", "prompt_tokens"),
    *("reasoning_characters", "status", "correct", "counted_by", "human_rt_s"),
)


def write_costs(
    logs: Sequence[Path],
    tool: str,
    items_csv: Path,
    output: Path,
    options: Options,
    tokenizer: str | None,
    characters: bool,
) -> list[str]:
    """Read logs, count, join, write.

    Args:
        logs: files, or folders of lm_eval.
        tool: a key of ``READERS``.
        items_csv: what the items cost people.
        output: the ``costs.csv`` to write.
        options: how to read the logs.
        tokenizer: folder, file or name; None without one.
        characters: count characters instead of tokens.

    Returns:
        What to tell the user: notes, then a line for each model and task.

    Raises:
        UserError: the logs, the items or the options are wrong, or nothing could be joined.
    """
    opening, closing = (tag.strip() for tag in options.tags)
    if not opening or not closing or opening == closing:
        raise UserError("--tags needs two different strings, such as <think> </think>")
    if output.resolve() in {path.resolve() for path in (items_csv, *logs)}:
        raise UserError(f"{output}: is one of the inputs; choose another --output")
    items = read_items(items_csv)
    tokens = load_tokenizer(tokenizer) if tokenizer else None
    samples: list[LoggedSample] = []
    notes = list(items.notes)
    for path in logs:
        log = READERS[tool](path, options)
        samples += log.samples
        notes += log.notes
    _check_unique(samples)
    joined = [sample for sample in samples if (sample.task, sample.item) in items.by_name]
    if not joined:
        raise UserError(
            f"{items_csv}: no item of the logs is in it; the logs have {_example(samples)}, it has "
            f"{_example(items.by_name.values())}"
        )
    joined.sort(key=_order(joined, items))
    joined, rows, uncounted = _counted(joined, items, tokens, characters)
    extra = [
        name for name in ("analytic_cost", "human_mean_rt_s", "norms") if name in items.columns
    ]
    write_csv(output, (*COLUMNS_TABLE, *extra), rows)
    notes += uncounted
    if characters:
        notes.append("reasoning_tokens and answer_tokens hold characters, not tokens")
    if tokenizer and not any(row["counted_by"] == "retokenized" for row in rows):
        notes.append("--tokenizer changes nothing: every response has a count of its own")
    if compared := agreement(joined, rows):
        notes.append(compared)
    return notes + _summary(samples, rows, items)


def _check_unique(samples: Iterable[LoggedSample]) -> None:
    seen: dict[tuple, str] = {}
    for sample in samples:
        key = (sample.model, sample.task, sample.item, sample.sample)
        if key in seen:
            raise UserError(
                f"{sample.place}: same model, task, item and sample as {seen[key]}; leave one out, "
                "or tell them apart by --model or the sample's number"
            )
        seen[key] = sample.place


def _order(samples: list[LoggedSample], items: Items) -> Callable[[LoggedSample], tuple]:
    """By model, by item as in ITEMS.csv, by sample: tools log in the order of completion."""
    models = list(dict.fromkeys(sample.model for sample in samples))
    places = {name: index for index, name in enumerate(items.by_name)}

    def key(sample: LoggedSample) -> tuple:
        place = places[sample.task, sample.item]
        return models.index(sample.model), place, len(sample.sample), sample.sample

    return key


def _example(rows: Iterable) -> str:
    row = next(iter(rows), None)
    return f"task '{some([row.task])}', item '{some([row.item])}'" if row else "no samples"


def _counted(
    samples: Sequence[LoggedSample], items: Items, tokens: Count | None, characters: bool
) -> tuple[list[LoggedSample], list[dict], list[str]]:
    """Samples that can be counted, their rows, and a note on the others.

    Raises:
        UserError: none can be counted.
    """
    kept, rows, uncounted = [], [], []
    why = ""
    for sample in samples:
        try:
            rows.append(_row(sample, items, tokens, characters))
            kept.append(sample)
        except Unusable as error:
            why = why or str(error)
            uncounted.append(f"{sample.task}, {sample.item}, sample {sample.sample}")
    if not uncounted:
        return kept, rows, []
    told = (
        f"left out {len(uncounted)} of {len(samples)} responses, which cannot be counted: "
        f"{some(uncounted)} (of the first, {why})"
    )
    if not kept:
        raise UserError(told)
    return kept, rows, [told]


def _row(sample: LoggedSample, items: Items, tokens: Count | None, characters: bool) -> dict:
    item = items.by_name[sample.task, sample.item]
    return {
        "model": sample.model,
        "task": sample.task,
        "item": sample.item,
        "sample": sample.sample,
        **cost(sample, tokens, characters),
        "correct": sample.correct,
        "human_rt_s": item.human_rt_s,
        "analytic_cost": item.analytic_cost,
        "human_mean_rt_s": item.human_mean_rt_s,
        "norms": item.norms,
    }


def _summary(samples: list[LoggedSample], rows: list[dict], items: Items) -> list[str]:
    """A line for each model and each task of the logs or the items."""
    tasks = dict.fromkeys([*(s.task for s in samples), *(task for task, _ in items.by_name)])
    return [
        _line(
            model,
            task,
            [s.item for s in samples if (s.model, s.task) == (model, task)],
            [row for row in rows if (row["model"], row["task"]) == (model, task)],
            dict.fromkeys(item for other, item in items.by_name if other == task),
        )
        for model in dict.fromkeys(sample.model for sample in samples)
        for task in tasks
    ]


def _line(
    model: str, task: str, logged: list[str], rows: list[dict], known: dict[str, None]
) -> str:
    parts = [f"{model}, {task}: {len(rows)} rows"]
    for column, words in (("counted_by", SOURCES), ("status", STATUSES)):
        counts = Counter(row[column] for row in rows)
        if rows:
            parts.append(", ".join(f"{counts[word]} {word}" for word in words if counts[word]))
    if len({row["counted_by"] for row in rows}) > 1:
        parts.append("counts of different sources do not compare")
    asked = set(logged)
    left_out = [item for item in logged if item not in known]
    if left_out:
        names = some(list(dict.fromkeys(left_out)))
        parts.append(
            f"left out {len(left_out)} samples of items without a row in ITEMS.csv: {names}"
        )
    unasked = [item for item in known if item not in asked]
    if unasked:
        parts.append(f"{len(unasked)} of {len(known)} items without a sample: {some(unasked)}")
    return "; ".join(parts)
