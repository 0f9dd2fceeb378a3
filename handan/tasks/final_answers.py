"""The answer that a text gives to a problem of mathematics, and its parts in one spelling.

Statements are ``<answer>`` tags, boxes, 'The answer is' and '####'; without any, the last line. The
last one is the answer; one shortly before that no word takes back, and what 'or' or 'maybe' adds,
are alternatives, which pay only if all are right, or are the parts of the right answer.
"""

import re
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from handan.config import read_yaml
from handan.tasks import answers as reading

# ruff: noqa: RUF001 - these characters stand in answers
WRITTEN = read_yaml(Path(__file__).with_name("spellings.yaml"))
CHARACTERS = str.maketrans(WRITTEN["signs"])
SPELLINGS = [(re.compile(pattern), instead) for pattern, instead in WRITTEN["spellings"]]
RAISED = re.compile("[⁰¹²³⁴-⁹⁻⁺ⁿ]+")
LOWERED = re.compile("[₀-₉]+")
VULGAR = re.compile("[¼-¾⅐-⅞]")
ROOT = re.compile(r"√\s*(?:\((?P<inner>[^()]*)\)|(?P<token>\d+|[a-z]))")

# A space, a thin space or a comma in braces between groups of three digits; '{,}' too.
GROUP = r"(?:\\,|\\ |\\;|\\:|~| |\{,\}|,?\\!\s*|\{\s*\\,\s*\}|')"
GROUPED = re.compile(rf"(?<![\d.,_])[1-9]\d{{0,2}}(?:{GROUP}\d{{3}})+(?!\d)")
TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
DEGREES = re.compile(r"\{?\(?(\d+(?:\.\d+)?)\)?\}?\s*\^\\circ")

OPENING = ("\\{", "\\langle", "(", "[", "{")
CLOSING = ("\\}", "\\rangle", ")", "]", "}")
PIECE = re.compile(r"\\[{}]|\\[a-zA-Z]+|\\.|\s+(?:and|or)\s+|.", re.DOTALL)
COMMA_GROUPED = re.compile(r"\d,\d{3}(?!\d)")
# Of a text only the end is searched for sentences.
TEXT_CHARACTERS = 4_000

CUE = re.compile(
    r"(?i)(?P<mark>#{3,}[ \t]|答案(?:就?是|为)?[：:]?)"
    r"|(?<!\bto )\banswers?\b(?:[^.\n$\\]{0,60}?(?:\b(?:is|are|be|equals|isn't)\b|[:=：])"
    r"|[\s*_`#]{0,8}\n)\s*(?:that\b)?[:：]?"
)
SPAN = re.compile(
    r"(?s)\$\$([^$]{1,400})\$\$|(?<![\\$])\$([^$\n]{1,400})\$(?!\d)|\\\((.{1,400}?)\\\)"
    r"|\\\[(.{1,400}?)\\\]"
)
PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{3,}\s+[a-zA-Z]{2,}")
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
    r"(?i)(?:\bnot|n't|\bnever|\bcannot|\bneither|\bbetween|\brather than|\binstead of"
    r"|\bother than|\bexcept|\bmore than|\bless than|\bgreater than|\bfewer than|\bat least"
    r"|\bat most|\bunder|\bover|\babove|\bbelow|\bup to|\branges? from|\bnot in)"
    r"(?: (?:be|the|an?|equal|to|just|simply|exactly|number|value|answer|it|from))*"
    r"[\s$\\(*:\[\"']*\Z"
)
# The end of a sentence behind its answer.
CLOSES = re.compile(r"[\s$*)\\\]]*(?:[.!。]?\s*(?:\n|\Z)|[.!。]\s)")
OTHER = re.compile(
    r"(?i)[\s$.,;*)\]\\]*\(?\s*(?:or|maybe|perhaps|possibly|alternatively|otherwise)\b"
)
SAME_AGAIN = re.compile(r"equivalent|in other words|\bso\b|more|less", re.I)
FIRST_NUMBER = re.compile(r"\W*?(?P<number>[-−]?\d[\d,]*(?:\.\d+)?(?:/\d+)?)[.*$]*\s+")

Group = list[tuple[int, int, str]]


class Statement(NamedTuple):
    """Alternatives that stand at ``text[start:end]``; None if they are denied."""

    start: int
    end: int
    answers: tuple[str, ...] | None


