"""Whatever is wrong with a log of another tool, ``handan costs`` says it in one sentence."""

import contextlib
import copy
import io
import json
import random
import re
import sys
import zipfile

import pytest
from tool_logs import (
    ADDITION,
    BATCH,
    ITEMS,
    JSON,
    LOGS,
    MESSAGES,
    MOCK,
    RESPONSES,
    RESPONSES_API,
    TOKENIZER,
    costs,
    lines,
    write_lines,
)

from handan.errors import UserError, run_main


def jsonl(change, number=0, path=RESPONSES):
    """Writes the real lines, one of them changed; the change may return another text."""

    def write(folder):
        rows = [json.dumps(row) for row in lines(path)]
        row = json.loads(rows[number])
        rows[number] = change(row) or json.dumps(row)
        log = folder / path.name
        log.write_bytes("\n".join(rows).encode("utf-8", "surrogateescape"))
        return log

    return write


def put(*path, value):
    """A change that sets the value at a path; without the value it removes it."""

    def change(row):
        for part in path[:-1]:
            row = row[part]
        row[path[-1]] = value

    return change


def drop(*path):
    def change(row):
        for part in path[:-1]:
            row = row[part]
        del row[path[-1]]

    return change


def inspect_json(change):
    def write(folder):
        log = json.loads(JSON.read_text())
        change(log)
        (folder / "log.json").write_text(json.dumps(log))
        return folder / "log.json"

    return write


def inspect_zip(content):
    def write(folder):
        (folder / "log.eval").write_bytes(content)
        return folder / "log.eval"

    return write


def usage(**counts):
    return put("response", "usage", value=counts)


def two_scores(log):
    log["samples"][0]["scores"]["other"] = {"value": "C"}


def zip_without_samples():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "?")
    return buffer.getvalue()


