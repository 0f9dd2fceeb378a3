"""``handan study``: a declared study, run cell by cell, and its results page.

A study is an experiment (``handan.experiment``) with factors, claims and more than one seed.
``declared`` reads it, ``cells`` finds what has been run, ``figures`` computes all numbers
(``arms``, ``over_seeds``: alignment and its intervals; ``measures``: all else) or takes those of an
earlier page, ``claims`` judges (``families``: p values; ``withheld``: what no verdict may rest on),
``page`` puts ``tables``, ``details`` and ``pictures`` into the text written by hand.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from handan import experiment, rundir
from handan.errors import UserError
from handan.experiment import plan as planning
from handan.experiment import stages
from handan.study.declared import Study


def run(
    study: Study,
    output_dir: Path | None = None,
    only: Sequence[str] = (),
    page: Path | None = None,
    page_only: bool = False,
    numbers: Path | None = None,
    dry_run: bool = False,
    list_stages: bool = False,
) -> None:
    """Run what is missing of a study, then write its page from all that is there.

    Args:
        study: what is declared.
        output_dir: instead of the YAML's.
        only: names of stages, after which no page is written; all if empty.
        page: the page to write, such as the study's own; by default one beside the runs, which
            leaves the study's own as it is.
        page_only: run nothing, only write the page.
        numbers: write the page from this study.json of an earlier one; no run is looked at.
        dry_run, list_stages: see ``handan.experiment.show``; nothing is run or written.

    Raises:
        UserError: cells failed (the page is written before, and names them), the page cannot be
            written, or ``numbers`` are no numbers of this study.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    experiment.check_options(only, dry_run, list_stages)
    if (page or page_only) and (only or dry_run or list_stages):
        raise UserError(
            "--page and --page_only write the page, which --only, --dry_run and --list "
            "do not; give one of them"
        )
    folder = output_dir or Path(study.output_dir)
    if numbers is not None:
        _write(study, numbers, folder, page)
        return
    made = planning.plan(study, folder)
    if dry_run or list_stages:
        experiment.show(study, made, folder, list_stages)
        return
    failed: UserError | None = None
    if not page_only:
        try:
            experiment.run_stages(study, made, folder, only, keep_going=True)
        except UserError as error:
            failed = error
    if only:
        if failed is not None:
            raise failed
        return
    with rundir.lock(folder / "logs", 0):  # other tasks of an array may write it too
        _write(study, made, folder, page)
    if failed is not None:
        raise failed


def _write(study: Study, source: planning.Plan | Path, folder: Path, page: Path | None) -> None:
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
