"""Text of others, safe to show."""

import re

from handan.errors import printable

TIE = "\N{NO-BREAK SPACE}"
_BETWEEN_SPACES = re.compile(f"[^\n\t{TIE}]+")


def plain(text: object) -> str:
    """Text of others with '?' for control and direction characters; spaces and breaks stay."""
    return _BETWEEN_SPACES.sub(lambda part: printable(part[0]), str(text).replace("\r\n", "\n"))
