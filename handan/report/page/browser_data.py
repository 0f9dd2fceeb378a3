"""The data of the trace browser, for JSON inside the page.

Arms, tasks, items and texts are lists and refer to each other by position, and a text that occurs
twice is stored once: with thousands of responses names would take more room than what they name.
"""

from collections.abc import Mapping
from typing import Any

from handan.alignment.statistics.basic import finite_or_none
from handan.report.data import Group, Study
from handan.report.notation import plain
from handan.report.page.traces import Traces
from handan.report.pictures.drawing import Look, colour
from handan.report.roles import Arm


def browser_data(traces: Traces, study: Study, looks: Mapping[str, Look]) -> dict[str, Any]:
    """What ``traces.js`` reads.

    A response is a list: positions of its item and arm, step (null for the final evaluation),
    number, positions of status and grade among the texts, reasoning and answer tokens (null if
    unknown), positions of thinking and answer among the texts.
    """
    arms = {arm.name: position for position, arm in enumerate(study.arms)}
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
    return {
        "arms": [_arm(arm, looks[arm.name]) for arm in study.arms],
        "tasks": [_task(study, task) for task in names],
        "items": items,
        "responses": responses,
        "texts": list(texts),
    }


def _arm(arm: Arm, look: Look) -> dict[str, Any]:
    return {
        "name": plain(arm.name),
        "role": plain(arm.role),
        "mark": look.character,
        "colour": colour(look),
    }


def _task(study: Study, task: str) -> dict[str, Any]:
    """A task with the mean of what its items ask, and what each arm spends on them on average,
    in reasoning tokens: drawn, and at T = 0."""
    known = [
        costs[task]
        for group in study.groups
        for arm in group.arms
        if task in (costs := group.costs[arm.name])
    ]
    return {
        "name": plain(task),
        "source": known[0].cost_source if known else None,
        "demand": finite_or_none(known[0].demand.mean()) if known else None,
        "means": [
            [_mean(group, model, task) for model in (arm.name, arm.greedy)]
            for group in study.groups
            for arm in group.arms
        ],
    }


def _mean(group: Group, model: str | None, task: str) -> float | None:
    """Mean reasoning tokens of a model over the items of a task."""
    costs = group.costs[model].get(task) if model is not None else None
    return finite_or_none(costs.mean_tokens.mean()) if costs else None
