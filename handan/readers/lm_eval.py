"""Samples of lm-evaluation-harness (``--log_samples``), a line for each document and filter."""

import contextlib
import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.generation import chat
from handan.generation.chat import UNCOUNTED, Said
from handan.inputs import at, expect, field, json_lines, json_object, name, part, read_bytes
from handan.readers.logged import (
    ITEM_CURE,
    Collected,
    Log,
    LoggedSample,
    NoText,
    Options,
    read_files,
    some,
)

_NAME = re.compile(r"samples_(?P<task>.+?)(_(?P<date>\d{4}-\d\d-\d\dT[\d.+-]+))?\.jsonl", re.ASCII)
_CURE = (
    "lm-evaluation-harness drops it when think_end_token is set, and a server with a reasoning "
    "parser never sends it: run it again without"
)
_NO_METRICS = (
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter"),
    *("doc_hash", "prompt_hash", "target_hash"),
)
_NO_TEXT = "no generated text in 'resps'; only tasks of type generate_until reason"


def read(path: Path, options: Options) -> Log:
    """Read one file of samples, or all of a results folder and its subfolders."""
    return read_files(
        path, "samples_*.jsonl", "run lm_eval with --log_samples", _read_file, options
    )


def _read_file(path: Path, options: Options) -> Log:
    rows = list(json_lines(path))
    responses = [_flat(row["resps"]) if "resps" in row else [""] for _, row in rows]
    # A null may stand for one response.
    if not any(isinstance(one, str | dict) for one in chain(*responses)):
        raise NoText(f"{rows[0][0]}: {_NO_TEXT}")
    model, task = _model_and_task(path, options)
    metric, rows = _one_filter(path, rows, options.metric)
    doc = rows[0][1].get("doc")
    fields = [key for key in ("item", "id") if isinstance(doc, dict) and key in doc]
    item_field = options.item_field or (f"doc.{fields[0]}" if fields else "doc_id")
    collected = Collected(path, "responses", options)
    for place, row in rows:
        with at(place):
            item = name(item_field, field(row, item_field, ITEM_CURE))
            generated = _flat(field(row, "resps")) or [[]]
        right = _correct(place, row, metric, item, collected)
        prompt = _prompt(row)
        opens = None if prompt is None else prompt.endswith(str(options.tags.open))
        for number, response in enumerate(generated):
            try:
                said = _said(response)
            except UserError as error:
                collected.leave_out(f"{item}, sample {number}", error)
                continue
            names = (place, model, task, item, str(number))
            collected.samples.append(LoggedSample(*names, UNCOUNTED, said, right[number], opens))
    log = collected.log(_CURE, tells_end=False)
    if item_field == "doc_id" and not options.item_field:
        log.notes.append(f"{path}: items are named by doc_id, for want of doc.item and doc.id")
    ungraded = sum(sample.correct is None for sample in log.samples)
    if ungraded and metric != "none":
        log.notes.append(
            f"{path}: {ungraded} of {len(log.samples)} responses have no '{metric}' of their own: "
            "their 'correct' is empty"
        )
    return log


def _model_and_task(path: Path, options: Options) -> tuple[str, str]:
    """Tell them from the name of the file and the results beside it."""
    match = _NAME.fullmatch(path.name)
    date = match["date"] if match else None
    found = sorted(path.parent.glob(f"*_{date}.json" if date else "results_*.json"))
    place = str(found[0]) if found else ""
    results = json_object(place, read_bytes(found[0])) if len(found) == 1 else {}
    with at(place):
        configs = part(results, "configs", dict)
    task = match["task"] if match else next(iter(configs), None)
    if task is None or (match is None and len(configs) > 1):
        raise UserError(f"{path}: cannot tell its task; name the file samples_TASK.jsonl")
    if options.model:
        return options.model, task
    if "model_name" not in results:
        raise UserError(f"{path}: no results_*.json of the same date names the model; use --model")
    with at(place):
        return name("model_name", results["model_name"]), task


def _one_filter(
    path: Path, rows: list[tuple[str, dict]], metric: str | None
) -> tuple[str, list[tuple[str, dict]]]:
    """Choose the metric and the lines of one filter by NAME, or NAME,FILTER for several."""
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for _, row in rows))
    asked, _, wanted = (metric or "").partition(",")
    if metric == "none" or len(filters) == 1:
        wanted = filters[0]
    if wanted not in filters:
        what = f"no filter '{wanted}'" if wanted else "several filters"
        raise UserError(f"{path}: {what}; choose one with --metric METRIC,FILTER: {some(filters)}")
    kept = [(place, row) for place, row in rows if str(row.get("filter", "none")) == wanted]
    if asked == "none" or any(asked in row for _, row in kept):
        return asked, kept
    place, row = kept[0]
    # Older versions do not list the metrics beside their values.
    names = [key for key in row if key not in _NO_METRICS]
    if "metrics" in row:
        with at(place):
            names = [str(value) for value in expect("metrics", row["metrics"], list)]
    if asked:
        raise UserError(f"{place}: no metric '{asked}'; the line has: {some(names)}")
    if len(names) != 1:
        found = some(names) or "no list of metrics"
        raise UserError(f"{place}: choose what is correct with --metric, or 'none': {found}")
    return names[0], kept


def _flat(requests: object) -> list:
    """Return the responses to the one request of a document, one for each repeat."""
    if not isinstance(requests, list) or len(requests) != 1:
        return []
    return requests[0] if isinstance(requests[0], list) else requests


def _said(response: object) -> Said:
    if response is None:
        raise UserError("null in the place of a response")
    if not isinstance(response, str | dict):
        raise UserError(_NO_TEXT)
    if isinstance(response, str) or "content" not in response:
        response = {"content": response}
    return Said(*chat.read_message(response))


def _prompt(row: dict) -> str | None:
    """Return the prompt in its chat template, or a last message that the model goes on from."""
    # A server applies the template itself: it is sent messages, logged as a list or as JSON.
    value: Any = row.get("arguments")
    while isinstance(value, list | dict) and value and not _is_message(value):
        keys = [key for key in ("gen_args_0", "arg_0") if key in value]
        if isinstance(value, list):
            value = value[-1] if all(map(_is_message, value)) else value[0]
        else:
            value = value[keys[0]] if keys else None
        if isinstance(value, str) and value.lstrip().startswith('[{"'):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(value)
    if _is_message(value):
        ends = value.get("role") == "assistant" and isinstance(value.get("content"), str)
        return value["content"].rstrip() if ends else None
    return value.rstrip() if isinstance(value, str) else None


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and "role" in value


def _correct(place: str, row: dict, metric: str, item: str, of: Collected) -> list[bool | None]:
    """Tell right from wrong by a score for each response, or for the one that a filter chose."""
    responses = _flat(row["resps"]) or [None]
    if metric == "none":
        return [None] * len(responses)
    value, what = row.get(metric), f"metric {metric}"
    if isinstance(value, list) and len(value) == len(responses):
        return [of.score(f"{item}, sample {n}", place, what, one) for n, one in enumerate(value)]
    right = of.score(item, place, what, value)
    filtered = row.get("filtered_resps")
    graded = filtered[0] if isinstance(filtered, list) and filtered else None
    return [right if len(responses) == 1 or one == graded else None for one in responses]
