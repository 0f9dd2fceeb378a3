"""Where a text marks its answer, and whether two statements of one hold together.

Marks are ``<answer>`` tags and boxes. Every pattern is linear in the text.
"""

import re
from typing import NamedTuple

BETWEEN_CHARACTERS, MOST_MARKS = 60, 20

OR = (
    r"(?:(?<!more )\bor\b(?! (?:rather|equivalently|in other words))|\b(?:maybe|perhaps|possibly"
    r"|nor|alternatively|otherwise|else|either|vs|versus)\b|\|"
    r"|\b(?:may|might|could)(?: also| well)* be[\s$\\(]*\Z)"
)
# Between sentences only near the beginning of the second one.
DOUBT = re.compile(
    rf"\A(?:(?![.!?]\s).)*(?:{OR}|\b(?:if|unless|depending)\b)|[.!?]\s+(?:\W*\w+\W+){{0,2}}?{OR}",
    re.IGNORECASE | re.DOTALL,
)
# What makes a later statement replace an earlier one.
TURN = re.compile(
    r"\b(?:but|no|not|wait|actually|correct\w*|however|instead|rather|check\w*|mistake|error|wrong"
    r"|sorry|oops|so|thus|hence|therefore|then|finally|next|now|gives?|giving|becomes|simplif\w*"
    r"|total|sum|which|because|since|cannot|can't)\b",
    re.IGNORECASE,
)
TAG = re.compile(
    r"<answer>(?P<inside>(?:(?!<answer>).)*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE
)
BOX_PIECE = re.compile(
    r"(?P<box>\\(?:boxed|fbox)\s*\{)"
    r"|\\(?:boxed|fbox)(?![a-zA-Z])[ ]?(?P<bare>[^\s$\\{][^\s$\\]*|\\[a-zA-Z]+(?:\{[^{}\n]*\})*|)"
    r"|\\.|[{}]",
    re.DOTALL,
)


class Mark(NamedTuple):
    """A box, or an ``<answer>`` tag, at ``text[start:end]``."""

    start: int
    end: int
    content: str
    is_tag: bool = False


def marked(text: str) -> list[Mark]:
    """The last ``<answer>`` tags of a text and boxes outside of them, in order."""
    tags = [Mark(m.start(), m.end(), m["inside"], True) for m in TAG.finditer(text)]
    marks, index = list(tags), 0
    for box in boxes(text):
        while index < len(tags) and tags[index].end <= box.start:
            index += 1
        if index == len(tags) or box.start < tags[index].start:
            marks.append(box)
    return sorted(marks)[-MOST_MARKS:]


def together(between: str) -> bool:
    """Whether two statements with this text between them both hold, or are alternatives."""
    if len(between) > BETWEEN_CHARACTERS:
        return False
    return not TURN.search(between) or bool(DOUBT.search(between))


def boxes(text: str) -> list[Mark]:
    """All ``\\boxed`` and ``\\fbox`` of a text that stand in no other, in order.

    Braces may be missing (``\\boxed 2``); an unclosed box at the end goes on to its line's end.
    """
    found: list[Mark] = []
    open_boxes: list[tuple[int, int, int]] = []
    depth = 0
    for match in BOX_PIECE.finditer(text):
        if match["bare"] is not None:
            if not open_boxes and match["bare"].strip(" .,;:"):
                found.append(Mark(match.start(), match.end(), match["bare"]))
        elif match["box"]:
            open_boxes.append((depth, match.start(), match.end()))
            depth += 1
        elif match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if open_boxes and open_boxes[-1][0] == depth:
                _, start, begin = open_boxes.pop()
                while found and found[-1].start > start:
                    found.pop()
                found.append(Mark(start, match.end(), text[begin : match.start()]))
    if open_boxes and (not found or open_boxes[-1][1] > found[-1].start):
        _, start, begin = open_boxes[-1]
        content = text[begin:].split("\n", 1)[0]
        found.append(Mark(start, begin + len(content), content))
    return found