def final_answers(text: str) -> tuple[str, ...] | None:
    """Return the answer of a text, its parts or alternatives; () if denied, None if not stated."""
    found = statements(text)
    end = text[-TEXT_CHARACTERS:].rstrip()
    for _ in range(0 if found else 3):  # lines
        if last := _last_line(end):
            found = [last]
            break
        end = end[: max(0, end.rfind("\n"))].rstrip()
    if not found:
        return None
    # The last statement that is not denied, with those shortly before that nothing takes back.
    known = [statement for statement in found if statement.answers is not None]
    answers = list(known[-1].answers or ()) if known else []
    for earlier, later in reversed(list(pairwise(known))):
        if not reading.together(text[earlier.end : later.start]):
            break
        answers = [*(earlier.answers or ()), *answers]
    return tuple(answers)


def statements(text: str) -> list[Statement]:
    """Find all places at which a text says that something is its answer, in order."""
    marks = reading.marked(text)
    found = [Statement(mark.start, mark.end, _of_mark(text, mark)) for mark in marks]
    tagged = max((mark.end for mark in marks if mark.is_tag), default=0)
    begin = max(tagged, len(text) - TEXT_CHARACTERS)
    cues = list(CUE.finditer(text, begin))
    ends = [*(match.start() for match in cues[1:]), len(text)]
    for cue, end in zip(cues, ends, strict=False):
        until = min(end, cue.end() + 300)
        said = _after_cue(text, cue, until, words=until < end or end == len(text))
        # Where there is a box, other sentences about an answer count only if they end with it.
        boxed = any(cue.start() <= box.start <= cue.end() + 200 for box in marks)
        if said and not boxed and (not found or CLOSES.match(text[said.end : said.end + 40])):
            found.append(said)
    found.sort(key=lambda statement: statement.start)
    opening = FIRST_NUMBER.match(text)
    if opening and found and 0 <= found[0].start - opening.end() <= 12:
        found.insert(0, Statement(0, opening.end(), (opening["number"],)))
    return found


def _of_mark(text: str, mark: reading.Mark) -> tuple[str, ...] | None:
    """Return what the text of a tag states, or a box with what 'or' adds before and behind it."""
    if mark.is_tag:
        inside = final_answers(mark.content) if mark.content.strip() else None
        return (mark.content.strip(),) if inside is None else inside or None
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
    """Tell whether what stands around an answer says that it is none."""
    before = before[-reading.NEIGHBOURHOOD_CHARACTERS :]
    behind = behind[: reading.NEIGHBOURHOOD_CHARACTERS].lstrip("$\\)] ")
    return bool(REJECTED.search(before) or reading.REJECTED_AFTER.match(behind))


def _after_cue(text: str, cue: re.Match, until: int, words: bool) -> Statement | None:
    """Return the first thing that is said behind 'the answer is', with its alternatives."""
    rest = text[cue.end() : until]
    groups, kept = _groups(rest, words, cue[0])
    if not groups:
        return None
    if not kept:
        return Statement(cue.start(), cue.end() + groups[0][-1][1], None)
    chosen = kept[0]
    for of in kept[1:]:
        if reading.RETRACTION.search(rest[chosen[-1][1] : of[0][0]]):
            chosen = of
    end = cue.end() + chosen[-1][1]
    return Statement(cue.start(), end, tuple(said for _, _, said in chosen))


def _last_line(text: str) -> Statement | None:
    """Return the last thing on the last line of a text, with its alternatives."""
    text = text.rstrip()
    begin = text.rfind("\n") + 1
    for match in SPAN.finditer(text):
        if match.start() < begin < match.end():
            begin = text.rfind("\n", 0, match.start()) + 1
    line = text[begin:]
    groups, kept = _groups(line, words="\n" not in text and len(bare(line).split()) == 1)
    if not groups:
        return None
    if not kept:
        return Statement(begin, len(text), None)
    answers = tuple(said for _, _, said in kept[-1])
    opening = FIRST_NUMBER.match(text)
    if opening and opening.end() == begin and len(text) - begin <= reading.BETWEEN_CHARACTERS:
        answers = (opening["number"], *answers)
    return Statement(begin, len(text), answers)


def _groups(text: str, words: bool, cue: str = "") -> tuple[list[Group], list[Group]]:
    """Group the candidates, parts of one list and alternatives together; and those not denied."""
    candidates = _candidates(text, words)
    groups = [candidates[:1]] if candidates else []
    for left, right in pairwise(candidates):
        between = text[left[1] : right[0]]
        near = len(between) <= reading.BETWEEN_CHARACTERS
        if near and (SEPARATOR.fullmatch(between) or reading.DOUBT.search(between)):
            groups[-1].append(right)
        else:
            groups.append([right])
    kept = [of for of in groups if not _rejected(cue + text[: of[0][0]], text[of[-1][1] :])]
    return groups, kept


