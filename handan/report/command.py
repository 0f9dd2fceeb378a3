"""What ``handan report`` does with its options."""

import argparse

from handan import report
from handan.budgets import TOLERANCE
from handan.errors import UserError, printable
from handan.report.data import read_study
from handan.report.notation import plain
from handan.report.pictures.export import write_figures
from handan.report.wandb_report import publish, read_address


def run(arguments: argparse.Namespace) -> None:
    """Write everything that was asked for.

    Raises:
        UserError: nothing is asked for, or a run or an output is wrong.
    """
    runs = [*arguments.runs, *arguments.more_runs]
    if arguments.output is None and arguments.figures is None and arguments.wandb is None:
        raise UserError(
            "nothing is asked for; give --output report.html, --figures DIR or "
            "--wandb ENTITY/PROJECT"
        )
    if arguments.offline is not None and arguments.wandb is None:
        raise UserError("--offline writes the report of --wandb ENTITY/PROJECT; give that too")
    if arguments.budget_tolerance != TOLERANCE and len(set(runs)) < 2:
        raise UserError("--budget_tolerance is of runs that are compared; leave it out of one")
    address = None if arguments.wandb is None else read_address(arguments.wandb)
    study = read_study(runs, arguments.budget_tolerance)
    if arguments.output is not None:
        for sentence in report.write_report(study, runs, arguments.output):
            print(plain(sentence))
        print(f"wrote {printable(str(arguments.output))}")
    if arguments.figures is not None:
        pictures = write_figures(study, arguments.figures)
        print(f"wrote {len(pictures)} figures to {printable(str(arguments.figures))}")
    if address is not None:
        print(publish(study, address, arguments.offline))
