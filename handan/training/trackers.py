"""W&B, TensorBoard and Trackio: views of ``metrics.jsonl``, that a resumed run continues."""

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import integration_utils as theirs

from handan import hardware, rundir
from handan.errors import UserError, printable
from handan.evaluation.suite import SuiteItem
from handan.files import read_json, read_jsonl
from handan.formatting import plain
from handan.training.ledger import finite

HumanTimes = dict[tuple[str, str], float | None]  # by task and item
PROJECT = "handan"  # in trackers that sort runs by project
EXTRAS = {"wandb": "train", "tensorboard": "trackers", "trackio": "trackers"}
MAX_ITEMS = 500
MAX_CHARACTERS = 1_000
WANDB_AXIS = "train/global_step"
# Seconds; offline only this machine is waited for, which may be busy.
WANDB_ONLINE = {"init_timeout": 20, "finish_timeout": 60}
WANDB_OFFLINE = {"init_timeout": 300, "finish_timeout": 300}


def check(report_to: list[str]) -> None:
    """Raise UserError before training if a tracker is unknown or its package is not there."""
    for name in report_to:
        if name not in theirs.INTEGRATION_TO_CALLBACK:
            known = ", ".join(theirs.INTEGRATION_TO_CALLBACK)
            raise UserError(f"report_to: there is no tracker '{name}'; choose among {known}")
        if name not in theirs.get_available_reporting_integrations():
            package = f"'handan[{EXTRAS[name]}]'" if name in EXTRAS else name
            cure = f"pip install {package}, or take it out of report_to"
            raise UserError(f"report_to names {name}, which is not installed: {cure}")


def attach(
    trainer: Any, run_dir: Path, facts: dict[str, str], settings: dict, items: Iterable[SuiteItem]
) -> None:
    """Put our trackers in the place of transformers' callbacks; for the first process only."""
    callbacks = trainer.callback_handler.callbacks
    ours = {theirs.INTEGRATION_TO_CALLBACK[name]: kind for name, kind in TRACKERS.items()}
    places = [place for place, callback in enumerate(callbacks) if type(callback) in ours]
    if not places:
        return
    identifier = read_json(run_dir / "run.json")["training"].get("tracker_id")
    if identifier is None:
        identifier = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        rundir.add(run_dir, "training", tracker_id=identifier)
    human_rt_s = {(entry.task.name, entry.item.key): entry.human_rt_s for entry in items}
    name = trainer.args.run_name or facts["arm"]
    run = (run_dir, name, identifier, facts, settings, human_rt_s)
    for place in places:
        callbacks[place] = ours[type(callbacks[place])](*run)
    # TRL sends timings and completions past all callbacks, unguarded and again after a resume.
    trainer.args.report_to = [name for name in trainer.args.report_to if name not in TRACKERS]


def attached(trainer: Any) -> list["Tracker"]:
    """The trackers of a trainer; none in processes other than the first."""
    return [one for one in trainer.callback_handler.callbacks if isinstance(one, Tracker)]


def names(row: dict) -> dict[str, float]:
    """Name the finite numbers of a row, those of the trainer with transformers' prefixes."""
    numbers = finite({key: value for key, value in row.items() if key != "step"})
    return theirs.rewrite_logs(numbers) if "epoch" in row else numbers


