"""The completion a student is trained on, for a trace of whatever teacher.

A teacher's token ids are used as they are where the student would read the same trace in them: its
tokenizer, its end of sequence, its marks. Otherwise, and for published text, the trace is written
in the student's own format and tokenised by the student.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.thinking import opened_by_prompt, split_completion
from handan.training.span_audit import span_problem

# In a format of channels each part is a message of its own.
NEXT_MESSAGE = "<|start|>assistant"


def completion_ids(
    trace: dict, prompt: Sequence[int], tokenizer: Any, form: ReasoningFormat, fingerprint: str
) -> list[int]:
    """Ids of a trace's completion.

    Args:
        trace: a row of ``traces.jsonl``.
        prompt: ids of the question.
        tokenizer: the student's.
        form: the student's reasoning format.
        fingerprint: of the student's tokenizer.

    Raises:
        UserError: the student's format has no place for the reasoning.
    """
    own = trace["tokenizer"] == fingerprint and trace["completion_ids"] is not None
    in_parts = trace.get("reasoning_text") is not None
    if own and (not in_parts or _reads_the_same(trace, prompt, tokenizer, form)):
        return list(trace["completion_ids"])
    text = written(trace, prompt, tokenizer, form) if in_parts else trace["text"]
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return [*ids, tokenizer.eos_token_id] if in_parts else ids


def written(trace: dict, prompt: Sequence[int], tokenizer: Any, form: ReasoningFormat) -> str:
    """The text of a trace in the student's format, without end of sequence.

    Raises:
        UserError: the format has no place for the reasoning.
    """
    reasoning, answer = trace["reasoning_text"], trace["answer_text"]
    if not form.thinks or form.open is None or form.close is None:
        if reasoning:
            raise UserError(
                f"reasoning_format '{form.name}' has no span for the reasoning of the traces; set "
                "reasoning_format to the one the trained model shall have, such as deepseek_r1"
            )
        return answer
    if form.answer is not None:
        span = f"{form.open}{reasoning}{form.close}{NEXT_MESSAGE}" if reasoning else ""
        return f"{span}{form.answer}{answer}"
    opened = opened_by_prompt(tokenizer, prompt, form)
    end = tokenizer.decode(list(prompt)[-1:], skip_special_tokens=False)
    begin = ("" if opened else form.open) + ("" if opened and end.endswith("\n") else "\n")
    return f"{begin}{reasoning}\n{form.close}\n\n{answer}"


def reasoning_ids(
    completion: Sequence[int], prompt: Sequence[int], tokenizer: Any, form: ReasoningFormat
) -> list[int]:
    """Ids of the span, as the evaluator would count them."""
    opened = opened_by_prompt(tokenizer, prompt, form)
    split = split_completion(tokenizer, completion, form, opened, [tokenizer.eos_token_id])
    return split.reasoning_ids if split.closed else []


def _reads_the_same(
    trace: dict, prompt: Sequence[int], tokenizer: Any, form: ReasoningFormat
) -> bool:
    """Whether the student would end these ids and count the reasoning tokens the teacher spent."""
    ids = trace["completion_ids"]
    ends = bool(ids) and ids[-1] == tokenizer.eos_token_id
    if trace["reasoning_tokens"] and span_problem(tokenizer, prompt, ids, form) is not None:
        return False
    return ends and len(reasoning_ids(ids, prompt, tokenizer, form)) == trace["reasoning_tokens"]


def misread(trace: dict, reasoning: Sequence[int], tokenizer: Any) -> str | None:
    """What is wrong if trained ids say something else than the reasoning to be imitated."""

    def bare(text: str) -> str:
        return "".join(unicodedata.normalize("NFC", text).split())

    if not trace.get("reasoning_text"):
        return None
    if bare(tokenizer.decode(reasoning)) == bare(trace["reasoning_text"]):
        return None
    return (
        "the trained tokens read otherwise than the reasoning of the trace; the tokenizer does not "
        "know a word of it, or it holds a mark of the reasoning format: remove the trace or choose "
        "another student"
    )
