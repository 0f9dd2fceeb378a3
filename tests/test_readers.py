"""Logs of other tools become a costs.csv; the logs in tests/logs were written by these tools."""

import copy
import json
import subprocess
import sys
import zipfile

import pytest
from tokenizers import Tokenizer
from tool_logs import (
    ADDITION,
    BATCH,
    EVAL,
    ITEMS,
    JSON,
    LM_EVAL,
    MOCK,
    RESPONSES,
    STRIPPED,
    SUBTRACTION,
    TOKENIZER,
    costs,
    lines,
    write_lines,
)

from handan.cli import command
from handan.errors import UserError
from handan.generation.chat import ended
from handan.generation.formats import ReasoningFormat
from handan.generation.spans import SplitText, split_text
from handan.readers.logged import status


def words(text):
    """The embedded world's tokenizer has one token a word."""
    return str(len(text.split()))


def expected_of_text(text, finish=None):
    """Counts and status of a response inside a span that the prompt opened."""
    reasoning, closed, answer = text.partition("</think>")
    if finish == "length" or not closed:
        kind = "truncated"
    else:
        kind = "complete" if reasoning.strip() else "no_reasoning"
    return words(reasoning), words(answer), kind


def counted(row):
    return row["reasoning_tokens"], row["answer_tokens"], row["status"]


# lm-evaluation-harness


def test_lm_eval_responses_are_counted_and_every_repeat_is_a_sample(tmp_path, capsys):
    rows = costs(tmp_path, ADDITION, tool="lm_eval")
    assert len(rows) == 16
    seen = set()
    for line in lines(ADDITION):
        for sample, text in enumerate(line["resps"][0]):
            name = ("handan/tiny/weights/base", "binary_addition", line["doc"]["item"])
            row = rows[*name, str(sample)]
            assert counted(row) == expected_of_text(text)
            assert row["counted_by"] == "retokenized"
            graded = text == line["resps"][0][0]
            assert row["correct"] == (str(line["exact_match"] == 1.0) if graded else "")
            seen.add((row["status"], row["correct"]))
    assert {kind for kind, _ in seen} >= {"complete", "truncated"}
    assert {right for _, right in seen} >= {"True", ""}
    assert "responses have no 'exact_match' of their own" in capsys.readouterr().out


def test_a_length_saved_with_a_tokenizer_cuts_and_pads_no_text(tmp_path):
    saved = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
    saved.enable_truncation(8)
    saved.enable_padding(length=8)
    saved.save(str(tmp_path / "tokenizer.json"))
    expected = costs(tmp_path, ADDITION, tool="lm_eval")
    assert any(int(row["reasoning_tokens"]) > 8 for row in expected.values())
    assert costs(tmp_path, ADDITION, tool="lm_eval", tokenizer=tmp_path) == expected


def test_lm_eval_folders_are_read_whole_and_one_filter_is_chosen(tmp_path):
    with pytest.raises(UserError, match=r"several filters; choose one .*: whole, answer"):
        costs(tmp_path, LM_EVAL, tool="lm_eval")
    rows = costs(tmp_path, LM_EVAL, tool="lm_eval", more=["--metric", "exact_match,answer"])
    assert len(rows) == 16 + 6
    for line in lines(SUBTRACTION):
        if line["filter"] == "answer":
            item = line["doc"]["item"]
            row = rows["handan/tiny/weights/base", "binary_subtraction", item, "0"]
            assert row["correct"] == str(line["exact_match"] == 1.0)
            assert counted(row) == expected_of_text(line["resps"][0][0])


def test_lm_eval_logs_without_their_reasoning_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"think_end_token.*--allow_no_reasoning"):
        costs(tmp_path, STRIPPED, tool="lm_eval")
    rows = costs(tmp_path, STRIPPED, tool="lm_eval", more=["--allow_no_reasoning"])
    assert {row["reasoning_tokens"] for row in rows.values()} == {"0"}


