"""The trained tokens of a trace, read as the evaluator will read the student's.

A student learns to begin, close and end its reasoning from the labels. Whatever made them, TRL from
messages or this project from token ids, they must follow the very prompt the student is evaluated
with, and the evaluator must find in them the reasoning that is in the trace, no more and no less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handan import generate
from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.thinking import Split, opened_by_prompt, split_completion

IGNORED = -100


@dataclass(frozen=True)
class Spoken:
    """What a trace says: the question, the reasoning and the final response, without any tags."""

    question: str
    reasoning: str
    response: str


def render(spoken: Spoken, form: ReasoningFormat, opened: bool, eos: str) -> str:
    """A trace as a student of this format writes it, from the end of its prompt on.

    Args:
        spoken: its parts.
        form: the student's format.
        opened: whether the student's prompt ends with the opening tag already.
        eos: the student's end-of-sequence token.

    Raises:
        UserError: the format has no reasoning span.
    """
    if form.open is None or form.close is None:
        raise UserError(
            f"reasoning format '{form.name}' has no span to put reasoning in; set reasoning_format"
        )
    if form.answer is not None:  # gpt-oss: the answer is a message of its own
        start = "" if opened else form.open
        begin = f"<|start|>assistant{form.answer}"
        return f"{start}{spoken.reasoning}{form.close}{begin}{spoken.response}{eos}"
    start = "" if opened else f"{form.open}\n"
    return f"{start}{spoken.reasoning}\n{form.close}\n\n{spoken.response}{eos}"


def read_completion(
    tokenizer: Any, prompt: Sequence[int], completion: Sequence[int], form: ReasoningFormat
) -> Split:
    """Reasoning and answer of trained tokens, cut as the evaluator cuts a response.

    Args:
        tokenizer: the student's.
        prompt: ids before the first trained token.
        completion: trained ids, up to and including the end of sequence.
        form: the student's format.
    """
    opened = opened_by_prompt(tokenizer, prompt, form)
    return split_completion(tokenizer, completion, form, opened, [tokenizer.eos_token_id])


def span_problem(
    tokenizer: Any, prompt: Sequence[int], completion: Sequence[int], form: ReasoningFormat
) -> str | None:
    """What is wrong with the tags of a trained completion that reasons; None if nothing is."""
    if form.open is None or form.close is None:
        return (
            f"the trace reasons, but the student's reasoning format '{form.name}' has no span; set "
            "reasoning_format to the one it shall learn"
        )
    opened = opened_by_prompt(tokenizer, prompt, form)
    begins = tokenizer.decode(completion, skip_special_tokens=False).lstrip()
    if opened and begins.startswith(form.open):
        return f"the prompt opens the reasoning and the trace does again; take '{form.open}' off it"
    if not opened and not begins.startswith(form.open):
        return (
            f"neither the prompt nor the trace opens the reasoning with '{form.open}'; put it in "
            "front of the trace"
        )
    if begins.removeprefix(form.open).lstrip().startswith(form.open):
        return f"the reasoning is opened twice; take one '{form.open}' off the trace"
    if not read_completion(tokenizer, prompt, completion, form).closed:
        return (
            f"'{form.close}' is not among the trained tokens, so the thinking span is lost; check "
            "reasoning_format and the chat template"
        )
    return None


def audit_labels(
    trained: Sequence[dict],
    traces: Sequence[Spoken],
    tokenizer: Any,
    form: ReasoningFormat,
    place: str,
) -> dict[str, int]:
    """Compare a prepared data set of any origin with the traces it was made from.

    Args:
        trained: rows with ``input_ids`` and ``labels``, as a trainer holds them.
        traces: what each row must teach, in the same order.
        tokenizer: the student's.
        form: the student's format.
        place: where the traces come from.

    Returns:
        Counts: traces, trained tokens, and the reasoning tokens the evaluator finds among them.

    Raises:
        UserError: a row is missing, or one does not teach its trace after its prompt.
    """
    if len(trained) != len(traces):
        raise UserError(f"{place}: {len(trained)} of {len(traces)} traces would be trained")
    counts = {"traces": len(traces), "trained_tokens": 0, "reasoning_tokens": 0}
    for number, (row, spoken) in enumerate(zip(trained, traces, strict=True), start=1):
        prompt = list(generate.prompt_ids(tokenizer, spoken.question, form))
        ids, labels = list(row["input_ids"]), list(row["labels"])
        problem = _problem(ids, labels, prompt, spoken, tokenizer, form)
        if problem is not None:
            raise UserError(f"{place}, trace {number}: {problem}")
        split = read_completion(tokenizer, prompt, _to_end(ids[len(prompt) :], tokenizer), form)
        counts["trained_tokens"] += sum(label != IGNORED for label in labels)
        counts["reasoning_tokens"] += len(split.reasoning_ids)
    return counts


def _to_end(ids: list[int], tokenizer: Any) -> list[int]:
    """The ids up to the first end of sequence, where generation stops, or all of them."""
    eos = tokenizer.eos_token_id
    return ids[: ids.index(eos) + 1] if eos in ids else ids


def _problem(
    ids: list[int],
    labels: list[int],
    prompt: list[int],
    spoken: Spoken,
    tokenizer: Any,
    form: ReasoningFormat,
) -> str | None:
    def text(some: Sequence[int]) -> str:
        return tokenizer.decode(list(some), skip_special_tokens=False)

    said = text([label for label in labels if label != IGNORED])
    for part, name in ((spoken.reasoning, "reasoning"), (spoken.response, "response")):
        if part not in said:
            return f"its {name} is not among the trained tokens"
    if spoken.question in said:
        return "the prompt is trained too; the loss must be on the completion alone"
    if ids[: len(prompt)] != prompt:
        same = next((i for i, (a, b) in enumerate(zip(ids, prompt, strict=False)) if a != b))
        return (
            f"after {text(prompt[:same])[-20:]!r} it goes on with {text(ids[same:])[:20]!r}, and a "
            f"prompt of an evaluation with {text(prompt[same:])[:20]!r}"
        )
    completion = _to_end(ids[len(prompt) :], tokenizer)
    # A few tokens at the end of the prompt that are trained too do no harm: the trace is whole.
    if labels[len(prompt) :][: len(completion)] != completion:
        return "tokens of the completion are masked or changed"
    if completion[-1] != tokenizer.eos_token_id:
        return f"it does not end with '{tokenizer.eos_token}', so a student would not learn to stop"
    problem = span_problem(tokenizer, prompt, completion, form)
    if problem is not None:
        return problem
    split = read_completion(tokenizer, prompt, completion, form)
    if text(split.reasoning_ids).strip() != spoken.reasoning.strip():
        return "the evaluator finds another reasoning span in the trained tokens than the trace has"
    # Templates may close a turn with tokens of their own before the end of sequence.
    added = set(tokenizer.get_added_vocab().values())
    if text([i for i in split.answer_ids if i not in added]).strip() != spoken.response.strip():
        return "the evaluator finds another answer in the trained tokens than the trace has"
    return None
