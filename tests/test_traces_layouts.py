"""Rows as published sets have them, oddities included: kept whole, or dropped under a reason."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import Dataset

from handan.errors import UserError
from handan.files import read_json, read_jsonl
from handan.launch import SINGLE
from handan.tasks.mathematics import Pool
from handan.traces import published
from handan.traces import trace_settings as known
from handan.traces.published import import_traces
from handan.traces.rows import Parts, read_row

Q = "A farmer has 17 sheep and buys 25 more. How many sheep does the farmer have?"
Q2 = "Which positive integer has the square 196?"
T, A = "Seventeen and twenty-five make 42.", "There are $\\boxed{42}$ sheep."
OTHER = "Count on from 25: after 17 steps we stand at 42."
T2, A2 = "Fourteen times fourteen is 196.", "It is $\\boxed{14}$."
BASE = dict(
    source="published", arm="t", subset=None, revision=None, split="train", where={},
    open="<think>", close="</think>", reasoning=None, strip=[], reference=None, limit=None,
    shuffle_buffer=0, seed=1, keep="all", ngram=8, prompt_similarity=0.8, trace_similarity=0.8,
)  # fmt: skip


def full(thought, answer):
    return f"<think>\n{thought}\n</think>\n\n{answer}"


def turns(question, response, **more):
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": response, **more},
    ]


def row(response, **more):
    return {"messages": turns(Q, response)} | more


WHOLE = full(T, A)
CHAT = dict(question="messages[role=user].content", response="messages[role=assistant].content")
PLAIN = dict(question="question", response="response")
APART = dict(open=None, close=None)
CORRECT = dict(keep="correct", reference="answer")


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    monkeypatch.setattr(published, "Pool", partial(Pool, size=1))


def imported(folder, rows, changes):
    """The traces and the account of them, of rows written as JSON lines and read by a YAML."""
    (folder / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read(folder, changes | {"dataset": str(folder / "set.jsonl")})


def read(folder, changes):
    content = BASE | {"output_dir": str(folder / "run")} | changes
    (folder / "set.yaml").write_text(yaml.safe_dump(content))
    import_traces(known.load(folder / "set.yaml"), SINGLE)
    run = Path(content["output_dir"])
    return read_jsonl(run / "traces.jsonl"), read_json(run / "run.json")["traces"]


# Rows, changes to the YAML, and what each kept trace says: reasoning and answer.
KEPT = {
    "think and answer in an object of the message": (
        [{"messages": [
            {"role": "user", "content": Q, "info": None},
            {"role": "assistant", "content": WHOLE, "info": {"think": T, "answer": A}},
        ]}],
        CHAT | APART | dict(response="messages[role=assistant].info.answer",
                            reasoning="messages[role=assistant].info.think"),
        [(T, A)],
    ),
    "an answer in tags": (
        [row(f"<think>{T}</think>\n<answer>{A}</answer>")],
        CHAT | dict(strip=["<answer>", "</answer>"]),
        [(T, A)],
    ),
    "the span opened by the prompt": ([row(f"{T}\n</think>\n{A}")], CHAT, [(T, A)]),
    "other tags": (
        [{"conversations": [{"from": "user", "value": Q}, {"from": "assistant", "value":
            f"<|begin_of_thought|>\n{T}\n<|end_of_thought|>\n<|begin_of_solution|>{A}"}]}],
        dict(question="conversations[from=user].value",
             response="conversations[from=assistant].value", open="<|begin_of_thought|>",
             close="<|end_of_thought|>", strip=["<|begin_of_solution|>"]),
        [(T, A)],
    ),
    "reasoning_content": (
        [{"messages": turns(Q, A, reasoning_content=T)}],
        CHAT | APART | dict(reasoning="messages[role=assistant].reasoning_content"),
        [(T, A)],
    ),
    "lists of one": (
        [{"question": Q, "thinking_trajectories": [T], "attempt": A}],
        dict(APART, question="question", response="attempt", reasoning="thinking_trajectories"),
        [(T, A)],
    ),
    "messages as JSON text": ([{"messages": json.dumps(turns(Q, WHOLE))}], CHAT, [(T, A)]),
    "content in parts": (
        [{"messages": turns([{"type": "text", "text": Q}],
                            [{"type": "text", "text": f"<think>\n{T}"},
                             {"type": "text", "text": f"\n</think>\n\n{A}"}])}],
        CHAT,
        [(T, A)],
    ),
    "thinking as a part of the content": (
        [{"messages": turns([{"type": "text", "text": Q}],
                            [{"type": "thinking", "thinking": T}, {"type": "text", "text": A}])}],
        CHAT | APART | dict(response="messages[role=assistant].content[type=text].text",
                            reasoning="messages[role=assistant].content[type=thinking].thinking"),
        [(T, A)],
    ),
    "an object of lists": (
        [{"messages": {"role": ["user", "assistant"], "content": [Q, WHOLE]}}], CHAT, [(T, A)],
    ),
    "entries by their place": (
        [{"data": [Q, WHOLE]}], dict(question="data[0]", response="data[-1]"), [(T, A)],
    ),
    "a response of a server": (
        [{"question": Q, "choices": [{"message": {"content": WHOLE}}]}],
        dict(question="question", response="choices[0].message.content"),
        [(T, A)],
    ),
    "a column with a dot in its name": (
        [{"prompt.text": Q, "a [b]": WHOLE}],
        dict(question="prompt.text", response="a [b]"),
        [(T, A)],
    ),
    "an answer that is a number": (
        [{"question": Q, "thought": T, "answer": 42.0}],
        dict(APART, question="question", response="answer", reasoning="thought"),
        [(T, "42")],
    ),
    "a list that is one answer": (
        [{"question": Q, "thought": T, "answer": "[17, 25]"}],
        dict(APART, question="question", response="answer", reasoning="thought"),
        [(T, "[17, 25]")],
    ),
    "generations": (
        [{"question": Q, "response": [WHOLE, full(OTHER, A)]}, {"question": Q2, "response": []},
         {"question": Q2, "response": [full(T2, A2)]}],
        PLAIN,
        [(T, A), (OTHER, A), (T2, A2)],
    ),
    "generations as JSON text": (
        [{"question": Q, "response": json.dumps([WHOLE, full(OTHER, A)])}],
        PLAIN,
        [(T, A), (OTHER, A)],
    ),
    "generations that are objects": (
        [{"question": Q, "runs": [{"text": WHOLE}, {"text": full(OTHER, A)}, {"error": "x"}]}],
        dict(question="question", response="runs.text"),
        [(T, A), (OTHER, A)],
    ),
    "generations with their reasoning apart": (
        [{"question": Q, "thoughts": [T, OTHER], "answers": [A, "It is 42."]}],
        dict(APART, question="question", response="answers", reasoning="thoughts"),
        [(T, A), (OTHER, "It is 42.")],
    ),
    "a language without spaces": (
        [{"messages": turns(f"小明有{n}只羊、又买了25只。现在一共有多少只。",
                            full(f"{n}加25。", f"\\boxed{{{n + 25}}}"))} for n in (17, 30)],
        CHAT,
        [("17加25。", "\\boxed{42}"), ("30加25。", "\\boxed{55}")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_is_there_is_kept_whole(tmp_path, name):
    rows, changes, expected = KEPT[name]
    traces, made = imported(tmp_path, rows, changes)
    assert [(trace["reasoning_text"], trace["answer_text"]) for trace in traces] == expected
    keys = [(trace["item"], trace["sample"]) for trace in traces]
    assert len(set(keys)) == len(keys)
    assert made["counts"]["responses"] == len(traces) + sum(made["counts"]["dropped"].values())


@pytest.mark.parametrize("name", KEPT)
def test_parquet_reads_as_json_lines_do(tmp_path, name):
    rows, changes, expected = KEPT[name]
    Dataset.from_list(rows).to_parquet(tmp_path / "set.parquet")
    traces, _ = read(tmp_path, changes | {"dataset": str(tmp_path / "set.parquet")})
    assert [(trace["reasoning_text"], trace["answer_text"]) for trace in traces] == expected


def test_arrays_are_lists():
    arrays = {
        "messages": np.array(turns(Q, np.array([WHOLE], dtype=object)), dtype=object),
        "answer": np.array([42.0]),
    }
    settings = BASE | CHAT | {"output_dir": "x", "dataset": "x", "reference": "answer"}
    (parts,) = read_row(arrays, known.PublishedSettings(**settings))
    assert isinstance(parts, Parts) and (parts.reasoning, parts.reference) == (T, "42")


# One row that is no trace, and the reason under which it is counted.
DROPPED = {
    "null for the messages": ({"messages": None}, CHAT, "no_question"),
    "no messages at all": ({"other": 1}, CHAT, "no_question"),
    "an empty list": ({"messages": []}, CHAT, "no_question"),
    "nobody asks": ({"messages": turns(Q, WHOLE)[1:]}, CHAT, "no_question"),
    "nobody answers": ({"messages": turns(Q, WHOLE)[:1]}, CHAT, "no_response"),
    "a response of null": (row(None), CHAT, "no_response"),
    "a response of white space": (row(" \n"), CHAT, "no_response"),
    "text for the messages": ({"messages": f"user: {Q}"}, CHAT, "mistyped_question"),
    "half of a JSON text": (
        {"messages": json.dumps(turns(Q, WHOLE))[:-9]}, CHAT, "mistyped_question"
    ),
    "a number for the messages": ({"messages": 3}, CHAT, "mistyped_question"),
    "one message, not a list": ({"messages": turns(Q, WHOLE)[0]}, CHAT, "mistyped_question"),
    "a number for the question": ({"messages": turns(7, WHOLE)}, CHAT, "mistyped_question"),
    "a boolean for the response": (row(True), CHAT, "mistyped_response"),
    "an object for the response": (row({"text": WHOLE}), CHAT, "mistyped_response"),
    "a message without its role": (
        {"messages": [{"from": "human", "content": Q}, *turns(Q, WHOLE)]},
        CHAT, "entry_without_role",
    ),
    "a message whose role is null": (
        {"messages": [{"role": None, "content": Q}, *turns(Q, WHOLE)]}, CHAT, "entry_without_role"
    ),
    "null among the messages": ({"messages": [None, *turns(Q, WHOLE)]}, CHAT, "entry_without_role"),
    "text among the messages": ({"messages": ["x", *turns(Q, WHOLE)]}, CHAT, "entry_without_role"),
    "two questions": (
        {"messages": [*turns(Q, WHOLE), *turns(Q2, full(T2, A2))]}, CHAT, "several_turns"
    ),
    "an image in the question": (
        {"messages": turns([{"type": "text", "text": Q}, {"type": "image_url", "image_url": {}}],
                           WHOLE)},
        CHAT, "other_content",
    ),
    "thinking in the response's parts": (
        row([{"type": "thinking", "thinking": T}, {"type": "text", "text": A}]),
        CHAT, "other_content",
    ),
    "a tool before the answer": (
        {"messages": [turns(Q, "")[0], {"role": "observation", "content": "42"},
                      turns(Q, WHOLE)[1]]},
        CHAT, "not_adjacent",
    ),
    "the answer before the question": (
        {"messages": turns(Q, WHOLE)[::-1]}, CHAT, "not_adjacent"
    ),
    "turns between the first and the last": (
        {"messages": [*turns(Q, WHOLE), *turns(Q2, full(T2, A2))]},
        dict(question="messages[0].content", response="messages[-1].content"), "not_adjacent",
    ),
    "no tags": (row(A), CHAT, "no_reasoning_span"),
    "no closing tag": (row(f"<think>{T} {A}"), CHAT, "unclosed_reasoning"),
    "an empty span": (row(f"<think>\n\n</think>\n\n{A}"), CHAT, "empty_reasoning"),
    "two spans": (
        row(f"<think>{T}</think> First 41. <think>No, 42.</think> {A}"), CHAT, "several_spans"
    ),
    "two spans, the first opened by the prompt": (
        row(f"{T}</think> First 41. <think>No, 42.</think> {A}"), CHAT, "several_spans"
    ),
    "a quoted closing tag": (
        row(f"<think>The tag </think> ends it. {T}</think>\n{A}"), CHAT, "several_closing_tags"
    ),
    "a quoted opening tag": (
        row(f"<think>The tag <think> opens it. {T}</think>\n{A}"), CHAT, "stray_markup"
    ),
    "an opening tag in the answer": (
        row(f"<think>{T}</think>\n{A} <think> was where I began."), CHAT, "stray_markup"
    ),
    "a quoted tag of the set's own": (
        {"question": Q, "response": f"[[{T} ]] closes. ]] {A}"},
        dict(PLAIN, open="[[", close="]]"), "several_closing_tags",
    ),
    "text before the span": (row(f"Gladly! {WHOLE}"), CHAT, "text_before_reasoning"),
    "nothing after the span": (row(f"<think>{T}</think>"), CHAT, "no_answer"),
    "a special token": (row(f"{WHOLE}<|im_end|>"), CHAT, "stray_markup"),
    "no reasoning_content": (
        row(A), CHAT | APART | dict(reasoning="messages[role=assistant].reasoning_content"),
        "no_reasoning_span",
    ),
    "a reasoning_content of null": (
        {"messages": turns(Q, A, reasoning_content=None)},
        CHAT | APART | dict(reasoning="messages[role=assistant].reasoning_content"),
        "no_reasoning_span",
    ),
    "a reasoning that is an object": (
        {"messages": turns(Q, A, reasoning={"text": T})},
        CHAT | APART | dict(reasoning="messages[role=assistant].reasoning"),
        "mistyped_reasoning_span",
    ),
    "one reasoning, two answers": (
        {"question": Q, "response": [A, A2], "thought": T},
        dict(PLAIN, **APART, reasoning="thought"), "uneven_lists",
    ),
    "more answers than reasonings": (
        {"question": Q, "response": [A, A2, A], "thought": [T, T2]},
        dict(PLAIN, **APART, reasoning="thought"), "uneven_lists",
    ),
    "half of a character": (row(WHOLE + "\ud83d"), CHAT, "broken_characters"),
    "another domain": (row(WHOLE, domain="code"), dict(CHAT, where={"domain": "math"}),
                       "other_rows"),
    "no domain": (row(WHOLE), dict(CHAT, where={"domain": "math"}), "other_rows"),
    "an object for a domain": (row(WHOLE, domain={"name": "math"}),
                               dict(CHAT, where={"domain": "math"}), "mistyped_where"),
    "no answer to compare with": (row(WHOLE, answer=None), CHAT | CORRECT, "no_reference"),
    "an answer of NaN": (row(WHOLE, answer=float("nan")), CHAT | CORRECT, "no_reference"),
    "an answer in prose": (row(WHOLE, answer="It is known that " * 20), CHAT | CORRECT,
                           "no_reference"),
    "an answer that is an object": (row(WHOLE, answer={"value": 42}), CHAT | CORRECT,
                                    "mistyped_reference"),
    "two answers to choose from": (row(WHOLE, answer=["42", "41"]), CHAT | CORRECT,
                                   "uneven_lists"),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPPED)
def test_what_is_no_trace_goes_under_its_own_reason(tmp_path, name):
    odd, changes, reason = DROPPED[name]
    whole = f"{changes.get('open', '<think>')}{T2}{changes.get('close', '</think>')}{A2}"
    good = {"question": Q2, "response": whole, "messages": turns(Q2, whole)}
    good |= {"domain": "math", "answer": "14"}
    if "reasoning" in changes:
        thought = changes["reasoning"].rpartition(".")[2]
        good = {
            "question": Q2,
            "response": A2,
            thought: T2,
            "messages": turns(Q2, A2, **{thought: T2}),
        }
    traces, made = imported(tmp_path, [odd, good], changes)
    assert [trace["question"] for trace in traces] == [Q2]
    number = len(odd["response"]) if isinstance(odd.get("response"), list) else 1
    assert made["counts"]["dropped"] == {reason: number}
    assert set(made["examples_dropped"]) == {reason}


REFERENCES = [
    (42, "42"),
    (42.0, "42"),
    ("42", "42"),
    (True, "True"),
    (0.25, "0.25"),
    (1e-7, "0.0000001"),
    (["42"], "42"),
    ('["42"]', "42"),
    ("[1, 2]", "[1, 2]"),
    ("He has 17 + 25 = <<17+25=42>>42.\n#### 42", "42"),
    (f"{'So it goes on and on. ' * 9}\n#### 1,042\n", "1,042"),
    (f"{'#### A heading and more words. ' * 9}\nSo it is $\\boxed{{42}}$.", "42"),
]


@pytest.mark.parametrize(("value", "expected"), REFERENCES)
def test_a_reference_is_a_value_of_any_type(value, expected):
    settings = BASE | CHAT | {"output_dir": "x", "dataset": "x", "reference": "reward_model.truth"}
    odd = row(WHOLE, reward_model={"truth": value})
    (parts,) = read_row(odd, known.PublishedSettings(**settings))
    assert isinstance(parts, Parts) and parts.reference == expected
    (parts,) = read_row(odd | {"reward_model": json.dumps({"truth": value})},
                        known.PublishedSettings(**settings))  # fmt: skip
    assert isinstance(parts, Parts) and parts.reference == expected


def test_numbers_are_graded_as_answers(tmp_path):
    rows = [row(WHOLE, answer=42), row(full(OTHER, A), answer=42.0)]
    rows += [{"messages": turns(Q2, full(T2, A2)), "answer": 15}]
    traces, made = imported(tmp_path, rows, CHAT | CORRECT)
    assert [trace["correct"] for trace in traces] == [True, True]
    assert made["counts"]["dropped"] == {"wrong": 1}


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("so that we find, in the end, what was asked for: our answer is $\\boxed 42$.", A),
        ("first $\\boxed 41$, and that is wrong; so our answer is $\\boxed {42}$.", A),
        ("hence the choice that is right is $\\boxed{\\textbf{(C)}\\ 42}$.", "It is $\\boxed{C}$."),
        ("hence the choice that is right is $\\boxed{\\textbf{(C)}\\ 42}$.", A),
    ],
)
def test_the_box_of_a_worked_solution_is_the_reference(tmp_path, reference, answer):
    worked = f"{'Seventeen and twenty five are to be added here. ' * 4}{reference}"
    rows = [row(full(T, answer), answer=worked), row(full(OTHER, "$\\boxed{7}$"), answer=worked)]
    traces, made = imported(tmp_path, rows, CHAT | CORRECT)
    assert [trace["correct"] for trace in traces] == [True]
    assert made["counts"]["dropped"] == {"wrong": 1}


def test_without_a_usable_reference_a_trace_is_kept_if_all_are(tmp_path):
    rows = [row(WHOLE, answer={"value": 42}), row(full(OTHER, A), answer=42)]
    traces, made = imported(tmp_path, rows, CHAT | dict(reference="answer"))
    assert [trace["correct"] for trace in traces] == [None, True]
    assert made["counts"]["outcomes"] == {"mistyped_reference": 1, "correct": 1}


@pytest.mark.parametrize(
    ("written", "value", "kept"),
    [
        ("true", True, True),
        ("true", False, False),
        ("'True'", True, True),
        ("'true'", True, True),
        ("true", "True", True),
        ("on", "on", True),
        ("on", "off", False),
        ("no", "no", True),
        ("yes", 1, True),
        ("6", 6, True),
        ("6", 6.0, True),
        ("6", "6", True),
        ("'6'", 6, True),
        ("'6.0'", 6.0, True),
        ("6", 7, False),
        ("6", "x", False),
        ("0.5", 0.5, True),
        ("null", None, True),
        ("null", "x", False),
        ("math", "math", True),
        ("math", None, False),
        ("math", "Math", False),
    ],
)
def test_where_asks_for_values_of_any_type(tmp_path, written, value, kept):
    rows = [
        {"messages": turns(Q2, full(T2, A2)), "x": yaml.safe_load(written)},
        row(WHOLE, x=value),
    ]
    traces, _ = imported(tmp_path, rows, dict(CHAT, where={"x": yaml.safe_load(written)}))
    assert [trace["question"] for trace in traces] == [Q2] + [Q] * kept


def test_a_list_beside_the_generations_says_which_are_asked_for(tmp_path):
    rows = [
        {
            "question": Q,
            "response": [WHOLE, full(OTHER, A), f"<think>{T}"],
            "right": [True, False, True],
            "domain": "math",
            "answer": 42,
        }
    ]
    changes = dict(PLAIN, where={"domain": "math", "right": True}, **CORRECT)
    traces, made = imported(tmp_path, rows, changes)
    assert [trace["reasoning_text"] for trace in traces] == [T]
    assert made["counts"]["dropped"] == {"other_rows": 1, "unclosed_reasoning": 1}


def test_each_generation_may_have_its_reference(tmp_path):
    rows = [{"question": Q, "response": [WHOLE, full(OTHER, A)], "answer": ["41", "42"]}]
    traces, made = imported(tmp_path, rows, PLAIN | CORRECT)
    assert [trace["reasoning_text"] for trace in traces] == [OTHER]
    assert made["counts"]["dropped"] == {"wrong": 1}


def test_other_speakers_are_left_out_and_counted(tmp_path, capsys):
    around = [
        {"role": "system", "content": "s"},
        *turns(Q, WHOLE),
        {"role": "tool", "content": "x"},
    ]
    traces, made = imported(tmp_path, [{"messages": around}], CHAT)
    assert traces[0]["question"] == Q and traces[0]["reasoning_text"] == T
    assert made["messages_left_out"] == {"system": 1, "tool": 1}
    assert "left out 1 messages of 'system'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (
            [{"messages": "user: hello"}] * 3,
            CHAT,
            r"none of 3 responses can be kept \(3 mistyped_question\); mistyped_question: "
            r"'messages' holds 'user: hello', not a list",
        ),
        (
            [{"messages": [{"from": "human", "content": Q}]}],
            CHAT,
            "an entry of 'messages' is an object with the keys from, content",
        ),
        (
            [{"messages": [{"role": "human", "content": Q}]}],
            CHAT,
            "'messages' has as 'role' 'human', not 'user'",
        ),
        (
            [{"question": Q, "response": {"text": WHOLE}}],
            PLAIN,
            "'response' holds an object with the keys text, not text",
        ),
        (
            [{"question": Q, "response": [1.5, 2.5]}],
            PLAIN,
            r"\(2 mistyped_response\); mistyped_response: 'response' holds 1\.5, not text",
        ),
        (
            [row(WHOLE, x=7), row(WHOLE, x="a")],
            dict(CHAT, where={"x": True}),
            "other_rows: 'x' is 7, not True; other_rows: 'x' is 'a', not True",
        ),
        ([row(WHOLE, answer={"v": 1})], CHAT | CORRECT, "'answer' holds an object with the keys v"),
        (
            [{"question": Q, "response": WHOLE, "x": {"y": 1}}],
            dict(PLAIN, response="x.z"),
            "'x' is an object with the keys y, and has no 'z'",
        ),
        ([row(WHOLE)], dict(CHAT, response="messages[7].content"), "has 2 entries, none \\[7\\]"),
    ],
)
def test_if_nothing_is_kept_the_sentence_says_what_stood_there(tmp_path, rows, changes, message):
    with pytest.raises(UserError, match=message):
        imported(tmp_path, rows, changes)


def test_a_line_that_cannot_be_read_ends_no_stream(tmp_path):
    good = json.dumps(row(WHOLE))
    lines = [
        b"\xef\xbb\xbf" + good.encode(),
        good[:-5].encode(),
        b'{"messages": "\xff"}',
        b"[" * 10_000,
        b"9" * 5_000,
        b"[1, 2]",
        b"",
        json.dumps(row(full(OTHER, A))).encode(),
    ]
    (tmp_path / "set.jsonl").write_bytes(b"\r\n".join(lines))
    traces, made = read(tmp_path, CHAT | {"dataset": str(tmp_path / "set.jsonl")})
    assert [trace["reasoning_text"] for trace in traces] == [T, OTHER]
    assert made["counts"]["dropped"] == {"not_json": 4, "mistyped_row": 1}


def test_columns_may_change_their_types_and_come_late(tmp_path):
    rows = [{"question": 3, "response": None}, {"question": Q, "response": [WHOLE, 7]}]
    rows += [
        {"question": Q2, "response": full(T2, "On \\boxed{2024-01-01}."), "answer": "2024-01-01"}
    ]
    traces, made = imported(tmp_path, rows, PLAIN | dict(reference="answer"))
    assert [trace["answer"] for trace in traces] == ["", "2024-01-01"]
    assert made["counts"]["dropped"] == {"mistyped_question": 1, "mistyped_response": 1}


def test_a_column_that_no_row_has_stops_the_stream_soon(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(published, "REPORT_EVERY", 3)
    rows = [row(WHOLE), row(WHOLE, ok=True), *[row(WHOLE)] * 9]
    imported(tmp_path, rows, dict(CHAT, where={"ok": True}))
    with pytest.raises(UserError, match="there is no column 'good'; the set has: messages, ok"):
        imported(tmp_path, rows, dict(CHAT, where={"good": True}, output_dir=str(tmp_path / "b")))
    assert "9 rows read" not in capsys.readouterr().out.rpartition("traces.jsonl: kept")[2]


@pytest.mark.parametrize("lines", [False, True])
def test_json_is_one_list_or_lines(tmp_path, lines):
    rows = [row(WHOLE), row(full(OTHER, A))]
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1)
    (tmp_path / "set.json").write_text(text)
    traces, _ = read(tmp_path, CHAT | {"dataset": str(tmp_path / "set.json")})
    assert [trace["reasoning_text"] for trace in traces] == [T, OTHER]


def test_a_set_that_breaks_off_is_one_sentence(tmp_path):
    place = tmp_path / "set.parquet"
    Dataset.from_list([row(WHOLE)] * 50).to_parquet(place)
    place.write_bytes(place.read_bytes()[:-200])
    with pytest.raises(
        UserError, match=r"set\.parquet: (cannot be opened|breaks off after 0 rows)"
    ):
        read(tmp_path, CHAT | {"dataset": str(place)})


def test_a_shuffled_file_has_the_same_rows(tmp_path):
    rows = [
        row(full(f"{T} Then {n}, and so on to the end of all numbers up to {n}.", A))
        for n in range(9)
    ]
    changes = CHAT | dict(trace_similarity=None)
    straight, _ = imported(tmp_path, rows, changes)
    shuffled, _ = imported(
        tmp_path, rows, changes | dict(shuffle_buffer=4, output_dir=str(tmp_path / "shuffled"))
    )
    texts = [[trace["reasoning_text"] for trace in traces] for traces in (straight, shuffled)]
    assert texts[0] != texts[1] and sorted(texts[0]) == sorted(texts[1])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"x": ["a"]}, r"where\.x is \['a'\]; give text, a number"),
        ({7: "a"}, "where has the key 7; give a column, in quotes"),
    ],
)
def test_impossible_conditions_are_refused(where, message):
    settings = BASE | CHAT | {"output_dir": "x", "dataset": "x.jsonl", "where": where}
    with pytest.raises(UserError, match=message):
        known.check(known.PublishedSettings(**settings), "x.yaml")
