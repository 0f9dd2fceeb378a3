"""Traces of other teachers, written in the student's format: nothing lost, the same cost read."""

import pytest
from embedded import load
from families import FAMILIES, make_tokenizer

from handan.errors import UserError
from handan.generation import prompting
from handan.generation.formats import FORMATS
from handan.training.labels import IGNORED, audit, tokenizer_fingerprint, training_rows, written

TINY = FORMATS["tiny"]


def trace(**changes):
    """A trace that is only text, as published ones are."""
    row = {
        "task": "binary_addition",
        "item": "1+1",
        "wording": "compact",
        "question": "+ 1 1 ; =",
        "answer": "0 1",
        "sample": 0,
        "reasoning_tokens": None,
        "text": "",
        "reasoning_text": "1 + 1 = 0 ,",
        "answer_text": "0 1",
        "completion_ids": None,
        "tokenizer": None,
    }
    return row | changes


def labels_of(row):
    return [token for token in row["labels"] if token != IGNORED]


def test_text_is_trained_whole_in_the_students_format():
    _, tokenizer = load()
    (row,) = training_rows([trace()], tokenizer, TINY, "t")
    assert tokenizer.decode(labels_of(row)) == "1 + 1 = 0 , </think> 0 1 <eos>"
    counts = audit([row], [row], [trace()], tokenizer, TINY, "t")
    assert counts["reasoning_tokens"] == 6 and counts["tokenised_anew"] == 1


def own(text, **changes):
    _, tokenizer = load()
    ids = tokenizer(text)["input_ids"]
    return trace(completion_ids=ids, tokenizer=tokenizer_fingerprint(tokenizer), **changes)


def test_ids_that_the_student_reads_the_same_are_kept():
    _, tokenizer = load()
    # Not how the student would write it: but these are the tokens that were spent.
    row = own("1 + 1 = 0 , </think> 0 1 <eos>", reasoning_tokens=6)
    (made,) = training_rows([row], tokenizer, TINY, "t")
    assert labels_of(made) == row["completion_ids"]
    assert audit([made], [made], [row], tokenizer, TINY, "t")["tokenised_anew"] == 0


@pytest.mark.parametrize("text", ["1 + 1 = 0 , </think> 0 1", "<think> 1 </think> 0 1 <eos>"])
def test_ids_that_the_student_would_read_otherwise_are_written_anew(text):
    _, tokenizer = load()
    row = own(text, reasoning_tokens=6)
    (made,) = training_rows([row], tokenizer, TINY, "t")
    assert tokenizer.decode(labels_of(made)) == "1 + 1 = 0 , </think> 0 1 <eos>"


def test_a_word_the_student_does_not_know_stops():
    _, tokenizer = load()
    row = trace(reasoning_text="1 + umlaut = 0 ,")
    (made,) = training_rows([row], tokenizer, TINY, "t")
    with pytest.raises(UserError, match="t, line 1: the trained tokens read otherwise"):
        audit([made], [made], [row], tokenizer, TINY, "t")


def test_a_mark_within_the_reasoning_stops():
    _, tokenizer = load()
    row = trace(reasoning_text="1 + 1 </think> = 0 ,")
    (made,) = training_rows([row], tokenizer, TINY, "t")
    with pytest.raises(UserError, match="t, line 1: the trained tokens read otherwise"):
        audit([made], [made], [row], tokenizer, TINY, "t")


def test_an_end_within_the_trace_stops():
    _, tokenizer = load()
    row = trace(reasoning_text="1 + 1 <eos> = 0 ,")
    with pytest.raises(UserError, match="'<eos>' stands in the middle of the trace"):
        training_rows([row], tokenizer, TINY, "t")


def test_another_token_that_ends_a_response_stops_too():
    tokenizer = make_tokenizer(FAMILIES["qwen3"])
    row = trace(question="1 + 1", reasoning_text="First <|endoftext|> is a token, then 2.")
    with pytest.raises(UserError, match=r"line 1: '<\|endoftext\|>' stands in the middle of the"):
        training_rows([row], tokenizer, FORMATS["qwen3"], "t")


@pytest.mark.parametrize("name", ["plain", "qwen3_no_thinking"])
def test_a_format_without_a_span_is_refused(name):
    tokenizer = make_tokenizer(FAMILIES["qwen3"])
    with pytest.raises(UserError, match=f"'{name}' has no span for the reasoning"):
        training_rows([trace()], tokenizer, FORMATS[name], "t")
    (made,) = training_rows([trace(reasoning_text="")], tokenizer, FORMATS["plain"], "t")
    assert tokenizer.decode(labels_of(made)) == "0 1<|im_end|>"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deepseek_r1", "<think>\nR\n</think>\n\nA"),
        ("qwen3", "<think>\nR\n</think>\n\nA"),
        ("magistral", "[THINK]\nR\n[/THINK]\n\nA"),
        (
            "gpt_oss",
            "<|channel|>analysis<|message|>R<|end|><|start|>assistant<|channel|>final<|message|>A",
        ),
    ],
)
def test_how_formats_write_a_trace_after_a_prompt_that_opens_no_span(name, text):
    _, tokenizer = load()
    prompt = tokenizer("<bos> + 1 1 ; =")["input_ids"]
    assert (
        written(trace(reasoning_text="R", answer_text="A"), prompt, tokenizer, FORMATS[name])
        == text
    )


def test_a_prompt_that_opens_the_span_is_not_opened_again():
    _, tokenizer = load()
    prompt = prompting.prompt_ids(tokenizer, "+ 1 1 ; =", TINY)
    text = written(trace(reasoning_text="R", answer_text="A"), prompt, tokenizer, TINY)
    assert text == "\nR\n</think>\n\nA"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("qwen2", "deepseek_r1"),
        ("qwen3", "qwen3"),
        ("r1_distill", "deepseek_r1"),
        ("llama", "deepseek_r1"),
        ("gpt_oss", "gpt_oss"),
        ("olmo3", "olmo3_think"),
    ],
)
def test_every_family_trains_the_same_reasoning_of_a_published_trace(name, form):
    tokenizer = make_tokenizer(FAMILIES[name])
    reasoning = "First, 17 + 25 = 42.\n\nLet me check: $\\frac{84}{2} = 42$ — naïve, but right."
    row = trace(
        task="math",
        wording="natural",
        question="What is 17 + 25?",
        reasoning_text=reasoning,
        answer_text="The sum is $\\boxed{42}$.",
    )
    (made,) = training_rows([row], tokenizer, FORMATS[form], "t")
    audit([made], [made], [row], tokenizer, FORMATS[form], "t")
    trained = tokenizer.decode(labels_of(made))
    assert reasoning in trained
    assert trained.endswith(f"The sum is $\\boxed{{42}}$.{tokenizer.eos_token}")
    # Whether the prompt or the trace opens the span: it is opened once.
    whole = tokenizer.decode(made["input_ids"])
    assert whole.count(FORMATS[form].open) == trained.count(FORMATS[form].close) == 1
