"""Scripts of the project in forks of the process that tests, which has imported torch and TRL.

A fork is a process of its own, with its own arguments, output, signals and end. It saves the
seconds in which a new Python imports everything, which is most of what a short run takes. Reports
are not for forks: the library of their charts hangs if the tests have drawn before.
"""

import importlib
import multiprocessing
import os
import runpy
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Where the scripts spend their time before they begin.
SLOW = ("datasets", "trl.trainer.sft_trainer", "trl.trainer.grpo_trainer", "handan.training.run")


def start(output: Path, *words: object) -> Any:
    """Begin ``python WORDS`` in the root of the project, in a fork.

    Args:
        output: a folder; what is printed goes into its files ``1`` and ``2``.
        words: a script or ``-m`` and a module, and their arguments.

    Returns:
        The process.
    """
    for name in SLOW:
        importlib.import_module(name)
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(output, [*map(str, words)])
    )
    process.start()
    return process


def _run(output: Path, words: list[str]) -> None:
    os.chdir(ROOT)
    # What tests have set up of it is not the script's.
    importlib.import_module("accelerate.state").AcceleratorState._reset_state(
        reset_partial_state=True
    )
    for number in (1, 2):
        os.dup2(os.open(output / str(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    if words[0] == "-m":
        sys.argv, sys.path[0] = words[1:], str(ROOT)
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = words, str((ROOT / words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")