def _candidates(rest: str, words: bool) -> list[tuple[int, int, str]]:
    """List what may be an answer: formulas, else the sentence, else its numbers."""
    start = len(rest) - len(rest.lstrip(" \n\t*_`:"))
    sentence = SENTENCE.match(rest, start)
    end = sentence.end("said") if sentence else start
    spans = [
        (match.start(), match.end(), part)
        for match in SPAN.finditer(rest)
        for part in filter(None, match.groups())
        if not PROSE.search(part)
    ]
    if spans and spans[0][0] <= end:
        return spans
    said = bare(rest[start:end])
    start = rest.find(said) if said else 0
    formula = FORMULA.fullmatch(said) and not LONG_WORD.search(said)
    if (formula and any(map(str.isdigit, said))) or CHOICE.fullmatch(said):
        stop = start + len(said)
        later = [(left + stop, right + stop, one) for left, right, one in _numbers(rest[stop:])]
        return [(start, stop, said), *later]
    numbers = _numbers(rest)
    if numbers and (numbers[0][0] <= end or not words):
        return numbers
    if said and (formula or (words and len(said) <= reading.BETWEEN_CHARACTERS)):
        return [(start, start + len(said), said)]
    return []


def _numbers(text: str) -> list[tuple[int, int, str]]:
    return [
        (match.start(), match.end(), match["number"] + ("%" if match["percent"] else ""))
        for match in NUMBER.finditer(text)
    ]


def spelled(text: str) -> str:
    """Write ``text`` in one spelling; spaces are kept, as '1 1/2' and '11/2' differ."""
    for sign in set(VULGAR.findall(text)):
        above, below = unicodedata.normalize("NFKC", sign).split("\u2044")
        text = text.replace(sign, f"\\frac{{{above}}}{{{below}}}")
    text = ROOT.sub(lambda match: f"\\sqrt{{{match['inner'] or match['token']}}}", text)
    text = RAISED.sub(lambda match: f"^{{{unicodedata.normalize('NFKC', match[0])}}}", text)
    text = LOWERED.sub(lambda match: f"_{{{unicodedata.normalize('NFKC', match[0])}}}", text)
    text = text.translate(CHARACTERS)
    text = GROUPED.sub(lambda match: re.sub(r"\D+", "", match[0]), text)
    for pattern, replacement in SPELLINGS:
        text = pattern.sub(replacement, text)
    if TRIGONOMETRY.search(text):
        text = DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    return text.strip()


def bare(text: str) -> str:
    """Strip an answer of the signs of mathematics, the markup and the full stop around it."""
    before = None
    while before != text:
        before = text
        text = text.strip(" \n\t*`").removesuffix("\\").rstrip(" \n\t*`")
        if text.endswith(".") and not text.endswith(".."):
            text = text[:-1]
        for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
            inner = text[len(opening) : -len(closing)]
            alone = text.startswith(opening) and text.endswith(closing) and len(inner) > 0
            if alone and len(text) > 2 * len(opening) and opening not in inner and "$" not in inner:
                text = inner
    return text


def in_brackets(text: str) -> tuple[str, str]:
    """Return the brackets around a whole text, and what is inside."""
    pieces = PIECE.findall(text)
    if len(pieces) < 3 or pieces[0] not in OPENING or pieces[-1] not in CLOSING:
        return "", text
    depth = 0
    for index, piece in enumerate(pieces):
        depth += (piece in OPENING) - (piece in CLOSING)
        if depth == 0 and index < len(pieces) - 1:
            return "", text
    inside = "".join(pieces[1:-1])
    if pieces[0] == "{":
        return in_brackets(inside.strip())
    opening = "(" if pieces[0] == "\\langle" else pieces[0]
    closing = ")" if pieces[-1] == "\\rangle" else pieces[-1]
    return opening + closing, inside


def outside(text: str) -> str:
    """Return ``text`` without what stands in brackets."""
    depth, found = 0, []
    for piece in PIECE.findall(text):
        depth -= piece in CLOSING
        if depth == 0:
            found.append(piece)
        depth += piece in OPENING
    return "".join(found)


def split(text: str, signs: str = ",;", words: bool = True) -> list[str]:
    """Split at signs, 'and' and 'or' outside of brackets."""
    depth, parts = 0, [""]
    # In '1,234, 5,678' only commas before a space separate.
    grouped = bool(COMMA_GROUPED.search(text)) and ", " in text
    pieces = PIECE.findall(text)
    for piece, following in zip(pieces, [*pieces[1:], " "], strict=False):
        depth += (piece in OPENING) - (piece in CLOSING)
        word = words and piece.strip() in ("and", "or") and len(piece) > 3
        sign = piece in signs and not (piece == "," and grouped and not following.startswith(" "))
        if depth != 0 or not (word or sign):
            parts[-1] += piece
        elif sign or parts[-1].strip():  # 'a, and b'
            parts.append("")
    return parts
