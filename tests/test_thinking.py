from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretrain import make_tokenizer
from tokenizers import Tokenizer
from tokenizers.decoders import ByteFallback, Fuse, Sequence
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from handan.generation.formats import FORMATS
from handan.generation.spans import cut, is_looping, split_completion, split_text

FORM = FORMATS["tiny"]


@pytest.fixture(scope="module")
def words():
    return make_tokenizer()


@pytest.fixture(scope="module")
def pieces():
    """A byte-level BPE that cuts '</think>' into several tokens, as models without the tag do."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    corpus = ["so we add three and four, wait, that is seven. thinking hard. "] * 9
    alphabet = ByteLevel.alphabet()
    trainer = BpeTrainer(special_tokens=["<eos>"], initial_alphabet=alphabet, vocab_size=300)
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def split(tokenizer, text, opened):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    result = split_completion(tokenizer, ids, FORM, opened, [tokenizer.eos_token_id])
    return (
        tokenizer.decode(result.reasoning_ids).strip(),
        tokenizer.decode(result.answer_ids).strip(),
        result.closed,
        result.ended,
    )


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("1 + 0 = 1 , </think> 1 <eos>", True, ("1 + 0 = 1 ,", "1", True, True)),
        ("<think> 1 , </think> 1 <eos>", False, ("1 ,", "1", True, True)),
        ("1 0 1 <eos>", False, ("", "1 0 1", True, True)),
        ("</think> 1 <eos>", True, ("", "1", True, True)),
        ("1 + 0 = 1", True, ("1 + 0 = 1", "", False, False)),
        ("<think> 1 + 0", False, ("1 + 0", "", False, False)),
        ("1 , </think> 1", True, ("1 ,", "1", True, False)),
        ("1 , </think> 1 </think> 0 <eos>", True, ("1 ,", "1 </think> 0", True, True)),
        ("<eos>", True, ("", "", False, True)),
    ],
)
def test_split_on_a_tokenizer_that_knows_the_tags(words, text, opened, expected):
    assert split(words, text, opened) == expected


def test_split_on_a_tokenizer_that_cuts_the_tags(pieces):
    text = "<think>we add three and four</think>seven<eos>"
    assert split(pieces, text, opened=False) == ("we add three and four", "seven", True, True)
    assert split(pieces, "wait</think>seven<eos>", opened=True) == ("wait", "seven", True, True)


def parts(tokenizer, text, opened):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    result = split_completion(tokenizer, ids, FORM, opened, [tokenizer.eos_token_id])
    return (
        ids,
        result,
        [tokenizer.decode(part) for part in (result.reasoning_ids, result.answer_ids)],
    )


def test_the_range_of_a_cut_tag_is_the_shortest_that_holds_it(pieces):
    _, result, texts = parts(pieces, "hard</think>so", opened=True)
    assert texts == ["hard", "so"] and result.answer_head == ""
    ids, result, _ = parts(pieces, "hard so", opened=True)
    assert (result.reasoning_ids, result.closed) == (ids, False)


def test_reasoning_tokens_and_answer_tokens_and_tags_add_up(pieces):
    ids, result, _ = parts(pieces, "we add three</think> that is seven", opened=True)
    tag = pieces("</think>", add_special_tokens=False)["input_ids"]
    assert len(result.reasoning_ids) + len(tag) + len(result.answer_ids) == len(ids)


def test_a_span_of_nothing_but_white_space_is_no_reasoning(pieces):
    assert split(pieces, "\n\n</think>seven<eos>", opened=True) == ("", "seven", True, True)


def test_a_loop_is_a_block_that_repeats_to_the_end():
    start = list(range(100, 150))
    assert is_looping(start + [1, 2, 3] * 20)
    assert is_looping([7] * 40)
    assert is_looping(start + list(range(20)) * 4)
    assert not is_looping(start + [1, 2, 3] * 20 + [9])  # it got out
    assert not is_looping(start + [1, 2, 3] * 5)  # under 32 tokens
    assert not is_looping(start + list(range(20)) * 3)  # under four times
    assert not is_looping(start)
    assert not is_looping([])


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("a b</think> answer 5, no <think> needed", False, "a b| answer 5, no <think> needed"),
        ("a b</think> answer 5, no <think> needed", True, "a b| answer 5, no <think> needed"),
        ("<think> a </think> 5", True, " a | 5"),
        ("\n<think> a </think> 5", True, " a | 5"),
        ("so <think> a </think> 5", True, "so <think> a | 5"),
        ("<think><think> a </think> 5", True, "<think> a | 5"),
        ("<think><think> a </think> 5", False, "<think> a | 5"),
        ("so <think> a </think> 5", False, " a | 5"),
        ("<think> a </think> 5 </think> 6", False, " a | 5 </think> 6"),
        ("</think> 5 <think> a </think>", False, "| 5 <think> a </think>"),
        ("<think></think>5", False, "|5"),
        ("<think> a", True, " a|"),
        ("<think>", True, "|"),
        ("5", False, "|5"),
    ],
)
def test_the_first_closing_tag_ends_the_span(text, opened, expected):
    reasoning, answer, *_ = split_text(text, FORM, opened)
    assert f"{reasoning}|{answer}" == expected


@pytest.fixture(scope="module")
def letters():
    """Tokens that hold a tag, a part of one, or a part and what stands beside it."""
    tokens = ["<eos>", "<think>", "</think>", *"abc \n0<>/think", "</", "><", ".</", ">\\", "think"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<eos>"))
    tokenizer.decoder = Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


WORDS = ["<think>", "</think>", "1", "0", "+", "=", ",", "carry"]
TEXTS = ["<think>", "</think>", "we add", " three", "\n", ".", "wait, ", "é", "🙂", "<", "think>"]


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.booleans())
def test_ids_and_text_are_cut_alike_where_the_tags_are_tokens(words, drawn, opened):
    check_alike(words, words(" ".join(drawn), add_special_tokens=False)["input_ids"], opened, FORM)


@given(st.lists(st.sampled_from(TEXTS), max_size=12), st.booleans())
def test_ids_and_text_are_cut_alike_where_the_tags_are_cut(pieces, drawn, opened):
    ids = pieces("".join(drawn), add_special_tokens=False)["input_ids"]
    check_alike(pieces, ids, opened, FORM)


@pytest.fixture(scope="module")
def fallback():
    """Letters and bytes: what is no letter is as many tokens as it has bytes, as in Gemma's."""
    tokens = ["<eos>", *"ab \n<>/think", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(BPE(vocabulary, [], unk_token="<eos>", byte_fallback=True))
    tokenizer.decoder = Sequence([ByteFallback(), Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


@pytest.mark.parametrize("reasoning", ["a 🙂", "🙂🙂🙂", "🙂 e\u0301", "🙂a邯鄲"])
@pytest.mark.parametrize("answer", ["b", "🙂", "邯鄲🙂"])
def test_characters_of_several_tokens_are_counted_where_they_stand(fallback, reasoning, answer):
    ids = [fallback(text)["input_ids"] for text in (f"<think>{reasoning}", f"</think>{answer}")]
    found = split_completion(fallback, [*ids[0], *ids[1]], FORM, False, [0])
    assert found.reasoning_ids == ids[0][len("<think>") :]
    assert found.answer_ids == ids[1][len("</think>") :]


@given(st.data(), st.booleans())
def test_ids_and_text_are_cut_alike_whatever_tokens_are_drawn(letters, data, opened):
    ids = data.draw(st.lists(st.integers(1, len(letters) - 1), max_size=14))
    check_alike(letters, ids, opened, FORM)
    check_alike(letters, ids, False, MARKED)


MARKED = replace(FORM, answer="></")


def check_alike(tokenizer, ids, opened, form):
    """Ids of a part say its text, but for the tokens at its edges that hold a piece of a tag."""
    text = tokenizer.decode(ids)
    reasoning, answer, closed, _ = split_text(text, form, opened)
    found = split_completion(tokenizer, ids, form, opened, [tokenizer.eos_token_id])
    assert found.closed == closed
    told = found.answer_head + tokenizer.decode(found.answer_ids)
    assert told.strip() == answer.strip()
    spans = cut(text, form.open, form.close, opened, form.answer).spans
    whole = tokenizer.decode(found.reasoning_ids).strip()
    assert bool(whole) <= bool(reasoning.strip())
    longest = max((len(token) for token in tokenizer.get_vocab()), default=0)
    assert whole in reasoning
    assert len(reasoning.strip()) - len(whole) <= 2 * longest * len(spans)
    if all(holds_no_edge(tokenizer, token, form) for token in ids):
        assert whole == reasoning.strip()


def holds_no_edge(tokenizer, token, form):
    """Whether a token is a tag, or has no piece of one; a tag has a piece of the mark '></'."""
    text = tokenizer.decode([token])
    is_tag = text in (form.open, form.close) and form.answer is None
    return is_tag or not set("<>/") & set(text)
