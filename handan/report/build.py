"""``handan report``: run directories become one self-contained page and its alignment.json."""

import argparse
import importlib.util
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from handan.budgets import TOLERANCE
from handan.errors import UserError, printable
from handan.files import write_json, write_text
from handan.report import page
from handan.report.comparison import Comparison, read_comparison
from handan.report.formatting import plain
from handan.report.plots import write_figures
from handan.report.summary import summary


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
        text = page.render_markdown(comparison, output.parent, command)
    else:
        text = page.render(comparison, command)
    write_json(alignment, comparison.alignment())
    write_text(output, text)
    return summary(comparison.main) + [row["sentence"] for row in comparison.budget_rows()]
