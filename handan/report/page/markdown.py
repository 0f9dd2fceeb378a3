"""Text of others in GitHub's Markdown: it appears as text, whatever is in it."""

import re

from markupsafe import Markup

from handan.report.notation import plain

# Marks with a meaning inside a line; an underscore between letters has none. Then characters that
# HTML and tables need, and those that mean something only after Markdown has been read: dollars
# (mathematics), at and number signs (people, issues), colons and dots in addresses and emoji.
MEANING = re.compile(
    r"(?P<mark>[\\`*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))"
    r"|(?P<entity>[&<>|])"
    r"|(?P<late>[$@#]|:(?=\S)|(?<=www)\.)",
    re.IGNORECASE,
)
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
# At the start of a line: lists and headings.
LINE_START = re.compile(r"^(\d*)([-+=.)])")


def escape(text: object) -> Markup:
    """The text for Markdown, on one line: it appears as it is, and no character has a meaning.

    For paragraphs, lists, tables and descriptions of images, not for code. Control and direction
    characters become '?'.
    """
    line = re.sub(r"[ \t\n]+", " ", plain(text)).strip(" ")
    return Markup(LINE_START.sub(r"\1\\\2", MEANING.sub(_without_meaning, line)))


def _without_meaning(found: re.Match) -> str:
    character = found[0]
    if found["mark"]:
        return f"\\{character}"
    if found["entity"]:
        return ENTITIES[character]
    # An element around it takes it out of the text that is searched for such marks.
    return f"<span>{character}</span>"


def code(text: object) -> Markup:
    """The text as a block of code, its lines kept; the fence is longer than any in the text."""
    lines = plain(text)
    ticks = max((len(run) for run in re.findall("`+", lines)), default=0)
    fence = "`" * max(3, ticks + 1)
    return Markup(f"{fence}text\n{lines}\n{fence}")
