"""Training rows made of traces, and the audit that nothing of a trace is lost on the way."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.files import content_hash, read_jsonl
from handan.generation.formats import ReasoningFormat
from handan.generation.prompting import prompt_ids
from handan.generation.spans import opened_by_prompt, split_completion
from handan.training.data import check_held_out, load_prompts

Rows = Sequence[dict]
Ids = Sequence[int]
IGNORED = -100  # label of a token without a loss
NEXT_MESSAGE = "<|start|>assistant"  # between the messages of a format of channels
COLUMNS = ("task", "item", "wording", "question", "text", "completion_ids", "tokenizer")


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Hash of a tokenizer's vocabulary and behaviour."""
    backend = tokenizer.backend_tokenizer
    # Of the last call, or saved with the tokenizer; each call sets them anew.
    backend.no_truncation()
    backend.no_padding()
    return content_hash(backend.to_str())


def load_traces(path: Path, prompts: Path) -> list[dict]:
    """Read traces, none of an evaluation item, each of a prompt that the paired arm has too."""
    rows = read_jsonl(path)
    if not rows:
        raise UserError(f"{path}: holds no traces; see the counts handan traces printed")
    for number, row in enumerate(rows, start=1):
        if missing := [column for column in COLUMNS if column not in row]:
            raise UserError(
                f"{path}, line {number}: no {', '.join(missing)}; make traces of a file of "
                "questions and responses with handan traces, source: published (docs/traces.md)"
            )
    check_held_out(rows, str(path))
    shared = {(q.item.task, q.item.key) for q in load_prompts(prompts)}
    for number, row in enumerate(rows, start=1):
        if (row["task"], row["item"]) not in shared:
            raise UserError(
                f"{path}, line {number}: '{row['item']}' of {row['task']} is not a prompt of "
                f"{prompts}; make the traces from the same prompts as the paired arm's"
            )
    return rows


def training_rows(traces: Rows, tokenizer: Any, form: ReasoningFormat, place: str) -> list[dict]:
    """Make ``input_ids`` and ``labels`` of every trace; the loss is on the completion alone."""
    fingerprint = tokenizer_fingerprint(tokenizer)
    eos = tokenizer.eos_token_id
    marks = " ".join(filter(None, (form.open, form.close, form.answer, NEXT_MESSAGE)))
    own = set(tokenizer(marks, add_special_tokens=False)["input_ids"])
    special = {token for token, kind in tokenizer.added_tokens_decoder.items() if kind.special}
    controls = special - own | {eos}
    rows = []
    for number, trace in enumerate(traces, start=1):
        prompt = list(prompt_ids(tokenizer, trace["question"], form))
        completion = _completion_ids(trace, prompt, tokenizer, form, fingerprint)
        if not completion or completion[-1] != eos:
            raise UserError(
                f"{place}, line {number}: the trace does not end with '{tokenizer.eos_token}', so "
                "the student would never learn to stop; end each text with it"
            )
        if strays := controls.intersection(completion[:-1]):
            raise UserError(
                f"{place}, line {number}: '{tokenizer.convert_ids_to_tokens(min(strays))}' stands "
                "in the middle of the trace, so the student would learn to stop there; remove the "
                "trace"
            )
        labels = [IGNORED] * len(prompt) + completion
        rows.append({"input_ids": prompt + completion, "labels": labels})
    return rows


def _completion_ids(
    trace: dict, prompt: list[int], tokenizer: Any, form: ReasoningFormat, fingerprint: str
) -> list[int]:
    """Take the teacher's ids if the student would end them and count the same reasoning tokens."""
    in_parts = trace.get("reasoning_text") is not None
    ids = trace["completion_ids"]
    if ids is not None and trace["tokenizer"] == fingerprint:
        if not in_parts:
            return list(ids)
        spent = trace["reasoning_tokens"]
        whole = bool(ids) and ids[-1] == tokenizer.eos_token_id
        whole = whole and not (spent and span_problem(tokenizer, prompt, ids, form))
        if whole and len(_span(ids, prompt, tokenizer, form) or []) == spent:
            return list(ids)
    text = written(trace, prompt, tokenizer, form) if in_parts else trace["text"]
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return [*ids, tokenizer.eos_token_id] if in_parts else ids


