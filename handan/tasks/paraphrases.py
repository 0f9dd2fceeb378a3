"""Other wordings of the items people were given, to recognise them among training prompts.

A handful per item, as exercise books and data sets put such problems. They are compared word by
word after ``words`` has taken layout, LaTeX and the spelling of operators away.
"""

import re
import unicodedata

from handan import tasks
from handan.tasks.answers import plain
from handan.tasks.base import Item

SPELLED = [
    (re.compile(r"\bdivided by\b|÷"), "/"),
    (re.compile(r"\bmultiplied by\b|\btimes\b|\*|\bx(?= ?\d)"), "\N{MULTIPLICATION SIGN}"),
    (re.compile(r"\bplus\b"), "+"),
    (re.compile(r"\bminus\b"), "-"),
    (re.compile(r"\b(?:mod|modulo)\b"), "%"),
    (re.compile(r"\bequals?\b(?: to\b)?"), "="),
]
# A numeral's base, as prefix or subscript; the words 'binary' and 'base 2' stay.
BASE = re.compile(r"\b0b(?=[01])|(?<=[01])\)?_\(?2\b\)?")
WORD = re.compile(r"[^\W_]+|[-+%/=<>\N{MULTIPLICATION SIGN}]")


def words(text: str) -> list[str]:
    """Words, numbers and operators of a text, in one spelling, without punctuation."""
    text = " ".join(unicodedata.normalize("NFKC", plain(text)).casefold().split())
    text = BASE.sub("", text)
    for pattern, symbol in SPELLED:
        text = pattern.sub(f" {symbol} ", text)
    return WORD.findall(text)


def wordings(item: Item) -> list[str]:
    """The question of an item, and its task's other wordings of it, as many for every item."""
    return [item.question, *tasks.load(item.task).paraphrases(item)]


def human_items() -> list[Item]:
    """Every item that people were given, of all tasks."""
    return [item for task in tasks.TASKS.values() for item in task.items()]
