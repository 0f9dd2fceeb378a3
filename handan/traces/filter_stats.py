"""The account of every trace, with lengths, as dropping the wrong and the cut drops the long."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import UserError
from handan.files import file_hash, write_jsonl
from handan.launch import Processes

NUM_EXAMPLES, EXAMPLE_CHARACTERS = 3, 200
KEPT = "kept"


class Tally:
    """Counts of rows by task and fate, with lengths in ``reasoning_tokens`` or ``_characters``."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.lengths: dict[tuple[str, str], list[float | None]] = defaultdict(list)
        self.outcomes: Counter[str] = Counter()
        self.examples: dict[str, list[dict]] = defaultdict(list)

    def keep(self, task: str, length: float | None) -> None:
        """Count a kept row."""
        self.lengths[task, KEPT].append(length)

    def drop(self, task: str, reason: str, length: float | None, **example: Any) -> None:
        """Count a dropped row; the first few examples of every reason are recorded."""
        self.lengths[task, reason].append(length)
        if example and len(self.examples[reason]) < NUM_EXAMPLES:
            shown = {key: str(value)[:EXAMPLE_CHARACTERS] for key, value in example.items()}
            self.examples[reason].append(shown)

    def commonest(self) -> str:
        """The end of a sentence: examples of what was dropped most; '' if none was recorded."""
        dropped = self._summary()["dropped"]
        reason = max(self.examples, key=dropped.__getitem__, default="")
        found = [
            one.get("found") or ", ".join(f"{key}: {value}" for key, value in one.items())
            for one in self.examples.get(reason, [])
        ]
        return "".join(f"; {reason}: {one}" for one in dict.fromkeys(found))

    def counts(self) -> dict[str, Any]:
        """For ``run.json``: all rows together, and each task of its own."""
        by_task = {task: self._summary(task) for task in sorted({task for task, _ in self.lengths})}
        return {**self._summary(), "outcomes": dict(self.outcomes), "tasks": by_task}

    def _summary(self, of_task: str | None = None) -> dict[str, Any]:
        fates = [
            (fate, length)
            for (task, fate), lengths in self.lengths.items()
            for length in (lengths if of_task in (None, task) else [])
        ]
        kept = [length for fate, length in fates if fate == KEPT]
        gone = [length for fate, length in fates if fate != KEPT]
        return {
            "responses": len(kept) + len(gone), KEPT: len(kept),
            "dropped": dict(Counter(fate for fate, _ in fates if fate != KEPT)),
            f"mean_{self.unit}_kept": _mean(kept), f"mean_{self.unit}_dropped": _mean(gone),
        }  # fmt: skip


def _mean(lengths: list[float | None]) -> float | None:
    known = [n for n in lengths if n is not None]
    return sum(known) / len(known) if known else None


@contextmanager
def trace_run(
    settings: Any, world: Processes, teacher: dict | None, **facts: Any
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Hold the run directory of a trace set, and record its settings with what else decides it."""
    run_dir = Path(settings.output_dir)
    config = asdict(settings) | facts
    del config["output_dir"]
    with rundir.lock(run_dir, world.rank):
        if world.rank == 0:
            rundir.record(run_dir, "traces", config, arm=settings.arm, teacher=teacher)
        yield run_dir, config
        world.gather([])  # all leave together, so that the others find the file


def write_traces(run_dir: Path, rows: list[dict], tally: Tally, **facts: Any) -> None:
    """Write ``traces.jsonl``, and what became of every row into ``run.json``."""
    counts = tally.counts()
    dropped = ", ".join(f"{n} {reason}" for reason, n in counts["dropped"].items()) or "none"
    if not rows:
        raise UserError(
            f"{run_dir}: none of {counts['responses']} responses can be kept ({dropped})"
            f"{tally.commonest()}; see the responses themselves, or change what the YAML says"
        )
    path = run_dir / "traces.jsonl"
    write_jsonl(path, rows)
    examples, sha256 = dict(tally.examples), file_hash(path)
    facts = {"counts": counts, "examples_dropped": examples, "traces_sha256": sha256, **facts}
    rundir.add(run_dir, "traces", **facts)
    print(f"{path}: kept {len(rows)} of {counts['responses']}; dropped: {dropped}")
