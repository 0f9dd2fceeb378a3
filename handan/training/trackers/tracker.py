"""What all trackers share: names, what is sent at which step, and that none can stop a training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import rewrite_logs

from handan.errors import printable
from handan.records import read_jsonl
from handan.training.trackers.tables import item_table

PROJECT = "handan"  # in trackers that sort runs by project
TRAINERS = "epoch"  # every row that the trainer logs has it, and none of ours
SUITES = ("probe", "full")  # their responses are in files of these names
# Figures of a whole training, which transformers does not log as curves.
TOTALS = (
    "train/train_runtime",
    "train/train_samples_per_second",
    "train/train_steps_per_second",
    "train/train_loss",
    "train/total_flos",
)


def names(row: dict) -> dict[str, float]:
    """The numbers of a row of ``metrics.jsonl`` by their names in trackers.

    Ours keep their names, the trainer's get the prefixes that transformers gives them
    (``train/loss``); so what a reward logs of its completions is no measurement of a suite. What is
    no finite number is left out.
    """
    numbers = {
        key: value
        for key, value in row.items()
        if key != "step" and isinstance(value, (int, float)) and math.isfinite(value)
    }
    return rewrite_logs(numbers) if TRAINERS in row else numbers


@dataclass(frozen=True)
class About:
    """The run that is tracked.

    Attributes:
        run_dir: its directory.
        identifier: its name in every tracker, the same at every start.
        facts: arm, recipe and model_fingerprint (of the initial weights), to filter runs by.
        human_rt_s: seconds by task and item; None for an item that no people have answered.
    """

    run_dir: Path
    identifier: str
    facts: dict[str, str]
    human_rt_s: dict[tuple[str, str], float | None]


class Tracker(TrainerCallback):
    """One tracker behind transformers' callback; subclasses say how it is written and read."""

    name: str
    tables = True

    def __init__(self, callback: Any, about: About) -> None:
        self.callback, self.about = callback, about
        self.held: set[tuple[str, int]] = set()
        self.args: Any = None
        self.failed = False

    def open(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin or continue the run."""
        raise NotImplementedError

    def stored(self) -> set[tuple[str, int]]:
        """The (name, step) pairs that the tracker holds of this run."""
        raise NotImplementedError

    def send(self, values: dict[str, float], fresh: dict[str, float], step: int) -> None:
        """Send the ``fresh`` ones of the ``values`` of a step; the others are held already."""
        raise NotImplementedError

    def send_table(self, name: str, columns: list[str], rows: list[list], step: int) -> None:
        """Send a table of items."""
        raise NotImplementedError

    def close(self) -> None:
        """Write out what is left."""

    def attempt(self, act: Callable[[], None]) -> None:
        """Do something with the tracker; if that fails, go on without it.

        A tracker fails in ways of its own (network, server, disk, version), and none of them is
        worth a training. So this one place catches everything, and says what it was.
        """
        if self.failed:
            return
        try:
            act()
        except Exception as error:
            self.failed = True
            print(
                f"{self.about.facts['arm']}: {self.name} failed ({reason(error)}); training goes "
                "on without it, metrics.jsonl has everything",
                flush=True,
            )

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.args = args
        self.attempt(lambda: self.open(args, state, control, **kwargs))
        self.attempt(self.catch_up)

    def catch_up(self) -> None:
        """Send what the files of the run have and the tracker has not."""
        self.held = self.stored()
        for row in self._recorded("metrics"):
            self.record(row, {})
        for suite in SUITES if self.tables else ():
            steps: dict[int, list[dict]] = {}
            for row in self._recorded(suite):
                steps.setdefault(row["step"], []).append(row)
            for step, rows in steps.items():
                self.record({"step": step}, {suite: rows})

    def _recorded(self, name: str) -> list[dict]:
        path = self.about.run_dir / f"{name}.jsonl"
        return read_jsonl(path) if path.exists() else []

    def record(self, row: dict, responses: Mapping[str, list[dict]]) -> None:
        """Send a row of ``metrics.jsonl``, and the responses behind it by suite, if not held."""
        step, values = row["step"], names(row)
        fresh = {name: v for name, v in values.items() if (name, step) not in self.held}
        self.attempt(lambda: self.send(values, fresh, step))
        self.held |= {(name, step) for name in fresh}
        for suite, rows in responses.items() if self.tables else ():
            self._record_table(f"tables/{suite}", rows, step)

    def _record_table(self, name: str, responses: list[dict], step: int) -> None:
        if (name, step) in self.held:
            return
        columns, rows = item_table(responses, self.about.human_rt_s)
        self.attempt(lambda: self.send_table(name, columns, rows, step))
        self.held.add((name, step))

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any
    ) -> None:
        if logs:
            self.record({"step": state.global_step, **logs}, {})

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.attempt(lambda: self.callback.on_save(args, state, control, **kwargs))

    def finish(self, trainer: Any) -> None:
        """Let transformers end its part and close the run."""
        self.attempt(
            lambda: self.callback.on_train_end(
                self.args,
                trainer.state,
                trainer.control,
                model=trainer.model,
                processing_class=trainer.processing_class,
            )
        )
        self.attempt(self.close)


def reason(error: Exception) -> str:
    """The first line of what an exception says."""
    text = str(error).strip() or type(error).__name__
    return printable(text.splitlines()[0])
