"""``handan report --wandb``: the runs as a report in Weights & Biases, or its spec without network.

``run_sets`` finds the W&B runs of the arms, ``panels`` draws what they logged, ``text`` says what
the numbers say, ``spec`` puts all into one report and proves that wandb-workspaces reads it back.
"""

import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from handan.errors import UserError, printable
from handan.records import write_text
from handan.report.data import Study

# Entities are addresses; in the name of a project W&B allows everything but these.
ADDRESS = re.compile(r"(?P<entity>[\w.-]+)/(?P<project>[^/\\#?%:\s]{1,128})")
INSTALL = "pip install 'handan[wandb-reports]'"


class Address(NamedTuple):
    """Where in W&B a report is saved."""

    entity: str
    project: str


def read_address(text: str) -> Address:
    """The parts of 'ENTITY/PROJECT'.

    Raises:
        UserError: it is not of this form, or wandb-workspaces is not installed.
    """
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise UserError(f"--wandb '{text}': give ENTITY/PROJECT, for example my-team/handan")
    for package in ("wandb", "wandb_workspaces"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"--wandb needs {package}, which is not installed; run {INSTALL}")
    return Address(**found.groupdict())


def publish(study: Study, address: Address, offline: Path | None) -> str:
    """Save the report of a study, or only its spec if ``offline`` is a file.

    Returns:
        What was done, in one sentence.

    Raises:
        UserError: there is no login or no network, W&B refuses the report, or the file cannot be
            written.
    """
    from handan.report.wandb_report.spec import save, validated

    text = validated(study, address)
    if offline is None:
        return f"saved {printable(save(study, address))}"
    write_text(offline, text)
    return f"wrote {printable(str(offline))}, which wandb-workspaces reads back unchanged"
