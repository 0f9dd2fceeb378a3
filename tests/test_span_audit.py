"""What is trained is what is evaluated: prompt, beginning, span and end, for each real family."""

import pytest
from families import FAMILIES, make_tokenizer
from template_cells import audit_labels

from handan.errors import UserError
from handan.generation import formats, prompting
from handan.generation.formats import FORMATS
from handan.generation.spans import opened_by_prompt, split_completion
from handan.training.labels import (
    IGNORED,
    audit,
    span_problem,
    tokenizer_fingerprint,
    training_rows,
)

QUESTION = "The harbour is north of the mill.\nWhere is the mill?"
REASONING = "So, the harbour is north of it.\n\nThen it is 1234 steps south."
# The span each student shall learn; an Instruct model has none of its own.
LEARNT = {"qwen2": "deepseek_r1", "llama": "deepseek_r1"}


def text_trace(**changes):
    """As an imported set has it: text alone."""
    trace = {
        "question": QUESTION,
        "reasoning_text": REASONING,
        "answer_text": "south",
        "text": f"<think>\n{REASONING}\n</think>\n\nsouth",
        "completion_ids": None,
        "tokenizer": None,
        "reasoning_tokens": None,
    }
    return trace | changes


def student(name):
    tokenizer = make_tokenizer(FAMILIES[name])
    form = FORMATS[LEARNT[name]] if name in LEARNT else formats.detect(tokenizer)
    return tokenizer, form


def parts(row):
    masked = row["labels"].count(IGNORED)
    return row["input_ids"][:masked], row["input_ids"][masked:]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_evaluator_finds_exactly_the_trained_span(name):
    tokenizer, form = student(name)
    (row,) = rows = training_rows([text_trace()], tokenizer, form, "t")
    prompt, completion = parts(row)
    assert tuple(prompt) == prompting.prompt_ids(tokenizer, QUESTION, form)
    opened = opened_by_prompt(tokenizer, prompt, form)
    split = split_completion(tokenizer, completion, form, opened, [tokenizer.eos_token_id])
    assert split.closed and split.ended
    assert tokenizer.decode(split.reasoning_ids).strip() == REASONING
    assert tokenizer.decode(split.answer_ids).strip() == "south"
    for counts in (
        audit(rows, rows, [text_trace()], tokenizer, form, "t"),
        audit_labels(rows, [text_trace()], tokenizer, form, "t"),
    ):
        assert counts["reasoning_tokens"] == len(split.reasoning_ids)
        assert counts["trained_tokens"] == len(completion)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_span_is_opened_once_by_the_prompt_or_by_the_trace(name):
    tokenizer, form = student(name)
    (row,) = training_rows([text_trace()], tokenizer, form, "t")
    prompt, completion = (tokenizer.decode(part) for part in parts(row))
    assert form.open is not None
    assert opened_by_prompt(tokenizer, parts(row)[0], form) == (name in ("r1_distill", "olmo3"))
    assert (prompt + completion).count(form.open) == 1
    assert prompt.rstrip().endswith(form.open) != completion.startswith(form.open)


@pytest.mark.parametrize("name", ["qwen3", "r1_distill", "olmo3"])
def test_a_doubled_opening_is_refused(name):
    tokenizer, form = student(name)
    trace = text_trace(reasoning_text=f"<think>\n{REASONING}")
    rows = training_rows([trace], tokenizer, form, "t")
    with pytest.raises(UserError, match="t, line 1: the reasoning is opened twice"):
        audit(rows, rows, [trace], tokenizer, form, "t")
    with pytest.raises(UserError, match="opened twice"):
        audit_labels(rows, [trace], tokenizer, form, "t")


def test_a_missing_opening_is_refused():
    tokenizer, form = student("qwen3")
    completion = f"{REASONING}\n</think>\n\nsouth{tokenizer.eos_token}"
    trace = text_trace(reasoning_text=None, text=completion, reasoning_tokens=9)
    rows = training_rows([trace], tokenizer, form, "t")
    with pytest.raises(UserError, match="neither the prompt nor the trace opens the reasoning"):
        audit(rows, rows, [trace], tokenizer, form, "t")


def test_ids_of_a_prefilled_teacher_get_their_opening_back():
    """Same tokenizer, other template: the teacher's prompt opened the span, the student's not."""
    tokenizer, form = student("qwen3")
    ids = tokenizer(f"{REASONING}\n</think>\n\nsouth{tokenizer.eos_token}")["input_ids"]
    own = {"completion_ids": ids, "tokenizer": tokenizer_fingerprint(tokenizer)}
    split = split_completion(tokenizer, ids, form, True, [tokenizer.eos_token_id])
    trace = text_trace(**own, reasoning_tokens=len(split.reasoning_ids))
    (row,) = training_rows([trace], tokenizer, form, "t")
    assert tokenizer.decode(parts(row)[1]).startswith("<think>\n")
    assert span_problem(tokenizer, *parts(row), form) is None


def test_an_own_trace_keeps_its_ids():
    tokenizer, form = student("r1_distill")
    ids = tokenizer(f"{REASONING}\n</think>\nsouth{tokenizer.eos_token}", add_special_tokens=False)
    ids = ids["input_ids"]
    split = split_completion(tokenizer, ids, form, True, [tokenizer.eos_token_id])
    own = {"completion_ids": ids, "tokenizer": tokenizer_fingerprint(tokenizer)}
    trace = text_trace(**own, reasoning_tokens=len(split.reasoning_ids))
    (row,) = training_rows([trace], tokenizer, form, "t")
    assert parts(row)[1] == ids


def test_a_format_without_a_span_is_refused():
    tokenizer, _ = student("llama")
    with pytest.raises(UserError, match="'plain' has no span"):
        training_rows([text_trace()], tokenizer, FORMATS["plain"], "t")


def good():
    tokenizer, form = student("qwen3")
    return training_rows([text_trace()] * 2, tokenizer, form, "t"), tokenizer, form


def mask(row, places):
    row["labels"] = [IGNORED if i in places else x for i, x in enumerate(row["labels"])]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: mask(r, range(len(r["labels"]) - 4)), "trace 2: its reasoning is not among"),
        (lambda r: mask(r, [len(r["labels"]) - 1]), "completion are masked or changed"),
        (lambda r: r.update(labels=list(r["input_ids"])), "the question is trained too"),
        (
            lambda r: r.update(input_ids=r["input_ids"][1:], labels=r["labels"][1:]),
            "where a prompt of an evaluation has '<|im_start|>user",
        ),
        (
            lambda r: r.update(input_ids=r["input_ids"][:-1], labels=r["labels"][:-1]),
            "does not end with '<|im_end|>'",
        ),
    ],
)
def test_prepared_rows_that_lose_something_are_refused(spoil, message):
    rows, tokenizer, form = good()
    audit_labels(rows, [text_trace()] * 2, tokenizer, form, "t")
    spoil(rows[1])
    with pytest.raises(UserError, match=message.replace("|", r"\|")):
        audit_labels(rows, [text_trace()] * 2, tokenizer, form, "t")


def test_a_dropped_row_is_refused():
    rows, tokenizer, form = good()
    with pytest.raises(UserError, match="1 of 2 traces would be trained"):
        audit_labels(rows[1:], [text_trace()] * 2, tokenizer, form, "t")
