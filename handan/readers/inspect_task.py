"""A suite as a task of inspect_ai: ``inspect eval handan/human --model PROVIDER/NAME``.

What items cost people is in the metadata of the samples, so that ``handan costs --from inspect``
reads the log without another file. Answers are graded as everywhere here.
"""

from functools import cache
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    NOANSWER,
    Score,
    Scorer,
    Target,
    accuracy,
    grouped,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate

from handan.evaluation.suite import SuiteItem, load_suite, suite_items
from handan.generation.formats import FORMATS

HUMAN = "eval/suites/human.yaml"


@cache
def _questions(suite: str) -> dict[str, SuiteItem]:
    entries = suite_items(load_suite(Path(suite)))
    return {f"{entry.item.task}/{entry.item.key}": entry for entry in entries}


@task
def human(suite: str = HUMAN) -> Task:
    """Ask the items of a suite, sampled as it says; greedy responses are not drawn."""
    settings = load_suite(Path(suite))
    samples = [
        Sample(
            id=name,
            input=entry.item.question,
            target=entry.item.answer,
            metadata={
                "task": entry.item.task,
                "item": entry.item.key,
                "human_rt_s": entry.human_rt_s,
                "human_mean_rt_s": entry.human_mean_rt_s,
                "analytic_cost": entry.analytic_cost,
                "norms": entry.norms,
            },
        )
        for name, entry in _questions(suite).items()
    ]
    return Task(
        dataset=MemoryDataset(samples, name=settings.name),
        solver=generate(),
        scorer=right_answer(suite),
        epochs=settings.samples,
        config=GenerateConfig(
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_new_tokens,
        ),
        version=settings.version,
    )


@scorer(metrics=[grouped(accuracy(), "task"), stderr()])
def right_answer(suite: str) -> Scorer:
    """Grade the text behind the reasoning, wherever the provider leaves that."""
    form = FORMATS["deepseek_r1"]
    assert form.open is not None and form.close is not None

    async def score(state: TaskState, target: Target) -> Score:
        question = _questions(suite)[str(state.sample_id)]
        answer = state.output.completion.rpartition(form.close)[2].partition(form.open)[0]
        grade = question.task.grade(question.item, answer)
        if grade.correct is None:
            return Score(value=float("nan"), answer=grade.answer)
        value = CORRECT if grade.correct else INCORRECT
        return Score(value=NOANSWER if grade.answer is None else value, answer=grade.answer)

    return score
