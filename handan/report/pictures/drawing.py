"""Colours, and how a matplotlib figure becomes inline SVG that follows the page's theme.

Figures are drawn with the light palette, so that they can also be saved as they are; for the page
each colour becomes a CSS variable, text stays text in the reader's own font, and nothing refers to
anything outside.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, NamedTuple

import matplotlib
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from handan.report.comparison import KINDS, Arm

CANVASES = {"svg": FigureCanvasSVG, "png": FigureCanvasAgg, "pdf": FigureCanvasPdf}
INK, MUTED, GRID, PAPER = "#1b1f24", "#5b6570", "#d8dce1", "#fffffe"
DARK = {INK: "#e8eaed", MUTED: "#a8b0ba", GRID: "#3a4149", PAPER: "#15181c"}


class Look(NamedTuple):
    """How an arm looks throughout: light and dark colour, marker, its character, line style."""

    light: str
    dark: str
    marker: str
    character: str
    line: str


# Okabe and Ito's colours, safe for the colour-blind, with grey for the base; the first five
# belong to base, teacher, student, trained and control, the others to whoever comes next.
LOOKS = (
    Look("#6b7684", "#b3bcc7", "o", "●", "-"),
    Look("#cc79a7", "#e79cc5", "D", "◆", "--"),
    Look("#d55e00", "#ff8b3e", "s", "■", "-"),
    Look("#0072b2", "#55aef0", "^", "▲", "-"),
    Look("#009e73", "#35c99b", "v", "▼", "-."),
    Look("#e69f00", "#f4b93a", "P", "✚", ":"),
    Look("#56b4e9", "#a3daff", "X", "✖", ":"),
    Look("#8a6d1d", "#c9b36a", "*", "★", "--"),
)
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.constrained_layout.use": True,
}


def looks(arms: Sequence[Arm]) -> dict[str, Look]:
    """A look for every arm: its kind's own if it is free, or else the next free one."""
    out: dict[str, Look] = {}
    free = list(LOOKS)
    own = dict(zip(KINDS, LOOKS, strict=False))
    for arm in arms:
        if arm.kind in own and arm.kind != "model" and own[arm.kind] in free:
            out[arm.name] = own[arm.kind]
            free.remove(own[arm.kind])
    rest = [arm.name for arm in arms if arm.name not in out]
    spare = sorted(free, key=lambda look: (LOOKS.index(look) < len(KINDS) - 1, LOOKS.index(look)))
    for place, name in enumerate(rest):
        pool = spare or list(LOOKS)
        out[name] = pool[place % len(pool)]
    return out


def variables() -> list[tuple[str, str, str]]:
    """CSS variable, light value and dark value of every colour in a figure."""
    out = [(_variable(light), light, dark) for light, dark in DARK.items()]
    return out + [(_variable(look.light), look.light, look.dark) for look in LOOKS]


def colour(look: Look) -> str:
    """The CSS value of a look's colour."""
    return css(look.light)


def css(light: str) -> str:
    """The CSS value that is this colour on a light page and its counterpart on a dark one."""
    return f"var({_variable(light)})"


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure in the page's style; keep drawing inside ``style``."""
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def style() -> AbstractContextManager[None]:
    """Context manager for everything that is drawn."""
    return matplotlib.rc_context(STYLE)


def write_figure(
    figure: Figure, file: IO, form: str, metadata: Mapping[str, None] | None = None
) -> None:
    """Write a figure as 'svg', 'png' or 'pdf'; ``Figure.savefig`` would draw it twice."""
    canvas = CANVASES[form](figure)
    getattr(canvas, f"print_{form}")(file, metadata=metadata)
    # The parts have found their places; another format need not look for them again.
    figure.set_layout_engine("none")


def svg(figure: Figure, identity: str, title: str, description: str) -> Markup:
    """The figure as inline SVG with a title and a description for screen readers.

    Args:
        figure: drawn inside ``style``.
        identity: unique on the page; all ids in the SVG begin with it.
        title: what is shown.
        description: the same numbers in words.
    """
    buffer = io.StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with style(), warnings.catch_warnings():
        # The text is laid out with matplotlib's font and shown with the reader's.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        matplotlib.rcParams["svg.hashsalt"] = identity
        write_figure(figure, buffer, "svg", metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    body = text[text.index(">") + 1 : text.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' id="arm:([^"]*)"', r' data-arm="\1"', body)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", body))
    body = re.sub(
        r' id="([^"]+)"', lambda m: f' id="{identity}-{m[1]}"' if m[1] in used else "", body
    )
    body = re.sub(r"url\(#", f"url(#{identity}-", body)
    body = re.sub(r'xlink:href="#', f'href="#{identity}-', body)
    # The page sets the font; a style element of the figure would act on the whole page.
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"\n\s*", "\n", body)
    for light in (*DARK, *(look.light for look in LOOKS)):
        body = body.replace(light, css(light))
    width, height = (72 * inches for inches in figure.get_size_inches())
    size = f"min-width: {1.3 * width:.0f}px; max-width: {1.5 * width:.0f}px"
    return Markup(
        f'<svg class="figure" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'style="{size}" aria-labelledby="{identity}-t {identity}-d">'
        f'<title id="{identity}-t">{escape(title)}</title>'
        f'<desc id="{identity}-d">{escape(description)}</desc>{body}</svg>'
    )


def _variable(light: str) -> str:
    return f"--c-{light.removeprefix('#')}"
