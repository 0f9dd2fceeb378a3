"""Text of others, safe to show; numbers and tables as text."""

import csv
import html
import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup
from tabulate import tabulate

from handan.errors import UserError, printable

if TYPE_CHECKING:
    import pandas as pd

TIE = "\N{NO-BREAK SPACE}"


def plain(text: object) -> str:
    """Text of others with '?' for control and direction characters; spaces and breaks stay."""
    between = f"[^\n\t{TIE}]+"
    return re.sub(between, lambda part: printable(part[0]), str(text).replace("\r\n", "\n"))


# -- text of others in GitHub's Markdown: it appears as text, whatever is in it --------------------

# Marks with a meaning inside a line; an underscore between letters has none. Then characters that
# HTML and tables need, and those that mean something only after Markdown has been read: dollars
# (mathematics), at and number signs (people, issues), colons and dots in addresses and emoji.
MEANING = re.compile(
    r"(?P<mark>[\\`*\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))"
    r"|(?P<entity>[&<>|])"
    r"|(?P<late>[$@#]|:(?=//|[\w+-]+:)|(?<=www)\.)",
    re.IGNORECASE,
)
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
# At the start of a line, alone or before a space or its like: lists, headings, rules.
LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[-+= ]|$)")


def escape(text: object) -> Markup:
    """The text for Markdown, on one line: it appears as it is, and no character has a meaning."""
    words = re.split(r"[ \t\r\n]+", str(text))
    line = TIE.join(map(printable, " ".join(words).split(TIE))).strip(" ")
    return Markup(LINE_START.sub(r"\1\\\2", MEANING.sub(_without_meaning, line)))


def _without_meaning(found: re.Match) -> str:
    if found["mark"]:
        return f"\\{found[0]}"
    # An element around a late mark takes it out of the text that is searched for such marks.
    return ENTITIES[found[0]] if found["entity"] else f"<span>{found[0]}</span>"


def span(text: object) -> Markup:
    """The text as code within a line; not for tables."""
    line = printable(str(text))
    fence = _fence(line, 1)
    # Backticks at an end would be taken for the fence's.
    room = " " if "`" in line else ""
    return Markup(f"{fence}{room}{line}{room}{fence}")


def block(text: object, language: str = "text") -> Markup:
    """The text as a block of code, its lines kept."""
    lines = "\n".join(printable(line) for line in re.split(r"\r?\n", str(text)))
    fence = _fence(lines, 3)
    return Markup(f"{fence}{language}\n{lines}\n{fence}")


def _fence(text: str, least: int) -> str:
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


# -- tables of results for a terminal, as CSV, Markdown or LaTeX -----------------------------------

# First characters that make a spreadsheet evaluate a cell: an apostrophe goes in front of them
# (OWASP, 'CSV injection').
FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


class Table(NamedTuple):
    """Rows of values under named columns."""

    name: str  # of its files
    title: str  # over it, one sentence
    kinds: dict[str, str]  # header of each column and what is in it: a key of ``FORMATS``
    rows: list[list]  # None where unknown; an 'estimate' is a number and its (low, high) or None
    files_only: tuple[str, ...] = ()  # columns that are left out in a terminal


def decimal(value: float | None, digits: int = 2) -> str:
    """A number as '.32', '-.05', '1.00' or '2.5e+08'; '-' if it is unknown."""
    if value is None:
        return "-"
    if abs(value) >= 1e6:
        return f"{value:.1e}"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("0.", ".", 1) if -1 < float(text) < 1 else text


def interval(bounds: Sequence[float] | None, digits: int = 2) -> str:
    """An interval as '[.20, .48]'; '-' if it is unknown."""
    return "-" if bounds is None else f"[{', '.join(decimal(of, digits) for of in bounds)}]"


def _estimate(value: tuple[float | None, Sequence[float] | None]) -> str:
    number, bounds = value
    digits = 2 if number is None or abs(number) < 10 else 1  # such as tokens
    shown = decimal(number, digits)
    return shown if bounds is None else f"{shown} {interval(bounds, digits)}"


