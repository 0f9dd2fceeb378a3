"""What a claim requires before it can come true or false, and whether the numbers meet it.

A student cannot lose what its teacher had no more of than their base, and lengths that did not
grow say nothing about how they grow. A claim whose requirement is not met is not testable: it is
neither reproduced nor refuted. What is compared with ``at_least`` is the estimate itself; its
interval is said beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from handan.report.notation import bounds, correlation, number

NOT_TESTABLE = "not testable here"
# .4 - .3 is a little less than .1 in floating point.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Requirement:
    """What a claim requires of the models that it is about.

    Attributes:
        measure: ``r``, mean alignment of a; ``difference``, that of a less that of b; ``room``,
            the human ceiling less the alignment of a; ``ratio``, tokens of a / those of b.
        a, b: names of models; ``r`` and ``room`` have no b.
        at_least: the least value.
    """

    measure: str
    a: str
    at_least: float
    b: str = ""


# Whether a measure is of two models.
OF_TWO = {"r": False, "difference": True, "room": False, "ratio": True}


class Figure(NamedTuple):
    """An estimate with its interval or range; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Known(NamedTuple):
    """Where the numbers are.

    Attributes:
        r: mean alignment of a model with its interval.
        ratio: tokens of a model / those of another, over items.
        ceiling: mean over the human tasks of the highest r that their response times allow.
        called: a model in words.
    """

    r: Callable[[str], Figure]
    ratio: Callable[[str, str], Figure]
    ceiling: float | None
    called: Callable[[str], str]


def check(required: Requirement, known: Known) -> dict[str, Any]:
    """Whether a requirement is met.

    Returns:
        'measure', 'a', 'b', 'at_least', 'value', 'met' (null where the value is not known) and
        'said', a clause with all numbers.
    """
    value, said = _MEASURES[required.measure](required, known)
    return {
        "measure": required.measure,
        "a": required.a,
        "b": required.b or None,
        "at_least": required.at_least,
        "value": value,
        "met": None if value is None else value >= required.at_least - _ROUNDING,
        "said": said,
    }


def _r(required: Requirement, known: Known) -> tuple[float | None, str]:
    of_a = known.r(required.a)
    least = correlation(required.at_least)
    return of_a.value, f"r of {_shown(required.a, of_a, known)}, where {least} is required"


def _difference(required: Requirement, known: Known) -> tuple[float | None, str]:
    of_a, of_b = known.r(required.a), known.r(required.b)
    value = None if of_a.value is None or of_b.value is None else of_a.value - of_b.value
    shown = f"{_shown(required.a, of_a, known)} less that of {_shown(required.b, of_b, known)}"
    least = correlation(required.at_least)
    return value, f"r of {shown} is {_or_unknown(value)}, where {least} is required"


def _room(required: Requirement, known: Known) -> tuple[float | None, str]:
    of_a, ceiling = known.r(required.a), known.ceiling
    value = None if of_a.value is None or ceiling is None else ceiling - of_a.value
    shown = f"the ceiling {_or_unknown(ceiling)} less r of {_shown(required.a, of_a, known)}"
    least = correlation(required.at_least)
    return value, f"{shown} is {_or_unknown(value)}, where {least} is required"


def _ratio(required: Requirement, known: Known) -> tuple[float | None, str]:
    ratio = known.ratio(required.a, required.b)
    of_a, of_b = known.called(required.a), known.called(required.b)
    times = "an unknown number of" if ratio.value is None else number(ratio.value, 2)
    if ratio.low is not None and ratio.high is not None and ratio.low != ratio.high:
        times += f" ({number(ratio.low, 2)} to {number(ratio.high, 2)})"
    least = number(required.at_least, 2)
    said = f"{of_a} writes {times} times the tokens of {of_b}, where {least} is required"
    return ratio.value, said


_MEASURES = {"r": _r, "difference": _difference, "room": _room, "ratio": _ratio}


def _shown(name: str, figure: Figure, known: Known) -> str:
    """'base (.70 [.65, .75])'."""
    called = known.called(name)
    if figure.value is None:
        return f"{called} (not known)"
    if figure.low is None or figure.high is None:
        return f"{called} ({correlation(figure.value)})"
    return f"{called} ({correlation(figure.value)} {bounds((figure.low, figure.high))})"


def _or_unknown(value: float | None) -> str:
    return "not known" if value is None else correlation(value)
