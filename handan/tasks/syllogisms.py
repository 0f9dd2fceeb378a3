"""The 64 classic syllogisms with nine conclusions to choose from, and their logic.

A syllogism is named by its moods (A 'All x are y', I 'Some', E 'No', O 'Some are not') and figure,
e.g. ``AI3``; a is the end term of the first premise, c that of the second, b the middle term
(Khemlani & Johnson-Laird, 2012). A conclusion is right if it holds in every model of the premises,
a set of existing kinds of individuals with an instance of each term: 27 syllogisms have one.
Chains, which nobody was given, are named by moods and terms of their premises: ``AIE:ab,cb,cd``.
"""

import random
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import compress, product

from handan.tasks.answers import Stated, grader
from handan.tasks.base import Item, Task
from handan.tasks.wording import (
    FRESH_PROFESSIONS,
    NUMBERS,
    PROFESSIONS,
    TWO_PREMISES,
    in_both_orders,
    three_terms,
    worded,
)

MOODS = "AIEO"
FIGURES = {1: ("ab", "bc"), 2: ("ba", "cb"), 3: ("ab", "cb"), 4: ("ba", "bc")}
SENTENCES = {
    "A": "All {x} are {y}", "I": "Some {x} are {y}",
    "E": "No {x} are {y}", "O": "Some {x} are not {y}",
}  # fmt: skip
NO_CONCLUSION = "No valid conclusion"
CODES = [f"{one}{two}{figure}" for one, two, figure in product(MOODS, MOODS, FIGURES)]

Statement = str  # a mood and two terms, e.g. 'Aab' for 'All a are b'
Kind = frozenset[str]  # of individuals: all terms that they are
Demand = tuple[Kind, Kind]  # of an individual: the terms it is, and those it is not
CONTRADICTORY = {"A": "O", "O": "A", "E": "I", "I": "E"}


@cache
def kinds(terms: str) -> list[Kind]:
    """List all kinds of individuals, those of few terms first."""
    rows = product((0, 1), repeat=len(terms))
    return sorted((frozenset(compress(terms, row)) for row in rows), key=len)


def letters(statements: Iterable[Statement]) -> str:
    """Return the terms of statements, in order."""
    return "".join(sorted({term for statement in statements for term in statement[1:]}))


def opposite(statement: Statement) -> Statement:
    """Return the statement that is true wherever this one is false."""
    return CONTRADICTORY[statement[0]] + statement[1:]


def forbids(statement: Statement, kind: Kind) -> bool:
    """Tell whether a statement lets no individual of a kind exist: I and O never do."""
    mood, subject, predicate = tuple(statement)
    return mood in "AE" and subject in kind and (predicate in kind) == (mood == "E")


def demands(statements: Sequence[Statement]) -> list[Demand]:
    """List what must exist: an instance of each term, and one of each I and O."""
    found = [(frozenset(term), frozenset("")) for term in letters(statements)]
    for mood, subject, predicate in map(tuple, statements):
        if mood in "IO":
            is_, is_not = (subject + predicate, "") if mood == "I" else (subject, predicate)
            found.append((frozenset(is_), frozenset(is_not)))
    return found


def meeting(demand: Demand, statements: Sequence[Statement]) -> list[Kind]:
    """List the kinds that meet a demand, whether or not the statements forbid them."""
    return [kind for kind in kinds(letters(statements)) if _meets(kind, demand)]


def _meets(kind: Kind, demand: Demand) -> bool:
    return demand[0] <= kind and not demand[1] & kind


def holds(statement: Statement, model: Iterable[Kind]) -> bool:
    """Tell whether a statement is true of these individuals."""
    if statement[0] in "AE":
        return not any(forbids(statement, kind) for kind in model)
    return not holds(opposite(statement), model)


def find_model(statements: Sequence[Statement]) -> list[Kind] | None:
    """Find individuals of whom all statements are true, or None.

    There are some unless a demand is met by no kind that is allowed: individuals do not exclude
    one another.
    """
    allowed = [
        kind
        for kind in kinds(letters(statements))
        if not any(forbids(statement, kind) for statement in statements)
    ]
    model: dict[Kind, None] = {}
    for demand in demands(statements):
        if (kind := next((k for k in allowed if _meets(k, demand)), None)) is None:
            return None
        model[kind] = None
    return list(model)


def entails(premises: Sequence[Statement], conclusion: Statement) -> bool:
    """Tell whether the conclusion holds in every model in which all premises hold."""
    return find_model((*premises, opposite(conclusion))) is None


def conclusions(first: str, last: str) -> list[Statement]:
    """List the eight conclusions about two terms, in the order in which they are offered."""
    return [mood + terms for mood in MOODS for terms in (first + last, last + first)]


CONCLUSIONS = conclusions("a", "c")


def premises_of(code: str) -> tuple[Statement, ...]:
    """Return the premises of a syllogism, e.g. ('Aab', 'Icb') for ``AI3``, or of a chain."""
    moods, _, orders = code.partition(":")
    pairs = orders.split(",") if orders else FIGURES[int(code[2])]
    return tuple(mood + pair for mood, pair in zip(moods, pairs, strict=False))


