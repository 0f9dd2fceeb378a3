"""Text of others, safe to show."""

import re

from markupsafe import Markup

from handan.errors import printable

TIE = "\N{NO-BREAK SPACE}"


def plain(text: object) -> str:
    """Text of others with '?' for control and direction characters; spaces and breaks stay."""
    between = f"[^\n\t{TIE}]+"
    return re.sub(between, lambda part: printable(part[0]), str(text).replace("\r\n", "\n"))


# Text of others in GitHub's Markdown: it appears as text, whatever is in it.

# Marks with a meaning inside a line; an underscore between letters has none. Then characters that
# HTML and tables need, and those that mean something only after Markdown has been read: dollars
# (mathematics), at and number signs (people, issues), colons and dots in addresses and emoji.
MEANING = re.compile(
    r"(?P<mark>[\\`*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))"
    r"|(?P<entity>[&<>|])"
    r"|(?P<late>[$@#]|:(?=//|[\w+-]+:)|(?<=www)\.)",
    re.IGNORECASE,
)
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
# At the start of a line, alone or before a space or its like: lists, headings, rules.
LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[-+= ]|$)")


def escape(text: object) -> Markup:
    """The text for Markdown, on one line: it appears as it is, and no character has a meaning."""
    words = re.split(r"[ \t\r\n]+", str(text))
    line = TIE.join(map(printable, " ".join(words).split(TIE))).strip(" ")
    return Markup(LINE_START.sub(r"\1\\\2", MEANING.sub(_without_meaning, line)))


def _without_meaning(found: re.Match) -> str:
    if found["mark"]:
        return f"\\{found[0]}"
    # An element around a late mark takes it out of the text that is searched for such marks.
    return ENTITIES[found[0]] if found["entity"] else f"<span>{found[0]}</span>"


def span(text: object) -> Markup:
    """The text as code within a line; not for tables."""
    line = printable(str(text))
    fence = _fence(line, 1)
    # Backticks at an end would be taken for the fence's.
    room = " " if "`" in line else ""
    return Markup(f"{fence}{room}{line}{room}{fence}")


def block(text: object, language: str = "text") -> Markup:
    """The text as a block of code, its lines kept."""
    lines = "\n".join(printable(line) for line in re.split(r"\r?\n", str(text)))
    fence = _fence(lines, 3)
    return Markup(f"{fence}{language}\n{lines}\n{fence}")


def _fence(text: str, least: int) -> str:
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))
