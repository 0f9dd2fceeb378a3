"""From a completion to counts, status and grade.

Token ids are counted as they are. Where a server gives none, its own count of reasoning tokens is
taken, and failing that the text is tokenised again, which is another length than was generated:
``counted_by`` says it for every row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handan.engines.base import Completion
from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.tasks.base import Grade, Item, Task
from handan.thinking import is_looping, opened_by_prompt, split_completion, split_text


@dataclass(frozen=True)
class Question:
    """An item together with the task that grades it and the wording it is in."""

    item: Item
    task: Task
    wording: str


def read_completion(
    tokenizer: Any,
    question: Question,
    form: ReasoningFormat,
    prompt_ids: Sequence[int],
    completion_ids: Sequence[int],
    ends: Sequence[int],
    ended: bool | None = None,
) -> dict:
    """Counts, status and grade of one completion, from its token ids.

    Status is ``truncated`` if the model did not end the sequence, ``unparsed`` if the reasoning
    span is not closed or no answer can be read, ``no_reasoning`` if the span is empty, and
    otherwise ``complete``. ``looping`` is true of a truncated completion that repeats itself.

    Args:
        tokenizer: of the model that generated the ids.
        question: what was asked.
        form: the model's reasoning format.
        prompt_ids: the prompt.
        completion_ids: up to and including end of sequence.
        ends: every id that ends a sequence.
        ended: whether the model ended the response, where the engine knows; None: by the last id.
    """
    opened = opened_by_prompt(tokenizer, prompt_ids, form)
    split = split_completion(tokenizer, completion_ids, form, opened, ends)
    ended = split.ended if ended is None else ended
    answer = tokenizer.decode(split.answer_ids, skip_special_tokens=True)
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
    tokenizer: Any,
    question: Question,
    form: ReasoningFormat,
    prompt_ids: Sequence[int],
    completion: Completion,
) -> dict:
    """The same from the texts and counts of a server that keeps the token ids.

    Raises:
        UserError: nothing here can count this response.
    """
    reasoning, answer, closed, opened = _texts(tokenizer, form, prompt_ids, completion)
    answer = _without_end(tokenizer, answer)

    def tokens(text: str) -> list[int]:
        if tokenizer is None:
            raise UserError(
                f"{question.item.task}, {question.item.key}: the server does not count reasoning "
                "tokens; name the model's 'tokenizer' in the YAML of the engine"
            )
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    generated, own = completion.generated_tokens, completion.reasoning_tokens
    ids: list[int] = []
    if own is not None and (own or not reasoning):
        rest = len(tokens(answer)) if generated is None else max(0, generated - own)
        counts, counted_by = (own, rest), "usage"
    elif not form.thinks and not reasoning and generated is not None:
        counts, counted_by = (0, generated - completion.ended), "usage"
    else:
        ids = tokens(reasoning)
        counts, counted_by = (len(ids), len(tokens(answer))), "retokenized"
        if not completion.ended and reasoning and generated and sum(counts) > generated:
            # Cut inside the span: what the server shows as an answer was not generated.
            answer, closed, counts = "", False, (len(ids), 0)
    prompt = completion.prompt_tokens
    if prompt is None and not prompt_ids:
        tokens("")  # says what is missing
    return {
        "prompt_tokens": len(prompt_ids) if prompt is None else prompt,
        "reasoning_tokens": counts[0],
        "answer_tokens": counts[1],
        "generated_tokens": sum(counts) if generated is None else generated,
        "reasoning_characters": len(reasoning),
        "answer_characters": len(answer),
        "counted_by": counted_by,
        **_outcome(question, answer, completion.ended, closed, counts[0]),
        "looping": not completion.ended and is_looping(ids or list(reasoning.encode())),
        "text": _whole(form, reasoning, answer, opened, closed),
    }


def _texts(
    tokenizer: Any, form: ReasoningFormat, prompt_ids: Sequence[int], completion: Completion
) -> tuple[str, str, bool, bool]:
    """Reasoning, answer, whether the span is closed, and whether the prompt opened it."""
    known = tokenizer is not None and bool(prompt_ids)
    opened = known and opened_by_prompt(tokenizer, prompt_ids, form)
    apart, text = completion.reasoning or "", completion.text
    if apart.strip():
        return apart, text, bool(text.strip()), opened
    if completion.reasoning_tokens and form.close is not None and form.close not in text:
        return "", text, bool(text.strip()), opened  # the server counts the reasoning and hides it
    return *split_text(text, form, opened), opened


def _without_end(tokenizer: Any, answer: str) -> str:
    """The answer without an end of sequence that a server left in its text."""
    end = None if tokenizer is None else tokenizer.eos_token
    stripped = answer.rstrip()
    return stripped.removesuffix(end).rstrip() if end and stripped.endswith(end) else answer


def _whole(form: ReasoningFormat, reasoning: str, answer: str, opened: bool, closed: bool) -> str:
    """The response as the model must have written it, put together again."""
    if form.open is None or form.close is None or not reasoning:
        return answer
    begin = "" if opened else form.open
    return begin + reasoning + (form.close + (form.answer or "") + answer if closed else "")


def _outcome(
    question: Question, answer: str, ended: bool, closed: bool, num_reasoning: int
) -> dict[str, Any]:
    """Status, grade and parsed answer."""
    grade = question.task.grade(question.item, answer) if closed else Grade(None, False)
    if not ended:
        status = "truncated"
    elif grade.answer is None:
        status = "unparsed"
    else:
        status = "complete" if num_reasoning else "no_reasoning"
    return {"status": status, "correct": grade.correct, "answer": grade.answer}
