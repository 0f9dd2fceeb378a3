"""Responses in the files of runs: one pass notes where each begins, only what is shown is decoded.

A file can hold a hundred thousand of twenty thousand characters.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from handan.alignment.correlation import finite_or_none
from handan.evaluation.evaluate import GREEDY
from handan.files import repeated, whole_lines
from handan.formatting import plain
from handan.generation.formats import FORMATS, ReasoningFormat
from handan.generation.spans import split_text
from handan.inputs import json_object
from handan.report.comparison import WORDS, Arm, Comparison
from handan.report.plot_styles import Look, css
from handan.rundir import read_asked

# Longer texts are kept with their beginning and end.
MAX_CHARACTERS, BEGINNING, END = 1_800, 1_200, 500
SAMPLE = 0
# Room on the page: long traces reach the second bound, short ones the first.
MAX_RESPONSES, MAX_CHARACTERS_IN_ALL = 20_000, 6_000_000
# Steps of one arm: more than a reader compares, and each takes the room of another arm.
MAX_STEPS = 10
# How evaluation and probes write the head of a line. Within a JSON string every quote has a
# backslash before it, so no text of a model can look like this.
_HEAD = re.compile(rb'"task": "([^"\\]*)", "item": "([^"\\]*)", "sample": (-?\d{1,9}),')
_STEP = re.compile(rb'"step": (\d{1,12}),')
Key = tuple[str, str]  # task and item


class Place(NamedTuple):
    """The place of a response."""

    task: str
    item: str
    sample: int
    step: int | None  # of the training that it was drawn at; None for the final evaluation
    path: Path
    line: int
    offset: int  # the byte its line begins at


class Response(NamedTuple):
    """One response, cut into thinking and answer; its texts are plain and of bounded length."""

    place: Place
    status: str
    correct: bool | None  # None where it was not graded
    reasoning_tokens: int | None
    answer_tokens: int | None
    thinking: str
    answer: str

    @property
    def grade(self) -> str:
        return "not graded" if self.correct is None else "right" if self.correct else "wrong"


def places(arm: Arm) -> Iterator[Place]:
    """Responses of an arm's final evaluation and along its training, or of a sweep afterwards."""
    yield from _places(arm.run_dir / "generations.jsonl", None)
    along = [arm.run_dir / name for name in ("probe.jsonl", "full.jsonl")]
    for path in along:
        yield from (place for place in _places(path, None) if place.step is not None)
    if not any(path.exists() for path in along):
        for folder in (arm.run_dir / "sweep").glob("step-*"):
            step = folder.name.removeprefix("step-")
            if step.isdecimal():
                yield from _places(folder / "generations.jsonl", int(step))


def _places(path: Path, step: int | None) -> Iterator[Place]:
    """The responses in a file, all of one step or of the steps its lines name."""
    if not path.exists():
        return
    offset, seen = 0, dict[tuple, int]()
    for number, line in enumerate(whole_lines(path), start=1):
        if line.strip() and (names := _names(line, path, number)):
            if names in seen:
                raise repeated(path, number, ("task", "item", "sample", "step"), seen[names])
            seen[names] = number
            task, item, sample, own_step = names
            at = own_step if step is None else step
            yield Place(task, item, sample, at, path, number, offset)
        offset += len(line)


def _names(line: bytes, path: Path, number: int) -> tuple[str, str, int, int | None] | None:
    """Task, item, sample and step of a line; None if it has no response's names."""
    head = _HEAD.search(line)
    if head and head[0].isascii():
        step = _STEP.search(line, 0, head.start())
        return head[1].decode(), head[2].decode(), int(head[3]), int(step[1]) if step else None
    row = _decode(line, path, number)
    match [row.get(key) for key in ("task", "item", "sample", "step")]:
        case [str(task), str(item), int(sample), int() | None as own_step]:
            return task, item, sample, own_step
    return None


def _decode(line: bytes, path: Path, number: int) -> dict[str, Any]:
    # What is no UTF-8 is shown as such, not refused.
    return json_object(f"{path}, line {number}", line.decode(errors="replace").encode())


