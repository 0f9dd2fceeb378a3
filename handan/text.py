"""Text of others, safe to show."""

import re

from handan.errors import printable

TIE = "\N{NO-BREAK SPACE}"


def plain(text: object) -> str:
    """Text of others with '?' for control and direction characters; spaces and breaks stay."""
    between = f"[^\n\t{TIE}]+"
    return re.sub(between, lambda part: printable(part[0]), str(text).replace("\r\n", "\n"))
