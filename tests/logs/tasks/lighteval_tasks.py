"""The two tasks for lighteval: `lighteval accelerate ... --custom-tasks .../lighteval_tasks.py`."""

from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc


def prompt(line, task_name=None):
    return Doc(
        task_name=task_name,
        query=line["question"],
        choices=[line["answer"]],
        gold_index=0,
        specific={"item": line["item"]},
    )


def task(name, num_samples):
    return LightevalTaskConfig(
        name=name,
        prompt_function=prompt,
        hf_repo=f"../raw/data/{name}",  # a copy of NAME.jsonl as test.jsonl
        hf_subset="default",
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        metrics=[Metrics.exact_match],
        generation_size=56,
        stop_sequence=[],
        num_samples=num_samples,
    )


TASKS_TABLE = [task("binary_addition", None), task("binary_subtraction", None)]
