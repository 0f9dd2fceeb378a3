"""``handan report``: run directories become one self-contained page and its alignment.json.

The page states nothing that is not in the run directories: roles come from hashes of weights,
verdicts from intervals. ``data``, ``roles`` and ``course`` read and relate, ``words`` speaks,
``pictures`` draws, ``page`` puts all into one file.
"""

from collections.abc import Sequence
from pathlib import Path

from handan.budgets import TOLERANCE
from handan.errors import UserError
from handan.records import write_json, write_text
from handan.report.data import Study, read_study
from handan.report.page import html, markdown
from handan.report.page.content import report_command
from handan.report.words.budget import compared
from handan.report.words.summary import summary


def write(runs: Sequence[Path], output: Path, budget_tolerance: float = TOLERANCE) -> list[str]:
    """Read runs and write their report, see ``write_report``.

    Args:
        runs: directories of evaluated runs; directories of traces may be among them.
        output: the HTML or Markdown file.
        budget_tolerance: budgets count as matched within this share.

    Raises:
        UserError: a run directory is missing or wrong, or the output cannot be written.
    """
    return write_report(read_study(runs, budget_tolerance), runs, output)


def write_report(study: Study, runs: Sequence[Path], output: Path) -> list[str]:
    """Write the report to ``output`` and its numbers to ``alignment.json`` beside it.

    A name that ends in '.md' becomes Markdown with its figures in ``report_figures/`` beside it,
    any other an HTML page.

    Returns:
        The answer in a few sentences, as at the top of the report, and whose budgets are matched.

    Raises:
        UserError: the output cannot be written.
    """
    alignment = output.with_name("alignment.json")
    if alignment.parent.resolve() in [run.resolve() for run in runs]:
        raise UserError(f"{output}: would replace a run's own alignment.json; write it elsewhere")
    command = report_command(runs, output, study.tolerance)
    if output.suffix == ".md":
        text = markdown.render(study, output.parent, command)
    else:
        text = html.render(study, command)
    budgets = compared(study)
    write_json(alignment, study.alignment() | {"budgets": budgets})
    write_text(output, text)
    return summary(study.main) + [row["sentence"] for row in budgets]
