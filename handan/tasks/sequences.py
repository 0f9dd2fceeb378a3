"""Sequences of which a part is left out: '1, 2, \\ldots, n'."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise

from handan.tasks import closed_forms
from handan.tasks.notation import in_brackets, outside, split
from handan.tasks.scalars import squeezed

DOTS = "\\ldots"
# Whether two terms are the same; None if that is not certain.
Same = Callable[[str, str], bool | None]


def every(verdicts: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    found: bool | None = True
    for verdict in verdicts:
        if verdict is False:
            return False
        found = None if verdict is None else found
    return found


def same_sequence(right: str, given: str, same: Same) -> bool | None:
    """Sequences of which a part is left out, by the terms that are given."""
    first, second = _around_dots(right), _around_dots(given)
    if DOTS not in given:
        first, second = second, first
    (a_sign, a_begin, a_end), (b_sign, b_begin, b_end) = first, second
    if a_sign != b_sign:
        return False
    if a_end is None:
        # All terms against a part of them.
        if b_end is None or len(b_begin) < 2 or not b_end or not _one_law(a_begin):
            return False
        a_end = a_begin[-len(b_end) :]
    elif b_end is None or len(a_end) != len(b_end):
        return False
    elif len(a_begin) != len(b_begin):
        shorter, longer = sorted((a_begin, b_begin), key=len)
        # Two terms show a difference, three a factor.
        if len(shorter) < 2 or not _one_law(longer, factor=len(shorter) > 2):
            return False
    terms = [*zip(a_begin, b_begin, strict=False), *zip(a_end, b_end, strict=True)]
    return every(same(x, y) for x, y in terms)


def _around_dots(text: str) -> tuple[str, list[str], list[str] | None]:
    """Separator, terms before the dots, and terms after them (None without dots)."""
    text = in_brackets(text.strip())[1]
    separator = next((sign for sign in ",;:+" if sign in outside(text)), ",")
    terms = [term.strip() for term in split(text, separator)]
    if terms.count(DOTS) != 1:
        return separator, terms, None
    at = terms.index(DOTS)
    return separator, terms[:at], [term for term in terms[at + 1 :] if term]


def _one_law(terms: list[str], factor: bool = False) -> bool:
    """Whether terms grow by one difference, or by one factor if that may be."""
    values = [closed_forms.value(squeezed(term)) for term in terms]
    known = [value for value in values if isinstance(value, Fraction)]
    if len(known) < max(3, len(values)):
        return False
    differences = {y - x for x, y in pairwise(known)}
    if len(differences) == 1:
        return True
    return factor and all(known) and len({y / x for x, y in pairwise(known)}) == 1
