"""Accounts for every trace: kept, or dropped for one reason, with the lengths of both.

Whatever drops traces changes the lengths that are learned: wrong and cut-off responses are longer
as a rule. So nothing is dropped without its reason, its number and its mean length.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handan import rundir
from handan.errors import UserError
from handan.files import file_hash, write_jsonl

NUM_EXAMPLES, EXAMPLE_CHARACTERS = 3, 200
KEPT = "kept"


class Tally:
    """Counts rows by task and by what became of them.

    Args:
        unit: what lengths are counted in, ``reasoning_tokens`` or ``reasoning_characters``.
    """

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
        """Of a sentence: what was found where most was dropped; '' if no example was recorded."""
        numbers: Counter[str] = Counter()
        for (_, fate), lengths in self.lengths.items():
            numbers[fate] += len(lengths)
        reason = max(self.examples, key=lambda reason: numbers[reason], default="")
        found = [
            one.get("found") or ", ".join(f"{key}: {value}" for key, value in one.items())
            for one in self.examples.get(reason, [])
        ]
        return "".join(f"; {reason}: {one}" for one in dict.fromkeys(found))

    def _summary(self, tasks: Iterable[str]) -> dict[str, Any]:
        wanted = set(tasks)
        entries = {key: of for key, of in self.lengths.items() if key[0] in wanted}
        dropped: Counter[str] = Counter()
        for (_, fate), lengths in entries.items():
            if fate != KEPT:
                dropped[fate] += len(lengths)
        kept = [n for (_, fate), of in entries.items() if fate == KEPT for n in of]
        gone = [n for (_, fate), of in entries.items() if fate != KEPT for n in of]
        return {
            "responses": len(kept) + len(gone),
            KEPT: len(kept),
            "dropped": dict(dropped),
            f"mean_{self.unit}_kept": _mean(kept),
            f"mean_{self.unit}_dropped": _mean(gone),
        }

    def counts(self) -> dict[str, Any]:
        """For ``run.json``: all rows together, and each task of its own."""
        tasks = sorted({task for task, _ in self.lengths})
        return {
            **self._summary(tasks),
            "outcomes": dict(self.outcomes),
            "tasks": {task: self._summary([task]) for task in tasks},
        }


def _mean(lengths: list[float | None]) -> float | None:
    known = [n for n in lengths if n is not None]
    return sum(known) / len(known) if known else None


def write_traces(run_dir: Path, rows: list[dict], tally: Tally, **facts: Any) -> None:
    """Write ``traces.jsonl``, and what became of every row into ``run.json``.

    Raises:
        UserError: nothing is left to keep.
    """
    counts = tally.counts()
    dropped = ", ".join(f"{number} {reason}" for reason, number in counts["dropped"].items())
    dropped = dropped or "none"
    if not rows:
        raise UserError(
            f"{run_dir}: none of {counts['responses']} responses can be kept ({dropped})"
            f"{tally.commonest()}; see the responses themselves, or change what the YAML says"
        )
    path = run_dir / "traces.jsonl"
    write_jsonl(path, rows)
    rundir.add(
        run_dir,
        "traces",
        counts=counts,
        examples_dropped=dict(tally.examples),
        traces_sha256=file_hash(path),
        **facts,
    )
    print(
        f"{path}: kept {len(rows)} of {counts['responses']}; dropped: {dropped}",
        flush=True,
    )
