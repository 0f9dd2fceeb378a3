"""A chart of the page: one specification with its parameters, and its numbers in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handan.report.formatting import plain

DIGITS = 5  # significant ones of a number on the page


@dataclass(frozen=True)
class Panel:
    """One chart of the page.

    Attributes:
        identity: unique on the page.
        kind: of ``specifications``.
        title: what is shown.
        caption: its numbers in a line, shown under the title.
        description: the same and more in words, for those who do not see the chart.
        parameters: of the specification.
        arm, task: the one it is about, if it is about one.
    """

    identity: str
    kind: str
    title: str
    caption: str
    description: str
    parameters: Mapping[str, Any]
    arm: str | None = None
    task: str | None = None

    def for_script(self) -> dict[str, Any]:
        """What page.js needs of it, as JSON."""
        return {
            "kind": self.kind,
            "arm": self.arm and plain(self.arm),
            "task": self.task and plain(self.task),
            "title": self.title,
            "parameters": self.parameters,
        }


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Named columns and rows of values, as JSON: no name is repeated row by row."""
    return {"columns": list(columns), "rows": [[_value(cell) for cell in row] for row in rows]}


def _value(value: Any) -> Any:
    """A number with few digits, None if it is not finite; text as it may be shown."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return plain(value)
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
