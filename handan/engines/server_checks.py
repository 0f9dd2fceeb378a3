"""What the YAML of a server may not say: it would not work, or change lengths beside the suite."""

from typing import Any

from handan import credentials
from handan.errors import UserError

# Fields of a request that the suite or another key of the YAML decides.
DECIDED = ("model", "messages", "temperature", "top_p", "seed", "n", "stream", "stop")
CAPS = ("max_tokens", "max_completion_tokens")
# Further fields that make responses longer or shorter, and the values that do nothing.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1, None),
    "presence_penalty": (0, None),
    "frequency_penalty": (0, None),
    "length_penalty": (1, None),
    "min_tokens": (0, None),
    "min_p": (0, None),
    "top_k": (0, -1, None),
    "stop_token_ids": ([], None),
    "ignore_eos": (False, None),
    "logit_bias": ({}, None),
    "thinking_token_budget": (None,),
}


def check_server(settings: Any) -> None:
    """Stop at settings that cannot be meant.

    Args:
        settings: of ``handan.engines.openai``.

    Raises:
        UserError: names the key.
    """
    credentials.refuse_in_text(settings.base_url, "base_url")
    if settings.cap_field not in CAPS:
        raise UserError(f"cap_field is '{settings.cap_field}'; use {' or '.join(CAPS)}")
    if min(settings.concurrency, settings.max_response_mib) < 1 or settings.timeout_s <= 0:
        raise UserError("concurrency, timeout_s and max_response_mib of the engine must be above 0")
    if settings.max_retries < 0:
        raise UserError(f"max_retries of the engine is {settings.max_retries}; give 0 or more")
    if not settings.base_url.startswith(("http://", "https://")):
        raise UserError(
            f"base_url of the engine is '{settings.base_url}'; give the server's address up to and "
            "including /v1, such as http://127.0.0.1:8000/v1"
        )
    for key, value in settings.extra_body.items():
        if key in (*DECIDED, *CAPS):
            raise UserError(
                f"extra_body of the engine sets '{key}', which the suite or another key decides; "
                "remove it"
            )
        if key in NEUTRAL and value not in NEUTRAL[key]:
            raise UserError(
                f"extra_body of the engine sets '{key}' to {value!r}, which makes responses longer "
                f"or shorter beside what the suite says; set it to {NEUTRAL[key][0]} or remove it"
            )
