"""Logs of inspect_ai: ``.eval`` (a zip of JSON) and ``.json``.

An ``.eval`` holds ``header.json`` once it is finished, ``_journal/start.json`` from its start, and
``samples/<id>_epoch_<n>.json``; a ``.json`` is the header with a list of the same samples in it.
Attachments, events and messages of the prompt are not needed: what a model said is in ``output``.
"""

from pathlib import Path

from handan import chat
from handan.chat import Said, Usage
from handan.errors import UserError
from handan.readers import checks, logged, spans, zipped
from handan.readers.logged import Log, LoggedSample, Options

_CURE = "ask the provider for it"
_GRADES = {"C": 1, "I": 0, "N": 0}  # correct, incorrect, no answer; P is partial


def read(path: Path, options: Options) -> Log:
    """Read one log.

    Raises:
        UserError: the file is not what it should be, or the options do not fit it.
    """
    header, rows = _header_and_samples(path)
    spec = checks.table(str(path), "eval", checks.get(str(path), header, "eval"))
    model = options.model or checks.name(str(path), "eval.model", spec.get("model"))
    task = checks.name(str(path), "eval.task", spec.get("task"))
    # What this provider of inspect_ai counts as output includes the padding of a batch.
    padded = checks.text(str(path), "eval.model", spec.get("model")).startswith("hf/")
    responses: list[tuple[str, dict, Usage, list[Said]]] = []
    left_out = logged.LeftOut(path, "samples")
    for place, row in rows:
        name = f"{row.get('id')} (epoch {row.get('epoch')})"
        try:
            usage = _usage(place, row, padded)
            responses.append((place, row, usage, _said(place, row, usage)))
        except UserError as error:
            left_out.add(name, place, error)
    left_out.refuse_if_all(len(responses))
    plain = [said.text for *_, choices in responses for said in choices if said.reasoning == ""]
    opened = spans.opened_by_prompt(plain, options.tags)
    scores = logged.Scores(path)
    samples = []
    for place, row, usage, choices in responses:
        samples += _samples(place, row, usage, choices, (model, task), opened, options, scores)
    logged.check_reasoning(path, samples, options, _CURE)
    notes = left_out.notes(len(responses))
    notes += scores.notes()
    if header.get("status") != "success":
        status = checks.text(str(path), "status", header.get("status"))
        notes.append(f"{path}: the evaluation did not finish, its status is '{status}'")
    notes += logged.unknown_end_note(path, samples)
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


def _said(place: str, row: dict, usage: Usage) -> list[Said]:
    """What the model said in its last turn.

    Raises:
        UserError: the sample is not one response, or has none that can be used.
    """
    messages = row.get("messages")
    generated = [
        message
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict) and message.get("source") == "generate"
    ]
    if row.get("error") is not None:
        raise UserError("ended by an error")
    if len(generated) > 1:
        raise UserError("of several turns, where usage is that of the last one")
    output = checks.table(place, "output", row.get("output") or {})
    choices = checks.listed(place, "output.choices", output.get("choices") or [])
    if not choices:
        raise UserError("without a response")
    return [_choice(checks.table(place, "a choice", choice), usage) for choice in choices]


def _choice(choice: dict, usage: Usage) -> Said:
    """A choice, whose fields are those of a chat completion but for the name of its end."""
    word = choice.get("stop_reason")
    return chat.said_by(choice | {"finish_reason": None if word == "unknown" else word}, usage)


def _usage(place: str, row: dict, padded: bool) -> Usage:
    """The counts of a sample; of several choices they are the sum, which belongs to none."""
    output = checks.table(place, "output", row.get("output") or {})
    usage = checks.table(place, "usage", output.get("usage") or {})
    names = ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")
    parts = [checks.count(place, name, usage.get(name)) for name in names]
    prompt = None if parts[0] is None else sum(part or 0 for part in parts)
    reasoning, completion, total = (
        checks.count(place, name, usage.get(name))
        for name in ("reasoning_tokens", "output_tokens", "total_tokens")
    )
    several = len(checks.listed(place, "output.choices", output.get("choices") or [])) > 1
    if several or padded:
        return Usage(prompt=prompt)
    return chat.counted(prompt, completion, reasoning, total)


def _samples(
    place: str,
    row: dict,
    usage: Usage,
    choices: list[Said],
    names: tuple[str, str],
    opened_by_prompt: bool,
    options: Options,
    scores: logged.Scores,
) -> list[LoggedSample]:
    """The responses of one epoch of one sample."""
    item_field = options.item_field or "id"
    item = checks.name(place, item_field, checks.dotted(place, row, item_field))
    epoch = checks.name(place, "epoch", checks.get(place, row, "epoch"))
    correct = _correct(place, row, options.metric, f"{item} (epoch {epoch})", scores)
    return [
        LoggedSample(
            place=place,
            model=names[0],
            task=names[1],
            item=item,
            sample=epoch if len(choices) == 1 else f"{epoch}.{number}",
            usage=usage,
            said=spans.split(said.text, options.tags, opened_by_prompt)
            if said.reasoning == ""
            else spans.apart(said.reasoning, said.text),
            finish=said.finish,
            correct=correct,
        )
        for number, said in enumerate(choices)
    ]


def _correct(
    place: str, row: dict, metric: str | None, name: str, scores: logged.Scores
) -> bool | None:
    given = checks.table(place, "scores", row.get("scores") or {})
    if not given or metric == "none":
        return None
    if metric is None and len(given) == 1:
        (metric,) = given
    if metric not in given:
        what = f"no score '{metric}'" if metric else "several scores"
        raise UserError(
            f"{place}: {what}; choose one with --metric, or 'none': {logged.some(list(given))}"
        )
    value = checks.table(place, f"score {metric}", given[metric]).get("value")
    grade = _GRADES.get(value, value) if isinstance(value, str) else value
    return scores.read(name, place, f"score {metric}", grade)
