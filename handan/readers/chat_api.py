"""Responses of chat APIs, one JSON object a line: Chat Completions, Responses, Messages.

Lines of a Batch API, or lines ``{"task", "item", "sample", "correct", "response"}``, the two in the
middle optional. Without ``task`` the ``custom_id`` of a batch is ``TASK::ITEM`` or
``TASK::ITEM::SAMPLE``.
"""

from pathlib import Path

from handan.errors import UserError
from handan.generation import chat
from handan.inputs import at, count, expect, field, json_lines, name, part
from handan.readers.logged import Collected, Log, LoggedSample, Options, correct


def read(path: Path, options: Options) -> Log:
    """Read one file of responses."""
    for option, value in (("item_field", options.item_field), ("metric", options.metric)):
        if value is not None:
            raise UserError(f"--{option} is not for responses of an API; leave it out")
    collected = Collected(path, "requests", options)
    for place, row in json_lines(path):
        with at(place):
            names, right = _names(row), correct("correct", row.get("correct"))
        shown = ", ".join(names)
        try:
            body = as_completion(_body(row))
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
    if "task" in row or "custom_id" not in row:
        names = [name(key, field(row, key)) for key in ("task", "item")]
        sample = row.get("sample")
        return names if sample is None else [*names, name("sample", sample)]
    parts = name("custom_id", row["custom_id"]).split("::")
    if len(parts) not in (2, 3):
        raise UserError("custom_id is not TASK::ITEM or TASK::ITEM::SAMPLE; name it so")
    return [name("a part of custom_id", one) for one in parts]


def _body(row: dict) -> dict:
    """Return the response in a line, which a batch wraps; a request that failed has none."""
    if "result" in row:  # of Anthropic's batches
        result = expect("result", row["result"], dict)
        if result.get("type") != "succeeded":
            raise UserError("failed")
        return expect("message", field(result, "message"), dict)
    response = field(row, "response")
    if response is None or row.get("error") is not None:
        raise UserError("failed")
    body = expect("response", response, dict)
    if "custom_id" in row:
        if count("status_code", field(body, "status_code")) != 200:
            raise UserError("failed")
        body = expect("body", field(body, "body"), dict)
    return body


def as_completion(body: dict) -> dict:
    """Return a response of the Responses or the Messages API in the form of a chat completion."""
    if body.get("object") == "response":
        return _of_responses(body)
    return _of_messages(body) if body.get("type") == "message" else body


def _of_responses(body: dict) -> dict:
    thoughts: list = []
    content: list = []
    for item in part(body, "output", list):
        kind = expect("an item of output", item, dict).get("type")
        if kind == "reasoning":
            thoughts.append(item)
        else:
            # Of other items calls of functions say nothing, and those of tools refuse the response.
            content += part(item, "content", list) if kind == "message" else [item]
    finish = body.get("status")
    if finish == "incomplete":
        finish = part(body, "incomplete_details", dict).get("reason") or finish
    elif finish in ("queued", "in_progress"):
        finish = "not_finished"
    message = {"content": content, "reasoning_details": thoughts}
    return {**body, "choices": [{"finish_reason": finish, "message": message}]}


def _of_messages(body: dict) -> dict:
    usage = part(body, "usage", dict)
    blocks = [expect("a block of content", block, dict) for block in part(body, "content", list)]
    thoughts = [block for block in blocks if "thinking" in str(block.get("type"))]
    details = part(usage, "output_tokens_details", dict)
    thought = count("thinking_tokens", details.get("thinking_tokens"))
    kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    prompt = sum(count(kind, usage.get(kind)) or 0 for kind in kinds)
    # The text of a thinking block may be a summary, so that only the count says its length.
    hidden = [{"type": "redacted_thinking", "data": "text"} for _ in thoughts]
    content = [block for block in blocks if block not in thoughts]
    message = {"content": content, "reasoning_details": hidden}
    return {
        "model": body.get("model"),
        "choices": [{"finish_reason": body.get("stop_reason"), "message": message}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": usage.get("output_tokens"),
            "reasoning_tokens": thought or (None if thoughts else 0),
        },
    }
