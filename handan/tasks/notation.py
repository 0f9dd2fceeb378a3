"""One spelling for what is written in many ways, and the parts that brackets and commas make.

Nothing is evaluated here, and every pattern is linear in the text.
"""

import re
import unicodedata
from typing import Any

# ruff: noqa: RUF001 - these characters are what is replaced
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
SIGNS = {
    "−": "-", "–": "-", "‐": "-", "‑": "-", "‒": "-", "﹣": "-", "－": "-", "×": r"\times ",
    "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ",
    "∞": r"\infty ", "°": r"^\circ ", "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "∪": r"\cup ",
    "∩": r"\cap ", "∅": r"\emptyset ", "±": r"\pm ", "…": r"\ldots ", "∈": r"\in ",
    "≈": r"\approx ",
    "％": "%", "，": ",", "；": ";", "：": ":", "（": "(", "）": ")", "＝": "=", "＋": "+",
    "\u2009": r"\,", "\u202f": r"\,", "\u00a0": "~", "\u2062": "", "\u200b": "", "′": "'", "’": "'",
    "⟨": r"\langle ", "⟩": r"\rangle ", "ⅈ": "i", "。": ".",
}  # fmt: skip
CHARACTERS = str.maketrans(SIGNS)
RAISED = re.compile(f"[{''.join(SUPERSCRIPTS)}]+")
LOWERED = re.compile(f"[{''.join(SUBSCRIPTS)}]+")
VULGAR = re.compile("(?P<whole>[0-9]?)(?P<sign>[¼-¾⅐-⅞])")
ROOT = re.compile(r"√\s*(?:\((?P<inner>[^()]*)\)|(?P<token>\d+|[a-z]))")

# A space, a thin space or a comma in braces between groups of three digits; '{,}' too.
GROUP = r"(?:\\,|\\ |\\;|\\:|~| |\{,\}|,?\\!\s*|\{\s*\\,\s*\}|')"
GROUPED = re.compile(rf"(?<![\d.,_])[1-9]\d{{0,2}}(?:{GROUP}\d{{3}})+(?!\d)")
TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
DEGREES = re.compile(r"\{?\(?(\d+(?:\.\d+)?)\)?\}?\s*\^\\circ")
NOT_DIGITS = re.compile(r"\D+")

