"""The results page: text written by hand, with parts between marks that are generated.

A generated part stands between ``<!-- study: NAME -->`` and ``<!-- end -->``. Making the page
again replaces these parts and nothing else, so that from the same runs nothing changes.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from handan.durable import make_directory
from handan.errors import UserError
from handan.experiment.declared import Experiment
from handan.records import write_json, write_text
from handan.study import details, pictures, tables

MARK = re.compile(r"<!-- study: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def write(study: Experiment, found: Mapping[str, Any], template: Path, output: Path) -> list[str]:
    """Write the page and its pictures, and the figures beside it.

    Args:
        study: what was declared.
        found: of ``handan.study.claims.judge``.
        template: the page whose text is kept.
        output: where it goes; may be the template itself.

    Returns:
        Names of the generated parts that differ from the template's.

    Raises:
        UserError: the template is missing, or names a part that does not exist.
    """
    if not template.is_file():
        raise UserError(f"{template}: no such page; make one with a part '<!-- study: claims -->'")
    text = template.read_text(encoding="utf-8")
    folder = output.parent / output.stem
    made = {**tables.PARTS, **details.PARTS}
    parts: dict[str, Callable[[], str]] = {
        **{name: partial(make, study, found) for name, make in made.items()},
        **{f"factor-{name}": partial(tables.factor, study, found, name) for name in study.factors},
        **{
            f"picture-{name}": partial(_picture, study, found, name, folder)
            for name in pictures.PICTURES
        },
    }
    changed: list[str] = []

    def filled(mark: re.Match) -> str:
        name = mark["name"]
        if name not in parts:
            raise UserError(
                f"{template}: no part is called '{name}'; there are: {', '.join(parts)}"
            )
        body = parts[name]()
        if body != mark["body"]:
            changed.append(name)
        return f"<!-- study: {name} -->\n{body}<!-- end -->"

    page = MARK.sub(filled, text)
    write_text(output, page)
    write_json(folder / "study.json", dict(found))
    return changed


def _picture(study: Experiment, found: Mapping[str, Any], name: str, folder: Path) -> str:
    """Draw a picture and give the Markdown that shows it."""
    picture = pictures.PICTURES[name](study, found)
    make_directory(folder)
    write_text(folder / f"{name}.svg", picture.svg)
    return f"![{picture.description}]({folder.name}/{name}.svg)\n\n*{picture.caption}*\n"