def test_lm_eval_names_the_model_the_item_and_the_task(tmp_path, capsys):
    path = tmp_path / "samples_binary_addition.jsonl"
    path.write_bytes(ADDITION.read_bytes())
    with pytest.raises(UserError, match="names the model; use --model"):
        costs(tmp_path, path, tool="lm_eval")
    rows = costs(tmp_path, path, tool="lm_eval", more=["--model", "m", "--metric", "none"])
    assert {(row["model"], row["correct"]) for row in rows.values()} == {("m", "")}
    items = tmp_path / "items.csv"
    questions = "".join(f'binary_addition,"{x["doc"]["question"]}",2\n' for x in lines(ADDITION))
    items.write_text("task,item,analytic_cost\n" + questions)
    more = ["--model", "m", "--item_field", "doc.question"]
    rows = costs(tmp_path, path, tool="lm_eval", items=items, more=more)
    assert {row["analytic_cost"] for row in rows.values()} == {"2.0"}

    without = [line | {"doc": {"question": "?"}} for line in lines(path)]
    items.write_text("task,item,human_rt_s\n" + "".join(f"binary_addition,{n},3\n" for n in "01"))
    write_lines(path, without)
    assert len(costs(tmp_path, path, tool="lm_eval", items=items, more=["--model", "m"])) == 4
    assert "items are named by doc_id" in capsys.readouterr().out


def test_text_alone_needs_a_tokenizer_or_counts_characters(tmp_path, capsys):
    with pytest.raises(UserError, match="no count of reasoning tokens; pass the model's"):
        costs(tmp_path, ADDITION, tool="lm_eval", tokenizer=None)
    more = ["--count", "characters"]
    rows = costs(tmp_path, ADDITION, tool="lm_eval", tokenizer=None, more=more)
    for line in lines(ADDITION):
        reasoning, _, answer = line["resps"][0][0].partition("</think>")
        row = rows["handan/tiny/weights/base", "binary_addition", line["doc"]["item"], "0"]
        assert row["reasoning_tokens"] == row["reasoning_characters"] == str(len(reasoning))
        assert (row["answer_tokens"], row["counted_by"]) == (str(len(answer)), "characters")
    assert "hold characters, not tokens" in capsys.readouterr().out
    with pytest.raises(UserError, match="leave one of them out"):
        costs(tmp_path, ADDITION, tool="lm_eval", more=more)


# inspect_ai


def inspect_samples(path):
    if path.suffix == ".json":
        return json.loads(path.read_text())["samples"]
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.startswith("samples/")]
        return [json.loads(archive.read(name)) for name in names]


def test_inspect_json_is_counted_and_every_epoch_is_a_sample(tmp_path, capsys):
    rows = costs(tmp_path, JSON, tool="inspect")
    samples = inspect_samples(JSON)
    assert len(rows) == len(samples) == 12
    for sample in samples:
        row = rows["hf/tiny", "binary_subtraction", sample["id"], str(sample["epoch"])]
        choice = sample["output"]["choices"][0]
        assert choice["stop_reason"] == "unknown"
        assert counted(row) == expected_of_text(choice["message"]["content"])
        grade = sample["scores"]["answer_after_thinking"]["value"]
        assert row["correct"] == {"C": "True", "I": "False"}[grade]
        assert row["prompt_tokens"] == str(sample["output"]["usage"]["input_tokens"])
    printed = capsys.readouterr().out
    open_ended = sum(row["status"] == "truncated" for row in rows.values())
    assert f"{open_ended} of 12 responses without a tag were taken for reasoning" in printed
    # Its provider counts the padding of a batch, so nothing is said of agreement.
    assert "of the tokens the provider counted" not in printed
    assert "12 of 12 responses have no finish reason that is known: null (12)" in printed


def test_inspect_zips_in_zstandard_are_read(tmp_path):
    pytest.importorskip("pyarrow")
    rows = costs(tmp_path, EVAL, tool="inspect")
    assert {info.compress_type for info in zipfile.ZipFile(EVAL).infolist()} == {93}
    assert len(rows) == 16
    assert {row["status"] for row in rows.values()} >= {"complete", "truncated"}


def test_rows_are_in_the_order_of_the_items_whatever_the_log_was_in(tmp_path):
    shuffled = lines(RESPONSES)[::-1]
    rows = costs(tmp_path, write_lines(tmp_path / "x.jsonl", shuffled), tool="openai")
    expected = [(line["item"], str(line["sample"])) for line in lines(RESPONSES)]
    assert [(item, sample) for _, _, item, sample in rows] == expected


def test_zstandard_without_a_package_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install pyarrow, or .*inspect log convert"):
        costs(tmp_path, EVAL, tool="inspect")