@cache
def offered_conclusions(code: str) -> tuple[Statement, ...]:
    """List the eight conclusions about the end terms, in the order of the question."""
    terms = letters(premises_of(code))
    return tuple(conclusions(terms[0], terms[-1]))


@cache
def valid_conclusions(code: str) -> tuple[Statement, ...]:
    """List the valid ones of a syllogism's or a chain's eight conclusions."""
    return tuple(c for c in offered_conclusions(code) if entails(premises_of(code), c))


def sentence(statement: Statement, terms: dict[str, str]) -> str:
    """Write a statement in words, without a full stop."""
    mood, subject, predicate = tuple(statement)
    return SENTENCES[mood].format(x=terms[subject], y=terms[predicate])


def terms_of(code: str) -> dict[str, str]:
    """Return the professions that stand for the terms: neutral, and fixed by the code."""
    if code in CODES:
        return dict(zip("abc", three_terms(PROFESSIONS, CODES.index(code)), strict=True))
    terms = letters(premises_of(code))
    return dict(zip(terms, random.Random(code).sample(FRESH_PROFESSIONS, len(terms)), strict=True))


def make_item(code: str) -> Item:
    """Make the item of a syllogism or a chain; its answer lists all right conclusions."""
    terms, premises, valid = terms_of(code), premises_of(code), valid_conclusions(code)
    options = [sentence(c, terms) for c in offered_conclusions(code)] + [NO_CONCLUSION]
    first, *_, last = terms.values()
    question = (
        f"Take these {NUMBERS[len(premises)]} statements to be true:\n"
        + "\n".join(f"{sentence(premise, terms)}." for premise in premises)
        + f"\n\nWhich conclusion about {first} and {last} follows with logical "
        "necessity? There are some people of each profession. Choose one of:\n"
        + "\n".join(f"{option}." for option in options)
        + "\n\nAnswer with the chosen conclusion only, word for word."
    )
    moods = [premise[0] for premise in premises]
    covariates = {
        "negative_premises": sum(mood in "EO" for mood in moods),
        "particular_premises": sum(mood in "IO" for mood in moods),
        "valid_conclusions": len(valid),
    }
    if code in CODES:
        covariates = {"figure": int(code[2]), **covariates}
    answer = " | ".join(sentence(c, terms) for c in valid) or NO_CONCLUSION
    return worded("syllogisms", code, question, answer, **covariates)


NO_VALID_CONCLUSION = (
    r"\bno (?:(?:valid|definite|logical|necessary|such) )*conclusions?\b|\bNVC\b"
    r"|\bnothing (?:\w+ ){0,3}follows\b|\bnone of (?:the|these) (?:\w+ ){0,2}(?:above|conclusions"
    r"|options|statements|choices)\b"
)
QUANTIFIERS = {
    "A": r"all|every|each", "I": r"some|at least (?:one|some)",
    "E": r"no|none", "O": r"not all|not every",
}  # fmt: skip


def find_conclusions(item: Item, text: str) -> list[Stated]:
    """Find all conclusions about the end terms, as sentences of the item."""
    terms = terms_of(item.key)
    (first, a), *_, (last, c) = terms.items()
    noun = rf"{a[:-1]}s?|{c[:-1]}s?"
    quantifier = "|".join(rf"(?P<{mood}>{words})" for mood, words in reversed(QUANTIFIERS.items()))
    copula = r"is|are|can be|(?P<not>aren't|isn't|cannot be|(?:are|is|can) not(?: be)?)"
    pattern = (
        rf"\b(?:{quantifier})(?: of)?(?: the)? (?P<x>{noun}) (?:{copula})"
        rf"(?: (?:an?|also|the|any))* (?P<y>{noun})\b|{NO_VALID_CONCLUSION}"
    )
    found = []
    # A sentence may be broken over lines.
    for match in re.finditer(pattern.replace(" ", r"\s{1,3}"), text, re.IGNORECASE):
        if match["x"] is None:
            found.append(Stated(match.start(), match.end(), NO_CONCLUSION))
            continue
        x, y = (first if match[end].lower().startswith(a[:-1]) else last for end in "xy")
        mood = next(m for m in QUANTIFIERS if match[m] is not None)
        if match["not"] is not None:
            # 'All x are not y' has two readings and 'No x are not y' is no option.
            mood = "O" if mood == "I" else "?"
        if x != y and mood != "?":
            found.append(Stated(match.start(), match.end(), sentence(mood + x + y, terms)))
    return found


def paraphrases(item: Item) -> list[str]:
    """Word the item as exercise books and data sets do."""
    terms = terms_of(item.key)
    single = {letter: noun[:-1] for letter, noun in terms.items()}
    singular = {
        "A": "Every {x} is a {y}", "I": "Some {x} is a {y}",
        "E": "No {x} is a {y}", "O": "Some {x} is not a {y}",
    }  # fmt: skip
    premises = premises_of(item.key)
    plural = [sentence(premise, terms) for premise in premises]
    other = [singular[mood].format(x=single[x], y=single[y]) for mood, x, y in map(tuple, premises)]
    return [form for one, two in (plural, other) for form in in_both_orders(one, two, TWO_PREMISES)]


grade = grader(find_conclusions)
TASK = Task("syllogisms", lambda: list(map(make_item, CODES)), grade, paraphrases, 902)
