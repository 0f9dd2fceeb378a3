"""``handan study``: an experiment with claims, run cell by cell, and its results page.

``cells`` finds what has been run, ``figures`` computes all numbers or takes those of an earlier
page, ``claims`` judges, ``page`` puts ``tables``, ``details`` and ``pictures`` into the text
written by hand.
"""

import argparse
import time
from pathlib import Path

from handan import experiment, rundir
from handan.errors import UserError
from handan.experiment import plan as planning
from handan.experiment import stages
from handan.experiment.declared import Experiment, load_experiment


def run(arguments: argparse.Namespace) -> None:
    """Run what is missing of a study, then write its page from all that is there.

    Args:
        arguments: of ``handan study``. By default the page is written beside the runs, which leaves
            the study's own as it is. After ``--only`` no page is written.

    Raises:
        UserError: cells failed (the page is written before, and names them), the page cannot be
            written, ``--numbers`` are no numbers of this study, or options exclude each other.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    only, page, numbers = arguments.only, arguments.page, arguments.numbers
    of_runs = ("only", "list", "dry_run", "seed", "accelerate_config")
    for option in of_runs if numbers is not None else ():
        if getattr(arguments, option) not in (None, False, []):
            raise UserError(f"--numbers looks at no run, so --{option} says nothing; leave it out")
    if (page or arguments.page_only) and (only or arguments.dry_run or arguments.list):
        raise UserError(
            "--page and --page_only write the page, which --only, --dry_run and --list "
            "do not; give one of them"
        )
    study = load_experiment(
        arguments.file, arguments.seed, arguments.accelerate_config, is_study=True
    )
    folder = arguments.output_dir or Path(study.output_dir)
    if numbers is not None:
        _write(study, numbers, folder, page)
        return
    made, logs = planning.plan(study, folder), folder / "logs"
    if experiment.show(study, made, logs, only, arguments.dry_run, arguments.list):
        return
    failed: UserError | None = None
    if not arguments.page_only:
        try:
            experiment.run_stages(study, made, logs, only, keep_going=True)
        except UserError as error:
            failed = error
    if not only:
        with rundir.lock(logs, 0):  # other tasks of an array may write it too
            _write(study, made, folder, page)
    if failed is not None:
        raise failed


def _write(
    study: Experiment, source: planning.Plan | Path, folder: Path, page: Path | None
) -> None:
    """Write the page from the runs of a plan, or from a study.json."""
    from handan.study import cells, claims, figures  # draws, and so takes a moment to import
    from handan.study import page as pages

    started = time.monotonic()
    if isinstance(source, Path):
        numbers = figures.stored(study, source)
    else:
        numbers = figures.numbers(study, cells.Results(cells.find(study, source, folder)))
    found = claims.judge(study, numbers)
    output = page or folder / "page" / Path(study.page).name
    # The text of a page that is named is kept; the one beside the runs is always made anew.
    template = page if page is not None and page.exists() else Path(study.page)
    differ = pages.write(study, found, template, output)
    of = found["cells"]
    for name, claim in found["claims"].items():
        print(f"{name}: {claim['conclusion']}. {claim['says']}")
        for one in claim["requires"]:
            if not one["met"]:
                print(f"  {one['at']}: {one['said']}")
    for one in of["missing"]:
        print(f"missing: {one['cell']}: {one['reason']}")
    same = f"differs from {template} in {', '.join(differ)}" if differ else f"equals {template}"
    stages.say(started, f"{of['found']} of {of['declared']} cells; wrote {output}, which {same}")
