"""Make a trace set, whatever its source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.files import read_json
from handan.launch import Processes, processes
from handan.traces import trace_settings as known
from handan.traces.generate import generate_traces, write_worked
from handan.traces.published import import_traces
from handan.traces.select import choose_traces

SOURCES: dict[str, Callable[[Any, Processes], None]] = {
    "generate": generate_traces, "published": import_traces, "run": choose_traces,
    "worked": write_worked,
}  # fmt: skip


def main() -> None:
    """Command line of recipes/traces.py."""
    settings = known.from_command_line()
    SOURCES[settings.source](settings, processes())


def ensure_traces(path: Path, config: str | None, world: Processes) -> None:
    """Make a trace file that is not there yet, or not accounted for yet, if a config says how."""
    if config is None:
        return
    run = path.with_name("run.json")
    # A run that ended early has not written what its file has cost.
    if path.exists() and (not run.exists() or "traces_sha256" in read_json(run).get("traces", {})):
        return
    settings = known.load(Path(config))
    wanted = Path(settings.output_dir) / "traces.jsonl"
    if wanted != path:
        raise UserError(f"{config}: makes {wanted}, but 'traces' is {path}; let both agree")
    SOURCES[settings.source](settings, world)


def teacher_of(traces: Path) -> dict | None:
    """The maker of a trace file, if it lies in the run directory it was made in."""
    path = traces.with_name("run.json")
    return read_json(path)["traces"].get("teacher") if path.exists() else None
