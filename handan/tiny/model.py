"""Tokenizer and transformer of the embedded world, both ordinary transformers objects."""

from typing import Any

import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from handan.errors import UserError
from handan.tasks.worked_solutions import DIALECTS
from handan.tiny.families import GAP, NAMES

# As special tokens `<think>` and `</think>` would vanish from the text of rewards and traces.
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"]
WORDS = ["<think>", "</think>", *"0123456789", *NAMES, *"+-=;,?>", GAP, "carry", "borrow", "sum"]
ARCHITECTURES: dict[str, tuple[Any, Any]] = {
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
}


def make_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A word-level tokenizer whose chat template opens the thinking span, as R1's does."""
    kinds = [kind for dialect in DIALECTS.values() for kind in dialect.values()]
    spoken = [word for kind in kinds for phrase in kind for word in phrase]
    known = dict.fromkeys([*SPECIAL, *WORDS, *spoken, "ok", "no", "again", "wait"])
    vocabulary = {word: index for index, word in enumerate(known)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    marks = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")}
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, padding_side="left", clean_up_tokenization_spaces=False, **marks
    )
    fast.chat_template = (
        "{{ bos_token }}{% for message in messages %} {{ message['content'] }}"
        "{% endfor %}{% if add_generation_prompt %} <think>{% endif %}"
    )
    return fast


def make_model(
    architecture: str, hidden_size: int, num_layers: int, num_heads: int, seed: int
) -> Any:
    """A randomly initialised model, qwen3 or llama, that knows the embedded world's vocabulary."""
    import torch

    if architecture not in ARCHITECTURES:
        raise UserError(f"architecture is '{architecture}'; use one of {', '.join(ARCHITECTURES)}")
    make_config, kind = ARCHITECTURES[architecture]
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    config = make_config(
        vocab_size=len(tokenizer), max_position_embeddings=1024, tie_word_embeddings=False,
        hidden_size=hidden_size, intermediate_size=8 * hidden_size // 3,
        num_hidden_layers=num_layers, head_dim=hidden_size // num_heads,
        num_attention_heads=num_heads, num_key_value_heads=num_heads,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return kind(config)
