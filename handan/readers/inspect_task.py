"""A suite as a task of inspect_ai: ``inspect eval handan/human --model PROVIDER/NAME``.

What items cost people is in the metadata of the samples, so that ``handan costs --from inspect``
reads the log without another file. Answers are graded as everywhere here.
"""

from functools import cache
from pathlib import Path

from inspect_ai import Task, scorer, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.solver import TaskState, generate

from handan.evaluation.suite import SuiteItem, load_suite, suite_items
from handan.generation.formats import FORMATS
from handan.readers.logged import ITEM_COLUMNS

HUMAN = "eval/suites/human.yaml"


@cache
def _questions(suite: str) -> dict[str, SuiteItem]:
    entries = suite_items(load_suite(Path(suite)))
    return {f"{entry.item.task}/{entry.item.key}": entry for entry in entries}


@task
def human(suite: str = HUMAN) -> Task:
    """Ask the items of a suite, sampled as it says; greedy responses are not drawn."""
    settings, samples = load_suite(Path(suite)), []
    for name, entry in _questions(suite).items():
        metadata = {"task": entry.item.task, "item": entry.item.key}
        metadata |= {column: getattr(entry, column) for column in ITEM_COLUMNS[2:]}
        samples.append(Sample(entry.item.question, None, entry.item.answer, name, metadata))
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


@scorer.scorer(metrics=[scorer.grouped(scorer.accuracy(), "task"), scorer.stderr()])
def right_answer(suite: str) -> scorer.Scorer:
    """Grade the text behind the reasoning, wherever the provider leaves that."""
    form = FORMATS["deepseek_r1"]
    assert form.open is not None and form.close is not None

    async def score(state: TaskState, target: scorer.Target) -> scorer.Score:
        question = _questions(suite)[str(state.sample_id)]
        answer = state.output.completion.rpartition(form.close)[2].partition(form.open)[0]
        grade = question.task.grade(question.item, answer)
        value = {True: scorer.CORRECT, False: scorer.INCORRECT, None: float("nan")}[grade.correct]
        return scorer.Score(value=value, answer=grade.answer)

    return score
