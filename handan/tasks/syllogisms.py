"""The 64 classic syllogisms with nine conclusions to choose from, and their logic.

A syllogism is named by its moods (A 'All x are y', I 'Some', E 'No', O 'Some are not') and figure,
e.g. ``AI3``; a is the end term of the first premise, c that of the second, b the middle term
(Khemlani & Johnson-Laird, 2012). A conclusion is right if it holds in every model of the premises,
a set of existing types of individuals with an instance of each term: 27 syllogisms have one.
"""

import re
from functools import cache
from itertools import compress, product

from handan.tasks.answers import Stated, grader
from handan.tasks.base import Item, Task
from handan.tasks.wording import PROFESSIONS, TWO_PREMISES, in_both_orders, three_terms, worded

MOODS = "AIEO"
FIGURES = {1: ("ab", "bc"), 2: ("ba", "cb"), 3: ("ab", "cb"), 4: ("ba", "bc")}
SENTENCES = {
    "A": "All {x} are {y}", "I": "Some {x} are {y}",
    "E": "No {x} are {y}", "O": "Some {x} are not {y}",
}  # fmt: skip
NO_CONCLUSION = "No valid conclusion"
CODES = [f"{one}{two}{figure}" for one, two, figure in product(MOODS, MOODS, FIGURES)]
CONCLUSIONS = [mood + terms for mood in MOODS for terms in ("ac", "ca")]

Statement = str  # a mood and two terms, e.g. 'Aab' for 'All a are b'
TYPES = [frozenset(compress("abc", row)) for row in product((0, 1), repeat=3)]


def holds(statement: Statement, model: list[frozenset[str]]) -> bool:
    """Tell whether a statement is true in a model, a list of existing individuals."""
    mood, subject, predicate = tuple(statement)
    has = [predicate in individual for individual in model if subject in individual]
    return {"A": all(has), "I": any(has), "E": not any(has), "O": not all(has)}[mood]


@cache
def models() -> list[list[frozenset[str]]]:
    """List all sets of the eight types in which each of a, b and c has an instance."""
    subsets = (list(compress(TYPES, row)) for row in product((0, 1), repeat=8))
    return [subset for subset in subsets if all(any(term in t for t in subset) for term in "abc")]


def entails(premises: tuple[Statement, Statement], conclusion: Statement) -> bool:
    """Tell whether the conclusion holds in every model in which both premises hold."""
    true_in = (model for model in models() if all(holds(p, model) for p in premises))
    return all(holds(conclusion, model) for model in true_in)


def premises_of(code: str) -> tuple[Statement, Statement]:
    """Return the two premises of a syllogism, e.g. ('Aab', 'Icb') for ``AI3``."""
    first, second = FIGURES[int(code[2])]
    return code[0] + first, code[1] + second


@cache
def valid_conclusions(code: str) -> tuple[Statement, ...]:
    """List the valid conclusions of a syllogism among the eight from a to c or c to a."""
    return tuple(c for c in CONCLUSIONS if entails(premises_of(code), c))


def sentence(statement: Statement, terms: dict[str, str]) -> str:
    """Write a statement in words, without a full stop."""
    mood, subject, predicate = tuple(statement)
    return SENTENCES[mood].format(x=terms[subject], y=terms[predicate])


def terms_of(code: str) -> dict[str, str]:
    """Return the professions that stand for a, b and c: neutral, and fixed by the code."""
    return dict(zip("abc", three_terms(PROFESSIONS, CODES.index(code)), strict=True))


def make_item(code: str) -> Item:
    """Make the item of a syllogism; its answer lists all right conclusions."""
    terms, valid = terms_of(code), valid_conclusions(code)
    options = [sentence(c, terms) for c in CONCLUSIONS] + [NO_CONCLUSION]
    question = (
        "Take these two statements to be true:\n"
        + "\n".join(f"{sentence(premise, terms)}." for premise in premises_of(code))
        + f"\n\nWhich conclusion about {terms['a']} and {terms['c']} follows with logical "
        "necessity? There are some people of each profession. Choose one of:\n"
        + "\n".join(f"{option}." for option in options)
        + "\n\nAnswer with the chosen conclusion only, word for word."
    )
    covariates = {
        "figure": int(code[2]), "negative_premises": sum(mood in "EO" for mood in code[:2]),
        "particular_premises": sum(mood in "IO" for mood in code[:2]),
        "valid_conclusions": len(valid),
    }  # fmt: skip
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
    a, c = (terms[term] for term in "ac")
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
        x, y = ("a" if match[end].lower().startswith(a[:-1]) else "c" for end in "xy")
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
