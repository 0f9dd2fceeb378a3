"""Values in the rows of a published set, told apart by type and never guessed.

A row is what a stranger wrote: text where a list was announced, null, NaN, half a character. What
is found is read as what it surely is, or refused with a sentence that says what it is.
"""

import json
import math
from decimal import Decimal
from typing import Any

# Unquoted in a YAML all of these are booleans, so a set's own 'on' cannot be asked for otherwise.
BOOLEANS = {True: ("true", "yes", "on"), False: ("false", "no", "off")}
TEXT_PARTS = ("text", "input_text", "output_text")
SHOWN_CHARACTERS = 60


class Unusable(Exception):
    """The reason why something is no trace.

    Attributes:
        reason: under which it is counted, in one word.
        found: what stood in the row, for the reader of the YAML.
    """

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(reason)
        self.reason, self.found = reason, found


def plain(value: Any) -> Any:
    """Convert to Python's own types; None for NaN, with which tables say that there is none."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def sure(value: Any) -> Any:
    """The entry of a list, unless it is the reason why there is none, which is raised."""
    if isinstance(value, Unusable):
        raise value
    return plain(value)


def opened(value: Any) -> Any:
    """The same as ``plain``, but the text of a JSON list or object is read."""
    value = plain(value)
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def scalar(value: Any) -> str | None:
    """Text, a number or a boolean as text, 42.0 as '42'; None for anything else."""
    if isinstance(value, str | bool | int):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value):
        digits = format(Decimal(str(value)), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return None


def matches(wanted: Any, value: Any) -> bool:
    """Compare a value with the one that the YAML asks for, whichever of the two is text."""
    if wanted is None or value is None:
        return wanted is value
    if isinstance(wanted, bool):
        if isinstance(value, str):
            return value.strip().casefold() in BOOLEANS[wanted]
        return isinstance(value, int | float) and value == wanted
    if isinstance(value, bool):
        if isinstance(wanted, str):
            return wanted.strip().casefold() == str(value).casefold()
        return bool(value == wanted)
    text = scalar(value)
    if text is None:
        return False
    if isinstance(wanted, str):
        return wanted in (text, str(value))
    return text.strip() == scalar(wanted)


def is_content(value: Any) -> bool:
    """Tell the parts of one message, each with its type, from other lists."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in value)
    )


def text_of(value: Any, path: str, part: str, numbers: bool = False) -> str:
    """A value that must be text, or parts of a message that are; with ``numbers`` any scalar.

    Raises:
        Unusable: ``no_PART``, ``mistyped_PART``, ``other_content`` or ``broken_characters``.
    """
    if is_content(value):
        for entry in value:
            if entry["type"] not in TEXT_PARTS or not isinstance(entry.get("text"), str):
                raise Unusable("other_content", f"'{path}' has a part that is {kind(entry)}")
        value = "".join(entry["text"] for entry in value)
    text = scalar(value) if numbers else value
    if value is None or (isinstance(text, str) and not text.strip()):
        raise Unusable(f"no_{part}", f"'{path}' holds {'nothing' if value is None else 'no words'}")
    if not isinstance(text, str):
        raise Unusable(f"mistyped_{part}", f"'{path}' holds {kind(value)}, not text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unusable("broken_characters", f"'{path}' holds half of a character") from None
    return text


def shown(value: Any) -> str:
    """A value in a message: a scalar as Python writes it, and not all of a long one."""
    if value is not None and scalar(value) is None:
        return kind(value)
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def kind(value: Any) -> str:
    """The type of a value, with the names or the beginning of what is in it."""
    match plain(value):
        case None:
            return "nothing"
        case str() as text:
            return f"text ({shown(text)})"
        case bool() as truth:
            return f"a boolean ({truth})"
        case int() | float() | Decimal() as number:
            return f"a number ({number})"
        case list() as entries:
            of = [kind(entry) for entry in entries[:1] if not isinstance(entry, list)]
            return f"a list of {len(entries)}" + "".join(f", first {first}" for first in of)
        case bytes() as content:
            return f"bytes that are no text in UTF-8 ({content[:20]!r})"
        case dict() as members:
            return f"an object with the keys {', '.join(map(str, members)) or '(none)'}"
        case other:
            return f"a value of type {type(other).__name__}"