def test_inspect_usage_comes_before_text_and_failed_samples_are_left_out(tmp_path, capsys):
    rows = costs(tmp_path, MOCK, tool="inspect", tokenizer=None)
    samples = [sample for sample in inspect_samples(MOCK) if not sample.get("error")]
    assert len(rows) == len(samples) == 11
    for sample in samples:
        row = rows["mockllm/model", "binary_subtraction", sample["id"], str(sample["epoch"])]
        usage = sample["output"]["usage"]
        assert row["reasoning_tokens"] == str(usage["reasoning_tokens"])
        answer = usage["output_tokens"] - usage["reasoning_tokens"]
        assert (row["answer_tokens"], row["counted_by"]) == (str(answer), "usage")
    item = [sample["id"] for sample in samples[:3]]
    second = [rows["mockllm/model", "binary_subtraction", name, "2"] for name in item]
    assert [row["status"] for row in second] == ["truncated", "no_reasoning", "complete"]
    assert [row["reasoning_characters"] for row in second] == ["11", "0", ""]
    assert [row["correct"] for row in second] == ["False", "True", "True"]
    assert "left out 1 of 12 samples, ended by an error: 1010-0011 (epoch 2)" in (
        capsys.readouterr().out
    )
    more = ["--count", "characters"]
    assert len(costs(tmp_path, MOCK, tool="inspect", tokenizer=None, more=more)) == 10
    assert (
        "left out 1 of 11 responses, which cannot be counted: binary_subtraction, 0100-0001, "
        "sample 2 (of the first, its reasoning is hidden, so nothing counts its characters)"
    ) in capsys.readouterr().out


def test_inspect_samples_of_several_turns_are_left_out_and_choices_are_samples(tmp_path, capsys):
    log = json.loads(JSON.read_text())
    first, second = log["samples"][:2]
    first["messages"] += first["messages"][1:]
    second["output"]["choices"] *= 2
    log["status"] = "cancelled"
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log))
    rows = costs(tmp_path, path, tool="inspect")
    assert len(rows) == 12
    for number in range(2):
        name = f"{second['epoch']}.{number}"
        assert ("hf/tiny", "binary_subtraction", second["id"], name) in rows
    printed = capsys.readouterr().out
    assert f"of several turns, where usage is that of the last one: {first['id']}" in printed
    assert "did not finish, its status is 'cancelled'" in printed


# OpenAI-style responses


def expected_of_message(response):
    (choice,) = response["choices"]
    message = choice["message"]
    reasoning, answer = message.get("reasoning_content") or "", message["content"]
    kind = "complete" if reasoning else "no_reasoning"
    if len(f"{reasoning} {answer}".split()) > response["usage"]["completion_tokens"]:
        answer = ""  # cut inside the span, where this server shows the prompt as the answer
    return (
        words(reasoning),
        words(answer),
        "truncated" if choice["finish_reason"] == "length" else kind,
    )


def test_openai_responses_and_batches_are_counted_alike(tmp_path, capsys):
    rows = costs(tmp_path, RESPONSES, BATCH, tool="openai")
    model, seen = "handan/tiny/weights/base@main", set()
    assert len(rows) == 16 + 12
    for line in lines(RESPONSES):
        row = rows[model, line["task"], line["item"], str(line["sample"])]
        assert counted(row) == expected_of_message(line["response"])
        assert row["prompt_tokens"] == str(line["response"]["usage"]["prompt_tokens"])
        if row["status"] != "truncated":  # all that was generated: both parts and the closing tag
            both = int(row["reasoning_tokens"]) + int(row["answer_tokens"])
            assert both + 1 == line["response"]["usage"]["completion_tokens"]
        seen.add(row["status"])
    assert seen == {"complete", "no_reasoning", "truncated"}
    for line in lines(BATCH)[:-1]:
        row = rows[model, *line["custom_id"].split("::")]
        assert counted(row) == expected_of_message(line["response"]["body"])
    printed = capsys.readouterr().out
    assert "left out 1 of 13 requests, failed: binary_subtraction, 0000-0000" in printed
    assert "of the tokens the provider counted" in printed


def changed_responses(tmp_path, change, number=None):
    """The real responses, changed: all of them or the one with a number."""
    rows = lines(RESPONSES)
    for row in rows if number is None else [rows[number]]:
        change(row, row["response"])
    return write_lines(tmp_path / "responses.jsonl", rows)


