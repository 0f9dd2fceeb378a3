"""Responses of an OpenAI-style chat API, one JSON object a line.

Either the lines of the Batch API, whose ``custom_id`` is ``TASK::ITEM`` or ``TASK::ITEM::SAMPLE``,
or lines ``{"task", "item", "sample", "correct", "response"}`` of one's own, the two in the middle
optional; the response is a chat completion. Reasoning is read from ``message.reasoning``,
``message.reasoning_content``, or the tags in ``message.content``.
"""

from pathlib import Path
from typing import NamedTuple

from handan.errors import UserError
from handan.readers import checks, logged, spans
from handan.readers.logged import Log, LoggedSample, Options

_CURE = "ask the server for it, or for its count"


class _Name(NamedTuple):
    """What a line is the response to; ``correct`` where the line says so."""

    task: str
    item: str
    sample: str | None
    correct: bool | None


class _Choice(NamedTuple):
    """One response: its text, its reasoning ('' if none is set apart), its end."""

    text: str
    thought: str
    finish: str | None


def read(path: Path, options: Options) -> Log:
    """Read one file of responses.

    Raises:
        UserError: the file is not what it should be, or the options do not fit it.
    """
    for option, value in (("item_field", options.item_field), ("metric", options.metric)):
        if value is not None:
            raise UserError(f"--{option} is not for --from openai; leave it out")
    responses: list[tuple[str, _Name, str, dict, list[_Choice]]] = []
    failed: list[str] = []
    for place, row in checks.json_lines(path):
        name = _name(place, row)
        body = _body(place, row)
        if body is None:
            failed.append(f"{name.task}, {name.item}")
            continue
        model = options.model or checks.name(place, "model", body.get("model"))
        responses.append((place, name, model, body, _choices(place, body)))
    opened = {}
    for model in dict.fromkeys(model for _, _, model, _, _ in responses):
        plain = [
            choice.text
            for _, _, other, _, choices in responses
            for choice in choices
            if other == model and not choice.thought
        ]
        opened[model] = spans.opened_by_prompt(plain, options.tags)
    samples = []
    for place, name, model, body, choices in responses:
        samples += _samples(place, name, model, body, choices, opened[model], options)
    logged.check_reasoning(path, samples, options, _CURE)
    notes = []
    if failed:
        number = len(failed) + len(responses)
        notes.append(
            f"{path}: left out {len(failed)} of {number} requests, failed: {logged.some(failed)}"
        )
    return Log(samples, notes + logged.unclosed_note(path, samples))


def _name(place: str, row: dict) -> _Name:
    if "custom_id" in row:
        whole = checks.name(place, "custom_id", row["custom_id"])
        parts = whole.split("::")
        if len(parts) not in (2, 3):
            raise UserError(
                f"{place}: custom_id is not TASK::ITEM or TASK::ITEM::SAMPLE; name it so"
            )
        names = [checks.name(place, "a part of custom_id", part) for part in parts]
        return _Name(names[0], names[1], names[2] if len(names) == 3 else None, None)
    task, item = (checks.name(place, key, checks.get(place, row, key)) for key in ("task", "item"))
    sample = row.get("sample")
    return _Name(
        task,
        item,
        None if sample is None else checks.name(place, "sample", sample),
        checks.correct(place, "correct", row.get("correct")),
    )


def _body(place: str, row: dict) -> dict | None:
    """The chat completion of a line; None if the request failed."""
    response = checks.get(place, row, "response")
    if response is None or row.get("error") is not None:
        return None
    body = checks.table(place, "response", response)
    if "custom_id" in row:
        if checks.count(place, "status_code", checks.get(place, body, "status_code")) != 200:
            return None
        body = checks.table(place, "body", checks.get(place, body, "body"))
    if "choices" not in body:
        raise UserError(f"{place}: no 'choices' in the response; only chat completions are read")
    return body


def _choices(place: str, body: dict) -> list[_Choice]:
    choices = []
    for choice in checks.listed(place, "choices", body["choices"]):
        choice = checks.table(place, "a choice", choice)
        message = checks.table(place, "message", checks.get(place, choice, "message"))
        thoughts = [
            checks.text(place, key, message.get(key)) for key in ("reasoning", "reasoning_content")
        ]
        text = checks.text(place, "content", message.get("content"))
        finish = checks.text(place, "finish_reason", choice.get("finish_reason"))
        thought = next((thought for thought in thoughts if thought.strip()), "")
        choices.append(_Choice(text, thought, finish or None))
    if not choices:
        raise UserError(f"{place}: the response has no choice in it; remove the line")
    return choices


def _samples(
    place: str,
    name: _Name,
    model: str,
    body: dict,
    choices: list[_Choice],
    opened_by_prompt: bool,
    options: Options,
) -> list[LoggedSample]:
    """The responses of one line; of several, usage holds only the sum."""
    usage = checks.table(place, "usage", body.get("usage") or {})
    details = checks.table(place, "usage details", usage.get("completion_tokens_details") or {})
    prompt, completion, total = (
        checks.count(place, key, usage.get(key))
        for key in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    reasoning = checks.count(place, "reasoning_tokens", details.get("reasoning_tokens"))
    if len(choices) > 1:
        reasoning = completion = None
    samples = []
    for number, choice in enumerate(choices):
        several = [str(number)] if len(choices) > 1 else []
        given = [name.sample] if name.sample is not None else []
        samples.append(
            LoggedSample(
                place=place,
                model=model,
                task=name.task,
                item=name.item,
                sample=".".join([*given, *several]) or "0",
                prompt_tokens=prompt,
                reasoning_tokens=reasoning,
                answer_tokens=logged.answer_tokens(place, prompt, reasoning, completion, total),
                completion_tokens=completion,
                said=spans.apart(choice.thought, choice.text)
                if choice.thought
                else spans.split(choice.text, options.tags, opened_by_prompt),
                finish=choice.finish,
                correct=name.correct,
            )
        )
    return samples
