"""Responses of an OpenAI-style chat API, one JSON object a line.

Either the lines of the Batch API, whose ``custom_id`` is ``TASK::ITEM`` or ``TASK::ITEM::SAMPLE``,
or lines ``{"task", "item", "sample", "correct", "response"}`` of one's own, the two in the middle
optional; the response is a chat completion, read as ``handan.chat`` says. A response that cannot be
used is left out, named and counted; a line without a name is refused.
"""

from pathlib import Path
from typing import NamedTuple

from handan import chat
from handan.chat import Said, Usage
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


class _Response(NamedTuple):
    """One line: its place, its name, its model, and its choices with their usage."""

    place: str
    name: _Name
    model: str
    usage: Usage
    choices: list[tuple[str, Said]]


def read(path: Path, options: Options) -> Log:
    """Read one file of responses.

    Raises:
        UserError: the file is not what it should be, or the options do not fit it.
    """
    for option, value in (("item_field", options.item_field), ("metric", options.metric)):
        if value is not None:
            raise UserError(f"--{option} is not for --from openai; leave it out")
    responses: list[_Response] = []
    left_out = logged.LeftOut(path, "requests")
    for place, row in checks.json_lines(path):
        name = _name(place, row)
        shown = ", ".join(filter(None, (name.task, name.item, name.sample)))
        try:
            body = _body(place, row)
            usage, choices = _choices(body, name, shown, left_out)
            model = options.model or checks.name(place, "model", body.get("model"))
        except UserError as error:
            left_out.add(shown, place, error)
            continue
        responses.append(_Response(place, name, model, usage, choices))
    left_out.refuse_if_all(sum(len(response.choices) for response in responses))
    opened = {}
    for model in dict.fromkeys(response.model for response in responses):
        plain = [
            said.text
            for response in responses
            for _, said in response.choices
            if response.model == model and said.reasoning == ""
        ]
        opened[model] = spans.opened_by_prompt(plain, options.tags)
    samples = [
        LoggedSample(
            place=response.place,
            model=response.model,
            task=response.name.task,
            item=response.name.item,
            sample=number,
            usage=response.usage,
            said=spans.split(said.text, options.tags, opened[response.model])
            if said.reasoning == ""
            else spans.apart(said.reasoning, said.text),
            finish=said.finish,
            correct=response.name.correct,
        )
        for response in responses
        for number, said in response.choices
    ]
    logged.check_reasoning(path, samples, options, _CURE)
    notes = left_out.notes(len(samples)) + logged.unknown_end_note(path, samples)
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


def _body(place: str, row: dict) -> dict:
    """The chat completion of a line.

    Raises:
        UserError: the request failed, or the line has another form.
    """
    response = checks.get(place, row, "response")
    if response is None or row.get("error") is not None:
        raise UserError("failed")
    body = checks.table(place, "response", response)
    if "custom_id" in row:
        if checks.count(place, "status_code", checks.get(place, body, "status_code")) != 200:
            raise UserError("failed")
        body = checks.table(place, "body", checks.get(place, body, "body"))
    return body


def _choices(
    body: dict, name: _Name, shown: str, left_out: logged.LeftOut
) -> tuple[Usage, list[tuple[str, Said]]]:
    """Usage, and what each choice says with the number of its sample."""
    choices = chat.choices_of(body)
    if not choices:
        raise UserError("the response has no choice in it")
    usage = chat.usage_of(body)
    if len(choices) == 1:
        return usage, [(name.sample or "0", chat.said_by(choices[0], usage))]
    found = []
    for number, choice in enumerate(choices):
        sample = str(number) if name.sample is None else f"{name.sample}.{number}"
        try:
            found.append((sample, chat.said_by(choice, usage)))
        except UserError as error:
            left_out.add(f"{shown}, choice {number}", "", error)
    return usage, found
