"""All figures as files for papers: PNG and PDF, each with its caption in an index.

The same runs give the same bytes: files hold no date, and names depend on what is shown alone.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context

from handan import files
from handan.escaping import escape
from handan.files import write_text
from handan.report.comparison import Comparison
from handan.report.pictures.drawing import style, write_figure
from handan.report.pictures.gallery import KINDS, LeftOut, gallery
from handan.report.pictures.picture import Picture

DOTS_PER_INCH = 300
INDEX = "figures.md"
# Fonts in PDF as TrueType: text in the figure can be selected, and journals accept it.
PAPER_STYLE = {"pdf.fonttype": 42}
WITHOUT_DATE = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
SAFE = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
LIKE_A_DIGEST = re.compile(r"_[0-9a-f]{8}")
MAX_LETTERS = 40  # of a part of a name


def write_figures(study: Comparison, folder: Path) -> list[Picture]:
    """Write every figure of a study as PNG and PDF, and ``figures.md`` with their captions.

    Raises:
        UserError: the folder cannot be written.
    """
    pictures, left_out = gallery(study)
    save(pictures, folder, ("png", "pdf"))
    write_text(folder / INDEX, index(pictures, left_out))
    return pictures


def save(pictures: Sequence[Picture], folder: Path, formats: Sequence[str]) -> None:
    """Write each picture once in each format, 'png' or 'pdf'.

    Raises:
        UserError: the folder cannot be written.
    """
    files.make_directory(folder)
    for picture in pictures:
        _save(picture, folder, formats)


def _save(picture: Picture, folder: Path, formats: Sequence[str]) -> None:
    figure = picture.draw()
    figure.set(dpi=DOTS_PER_INCH, facecolor="white")
    with style(), rc_context(PAPER_STYLE), warnings.catch_warnings():
        # Names may have letters that the font has not; the caption shows them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        for form in formats:
            drawn = io.BytesIO()
            write_figure(figure, drawn, form, WITHOUT_DATE[form])
            files.write(folder / f"{file_name(picture)}.{form}", drawn.getvalue())


def file_name(picture: Picture) -> str:
    """A name without ending that is safe everywhere: 'inflation-sft-sampling-binary_addition'."""
    return "-".join([picture.kind, *map(safe, picture.parts)])


def safe(text: str) -> str:
    """The text, if it is lower-case letters, digits and underscores; else what is left of it and a
    digest, so that different texts have different names."""
    if SAFE.fullmatch(text) and not LIKE_A_DIGEST.search(text):
        return text
    letters = re.sub(r"[^a-z0-9]+", "_", text.lower())[:MAX_LETTERS].strip("_")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{letters or 'name'}_{digest}"


def index(pictures: Sequence[Picture], left_out: Sequence[LeftOut]) -> str:
    """Every figure with its caption, in Markdown, and what was left out and why."""
    parts = ["# Figures", f"PNG with {DOTS_PER_INCH} dots an inch, and PDF."]
    for picture in pictures:
        name = file_name(picture)
        parts += [
            f"## {escape(picture.title)}",
            f"![{escape(picture.title)}]({name}.png)",
            f"{escape(picture.caption)} [PDF]({name}.pdf)",
        ]
    if left_out:
        parts.append("## Left out")
        parts.append(
            "\n".join(
                f"- {KINDS[of.kind].title}, {escape(of.group)}: {escape(of.reason)}."
                for of in left_out
            )
        )
    return "\n\n".join(parts) + "\n"
