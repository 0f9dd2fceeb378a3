"""The report as Markdown: ``report.md.j2`` with the same words as the page, figures beside it."""

from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from handan import markdown
from handan.report.data import Study
from handan.report.page.content import FILTERS, content
from handan.report.page.traces import SAMPLE, read_traces
from handan.report.pictures.export import file_name, save
from handan.report.pictures.gallery import KINDS, gallery

FIGURES = "report_figures"  # the folder of the figures, beside the report


class Shown(NamedTuple):
    """A figure of the report: its title, its caption, and where it is."""

    title: str
    caption: str
    path: Markup


def render(study: Study, folder: Path, command: str) -> str:
    """The whole report as GitHub's Markdown; its figures are written into a folder beside it.

    Args:
        study: what is reported.
        folder: where the report will be.
        command: that makes the report.

    Raises:
        UserError: the figures cannot be written.
    """
    pictures, left_out = gallery(study)
    save(pictures, folder / FIGURES, ("png",))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # No text of others, wherever it is printed, means anything in Markdown.
        finalize=lambda value: value if isinstance(value, Markup) else markdown.escape(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS | {"block": markdown.block}
    shown: dict[str, list[Shown]] = {kind: [] for kind in KINDS}
    for picture in pictures:
        path = Markup(f"{FIGURES}/{file_name(picture)}.png")
        shown[picture.kind].append(Shown(picture.title, picture.caption, path))
    return environment.get_template("report.md.j2").render(
        **content(study, command),
        pictures=shown,
        left_out=[(KINDS[of.kind].title, of.group, of.reason) for of in left_out],
        traces=read_traces(study),
        sample=SAMPLE,
    )
