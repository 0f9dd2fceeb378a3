"""What ``handan study`` does with its options."""

import argparse

from handan import study
from handan.study.declared import load_study


def run(arguments: argparse.Namespace) -> None:
    """Run a study, write its page, or show its stages.

    Raises:
        UserError: as ``handan.study.run``, or the YAML is wrong.
    """
    study.run(
        load_study(arguments.file, arguments.seed, arguments.accelerate_config),
        output_dir=arguments.output_dir,
        only=arguments.only,
        page=arguments.page,
        page_only=arguments.page_only,
        dry_run=arguments.dry_run,
        list_stages=arguments.list,
    )