MESSAGE = ("response", "choices", 0, "message")
OPENAI = [
    (lambda row: '{"task": ', "line 1: not valid JSON"),
    (lambda row: "[1]", "line 1: expected a JSON object, not a list"),
    (lambda row: "\udcff", "line 1: not UTF-8"),
    (lambda row: "[" * 100_000, "line 1: JSON of absurd size or depth"),
    (lambda row: '{"task": ' + "9" * 5000 + "}", "line 1: JSON of absurd size or depth"),
    (drop("task"), "line 1: no field 'task'"),
    (put("item", value=True), "line 1: item is true, not text or a whole number"),
    (put("item", value=1.5), "line 1: item is a decimal, not text or a whole number"),
    (put("item", value=" "), "line 1: item is empty"),
    (put("item", value="\ud800"), "line 1: item holds half a character"),
    (put("sample", value=1), "line 2: same model, task, item and sample as .* line 1"),
    (put("correct", value="yes"), "line 1: correct is text, not 1 or 0"),
]
BATCHES = [
    (put("custom_id", value="one"), "custom_id is not TASK::ITEM"),
    (put("custom_id", value="a::"), "a part of custom_id is empty"),
]
LM_EVALS = [
    (drop("resps"), "line 1: no field 'resps'"),
    (put("doc", "item", value={}), "line 1: doc.item is an object"),
    (put("metrics", value=["a", "b"]), "line 1: choose what is correct .*: a, b"),
    (put("metrics", value=[]), "line 1: choose what is correct .*: no list of metrics"),
]
INSPECTS = [
    (drop("eval"), "no field 'eval'"),
    (put("eval", "model", value=None), "eval.model is null"),
    (drop("samples"), "no samples; is it a log of inspect_ai"),
    (put("samples", value={}), "no samples; is it a log of inspect_ai"),
    (put("samples", 0, "epoch", value=True), r"samples\[0\]: epoch is true"),
    (two_scores, "several scores; choose one with --metric"),
]
# Beside others that are good: left out, named and counted.
OUT = [
    ("openai", jsonl(change), f"left out 1 of 16 requests, {why}")
    for change, why in (
        (put("response", value=[]), "response is a list, not a JSON object"),
        (put("response", value=None), "failed"),
        (put("error", value={"code": 1}), "failed"),
        (drop("response", "choices"), "no 'choices' in the response"),
        (drop("response", "model"), "model is null"),
        (put("response", "choices", value=[]), "the response has no choice"),
        (put("response", "choices", value=None), "the response has no choice"),
        (put("response", "choices", value=[None]), "a choice is null, not a JSON object"),
        (put(*MESSAGE, value=None), "the request failed .no message"),
        (put(*MESSAGE, "content", value={}), "content is an object without text"),
        (put(*MESSAGE, "reasoning", value=3), "reasoning is a number, not text"),
        (usage(prompt_tokens=True), "prompt_tokens is true, not a whole number"),
        (usage(prompt_tokens=2.5), "prompt_tokens is a decimal, not a whole number"),
        (usage(completion_tokens=-2), "completion_tokens is negative"),
        (usage(completion_tokens=10**400), "completion_tokens is huge"),
        (
            usage(completion_tokens=5, completion_tokens_details={"reasoning_tokens": 6}),
            "usage counts 6 reasoning tokens in a completion of 5",
        ),
    )
]
OUT += [
    ("openai", jsonl(change, path=BATCH), f"left out {why}")
    for change, why in (
        (put("response", "status_code", value="500"), "2 of 13 requests, failed"),
        (drop("response", "status_code"), "1 of 13 requests, no field 'status_code'"),
        (
            put("response", "body", value={"error": {"message": "no"}}),
            "1 of 13 requests, the request failed .no.",
        ),
    )
]
OUT += [
    ("lm_eval", jsonl(change, path=ADDITION), why)
    for change, why in (
        (put("resps", value=[[["-1.5", "True"]]]), "left out 1 of 15 responses, no generated text"),
        (put("resps", 0, 0, value=None), "left out 1 of 16 responses, null in the place of a"),
        (put("resps", value=[]), "left out 1 of 15 responses, no generated text"),
        (
            put("resps", 0, 0, value={"text": [3]}),
            "1 of 16 responses, content is a number",
        ),
        (put("exact_match", value=0.5), "1 of 8 scores are neither 1 nor 0, so 'correct' is empty"),
        (put("exact_match", value="yes"), "1 of 8 scores are neither 1 nor 0"),
        (put("exact_match", value=[1, 0, 1]), "1 of 8 scores are neither 1 nor 0"),
    )
]
OUT += [
    ("inspect", inspect_json(change), why)
    for change, why in (
        (
            put("samples", 0, "output", "usage", "input_tokens", value=-2),
            "left out 1 of 12 samples, input_tokens is negative",
        ),
        (
            put("samples", 0, "output", "choices", 0, "stop_reason", value="content_filter"),
            "left out 1 of 12 samples, withheld by a filter",
        ),
        (
            put("samples", 0, "output", "choices", 0, "message", value=None),
            "left out 1 of 12 samples, the request failed .no message",
        ),
        (
            put("samples", 0, "scores", "answer_after_thinking", "value", value=0.3),
            "1 of 12 scores are neither 1 nor 0",
        ),
        (
            put("samples", 0, "scores", "answer_after_thinking", "value", value="P"),
            "1 of 12 scores are neither 1 nor 0",
        ),
    )
]
MALFORMED = [
    *(("openai", jsonl(change), sentence) for change, sentence in OPENAI),
    *(("openai", jsonl(change, path=BATCH), sentence) for change, sentence in BATCHES),
    *(("lm_eval", jsonl(change, path=ADDITION), sentence) for change, sentence in LM_EVALS),
    *(("inspect", inspect_json(change), sentence) for change, sentence in INSPECTS),
    ("inspect", inspect_zip(MOCK.read_bytes()[:-900]), "a damaged zip"),
    ("inspect", inspect_zip(b""), "a damaged zip"),
    ("inspect", inspect_zip(zip_without_samples()), "no samples; is it a log of inspect_ai"),
    ("openai", lambda folder: folder, "cannot be read"),
    ("openai", lambda folder: folder / "none.jsonl", "none.jsonl: cannot be read"),
    ("lm_eval", lambda folder: folder, "no samples_.*.jsonl in this folder"),
    ("openai", lambda folder: write_lines(folder / "empty.jsonl", []), "empty.jsonl: empty"),
]


@pytest.mark.parametrize("tool, write, sentence", MALFORMED)
def test_malformed_logs_are_one_line_and_exit_code_two(tmp_path, capsys, tool, write, sentence):
    more = ["--model", "m"] if tool == "lm_eval" else []
    with pytest.raises(UserError, match=sentence):
        costs(tmp_path, write(tmp_path), tool=tool, more=more)
    with pytest.raises(SystemExit) as caught:
        run_main(lambda: costs(tmp_path, write(tmp_path), tool=tool, more=more))
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "costs.csv").exists()


@pytest.mark.parametrize("tool, write, note", OUT)
def test_one_bad_response_never_refuses_a_file(tmp_path, capsys, tool, write, note):
    more = ["--model", "m"] if tool == "lm_eval" else []
    assert len(costs(tmp_path, write(tmp_path), tool=tool, more=more)) >= 11
    assert re.search(note, capsys.readouterr().out)


