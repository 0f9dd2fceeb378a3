"""Secrets come from the environment and nowhere else.

What stands on a command line or in a YAML ends up in logs, in run.json, in pickled arguments and at
trackers. So a token, a key or an address with a password in it is refused there before anything is
written.
"""

import os
import re
from collections.abc import Iterable, Mapping

from handan.errors import UserError

# Variables of the environment that hold a secret, and the shortest value that is looked for.
VARIABLE = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD)(_|$)")
MIN_LENGTH = 8
# Keys of settings, and options, whose value is a secret as far as anybody may think of one.
KEY = re.compile(
    r"(?:\w*_)?(?:(?:hub|hf|access|auth|bearer)_token|api_?key|passwords?|passwd|secrets?"
    r"|authorization|credentials?)",
    re.IGNORECASE,
)
SHAPES = re.compile(rb"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[opsu]_[A-Za-z0-9]{30,})\b")
IN_ADDRESS = re.compile(
    r"\bhttps?://[^\s/?#@\"']+@"
    r"|[?&](?:api[_-]?key|key|(?:access_|auth_)?token|password|secret)=[^\s&#\"']",
    re.IGNORECASE,
)
CURE = (
    "secrets come from the environment only, as HF_TOKEN, WANDB_API_KEY or the variable that an "
    "engine's api_key_env names; remove it here"
)


def of_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Secrets by the names of their variables."""
    return {
        name: value
        for name, value in environment.items()
        if VARIABLE.search(name.upper()) and len(value) >= MIN_LENGTH
    }


def found_in(text: str) -> str | None:
    """Describe the secret in a text without repeating it; None if there is none."""
    if held := [name for name, value in of_environment().items() if value in text]:
        return held[0]
    if SHAPES.search(text.encode()):
        return "something that looks like an access token"
    return "an address with a password or key in it" if IN_ADDRESS.search(text) else None


def refuse_in_text(text: str, place: str) -> None:
    """Stop at a secret in a text, without repeating it."""
    if found := found_in(text):
        raise UserError(f"{place}: holds {found}; {CURE}")


def refuse_key(key: str, place: str) -> None:
    """Stop at a setting that is there for a secret."""
    if KEY.fullmatch(key.replace("-", "_")):
        raise UserError(f"{place}: '{key}' is for a secret; {CURE}")


def refuse_in_words(words: Iterable[str]) -> None:
    """Stop at a command line that holds a secret."""
    for word in words:
        if word.startswith("--"):
            refuse_key(word[2:].partition("=")[0], "command line")
        refuse_in_text(word, "command line")
