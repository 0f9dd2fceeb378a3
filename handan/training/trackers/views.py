"""TensorBoard and Trackio."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handan import machine
from handan.training.trackers.tracker import PROJECT, TOTALS, Tracker

TRANSFORMERS_PROJECT = "huggingface"  # its default, which says nothing of the run


class TensorBoard(Tracker):
    """Event files in ``tensorboard/`` of the run, or in a folder of TENSORBOARD_LOGGING_DIR.

    It gets scalars only: its text plugin would render what models write as Markdown.
    """

    name = "tensorboard"
    tables = False

    def open(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        from torch.utils.tensorboard import SummaryWriter

        run_dir, shared = self.about.run_dir, self.callback.logging_dir
        own = f"{run_dir.name}-{self.about.identifier}"
        self.folder = Path(shared) / own if shared else run_dir / "tensorboard"
        self.callback.tb_writer = SummaryWriter(log_dir=str(self.folder))

    def stored(self) -> set[tuple[str, int]]:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(self.folder), size_guidance={"scalars": 0}).Reload()
        tags = events.Tags()["scalars"]
        return {(tag, event.step) for tag in tags for event in events.Scalars(tag)}

    def send(self, values: dict[str, float], fresh: dict[str, float], step: int) -> None:
        for name, value in fresh.items():
            self.callback.tb_writer.add_scalar(name, value, step)
        self.callback.tb_writer.flush()


class Trackio(Tracker):
    """The store of this machine (or TRACKIO_DIR), a Space, or a server.

    All runs share it, and a run is continued by its name: so that bears the identifier.
    """

    name = "trackio"

    def open(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        import trackio

        self.trackio = trackio
        self.args = copy.copy(args)
        self.args.run_name = f"{args.run_name}-{self.about.identifier}"
        if args.project == TRANSFORMERS_PROJECT:
            self.args.project = PROJECT
        with hub_or_offline():
            self.callback.on_train_begin(self.args, state, control, **kwargs)
        self.trackio.config.update(self.about.facts)

    def stored(self) -> set[tuple[str, int]]:
        from trackio.fragments import import_inbox_dir
        from trackio.sqlite_storage import SQLiteStorage

        run = self.trackio.context_vars.current_run.get()
        if run.url is None:
            import_inbox_dir()  # where the store is on a network disk, rows wait there
            logs = SQLiteStorage.get_logs(run.project, run_id=run.id)
        else:
            logs = self._remote_logs(run)
        return {(name, row["step"]) for row in logs for name in row}

    def _remote_logs(self, run: Any) -> list[dict]:
        from huggingface_hub import get_token

        client = self.trackio.RemoteClient(run.url, hf_token=get_token(), verbose=False)
        return client.predict(project=run.project, run_id=run.id, api_name="/get_logs")

    def send(self, values: dict[str, float], fresh: dict[str, float], step: int) -> None:
        curves = {name: value for name, value in fresh.items() if name not in TOTALS}
        if curves:
            self.trackio.log(curves, step=step)

    def send_table(self, name: str, columns: list[str], rows: list[list], step: int) -> None:
        self.trackio.log({name: self.trackio.Table(columns=columns, data=rows)}, step=step)


@contextmanager
def hub_or_offline() -> Iterator[None]:
    """Switch the hub off for a while if it does not answer: its library waits without a limit.

    Trackio asks it who is logged in, also for a store on this machine.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    asked = machine.has_hub_token() and not before
    constants.HF_HUB_OFFLINE = before or (asked and not machine.reaches(constants.ENDPOINT))
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
