"""Responses of an OpenAI-style chat API, one JSON object a line.

Lines of the Batch API, whose ``custom_id`` is ``TASK::ITEM`` or ``TASK::ITEM::SAMPLE``, or lines
``{"task", "item", "sample", "correct", "response"}``, the two in the middle optional.
"""

from pathlib import Path

from handan.errors import UserError
from handan.generation import chat
from handan.inputs import at, count, expect, field, json_lines, name
from handan.readers.logged import Collected, Log, LoggedSample, Options, correct


def read(path: Path, options: Options) -> Log:
    """Read one file of responses."""
    for option, value in (("item_field", options.item_field), ("metric", options.metric)):
        if value is not None:
            raise UserError(f"--{option} is not for --from openai; leave it out")
    collected = Collected(path, "requests", options)
    for place, row in json_lines(path):
        with at(place):
            names = _names(row)
            right = None if "custom_id" in row else correct("correct", row.get("correct"))
        shown = ", ".join(names)
        try:
            response = field(row, "response")
            if response is None or row.get("error") is not None:
                raise UserError("failed")
            body = expect("response", response, dict)
            if "custom_id" in row:
                if count("status_code", field(body, "status_code")) != 200:
                    raise UserError("failed")
                body = expect("body", field(body, "body"), dict)
            choices = chat.choices_of(body)
            if not choices:
                raise UserError("the response has no choice in it")
            usage = chat.usage_of(body)
            model = options.model or name("model", body.get("model"))
        except UserError as error:
            collected.leave_out(shown, error)
            continue
        task, item, *sample = names
        for number, choice in enumerate(choices):
            numbers = sample if sample and len(choices) == 1 else [*sample, str(number)]
            try:
                said = chat.said_by(choice, usage)
            except UserError as error:
                many = f", choice {number}" if len(choices) > 1 else ""
                collected.leave_out(f"{shown}{many}", error)
                continue
            told = (place, model, task, item, ".".join(numbers))
            collected.samples.append(LoggedSample(*told, usage, said, right))
    return collected.log("ask the server for it, or for its count")


def _names(row: dict) -> list[str]:
    """Return task, item and, where the line has it, sample."""
    if "custom_id" not in row:
        names = [name(key, field(row, key)) for key in ("task", "item")]
        sample = row.get("sample")
        return names if sample is None else [*names, name("sample", sample)]
    parts = name("custom_id", row["custom_id"]).split("::")
    if len(parts) not in (2, 3):
        raise UserError("custom_id is not TASK::ITEM or TASK::ITEM::SAMPLE; name it so")
    return [name("a part of custom_id", one) for one in parts]
