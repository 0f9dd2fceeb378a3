"""The page as HTML: everything that is said and shown, put into ``page.html.j2``."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from handan.report import notation
from handan.report.data import Study
from handan.report.page.browser_data import browser_data
from handan.report.page.charts import charts
from handan.report.page.charts.specifications import library
from handan.report.page.content import FILTERS, content
from handan.report.page.traces import SAMPLE, read_traces
from handan.report.pictures.drawing import Look, colour, looks, variables
from handan.report.pictures.inline import shown_pictures

FOLDER = Path(__file__).parent
OWN_SCRIPTS = ("page.js", "traces.js")


def render(study: Study, command: str) -> str:
    """The whole page as HTML."""
    every_look = looks(study.arms)
    drawn = charts(study, every_look)
    traces = read_traces(study)
    scripts = [library(), *((FOLDER / name).read_text("utf-8") for name in OWN_SCRIPTS)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # No text of others, wherever it is printed, may move, hide or reorder anything.
        finalize=lambda value: value if isinstance(value, Markup) else notation.plain(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment.get_template("page.html.j2").render(
        **content(study, command),
        variables=variables(),
        looks=every_look,
        colours={arm: colour(look) for arm, look in every_look.items()},
        pictures=shown_pictures(study.main, every_look),
        charts=drawn,
        charts_data=htmlsafe_json_dumps(
            {**drawn.payload, "marks": _marks(every_look)}, separators=(",", ":"), allow_nan=False
        ),
        scripts=[Markup(script) for script in scripts],
        policy=policy(scripts),
        filters={"arm": [arm.name for arm in study.arms], "task": _tasks(study)},
        traces=traces,
        sample=SAMPLE,
        responses=htmlsafe_json_dumps(
            browser_data(traces, study, every_look), ensure_ascii=False, separators=(",", ":")
        ),
    )


def policy(scripts: Sequence[str]) -> str:
    """The page's Content-Security-Policy: these scripts run, no other does, nothing is loaded."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _marks(of_arms: Mapping[str, Look]) -> dict[str, dict[str, str]]:
    return {
        notation.plain(arm): {"character": look.character, "colour": colour(look)}
        for arm, look in of_arms.items()
    }


def _tasks(study: Study) -> list[str]:
    """Names of all tasks of all groups, human ones first."""
    found = [
        task
        for source in ("human", "analytic")
        for group in study.groups
        for task in group.tasks(source)
    ]
    return list(dict.fromkeys(found))
