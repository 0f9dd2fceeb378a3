"""What ``handan study`` does with its options."""

import argparse

from handan import study
from handan.errors import UserError
from handan.study.declared import load_study


def run(arguments: argparse.Namespace) -> None:
    """Run a study, write its page, or show its stages.

    Raises:
        UserError: as ``handan.study.run``, the YAML is wrong, or ``--numbers`` comes with options
            of runs.
    """
    of_runs = ("only", "list", "dry_run", "seed", "accelerate_config")
    for option in of_runs if arguments.numbers is not None else ():
        if getattr(arguments, option) not in (None, False, []):
            raise UserError(f"--numbers looks at no run, so --{option} says nothing; leave it out")
    study.run(
        load_study(arguments.file, arguments.seed, arguments.accelerate_config),
        output_dir=arguments.output_dir,
        only=arguments.only,
        page=arguments.page,
        page_only=arguments.page_only,
        numbers=arguments.numbers,
        dry_run=arguments.dry_run,
        list_stages=arguments.list,
    )
