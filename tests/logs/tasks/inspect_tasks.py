"""The two tasks for inspect_ai: `inspect eval .../inspect_tasks.py@binary_addition`."""

import json
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import CORRECT, INCORRECT, Score, accuracy, scorer
from inspect_ai.solver import generate


@scorer(metrics=[accuracy()])
def answer_after_thinking():
    async def score(state, target):
        answer = state.output.completion.rpartition("</think>")[2].strip()
        return Score(value=CORRECT if answer == target.text else INCORRECT, answer=answer)

    return score


def _task(name: str) -> Task:
    lines = (Path(__file__).parent / f"{name}.jsonl").read_text().splitlines()
    docs = [json.loads(line) for line in lines]
    samples = [Sample(id=d["item"], input=d["question"], target=d["answer"]) for d in docs]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=generate(),
        scorer=answer_after_thinking(),
    )


@task
def binary_addition() -> Task:
    return _task("binary_addition")


@task
def binary_subtraction() -> Task:
    return _task("binary_subtraction")