def read_response(file: BinaryIO, place: Place) -> Response:
    """The response at a place of its opened file."""
    file.seek(place.offset)
    row = _decode(file.readline(), place.path, place.line)
    form = FORMATS.get(str(row.get("reasoning_format")), FORMATS["tiny"])
    thinking, answer = parts_of(str(row.get("text", "")), form, row.get("reasoning_tokens"))
    reasoning_tokens, answer_tokens = (
        count if type(count := row.get(key)) is int else None
        for key in ("reasoning_tokens", "answer_tokens")
    )
    correct = row["correct"] if isinstance(row.get("correct"), bool) else None
    status, thinking, answer = map(bounded, (row.get("status", "status unknown"), thinking, answer))
    return Response(place, status, correct, reasoning_tokens, answer_tokens, thinking, answer)


def parts_of(text: str, form: ReasoningFormat, reasoning_tokens: Any) -> tuple[str, str]:
    """Thinking and answer of a response's text; the counts were made on token ids, not here."""
    opened = bool(reasoning_tokens) and form.open is not None and form.open not in text
    reasoning, answer, *_ = split_text(text, form, opened)
    return (reasoning or "").strip(), answer.strip()


def bounded(text: object) -> str:
    """Text of others, plain, with its middle left out if it is long; that is said in its place."""
    whole = str(text)
    if len(whole) <= MAX_CHARACTERS:
        return plain(whole)
    left_out = f"\n[… {len(whole) - BEGINNING - END:,} characters left out …]\n"
    return plain(whole[:BEGINNING]) + left_out + plain(whole[-END:])


class Asked(NamedTuple):
    """Difficulty of an item, and the mean reasoning tokens that each arm spent on it."""

    source: str | None  # 'human' or 'analytic'
    demand: float | None  # seconds of people, or analytic cost
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
    """Everything that is stored."""

    shown: Sequence[Shown]  # task by task in the order of what they ask
    examples: Sequence[tuple[Shown, str]]  # of each timed task the median and the longest, in words
    num_items: int  # that there are responses of
    num_responses: int  # that would be stored if there were room for all

    @property
    def rule(self) -> str:
        """Say which responses these are, and how many of how many."""
        stored = sum(len(item.responses) for item in self.shown)
        kept = "all" if stored == self.num_responses else "some"
        share = WORDS["traces"][kept].format(
            stored=stored, of=self.num_responses, items=len(self.shown), of_items=self.num_items
        )
        bounds = {"longest": MAX_CHARACTERS, "beginning": BEGINNING, "end": END}
        numbers = {"sample": SAMPLE, "steps": MAX_STEPS, "share": share}
        return WORDS["traces"]["rule"].format(**numbers, **bounds)


