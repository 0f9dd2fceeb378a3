"""Recognise evaluation items and near duplicates among training prompts (docs/traces.md)."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from handan.tasks import binary, evaluation_items, wordings
from handan.tasks.base import Item, Task, base_task
from handan.tasks.digits import DIGIT_TASKS
from handan.tasks.wording import words

NUMERAL = re.compile(r"[01]+")
# What may stand between two operands, or between 'subtract 0011 from 0101'.
OPERATORS = {of.symbol for of in binary.OPERATIONS.values()} - {"*"} | {binary.TIMES}
CONNECTIVES = {"and", "from", "by", "to", "with", "into"}
FILLERS = {"the", "binary", "number", "numbers"}
BINARY_CUE = re.compile(
    r"\bbinary\b|\bbase[- ]?(?:2|two)\b|[01]\)?_\{?\(?2\b|\u2082|\b0b[01]", re.I
)
EQUATION_CUE = {"true", "false", "correct", "incorrect", "right", "wrong", "verify", "valid"}

LEAST_WORDS = 4  # of a question that is recognised within a longer prompt
SHINGLE_WORDS = 3
NUM_PERMUTATIONS = 128  # similarity is estimated within about .09 (one standard error, at .5)


@cache
def _whole() -> dict[tuple[str, ...], Item]:
    return {tuple(words(text)): item for item in evaluation_items() for text in wordings(item)}


@cache
def _operands() -> dict[tuple[str | None, int, int], Item]:
    """Items by operation and operands; with None for the operation, by operands alone."""
    out: dict[tuple[str | None, int, int], Item] = {}
    for item in evaluation_items():
        if base_task(item) in binary.OPERATIONS:
            symbol = binary.operation_of(item).symbol
            a, b = (int(operand, 2) for operand in item.key.split(symbol))
            out[binary.TIMES if symbol == "*" else symbol, a, b] = item
            out.setdefault((None, a, b), item)
    return out


@cache
def _equations() -> dict[tuple[str, ...], Item]:
    """Items by their two operands and the equals sign, whatever result is shown."""
    items = (item for item in evaluation_items() if base_task(item) in DIGIT_TASKS)
    return {tuple(words(item.key)[:4]): item for item in items}


@cache
def _ngrams(n: int) -> dict[tuple[str, ...], Item]:
    """Runs of ``n`` words that occur in one item and in no other item of its task.

    Arithmetic is left out: 'answer with the result as a binary number' after the second operand
    occurs in few items, and yet says nothing about the first.
    """
    arithmetic = {*binary.BINARY_TASKS, *DIGIT_TASKS}
    owner: dict[tuple[str, tuple[str, ...]], Item | None] = {}
    for item in evaluation_items():
        for text in () if base_task(item) in arithmetic else wordings(item):
            for gram in _runs(words(text), n):
                if owner.setdefault((item.task, gram), item) is not item:
                    owner[item.task, gram] = None
    return {gram: item for (_, gram), item in owner.items() if item is not None}


def _runs(of: list[str], n: int) -> Iterable[tuple[str, ...]]:
    return (tuple(of[i : i + n]) for i in range(len(of) - n + 1))


def contaminated(question: str, ngram: int | None = None) -> tuple[str, Item] | None:
    """Give the reason why a prompt must not be trained on and the item it matches, or None; runs of
    ``ngram`` words are compared too."""
    of = words(question)
    if item := _whole().get(tuple(of)):
        return "same_question", item
    if item := _sum_in(of, bool(BINARY_CUE.search(question))):
        return "same_sum", item
    # A prompt of so few words around an equation asks about it.
    if len(of) <= 12 or EQUATION_CUE & set(of):
        for problem in _runs(of, 4):
            if item := _equations().get(problem):
                return "same_sum", item
    if ngram is not None:
        for gram in _runs(of, ngram):
            if item := _ngrams(ngram).get(gram):
                return "shared_ngram", item
    return None


class OwnItems:
    """The items of tasks of one's own, which a prompt may ask with another instruction."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.items = [(task, item) for task in tasks for item in task.items()]
        self.by_words = {
            tuple(words(text)): item
            for task, item in self.items
            for text in (item.question, *task.paraphrases(item))
        }
        self.lengths = {len(of) for of in self.by_words if len(of) >= LEAST_WORDS}

    def match(self, question: str) -> Item | None:
        """Return the item that a prompt asks: alone, or with a word before or behind it."""
        of = tuple(words(question))
        parts = [of]
        for length in (length for length in self.lengths if length < len(of)):
            # A number or operator next to it makes it another problem.
            parts += [of[:length]] if of[length].isalpha() else []
            parts += [of[-length:]] if of[-length - 1].isalpha() else []
        return next((self.by_words[part] for part in parts if part in self.by_words), None)


def _sum_in(of: list[str], speaks_of_binary: bool) -> Item | None:
    """The item whose two operands stand in a prompt next to each other.

    A numeral of four bits with a zero in front is no decimal. Others are, unless the prompt speaks
    of binary numbers, or two four-bit numerals stand around an operator.
    """
    of = [word for word in of if word not in FILLERS]
    for a, between, b in _runs(of, 3):
        operator = between in OPERATORS
        joined = operator or between in CONNECTIVES
        if not (joined and NUMERAL.fullmatch(a) and NUMERAL.fullmatch(b)):
            continue
        padded = len(a) >= binary.BITS <= len(b)
        if speaks_of_binary or (padded and ("0" in (a[0], b[0]) or operator)):
            x, y = int(a, 2), int(b, 2)
            for key in [(between, x, y)] if operator else [(None, x, y), (None, y, x)]:
                if item := _operands().get(key):
                    return item
    return None


def numbers_in(text: str) -> tuple[str, ...]:
    """The numbers of a text, sorted."""
    return tuple(sorted(re.findall(r"\d+", text)))


class NearDuplicates:
    """Remember texts, and tell which resemble one seen before by Jaccard; None finds none."""

    def __init__(self, similarity: float | None) -> None:
        from datasketch import MinHashLSH

        self.similarity = similarity
        self.seen: dict[str, tuple[Any, Any]] = {}
        self.index = None
        if similarity is not None:
            self.index = MinHashLSH(threshold=similarity, num_perm=NUM_PERMUTATIONS)

    def match(self, key: str, text: str, label: Any) -> str | None:
        """Key of a near duplicate with an equal label; without one, remember this text."""
        if self.index is None:
            return None
        from datasketch import MinHash

        found = text.casefold().split()  # all of them are one run if they are fewer
        last = max(1, len(found) - SHINGLE_WORDS + 1)
        shingles = {" ".join(found[i : i + SHINGLE_WORDS]) for i in range(last)}
        sketch = MinHash(num_perm=NUM_PERMUTATIONS)
        sketch.update_batch([shingle.encode() for shingle in shingles])
        # The index proposes; the estimate decides, since the index has a soft threshold.
        for other in sorted(self.index.query(sketch)):
            before, its_label = self.seen[other]
            if its_label == label and sketch.jaccard(before) >= self.similarity:
                return other
        self.index.insert(key, sketch)
        self.seen[key] = (sketch, label)
        return None
