"""Tiny models with the architectures, tokenizers and chat templates of real model families.

Weights are random and vocabularies small, learned from the questions of the human tasks. What can
break a measurement is the family's own: how words are split, which tokens are special, who writes
the beginning of sequence, what ends one, what padding is, and the chat template.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import trl
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

BASE = Path(__file__).parents[1] / "handan" / "tiny" / "weights" / "base"
TEMPLATES = Path(trl.__file__).parent / "chat_templates"
VOCABULARY = 700  # words without the special tokens; 256 of them are the bytes
ROWS = 768  # of the embedding; more than there are tokens, as in the published models

# Words as GPT-4's tokenizer cuts them, which all these families follow but for the digits: Qwen
# has one token a digit, the others up to three digits a token.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ONE_DIGIT, THREE_DIGITS = r"\p{N}", r"\p{N}{1,3}"

# Written for these tests: TRL packages no template of Olmo 3. As in Olmo-3-7B-Think, a system
# message is always there, the prompt opens the span, and the last answer ends with <|endoftext|>.
OLMO3 = """\
{%- if messages[0].role != 'system' -%}
{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\n' + message.content -}}
{{- eos_token if message.role == 'assistant' and loop.last else '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n<think>' -}}{%- endif -%}
"""


@dataclass(frozen=True)
class Family:
    """What is particular to a family.

    Attributes:
        model: name of the function that makes the model.
        tokenizer_class: what the family's own tokenizer_config.json names.
        digits: pattern of the digits in one token.
        special: tokens that disappear from decoded text if special tokens are skipped.
        ordinary: tokens of one id that do not.
        bos, eos, pad: of the tokenizer; None where the family has none.
        adds_bos: whether tokenising plain text puts the beginning of sequence in front.
        ends: what ends a sequence by the generation config.
        template: a file of TRL's, or the text of a template.
    """

    model: str
    tokenizer_class: str
    digits: str
    special: tuple[str, ...]
    ordinary: tuple[str, ...]
    bos: str | None
    eos: str
    pad: str | None
    adds_bos: bool
    ends: tuple[str, ...]
    template: str


FAMILIES = {
    "qwen2": Family(
        model="qwen2",
        tokenizer_class="Qwen2Tokenizer",
        digits=ONE_DIGIT,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        ordinary=("<tool_call>", "</tool_call>"),
        bos=None,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        adds_bos=False,
        ends=("<|im_end|>", "<|endoftext|>"),
        template="qwen2_5.jinja",
    ),
    "qwen3": Family(
        model="qwen3",
        tokenizer_class="Qwen2Tokenizer",
        digits=ONE_DIGIT,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        ordinary=("<tool_call>", "</tool_call>", "<think>", "</think>"),
        bos=None,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        adds_bos=False,
        ends=("<|im_end|>", "<|endoftext|>"),
        template="qwen3.jinja",
    ),
    # R1-Distill-Qwen: Qwen's words, DeepSeek's tokens; pad is eos; the class it names is wrong.
    "r1_distill": Family(
        model="qwen2",
        tokenizer_class="LlamaTokenizerFast",
        digits=ONE_DIGIT,
        special=("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"),
        ordinary=("<｜User｜>", "<｜Assistant｜>", "<|EOT|>", "<think>", "</think>"),
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
        pad="<｜end▁of▁sentence｜>",
        adds_bos=True,
        ends=("<｜end▁of▁sentence｜>",),
        template="deepseek_r1_distill.jinja",
    ),
    # Llama-3-Instruct: both the tokenizer and the template write the beginning; no padding token.
    "llama": Family(
        model="llama",
        tokenizer_class="PreTrainedTokenizerFast",
        digits=THREE_DIGITS,
        special=(
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eom_id|>",
            "<|eot_id|>",
            "<|python_tag|>",
        ),
        ordinary=(),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        pad=None,
        adds_bos=True,
        ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        template="llama3.jinja",
    ),
    "gpt_oss": Family(
        model="gpt_oss",
        tokenizer_class="PreTrainedTokenizerFast",
        digits=THREE_DIGITS,
        special=(
            "<|startoftext|>",
            "<|endoftext|>",
            "<|return|>",
            "<|constrain|>",
            "<|channel|>",
            "<|start|>",
            "<|end|>",
            "<|message|>",
            "<|call|>",
        ),
        ordinary=(),
        bos="<|startoftext|>",
        eos="<|return|>",
        pad="<|endoftext|>",
        adds_bos=False,
        ends=("<|return|>", "<|endoftext|>", "<|call|>"),
        template="gptoss.jinja",
    ),
    # Olmo-3-Think: its tags are no tokens but text, which merges with what follows.
    "olmo3": Family(
        model="olmo3",
        tokenizer_class="GPT2Tokenizer",
        digits=THREE_DIGITS,
        special=("<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"),
        ordinary=(),
        bos="<|endoftext|>",
        eos="<|endoftext|>",
        pad="<|pad|>",
        adds_bos=False,
        ends=("<|endoftext|>", "<|im_end|>"),
        template=OLMO3,
    ),
}


def corpus() -> Iterator[str]:
    """All questions of the human tasks, each with reasoning and answer, as models write them."""
    from handan import tasks

    for task in tasks.TASKS.values():
        for item in task.items():
            reasoning = f"<think>\nSo, {item.question}\n</think>\n\n"
            yield f"{item.question}\n{reasoning}Answer: {item.answer}"


@cache
def _words(digits: str) -> str:
    """A byte-level tokenizer without special tokens, as JSON."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(WORDS.replace("DIGITS", digits)), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer.to_str()


def make_tokenizer(family: Family) -> Any:
    """The family's tokenizer, as its own class or the general one loads it."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(_words(family.digits))
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in family.special])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in family.ordinary])
    if family.adds_bos:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{family.bos} $A",
            pair=f"{family.bos} $A {family.bos} $B",
            special_tokens=[(family.bos, tokenizer.token_to_id(family.bos))],
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = (
        (TEMPLATES / family.template).read_text(encoding="utf-8")
        if family.template.endswith(".jinja")
        else family.template
    )
    return made


def _model(name: str, shared: dict) -> Any:
    from transformers import (
        GptOssConfig,
        GptOssForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        Olmo3Config,
        Olmo3ForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    # Alternating windows, as these two have; a window that short prompts already leave.
    windows = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
    makers: dict[str, Callable[[], Any]] = {
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**shared)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**shared, head_dim=16)),
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**shared)),
        "olmo3": lambda: Olmo3ForCausalLM(Olmo3Config(**shared, **windows)),
        "gpt_oss": lambda: GptOssForCausalLM(
            GptOssConfig(
                **shared | {"intermediate_size": 32},
                **windows,
                head_dim=16,
                num_local_experts=4,
                num_experts_per_tok=2,
            )
        ),
    }
    return makers[name]()


def family(name: str, folder: Path) -> Path:
    """Write a loadable model directory of a family.

    Args:
        name: a key of ``FAMILIES``.
        folder: is made; what is in it already is removed.

    Returns:
        ``folder``.
    """
    import torch

    kind = FAMILIES[name]
    tokenizer = make_tokenizer(kind)
    shared = {
        "vocab_size": ROWS,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _model(kind.model, shared)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(kind.ends))
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    # With Qwen2Config and no class of its own named here, transformers would build an empty one.
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["tokenizer_class"] = kind.tokenizer_class
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2), encoding="utf-8")
    return folder


def wide_heads(folder: Path) -> Path:
    """Write the embedded world's base model with heads of 32 instead of 24, which vLLM's attention
    on CPUs does not know.

    The further dimensions are zero. Rotations keep their angles, and norms and the scale of the
    attention what they were over 24, so the model computes the same up to rounding.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model = Qwen3ForCausalLM.from_pretrained(BASE)
    config = Qwen3Config.from_pretrained(BASE)
    old, new, heads = config.head_dim, 32, config.num_attention_heads
    base = config.rope_parameters["rope_theta"] ** (new / old)
    config.head_dim, config.rope_parameters["rope_theta"] = new, base
    half = torch.arange(old // 2)
    places = torch.cat([half, half + new // 2])  # the two halves are rotated together
    weights = model.state_dict()
    for name, value in weights.items():
        kind = name.split(".")[-2]
        if kind in ("q_norm", "k_norm"):
            scale = 1 if kind == "q_norm" else (old / new) ** 0.5
            weights[name] = torch.zeros(new).index_copy(0, places, value * scale)
        elif kind in ("q_proj", "k_proj", "v_proj"):
            rows = value.view(heads, old, -1)
            weights[name] = rows.new_zeros(heads, new, rows.shape[2]).index_copy(1, places, rows)
            weights[name] = weights[name].flatten(0, 1)
        elif kind == "o_proj":
            columns = value.view(-1, heads, old)
            weights[name] = columns.new_zeros(len(columns), heads, new)
            weights[name] = weights[name].index_copy(2, places, columns).flatten(1)
    wide = Qwen3ForCausalLM(config)
    wide.load_state_dict(weights)
    wide.generation_config = model.generation_config
    shutil.copytree(BASE, folder)
    wide.save_pretrained(folder)
    return folder
