"""The answer that a text gives to a problem of mathematics, and whether it gives just one.

Statements are ``<answer>`` tags, boxes, and sentences such as 'The answer is' or a line '####'; in
a text without any, its last line. The last statement is the answer, unless one shortly before it
says something else and no word between them takes that back: then both are alternatives, and so is
what 'or', 'maybe' and the like add. Whether alternatives pay is for those who compare: all of them
must be right, or be the parts of the right answer.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from handan.tasks.marks import BETWEEN_CHARACTERS, DOUBT, Mark, marked, together
from handan.tasks.notation import bare
from handan.tasks.reading import NEIGHBOURHOOD_CHARACTERS, REJECTED_AFTER, RETRACTION

# ruff: noqa: RUF001 - minus signs and Chinese stand in answers
# Of a text only the end is searched for sentences.
TEXT_CHARACTERS, STATEMENT_CHARACTERS = 4_000, 300
LAST_LINES = 3

CUE = re.compile(
    r"(?P<mark>#{3,}[ \t]|答案(?:就?是|为)?[：:]?)"
    r"|(?<!\bto )\banswers?\b(?:[^.\n$\\]{0,60}?(?:\b(?:is|are|be|equals|isn't)\b|[:=：])"
    r"|[\s*_`#]{0,8}\n)\s*(?:that\b)?[:：]?",
    re.IGNORECASE,
)
SPAN = re.compile(
    r"\$\$(?P<a>[^$]{1,400})\$\$|(?<![\\$])\$(?P<b>[^$\n]{1,400})\$(?!\d)|\\\((?P<c>.{1,400}?)\\\)"
    r"|\\\[(?P<d>.{1,400}?)\\\]",
    re.DOTALL,
)
NUMBER = re.compile(
    r"(?<![\w.^\\{])(?P<number>[-−+]?(?:\\?\$ ?)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    r"(?:/\d+)?|[-−]?\.\d+)(?P<percent>\s?\\?%)?"
)
SENTENCE = re.compile(r"\s*(?P<said>[^\n]*?)\s*(?:[.!?。](?=\s|\*|\Z)|\n|\Z)")
FORMULA = re.compile(r"[\w\s+\-−*/^=().,\\{}%!<>|\[\];:&'°√π∞±≤≥²³]+")
LONG_WORD = re.compile(
    r"(?i:\b(?:it|is|we|so|my|be|of|as|by|at)\b)|(?<![\\a-zA-Z{])(?!sqrt|sin|cos|tan|log|exp|infty|and\b|text)[a-zA-Z]{3,}"
)
CHOICE = re.compile(r"\([A-H]\)(?:\s+\S{1,40})?|[A-H](?:[).:](?:\s+\S{1,40})?)?")

SEPARATOR = re.compile(r"[\s,;&/~$*)\\\-–—]*(?:\b(?:and|to|through)\b)?[\s,;$*]*")
REJECTED = re.compile(
    r"(?:\bnot|n't|\bnever|\bcannot|\bneither|\bbetween|\brather than|\binstead of|\bother than"
    r"|\bexcept|\bmore than|\bless than|\bgreater than|\bfewer than|\bat least|\bat most|\bunder"
    r"|\bover|\babove|\bbelow|\bup to|\branges? from|\bnot in)"
    r"(?: (?:be|the|an?|equal|to|just|simply|exactly|number|value|answer|it|from))*"
    r"[\s$\\(*:\[\"']*\Z",
    re.IGNORECASE,
)
OTHER = re.compile(
    r"[\s$.,;*)\]\\]*\(?\s*(?:or|maybe|perhaps|possibly|alternatively|otherwise)\b", re.I
)
SAME_AGAIN = re.compile(r"equivalent|in other words|\bso\b|more|less", re.I)
OPENING = re.compile(r"\W*?(?P<number>[-−]?\d[\d,]*(?:\.\d+)?(?:/\d+)?)[.*$]*\s+")


class Statement(NamedTuple):
    """Alternatives that stand at ``text[start:end]``; None if they are denied."""

    start: int
    end: int
    answers: tuple[str, ...] | None


def final_answers(text: str) -> tuple[str, ...] | None:
    """What a text puts forward as the answer, in its own words.

    Returns:
        one answer; several that it offers as alternatives or parts; none if all that it says of
        the answer is what it is not; None if it states nothing.
    """
    found = statements(text)
    if not found:
        end = text[-TEXT_CHARACTERS:].rstrip()
        for _ in range(LAST_LINES):
            if last := _last_line(end):
                return _joined(text, [last])
            end = end[: max(0, end.rfind("\n"))].rstrip()
    return _joined(text, found) if found else None


def statements(text: str) -> list[Statement]:
    """All places at which a text says that something is its answer, in order."""
    marks = marked(text)
    found = [_marked(text, mark) for mark in marks]
    tagged = max((mark.end for mark in marks if mark.is_tag), default=0)
    begin = max(tagged, len(text) - TEXT_CHARACTERS)
    cues = list(CUE.finditer(text, begin))
    ends = [*(match.start() for match in cues[1:]), len(text)]
    for cue, end in zip(cues, ends, strict=False):
        until = min(end, cue.end() + STATEMENT_CHARACTERS)
        said = _after_cue(text, cue, until, words=until < end or end == len(text))
        # Where there is a box, other sentences about an answer count only if they end with it.
        boxed = any(cue.start() <= box.start <= cue.end() + 200 for box in marks)
        if said and not boxed and (not found or _closes(text, said)):
            found.append(said)
    found.sort(key=lambda statement: statement.start)
    opening = OPENING.match(text)
    if opening and found and 0 <= found[0].start - opening.end() <= 12:
        found.insert(0, Statement(0, opening.end(), (opening["number"],)))
    return found


def _marked(text: str, mark: Mark) -> Statement:
    """The statement of a box, or of a tag, in whose text there may be sentences and boxes."""
    answers: tuple[str, ...] | None
    if not mark.is_tag:
        answers = _boxed(text, mark)
    elif mark.content.strip():
        inside = final_answers(mark.content)
        answers = (mark.content.strip(),) if inside is None else inside or None
    else:
        answers = ("",)
    return Statement(mark.start, mark.end, answers)


def _boxed(text: str, mark: Mark) -> tuple[str, ...] | None:
    """The content of a box, with what 'or' adds before and behind it."""
    before, behind = text[max(0, mark.start - 40) : mark.start], text[mark.end : mark.end + 40]
    if _rejected(before, behind):
        return None
    answers = [mark.content]
    if (other := OTHER.match(behind)) and not SAME_AGAIN.search(behind):
        answers += [said for _, _, said in _numbers(behind[other.end() :])[:1]]
    first = re.search(r"(?P<said>\S+?)[\s$.,)]*\bor\s*(?:maybe\s+|perhaps\s+)?[$\\(\s]*\Z", before)
    if first:
        answers = [said for _, _, said in _numbers(first["said"])[-1:]] + answers
    return tuple(answers)


def _rejected(before: str, behind: str) -> bool:
    """Whether what stands around an answer says that it is none."""
    behind = behind[:NEIGHBOURHOOD_CHARACTERS].lstrip("$\\)] ")
    return bool(REJECTED.search(before[-NEIGHBOURHOOD_CHARACTERS:]) or REJECTED_AFTER.match(behind))


def _closes(text: str, said: Statement) -> bool:
    """Whether a statement is the end of its sentence."""
    return bool(
        re.match(r"[\s$*)\\\]]*(?:[.!。]?\s*(?:\n|\Z)|[.!。]\s)", text[said.end : said.end + 40])
    )


def _after_cue(text: str, cue: re.Match, until: int, words: bool) -> Statement | None:
    """The first thing that is said behind 'the answer is', with its alternatives."""
    rest = text[cue.end() : until]
    candidates = _candidates(rest, words)
    if not candidates:
        return None
    groups = _groups(rest, candidates)
    kept = [of for of in groups if not _rejected(cue[0] + rest[: of[0][0]], rest[of[-1][1] :])]
    if not kept:
        return Statement(cue.start(), cue.end() + groups[0][-1][1], None)
    chosen = kept[0]
    for of in kept[1:]:
        if RETRACTION.search(rest[chosen[-1][1] : of[0][0]]):
            chosen = of
    end = cue.end() + chosen[-1][1]
    return Statement(cue.start(), end, tuple(said for _, _, said in chosen))


def _last_line(text: str) -> Statement | None:
    """The last thing on the last line of a text, with its alternatives."""
    text = text.rstrip()
    begin = text.rfind("\n") + 1
    for match in SPAN.finditer(text):
        if match.start() < begin < match.end():
            begin = text.rfind("\n", 0, match.start()) + 1
    line = text[begin:]
    alone = bare(line)
    candidates = _candidates(line, words="\n" not in text and len(alone.split()) == 1)
    if not candidates:
        return None
    groups = _groups(line, candidates)
    kept = [of for of in groups if not _rejected(line[: of[0][0]], line[of[-1][1] :])]
    if not kept:
        return Statement(begin, len(text), None)
    answers = tuple(said for _, _, said in kept[-1])
    opening = OPENING.match(text)
    if opening and opening.end() == begin and len(text) - begin <= BETWEEN_CHARACTERS:
        answers = (opening["number"], *answers)
    return Statement(begin, len(text), answers)


def _candidates(rest: str, words: bool) -> list[tuple[int, int, str]]:
    """What may be an answer in a piece of text: formulas, else the sentence, else its numbers."""
    sentence = SENTENCE.match(rest.lstrip(" \n\t*_`:"))
    skipped = len(rest) - len(rest.lstrip(" \n\t*_`:"))
    end = skipped + (sentence.end("said") if sentence else 0)
    spans = [
        (match.start(), match.end(), next(part for part in match.groups() if part is not None))
        for match in SPAN.finditer(rest)
    ]
    spans = [
        of for of in spans if not re.search(r"(?<![\\a-zA-Z{])[a-zA-Z]{3,}\s+[a-zA-Z]{2,}", of[2])
    ]
    if spans and spans[0][0] <= end:
        return spans
    said = bare(rest[skipped:end])
    start = rest.find(said) if said else 0
    formula = FORMULA.fullmatch(said) and not LONG_WORD.search(said)
    if (formula and any(map(str.isdigit, said))) or CHOICE.fullmatch(said):
        stop = start + len(said)
        later = [(left + stop, right + stop, one) for left, right, one in _numbers(rest[stop:])]
        return [(start, stop, said), *later]
    numbers = _numbers(rest)
    if numbers and (numbers[0][0] <= end or not words):
        return numbers
    if said and (formula or (words and len(said) <= BETWEEN_CHARACTERS)):
        return [(start, start + len(said), said)]
    return []


def _numbers(text: str) -> list[tuple[int, int, str]]:
    return [
        (match.start(), match.end(), match["number"] + ("%" if match["percent"] else ""))
        for match in NUMBER.finditer(text)
    ]


def _groups(text: str, candidates: list[tuple[int, int, str]]) -> list[list[tuple[int, int, str]]]:
    """Neighbours that are alternatives or parts of one list together."""
    groups = [candidates[:1]]
    for left, right in pairwise(candidates):
        between = text[left[1] : right[0]]
        near = len(between) <= BETWEEN_CHARACTERS
        if near and (SEPARATOR.fullmatch(between) or DOUBT.search(between)):
            groups[-1].append(right)
        else:
            groups.append([right])
    return groups


def _joined(text: str, found: list[Statement]) -> tuple[str, ...]:
    """The last statement that is not denied, with those shortly before that nothing takes back."""
    known = [statement for statement in found if statement.answers is not None]
    if not known:
        return ()
    answers = list(known[-1].answers or ())
    for earlier, later in reversed(list(pairwise(known))):
        if not together(text[earlier.end : later.start]):
            break
        answers = [*(earlier.answers or ()), *answers]
    return tuple(answers)
