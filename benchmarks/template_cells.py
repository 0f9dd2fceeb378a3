"""One cell of the template matrix: what TRL makes of two traces with one template and layout.

A cell is a real SFTTrainer with a tiny model. Its prepared labels go through
``audit_labels``: 'kept' if they teach the whole trace after the prompt of an
evaluation, else the audit's sentence.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import trl
from datasets import Dataset
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import SFTConfig, SFTTrainer

from handan.errors import UserError
from handan.generation import formats
from handan.generation.formats import FORMATS, ReasoningFormat
from handan.generation.prompting import prompt_ids
from handan.generation.spans import opened_by_prompt, split_completion
from handan.training.labels import IGNORED, span_problem, training_rows

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
BOS, EOS = "<s>", "</s>"
# Strings of a template that are one token each in its family.
MARKS = re.compile(r"<[^<>\s'\"{}%,()=]{1,40}>")
TRACES = [
    {
        "question": question,
        "reasoning_text": reasoning,
        "answer_text": answer,
        "completion_ids": None,
        "tokenizer": None,
    }
    for question, reasoning, answer in (
        ("How many legs have two cats?", "A cat has four.\nTwice four is eight.", "Eight legs."),
        ("Is seven even?", "Seven is three times two, plus one.", "No."),
    )
]
FIELDS = ("reasoning_content", "reasoning", "thinking")
KEPT = "kept"
CURE = "train on token ids, as recipes/sft_distill.py makes them, instead of messages"


def names() -> list[str]:
    """All packaged templates."""
    return sorted(path.stem for path in TEMPLATES.glob("*.jinja"))


def tokenizer_for(name: str) -> Any:
    """A byte-level tokenizer with a template, its marks as tokens, and its end of sequence."""
    template = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    marks = sorted({BOS, EOS, *MARKS.findall(template)})
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # Line breaks and brackets merge, as in published vocabularies: tokens may span a tag's edge.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([template, *(_inline(trace)[0] for trace in TRACES)], trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in marks])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=EOS
    )
    made.name_or_path, made.chat_template = name, template
    try:
        turn = made.apply_chat_template(messages(TRACES[0], "Yes!", {}), tokenize=False)
    except jinja2.TemplateError:  # of images alone; the cells will say so
        return made
    ends = MARKS.findall(turn.rpartition("Yes!")[2])
    made.eos_token = ends[-1] if ends else EOS
    return made


def format_for(tokenizer: Any) -> tuple[ReasoningFormat, bool]:
    """The format the template shows; where it shows none, <think> as a user would set it."""
    try:
        form = formats.detect(tokenizer)
    except UserError:
        form = FORMATS["plain"]
    return (form, True) if form.thinks else (FORMATS["qwq"], False)


def messages(trace: dict, content: str, fields: dict) -> list[dict]:
    """Question and answer as a conversation."""
    answer = {"role": "assistant", "content": content, **fields}
    return [{"role": "user", "content": trace["question"]}, answer]


def _inline(trace: dict) -> tuple[str, dict]:
    return f"<think>\n{trace['reasoning_text']}\n</think>\n\n{trace['answer_text']}", {}


def _field(name: str) -> Callable[[dict], tuple[str, dict]]:
    return lambda trace: (trace["answer_text"], {name: trace["reasoning_text"]})


def _conversation(say: Callable[[dict], tuple[str, dict]], split: bool) -> Callable:
    def row(trace: dict, tokenizer: Any, form: ReasoningFormat) -> dict:
        turns = messages(trace, *say(trace))
        return {"prompt": turns[:1], "completion": turns[1:]} if split else {"messages": turns}

    return row


def _text(trace: dict, tokenizer: Any, form: ReasoningFormat) -> dict:
    """Prompt and completion as text: the same words as in handan's rows."""
    ids, labels = _ids(trace, tokenizer, form).values()
    prompt, completion = ids[: labels.count(IGNORED)], ids[labels.count(IGNORED) :]
    return {"prompt": tokenizer.decode(prompt), "completion": tokenizer.decode(completion)}


def _ids(trace: dict, tokenizer: Any, form: ReasoningFormat) -> dict:
    """As handan's recipes make rows: ids of the evaluation's prompt, then of the trace."""
    return training_rows([trace], tokenizer, form, "trace")[0]


OWN = "handan: token ids"
LAYOUTS: dict[str, Callable[[dict, Any, ReasoningFormat], dict]] = {
    OWN: _ids,
    "prompt, completion: text": _text,
    "prompt, completion: inline": _conversation(_inline, True),
    **{f"prompt, completion: {name}": _conversation(_field(name), True) for name in FIELDS},
    "messages: inline": _conversation(_inline, False),
    **{f"messages: {name}": _conversation(_field(name), False) for name in FIELDS},
}


@cache
def _model() -> Any:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=1024, **sizes, **heads))


def prepared(tokenizer: Any, layout: str, folder: str) -> list[dict]:
    """What TRL would train on: rows with ``input_ids`` and ``labels``, of a real trainer."""
    form, _ = format_for(tokenizer)
    arguments = SFTConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        max_length=None,
        # Without it TRL trains on questions too, where there is no prompt column.
        assistant_only_loss=layout.startswith("messages"),
    )
    trainer = SFTTrainer(
        model=_model(),
        args=arguments,
        train_dataset=Dataset.from_list(
            [LAYOUTS[layout](trace, tokenizer, form) for trace in TRACES]
        ),
        processing_class=tokenizer,
    )
    return list(trainer.train_dataset)


def outcome(tokenizer: Any, layout: str, rows: list[dict]) -> str:
    """'kept', or the sentence with which the audit refuses."""
    form, _ = format_for(tokenizer)
    try:
        audit_labels(rows, TRACES, tokenizer, form, layout)
    except UserError as error:
        return str(error).removeprefix(f"{layout}, trace 1: ")
    return KEPT


def cell(tokenizer: Any, layout: str, folder: str) -> str:
    """Prepare the traces and audit them; a template or TRL itself may refuse before that."""
    try:
        rows = prepared(tokenizer, layout, folder)
    except UserError as error:
        return str(error)
    except (jinja2.TemplateError, ValueError) as error:
        return f"TRL: {' '.join(str(error).split())}"
    return outcome(tokenizer, layout, rows)


def audit_labels(
    trained: Sequence[dict],
    traces: Sequence[dict],
    tokenizer: Any,
    form: ReasoningFormat,
    place: str,
) -> dict[str, int]:
    """Compare a prepared data set of any origin with the traces it was made from.

    Whatever made the labels, they must follow the very prompt the student is evaluated with, and
    the evaluator must find in them the reasoning that is in the trace, no more and no less.

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
        prompt = list(prompt_ids(tokenizer, trace["question"], form))
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
