import torch
from embedded import WEIGHTS, load
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3MoeConfig

from handan.evaluation.resource_estimate import size_of, size_of_named

SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def build(config):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def test_the_output_layer_counts_and_the_table_of_inputs_does_not():
    tied = size_of(build(Qwen3Config(**SMALL, tie_word_embeddings=True)))
    untied = size_of(build(Qwen3Config(**SMALL, tie_word_embeddings=False)))
    assert tied == untied  # a token costs the same, wherever the output weights are stored
    whole = sum(p.numel() for p in build(Qwen3Config(**SMALL)).parameters())
    assert untied.multiplied == untied.trained == whole - 50 * 32


def test_adapters_are_what_is_trained():
    model = build(Qwen3Config(**SMALL))
    plain = size_of(model)
    adapted = size_of(get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"])))
    own = 2 * 4 * (32 + 32)  # layers x rank x (inputs and outputs)
    assert adapted.trained == own
    assert adapted.multiplied == plain.multiplied + own


def test_a_token_passes_through_a_share_of_the_experts():
    experts = {"num_experts": 8, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
    two, eight = (
        size_of(build(Qwen3MoeConfig(**SMALL, **experts, num_experts_per_tok=chosen)))
        for chosen in (2, 8)
    )
    one_expert = 3 * 32 * 16  # gate, up and down
    assert eight.multiplied - two.multiplied == 2 * 6 * one_expert


def test_a_name_is_counted_from_its_config_alone(tmp_path):
    model, _ = load()
    assert size_of_named(str(WEIGHTS / "base")) == size_of(model).multiplied
    assert size_of_named(str(tmp_path)) is None