def read_traces(comparison: Comparison) -> Traces:
    """Find the responses of all arms and read as many as there is room for."""
    found: dict[Key, list[tuple[Arm, Place]]] = {}
    for arm in comparison.arms:
        for place in _wanted(places(arm)):
            found.setdefault((place.task, place.item), []).append((arm, place))
    asked = dict.fromkeys(found, UNKNOWN) | _asked(comparison)

    def rank(key: Key) -> tuple:
        """Tasks with people's times first, in each the items that ask least."""
        source, demand, _ = asked[key]
        return source != "human", key[0], demand is None, demand or 0.0, key[1]

    by_task: dict[str, list[Key]] = {}
    for key in sorted(found, key=rank):
        by_task.setdefault(key[0], []).append(key)
    spread = [[keys[i] for i in spread_order(len(keys))] for keys in by_task.values()]
    stored = _read([key for keys in zip_longest(*spread) for key in keys if key], found)
    questions = _questions(comparison, set(stored))
    shown: dict[Key, Shown] = {}
    examples: list[tuple[Shown, str]] = []
    for keys in by_task.values():
        for key in (key for key in keys if key in stored):
            shown[key] = Shown(*key, asked[key], *questions[key], stored[key])
        timed = [key for key in keys if asked[key].source == "human"]
        if timed:
            chosen = {timed[(len(timed) - 1) // 2]: "median time", timed[-1]: "longest time"}
            examples += [(shown[key], why) for key, why in chosen.items() if key in shown]
    return Traces(list(shown.values()), examples, len(found), sum(map(len, found.values())))


def spread_order(num_items: int) -> list[int]:
    """Places 0 to n - 1: last, median, first, and then what is in the middle of the widest gaps."""
    last, median = num_items - 1, (num_items - 1) // 2
    order = dict.fromkeys(place for place in (last, median, 0) if 0 <= place < num_items)
    gaps = [(0, median), (median, last)]
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
    positions = np.linspace(0, len(steps) - 1, min(len(steps), MAX_STEPS)).round().astype(int)
    kept = {None, *(steps[position] for position in positions)}
    return [place for place in unique.values() if place.step in kept]


def _asked(comparison: Comparison) -> dict[Key, Asked]:
    out: dict[Key, Asked] = {}
    of_arms = [(arm.name, of.costs[arm.name]) for of in comparison.groups for arm in of.arms]
    for arm, task, costs in ((arm, *of_task) for arm, of in of_arms for of_task in of.items()):
        rows = zip(costs.items, costs.of_items["difficulty"], costs.mean_tokens, strict=True)
        for item, demand, mean in rows:
            new = Asked(costs.cost_source, finite_or_none(demand), {})
            out.setdefault((task, item), new).means[arm] = finite_or_none(mean)
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
            if num_responses > MAX_RESPONSES or num_characters > MAX_CHARACTERS_IN_ALL:
                break
            stored[key] = responses
    return stored


def _questions(comparison: Comparison, keys: set[Key]) -> dict[Key, tuple[str | None, str | None]]:
    """Question and right answer of the items, of the first arm whose items.jsonl has them."""
    out: dict[Key, tuple[str | None, str | None]] = dict.fromkeys(keys, (None, None))
    for arm in reversed(comparison.arms):
        for key, (question, answer) in read_asked(arm.run_dir).items():
            if key in keys:
                out[key] = bounded(question), bounded(answer)
    return out


def browser_data(
    traces: Traces, comparison: Comparison, looks: Mapping[str, Look]
) -> dict[str, Any]:
    """The data that ``traces.js`` reads; to save room, lists refer to each other by position.

    A response has its item and arm, step (null for the final evaluation), number, status and grade
    among the texts, reasoning and answer tokens (null if unknown), thinking and answer as texts.
    """
    arms = {arm.name: position for position, arm in enumerate(comparison.arms)}
    names = list(dict.fromkeys(shown.task for shown in traces.shown))
    texts: dict[str, int] = {}

    def text(value: str) -> int:
        return texts.setdefault(value, len(texts))

    responses = [
        [
            *(item, arms[arm.name], response.place.step, response.place.sample),
            *(text(response.status), text(response.grade)),
            *(response.reasoning_tokens, response.answer_tokens),
            *(text(response.thinking), text(response.answer)),
        ]
        for item, shown in enumerate(traces.shown)
        for arm, response in shown.responses
    ]
    items = [
        {
            "task": names.index(shown.task),
            "name": plain(shown.item),
            "demand": shown.asked.demand,
            "question": shown.question,
            "right_answer": shown.right_answer,
            "means": [shown.asked.means.get(arm) for arm in arms],
        }
        for shown in traces.shown
    ]
    drawn = [(plain(arm.name), plain(arm.role), looks[arm.name]) for arm in comparison.arms]
    return {
        "arms": [
            {"name": name, "role": role, "mark": look.character, "colour": css(look.light)}
            for name, role, look in drawn
        ],
        "tasks": [_task(comparison, task) for task in names],
        "items": items,
        "responses": responses,
        "texts": list(texts),
    }


def _task(comparison: Comparison, task: str) -> dict[str, Any]:
    """A task with the means of what its items ask and of each arm's tokens, drawn and at T = 0."""
    of_arms = [(of.costs, (arm.name, arm.greedy)) for of in comparison.groups for arm in of.arms]
    costs = [[of[model].get(task) if model else None for model in two] for of, two in of_arms]
    known = next((sampled for sampled, _ in costs if sampled is not None), None)
    spent = [[finite_or_none(of.mean_tokens.mean()) if of else None for of in two] for two in costs]
    return {
        "name": plain(task),
        "source": known.cost_source if known else None,
        "demand": finite_or_none(known.of_items["difficulty"].mean()) if known else None,
        "means": spent,
    }
