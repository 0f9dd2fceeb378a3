"""The trained tokens of a trace, read as the evaluator will read the student's.

A student learns to begin, close and end its reasoning from the labels. Whatever made them, TRL from
messages or this project from token ids, they must follow the very prompt the student is evaluated
with, and the evaluator must find in them the reasoning that is in the trace, no more and no less.
"""

from collections.abc import Sequence
from typing import Any

from handan.errors import UserError
from handan.generation import prompting
from handan.generation.formats import ReasoningFormat
from handan.generation.spans import opened_by_prompt, split_completion

IGNORED = -100  # label of a token without a loss
CURE = "train on token ids, as recipes/sft_distill.py makes them, instead of messages"


def span_problem(
    tokenizer: Any, prompt: Sequence[int], completion: Sequence[int], form: ReasoningFormat
) -> str | None:
    """What is wrong with the tags of a trained completion that reasons; None if nothing is.

    Args:
        tokenizer: the student's.
        prompt: ids of the prompt of an evaluation.
        completion: trained ids, up to and including the end of sequence.
        form: the student's format.
    """
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
        return (
            f"neither the prompt nor the trace opens the reasoning with '{form.open}'; put it in "
            "front of the trace"
        )
    ends = [tokenizer.eos_token_id]
    if not split_completion(tokenizer, completion, form, opened, ends).closed:
        return (
            f"'{form.close}' is not among the trained tokens, so the thinking span is lost; check "
            "reasoning_format and the chat template"
        )
    return None


def audit_labels(
    trained: Sequence[dict],
    traces: Sequence[dict],
    tokenizer: Any,
    form: ReasoningFormat,
    place: str,
) -> dict[str, int]:
    """Compare a prepared data set of any origin with the traces it was made from.

    Args:
        trained: rows with ``input_ids`` and ``labels``, as a trainer holds them.
        traces: what each row must teach, in the same order: rows with ``question``,
            ``reasoning_text`` and ``answer_text``.
        tokenizer: the student's.
        form: the student's format.
        place: where the traces come from.

    Returns:
        Counts: traces, trained tokens, and the reasoning tokens the evaluator finds among them.

    Raises:
        UserError: a row is missing, or one does not teach its trace after its prompt.
    """
    if len(trained) != len(traces):
        raise UserError(f"{place}: {len(trained)} of {len(traces)} traces would be trained; {CURE}")
    counts = {"traces": len(traces), "trained_tokens": 0, "reasoning_tokens": 0}
    for number, (row, trace) in enumerate(zip(trained, traces, strict=True), start=1):
        prompt = list(prompting.prompt_ids(tokenizer, trace["question"], form))
        ids, labels = list(row["input_ids"]), list(row["labels"])
        completion = _to_end(ids[len(prompt) :], tokenizer)
        lost = _lost(labels, trace, tokenizer) or _displaced(
            ids, labels, prompt, completion, tokenizer
        )
        if lost is not None:
            raise UserError(f"{place}, trace {number}: {lost}; {CURE}")
        problem = span_problem(tokenizer, prompt, completion, form)
        if problem is not None:
            raise UserError(f"{place}, trace {number}: {problem}")
        opened = opened_by_prompt(tokenizer, prompt, form)
        ends = [tokenizer.eos_token_id]
        split = split_completion(tokenizer, completion, form, opened, ends)
        # Templates may close a turn with tokens of their own before the end of sequence.
        marks = set(tokenizer.get_added_vocab().values())
        answer = [token for token in split.answer_ids if token not in marks]
        for ids, text in ((split.reasoning_ids, "reasoning_text"), (answer, "answer_text")):
            if tokenizer.decode(ids).strip() != trace[text].strip():
                raise UserError(
                    f"{place}, trace {number}: in the trained tokens the evaluator finds another "
                    f"{text.removesuffix('_text')} than the trace has; {CURE}"
                )
        counts["trained_tokens"] += sum(label != IGNORED for label in labels)
        counts["reasoning_tokens"] += len(split.reasoning_ids)
    return counts


def _to_end(ids: list[int], tokenizer: Any) -> list[int]:
    """The ids up to the first end of sequence, where generation stops, or all of them."""
    eos = tokenizer.eos_token_id
    return ids[: ids.index(eos) + 1] if eos in ids else ids


def _lost(labels: list[int], trace: dict, tokenizer: Any) -> str | None:
    """Whether a part of the trace is without a loss, or the question has one."""
    trained = [label for label in labels if label != IGNORED]
    said = tokenizer.decode(trained, skip_special_tokens=False)
    for part in ("reasoning_text", "answer_text"):
        if trace[part].strip() not in said:
            return f"its {part.removesuffix('_text')} is not among the trained tokens"
    if trace["question"].strip() in said:
        return "the question is trained too; the loss must be on the completion alone"
    return None


def _displaced(
    ids: list[int], labels: list[int], prompt: list[int], completion: list[int], tokenizer: Any
) -> str | None:
    """Whether the completion stands after another prompt, has holes, or does not end."""

    def text(some: Sequence[int]) -> str:
        return tokenizer.decode(list(some), skip_special_tokens=False)[:20]

    if ids[: len(prompt)] != prompt:
        pairs = enumerate(zip(ids, prompt, strict=False))
        same = next((i for i, (a, b) in pairs if a != b), min(len(ids), len(prompt)))
        return (
            f"it goes on with {text(ids[same:])!r} where a prompt of an evaluation has "
            f"{text(prompt[same:])!r}"
        )
    # Tokens at the end of the prompt that are trained too do no harm: the trace is whole.
    if labels[len(prompt) :][: len(completion)] != completion:
        return "tokens of the completion are masked or changed"
    if not completion or completion[-1] != tokenizer.eos_token_id:
        return f"it does not end with '{tokenizer.eos_token}', so a student would not learn to stop"
    return None
