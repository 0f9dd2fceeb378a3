import copy
import json

import pytest
from embedded import ROOT, load

from handan.errors import UserError
from handan.generation.formats import FORMATS
from handan.training.data import load_prompts
from handan.training.labels import IGNORED, audit, load_traces, tokenizer_fingerprint, training_rows

PROMPTS = ROOT / "recipes" / "configs" / "tiny" / "prompts.yaml"
FORM = FORMATS["tiny"]


def traces(number=5):
    """Worked by hand: each trace thinks two words and gives the right answer."""
    _, tokenizer = load()
    rows = []
    for question in load_prompts(PROMPTS)[:number]:
        text = f"so now </think> {question.item.answer} <eos>"
        rows.append(
            {
                "task": question.item.task,
                "item": question.item.key,
                "wording": "compact",
                "question": question.item.question,
                "text": text,
                "completion_ids": tokenizer(text)["input_ids"],
                "reasoning_tokens": 2,
                "tokenizer": tokenizer_fingerprint(tokenizer),
            }
        )
    return rows


def write(tmp_path, rows):
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prepared(rows):
    return training_rows(rows, load()[1], FORM, "t")


def check(trained, rows):
    return audit(trained, prepared(rows), rows, load()[1], FORM, "t")


def test_the_whole_completion_and_nothing_else_is_trained():
    rows = traces()
    _, tokenizer = load()
    for row, trace in zip(prepared(rows), rows, strict=True):
        labels = [token for token in row["labels"] if token != IGNORED]
        assert tokenizer.decode(labels) == trace["text"]
        assert row["input_ids"][-len(labels) :] == labels
        assert tokenizer.decode(row["input_ids"]).startswith("<bos>")
    counts = check(prepared(rows), rows)
    assert counts["traces"] == 5
    assert counts["reasoning_tokens"] == 10
    assert counts["trained_tokens"] == sum(len(row["completion_ids"]) for row in rows)


def test_a_dropped_trace_stops():
    rows = traces()
    with pytest.raises(UserError, match="the trainer kept 4 of 5 traces; set max_length"):
        check(prepared(rows)[:-1], rows)


def test_a_shortened_trace_stops():
    rows = traces()
    trained = prepared(rows)
    trained[2] = {key: value[:-3] for key, value in trained[2].items()}
    with pytest.raises(UserError, match=r"line 3: \d+ of \d+ tokens would be trained; set max_le"):
        check(trained, rows)


def test_a_masked_thinking_span_stops():
    rows = traces()
    trained = prepared(rows)
    trained[1]["labels"] = [IGNORED] * (len(trained[1]["labels"]) - 2) + trained[1]["labels"][-2:]
    with pytest.raises(UserError, match="line 2: 2 of"):
        check(trained, rows)


def test_a_trace_whose_closing_tag_is_gone_stops():
    rows = traces()
    _, tokenizer = load()
    rows[0]["completion_ids"] = tokenizer("so now 1 <eos>")["input_ids"]
    with pytest.raises(UserError, match="line 1: '</think>' is not among the trained tokens"):
        check(prepared(rows), rows)


def test_a_student_that_has_no_span_cannot_learn_one_unasked():
    rows = traces()
    with pytest.raises(UserError, match="'plain' has no span; set reasoning_format"):
        audit(prepared(rows), prepared(rows), rows, load()[1], FORMATS["plain"], "t")


def test_a_trace_that_does_not_end_stops():
    rows = traces()
    rows[3]["completion_ids"] = rows[3]["completion_ids"][:-1]
    with pytest.raises(UserError, match="line 4: the trace does not end with '<eos>'"):
        prepared(rows)


def test_another_tokenizers_text_is_tokenised_anew():
    rows = traces()
    for row in rows:
        row["tokenizer"] = "of another model"
        row["completion_ids"] = [1, 2, 3]
    expected = prepared(traces())
    assert prepared(rows) == expected


def test_the_fingerprint_of_a_tokenizer_follows_its_words():
    _, tokenizer = load()
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["邯鄲"])
    assert tokenizer_fingerprint(tokenizer) != tokenizer_fingerprint(other)


def test_the_fingerprint_of_a_tokenizer_does_not_follow_its_last_call():
    tokenizer = copy.deepcopy(load()[1])
    before = tokenizer_fingerprint(tokenizer)
    tokenizer("1 + 1", padding="max_length", truncation=True, max_length=2)
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 2
    assert tokenizer_fingerprint(tokenizer) == before


def test_traces_of_other_prompts_are_refused(tmp_path):
    rows = traces()
    rows[1]["item"] = "11111+00001"
    with pytest.raises(UserError, match=r"line 2: '11111\+00001' of .* is not a prompt of"):
        load_traces(write(tmp_path, rows), PROMPTS)


def test_a_trace_of_an_evaluation_item_is_refused(tmp_path):
    rows = traces()
    rows[4] |= {"task": "binary_addition", "item": "0101+0011"}
    with pytest.raises(UserError, match=r"line 5: .* is an evaluation item"):
        load_traces(write(tmp_path, rows), PROMPTS)


def test_empty_and_incomplete_files_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no traces"):
        load_traces(write(tmp_path, []), PROMPTS)
    row = traces(1)[0]
    del row["completion_ids"]
    with pytest.raises(UserError, match="line 1: no completion_ids; make traces of a file of"):
        load_traces(write(tmp_path, [row]), PROMPTS)