def written(trace: dict, prompt: Ids, tokenizer: Any, form: ReasoningFormat) -> str:
    """Write a trace in the student's format, without end of sequence."""
    reasoning, answer = trace["reasoning_text"], trace["answer_text"]
    if not form.thinks or form.open is None or form.close is None:
        if reasoning:
            raise UserError(
                f"reasoning_format '{form.name}' has no span for the reasoning of the traces; set "
                "reasoning_format to the one the trained model shall have, such as deepseek_r1"
            )
        return answer
    if form.answer is not None:  # in a format of channels each part is a message of its own
        span = f"{form.open}{reasoning}{form.close}{NEXT_MESSAGE}" if reasoning else ""
        return f"{span}{form.answer}{answer}"
    opened = opened_by_prompt(tokenizer, prompt, form)
    end = tokenizer.decode(list(prompt)[-1:], skip_special_tokens=False)
    begin = ("" if opened else form.open) + ("" if opened and end.endswith("\n") else "\n")
    return f"{begin}{reasoning}\n{form.close}\n\n{answer}"


def span_problem(tokenizer: Any, prompt: Ids, completion: Ids, form: ReasoningFormat) -> str | None:
    """Find what is wrong with the tags of trained ids that reason; None if nothing is."""
    if form.open is None or form.close is None:
        return (
            f"the trace reasons, but the student's reasoning format '{form.name}' has no span; set "
            "reasoning_format to the one it shall learn"
        )
    opened = opened_by_prompt(tokenizer, prompt, form)
    begins = tokenizer.decode(list(completion), skip_special_tokens=False).lstrip()
    again = begins if opened else begins.removeprefix(form.open).lstrip()
    if again.startswith(form.open):
        return f"the reasoning is opened twice; take one '{form.open}' off the trace"
    if not opened and not begins.startswith(form.open):
        cure = "put it in front of the trace"
        return f"neither the prompt nor the trace opens the reasoning with '{form.open}'; {cure}"
    if _span(completion, prompt, tokenizer, form) is None:
        return (
            f"'{form.close}' is not among the trained tokens, so the thinking span is lost; check "
            "reasoning_format and the chat template"
        )
    return None


def _span(ids: Ids, prompt: Ids, tokenizer: Any, form: ReasoningFormat) -> list[int] | None:
    opened = opened_by_prompt(tokenizer, prompt, form)
    split = split_completion(tokenizer, ids, form, opened, [tokenizer.eos_token_id])
    return split.reasoning_ids if split.closed else None


def audit(
    trained: Rows, rows: Rows, traces: Rows, tokenizer: Any, form: ReasoningFormat, place: str
) -> dict[str, int]:
    """Compare the data set that a trainer prepared with the rows made of the traces; count both."""

    def bare(text: str) -> str:
        return "".join(unicodedata.normalize("NFC", text).split())

    if len(trained) and "seq_lengths" in trained[0]:
        check_whole(trained, rows, place)
        trained = rows  # the same traces in another order
    if len(trained) != len(rows):
        longest = max(len(row["input_ids"]) for row in rows)
        cure = f"set max_length to at least {longest} and packing to false"
        raise UserError(f"{place}: the trainer kept {len(trained)} of {len(rows)} traces; {cure}")
    counts = {"traces": len(rows), "trained_tokens": 0, "reasoning_tokens": 0, "tokenised_anew": 0}
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
        span = _span(labels, prompt, tokenizer, form) or []
        reasoning = trace.get("reasoning_text")
        if trace["reasoning_tokens"] or reasoning:
            problem = span_problem(tokenizer, prompt, labels, form)
            told = not reasoning or bare(tokenizer.decode(span)) == bare(reasoning)
            if problem is None and not told:
                problem = (
                    "the trained tokens read otherwise than the reasoning of the trace; the "
                    "tokenizer does not know a word of it, or it holds a mark of the reasoning "
                    "format: remove the trace or choose another student"
                )
            if problem is not None:
                raise UserError(f"{place}, line {number}: {problem}")
        counts["trained_tokens"] += len(labels)
        counts["reasoning_tokens"] += len(span)
        counts["tokenised_anew"] += labels != trace["completion_ids"]
    return counts


def check_whole(packed: Rows, rows: Rows, place: str) -> None:
    """Raise UserError unless packed rows (with ``seq_lengths``) hold exactly the rows packed."""
    found: Counter[tuple] = Counter()
    for row in packed:
        start = 0
        for length in row["seq_lengths"]:
            piece = slice(start, start + length)
            found[tuple(row["input_ids"][piece]), tuple(row["labels"][piece])] += 1
            start += length
    for number, row in enumerate(rows, start=1):
        content = tuple(row["input_ids"]), tuple(row["labels"])
        if not found[content]:
            raise UserError(
                f"{place}, line {number}: the trace is not whole in the packed rows; set "
                f"max_length to at least {max(len(row['input_ids']) for row in rows)}"
            )
        found[content] -= 1
    if found.total():
        pieces = f"{found.total()} pieces that are no traces"
        raise UserError(f"{place}: packed rows hold {pieces}; set packing to false")
