"""From a completion to counts, status and grade; ``counted_by`` says where the counts are from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handan.errors import UserError
from handan.generation.chat import count
from handan.generation.engines import Completion
from handan.generation.formats import ReasoningFormat
from handan.generation.spans import is_looping, opened_by_prompt, split_completion, split_text
from handan.tasks.base import Grade, Item, Task

Ids = Sequence[int]


@dataclass(frozen=True)
class TaskItem:
    """An item together with the task that grades it and the wording it is in."""

    item: Item
    task: Task
    wording: str


def read_completion(
    tokenizer: Any,
    question: TaskItem,
    form: ReasoningFormat,
    prompt_ids: Ids,
    completion_ids: Ids,
    ends: Ids,
    ended: bool | None = None,
) -> dict:
    """Counts, status and grade of one completion, from its token ids.

    Status is ``truncated`` if the model did not end the sequence, ``unparsed`` if the span is not
    closed or no answer can be read, ``no_reasoning`` if the span is empty, and otherwise
    ``complete``. ``looping`` is true of a truncated completion that repeats itself.
    """
    opened = opened_by_prompt(tokenizer, prompt_ids, form)
    split = split_completion(tokenizer, completion_ids, form, opened, ends)
    ended = split.ended if ended is None else ended
    answer = split.answer_head + tokenizer.decode(split.answer_ids, skip_special_tokens=True)
    num_reasoning = len(split.reasoning_ids)
    return {
        "prompt_tokens": len(prompt_ids),
        "reasoning_tokens": num_reasoning,
        "answer_tokens": len(split.answer_ids),
        "generated_tokens": len(completion_ids),
        "reasoning_characters": len(tokenizer.decode(split.reasoning_ids)),
        "answer_characters": len(answer),
        "counted_by": "token_ids",
        **_outcome(question, answer, ended, split.closed, num_reasoning),
        "looping": not ended and is_looping(completion_ids),
    }


def read_text(
    tokenizer: Any, question: TaskItem, form: ReasoningFormat, prompt: Ids, completion: Completion
) -> dict:
    """Read the same from the texts and counts of a server that keeps the ids, with the ``text``."""
    usage, reasoning, answer = completion.usage, completion.reasoning, completion.text
    opened = tokenizer is not None and bool(prompt) and opened_by_prompt(tokenizer, prompt, form)
    closed = bool(answer.strip())
    if reasoning is not None and not reasoning.strip():
        if usage.reasoning and form.close is not None and form.close not in answer:
            reasoning = None  # the server counts the reasoning and hides it
        else:
            reasoning, answer, closed, _ = split_text(answer, form, opened)
    end = None if tokenizer is None else tokenizer.eos_token
    if end and answer.rstrip().endswith(end):  # which a server has left in its text
        answer = answer.rstrip().removesuffix(end).rstrip()

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    if not form.thinks and reasoning == "" and usage.reasoning is None and usage.generated:
        # All of it is the answer, but for the end of sequence.
        rest = usage.generated - (completion.ended is not False)
        usage = usage._replace(reasoning=0, answer=rest)
    cure = "name the model's 'tokenizer' in the YAML of the engine"
    tokens = None if tokenizer is None else lambda text: len(ids(text))
    counts = count(reasoning, answer, usage, completion.ended, tokens, cure)
    if counts.answer is None or (usage.prompt is None and not prompt):
        what = "prompt" if counts.answer is not None else "answer"
        raise UserError(f"the server does not count the tokens of the {what}; {cure}")
    if counts.cut_inside:
        answer, closed = "", False
    # Where nobody says, a span that does not end shows that the response was cut.
    ended = closed if completion.ended is None else completion.ended
    reasoning = reasoning or ""
    units = ids(reasoning) if counts.counted_by == "retokenized" else list(reasoning.encode())
    text = answer
    if form.open is not None and form.close is not None and reasoning:
        # Put together again, as the model must have written it.
        text = ("" if opened else form.open) + reasoning
        text += form.close + (form.answer or "") + answer if closed else ""
    return {
        "prompt_tokens": len(prompt) if usage.prompt is None else usage.prompt,
        "reasoning_tokens": counts.reasoning,
        "answer_tokens": counts.answer,
        "generated_tokens": counts.generated or counts.reasoning + counts.answer,
        "reasoning_characters": len(reasoning),
        "answer_characters": len(answer),
        "counted_by": counts.counted_by,
        **_outcome(question, answer, ended, closed, counts.reasoning),
        "looping": not ended and is_looping(units),
        "text": text,
    }


def _outcome(question: TaskItem, answer: str, ended: bool, closed: bool, reasoning: int) -> dict:
    grade = question.task.grade(question.item, answer) if closed else Grade(None, False)
    if not ended:
        status = "truncated"
    elif grade.answer is None:
        status = "unparsed"
    else:
        status = "complete" if reasoning else "no_reasoning"
    return {"status": status, "correct": grade.correct, "answer": grade.answer}
