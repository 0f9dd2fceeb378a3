"""Responses of other APIs, details of lighteval, and the suites as a task of inspect_ai."""

import importlib.util
import json
import math
import sys

import pytest
from embedded import ROOT
from tool_logs import (
    HUMAN,
    LIGHTEVAL,
    MESSAGES,
    MOCK,
    RESPONSES_API,
    costs,
    lines,
    write_lines,
)

from handan import norms
from handan.errors import UserError


def counted(row):
    return row["reasoning_tokens"], row["answer_tokens"], row["status"], row["counted_by"]


def changed(path, folder, change):
    rows = lines(path)
    change(rows)
    return write_lines(folder / path.name, rows)


# The Responses API


def test_responses_are_counted_from_their_reasoning_items(tmp_path, capsys):
    rows = costs(tmp_path, RESPONSES_API, tool="openai")
    assert len(rows) == 8
    for line in lines(RESPONSES_API):
        body = line["response"]["body"]
        texts = {item["type"]: item["content"][0]["text"] for item in body["output"]}
        row = rows["handan/tiny/weights/base@main", *line["custom_id"].split("::")]
        assert row["reasoning_tokens"] == str(len(texts.get("reasoning", "").split()))
        assert row["prompt_tokens"] == str(body["usage"]["input_tokens"])
    assert "of the tokens the provider counted" in capsys.readouterr().out


def reasoned(rows):
    """As the provider reports it: reasoning kept back, and counted."""
    for row in rows:
        body = row["response"]["body"]
        answer = body["output"][-1]
        thought = {"id": "rs", "type": "reasoning", "summary": [], "encrypted_content": "c2Vj"}
        body["output"] = [thought, answer]
        body["usage"] |= {"output_tokens": 80, "output_tokens_details": {"reasoning_tokens": 64}}


def test_hidden_reasoning_is_counted_by_usage(tmp_path):
    path = changed(RESPONSES_API, tmp_path, reasoned)
    found = costs(tmp_path, path, tool="openai", tokenizer=None).values()
    assert {counted(row) for row in found} == {("64", "16", "complete", "usage")}


@pytest.mark.parametrize(
    "change, status",
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "cut"),
        ({"status": "incomplete"}, "cut"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "withheld"),
        ({"status": "failed", "error": {"code": "server_error", "message": "no"}}, "failed (no)"),
        ({"status": "cancelled"}, "failed"),
        ({"status": "in_progress"}, "failed"),
        ({"output": [{"type": "web_search_call", "status": "completed"}]}, "'web_search_call'"),
        ({"output": [{"type": "message", "content": [{"type": "refusal"}]}]}, "withheld"),
        ({"output": [3]}, "an item of output is a number"),
    ],
)
def test_the_end_of_a_response_decides_what_its_length_says(tmp_path, capsys, change, status):
    def one(rows):
        reasoned(rows)
        rows[0]["response"]["body"] |= change

    path = changed(RESPONSES_API, tmp_path, one)
    rows = costs(tmp_path, path, tool="openai", tokenizer=None)
    if status == "cut":
        assert next(iter(rows.values()))["status"] == "truncated"
    else:
        assert len(rows) == 7
        assert "left out 1 of 8 requests" in (printed := capsys.readouterr().out)
        assert status in printed


# The Messages API


def test_thinking_is_counted_by_usage_and_never_by_its_summary(tmp_path, capsys):
    rows = costs(tmp_path, MESSAGES, tool="anthropic")
    assert len(rows) == 14 - 3
    for line in lines(MESSAGES):
        row = rows.get(("claude", line["task"], line["item"], "0"))
        if row is None:
            continue
        usage = line["result"]["message"]["usage"]
        thought = usage["output_tokens_details"]["thinking_tokens"]
        rest = usage["output_tokens"] - thought
        assert counted(row)[:2] == (str(thought), str(rest)) and row["counted_by"] == "usage"
        assert row["prompt_tokens"] == "21"  # with what was read from the cache
    subtraction = [row["status"] for key, row in rows.items() if key[1] == "binary_subtraction"]
    assert sorted(subtraction) == ["complete", "no_reasoning", "truncated"]
    printed = capsys.readouterr().out
    assert "withheld by a filter (finish reason 'refusal')" in printed
    assert "left out 1 of 14 requests, failed" in printed
    assert "its reasoning is hidden (encrypted, redacted or a summary) and not counted" in printed


def test_without_a_count_the_text_of_thinking_is_no_length(tmp_path):
    def uncounted(rows):
        for row in rows:
            row["result"].get("message", {}).get("usage", {}).pop("output_tokens_details", None)

    path = changed(MESSAGES, tmp_path, uncounted)
    rows = costs(tmp_path, path, tool="anthropic")
    assert [counted(row) for row in rows.values()] == [("0", "9", "no_reasoning", "usage")]


def test_plain_lines_hold_messages_too(tmp_path):
    def plain(rows):
        rows[:] = [
            {"task": row["task"], "item": row["item"], "correct": 1, "response": message}
            for row in rows
            if (message := row["result"].get("message"))
        ]

    path = changed(MESSAGES, tmp_path, plain)
    rows = costs(tmp_path, path, tool="anthropic", tokenizer=None)
    assert len(rows) == 11 and {row["correct"] for row in rows.values()} == {"True"}


# lighteval


