"""Weights & Biases: online, or offline where there is no key or no answer."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import printable
from handan.training.trackers.tracker import PROJECT, TOTALS, Tracker, reason

AXIS = "train/global_step"
INIT_SECONDS = 20
FINISH_SECONDS = 60
OFFLINE_SECONDS = 300  # only this machine is waited for, which may be busy
# What W&B has not written is lost when the process is killed; its own interval is 15 s.
FLUSH_SECONDS = 1
TAG_CHARACTERS = 64  # the most that W&B takes
INSPECT_SECONDS = 120
LOGIN_SECONDS = 60
TEARDOWN_SECONDS = 10
# In a process of its own: W&B waits without end for its service if a server leaves that waiting.
LOGIN = """
import os, wandb
try:
    why = "" if wandb.login(prompt=False) else "no W&B key"
except Exception as error:
    why = f"W&B does not take the key ({error or type(error).__name__})".replace(chr(10), " ")
print(why, flush=True)
os._exit(0)
"""


class WeightsAndBiases(Tracker):
    """A run whose id is kept in ``run.json``, together with where it is found.

    Offline every start adds a file to ``wandb/``, and all of them together are the run. The summary
    has the last value of each metric, and under ``start/`` that of step 0.
    """

    name = "wandb"

    def open(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        import wandb

        self.wandb = wandb
        offline = "WANDB_MODE" not in os.environ and not self._logged_in()
        try:
            self.run = self._start(args, offline)
        except Exception as error:  # every way in which a server can fail, as in Tracker.attempt
            if offline:
                raise
            self._say(f"W&B cannot be reached ({reason(error)}), logging offline")
            self._tear_down()  # or the id would count as being in use
            self.run = self._start(args, offline=True)
        self.callback.on_train_begin(args, state, control, **kwargs)

    def _logged_in(self) -> bool:
        """Whether there is a key, and a server that knows it."""
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", LOGIN],
                stdout=said,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                process.wait(LOGIN_SECONDS)
                said.seek(0)
                why = said.read().strip() if process.returncode == 0 else "W&B cannot be asked"
            except subprocess.TimeoutExpired:
                why = f"W&B does not answer within {LOGIN_SECONDS} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if why:
            self._say(f"{printable(why)}, logging offline")
        return not why

    def _tear_down(self) -> None:
        thread = threading.Thread(target=self.wandb.teardown, daemon=True)
        thread.start()
        thread.join(TEARDOWN_SECONDS)
        if thread.is_alive():
            raise TimeoutError("its service does not end")

    def _start(self, args: Any, offline: bool) -> Any:
        facts = self.about.facts
        where = {
            "id": self.about.identifier,
            "name": args.run_name,
            "project": os.environ.get("WANDB_PROJECT", PROJECT),
            "entity": os.environ.get("WANDB_ENTITY"),
        }
        run = self.wandb.init(
            **where,
            mode="offline" if offline else None,
            resume="allow",
            config=facts,
            group=os.environ.get("WANDB_RUN_GROUP", facts["arm"]),
            job_type=facts["recipe"],
            tags=[value[:TAG_CHARACTERS] for value in facts.values()],
            settings=self.wandb.Settings(
                init_timeout=OFFLINE_SECONDS if offline else INIT_SECONDS,
                finish_timeout=OFFLINE_SECONDS if offline else FINISH_SECONDS,
                x_transaction_log_flush_interval=FLUSH_SECONDS,
                # Host, absolute paths and the command line, which may hold a secret; run.json has
                # what of it matters.
                x_disable_meta=True,
            ),
        )
        if not run.disabled:
            where |= {"entity": run.entity or None, "mode": "offline" if run.offline else "online"}
            rundir.add(self.about.run_dir, "training", wandb=where)
        return run

    def _say(self, sentence: str) -> None:
        print(f"{self.about.facts['arm']}: {sentence}", flush=True)

    def stored(self) -> set[tuple[str, int]]:
        if self.run.disabled:
            return set()
        if self.run.offline:
            return self._in_files()
        return self._on_server() if self.run.resumed else set()

    def _in_files(self) -> set[tuple[str, int]]:
        """What earlier starts have written; a file that was cut off counts as far as it goes."""
        settings, identifier = self.run.settings, self.about.identifier
        held: set[tuple[str, int]] = set()
        for path in Path(settings.wandb_dir).glob(f"*run-*-{identifier}/run-{identifier}.wandb"):
            if path.parent == Path(settings.sync_dir):
                continue  # this start's own
            records = _records(path)
            if not records:
                shutil.rmtree(path.parent)  # killed in its first second; `wandb sync` stops at it
            held |= _pairs(r["history"]["item"] for r in records if r["type"] == "history")
        return held

    def _on_server(self) -> set[tuple[str, int]]:
        path = f"{self.run.entity}/{self.run.project}/{self.run.id}"
        return _pairs(self.wandb.Api(timeout=INIT_SECONDS).run(path).scan_history())

    def send(self, values: dict[str, float], fresh: dict[str, float], step: int) -> None:
        curves = {name: value for name, value in fresh.items() if name not in TOTALS}
        if curves:
            self.run.log({**curves, AXIS: step})
        # A file of a resumed run has a summary of its own, also of what another file holds.
        summary = {
            name.removeprefix("train/") if name in TOTALS else name: value
            for name, value in values.items()
            if name not in curves
        }
        if step == 0:
            measured = [name for name in values if not name.startswith("budget/")]
            summary |= {f"start/{name}": values[name] for name in measured}
        if summary:
            self.run.summary.update(summary)

    def send_table(self, name: str, columns: list[str], rows: list[list], step: int) -> None:
        self.run.log({name: self.wandb.Table(columns=columns, data=rows), AXIS: step})

    def close(self) -> None:
        self.run.finish()


def _records(path: Path) -> list[dict]:
    """What a file of W&B holds."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=INSPECT_SECONDS
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _pairs(history: Iterable[dict]) -> set[tuple[str, int]]:
    """The (name, step) pairs of logged rows."""
    return {
        (name.removesuffix("._type"), row[AXIS])  # a table has several keys in a file
        for row in history
        if AXIS in row
        for name in row
    }
