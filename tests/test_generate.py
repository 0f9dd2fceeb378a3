import copy

import pytest
import torch
from embedded import load
from families import family

from handan.errors import UserError
from handan.generation.formats import FORMATS
from handan.generation.loading import eos_ids, load_model
from handan.generation.prompting import Decoding, Request, batches, prompt_ids
from handan.generation.transformers_engine import complete, generate_batch
from handan.tiny.evaluation_items import TASKS

FORM = FORMATS["tiny"]
SAMPLED = Decoding(1.0, 1.0, 200)
GREEDY = Decoding(0.0, 1.0, 200)


def requests(decoding, number=12):
    _, tokenizer = load()
    items = TASKS["binary_addition"].items()[100 : 100 + number]
    return [
        Request(i, 0, item.question, prompt_ids(tokenizer, item.question, FORM), decoding)
        for i, item in enumerate(items)
    ]


def test_staged_greedy_generation_equals_transformers_own():
    model, tokenizer = load()
    batch = requests(GREEDY)
    staged = generate_batch(model, tokenizer, batch, seed=0)
    for request, ids in zip(batch, staged, strict=True):
        plain = model.generate(
            torch.tensor([request.prompt_ids]), max_new_tokens=200, do_sample=False
        )[0, len(request.prompt_ids) :].tolist()
        assert ids == plain


def test_a_batch_is_reproducible_and_seeds_matter():
    model, tokenizer = load()
    batch = requests(SAMPLED)
    first = generate_batch(model, tokenizer, batch, seed=0)
    assert first == generate_batch(model, tokenizer, batch, seed=0)
    assert first != generate_batch(model, tokenizer, batch, seed=1)


def test_the_callers_random_state_is_left_alone():
    model, tokenizer = load()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    generate_batch(model, tokenizer, requests(SAMPLED), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_a_generation_config_saved_with_the_model_changes_nothing():
    model, tokenizer = load()
    changed = copy.deepcopy(model)
    changed.generation_config.repetition_penalty = 3.0
    changed.generation_config.min_new_tokens = 50
    changed.generation_config.top_k = 1
    batch = requests(SAMPLED)
    expected = generate_batch(model, tokenizer, batch, seed=0)
    assert generate_batch(changed, tokenizer, batch, seed=0) == expected
    assert changed.generation_config.repetition_penalty == 3.0  # and is there again afterwards


def test_a_mixture_of_experts_generates_the_same_with_its_training_switch_on(tmp_path):
    """TRL leaves ``output_router_logits`` on in the saved config, with which generation fails."""
    model, _, _ = load_model(str(family("gpt_oss", tmp_path / "model")))
    before = complete(model, [[1, 2, 3], [5, 6]], Decoding(0.0, 1.0, 8), [702])
    model.config.output_router_logits = True
    assert complete(model, [[1, 2, 3], [5, 6]], Decoding(0.0, 1.0, 8), [702]) == before
    assert model.config.output_router_logits is True


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}{{ m.role }}{% endfor %}", "drops the question"),
        ("{{ messages[0].content.parts.text }}", "does not take a plain question"),
        ("{% set now = strftime_now %}{{ now('%d') }}", "writes the time of the call"),
    ],
)
def test_a_template_that_asks_something_else_stops(template, message):
    _, tokenizer = load()
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = template
    with pytest.raises(UserError, match=message):
        prompt_ids(tokenizer, "+ 1 1 ; =", FORM)


def test_the_cap_is_kept_exactly():
    model, tokenizer = load()
    short = Decoding(1.0, 1.0, 37)
    prompts = [request.prompt_ids for request in requests(short)]
    rows = complete(model, prompts, short, eos_ids(model, tokenizer))
    ends = tokenizer.eos_token_id
    assert max(map(len, rows)) == 37
    assert all(len(row) == 37 or row[-1] == ends for row in rows)


def test_batches_hold_one_decoding_and_similar_lengths():
    mixed = requests(SAMPLED) + requests(GREEDY)
    cut = batches(mixed, batch_size=5)
    assert sorted(map(len, cut)) == [2, 2, 5, 5, 5, 5]
    assert all(len({r.decoding for r in batch}) == 1 for batch in cut)
    lengths = [len(r.prompt_ids) for batch in cut for r in batch if r.decoding == SAMPLED]
    assert lengths == sorted(lengths)


def test_a_doubled_beginning_of_sequence_stops():
    tokenizer = copy.deepcopy(load()[1])
    tokenizer.chat_template = "{{ bos_token }} " + tokenizer.chat_template
    with pytest.raises(UserError, match="begins with two '<bos>'"):
        prompt_ids(tokenizer, "+ 1 1 ; =", FORM)


def test_a_word_the_tokenizer_does_not_know_stops():
    with pytest.raises(UserError, match="does not know a word of the question 'What is"):
        prompt_ids(load()[1], "What is 1 + 1 ?", FORM)


def test_the_template_opens_the_reasoning_span():
    tokenizer = load()[1]
    assert tokenizer.decode(prompt_ids(tokenizer, "+ 1 1 ; =", FORM)) == "<bos> + 1 1 ; = <think>"


def test_padding_with_the_end_of_sequence_token_ends_no_response():
    model, tokenizer = load()
    same = copy.deepcopy(tokenizer)
    same.pad_token = same.eos_token
    prompts = [request.prompt_ids for request in requests(GREEDY)]
    rows = complete(model, prompts, GREEDY, eos_ids(model, same))
    assert len({len(row) for row in rows}) > 1
    assert all(row.count(same.eos_token_id) == (row[-1] == same.eos_token_id) for row in rows)


def test_a_model_that_nothing_ends_is_refused():
    model, tokenizer = load()
    endless, words = copy.deepcopy(model), copy.deepcopy(tokenizer)
    endless.generation_config.eos_token_id, words.eos_token = None, None
    with pytest.raises(UserError, match="names a token that ends a sequence"):
        eos_ids(endless, words)
