"""From the body of a server's response to a completion."""

from typing import Any

from handan import chat, json_input
from handan.engines.base import Completion
from handan.errors import UserError
from handan.finish import ended


def completion_of(found: dict) -> Completion:
    """A server's response as a completion.

    Raises:
        chat.FailedRequest: the request failed, though its status is 200.
        UserError: it is not a chat completion with one choice, or was withheld.
    """
    try:
        choices = chat.choices_of(found)
        if not choices:
            raise chat.FailedRequest(
                "the response is not a chat completion with one choice: it has none"
            )
        if len(choices) > 1:
            raise UserError(f"it has {len(choices)} choices")
        usage = chat.usage_of(found)
        said = chat.said_by(choices[0], usage)
        ids = _ids("token_ids", choices[0].get("token_ids"))
        return Completion(
            ids=ids,
            ended=ended(said.finish),
            prompt_ids=_ids("prompt_token_ids", found.get("prompt_token_ids")),
            reasoning=said.reasoning,
            text=said.text,
            usage=usage,
            server={
                "served_by": json_input.text("model", found.get("model")) or None,
                "finish_reason": said.finish,
            },
        )
    except chat.FailedRequest:
        raise
    except chat.Withheld as error:
        raise UserError(
            f"{error}: it has no length of thought; ask a server that answers, or leave the item "
            "out of the suite"
        ) from None
    except UserError as error:
        raise UserError(
            f"the response is not a chat completion with one choice as it is read here: {error}; "
            "see docs/models.md for servers that are known to work"
        ) from None


def _ids(what: str, value: Any) -> list[int] | None:
    """Token ids of a response, if it has any."""
    found = [json_input.count(what, token) for token in json_input.expect(what, value or [], list)]
    return [token for token in found if token is not None] or None
