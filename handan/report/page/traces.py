"""The same items across arms and training steps: which responses the page stores, and how.

What is stored is decided by names and numbers alone, never by what a response says: see
``Traces.rule``.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, zip_longest
from typing import NamedTuple

import numpy as np

from handan.alignment.statistics.basic import finite_or_none
from handan.cost_rows import GREEDY
from handan.report.data import Study
from handan.report.page.responses import (
    BEGINNING,
    END,
    MOST_CHARACTERS,
    Place,
    Response,
    bounded,
    places,
    read_response,
    rows_of,
)
from handan.report.roles import Arm

SAMPLE = 0
# Room on the page: long traces reach the second bound, short ones the first.
MOST_RESPONSES, MOST_CHARACTERS_IN_ALL = 20_000, 6_000_000
# Steps of one arm: more than a reader compares, and each takes the room of another arm.
MOST_STEPS = 10

Key = tuple[str, str]


class Asked(NamedTuple):
    """What an item asks: seconds of people or analytic cost (``source`` 'human' or 'analytic'),
    None where it is not known; and the mean reasoning tokens each arm spent on it."""

    source: str | None
    demand: float | None
    means: dict[str, float | None]


UNKNOWN = Asked(None, None, {})


class Shown(NamedTuple):
    """An item with its stored responses, arm by arm in the order of the arms."""

    task: str
    item: str
    asked: Asked
    question: str | None
    right_answer: str | None
    responses: Sequence[tuple[Arm, Response]]


class Traces(NamedTuple):
    """What is stored.

    Attributes:
        shown: items, task by task in the order of what they ask.
        examples: for each task with people's times the stored item of median time and the one
            they took longest over, with these words.
        num_items: how many items there are responses of.
        num_responses: how many responses would be stored if there were room for all.
    """

    shown: Sequence[Shown]
    examples: Sequence[tuple[Shown, str]]
    num_items: int
    num_responses: int

    @property
    def rule(self) -> str:
        """Which responses these are, and how many of how many."""
        text = (
            f"Here are response {SAMPLE} and the response at T = 0 of every arm's final "
            f"evaluation, and response {SAMPLE} at up to {MOST_STEPS} measured steps of its "
            "training, whatever they say: "
        )
        stored = sum(len(item.responses) for item in self.shown)
        if stored == self.num_responses:
            text += f"all {stored:,} of them, on {self.num_items:,} items. "
        else:
            text += (
                f"{stored:,} of {self.num_responses:,}, on {len(self.shown):,} of "
                f"{self.num_items:,} items, as there is no room for more; the items are spread "
                "evenly over the order of people's time in each task, the same for all arms. "
            )
        return (
            f"{text}Of thinking or an answer with more than {MOST_CHARACTERS:,} characters the "
            f"first {BEGINNING:,} and the last {END} are kept."
        )


def read_traces(study: Study) -> Traces:
    """Find the responses of all arms and read as many as there is room for.

    Raises:
        UserError: a line of a file of responses or of items.jsonl is no JSON object.
    """
    found: dict[Key, list[tuple[Arm, Place]]] = {}
    for arm in study.arms:
        for place in _wanted(places(arm)):
            found.setdefault((place.task, place.item), []).append((arm, place))
    asked = _asked(study)
    by_task: dict[str, list[Key]] = {}
    for key in sorted(found, key=lambda key: _rank(key, asked)):
        by_task.setdefault(key[0], []).append(key)
    spread = [[keys[i] for i in spread_order(len(keys))] for keys in by_task.values()]
    order = [key for keys in zip_longest(*spread) for key in keys if key]
    stored = _read(order, found)
    questions = _questions(study, set(stored))
    shown = {
        key: Shown(*key, asked.get(key, UNKNOWN), *questions[key], stored[key])
        for key in chain.from_iterable(by_task.values())
        if key in stored
    }
    examples = [
        (shown[key], why)
        for keys in by_task.values()
        for key, why in _examples(
            [key for key in keys if asked.get(key, UNKNOWN).source == "human"]
        ).items()
        if key in shown
    ]
    return Traces(list(shown.values()), examples, len(found), sum(map(len, found.values())))


def _examples(timed: Sequence[Key]) -> dict[Key, str]:
    """Of the items of a task in the order of people's time, the middle one and the last."""
    if not timed:
        return {}
    return {timed[(len(timed) - 1) // 2]: "median time", timed[-1]: "longest time"}


def spread_order(num_items: int) -> list[int]:
    """Places 0 to n - 1 in an order whose every beginning is spread evenly over them.

    The last, the median, the first, and then what is in the middle of the widest gaps.
    """
    ends = [num_items - 1, (num_items - 1) // 2, 0]
    order = dict.fromkeys(place for place in ends if 0 <= place < num_items)
    gaps = [(0, (num_items - 1) // 2), ((num_items - 1) // 2, num_items - 1)]
    for low, high in gaps:
        middle = (low + high) // 2
        if high - low > 1:
            order[middle] = None
            gaps += [(low, middle), (middle, high)]
    return list(order)


def _wanted(of_arm: Iterable[Place]) -> list[Place]:
    """The responses of the rule; one that was drawn again replaces the one before."""
    unique = {
        (place.task, place.item, place.sample, place.step): place
        for place in of_arm
        if place.sample == SAMPLE or (place.sample == GREEDY and place.step is None)
    }
    steps = sorted({place.step for place in unique.values() if place.step is not None})
    positions = np.linspace(0, len(steps) - 1, min(len(steps), MOST_STEPS)).round().astype(int)
    kept = {None, *(steps[position] for position in positions)}
    return [place for place in unique.values() if place.step in kept]


def _rank(key: Key, asked: Mapping[Key, Asked]) -> tuple:
    """Tasks with people's times first, in each the items that ask least."""
    source, demand, _ = asked.get(key, UNKNOWN)
    return source != "human", key[0], demand is None, demand or 0.0, key[1]


def _asked(study: Study) -> dict[Key, Asked]:
    out: dict[Key, Asked] = {}
    for group in study.groups:
        for arm in group.arms:
            for task, costs in group.costs[arm.name].items():
                for item, demand, mean in zip(
                    costs.items, costs.demand, costs.mean_tokens, strict=True
                ):
                    new = Asked(costs.cost_source, finite_or_none(demand), {})
                    out.setdefault((task, item), new).means[arm.name] = finite_or_none(mean)
    return out


def _read(
    order: Sequence[Key], found: Mapping[Key, Sequence[tuple[Arm, Place]]]
) -> dict[Key, list[tuple[Arm, Response]]]:
    """Responses of item after item, with all arms, until there is no more room."""
    stored: dict[Key, list[tuple[Arm, Response]]] = {}
    num_responses = num_characters = 0
    with ExitStack() as stack:
        paths = {place.path for of_item in found.values() for _, place in of_item}
        files = {path: stack.enter_context(open(path, "rb")) for path in paths}
        for key in order:
            responses = [(arm, read_response(files[p.path], p)) for arm, p in found[key]]
            num_responses += len(responses)
            num_characters += sum(len(r.thinking) + len(r.answer) for _, r in responses)
            if num_responses > MOST_RESPONSES or num_characters > MOST_CHARACTERS_IN_ALL:
                break
            stored[key] = responses
    return stored


def _questions(study: Study, keys: set[Key]) -> dict[Key, tuple[str | None, str | None]]:
    """Question and right answer of the items, of the first arm whose items.jsonl has them."""
    out: dict[Key, tuple[str | None, str | None]] = {}
    for arm in study.arms:
        if len(out) < len(keys):
            for row in rows_of(arm.run_dir / "items.jsonl"):
                key = (str(row.get("task")), str(row.get("item")))
                if key in keys:
                    out.setdefault(key, (_text(row.get("question")), _text(row.get("answer"))))
    return dict.fromkeys(keys, (None, None)) | out


def _text(value: object) -> str | None:
    return None if value is None else bounded(value)
