"""``handan report``: run directories become one self-contained page and its alignment.json.

The page states nothing that is not in the run directories: roles come from hashes of weights,
verdicts from intervals. ``data`` reads and relates, ``verdicts`` and ``confounds`` speak,
``figures`` draws, ``page`` puts all into ``page.html.j2``.
"""

from collections.abc import Sequence
from pathlib import Path

from handan.errors import UserError
from handan.records import write_json, write_text
from handan.report.data import read_study
from handan.report.page import render, report_command
from handan.report.summary import summary


def write(runs: Sequence[Path], output: Path) -> list[str]:
    """Write the page to ``output`` and the figures to ``alignment.json`` beside it.

    Args:
        runs: directories of evaluated runs; directories of traces may be among them.
        output: the HTML file.

    Returns:
        The answer in a few sentences, as at the top of the page.

    Raises:
        UserError: a run directory is missing or wrong, or the output cannot be written.
    """
    study = read_study(runs)
    page = render(study, report_command(runs, output))
    alignment = output.with_name("alignment.json")
    if alignment.parent.resolve() in [run.resolve() for run in runs]:
        raise UserError(f"{output}: would replace a run's own alignment.json; write it elsewhere")
    try:
        write_json(alignment, study.alignment())
        write_text(output, page)
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror})") from None
    return summary(study.main)