@pytest.mark.parametrize("value, sentence", [(0.5, "is 0.5, not 1 or 0"), ([1], "is a list")])
def test_a_metric_that_never_says_right_or_wrong_is_refused(tmp_path, value, sentence):
    rows = [row | {"exact_match": value} for row in lines(ADDITION)]
    log = write_lines(tmp_path / ADDITION.name, rows)
    with pytest.raises(UserError, match=f"{sentence}.*choose another --metric"):
        costs(tmp_path, log, tool="lm_eval", more=["--model", "m"])


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "empty"),
        ("item,human_rt_s\na,1\n", "line 1: no column 'task'; add it"),
        ("task;item;human_rt_s\n", "line 1: columns are separated by ';'"),
        ("task,item\n", "line 1: no column human_rt_s or analytic_cost"),
        ("task,item,human_rt_s\n", "no rows under the header"),
        ("task,item,human_rt_s\na,b\n", "line 2: 2 cells under 3 columns"),
        ("task,item,human_rt_s\na,b,0\n", "line 2: human_rt_s is 0; logarithms need"),
        ("task,item,human_rt_s\na,b,True\n", "line 2: human_rt_s is 'True', not a plain number"),
        ("task,item,human_rt_s\na,,1\n", "line 2: empty item"),
        ("task,item,human_rt_s\na,b,1\na,b,2\n", "line 3: same task and item as .* line 2"),
        ("task,item,human_rt_s,analytic_cost\na,b,1,1\n", "line 2: fill in one of"),
        ("task,item,human_rt_s,norms\na,b,1,x\na,c,1,y\n", "line 3: norms of task 'a'"),
        ('task,item,human_rt_s\na,"b,1\n', "not valid CSV"),
        ("task,item,human_rt_s\na,\udcff,1\n", "not UTF-8"),
    ],
)
def test_malformed_items_are_one_sentence(tmp_path, text, sentence):
    items = tmp_path / "items.csv"
    items.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=sentence):
        costs(tmp_path, RESPONSES, tool="openai", items=items)


@pytest.mark.parametrize(
    "more, sentence",
    [
        (["--tags", "<t>", "<t>"], "--tags needs two different strings"),
        (["--tags", "<t>", " "], "--tags needs two different strings"),
        (["--metric", "match"], "--metric is not for responses of an API"),
        (["--item_field", "id"], "--item_field is not for responses of an API"),
        (["--output", str(ITEMS)], "is one of the inputs"),
        (["--tokenizer", str(LOGS)], "tokenizer.json: cannot be read"),
        (["--tokenizer", str(RESPONSES)], "neither a folder or file here nor a name"),
        (["--tokenizer", str(TOKENIZER / "config.json")], "not a tokenizer of the tokenizers"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, monkeypatch, more, sentence):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=sentence):
        costs(tmp_path, RESPONSES, tool="openai", more=more)


@pytest.mark.parametrize("tool, log", [("lm_eval", ADDITION), ("inspect", JSON)])
def test_an_unknown_metric_is_named_beside_the_known_ones(tmp_path, tool, log):
    known = "exact_match" if tool == "lm_eval" else "answer_after_thinking"
    with pytest.raises(UserError, match=f"no (metric|score) 'f1'.*: {known}"):
        costs(tmp_path, log, tool=tool, more=["--metric", "f1"])


def test_a_missing_tokenizers_package_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match=r"pip install 'handan\[train\]'"):
        costs(tmp_path, RESPONSES, tool="openai")


JUNK = (None, [], {}, "", True, -1, 2.5, 10**400, "\ud800", "\x00\n", [[]], {"a": 1}, "</think>")


def damaged(value, generator):
    """A copy of a JSON value with junk in one or two places."""
    value = copy.deepcopy(value)
    for _ in range(generator.choice((1, 2))):
        parent, key = None, None
        here = value
        while (
            isinstance(here, dict | list) and here and (parent is None or generator.random() < 0.8)
        ):
            parent = here
            key = generator.choice(list(here) if isinstance(here, dict) else range(len(here)))
            here = parent[key]
        if isinstance(parent, dict) and generator.random() < 0.2:
            del parent[key]
        elif parent is not None:
            parent[key] = copy.deepcopy(generator.choice(JUNK))
    return value


@pytest.mark.parametrize("path", [ADDITION, RESPONSES, BATCH, RESPONSES_API, MESSAGES, JSON])
def test_whatever_a_log_holds_it_is_read_or_told(tmp_path, path):
    generator = random.Random(path.name)
    tool = "lm_eval" if path == ADDITION else "inspect" if path == JSON else "openai"
    log = tmp_path / path.name
    for _ in range(80):
        if path == JSON:
            log.write_text(json.dumps(damaged(json.loads(JSON.read_text()), generator)))
        else:
            rows = lines(path)
            number = generator.randrange(len(rows))
            write_lines(
                log, [*rows[:number], damaged(rows[number], generator), *rows[number + 1 :]]
            )
        with contextlib.suppress(UserError):
            costs(tmp_path, log, tool=tool, more=["--model", "m"])
