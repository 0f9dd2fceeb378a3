"""Drawing responses and keeping them: graded, counted, on disk batch by batch.

Evaluation, teacher traces and probes along training all pass through here, so a response is cut,
counted and graded in the same way wherever it comes from.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handan import generate
from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.generate import Decoding, Request
from handan.launch import Processes
from handan.records import append_jsonl, recover_jsonl
from handan.tasks.base import Grade, Item, Task
from handan.thinking import is_looping, opened_by_prompt, split_completion

KEY = ("settings", "task", "item", "sample")


@dataclass(frozen=True)
class Question:
    """An item together with the task that grades it and the wording it is in."""

    item: Item
    task: Task
    wording: str


@dataclass(frozen=True)
class Plan:
    """Which responses to draw.

    Attributes:
        questions: what is asked.
        decodings: decoding of each sample number.
        form: the model's reasoning format.
        batch_size: requests generated together; it is part of what makes samples reproducible.
        seed: of all samples.
    """

    questions: Sequence[Question]
    decodings: Mapping[int, Decoding]
    form: ReasoningFormat
    batch_size: int
    seed: int

    def batches(self, tokenizer: Any) -> list[list[Request]]:
        """Every request, cut into batches once, whatever is done already."""
        prompts = [
            generate.prompt_ids(tokenizer, q.item.question, self.form) for q in self.questions
        ]
        requests = [
            Request(index, sample, prompt, decoding)
            for index, prompt in enumerate(prompts)
            for sample, decoding in self.decodings.items()
        ]
        return generate.batches(requests, self.batch_size)


def read_completion(
    tokenizer: Any,
    question: Question,
    form: ReasoningFormat,
    prompt_ids: Sequence[int],
    completion_ids: Sequence[int],
    ends: Sequence[int],
) -> dict:
    """Counts, status and grade of one completion.

    Status is ``truncated`` if the model did not end the sequence, ``unparsed`` if the reasoning
    span is not closed or no answer can be read, ``no_reasoning`` if the span is empty, and
    otherwise ``complete``. ``looping`` is true of a truncated completion that repeats itself.
    """
    opened = opened_by_prompt(tokenizer, prompt_ids, form)
    split = split_completion(tokenizer, completion_ids, form, opened, ends)
    answer = tokenizer.decode(split.answer_ids, skip_special_tokens=True)
    grade = question.task.grade(question.item, answer) if split.closed else Grade(None, False)
    if not split.ended:
        status = "truncated"
    elif grade.answer is None:
        status = "unparsed"
    elif not split.reasoning_ids:
        status = "no_reasoning"
    else:
        status = "complete"
    return {
        "prompt_tokens": len(prompt_ids),
        "reasoning_tokens": len(split.reasoning_ids),
        "answer_tokens": len(split.answer_ids),
        "reasoning_characters": len(tokenizer.decode(split.reasoning_ids)),
        "answer_characters": len(answer),
        "status": status,
        "looping": not split.ended and is_looping(completion_ids),
        "correct": grade.correct,
        "answer": grade.answer,
    }


def draw(
    model: Any, tokenizer: Any, plan: Plan, batches: Sequence[list[Request]], labels: dict
) -> Iterator[list[dict]]:
    """Generate batch after batch; yields each batch's rows.

    Args:
        model: a transformers model, unwrapped, on its device.
        tokenizer: its tokenizer.
        plan: what the requests refer to.
        batches: from ``plan.batches``, all or some of them.
        labels: columns that are the same in every row (model, settings, step, ...).
    """
    ends = generate.eos_ids(model, tokenizer)
    for batch in batches:
        started = time.monotonic()
        completions = generate.generate_batch(model, tokenizer, batch, plan.seed)
        seconds = (time.monotonic() - started) / len(batch)
        yield [
            {
                **labels,
                "task": plan.questions[request.item].item.task,
                "item": plan.questions[request.item].item.key,
                "sample": request.sample,
                "temperature": request.decoding.temperature,
                **read_completion(
                    tokenizer,
                    plan.questions[request.item],
                    plan.form,
                    request.prompt_ids,
                    ids,
                    ends,
                ),
                "device_seconds": round(seconds, 4),
                "text": tokenizer.decode(ids),
                "completion_ids": ids,
            }
            for request, ids in zip(batch, completions, strict=True)
        ]


def collect(
    model: Any, tokenizer: Any, plan: Plan, path: Path, labels: dict, world: Processes
) -> None:
    """Complete a file of responses: what it holds already is kept, what is missing is drawn.

    Every process generates its share of the batches and the first one writes. Batches have seeds
    of their own, so neither a restart nor the number of processes changes a sample.

    Args:
        model: a transformers model on its device.
        tokenizer: its tokenizer.
        plan: all responses the file shall hold.
        path: the JSON-lines file.
        labels: the same in every row; ``labels["settings"]`` identifies model and plan.
        world: this process among the others.

    Raises:
        UserError: the file holds responses of other settings.
    """
    done = world.gather(recover_jsonl(path, KEY) if world.rank == 0 else [])
    if any(row["settings"] != labels["settings"] for row in done):
        raise UserError(
            f"{path}: holds responses of another model, or drawn with other settings; "
            "choose another --output_dir or move the file away"
        )
    have = {(row["task"], row["item"], row["sample"]) for row in done}
    items = [question.item for question in plan.questions]

    def missing(request: Request) -> bool:
        item = items[request.item]
        return (item.task, item.key, request.sample) not in have

    batches = plan.batches(tokenizer)
    todo = [batch for batch in batches if any(missing(request) for request in batch)]
    mine = draw(model, tokenizer, plan, todo[world.rank :: world.size], labels)
    total, finished, started = sum(map(len, batches)), len(have), time.monotonic()
    for _ in range(-(-len(todo) // world.size)):
        rows = world.gather(next(mine, []))
        rows = [row for row in rows if (row["task"], row["item"], row["sample"]) not in have]
        if world.rank == 0:
            append_jsonl(path, rows)
            finished += len(rows)
            seconds = time.monotonic() - started
            print(f"{labels['model']}: {finished}/{total} responses, {seconds:.0f} s", flush=True)