COMMANDS: list[tuple[str, Any]] = [
    (r"\\(?:left|right|[bB]igg?[lr]?)(?=\s*[()\[\]|.<>]|\s*\\[{}|a-z])\.?", ""),
    (r"\\(?:displaystyle|textstyle|limits|nolimits|hfill|boxed|fbox)(?![a-zA-Z])", ""),
    (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
    (r"\\(?:text(?:bf|it|rm|tt|sf|normal)?|mathrm|mathbf|mathit|mathsf|mathtt|mbox|hbox|emph"
     r"|operatorname)(?![a-zA-Z])\*?\s*", r"\\text"),
    (r"\\[$]|[$€£¥]|\\(?:pounds|euro)(?![a-zA-Z])", ""),
    (r"\\%", "%"),
    (r"(?<!\\)\\[!/]", ""),
    (r"(?<!\\)\\[,;:> ]|~|\\(?:quad|qquad|enspace|thinspace|space)(?![a-zA-Z])"
     r"|\\(?:hspace|phantom)\{[^{}]*\}|\s+", " "),
    (r"\\text\{\s*,?\s*(?P<word>and|or)\s*\}", r" \g<word> "),
    (r"\\text\{([a-zA-Z])\}(?![({])", r"\1"),
    (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))|\\degree(?![a-zA-Z])|\\text\{\s*degrees?\s*\}",
     r"^\\circ"),
    (r"\\(?:l|c)?dots[cbmio]?(?![a-zA-Z])|\.\.\.", r"\\ldots"),
    (r"\\le(?![a-zA-Z])|\\leqslant(?![a-zA-Z])|<=", r"\\leq"),
    (r"\\ge(?![a-zA-Z])|\\geqslant(?![a-zA-Z])|>=", r"\\geq"),
    (r"\\lt(?![a-zA-Z])", "<"),
    (r"\\gt(?![a-zA-Z])", ">"),
    (r"\\ne(?![a-zA-Z])|!=", r"\\neq"),
    (r"\\[lr]brace(?![a-zA-Z])", lambda match: "\\{" if "lb" in match[0] else "\\}"),
    (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset"),
    (r"\\(?:mid|[lr]?vert)(?![a-zA-Z])", "|"),
    (r"(?<=\d) ?[xX] ?(?=10\s*\^)", r"\\times "),
    (r"\*\*(?=\s*[\w({-])", "^"),
    (r"\*", r"\\cdot "),
    (r"(?<![\\a-zA-Z])(sqrt|exp|sin|cos|tan|ln|log|pi|infty|infinity|inf)(?![a-zA-Z])",
     lambda match: {"infinity": "\\infty", "inf": "\\infty"}.get(match[1], f"\\{match[1]}")),
    (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\\sqrt\s*(\d|[a-zA-Z])", r"\\sqrt{\1}"),
    (r"\\frac\s*(\d|[a-zA-Z])\s*(\d|[a-zA-Z])", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\d|[a-zA-Z])\s*\{", r"\\frac{\1}{"),
    (r"(\\frac\s*\{[^{}]*\})\s*(\d|[a-zA-Z])", r"\1{\2}"),
    (r"(?<=\d)\s*percent(?:age)?\b|\\text\{\s*percent\s*\}", "%"),
]  # fmt: skip
OPENING = ("\\{", "\\langle", "(", "[", "{")
CLOSING = ("\\}", "\\rangle", ")", "]", "}")
BRACKETS = {"\\langle": "("}
PIECE = re.compile(r"\\[{}]|\\[a-zA-Z]+|\\.|\s+(?:and|or)\s+|.", re.DOTALL)
COMMA_GROUPED = re.compile(r"\d,\d{3}(?!\d)")
SPELLINGS = [(re.compile(pattern), replacement) for pattern, replacement in COMMANDS]


def _vulgar(match: re.Match) -> str:
    above, below = unicodedata.normalize("NFKC", match["sign"]).split("\u2044")
    return f"{match['whole']}\\frac{{{above}}}{{{below}}}"


def spelled(text: str) -> str:
    """``text`` in one spelling; spaces are kept, as '1 1/2' and '11/2' differ."""
    text = VULGAR.sub(_vulgar, text)
    text = ROOT.sub(lambda match: f"\\sqrt{{{match['inner'] or match['token']}}}", text)
    text = RAISED.sub(lambda m: f"^{{{''.join(SUPERSCRIPTS[c] for c in m[0])}}}", text)
    text = LOWERED.sub(lambda m: f"_{{{''.join(SUBSCRIPTS[c] for c in m[0])}}}", text)
    text = text.translate(CHARACTERS)
    text = GROUPED.sub(lambda match: NOT_DIGITS.sub("", match[0]), text)
    for pattern, replacement in SPELLINGS:
        text = pattern.sub(replacement, text)
    if TRIGONOMETRY.search(text):
        text = DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    return text.strip()


def bare(text: str) -> str:
    """An answer without the signs of mathematics, the markup and the full stop around it."""
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
    """Opening and closing bracket around a whole text, and what is inside."""
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
    opening = BRACKETS.get(pieces[0], pieces[0])
    closing = ")" if pieces[-1] == "\\rangle" else pieces[-1]
    return opening + closing, inside


def outside(text: str) -> str:
    """``text`` without what stands in brackets."""
    depth, found = 0, []
    for piece in PIECE.findall(text):
        depth -= piece in CLOSING
        if depth == 0:
            found.append(piece)
        depth += piece in OPENING
    return "".join(found)


def split(text: str, signs: str = ",;", words: bool = True) -> list[str]:
    """Parts between signs, 'and' and 'or' outside of brackets."""
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
