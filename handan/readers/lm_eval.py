"""Samples of lm-evaluation-harness, as it writes them with ``--log_samples``.

A file ``samples_<task>_<date>.jsonl`` has one line a document and filter, with the responses as
text; ``results_<date>.json`` beside it names the model. There are no counts of tokens and no reason
why generation ended. A task with several filters repeats its documents: one filter is read.
"""

import re
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.readers import checks, logged, spans
from handan.readers.logged import Log, LoggedSample, Options

_NAME = re.compile(r"samples_(?P<task>.+?)(_(?P<date>\d{4}-\d\d-\d\dT[\d.+-]+))?\.jsonl", re.ASCII)
_CURE = (
    "lm-evaluation-harness drops it when think_end_token is set, and a server with a reasoning "
    "parser never sends it: run it again without"
)


def read(path: Path, options: Options) -> Log:
    """Read one file of samples, or all of a results folder and its subfolders.

    Raises:
        UserError: a file is not what it should be, or the options do not fit it.
    """
    if not path.is_dir():
        return _read_file(path, options)
    files = sorted(path.rglob("samples_*.jsonl"))
    if not files:
        raise UserError(
            f"{path}: no samples_*.jsonl in this folder; run lm_eval with --log_samples"
        )
    logs = [_read_file(file, options) for file in files]
    return Log([s for log in logs for s in log.samples], [n for log in logs for n in log.notes])


def _read_file(path: Path, options: Options) -> Log:
    rows = list(checks.json_lines(path))
    model, task = _model_and_task(path, options)
    metric, rows = _one_filter(path, rows, options.metric)
    item_field = options.item_field or _item_field(rows[0][1])
    responses = [(place, row, _responses(place, row)) for place, row in rows]
    texts = [text for _, _, texts in responses for text in texts]
    prompt_opens = spans.opened_by_prompt(texts, options.tags)
    closes = any(options.tags.close in text for text in texts)
    samples = []
    for place, row, texts in responses:
        item = checks.name(place, item_field, checks.dotted(place, row, item_field))
        prompt = _prompt(row)
        # Where nothing closes a span, reasoning was taken off, whatever the prompt opened.
        opened = prompt_opens if prompt is None else closes and prompt.endswith(options.tags.open)
        right = _correct(place, row, metric)
        for number, text in enumerate(texts):
            samples.append(
                LoggedSample(
                    place=place,
                    model=model,
                    task=task,
                    item=item,
                    sample=str(number),
                    prompt_tokens=None,
                    reasoning_tokens=None,
                    answer_tokens=None,
                    completion_tokens=None,
                    said=spans.split(text, options.tags, opened),
                    finish=None,
                    correct=right if len(texts) == 1 or text == _graded(row) else None,
                )
            )
    logged.check_reasoning(path, samples, options, _CURE)
    notes = []
    if item_field == "doc_id" and not options.item_field:
        notes.append(f"{path}: items are named by doc_id, for want of doc.item and doc.id")
    ungraded = sum(sample.correct is None for sample in samples)
    if ungraded and metric != "none":
        notes.append(
            f"{path}: {ungraded} of {len(samples)} responses have no '{metric}' of their own: "
            "their 'correct' is empty"
        )
    if all(_prompt(row) is None for _, row in rows):
        notes += logged.unclosed_note(path, samples)
    return Log(samples, notes)


def _model_and_task(path: Path, options: Options) -> tuple[str, str]:
    """From the name of the file and the results beside it."""
    match = _NAME.fullmatch(path.name)
    date = match["date"] if match else None
    found = sorted(path.parent.glob(f"*_{date}.json" if date else "results_*.json"))
    results: dict[str, Any] = {}
    configs: dict[str, Any] = {}
    if len(found) == 1:
        results = checks.json_object(str(found[0]), checks.read_bytes(found[0]))
        configs = checks.table(str(found[0]), "configs", results.get("configs") or {})
    task = match["task"] if match else next(iter(configs), None)
    if task is None or (match is None and len(configs) > 1):
        raise UserError(f"{path}: cannot tell its task; name the file samples_TASK.jsonl")
    if options.model:
        return options.model, task
    if "model_name" not in results:
        raise UserError(f"{path}: no results_*.json of the same date names the model; use --model")
    return checks.name(str(found[0]), "model_name", results["model_name"]), task


def _one_filter(
    path: Path, rows: list[tuple[str, dict]], metric: str | None
) -> tuple[str, list[tuple[str, dict]]]:
    """The metric and the lines of one filter; ``metric`` is NAME or NAME,FILTER.

    FILTER chooses where there are several, so that one command can read a whole folder.
    """
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for _, row in rows))
    name, _, wanted = (metric or "").partition(",")
    if metric == "none" or len(filters) == 1:
        wanted = filters[0]
    if wanted not in filters:
        what = f"no filter '{wanted}'" if wanted else "several filters"
        raise UserError(
            f"{path}: {what}; choose one with --metric METRIC,FILTER: {logged.some(filters)}"
        )
    kept = [(place, row) for place, row in rows if str(row.get("filter", "none")) == wanted]
    if name:
        return name, kept
    place, row = kept[0]
    names = [str(value) for value in checks.listed(place, "metrics", row.get("metrics", []))]
    if len(names) != 1:
        found = logged.some(names) or "no list of metrics"
        raise UserError(f"{place}: choose what is correct with --metric, or 'none': {found}")
    return names[0], kept


def _item_field(row: dict) -> str:
    doc = row.get("doc")
    fields = [name for name in ("item", "id") if isinstance(doc, dict) and name in doc]
    return f"doc.{fields[0]}" if fields else "doc_id"


def _responses(place: str, row: dict) -> list[str]:
    """The texts of a document: one request, as often as the task's ``repeats``."""
    requests = checks.listed(place, "resps", checks.get(place, row, "resps"))
    texts = checks.listed(place, "resps[0]", requests[0]) if len(requests) == 1 else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"{place}: no generated text in 'resps'; only tasks of type generate_until reason"
        )
    return [checks.text(place, "resps", text) for text in texts]


def _prompt(row: dict) -> str | None:
    """The prompt with the chat template applied; None if a server applied it."""
    value: Any = row.get("arguments")
    for key in ("gen_args_0", "arg_0"):
        value = value.get(key) if isinstance(value, dict) else None
    return value.rstrip() if isinstance(value, str) else None


def _graded(row: dict) -> object:
    """What the metric saw, when a filter chose one of several responses."""
    filtered = row.get("filtered_resps")
    return filtered[0] if isinstance(filtered, list) and filtered else None


def _correct(place: str, row: dict, metric: str) -> bool | None:
    if metric == "none":
        return None
    if metric not in row:
        known = [str(value) for value in checks.listed(place, "metrics", row.get("metrics", []))]
        raise UserError(f"{place}: no metric '{metric}'; the line has: {logged.some(known)}")
    return checks.correct(place, f"metric {metric}", row[metric])
