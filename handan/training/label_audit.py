"""Traces become training rows, and nothing of a trace may be lost on the way.

Known ways to lose it: a chat template that drops the thinking span from the labels, truncation at
a default length, a missing end-of-sequence token, text tokenised anew to another length. So rows
are built here, from token ids where teacher and student share them (``render.py``), and what the
trainer made of them is compared with the traces before the first step.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handan import generate
from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.records import content_hash, read_jsonl
from handan.training.packing import check_whole
from handan.training.prompts import check_held_out, load_prompts
from handan.training.render import completion_ids, misread, reasoning_ids
from handan.training.span_audit import IGNORED, span_problem

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
        prompt = list(generate.prompt_ids(tokenizer, trace["question"], form))
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