@dataclass(eq=False)
class Tracker(TrainerCallback):
    """One tracker of a run, which can fail but never stop a training."""

    run_dir: Path
    name: str
    identifier: str
    facts: dict[str, str]
    settings: dict[str, Any]
    human_rt_s: HumanTimes
    failed: bool = False

    def rows(self) -> list[dict]:
        """Rows of ``metrics.jsonl`` so far, which end at the checkpoint when a run is resumed."""
        path = self.run_dir / "metrics.jsonl"
        return read_jsonl(path) if path.exists() else []

    def open(self, args: Any) -> None:
        """Begin or continue the run."""

    def send(self, values: dict[str, float], step: int) -> None:
        """Send the numbers of a step."""

    def send_table(self, name: str, responses: list[dict], step: int) -> None:
        """Send a table of the items that were answered."""

    def close(self) -> None:
        """Write out what is left."""

    def record(self, row: dict, responses: Mapping[str, list[dict]]) -> None:
        """Send a row of ``metrics.jsonl``, and the responses behind it by suite."""
        self.attempt(self.send, names(row), row["step"])
        for suite, rows in responses.items():
            self.attempt(self.send_table, f"tables/{suite}", rows, row["step"])

    def attempt(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do something with the tracker; if that fails in whatever way, go on without it."""
        if self.failed:
            return
        try:
            act(*arguments)
        except Exception as error:
            self.failed = True
            name = next(name for name, kind in TRACKERS.items() if isinstance(self, kind))
            has_all = "training goes on without it, metrics.jsonl has everything"
            self.say(f"{name} failed ({_reason(error)}); {has_all}")

    def say(self, sentence: str) -> None:
        """Print a sentence on this arm."""
        print(f"{self.facts['arm']}: {sentence}")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.attempt(self.open, args)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs:
            self.record({"step": state.global_step, **logs}, {})


class TensorBoard(Tracker):
    """Scalars only: the text plugin would render what models write as Markdown."""

    def open(self, args: Any) -> None:
        from torch.utils.tensorboard import SummaryWriter

        shared = os.environ.get("TENSORBOARD_LOGGING_DIR")
        own = f"{self.run_dir.name}-{self.identifier}"
        folder = Path(shared).expanduser() / own if shared else self.run_dir / "tensorboard"
        # What earlier starts wrote is purged and sent anew.
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=0)
        for row in self.rows():
            self.send(names(row), row["step"])

    def send(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Trackio(Tracker):
    """A store that all runs share and that continues one by its name, which has the identifier."""

    def open(self, args: Any) -> None:
        import trackio
        from huggingface_hub import constants

        self.trackio, offline = trackio, constants.HF_HUB_OFFLINE
        # Trackio asks the hub who is logged in, and waits for an answer without limit.
        if hardware.has_hub_token() and not offline:
            constants.HF_HUB_OFFLINE = not hardware.reaches(constants.ENDPOINT)
        try:
            trackio.init(
                # The default of transformers says nothing of the run.
                project=PROJECT if args.project == "huggingface" else args.project,
                name=f"{self.name}-{self.identifier}",
                space_id=args.trackio_space_id,
                bucket_id=args.trackio_bucket_id,
                private=args.hub_private_repo,
                config={**self.settings, **self.facts},
                resume="allow",
            )
        finally:
            constants.HF_HUB_OFFLINE = offline

    def send(self, values: dict[str, float], step: int) -> None:
        self.trackio.log(values, step=step)

    def send_table(self, name: str, responses: list[dict], step: int) -> None:
        columns, data = item_table(responses, self.human_rt_s)
        self.trackio.log({name: self.trackio.Table(columns=columns, data=data)}, step=step)

    def close(self) -> None:
        self.trackio.finish()


class WeightsAndBiases(Tracker):
    """A W&B run, offline where there is no key or no answer, when every start adds a file."""

    def open(self, args: Any) -> None:
        os.environ.setdefault("WANDB_DIR", str(self.run_dir))
        os.environ.setdefault("WANDB_DATA_DIR", str(self.run_dir / "wandb" / "data"))
        import wandb

        self.wandb: Any = wandb
        try:
            if "WANDB_MODE" not in os.environ:
                # W&B would wait without end for a server that leaves it waiting.
                if not hardware.answers(os.environ.get("WANDB_BASE_URL", hardware.WANDB)):
                    raise UserError("W&B does not answer")
                if not wandb.login(prompt=False):
                    raise UserError("no W&B key")
            self._init(offline=False)
        except Exception as error:
            self.say(f"{_reason(error)}, logging offline")
            wandb.teardown()  # or the id would count as being in use
            self._init(offline=True)
        wandb.define_metric(WANDB_AXIS)
        wandb.define_metric("*", step_metric=WANDB_AXIS, step_sync=True)
        for row in self.rows():  # a file of a resumed run has a summary of its own
            self._summarise(names(row), row["step"])

    def _init(self, offline: bool) -> None:
        facts, chosen = self.facts, os.environ.get
        where: dict[str, str | None] = {"id": self.identifier, "name": self.name}
        where |= {"project": chosen("WANDB_PROJECT", PROJECT), "entity": chosen("WANDB_ENTITY")}
        run = self.wandb.init(
            **where,
            mode="offline" if offline else None,
            resume="allow",
            config={**self.settings, **facts},
            group=chosen("WANDB_RUN_GROUP", facts["arm"]),
            job_type=facts["recipe"],
            tags=[value[:64] for value in facts.values()],  # the most that W&B takes
            settings=self.wandb.Settings(
                **(WANDB_OFFLINE if offline else WANDB_ONLINE),
                x_transaction_log_flush_interval=0.5,  # not 15 s: a kill loses what is unwritten
                x_disable_meta=True,  # host, paths and the command line, which may hold a secret
            ),
        )
        if not run.disabled:
            where |= {"entity": run.entity or None, "mode": "offline" if run.offline else "online"}
            rundir.add(self.run_dir, "training", wandb=where)

    def _summarise(self, values: dict[str, float], step: int) -> None:
        """Keep the last value of each metric, and under ``start/`` that of step 0."""
        start = {f"start/{name}": value for name, value in values.items()} if step == 0 else {}
        self.wandb.run.summary.update(values | start)

    def send(self, values: dict[str, float], step: int) -> None:
        self.wandb.log({**values, WANDB_AXIS: step})
        if step == 0:
            self._summarise(values, step)

    def send_table(self, name: str, responses: list[dict], step: int) -> None:
        columns, data = item_table(responses, self.human_rt_s)
        table = self.wandb.Table(columns=columns, data=data)
        self.wandb.log({name: table, WANDB_AXIS: step})

    def close(self) -> None:
        self.wandb.finish()


TRACKERS: dict[str, type[Tracker]] = {"wandb": WeightsAndBiases, "tensorboard": TensorBoard}
TRACKERS["trackio"] = Trackio


def item_table(responses: list[dict], human_rt_s: HumanTimes) -> tuple[list[str], list[list]]:
    """Make columns and a row for each of at most ``MAX_ITEMS`` items, greedy responses aside."""
    items: dict[tuple[str, str], list[dict]] = {}
    for row in responses:
        if row["sample"] >= 0:
            items.setdefault((row["task"], row["item"]), []).append(row)
    keys, shown = list(items), min(len(items), MAX_ITEMS)
    table: list[dict] = []
    for key in (keys[place * len(keys) // shown] for place in range(shown)):
        samples = items[key]
        ended = Counter(row["status"] for row in samples)
        text = plain(samples[0]["text"])
        if (more := len(text) - MAX_CHARACTERS) > 0:
            text = f"{text[:MAX_CHARACTERS]}… ({more} more characters)"
        number, right = len(samples), sum(row["correct"] is True for row in samples)
        tokens = sum(row["reasoning_tokens"] for row in samples)
        row = {"step": samples[0]["step"], "task": plain(key[0]), "item": plain(key[1])}
        row |= {"human_rt_s": human_rt_s.get(key), "samples": number}
        row["mean_reasoning_tokens"] = tokens / number
        row["status"] = ", ".join(f"{n} {status}" for status, n in sorted(ended.items()))
        table.append(row | {"correct": right / number, "text": text})
    if left_out := len(items) - shown:
        note = f"{left_out} more items are in the files of the run"
        table.append({**dict.fromkeys(table[0]), "step": responses[0]["step"], "text": note})
    return list(table[0]), [list(row.values()) for row in table]


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return printable(text.splitlines()[0])
