"""The tiny stand-ins of real families behave as the families do, through the project's own code."""

import pytest
from families import FAMILIES, ROWS, family, make_tokenizer

from handan import generate
from handan.evaluate import load_model

TEXT = "<think>\nWhere is ship 1234?\n</think>\n\nnorth"


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory):
    folder = family(request.param, tmp_path_factory.mktemp(request.param) / "model")
    model, tokenizer, _ = load_model(str(folder))
    return FAMILIES[request.param], model, tokenizer


def test_a_family_loads_with_its_own_words_and_tokens(loaded):
    kind, model, tokenizer = loaded
    made = make_tokenizer(kind)
    wanted = made(TEXT + kind.eos)["input_ids"]
    assert tokenizer(TEXT + kind.eos)["input_ids"] == wanted
    assert tokenizer.decode(wanted, skip_special_tokens=True) == TEXT
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        kind.bos,
        kind.eos,
        kind.pad,
    )
    assert 90_000 < model.num_parameters() < 200_000
    assert model.get_input_embeddings().num_embeddings == ROWS > len(tokenizer)


def test_every_end_of_a_family_ends_a_response(loaded):
    kind, model, tokenizer = loaded
    ends = {tokenizer.convert_ids_to_tokens(i) for i in generate.eos_ids(model, tokenizer)}
    assert ends == {*kind.ends, kind.eos}


def test_a_prompt_begins_once_and_ends_where_the_model_speaks(loaded):
    kind, _, tokenizer = loaded
    ids = generate.prompt_ids(tokenizer, "Where is the ship?")
    text = tokenizer.decode(ids)
    assert "Where is the ship?" in text
    assert text.rstrip().endswith(("assistant", "<think>", "<|end_header_id|>"))
    if kind.adds_bos:
        assert ids.count(tokenizer.bos_token_id) == 1
        # Tokenising the written prompt would put a second one in front: the ids are what counts.
        assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 2


@pytest.mark.parametrize("name", ["r1_distill", "olmo3"])
def test_prefilled_families_open_the_span_in_the_prompt(name):
    tokenizer = make_tokenizer(FAMILIES[name])
    text = tokenizer.decode(generate.prompt_ids(tokenizer, "Where?"))
    assert text.rstrip().endswith("<think>")
