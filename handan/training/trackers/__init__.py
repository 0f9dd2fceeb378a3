"""W&B, TensorBoard and Trackio show what ``metrics.jsonl`` holds, under the same names.

``report_to`` chooses them, and transformers' own callbacks set them up. What they are sent is
decided here, because a resumed run must neither lose nor repeat a step, and trackers lose what
they had not written when a process was killed. So ``metrics.jsonl`` is the truth, and a tracker is
made to agree with it:

- A run has one identifier, chosen at its first start and kept in ``run.json``; every later start
  goes on with the same run of the tracker.
- At a start the tracker's store is read for the (name, step) pairs that it holds. Rows of
  ``metrics.jsonl``, which ends at the checkpoint, are sent as far as they are missing.
- Steps after the checkpoint are trained again and come out the same, so a pair that is held
  already is not sent a second time. Only what a clock measured can differ a little: a tracker keeps
  its first measurement.

A tracker that fails is left out with one sentence; training goes on.
"""

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import UserError
from handan.records import read_json
from handan.suite import SuiteItem
from handan.training.trackers.tracker import About, Tracker
from handan.training.trackers.views import TensorBoard, Trackio
from handan.training.trackers.weights_and_biases import WeightsAndBiases

KINDS: dict[str, type[Tracker]] = {
    "wandb": WeightsAndBiases,
    "tensorboard": TensorBoard,
    "trackio": Trackio,
}
EXTRAS = {"wandb": "train", "tensorboard": "trackers", "trackio": "trackers"}
IDENTIFIER_BYTES = 4


def check(report_to: list[str]) -> None:
    """Stop before training if a tracker is unknown or its package is not there.

    Raises:
        UserError: names the tracker and how to install it.
    """
    from transformers.integrations import (
        INTEGRATION_TO_CALLBACK,
        get_available_reporting_integrations,
    )

    for name in report_to:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(INTEGRATION_TO_CALLBACK)
            raise UserError(f"report_to: there is no tracker '{name}'; choose among {known}")
        if name not in get_available_reporting_integrations():
            package = f"'handan[{EXTRAS[name]}]'" if name in EXTRAS else name
            raise UserError(
                f"report_to names {name}, which is not installed: pip install {package}, or take "
                "it out of report_to"
            )


def prepare(config: Any, run_dir: Path, arm: str) -> None:
    """Let W&B write into the run directory, unless its own variables say otherwise."""
    os.environ.setdefault("WANDB_DIR", str(run_dir))
    os.environ.setdefault("WANDB_DATA_DIR", str(run_dir / "wandb" / "data"))
    config.run_name = config.run_name or arm


def attach(trainer: Any, run_dir: Path, facts: dict[str, str], items: Iterable[SuiteItem]) -> None:
    """Put our trackers in the place of transformers' callbacks; for the first process only.

    Args:
        trainer: not started yet.
        run_dir: its ``run.json`` has a training.
        facts: as in ``About``.
        items: of all measured suites; their human response times go into the tables.
    """
    from transformers.integrations import INTEGRATION_TO_CALLBACK

    callbacks = trainer.callback_handler.callbacks
    ours = {INTEGRATION_TO_CALLBACK[name]: kind for name, kind in KINDS.items()}
    places = [place for place, callback in enumerate(callbacks) if type(callback) in ours]
    if not places:
        return
    about = About(
        run_dir=run_dir,
        identifier=identifier(run_dir),
        facts=facts,
        human_rt_s={(entry.task.name, entry.item.key): entry.human_rt_s for entry in items},
    )
    for place in places:
        callbacks[place] = ours[type(callbacks[place])](callbacks[place], about)
    # TRL sends timings and completions past all callbacks, unguarded and again after a resume.
    trainer.args.report_to = [name for name in trainer.args.report_to if name not in KINDS]


def identifier(run_dir: Path) -> str:
    """The name of this run in every tracker, chosen once and kept in ``run.json``."""
    training = read_json(run_dir / "run.json")["training"]
    if "tracker_id" not in training:
        chosen = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(IDENTIFIER_BYTES)
        rundir.add(run_dir, "training", tracker_id=chosen)
        return chosen
    return training["tracker_id"]


def attached(trainer: Any) -> list[Tracker]:
    """The trackers of a trainer; none in processes other than the first."""
    return [one for one in trainer.callback_handler.callbacks if isinstance(one, Tracker)]


def log(
    trainer: Any, metrics: dict, step: int, responses: Mapping[str, list[dict]] | None = None
) -> None:
    """Send measurements under our own names; through the trainer they would become ``train/...``.

    Args:
        trainer: the one that is training.
        metrics: numbers by name, as in ``metrics.jsonl``.
        step: optimizer step they belong to.
        responses: those behind them by suite, for tables of items.
    """
    for tracker in attached(trainer):
        tracker.record({"step": step, **metrics}, responses or {})


def finish(trainer: Any) -> None:
    """Write out and close all trackers; after the last measurement of a training."""
    for tracker in attached(trainer):
        tracker.finish(trainer)
