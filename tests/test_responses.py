import copy
import json
from dataclasses import replace

import pytest
from embedded import engine, load

from handan.errors import UserError
from handan.evaluation.grading import TaskItem, read_completion
from handan.evaluation.responses import SamplingPlan, collect, draw
from handan.files import read_jsonl, write_jsonl
from handan.generation.formats import FORMATS
from handan.generation.prompting import Decoding
from handan.generation.transformers_engine import TransformersEngine
from handan.launch import SINGLE
from handan.tiny.evaluation_items import TASKS

FORM = FORMATS["tiny"]
LABELS = {"model": "base", "settings": "s1", "seed": 0, "reasoning_format": "tiny"}


def plan(cap=120):
    items = TASKS["binary_addition"].items()[60:66]
    questions = [TaskItem(item, TASKS["binary_addition"], "compact") for item in items]
    decodings = {
        -1: Decoding(0.0, 1.0, cap),
        0: Decoding(1.0, 1.0, cap),
        1: Decoding(1.0, 1.0, cap),
    }
    return SamplingPlan(questions, decodings, batch_size=5, seed=3)


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


def test_what_several_killed_processes_had_drawn_is_kept(whole, tmp_path):
    rows, path = read_jsonl(whole), tmp_path / "generations.jsonl"
    write_jsonl(path, rows[:2])
    write_jsonl(tmp_path / "generations.0.jsonl", rows[1:4])  # the first is in both files
    torn = json.dumps(rows[4]) + "\n" + json.dumps(rows[5])[:-9]
    (tmp_path / "generations.1.jsonl").write_text(torn)
    asked = engine()
    collect(asked, plan(), path, LABELS, SINGLE)
    drawn = read_jsonl(path)
    assert drawn[:5] == rows[:5]  # with the seconds of that time
    assert by_key(path) == by_key(whole)
    assert [file.name for file in tmp_path.iterdir()] == ["generations.jsonl"]


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


def reworded(old, new):
    """The plan with other questions under the same keys."""
    questions = [
        replace(entry, item=replace(entry.item, question=entry.item.question.replace(old, new)))
        for entry in plan().questions
    ]
    return replace(plan(), questions=questions)


def answered(answer):
    questions = [replace(e, item=replace(e.item, answer=answer)) for e in plan().questions]
    return replace(plan(), questions=questions)


@pytest.mark.parametrize("other", [reworded("+", "-"), reworded("=", "= ="), answered("1 1")])
def test_another_text_or_answer_under_the_same_key_is_refused(whole, other):
    before = whole.read_bytes()
    with pytest.raises(UserError, match="as it is not asked now: its text, its answer or the chat"):
        collect(engine(), other, whole, LABELS, SINGLE)
    assert whole.read_bytes() == before


def test_another_chat_template_is_refused(whole):
    model, tokenizer = load()
    other = copy.deepcopy(tokenizer)
    other.chat_template = other.chat_template.replace("<think>", "<think> ;")
    assert other.chat_template != tokenizer.chat_template
    retold = TransformersEngine(model, other, FORM, fingerprint="base")
    with pytest.raises(UserError, match="chat template has changed"):
        collect(retold, plan(), whole, LABELS, SINGLE)


def test_an_item_that_is_not_asked_any_more_is_refused(whole):
    fewer = replace(plan(), questions=plan().questions[1:])
    with pytest.raises(UserError, match=plan().questions[0].item.key.replace("+", r"\+")):
        collect(engine(), fewer, whole, LABELS, SINGLE)


def test_a_file_of_an_older_version_is_not_added_to(whole, tmp_path):
    path = tmp_path / "generations.jsonl"
    rows = [{k: v for k, v in row.items() if k != "prompt_hash"} for row in read_jsonl(whole)]
    write_jsonl(path, rows)
    with pytest.raises(UserError, match="an older version, which recorded no hash of the prompt"):
        collect(engine(), plan(), path, LABELS, SINGLE)
    assert read_jsonl(path) == rows


def test_what_a_server_is_asked_is_its_messages_where_no_tokenizer_is_known():
    asked = plan().requests(None, FORM)[0]
    other = reworded("+", "-").requests(None, FORM)[0]
    assert plan().prompt_hash(asked, FORM) != reworded("+", "-").prompt_hash(other, FORM)
    told = replace(FORM, system_prompt="Think briefly.")
    assert plan().prompt_hash(asked, FORM) != plan().prompt_hash(asked, told)
    kwargs = replace(FORM, template={"enable_thinking": False})
    assert plan().prompt_hash(asked, FORM) != plan().prompt_hash(asked, kwargs)


class LaterServer(TransformersEngine):
    """A server whose template has grown by two tokens since it answered before."""

    remote, independent = True, True

    def stream(self, batches, seed):
        said = {"finish_reason": "stop"}
        for drawn in super().stream(batches, seed):
            longer = [[*request.prompt_ids, 0, 0] for request, _ in drawn]
            yield [
                (request, replace(found, prompt_ids=ids, server=said))
                for (request, found), ids in zip(drawn, longer, strict=True)
            ]


def test_a_server_that_renders_its_prompts_anew_is_told(whole, tmp_path, capsys):
    path = tmp_path / "generations.jsonl"
    write_jsonl(path, read_jsonl(whole)[:6])
    model, tokenizer = load()
    collect(LaterServer(model, tokenizer, FORM), plan(), path, LABELS, SINGLE)
    said = capsys.readouterr().out
    assert "note: the server's prompt of binary_addition" in said
    assert "has changed between responses" in said


def read(text, item_key="0001+0001"):
    _, tokenizer = load()
    task = TASKS["binary_addition"]
    item = next(i for i in task.items() if i.key == item_key)
    prompt = tokenizer("<bos> + 1 1 ; = <think>")["input_ids"]
    ids = tokenizer(text)["input_ids"]
    ends = [tokenizer.eos_token_id]
    return read_completion(tokenizer, TaskItem(item, task, "compact"), FORM, prompt, ids, ends)


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

    def stream(self, batches, seed):
        for batch in batches:
            nine = Decoding(batch[0].decoding.temperature, 1.0, 9)
            yield from super().stream([[replace(of, decoding=nine) for of in batch]], seed)


def test_responses_cut_before_the_cap_are_told(tmp_path, capsys):
    model, tokenizer = load()
    collect(ShortContext(model, tokenizer, FORM), plan(), tmp_path / "g.jsonl", LABELS, SINGLE)
    said = capsys.readouterr().out
    assert "were cut at 9 tokens or later, before the cap of 120" in said
    collect(engine(), plan(9), tmp_path / "h.jsonl", LABELS, SINGLE)
    assert "before the cap" not in capsys.readouterr().out