def test_openai_usage_counts_are_taken_as_they_are(tmp_path, capsys):
    def count(_, response):
        message = response["choices"][0]["message"]
        tokens = len((message.get("reasoning_content") or "").split())
        # One less than the words, to tell the two counts apart.
        response["usage"]["completion_tokens_details"] = {"reasoning_tokens": max(tokens - 1, 0)}

    path = changed_responses(tmp_path, count)
    rows = costs(tmp_path, path, tool="openai", tokenizer=None)
    for line in lines(path):
        usage = line["response"]["usage"]
        row = rows["handan/tiny/weights/base@main", line["task"], line["item"], str(line["sample"])]
        tokens = usage["completion_tokens_details"]["reasoning_tokens"]
        assert row["reasoning_tokens"] == str(tokens)
        assert row["answer_tokens"] == str(usage["completion_tokens"] - tokens)
    assert "16 usage" in capsys.readouterr().out


def test_openai_reasoning_counted_beside_the_completion(tmp_path):
    def count(_, response):
        usage = response["usage"]
        usage["completion_tokens_details"] = {"reasoning_tokens": 100}
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"] + 100

    path = changed_responses(tmp_path, count)
    for row, line in zip(costs(tmp_path, path, tool="openai").values(), lines(path), strict=True):
        assert row["answer_tokens"] == str(line["response"]["usage"]["completion_tokens"])


def test_openai_a_count_of_zero_beside_reasoning_is_no_count(tmp_path, capsys):
    def count(_, response):
        response["usage"]["completion_tokens_details"] = {"reasoning_tokens": 0}

    path = changed_responses(tmp_path, count)
    with pytest.raises(UserError, match="counts 0 for the reasoning it holds"):
        costs(tmp_path, path, tool="openai", tokenizer=None)
    rows = costs(tmp_path, path, tool="openai")
    assert {(row["counted_by"], row["reasoning_tokens"] == "0") for row in rows.values()} == {
        ("retokenized", False),
        ("usage", True),
    }
    assert "counts of different sources do not compare" in capsys.readouterr().out


def test_openai_choices_are_samples_and_their_usage_is_not_split(tmp_path):
    rows = lines(RESPONSES)
    for row in rows:
        choices = row["response"]["choices"]
        row["response"]["choices"] = choices + copy.deepcopy(choices)
        row["response"]["usage"]["completion_tokens_details"] = {"reasoning_tokens": 60}
    one = write_lines(tmp_path / "one.jsonl", [row for row in rows if row.pop("sample") == 0])
    found = costs(tmp_path, one, tool="openai")
    assert {row["sample"] for row in found.values()} == {"0", "1"}
    assert {row["counted_by"] for row in found.values()} == {"retokenized"}


def test_openai_tags_in_the_content(tmp_path):
    def tagged(_, response):
        message = response["choices"][0]["message"]
        thought = message.pop("reasoning_content", None) or ""
        message["content"] = f"[T] {thought} [/T] {message['content']}"

    path = changed_responses(tmp_path, tagged)
    rows = costs(tmp_path, path, tool="openai", more=["--tags", "[T]", "[/T]"])
    for row, line in zip(rows.values(), lines(RESPONSES), strict=True):
        assert counted(row) == expected_of_message(line["response"])
    with pytest.raises(UserError, match=r"no response of .* holds reasoning or </think>"):
        costs(tmp_path, path, tool="openai")


def test_openai_lines_can_say_what_is_correct(tmp_path):
    def graded(row, _):
        row["correct"] = row["sample"] == 0

    rows = costs(tmp_path, changed_responses(tmp_path, graded), tool="openai")
    assert {(row["sample"], row["correct"]) for row in rows.values()} == {
        ("0", "True"),
        ("1", "False"),
    }


# What all of them share


@pytest.mark.parametrize(
    "text, opened, span",
    [
        ("<t> a b </t> c", False, SplitText(" a b ", " c", True, True)),
        ("a b </t> c", False, SplitText("a b ", " c", True, True)),
        ("a b </t> c", True, SplitText("a b ", " c", True, True)),
        ("<t> a b", False, SplitText(" a b", "", False, True)),
        ("a b", True, SplitText("a b", "", False, False)),
        ("a b", False, SplitText("", "a b", True, False)),
        ("<t>\n</t> c", False, SplitText("", " c", True, True)),
        ("<t> a <t> b </t> c </t> d", False, SplitText(" a <t> b ", " c </t> d", True, True)),
        ("so <t> a </t> c", True, SplitText("so <t> a ", " c", True, True)),
        ("so <t> a </t> c", False, SplitText(" a ", " c", True, True)),
        ("a </t> c <t> d </t>", False, SplitText("a ", " c <t> d </t>", True, True)),
        ("", False, SplitText("", "", True, False)),
    ],
)
def test_texts_are_cut_once(text, opened, span):
    assert split_text(text, ReasoningFormat("t", "<t>", "</t>", ""), opened) == span


