from dataclasses import replace

import pytest
from embedded import engine, load

from handan.engines.transformers import TransformersEngine
from handan.errors import UserError
from handan.formats import FORMATS
from handan.generate import Decoding
from handan.launch import SINGLE
from handan.reading import Question, read_completion
from handan.records import read_jsonl
from handan.responses import Plan, collect, draw
from handan.tiny.tasks import TASKS

FORM = FORMATS["tiny"]
LABELS = {"model": "base", "settings": "s1", "seed": 0, "reasoning_format": "tiny"}


def plan(cap=120):
    items = TASKS["binary_addition"].items()[60:66]
    questions = [Question(item, TASKS["binary_addition"], "compact") for item in items]
    decodings = {
        -1: Decoding(0.0, 1.0, cap),
        0: Decoding(1.0, 1.0, cap),
        1: Decoding(1.0, 1.0, cap),
    }
    return Plan(questions, decodings, batch_size=5, seed=3)


def by_key(path):
    rows = read_jsonl(path)
    same = ("text", "completion_ids", "status", "correct", "reasoning_tokens")
    return {(r["item"], r["sample"]): [r[column] for column in same] for r in rows}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "generations.jsonl"
    collect(engine(), plan(), path, LABELS, SINGLE)
    return path


def test_every_sample_is_there_once_with_exact_counts(whole):
    rows = read_jsonl(whole)
    assert len(rows) == 6 * 3
    _, tokenizer = load()
    close = tokenizer.convert_tokens_to_ids("</think>")
    for row in rows:
        ids = row["completion_ids"]
        if row["status"] in ("complete", "no_reasoning"):
            assert row["reasoning_tokens"] == ids.index(close)
            assert row["reasoning_tokens"] + 1 + row["answer_tokens"] + 1 == len(ids)
        assert tokenizer.decode(ids) == row["text"]


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.65, 0.99])
def test_a_cut_off_file_is_completed_with_the_same_samples(whole, tmp_path, cut):
    path = tmp_path / "generations.jsonl"
    content = whole.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    collect(engine(), plan(), path, LABELS, SINGLE)
    assert by_key(path) == by_key(whole)
    assert len(read_jsonl(path)) == 18


def test_a_finished_file_is_left_alone(whole):
    before = whole.read_bytes()
    collect(engine(), plan(), whole, LABELS, SINGLE)
    assert whole.read_bytes() == before


def test_the_number_of_processes_changes_no_sample(whole):
    batches = plan().batches(engine())
    rows = [
        row
        for rank in range(2)
        for batch in draw(engine(), plan(), batches[rank::2], LABELS)
        for row in batch
    ]
    texts = {(row["item"], row["sample"]): row["text"] for row in rows}
    assert texts == {key: values[0] for key, values in by_key(whole).items()}


def test_responses_of_other_settings_are_refused(whole):
    with pytest.raises(UserError, match="holds responses of another model"):
        collect(engine(), plan(), whole, {**LABELS, "settings": "s2"}, SINGLE)


def read(text, item_key="0001+0001"):
    _, tokenizer = load()
    task = TASKS["binary_addition"]
    item = next(i for i in task.items() if i.key == item_key)
    prompt = tokenizer("<bos> + 1 1 ; = <think>")["input_ids"]
    ids = tokenizer(text)["input_ids"]
    ends = [tokenizer.eos_token_id]
    return read_completion(tokenizer, Question(item, task, "compact"), FORM, prompt, ids, ends)


@pytest.mark.parametrize(
    ("text", "status", "correct", "reasoning_tokens"),
    [
        ("1 + 1 = 0 , </think> 0 1 <eos>", "complete", True, 6),
        ("1 + 1 = 0 , </think> 1 1 <eos>", "complete", False, 6),
        ("</think> 0 1 <eos>", "no_reasoning", True, 0),
        ("1 + 1 = 0 , </think> ok <eos>", "unparsed", False, 6),
        ("1 + 1 = 0 , <eos>", "unparsed", False, 6),
        ("1 + 1 = 0 ,", "truncated", False, 6),
        ("1 + 1 = 0 , </think> 0", "truncated", False, 6),
    ],
)
def test_status_grade_and_cost(text, status, correct, reasoning_tokens):
    row = read(text)
    assert (row["status"], row["correct"], row["reasoning_tokens"]) == (
        status,
        correct,
        reasoning_tokens,
    )


class ShortContext(TransformersEngine):
    """An engine whose context is full after nine tokens, as vLLM's is at ``max_model_len``."""

    def complete(self, batch, seed):
        nine = Decoding(batch[0].decoding.temperature, 1.0, 9)
        return super().complete([replace(request, decoding=nine) for request in batch], seed)


def test_responses_cut_before_the_cap_are_told(tmp_path, capsys):
    model, tokenizer = load()
    collect(ShortContext(model, tokenizer, FORM), plan(), tmp_path / "g.jsonl", LABELS, SINGLE)
    said = capsys.readouterr().out
    assert "were cut at 9 tokens or later, before the cap of 120" in said
    collect(engine(), plan(9), tmp_path / "h.jsonl", LABELS, SINGLE)
    assert "before the cap" not in capsys.readouterr().out