def test_lighteval_details_are_counted_again(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = costs(tmp_path, LIGHTEVAL, tool="lighteval")
    assert len(rows) == 14
    for path in LIGHTEVAL.rglob("*.parquet"):
        for line in parquet.read_table(path).to_pylist():
            task = line["doc"]["task_name"].removesuffix("|0")
            item = line["doc"]["specific"]["item"]
            row = rows["handan/tiny/weights/base", task, item, "0"]
            thought, _, answer = line["model_response"]["text"][0].partition("</think>")
            tokens = str(len(thought.split())), str(len(answer.split()))
            assert counted(row) == (*tokens, "complete", "retokenized")
            assert row["correct"] == "False"


def lighteval_log(folder, change):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (path,) = LIGHTEVAL.rglob("details_binary_addition*")
    rows = parquet.read_table(path).to_pylist()
    change(rows)
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / path.name)
    return folder / path.name


def test_lighteval_samples_and_reasoning_set_apart(tmp_path):
    def apart(rows):
        for row in rows:
            response = row["model_response"]
            thought, _, answer = response["text"][0].partition("</think>")
            response |= {"text": [answer, answer], "reasonings": [thought, "1 + 1"]}

    more = ["--model", "m"]
    rows = costs(tmp_path, lighteval_log(tmp_path, apart), tool="lighteval", more=more)
    assert len(rows) == 16
    assert {row["reasoning_tokens"] for key, row in rows.items() if key[3] == "1"} == {"3"}
    assert {row["correct"] for row in rows.values()} == {""}  # one score of two responses


def test_lighteval_requests_that_failed_are_left_out(tmp_path, capsys):
    def failed(rows):
        rows[0]["model_response"] |= {"text": [""], "reasonings": [None, None]}

    rows = costs(tmp_path, lighteval_log(tmp_path, failed), tool="lighteval", more=["--model", "m"])
    assert len(rows) == 7
    assert "left out 1 of 8 responses, empty, as of a request that failed" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda rows: [row["model_response"].update(text=[]) for row in rows], "no generated text"),
        (
            lambda rows: [row.pop("model_response") for row in rows],
            r"no field 'model_response\.text'",
        ),
        (lambda rows: [row["metric"].update(f1=0) for row in rows], "several scores.*: em, f1"),
        (lambda rows: [row["metric"].update(em=0.5) for row in rows], "metric em is 0.5, not 1"),
    ],
)
def test_lighteval_details_that_say_nothing_are_one_sentence(tmp_path, change, sentence):
    with pytest.raises(UserError, match=sentence):
        costs(tmp_path, lighteval_log(tmp_path, change), tool="lighteval", more=["--model", "m"])


def test_lighteval_files_are_named_by_model_and_task(tmp_path):
    log = lighteval_log(tmp_path, lambda rows: None)
    with pytest.raises(UserError, match=r"no folder details/MODEL/DATE names the model"):
        costs(tmp_path, log, tool="lighteval")
    with pytest.raises(UserError, match=r"name the file details_TASK_DATE.parquet"):
        costs(tmp_path, log.rename(tmp_path / "x.parquet"), tool="lighteval")
    (tmp_path / "details_a_2026-11-30T18-39-12.76.parquet").write_text("no")
    with pytest.raises(UserError, match="not a Parquet file"):
        costs(tmp_path, tmp_path, tool="lighteval", more=["--model", "m"])


# The task of inspect_ai


def test_the_log_of_the_task_says_what_items_cost_people(tmp_path):
    rows = costs(tmp_path, HUMAN, tool="inspect", items=None, tokenizer=None)
    assert len(rows) == 2 * 13 * 2
    people = norms.load("syllogisms", "brand_ragni_2023").items
    right = 0
    for (_, task, item, _), row in rows.items():
        right += row["correct"] == "True"
        if task == "syllogisms":
            assert math.log(float(row["human_rt_s"])) == pytest.approx(people[item].mean_log_rt)
            assert row["norms"] == "brand_ragni_2023"
    assert right == 26


def test_other_logs_need_a_table_of_items(tmp_path):
    with pytest.raises(UserError, match="does not say what items cost people; name it with"):
        costs(tmp_path, MOCK, tool="inspect", items=None)


def test_inspect_ai_runs_the_task(tmp_path, monkeypatch):
    pytest.importorskip("inspect_ai")
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("make_logs", ROOT / "tests/logs/make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.human(str(tmp_path))
    found = costs(tmp_path, tmp_path / "human.eval", tool="inspect", items=None, tokenizer=None)
    assert found == costs(tmp_path, HUMAN, tool="inspect", items=None, tokenizer=None)


def test_reading_parquet_without_a_package_is_one_sentence(tmp_path, monkeypatch):
    log = lighteval_log(tmp_path, lambda rows: None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pip install pyarrow"):
        costs(tmp_path, log, tool="lighteval", more=["--model", "m"])


def test_damaged_items_of_a_log_are_one_sentence(tmp_path):
    log = json.loads((HUMAN.parent / "binary_subtraction.json").read_text())
    more = {"human_mean_rt_s": None, "analytic_cost": None, "norms": None}
    for sample in log["samples"]:
        own = {"task": "t", "item": sample["id"], "human_rt_s": {"a": 1}}
        sample["metadata"] = own | more
    (tmp_path / "log.json").write_text(json.dumps(log))
    with pytest.raises(UserError, match=r"human_rt_s is '.*', not a plain number"):
        costs(tmp_path, tmp_path / "log.json", tool="inspect", items=None)
