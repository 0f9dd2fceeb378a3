import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from handan.formats import FORMATS
from handan.thinking import find_tag, is_looping, split_completion
from handan.tiny.model import make_tokenizer

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


def test_the_range_of_a_cut_tag_is_the_shortest_that_holds_it(pieces):
    ids = pieces("hard</think>so", add_special_tokens=False)["input_ids"]
    begin, end = find_tag(pieces, ids, "</think>")
    assert pieces.decode(ids[:begin]) == "hard"
    assert pieces.decode(ids[begin:end]) == "</think>"
    assert find_tag(pieces, ids, "<think>") is None


def test_reasoning_tokens_and_answer_tokens_and_tags_add_up(pieces):
    text = "we add three</think> that is seven"
    ids = pieces(text, add_special_tokens=False)["input_ids"]
    begin, end = find_tag(pieces, ids, "</think>")
    result = split_completion(pieces, ids, FORM, True, [pieces.eos_token_id])
    assert len(result.reasoning_ids) + (end - begin) + len(result.answer_ids) == len(ids)


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
