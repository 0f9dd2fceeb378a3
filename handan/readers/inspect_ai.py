"""Logs of inspect_ai: ``.eval`` (a zip of JSON) and ``.json``.

An ``.eval`` holds ``header.json`` once it is finished, ``_journal/start.json`` from its start, and
``samples/<id>_epoch_<n>.json``; a ``.json`` is the header with a list of the same samples in it.
Attachments, events and messages of the prompt are not needed: what a model said is in ``output``.
"""

from pathlib import Path
from typing import NamedTuple

from handan.errors import UserError
from handan.readers import checks, logged, spans, zipped
from handan.readers.logged import Log, LoggedSample, Options

_CURE = "ask the provider for it"
_GRADES = {"C": 1, "I": 0, "N": 0, "P": None}  # correct, incorrect, no answer, partial


class _Choice(NamedTuple):
    """One response: its text, its reasoning ('' if none is set apart, None if hidden), its end."""

    text: str
    thought: str | None
    finish: str | None


def read(path: Path, options: Options) -> Log:
    """Read one log.

    Raises:
        UserError: the file is not what it should be, or the options do not fit it.
    """
    header, rows = _header_and_samples(path)
    spec = checks.table(str(path), "eval", checks.get(str(path), header, "eval"))
    model = options.model or checks.name(str(path), "eval.model", spec.get("model"))
    task = checks.name(str(path), "eval.task", spec.get("task"))
    responses: list[tuple[str, dict, list[_Choice]]] = []
    left_out: dict[str, list[str]] = {}
    for place, row in rows:
        choices = _choices(place, row)
        if why := _unusable(row, choices):
            left_out.setdefault(why, []).append(f"{row.get('id')} (epoch {row.get('epoch')})")
        else:
            responses.append((place, row, choices))
    plain = [c.text for _, _, choices in responses for c in choices if c.thought == ""]
    opened = spans.opened_by_prompt(plain, options.tags)
    samples = []
    for place, row, choices in responses:
        samples += _samples(place, row, choices, model, task, opened, options)
    logged.check_reasoning(path, samples, options, _CURE)
    notes = [
        f"{path}: left out {len(names)} of {len(rows)} samples, {why}: {logged.some(names)}"
        for why, names in left_out.items()
    ]
    if header.get("status") != "success":
        status = checks.text(str(path), "status", header.get("status"))
        notes.append(f"{path}: the evaluation did not finish, its status is '{status}'")
    return Log(samples, notes + logged.unclosed_note(path, samples))


def _header_and_samples(path: Path) -> tuple[dict, list[tuple[str, dict]]]:
    """The log's header, and each sample with its place."""
    if path.suffix != ".eval":
        header = checks.json_object(str(path), checks.read_bytes(path))
        rows = checks.listed(str(path), "samples", header.get("samples") or [])
        found = {f"samples[{number}]": row for number, row in enumerate(rows)}
    else:
        members = zipped.read_members(
            path,
            lambda name: (
                name in ("header.json", "_journal/start.json") or name.startswith("samples/")
            ),
        )
        found = {
            name: checks.json_object(f"{path}, {name}", content)
            for name, content in members.items()
        }
        start = found.pop("_journal/start.json", {}) | {"status": "started"}
        header = found.pop("header.json", start)
    if not found:
        raise UserError(f"{path}: no samples; is it a log of inspect_ai, with --log-samples?")
    rows = [(f"{path}, {name}", row) for name, row in found.items()]
    return header, [(place, checks.table(place, "a sample", row)) for place, row in rows]


def _choices(place: str, row: dict) -> list[_Choice]:
    """What the model said in its last turn; nothing where an error came before."""
    output = checks.table(place, "output", row.get("output") or {})
    choices = []
    for choice in checks.listed(place, "output.choices", output.get("choices") or []):
        choice = checks.table(place, "a choice", choice)
        message = checks.table(place, "message", checks.get(place, choice, "message"))
        finish = checks.text(place, "stop_reason", choice.get("stop_reason")) or "unknown"
        text, thought = _content(place, message.get("content"))
        choices.append(_Choice(text, thought, None if finish == "unknown" else finish))
    return choices


def _content(place: str, content: object) -> tuple[str, str | None]:
    """Text and reasoning of a message."""
    if not isinstance(content, list):
        return checks.text(place, "content", content), ""
    texts, thoughts, hidden = [], [], False
    for block in content:
        block = checks.table(place, "a block of content", block)
        if block.get("type") == "text":
            texts.append(checks.text(place, "text", block.get("text")))
        elif block.get("type") == "reasoning":
            thought = checks.text(place, "reasoning", block.get("reasoning"))
            hidden = hidden or bool(block.get("redacted")) or not thought.strip()
            thoughts.append(thought)
    return "".join(texts), None if hidden else "".join(thoughts)


def _unusable(row: dict, choices: list[_Choice]) -> str | None:
    """Why a sample is left out, if it is."""
    messages = row.get("messages")
    generated = [
        message
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict) and message.get("source") == "generate"
    ]
    if row.get("error") is not None:
        return "ended by an error"
    if len(generated) > 1:
        return "of several turns, where usage is that of the last one"
    return None if choices else "without a response"


def _samples(
    place: str,
    row: dict,
    choices: list[_Choice],
    model: str,
    task: str,
    opened_by_prompt: bool,
    options: Options,
) -> list[LoggedSample]:
    """The responses of one epoch of one sample; usage is the sum over them."""
    item_field = options.item_field or "id"
    epoch = checks.name(place, "epoch", checks.get(place, row, "epoch"))
    usage = checks.table(place, "usage", row["output"].get("usage") or {})
    if len(choices) > 1:
        usage = {}
    names = ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")
    parts = [checks.count(place, name, usage.get(name)) for name in names]
    prompt = None if parts[0] is None else sum(part or 0 for part in parts)
    reasoning, completion, total = (
        checks.count(place, name, usage.get(name))
        for name in ("reasoning_tokens", "output_tokens", "total_tokens")
    )
    return [
        LoggedSample(
            place=place,
            model=model,
            task=task,
            item=checks.name(place, item_field, checks.dotted(place, row, item_field)),
            sample=epoch if len(choices) == 1 else f"{epoch}.{number}",
            prompt_tokens=prompt,
            reasoning_tokens=reasoning,
            answer_tokens=logged.answer_tokens(place, prompt, reasoning, completion, total),
            completion_tokens=completion,
            said=spans.split(choice.text, options.tags, opened_by_prompt)
            if choice.thought == ""
            else spans.apart(choice.thought, choice.text),
            finish=choice.finish,
            correct=_correct(place, row, options.metric),
        )
        for number, choice in enumerate(choices)
    ]


def _correct(place: str, row: dict, metric: str | None) -> bool | None:
    scores = checks.table(place, "scores", row.get("scores") or {})
    if not scores or metric == "none":
        return None
    if metric is None and len(scores) == 1:
        (metric,) = scores
    if metric not in scores:
        what = f"no score '{metric}'" if metric else "several scores"
        raise UserError(
            f"{place}: {what}; choose one with --metric, or 'none': {logged.some(list(scores))}"
        )
    value = checks.table(place, f"score {metric}", scores[metric]).get("value")
    grade = _GRADES.get(value, value) if isinstance(value, str) else value
    return checks.correct(place, f"score {metric}", grade)
