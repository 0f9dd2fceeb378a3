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
from handan.report.data import read_study
from handan.report.page.html import render, report_command
from handan.report.words.budget import compared
from handan.report.words.summary import summary


def write(runs: Sequence[Path], output: Path, budget_tolerance: float = TOLERANCE) -> list[str]:
    """Write the page to ``output`` and the figures to ``alignment.json`` beside it.

    Args:
        runs: directories of evaluated runs; directories of traces may be among them.
        output: the HTML file.
        budget_tolerance: budgets count as matched within this share.

    Returns:
        The answer in a few sentences, as at the top of the page, and whose budgets are matched.

    Raises:
        UserError: a run directory is missing or wrong, or the output cannot be written.
    """
    study = read_study(runs, budget_tolerance)
    page = render(study, report_command(runs, output, budget_tolerance))
    budgets = compared(study)
    alignment = output.with_name("alignment.json")
    if alignment.parent.resolve() in [run.resolve() for run in runs]:
        raise UserError(f"{output}: would replace a run's own alignment.json; write it elsewhere")
    try:
        write_json(alignment, study.alignment() | {"budgets": budgets})
        write_text(output, page)
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror})") from None
    return summary(study.main) + [row["sentence"] for row in budgets]