@pytest.mark.parametrize(
    "finish, span, tokens, expected",
    [
        ("stop", SplitText("a", "b", True, True), 1, "complete"),
        (None, SplitText("a", "b", True, True), 1, "complete"),
        ("length", SplitText("a", "b", True, True), 1, "truncated"),
        ("max_tokens", SplitText("", "", True, False), 0, "truncated"),
        (None, SplitText("a", "", False, True), 1, "truncated"),
        ("gone", SplitText("a", "", False, True), 1, "truncated"),
        ("stop", SplitText("a", "", False, True), 1, "unparsed"),
        ("stop", SplitText("a", " ", True, True), 1, "unparsed"),
        (None, SplitText("a", "", True, True), 1, "unparsed"),
        ("stop", SplitText("", "b", True, True), 0, "no_reasoning"),
        ("stop", SplitText(None, "b", True, True), 9, "complete"),
    ],
)
def test_status_follows_docs_files(finish, span, tokens, expected):
    assert status(ended(finish), span, tokens) == expected


def test_what_could_not_be_joined_is_told(tmp_path, capsys):
    items = tmp_path / "items.csv"
    known = [line for line in ITEMS.read_text().splitlines() if "binary_addition" in line]
    items.write_text(
        "task,item,human_rt_s,norms,mood\n"
        + "".join(f"{line},x\n" for line in known[:3])
        + "binary_addition,0000+0000,2,iccm2019,x\nother,1,2,,x\n"
    )
    rows = costs(tmp_path, RESPONSES, tool="openai", items=items)
    assert len(rows) == 6
    printed = capsys.readouterr().out
    names = [line["item"] for line in lines(RESPONSES)[6::2]]
    assert f"{items}: ignored other columns: mood" in printed
    assert (
        "binary_addition: 6 rows; 6 retokenized; " in printed
        and "left out 10 samples of items without a row in ITEMS.csv: "
        f"{', '.join(names[:3])} and 2 more; 1 of 4 items without a sample: 0000+0000"
        in printed
    )
    assert "other: 0 rows; 1 of 1 items without a sample: 1" in printed
    items.write_text("task,item,human_rt_s\nother,1,2\n")
    with pytest.raises(UserError, match=r"no item of the logs .* 'binary_addition'.* 'other'"):
        costs(tmp_path, RESPONSES, tool="openai", items=items)


@pytest.mark.parametrize(
    "tool, logs, more",
    [
        ("lm_eval", [LM_EVAL], ["--metric", "exact_match,answer"]),
        ("inspect", [JSON], []),
        ("openai", [RESPONSES, BATCH], []),
    ],
)
def test_from_log_to_alignment(tmp_path, capsys, tool, logs, more):
    output = tmp_path / "alignment.json"
    rows = costs(tmp_path, *logs, tool=tool, more=more)
    command(["align", str(tmp_path / "costs.csv"), "--output", str(output), "--bootstrap", "100"])
    result = json.loads(output.read_text())
    assert not [note for note in result["notes"] if "unknown columns" in note]
    ((_, tasks),) = ((name, model["tasks"]) for name, model in result["models"].items())
    for task, figures in tasks.items():
        of_task = [row for row in rows.values() if row["task"] == task]
        thinking = {row["item"] for row in of_task if row["reasoning_tokens"] != "0"}
        cut = [row["status"] == "truncated" for row in of_task]
        assert figures["n"] == len(thinking)
        assert figures["cap_rate"] == pytest.approx(sum(cut) / len(cut))
        assert figures["ceiling"] is not None


def test_reading_loads_nothing_heavy():
    code = (
        "import sys, handan.readers, handan.readers.join\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "tokenizers", "pyarrow", "inspect_ai", "lm_eval"}
    assert not set(done.stdout.split()) & heavy
