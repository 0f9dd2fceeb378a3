"""``handan report``: one page, as HTML or as Markdown with the same words and tables."""

import argparse
import base64
import hashlib
import importlib.util
import re
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from handan import formatting, norms
from handan.alignment.costs import split_name
from handan.budgets import TOLERANCE
from handan.errors import UserError, printable
from handan.files import write_json, write_text
from handan.formatting import listing, name, number, plain
from handan.report import report_tables
from handan.report.comparison import Comparison, Group, course, read_comparison, swept
from handan.report.plot_page import charts, inline_plots
from handan.report.plot_styles import css, library, looks, variables
from handan.report.plots import KINDS, Plot, file_name, gallery, save, write_figures
from handan.report.report_tables import Table, joined
from handan.report.summary import along_training, confounds, summary
from handan.report.trace_browser import SAMPLE, browser_data, read_traces
from handan.report.verdicts import claims, missing

FOLDER = Path(__file__).with_name("templates")
FIGURES = "report_figures"  # the folder of the figures, beside the report


def content(comparison: Comparison, command: str) -> dict[str, Any]:
    """Everything that a template says, by the names it has there; no plot and no markup."""
    group, checks = comparison.main, confounds(comparison)
    return {
        "command": command,
        "comparison": comparison,
        "group": group,
        "tasks": group.tasks("human"),
        "analytic_tasks": group.tasks("analytic"),
        "measured": measured(group),
        "summary": summary(group),
        "claims": claims(group, comparison.tolerance),
        "missing": missing(group),
        "applying": [check for check in checks if check.applies],
        "clear": [check for check in checks if not check.applies],
        "arms": report_tables.arm_table(group),
        "details": report_tables.detail_table(group),
        "trained_arms": [
            (arm, rows_of[-1]["step"]) for arm in comparison.arms if len(rows_of := course(arm)) > 1
        ],
        "swept_arms": [arm.name for arm in comparison.arms if swept(arm)],
        "moved": along_training(comparison.arms),
        "course": report_tables.course_table(comparison.arms),
        "formats": [
            {
                "group": of_group,
                "table": report_tables.format_table(of_group),
                "sentences": report_tables.format_sentences(of_group),
                "claims": claims(of_group, comparison.tolerance) if of_group is not group else [],
            }
            for of_group in comparison.groups
        ],
        "analytic": [
            (report_tables.analytic_table(of_group), report_tables.analytic_sentences(of_group))
            for of_group in comparison.groups
            if of_group.tasks("analytic")
        ],
        "inflation": report_tables.inflation_table(comparison),
        "contrasts": report_tables.contrast_table(comparison),
        "ledger": report_tables.ledger_table(comparison.arms),
        "budgets": report_tables.budget_table(comparison.budget_rows()),
        "trace_sentences": report_tables.trace_sentences(comparison),
        "facts": {arm.name: report_tables.facts(comparison, arm) for arm in comparison.arms},
        "settings": group.result["settings"],
        "notes": comparison.rows("notes"),
    }


def _environment(shown: Callable[[object], str], **filters: Callable) -> jinja2.Environment:
    """Templates in which everything that is no markup is printed by ``shown``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else shown(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "r": formatting.correlation,
        "percent": formatting.percent,
        "count": formatting.count,
        "number": formatting.number,
        "words": formatting.name,
        "tied": formatting.tied,
        "sentence": formatting.sentence,
        "arm_of": lambda model: split_name(model)[0],
        **filters,
    }
    return environment


def markdown_table(table: Table) -> Markup:
    """A table as GitHub's Markdown; all of its text is escaped."""
    lines: list[Sequence[str]] = [
        [formatting.escape(column.label) for column in table.columns],
        ["---:" if column.kind == "number" else "---" for column in table.columns],
        *([formatting.escape(joined(cell)) for cell in row.cells] for row in table.rows),
    ]
    return Markup("\n".join(f"| {' | '.join(line)} |" for line in lines))


def measured(group: Group) -> list[str]:
    """Say which items were put to the models, and to how many people."""
    said = []
    opening = {"human": "Against people's time", "analytic": "Against an analytic cost"}
    for source, against in opening.items():
        parts = []
        for task in group.tasks(source):
            of_arms = (group.costs[arm.name] for arm in group.arms)
            costs = next(of_tasks[task] for of_tasks in of_arms if task in of_tasks)
            text = f"{len(costs.items)} items of {name(task)}"
            if source == "human" and costs.norms:
                people = norms.load(task, costs.norms).participants
                text += f" ({people} people, source {costs.norms})"
            parts.append(text)
        if parts:
            said.append(f"{against}: {listing(parts)}.")
    asked = ("samples", "max_new_tokens", "temperature")
    samples, cap, warmth = (group.conditions.get(key) for key in asked)
    if isinstance(samples, int) and isinstance(warmth, (int, float)):
        cold = " and one at T = 0" if any(arm.greedy for arm in group.arms) else ""
        text = f"{samples} responses to each item at T = {warmth:g}{cold}"
        said.append(f"{text}, of at most {number(cap, 0)} tokens." if cap else f"{text}.")
    return said


