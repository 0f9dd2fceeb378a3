"""Reading the stated answer out of free text, without ever evaluating the text.

In order of trust: the last ``<answer>`` tag or box; the first candidate after the last 'answer'; a
closing line, an opening line, a bold span of a candidate alone; the last candidate. What is denied,
joined ('1001 or 1010') or stated twice in one breath is none. Patterns look at a bounded
neighbourhood, so that reading is linear in the text.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from handan.tasks.base import Grade, Item

BETWEEN_CHARACTERS, NEIGHBOURHOOD_CHARACTERS = 60, 80

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
    r"(?i)\b(?:but|no|not|wait|actually|correct\w*|however|instead|rather|check\w*|mistake|error"
    r"|wrong|sorry|oops|so|thus|hence|therefore|then|finally|next|now|gives?|giving|becomes"
    r"|simplif\w*|total|sum|which|because|since|cannot|can't)\b"
)
TAG = re.compile(r"(?is)<answer>(?P<inside>(?:(?!<answer>).)*?)(?:</answer>|\Z)")
BOX_PIECE = re.compile(
    r"(?s)(?P<box>\\(?:boxed|fbox)\s*\{)"
    r"|\\(?:boxed|fbox)(?![a-zA-Z])[ ]?(?P<bare>[^\s$\\{][^\s$\\]*|\\[a-zA-Z]+(?:\{[^{}\n]*\})*|)"
    r"|\\.|[{}]"
)
WRAPPERS = re.compile(
    r"\\(?:text|textbf|textit|texttt|textrm|mathrm|mathbf|mathit|mathtt|mathsf|operatorname"
    r"|boxed|fbox|left|right)(?![a-zA-Z])"
)
DISPLAY = re.compile(r"\\[\[\]()]|\\(?:quad|qquad)(?![a-zA-Z])|\\[,;:! ]|~|\u00a0|\u202f|\u2009")
TIMES = "\N{MULTIPLICATION SIGN}"
OPERATORS = {r"\times": TIMES, r"\cdot": TIMES, r"\div": "÷", r"\bmod": " mod ", r"\pmod": " mod "}
CHARACTERS = str.maketrans(
    {"\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2212": "-", "\u2019": "'"}
    | {"\u2082": "_2", "{": None, "}": None, "$": None}
)
WORKING = re.compile(r"```.*?(?:```|\Z)|\\begin\{array\}.*?(?:\\end\{array\}|\Z)", re.DOTALL)

# The noun with what introduces its content; 'to answer the question' announces nothing.
CUE = re.compile(
    r"(?i)(?<!\bto )\banswer\b(?:[^.\n]{0,60}?(?:\b(?:is|be|isn't)\b|[:=>])|[\s*_`#]{0,8}\n)"
)
RETRACTION = re.compile(
    r"(?i)\b(?:wait|hold on|correction|scratch that|oops|sorry|my mistake)\b"
    r"|\bI made an? (?:mistake|error)\b|\bno, |(?:[.!?]\s|\n)actually\b"
)
REJECTED_BEFORE = re.compile(
    r"(?i)(?:\bnot|n't|\bneither|\bnor|\bnever|\bcannot|\brather than|\binstead of|\bas opposed to)"
    r"(?: (?:be|the|an?|that|to|say|conclude|infer|deduce|imply|mean|equal|follow|necessarily|just"
    r"|simply|logically|binary|answer|conclusion|is|possible|guaranteed|certain|case|true))*"
    r"[\s\"'\u201c\u201d`*(:]*\Z"
)
REJECTED_AFTER = re.compile(
    r"(?i)[\s\"'\u201c\u201d`*).]{0,8}(?:(?:is|was|are|would be)(?: not|n't) (?:the|an?|correct"
    r"|right|valid|entailed|true|what|guaranteed|necessar)|does(?: not|n't) (?:follow|hold|work)"
    r"|(?:is|was|would be) (?:wrong|incorrect|invalid|false|impossible)|cannot be|can't be"
    r"|need not)"
)
ALTERNATIVE = re.compile(
    r"(?i)[\s\"'\u201c\u201d`*,)]*\(?(?:(?:or|/|maybe|perhaps|possibly|alternatively)[\s,]*)"
    r"(?:(?:maybe|perhaps|possibly|even|else|alternatively|it (?:could|might|may) be)[\s,]*)*"
    r"[\s\"'\u201c\u201d`*(]*"
)
LISTED = re.compile(r"[\s\"'\u201c\u201d`*)]*[,;][\s\"'\u201c\u201d`*(]*")
RANGE = re.compile(r"\bbetween(?: the)?[\s\"'\u201c\u201d`*(]*\Z", re.IGNORECASE)
AND = re.compile(r"(?i)[\s\"'\u201c\u201d`*)]*(?:and|to)(?: the)?[\s\"'\u201c\u201d`*(]*")
LIST_MARKER = re.compile(r"[.)] {1,3}\S")
MARKUP = " \t*_`\"'\u201c\u201d()[]#>"


class Mark(NamedTuple):
    """A box, or an ``<answer>`` tag, at ``text[start:end]``."""

    start: int
    end: int
    content: str
    is_tag: bool = False


def marked(text: str) -> list[Mark]:
    """Find the last ``<answer>`` tags of a text and boxes outside of them, in order."""
    tags = [Mark(m.start(), m.end(), m["inside"], True) for m in TAG.finditer(text)]
    marks, index = list(tags), 0
    for box in boxes(text):
        while index < len(tags) and tags[index].end <= box.start:
            index += 1
        if index == len(tags) or box.start < tags[index].start:
            marks.append(box)
    return sorted(marks)[-20:]


def together(between: str) -> bool:
    """Tell whether two statements with this text between them both hold, or are alternatives."""
    near = len(between) <= BETWEEN_CHARACTERS
    return near and (not TURN.search(between) or bool(DOUBT.search(between)))


def boxes(text: str) -> list[Mark]:
    """Find all ``\\boxed`` and ``\\fbox`` that stand in no other; braces may be missing."""
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


class Stated(NamedTuple):
    """A candidate answer at ``text[start:end]``, in canonical form."""

    start: int
    end: int
    answer: str


def grader(
    find: Callable[[Item, str], list[Stated]], spelled: Callable[[str], str] = str.strip
) -> Callable[[Item, str], Grade]:
    """Make the ``grade`` of a task; ``find`` finds the candidates that a text holds for an item, as
    ``spelled`` writes its right answers."""

    def grade(item: Item, text: str) -> Grade:
        answer = read(text, lambda part: find(item, part))
        return Grade(answer, answer in [*map(spelled, item.answer.split("|"))])

    return grade


def read(text: str, find: Callable[[str], list[Stated]]) -> str | None:
    """Return the answer of ``text``, or None; ``find`` sees text without LaTeX wrappers."""
    later: tuple[Mark, str] | None = None
    for mark in reversed(marked(text)):
        answer = _marked_answer(text, mark, find)
        if answer is None:
            continue
        if later is not None and not together(text[mark.end : later[0].start]):
            break
        if later is not None and answer != later[1]:
            return None
        later = mark, answer
    if later is not None:
        return later[1] or None
    # Worked columns in a code block are full of numbers that nobody states as the answer.
    answer = choose(plain(WORKING.sub("\n", text)), find)
    return choose(plain(text), find) if answer is None else answer


def _marked_answer(text: str, mark: Mark, find: Callable[[str], list[Stated]]) -> str | None:
    """Return the answer in a tag or box; '' if it or what stands around it offers several."""
    if mark.is_tag:
        return read(mark.content, find)
    content = plain(mark.content)
    answer = choose(content, find)
    if answer is None:
        return "" if len({stated.answer for stated in find(content)}) > 1 else None
    head = plain(before(text, mark.start))
    around = head + content + plain(text[mark.end : mark.end + NEIGHBOURHOOD_CHARACTERS])
    inside = range(len(head), len(head) + len(content) + 1)
    stated = find(around)
    mine = [s for s in stated if s.start in inside and s.end in inside and s.answer == answer]
    if any(_is_rejected(around, s) for s in mine):
        return None
    kept = _without_alternatives(around, stated)
    return answer if not mine or any(s in kept for s in mine) else ""


def plain(text: str) -> str:
    """Remove LaTeX wrappers; write one kind of hyphen, and ``_2`` for a subscript."""
    text = WRAPPERS.sub("", text)
    for command, sign in OPERATORS.items():
        text = text.replace(command, sign)
    text = DISPLAY.sub(" ", text).replace("\\_", "_")
    return text.replace("\u2081\u2080", "_10").translate(CHARACTERS)


def choose(text: str, find: Callable[[str], list[Stated]]) -> str | None:
    """Return the candidate that ``text`` puts forward as its answer, or None."""
    stated = _without_alternatives(text, [s for s in find(text) if not _is_rejected(text, s)])
    if not stated:
        return None

    def ends_clause(candidate: Stated) -> bool:
        right = text[candidate.end : candidate.end + NEIGHBOURHOOD_CHARACTERS].lstrip(MARKUP)
        return right[:1] in ("", *"\n.;:!")

    def is_bold(candidate: Stated) -> bool:
        left, right = before(text, candidate.start), text[candidate.end : candidate.end + 4]
        return left.rstrip("\"' ").endswith("**") and right.lstrip(".\"' ").startswith("**")

    retracted = max((match.start() for match in RETRACTION.finditer(text)), default=-1)
    starts = [s.start for s in stated]
    cues = [c for c in CUE.finditer(text) if c.start() > retracted]
    opening = len(text) - len(text.lstrip(MARKUP + "\n"))
    for number, cue in reversed(list(enumerate(cues))):
        index = bisect_left(starts, cue.end())
        if index < len(stated) and starts[index] - cue.end() <= NEIGHBOURHOOD_CHARACTERS:
            answer, earlier = stated[index].answer, stated[index - 1] if index else None
            if earlier is None or earlier.answer == answer:
                return answer
            # 'The answer is X. The answer is Y.' and 'X. The answer is Y.' state both.
            said = starts[index - 1] == opening and ends_clause(earlier)
            said |= number > 0 and 0 <= earlier.start - cues[number - 1].end() <= 4
            near = 0 <= cue.start() - earlier.end <= 12
            both = said and near and not TURN.search(text, earlier.end, cue.start())
            return None if both else answer
    current = [s for s in stated if s.start >= retracted] or stated
    # An opening or a closing line is one that holds nothing but a candidate and markup.
    if current[-1].end >= len(text.rstrip(MARKUP + "\n.!")):
        left = before(text, current[-1].start).rstrip(MARKUP)
        if left[-1:] in ("", "\n"):
            return current[-1].answer
    if current[0].start == opening and retracted < 0 and ends_clause(current[0]):
        return current[0].answer
    return ([s for s in current if is_bold(s)] or current)[-1].answer


def _is_rejected(text: str, stated: Stated) -> bool:
    """Tell whether the words around a candidate say that it is not the answer."""
    return bool(
        REJECTED_BEFORE.search(before(text, stated.start))
        or REJECTED_AFTER.match(text, stated.end, stated.end + NEIGHBOURHOOD_CHARACTERS)
    )


def _without_alternatives(text: str, stated: list[Stated]) -> list[Stated]:
    """Drop what 'or' joins ('X, Y, or Z'), and both ends of 'between X and Y', if they differ."""
    hedged: set[int] = set()
    for index, (left, right) in enumerate(pairwise(stated)):
        if right.start - left.end > NEIGHBOURHOOD_CHARACTERS or left.answer == right.answer:
            continue
        ends = AND.fullmatch(text, left.end, right.start)
        if ends and RANGE.search(before(text, left.start)):
            hedged |= {index, index + 1}
        if not ALTERNATIVE.fullmatch(text, left.end, right.start):
            continue
        hedged |= {index, index + 1}
        while index > 0 and LISTED.fullmatch(text, stated[index - 1].end, stated[index].start):
            index -= 1
            if index in hedged:
                break
            hedged.add(index)
    return [s for index, s in enumerate(stated) if index not in hedged]


def before(text: str, position: int) -> str:
    """Return the bounded neighbourhood of ``text`` that ends at ``position``."""
    return text[max(0, position - NEIGHBOURHOOD_CHARACTERS) : position]


def numbers_line(text: str, start: int, end: int) -> bool:
    """Tell whether a number only numbers its line ('1. First')."""
    first = before(text, start).rstrip(" ")[-1:] in ("", "\n")
    return first and LIST_MARKER.match(text, end) is not None


def find_verdicts(text: str, vocabularies: list[tuple[str, str, str]]) -> list[Stated]:
    """Find words of the first triple (positive, negative, 'yes/no') with any; 'not' inverts."""
    for positive, negative, answers in vocabularies:
        pattern = re.compile(
            rf"(?i)(?P<no>(?:\bnot|n't|\bnever|\bno)(?: (?:an?|logically|necessarily|strictly"
            r"|be|the|case|that|it|conclusion))* )?"
            rf"(?:\b(?P<positive>{positive})|\b(?P<negative>{negative}))"
        )
        yes, no = answers.split("/")
        found = []
        for match in pattern.finditer(text):
            affirmed = (match["positive"] is not None) != (match["no"] is not None)
            found.append(Stated(match.start(), match.end(), yes if affirmed else no))
        if found:
            return found
    return []
