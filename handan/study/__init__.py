"""``handan study``: a declared study, run cell by cell, and its results page.

A study is an experiment (``handan.experiment``) with factors, claims and more than one seed.
``declared`` reads it, ``cells`` finds what has been run, ``figures`` computes all numbers
(``over_seeds``: their intervals), ``page`` puts them into the text that is written by hand.
"""

from collections.abc import Sequence
from pathlib import Path

from handan import experiment
from handan.experiment import plan as planning
from handan.study.declared import load_study


def run(
    path: Path,
    output_dir: Path | None = None,
    only: Sequence[str] = (),
    page: Path | None = None,
    page_only: bool = False,
) -> None:
    """Run what is missing of a study, then write its page from all that is there.

    Args:
        path: the YAML.
        output_dir: instead of the YAML's.
        only: names of stages; all if empty.
        page: where the page goes; by default beside the runs, the project's own page untouched.
        page_only: run nothing.

    Raises:
        UserError: the YAML is wrong, or cells failed; the page is written before that is raised.
        SystemExit: this process was asked to stop; the same command goes on.
    """