FORMATS: dict[str, Callable] = {
    "text": lambda value: "-" if value is None else str(value),
    "count": lambda value: "" if value is None else str(value),
    "number": decimal,
    "tokens": lambda value: decimal(value, 1),
    "estimate": _estimate,
    "p": lambda value: "<.001" if value is not None and value < 0.001 else decimal(value, 3),
}


def as_text(table: Table) -> str:
    """Aligned columns under the title: text to the left, numbers to the right."""
    short = without(table, table.files_only)
    return f"{table.title}\n{_tabulated(short, printable, 'plain')}"


def known_only(table: Table) -> Table:
    """The table without columns in which nothing is known."""
    unknown = (None, "", (None, None))
    columns = zip(table.kinds, zip(*table.rows, strict=True), strict=True)
    return without(table, [name for name, cells in columns if all(c in unknown for c in cells)])


def without(table: Table, columns: Sequence[str]) -> Table:
    """The table without these columns."""
    kept = [place for place, name in enumerate(table.kinds) if name not in columns]
    kinds = {name: kind for name, kind in table.kinds.items() if name not in columns}
    return table._replace(kinds=kinds, rows=[[row[place] for place in kept] for row in table.rows])


def as_markdown(table: Table) -> str:
    """A table of GitHub's Markdown under its title."""
    return f"{table.title}\n\n{_tabulated(table, escape, 'pipe')}\n"


def as_latex(table: Table) -> str:
    """A tabular of LaTeX with the rules of the package booktabs; the title is a comment."""
    return f"% {table.title}\n{_tabulated(table, printable, 'latex_booktabs')}\n"


def flat(table: Table) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of plain values; an estimate also has '... low' and '... high'."""
    header = list[str]()
    rows = [list[Any]() for _ in table.rows]
    for column, (name, kind) in enumerate(table.kinds.items()):
        header += [name, f"{name} low", f"{name} high"] if kind == "estimate" else [name]
        for row, out in zip(table.rows, rows, strict=True):
            value = row[column]
            out += [value[0], *(value[1] or (None, None))] if kind == "estimate" else [value]
    return header, rows


def data_frame(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> "pd.DataFrame":
    """A data frame of pandas, which is an optional package."""
    try:
        import pandas as pd
    except ImportError:
        raise UserError("a data frame needs pandas; pip install pandas") from None
    return pd.DataFrame(rows, columns=list(header))


def as_csv(table: Table) -> str:
    """All digits, as ``flat`` has them; unknown is empty."""
    header, rows = flat(table)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([header, *([_harmless(value) for value in row] for row in rows)])
    return buffer.getvalue()


def _harmless(value: Any) -> Any:
    """A value that no spreadsheet evaluates."""
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(FORMULA_MARKS) else "") + printable(value)


def as_html(table: Table) -> str:
    """A table of HTML under its title, all text escaped."""
    title = html.escape(printable(table.title))
    return f"<p>{title}</p>\n{_tabulated(table, printable, 'html')}"


WRITERS: dict[str, Callable[[Table], str]] = {"csv": as_csv, "md": as_markdown, "tex": as_latex}


def _tabulated(table: Table, shown: Callable[[str], str], form: str) -> str:
    """In plain text the header is a row like others: as a header it would be padded."""
    kinds, header, plain = table.kinds.values(), list(table.kinds), form == "plain"
    cells = [
        [shown(FORMATS[kind](value)) for kind, value in zip(kinds, row, strict=True)]
        for row in table.rows
    ]
    text = tabulate(
        [header, *cells] if plain else cells,
        headers=() if plain else header,
        tablefmt=form,
        disable_numparse=True,
        colalign=["left" if kind == "text" else "right" for kind in kinds],
    )
    return "\n".join(line.rstrip() for line in text.splitlines())


# -- numbers and names as a report writes them: signs are kept, what is unknown is a dash ----------

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