def render(comparison: Comparison, command: str) -> str:
    """The whole page as HTML."""
    every_look = looks(comparison.arms)
    drawn, charts_data = charts(comparison, every_look)
    traces = read_traces(comparison)
    scripts = [library(), *((FOLDER / own).read_text("utf-8") for own in ("page.js", "traces.js"))]
    marks = {
        formatting.plain(arm): {"character": look.character, "colour": css(look.light)}
        for arm, look in every_look.items()
    }
    sources = product(("human", "analytic"), comparison.groups)
    tasks = [task for source, group in sources for task in group.tasks(source)]
    dumped = partial(htmlsafe_json_dumps, separators=(",", ":"))
    # No text of others, wherever it is printed, may move, hide or reorder anything.
    environment = _environment(formatting.plain)
    return environment.get_template("page.html.j2").render(
        **content(comparison, command),
        variables=variables(),
        looks=every_look,
        colours={arm: css(look.light) for arm, look in every_look.items()},
        plots=inline_plots(comparison.main, every_look),
        charts=drawn,
        axes=charts_data["axes"],
        charts_data=dumped({**charts_data, "marks": marks}, allow_nan=False),
        scripts=[Markup(script) for script in scripts],
        policy=policy(scripts),
        filters={"arm": [arm.name for arm in comparison.arms], "task": list(dict.fromkeys(tasks))},
        traces=traces,
        sample=SAMPLE,
        responses=dumped(browser_data(traces, comparison, every_look), ensure_ascii=False),
    )


def policy(scripts: Sequence[str]) -> str:
    """The page's Content-Security-Policy: these scripts run, no other does, nothing is loaded."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def render_markdown(comparison: Comparison, folder: Path, command: str) -> str:
    """The whole report as GitHub's Markdown; its figures are written beside it, into ``folder``."""
    plots, left_out = gallery(comparison)
    save(plots, folder / FIGURES, ("png",))
    # No text of others, wherever it is printed, means anything in Markdown.
    environment = _environment(formatting.escape, block=formatting.block, table=markdown_table)
    shown: dict[str, list[tuple[Plot, Markup]]] = {kind: [] for kind in KINDS}
    for plot in plots:
        shown[plot.kind].append((plot, Markup(f"{FIGURES}/{file_name(plot)}.png")))
    return environment.get_template("report.md.j2").render(
        **content(comparison, command),
        plots=shown,
        left_out=left_out,
        traces=read_traces(comparison),
        sample=SAMPLE,
    )


# -- the command -----------------------------------------------------------------------------------


def run(arguments: argparse.Namespace) -> None:
    """Write everything that the options of ``handan report`` ask for."""
    runs = [*arguments.runs, *arguments.more_runs]
    if arguments.output is None and arguments.figures is None and arguments.wandb is None:
        options = "--output report.html, --figures DIR or --wandb ENTITY/PROJECT"
        raise UserError(f"nothing is asked for; give {options}")
    if arguments.offline is not None and arguments.wandb is None:
        raise UserError("--offline writes the report of --wandb ENTITY/PROJECT; give that too")
    if arguments.budget_tolerance != TOLERANCE and len(set(runs)) < 2:
        raise UserError("--budget_tolerance is of runs that are compared; leave it out of one")
    address = None if arguments.wandb is None else read_address(arguments.wandb)
    comparison = read_comparison(runs, arguments.budget_tolerance)
    if arguments.output is not None:
        for sentence in write_report(comparison, runs, arguments.output):
            print(plain(sentence))
        print(f"wrote {printable(str(arguments.output))}")
    if arguments.figures is not None:
        plots = write_figures(comparison, arguments.figures)
        print(f"wrote {len(plots)} figures to {printable(str(arguments.figures))}")
    if address is not None:
        from handan.report.wandb_report import Address, publish  # an extra, and slow to import

        print(publish(comparison, Address(*address), arguments.offline))


def read_address(text: str) -> tuple[str, str]:
    """Entity and project of 'ENTITY/PROJECT' in W&B."""
    found = re.fullmatch(r"([\w.-]+)/([^/\\#?%:\s]{1,128})", text)
    if found is None:
        raise UserError(f"--wandb '{text}': give ENTITY/PROJECT, for example my-team/handan")
    for package in ("wandb", "wandb_workspaces"):
        if importlib.util.find_spec(package) is None:
            cure = "run pip install 'handan[wandb-reports]'"
            raise UserError(f"--wandb needs {package}, which is not installed; {cure}")
    return found[1], found[2]


def write(runs: Sequence[Path], output: Path, budget_tolerance: float = TOLERANCE) -> list[str]:
    """Read runs, among them directories of traces, and write their report, see ``write_report``."""
    return write_report(read_comparison(runs, budget_tolerance), runs, output)


def write_report(comparison: Comparison, runs: Sequence[Path], output: Path) -> list[str]:
    """Write the report, as Markdown if ``output`` ends in '.md', and ``alignment.json`` beside it.

    Returns the answer in a few sentences, and whose budgets are matched.
    """
    alignment = output.with_name("alignment.json")
    if alignment.parent.resolve() in [run.resolve() for run in runs]:
        raise UserError(f"{output}: would replace a run's own alignment.json; write it elsewhere")
    words = ["handan", "report", *map(str, runs), "--output", str(output)]
    command = shlex.join([*words, "--budget_tolerance", f"{comparison.tolerance:g}"])
    if output.suffix == ".md":
        text = render_markdown(comparison, output.parent, command)
    else:
        text = render(comparison, command)
    write_json(alignment, comparison.alignment())
    write_text(output, text)
    return summary(comparison.main) + [row["sentence"] for row in comparison.budget_rows()]
