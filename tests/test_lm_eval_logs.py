"""Sample logs of lm-evaluation-harness, one oddity each, and what becomes of them."""

import json

import pytest
from tool_logs import costs

from handan.errors import UserError

ITEMS = ("1101+0011", "1101+0010", "1001+1010")
THOUGHT, ANSWER = "1 + 1 = 0 , carry 1 , 0 + 1 = 1", "0 0 0 0 1"  # 14 and 5 tokens
TEXT = f"<think>{THOUGHT}</think>{ANSWER}"
CLOSES = f"{THOUGHT}</think>{ANSWER}"
MESSAGES = [{"role": "user", "content": "q"}]


def line(number, text=TEXT, metric=1.0, prompt="<|user|>q<|assistant|>", **more):
    return {
        "doc_id": number,
        "doc": {"question": "q", "item": ITEMS[number]},
        "target": "1",
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": []}}},
        "resps": [[text]],
        "filtered_resps": [text],
        "filter": "none",
        "metrics": ["exact_match"],
        "exact_match": metric,
        **more,
    }


def first(text=TEXT, **more):
    return [line(0, text, **more), line(1), line(2)]


def every(text=TEXT, **more):
    return [line(number, text, **more) for number in range(3)]


def without(*names):
    return [{key: row[key] for key in row if key not in names} for row in every()]


def two_filters():
    return [
        line(number, metric=score, filter=name)
        for name, score in (("strict-match", 0.0), ("flexible-extract", 1.0))
        for number in range(3)
    ]


def write(folder, rows, task="binary_addition"):
    date = "2026-01-01T00-00-00.000000"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"samples_{task}_{date}.jsonl").write_text(text)
    results = {"model_name": "m", "configs": {task: {}}}
    (folder / f"results_{date}.json").write_text(json.dumps(results))


PLAIN = ("14", "5", "complete", "True")
OTHER = [PLAIN, PLAIN]
ODD = {
    "plain": (every(), [], [PLAIN, *OTHER]),
    "null": (first(None), [], OTHER),
    "a number": (first(3), [], OTHER),
    "an object": (every({"content": TEXT}), [], [PLAIN, *OTHER]),
    "an object with text": (every({"text": TEXT}), [], [PLAIN, *OTHER]),
    "set apart": (every({"content": ANSWER, "reasoning": THOUGHT}), [], [PLAIN, *OTHER]),
    "a list of messages": (every(prompt=[json.dumps(MESSAGES)]), [], [PLAIN, *OTHER]),
    "messages": (every(prompt=MESSAGES), [], [PLAIN, *OTHER]),
    "old arguments": (every(arguments=[["q", {"until": []}]]), [], [PLAIN, *OTHER]),
    "old, without filter": (without("filter", "metrics"), [], [PLAIN, *OTHER]),
    "two filters": (two_filters(), ["--metric", "exact_match,flexible-extract"], [PLAIN] * 3),
    "a partial score": (first(metric=0.5), [], [(*PLAIN[:3], ""), *OTHER]),
    "a list of scores": (first(metric=[1, 0]), [], [(*PLAIN[:3], ""), *OTHER]),
    "a list of one score": (first(metric=[0]), [], [(*PLAIN[:3], "False"), *OTHER]),
    "no score": (first(metric=float("nan")), [], [(*PLAIN[:3], ""), *OTHER]),
    "a line separator": (first(f"{TEXT}\u2028more"), [], [("14", "6", *PLAIN[2:]), *OTHER]),
    "a tag in the answer": (
        first(f"<think>{THOUGHT}</think>As I thought </think> {ANSWER}"),
        [],
        [("14", "9", *PLAIN[2:]), *OTHER],
    ),
    "examples with tags": (
        [
            line(number, text, prompt="Q: <think>x</think> 3\nQ: q\n<think>\n")
            for number, text in enumerate([TEXT, CLOSES, THOUGHT])
        ],
        [],
        [PLAIN, PLAIN, ("14", "0", "truncated", "True")],
    ),
    "the same in messages": (
        [
            line(
                number,
                text,
                prompt=json.dumps([*MESSAGES, {"role": "assistant", "content": "<think>\n"}]),
            )
            for number, text in enumerate([TEXT, CLOSES, THOUGHT])
        ],
        [],
        [PLAIN, PLAIN, ("14", "0", "truncated", "True")],
    ),
    "messages of a server that opens the span": (
        [
            line(number, text, prompt=json.dumps(MESSAGES))
            for number, text in enumerate([CLOSES, CLOSES, THOUGHT])
        ],
        [],
        [PLAIN, PLAIN, ("14", "0", "truncated", "True")],
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_each_oddity_is_read(tmp_path, capsys, name):
    rows, more, expected = ODD[name]
    write(tmp_path, rows)
    found = costs(tmp_path, tmp_path, tool="lm_eval", more=more)
    columns = ("reasoning_tokens", "answer_tokens", "status", "correct")
    assert [tuple(row[column] for column in columns) for row in found.values()] == expected
    if len(expected) < 3:
        told = capsys.readouterr().out
        assert "left out 1 of 3 responses, " in told and f": {ITEMS[0]}, sample 0\n" in told


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([line(0, resps=[[[-1.2, False]]])], "only tasks of type generate_until reason"),
        (every(None), "no generated text in 'resps'"),
        (two_filters(), "several filters; choose one with --metric METRIC,FILTER: strict-match"),
        (every(metric=0.5), "metric exact_match is 0.5, not 1 or 0; choose another --metric"),
    ],
)
def test_a_log_of_which_nothing_is_left_is_refused(tmp_path, rows, sentence):
    write(tmp_path, rows)
    with pytest.raises(UserError, match=sentence):
        costs(tmp_path, tmp_path, tool="lm_eval")


def test_a_file_without_text_is_left_out_beside_others(tmp_path, capsys):
    write(tmp_path, every())
    choices = line(0, resps=[[[-1.2, False]]], metrics=["acc", "acc_norm"])
    write(tmp_path, [choices], task="arc")
    (tmp_path / "results_2026-01-01T00-00-00.000000.json").write_text('{"model_name": "m"}')
    assert len(costs(tmp_path, tmp_path, tool="lm_eval")) == 3
    assert "left out" in (told := capsys.readouterr().out) and "samples_arc_" in told
