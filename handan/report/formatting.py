"""Numbers and names as a report writes them. Signs are kept; what is unknown is a dash."""

import re
from collections.abc import Sequence

from handan.escaping import TIE, plain
from handan.table_formats import decimal

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def correlation(value: float | None, digits: int = 2) -> str:
    """'.32' or '1.00'; a real minus sign in front of negative values."""
    return UNKNOWN if value is None else decimal(value, digits).replace("-", MINUS)


def bounds(interval: Sequence[float] | None) -> str:
    """'[.20, .48]'."""
    if interval is None:
        return UNKNOWN
    return f"[{correlation(interval[0])},{TIE}{correlation(interval[1])}]"


def estimate(value: float | None, interval: Sequence[float] | None) -> str:
    """'.34 [.20, .48]'."""
    return f"{correlation(value)} {bounds(interval)}"


def percent(share: float | None) -> str:
    """'84 %', with a decimal below ten percent: '0.4 %'."""
    if share is None:
        return UNKNOWN
    value = 100 * share
    return f"{value:.{1 if 0 < value < 10 else 0}f}{TIE}%"


def count(value: float | None) -> str:
    """'528,250'."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def number(value: float | None, digits: int = 1) -> str:
    """'30.9'; thousands are separated."""
    return UNKNOWN if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def hundredths(value: float | None) -> str:
    """'2.44'."""
    return number(value, 2)


def scientific(value: float | None) -> str:
    """A mantissa and a power of ten, in superscript."""
    if value is None:
        return UNKNOWN
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def p_value(p: float | None) -> str:
    """'p = .012', 'p < .001'."""
    if p is None:
        return "p unknown"
    return "p < .001" if p < 0.001 else f"p = {correlation(p, 2 if p >= 0.1 else 3)}"


def name(task: str) -> str:
    """A task's name in words."""
    return plain(task).replace("_", " ")


def short(text: object, most: int) -> str:
    """At most so many characters of a name, for figures."""
    whole = plain(text).replace("\n", " ")
    return whole if len(whole) <= most else f"{whole[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def tied(text: str) -> str:
    """The text as ``plain`` has it, with 'n = 12' and 'T = 0' kept on one line."""
    return re.sub(r"\b(n|p|r|b|T) = (?=\S)", rf"\1{TIE}={TIE}", plain(text))


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def listing(parts: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
