"""What TRL trains on: every chat template it packages, times every layout a data set may have.

    python benchmarks/template_matrix.py --output docs/results/template-matrix.md

Each cell is a real SFTTrainer on two traces with a tiny model. Its prepared labels go through
``handan.training.span_audit``: 'kept' if they teach the whole trace after the prompt of an
evaluation, else the audit's sentence. The tests run the same cells.
"""

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import trl
from datasets import Dataset, disable_progress_bars
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from tokenizers.trainers import BpeTrainer
from trl import SFTConfig, SFTTrainer

from handan import formats
from handan.errors import UserError
from handan.formats import FORMATS, ReasoningFormat
from handan.generate import prompt_ids
from handan.thinking import opened_by_prompt
from handan.training.span_audit import IGNORED, Spoken, audit_labels, render

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
BOS, EOS = "<s>", "</s>"
# Strings of a template that are one token each in its family.
MARKS = re.compile(r"<[^<>\s'\"{}%,()=]{1,40}>")
TRACES = [
    Spoken("How many legs have two cats?", "A cat has four.\nTwice four is eight.", "Eight legs."),
    Spoken("Is seven even?", "Seven is three times two, plus one.", "No."),
]
FIELDS = ("reasoning_content", "reasoning", "thinking")
KEPT = "kept"


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
    tokenizer.train_from_iterator([template, *(_inline(spoken)[0] for spoken in TRACES)], trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in marks])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=EOS
    )
    made.name_or_path, made.chat_template = name, template
    try:
        turn = made.apply_chat_template(messages(TRACES[0], "Yes!", {}), tokenize=False)
    except Exception:  # a template that takes no text at all; the cells will say so
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


def messages(spoken: Spoken, content: str, fields: dict) -> list[dict]:
    """Question and answer as a conversation."""
    answer = {"role": "assistant", "content": content, **fields}
    return [{"role": "user", "content": spoken.question}, answer]


def _inline(spoken: Spoken) -> tuple[str, dict]:
    return f"<think>\n{spoken.reasoning}\n</think>\n\n{spoken.response}", {}


def _field(name: str) -> Callable[[Spoken], tuple[str, dict]]:
    return lambda spoken: (spoken.response, {name: spoken.reasoning})


def _conversation(say: Callable[[Spoken], tuple[str, dict]], split: bool) -> Callable:
    def row(spoken: Spoken, tokenizer: Any, form: ReasoningFormat) -> dict:
        turns = messages(spoken, *say(spoken))
        return {"prompt": turns[:1], "completion": turns[1:]} if split else {"messages": turns}

    return row


def _text(spoken: Spoken, tokenizer: Any, form: ReasoningFormat) -> dict:
    """Prompt and completion as the template and the format write them, as text."""
    turn = [{"role": "user", "content": spoken.question}]
    prompt = tokenizer.apply_chat_template(
        turn, tokenize=False, add_generation_prompt=True, **form.template
    )
    opened = prompt.rstrip().endswith(form.open)
    return {"prompt": prompt, "completion": render(spoken, form, opened, tokenizer.eos_token)}


def _ids(spoken: Spoken, tokenizer: Any, form: ReasoningFormat) -> dict:
    """As handan's recipes make rows: ids of the evaluation's prompt, then of the trace."""
    prompt = list(prompt_ids(tokenizer, spoken.question, form))
    text = render(spoken, form, opened_by_prompt(tokenizer, prompt, form), tokenizer.eos_token)
    completion = tokenizer(text, add_special_tokens=False)["input_ids"]
    return {"input_ids": prompt + completion, "labels": [IGNORED] * len(prompt) + completion}


OWN = "handan: token ids"
LAYOUTS: dict[str, Callable[[Spoken, Any, ReasoningFormat], dict]] = {
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


def cell(tokenizer: Any, layout: str, folder: str) -> tuple[str, dict[str, int] | None]:
    """Prepare two traces with TRL, and audit them.

    Returns:
        'kept' and the audit's counts, or why not and None.
    """
    form, _ = format_for(tokenizer)
    arguments = SFTConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        report_to="none",
        max_length=None,
        # Without it TRL trains on questions too, where there is no prompt column.
        assistant_only_loss=layout.startswith("messages"),
    )
    try:
        rows = [LAYOUTS[layout](spoken, tokenizer, form) for spoken in TRACES]
        trainer = SFTTrainer(
            model=_model(),
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        return KEPT, audit_labels(trainer.train_dataset, TRACES, tokenizer, form, layout)
    except UserError as error:
        return str(error).removeprefix(f"{layout}, trace 1: "), None
    except Exception as error:  # of the template or of TRL, whose kinds are many: it refuses
        return f"TRL: {' '.join(str(error).split())}", None


def matrix(templates: list[str]) -> dict[str, dict[str, str]]:
    """Outcome of every cell: by template, then by layout."""
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: {layout: cell(tokenizer_for(name), layout, folder)[0] for layout in LAYOUTS}
            for name in templates
        }


if __name__ == "__main__":
    import collections, sys, time
    t = time.time()
    m = matrix(sys.argv[1:] or names())
    for n, row in m.items():
        print(n, format_for(tokenizer_for(n))[0].name, format_for(tokenizer_for(n))[1], tokenizer_for(n).eos_token)
        for l, o in row.items():
            print("    ", l, "|", o[:230])
    print(time.time() - t)
