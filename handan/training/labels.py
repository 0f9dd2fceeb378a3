"""The completion a student is trained on, for a trace of whatever teacher.

A teacher's token ids are used as they are where the student would read the same trace in them: its
tokenizer, its end of sequence, its marks. Otherwise, and for published text, the trace is written
in the student's own format and tokenised by the student.
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.files import content_hash, read_jsonl
from handan.generation import prompting
from handan.generation.formats import ReasoningFormat
from handan.generation.spans import opened_by_prompt, split_completion
from handan.training.data import check_held_out, load_prompts
from handan.training.sft import check_whole
from handan.training.span_audit import IGNORED, span_problem

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


# Traces become training rows, and nothing of a trace may be lost on the way.

COLUMNS = ("task", "item", "wording", "question", "text", "completion_ids", "tokenizer")


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Hash of a tokenizer's vocabulary and behaviour."""
    return content_hash(tokenizer.backend_tokenizer.to_str())


def load_traces(path: Path, prompts: Path) -> list[dict]:
    """Read a trace file.

    Args:
        path: the JSON-lines file.
        prompts: the training prompts that this arm shares with the arm it is compared to.

    Raises:
        UserError: it is empty, a column is missing, or a trace answers an evaluation item or a
            prompt that is not among ``prompts``.
    """
    rows = read_jsonl(path)
    if not rows:
        raise UserError(f"{path}: holds no traces; see the counts recipes/traces.py printed")
    for number, row in enumerate(rows, start=1):
        missing = [column for column in COLUMNS if column not in row]
        if missing:
            raise UserError(f"{path}, line {number}: '{missing[0]}' is missing; make the file anew")
    check_held_out(rows, str(path))
    shared = {(q.item.task, q.item.key) for q in load_prompts(prompts)}
    for number, row in enumerate(rows, start=1):
        if (row["task"], row["item"]) not in shared:
            raise UserError(
                f"{path}, line {number}: '{row['item']}' of {row['task']} is not a prompt of "
                f"{prompts}; make the traces from the same prompts as the paired arm's"
            )
    return rows


def training_rows(
    traces: Sequence[dict], tokenizer: Any, form: ReasoningFormat, place: str
) -> list[dict]:
    """``input_ids`` and ``labels`` of every trace; the loss is on the completion alone.

    Raises:
        UserError: a trace does not end with the student's end-of-sequence token.
    """
    same = tokenizer_fingerprint(tokenizer)
    rows = []
    for number, trace in enumerate(traces, start=1):
        prompt = list(prompting.prompt_ids(tokenizer, trace["question"], form))
        completion = completion_ids(trace, prompt, tokenizer, form, same)
        if not completion or completion[-1] != tokenizer.eos_token_id:
            raise UserError(
                f"{place}, line {number}: the trace does not end with '{tokenizer.eos_token}', so "
                "the student would never learn to stop; end each text with it"
            )
        if tokenizer.eos_token_id in completion[:-1]:
            raise UserError(
                f"{place}, line {number}: '{tokenizer.eos_token}' stands in the middle of the "
                "trace, so the student would learn to stop there; remove the trace"
            )
        rows.append(
            {
                "input_ids": prompt + completion,
                "labels": [IGNORED] * len(prompt) + completion,
            }
        )
    return rows


def audit(
    trained: Sequence[dict],
    rows: Sequence[dict],
    traces: Sequence[dict],
    tokenizer: Any,
    form: ReasoningFormat,
    place: str,
) -> dict[str, int]:
    """Compare what the trainer will train on with the traces, label by label.

    Args:
        trained: the trainer's prepared data set: rows with ``input_ids`` and ``labels``, and with
            ``seq_lengths`` if they are packed.
        rows: what ``training_rows`` made.
        traces: the trace rows.
        tokenizer: the student's.
        form: the student's reasoning format; the labels must contain its tags.
        place: the trace file.

    Returns:
        Counts for ``run.json``: traces, trained tokens, reasoning tokens among them, and how many
        traces are not the teacher's own token ids.

    Raises:
        UserError: rows are missing or shortened, or the thinking span is not trained.
    """
    if len(trained) and "seq_lengths" in trained[0]:
        check_whole(trained, rows, place)
        trained = rows  # the same traces in another order
    if len(trained) != len(rows):
        raise UserError(
            f"{place}: the trainer kept {len(trained)} of {len(rows)} traces; set max_length to at "
            f"least {max(len(row['input_ids']) for row in rows)} and packing to false"
        )
    counts = {"traces": len(rows), "trained_tokens": 0, "reasoning_tokens": 0}
    counts["tokenised_anew"] = 0
    for number, (got, row, trace) in enumerate(zip(trained, rows, traces, strict=True), start=1):
        labels = [token for token in got["labels"] if token != IGNORED]
        wanted = [token for token in row["labels"] if token != IGNORED]
        if labels != wanted or list(got["input_ids"]) != row["input_ids"]:
            raise UserError(
                f"{place}, line {number}: {len(labels)} of {len(wanted)} tokens would be trained; "
                f"set max_length to at least {len(row['input_ids'])} and remove other settings "
                "that change rows"
            )
        prompt = row["input_ids"][: len(row["input_ids"]) - len(wanted)]
        span = reasoning_ids(labels, prompt, tokenizer, form)
        if trace["reasoning_tokens"] or trace.get("reasoning_text"):
            problem = span_problem(tokenizer, prompt, labels, form) or misread(
                trace, span, tokenizer
            )
            if problem is not None:
                raise UserError(f"{place}, line {number}: {problem}")
        counts["trained_tokens"] += len(labels)
        counts["reasoning_tokens"] += len(span)
        counts["tokenised_anew"] += labels != trace["completion_ids"]
    return counts
