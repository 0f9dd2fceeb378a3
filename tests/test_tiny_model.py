import dataclasses
import itertools
import random

import pytest
import torch
from embedded import ROOT, WEIGHTS, load
from pretrain import Pretraining, corpus, device_of, make_model, make_tokenizer, pretrain

from handan.config import load_yaml
from handan.errors import UserError
from handan.files import content_hash, file_hash
from handan.generation import formats
from handan.generation.prompting import prompt_ids
from handan.tasks.worked_solutions import DIALECTS, FORMATS, TraceStyle, trace_words
from handan.tiny.evaluation_items import TASKS, held_out, identity_hash
from handan.tiny.families import FAMILIES, random_problem

PRETRAINING = ROOT / "recipes" / "configs" / "pretraining"


def test_the_tokenizer_knows_every_word_the_world_can_write():
    tokenizer, rng = make_tokenizer(), random.Random(0)
    vocabulary = tokenizer.get_vocab()
    for family in FAMILIES:
        for name in FORMATS:
            for dialect in DIALECTS:
                style = TraceStyle(name, 0, 0, 1, dialect, slip_rate=0.3)
                for _ in range(40):
                    problem = random_problem(family, rng, [1, 5, 7])
                    words = trace_words(problem.steps(name, rng), style, rng)
                    for word in (*problem.prompt, *words, *problem.answer):
                        assert word in vocabulary


def test_text_survives_a_round_trip():
    tokenizer = make_tokenizer()
    text = "1 + 0 = 1 , carry 1 , </think> 1 0 <eos>"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_pretraining_prompts_are_those_of_the_chat_template():
    settings = load_yaml(PRETRAINING / "base.yaml", Pretraining)
    tokenizer = make_tokenizer()
    rows = corpus(settings, tokenizer.get_vocab())
    for _ in range(100):
        ids, prompt_length = next(rows)
        question = tokenizer.decode(ids[1 : prompt_length - 1])
        expected = prompt_ids(tokenizer, question, formats.FORMATS["tiny"])
        assert tuple(ids[:prompt_length]) == expected


def test_no_evaluation_item_is_in_the_pretraining_corpus():
    settings = load_yaml(PRETRAINING / "base.yaml", Pretraining)
    tokenizer = make_tokenizer()
    items = {
        prompt_ids(tokenizer, item.question, formats.FORMATS["tiny"])
        for family in FAMILIES
        for item in TASKS[family].items()
    }
    rows = corpus(settings, tokenizer.get_vocab())
    for _ in range(5000):
        ids, prompt_length = next(rows)
        assert tuple(ids[:prompt_length]) not in items


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("base", "0fbade9004d44dda"),
        ("base_constant", "83cc7b2d7736277e"),
        ("teacher_cold_start", "0c80b24059dfb1f6"),
    ],
)
def test_the_corpus_is_the_one_that_the_shipped_models_were_trained_on(name, expected):
    settings = load_yaml(PRETRAINING / f"{name}.yaml", Pretraining)
    rows = corpus(settings, make_tokenizer().get_vocab())
    assert content_hash(list(itertools.islice(rows, 3000))) == expected


@pytest.mark.parametrize("name", ["base", "base_constant", "teacher_cold_start"])
def test_shipped_models_are_what_their_settings_say(name):
    settings = load_yaml(PRETRAINING / f"{name}.yaml", Pretraining)
    model, tokenizer = load(name)
    assert model.config.hidden_size == settings.hidden_size
    assert model.config.num_hidden_layers == settings.num_layers
    assert 300_000 < model.num_parameters() < 3_000_000
    assert tokenizer.get_vocab() == make_tokenizer().get_vocab()
    assert tokenizer.chat_template == make_tokenizer().chat_template
    assert (WEIGHTS / name / "model.safetensors").stat().st_size < 2_000_000


def test_a_rebuild_of_a_shortened_schedule_is_reproducible(tmp_path):
    torch.set_num_threads(1)
    settings = load_yaml(PRETRAINING / "base.yaml", Pretraining)
    settings = dataclasses.replace(settings, num_steps=3, tokens_per_step=1024)
    for name in ("a", "b"):
        pretrain(settings, tmp_path / name)
    hashes = {file_hash(tmp_path / name / "model.safetensors") for name in ("a", "b")}
    assert len(hashes) == 1


def test_a_device_that_is_not_there_is_refused(tmp_path, monkeypatch):
    settings = load_yaml(PRETRAINING / "base.yaml", Pretraining)
    with pytest.raises(UserError, match="device is 'tpu'; use cpu, cuda, auto"):
        pretrain(dataclasses.replace(settings, device="tpu"), tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="device is 'cuda', but torch finds no GPU; use cpu or"):
        pretrain(dataclasses.replace(settings, device="cuda"), tmp_path)
    assert device_of(dataclasses.replace(settings, device="auto")) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = [device_of(dataclasses.replace(settings, device=d)) for d in ("auto", "cuda", "cpu")]
    assert found == ["cuda", "cuda", "cpu"]


def test_held_out_covers_all_human_items():
    assert len(held_out()) == 256 + 136 + 4 * 100
    assert identity_hash("binary_subtraction", "1111-0000") in held_out()


def test_the_world_has_models_of_two_architectures():
    kinds = {name: make_model(name, 16, 1, 2, seed=1).config for name in ("qwen3", "llama")}
    assert {name: config.model_type for name, config in kinds.items()} == {
        "qwen3": "qwen3",
        "llama": "llama",
    }
    assert kinds["llama"].vocab_size == kinds["qwen3"].vocab_size == len(make_tokenizer())
    with pytest.raises(UserError, match="architecture is 'gpt'; use one of qwen3, llama"):
        make_model("gpt", 16, 1, 2, seed=1)
