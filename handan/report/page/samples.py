"""The same few responses of all arms, side by side: text of others, shown as text."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handan.alignment.data.item_costs import TaskCosts
from handan.errors import UserError
from handan.formats import FORMATS, ReasoningFormat
from handan.report.data import Study
from handan.report.notation import plain
from handan.report.roles import Arm
from handan.thinking import split_text

SAMPLE = 0
# Longer texts are shown with their beginning and end.
MOST_CHARACTERS, BEGINNING, END = 1_800, 1_200, 500
RULE = (
    f"For each human task the item with the median time and the item people took longest over, "
    f"response number {SAMPLE} of every arm, whatever it says."
)

Key = tuple[str, str]


class Response(NamedTuple):
    """One response of one arm, cut into thinking and answer.

    ``said`` holds status, grade and length; it is empty if there is no such response.
    """

    arm: Arm
    said: str
    thinking: str
    answer: str


class ShownItem(NamedTuple):
    """An item with the responses of all arms that were asked it."""

    task: str
    item: str
    why: str
    question: str | None
    right_answer: str | None
    human_rt_s: float
    responses: list[Response]


def shown_items(study: Study) -> list[ShownItem]:
    """The items of ``RULE`` with what every arm answered.

    Raises:
        UserError: a line of generations.jsonl or items.jsonl is no JSON object.
    """
    chosen: dict[Key, tuple[str, float]] = {}
    for task in study.main.tasks("human"):
        costs = next(
            study.main.costs[arm.name][task]
            for arm in study.main.arms
            if task in study.main.costs[arm.name]
        )
        for item, why, seconds in _choose(costs):
            chosen.setdefault((task, item), (why, seconds))
    found = {arm.name: _rows(arm.run_dir / "generations.jsonl", set(chosen)) for arm in study.arms}
    asked: dict[Key, Mapping[str, Any]] = {}
    for arm in study.main.arms:
        for row in _rows(arm.run_dir / "items.jsonl", set(chosen) - set(asked)):
            asked[row["task"], row["item"]] = row
    out = []
    for key, (why, seconds) in chosen.items():
        responses = [_response(arm, found[arm.name], key) for arm in study.arms]
        about = asked.get(key, {})
        out.append(
            ShownItem(
                task=key[0],
                item=key[1],
                why=why,
                question=_text(about.get("question")),
                right_answer=_text(about.get("answer")),
                human_rt_s=seconds,
                responses=[
                    response
                    for response in responses
                    if response.said or response.arm in study.main.arms
                ],
            )
        )
    return out


def _choose(costs: TaskCosts) -> list[tuple[str, str, float]]:
    order = np.argsort(costs.demand, kind="stable")
    middle, longest = order[(len(order) - 1) // 2], order[-1]
    return [
        (costs.items[middle], "median time", float(costs.demand[middle])),
        (costs.items[longest], "longest time", float(costs.demand[longest])),
    ]


def _rows(path: Path, wanted: set[Key]) -> list[dict[str, Any]]:
    """Rows of the wanted items, read line by line: the file can be large."""
    rows: list[dict[str, Any]] = []
    if not wanted or not path.exists():
        return rows
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path}, line {number}: not valid JSON ({error.msg}); evaluate the run again"
                ) from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number}: expected a JSON object")
            if (row.get("task"), row.get("item")) in wanted:
                rows.append(row)
    return rows


def _response(arm: Arm, rows: Sequence[Mapping[str, Any]], key: Key) -> Response:
    row = next(
        (r for r in rows if (r["task"], r["item"]) == key and r.get("sample") == SAMPLE), None
    )
    if row is None:
        return Response(arm, "", "", "")
    form = FORMATS.get(str(row.get("reasoning_format")), FORMATS["tiny"])
    thinking, answer = parts_of(str(row.get("text", "")), form, row.get("reasoning_tokens"))
    correct = row.get("correct")
    grade = "not graded" if correct is None else "right" if correct else "wrong"
    said = f"{row.get('status', 'status unknown')}, {grade}, "
    said += f"{row.get('reasoning_tokens', 'unknown')} reasoning tokens"
    return Response(arm, said, _clip(plain(thinking)), _clip(plain(answer)))


def parts_of(text: str, form: ReasoningFormat, reasoning_tokens: Any) -> tuple[str, str]:
    """Thinking and answer of a response's text; the counts were made on token ids, not here."""
    opened = bool(reasoning_tokens) and form.open is not None and form.open not in text
    thinking, answer, _ = split_text(text, form, opened)
    return thinking.strip(), answer.strip()


def _clip(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    left_out = len(text) - BEGINNING - END
    return f"{text[:BEGINNING]}\n[… {left_out:,} characters left out …]\n{text[-END:]}"


def _text(value: Any) -> str | None:
    return None if value is None else _clip(plain(value))
