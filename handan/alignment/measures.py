"""Every measure that is shown anywhere, as ``measures.yaml`` declares it: name, unit, places.

``TASKS`` are of a model on a task, ``MEANS`` of a model over tasks, ``PAIRS`` of a model beside its
base or teacher, ``CURVES`` of a training. ``docs/extending.md`` says how to add one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from handan.config import read_yaml

# Units: they decide how a number is written and what an axis says (``AXES``).
R, SHARE, TOKENS, COUNT, RATIO, NUMBER = "r", "share", "tokens", "count", "ratio", "number"
AXES = {R: "r", SHARE: "share of responses", TOKENS: "tokens a response", COUNT: "count"}
AXES |= {RATIO: "ratio of tokens", NUMBER: ""}

ALIGNMENT = "alignment"  # first table of `handan align`
CHECKS = "checks"  # its table of checks
ARMS = "arms"  # the report's table of arms, means over human tasks
DETAILS = "details"  # the report's table of every arm on every human task
EXPERIMENT = "experiment"  # the page of a multi-seed experiment


class Measure(NamedTuple):
    """One measure; what it does not have is ''."""

    key: str  # its name; also where it is stored, unless path says otherwise
    label: str  # header of its column
    unit: str
    places: Sequence[str] = ()
    ci: str = ""  # key of its 95 % interval
    path: str = ""  # in nested mappings, such as 'partial/all/r'; its interval is 'ci' beside it
    title: str = ""  # heading of a chart
    curve: str = ""  # its name in metrics.jsonl, if it is measured along training
    task_curve: str = ""  # the same of a single task, with '{task}' in it
    reference: float | None = None  # value of 'no change', such as 1 for a ratio
    printed: bool = True  # by a terminal too, not by files alone
    sampled_only: bool = False  # unknown where nothing is sampled

    @property
    def heading(self) -> str:
        """Its title, or else its label with a capital."""
        return self.title or self.label[:1].upper() + self.label[1:]

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return AXES[self.unit] or self.label

    def value(self, stored: Mapping[str, Any]) -> Any:
        """The value in a mapping of ``alignment.json``, None if it is unknown."""
        return at(stored, self.path or self.key)

    def interval(self, stored: Mapping[str, Any]) -> Sequence[float] | None:
        """Bounds of the 95 % interval, None if it is unknown or there is none."""
        if self.path:
            return at(stored, f"{self.path.rpartition('/')[0]}/ci")
        return stored.get(self.ci)


def at(stored: Any, path: str) -> Any:
    """A value in nested mappings, with "/" between their keys; None where one is missing."""
    for key in path.split("/"):
        stored = None if stored is None else stored.get(key)
    return stored


def _declared(group: str) -> tuple[Measure, ...]:
    return tuple(Measure(key, **fields) for key, fields in DECLARED[group].items())


DECLARED = read_yaml(Path(__file__).with_suffix(".yaml"))
TASKS, MEANS, PAIRS = map(_declared, ("tasks", "means", "pairs"))
CURVES = tuple(measure for measure in (*MEANS, *TASKS, *PAIRS) if measure.curve)
BY_KEY = {measure.key: measure for measure in (*TASKS, *MEANS, *PAIRS)}


def shown(place: str) -> list[Measure]:
    """Measures of a task or pair that are shown in a place."""
    return [measure for measure in (*TASKS, *PAIRS) if place in measure.places]
