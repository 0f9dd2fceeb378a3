"""Responses as servers really send them: read alike by the engine and by ``handan costs``."""

import json
import random

import pytest
from embedded import load
from test_engines import always, ask, plan
from test_readers_errors import damaged
from tool_logs import RESPONSES, costs, lines, write_lines

from handan.errors import UserError
from handan.evaluation.grading import TaskItem, read_text
from handan.files import read_jsonl
from handan.generation import openai_engine
from handan.generation.chat import CUT, ENDED, FAILED, WITHHELD, class_of, ended
from handan.generation.formats import FORMATS
from handan.generation.vllm_engine import completion_of
from handan.tiny.evaluation_items import TASKS

THOUGHT, ANSWER = "1 + 1 = 0 , carry , " * 5, "0 0 0 0 1"  # 40 and 5 tokens
USAGE = {"prompt_tokens": 18, "completion_tokens": 47, "total_tokens": 65}


def body(message, finish="stop", usage=USAGE, **choice):
    message = {"role": "assistant", **message}
    choices = [{"index": 0, "message": message, "finish_reason": finish, **choice}]
    return {"id": "x", "model": "served", "choices": choices, "usage": usage}


def apart(usage=USAGE, finish="stop", **message):
    return body({"content": ANSWER, **message}, finish, usage)


def details(*blocks, usage=USAGE, **message):
    return apart(usage, reasoning_details=list(blocks), **message)


def used(reasoning, completion=47, total=None, prompt=18, **more):
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return counts | {"completion_tokens_details": {"reasoning_tokens": reasoning}, **more}


def chunks(*parts, **more):
    return body({"content": list(parts)}, **more)


TEXT, SUMMARY = ({"type": f"reasoning.{kind}"} for kind in ("text", "summary"))
ENCRYPTED = {"type": "reasoning.encrypted", "data": "xx"}
SAYS = {"type": "text", "text": ANSWER}
TAGGED = {"content": f"{THOUGHT} </think> {ANSWER}"}
SHOWN = (40, 5, "retokenized", "complete")

# Reasoning, answer, how they were counted, status.
READ = {
    # Where the reasoning stands.
    "reasoning": (apart(reasoning=THOUGHT), SHOWN),
    "reasoning_content": (apart(reasoning=None, reasoning_content=THOUGHT), SHOWN),
    "reasoning_text": (apart(reasoning_text=THOUGHT), SHOWN),
    "thinking (Ollama)": (apart(thinking=THOUGHT), SHOWN),
    "both names": (apart(reasoning=THOUGHT, reasoning_content=THOUGHT), SHOWN),
    "an object": (apart(reasoning={"content": THOUGHT, "effort": "high"}), SHOWN),
    "a list": (apart(reasoning=[{"type": "text", "text": THOUGHT}]), SHOWN),
    "details": (details(TEXT | {"text": THOUGHT}, reasoning=None), SHOWN),
    "details in pieces": (
        details(TEXT | {"text": THOUGHT[:20]}, TEXT | {"text": THOUGHT[20:], "signature": "s"}),
        SHOWN,
    ),
    "blocks": (apart(thinking_blocks=[{"type": "thinking", "thinking": THOUGHT}]), SHOWN),
    "chunks (Mistral)": (
        chunks({"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, SAYS),
        SHOWN,
    ),
    "chunks (Anthropic)": (chunks({"type": "thinking", "thinking": THOUGHT}, SAYS), SHOWN),
    "text parts": (
        chunks({"type": "text", "text": f"{THOUGHT} </think>"}, SAYS, {"type": "tool_use"}),
        SHOWN,
    ),
    "tags": (body(TAGGED), SHOWN),
    # How it is counted.
    "beside the completion": (apart(used(40, 6, 66, prompt=20)), (40, 6, "usage", "complete")),
    "beside a completion of 0": (apart(used(60, 0, 81, prompt=21)), (60, 5, "usage", "complete")),
    "in the completion": (apart(used(40, 47, 65)), (40, 7, "usage", "complete")),
    "all of it": (apart(used(47)), (47, 5, "usage", "complete")),
    "without a total": (apart(used(40)), (40, 7, "usage", "complete")),
    "at the top": (
        apart(USAGE | {"reasoning_tokens": 40}, reasoning=THOUGHT),
        (40, 7, "usage", "complete"),
    ),
    "under other names": (
        apart(
            {"input_tokens": 18, "output_tokens": 47}
            | {"output_tokens_details": {"reasoning_tokens": 40}}
        ),
        (40, 7, "usage", "complete"),
    ),
    "encrypted and counted": (
        details(ENCRYPTED, usage=used(40)),
        (40, 7, "usage", "complete"),
    ),
    "a summary and counted": (
        details(SUMMARY | {"summary": "short"}, usage=used(40), reasoning="short"),
        (40, 7, "usage", "complete"),
    ),
    "no usage": (apart(None, reasoning=THOUGHT), SHOWN),
    "no details": (apart(USAGE | {"completion_tokens_details": None}, reasoning=THOUGHT), SHOWN),
    "zeros": (apart({"prompt_tokens": 0, "completion_tokens": 0}, reasoning=THOUGHT), SHOWN),
    "a count of 0": (apart(used(0), reasoning=THOUGHT), SHOWN),
    "a count of -1": (apart(used(-1), reasoning=THOUGHT), SHOWN),
    "counts as text": (
        apart({"prompt_tokens": "18", "completion_tokens": "47"}, reasoning=THOUGHT),
        SHOWN,
    ),
    "counts as decimals": (
        apart(used(40.0, 47.0, prompt=18.0), reasoning=THOUGHT),
        (40, 7, "usage", "complete"),
    ),
    # Why it ended.
    "eos_token (TGI)": (body(TAGGED, "eos_token"), SHOWN),
    "capitals": (body(TAGGED, "STOP"), SHOWN),
    "null": (body(TAGGED, None), SHOWN),
    "unknown": (body(TAGGED, "because"), SHOWN),
    "null in the span": (
        body({"content": "", "reasoning": THOUGHT}, None),
        (40, 0, "retokenized", "truncated"),
    ),
    "length": (
        body({"content": None, "reasoning": THOUGHT}, "length", USAGE | {"completion_tokens": 40}),
        (40, 0, "retokenized", "truncated"),
    ),
    "MAX_TOKENS": (body(TAGGED, "MAX_TOKENS"), (40, 5, "retokenized", "truncated")),
    "all in the reasoning": (
        body({"content": None, "reasoning": f"{THOUGHT} {ANSWER}"}),
        (45, 0, "retokenized", "unparsed"),
    ),
}

# Why a response cannot be used, and whether it is worth asking again.
EMPTY = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
DIED = {"code": 502, "message": "Upstream died"}
HIDDEN, MISSING = "reasoning is hidden", "text is missing"
UNUSABLE = {
    "error": (body({"content": ""}, "error", EMPTY, error=DIED), "Upstream died", True),
    "error midway": (apart(finish="error", reasoning="1 +"), "finish reason 'error'", True),
    "an error and 'stop'": (body(TAGGED, error=DIED), "Upstream died", True),
    "network_error": (apart(finish="network_error"), "finish reason 'network_error'", True),
    "no resources": (apart(finish="insufficient_system_resource"), "insufficient", True),
    "abort": (apart(finish="abort", reasoning=THOUGHT), "finish reason 'abort'", True),
    "empty": (body({"content": None}, usage=None), "an empty response", True),
    "empty and zeros": (body({"content": "", "reasoning": ""}, usage=EMPTY), "an empty", True),
    "empty parts": (chunks(usage=EMPTY), "an empty response", True),
    "no choices": (body({}) | {"choices": []}, "no(ne| choice)", True),
    "no message": (body({}) | {"choices": [{"message": None}]}, "no message", True),
    "an error alone": ({"error": DIED, "user_id": "u"}, "Upstream died", True),
    "a detail alone": ({"detail": "Upstream died"}, "Upstream died", True),
    "content_filter": (body({"content": ""}, "content_filter"), "withheld by a filter", False),
    "filtered without a message": (
        body({}) | {"choices": [{"message": None, "finish_reason": "content_filter"}]},
        "withheld by a filter",
        False,
    ),
    "SAFETY": (body(TAGGED, "SAFETY"), "withheld by a filter", False),
    "a refusal": (body({"content": None, "refusal": "I can't."}), "withheld", False),
    "a refusal in a part": (chunks({"type": "refusal", "refusal": "no"}), "withheld", False),
    "a summary": (
        details(SUMMARY | {"summary": "short"}, reasoning="short"),
        HIDDEN,
        False,
    ),
    "a summary that is as long": (
        details(SUMMARY | {"summary": THOUGHT}, reasoning=THOUGHT),
        HIDDEN,
        False,
    ),
    "encrypted": (details(ENCRYPTED), HIDDEN, False),
    "redacted": (
        apart(thinking_blocks=[{"type": "redacted_thinking", "data": "x"}]),
        HIDDEN,
        False,
    ),
    "a signature alone": (
        apart(thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "s"}]),
        HIDDEN,
        False,
    ),
    "a summary in an object": (apart(reasoning={"summary": "short"}), HIDDEN, False),
    "nothing shown": (apart(), MISSING, False),
    "nothing shown, counted as 0": (apart(used(0)), MISSING, False),
    "half shown": (apart(reasoning=THOUGHT[: len(THOUGHT) // 2]), MISSING, False),
    "too much shown": (apart(USAGE | {"completion_tokens": 20}, reasoning=THOUGHT), MISSING, False),
    "no text": (body({"content": None}), MISSING, False),
    "more reasoning than completion": (apart(used(48, total=65)), "48 reasoning tokens", False),
    "a negative count": (apart(used(-2)), "reasoning_tokens is negative", False),
    "half a token": (apart(used(2.5)), "reasoning_tokens is a decimal", False),
    "a count of true": (apart(used(True)), "reasoning_tokens is true", False),
    "a word for a count": (apart(used("many")), "reasoning_tokens is text", False),
    "a huge count": (apart(used("9" * 400)), "reasoning_tokens is", False),
    "a list for usage": (apart([1]), "usage is a list", False),
    "a number for content": (body({"content": 3}), "content is a number", False),
    "a number for reasoning": (apart(reasoning=3), "reasoning is a number", False),
    "an object without text": (apart(reasoning={"effort": "high"}), "without text", False),
    "an image": (chunks(SAYS, {"type": "image_url"}), "type 'image_url'", False),
    "a list for a reason": (body(TAGGED, ["stop"]), "finish_reason is a list", False),
    "a list for a message": (
        body({}) | {"choices": [{"message": [1]}]},
        "message is a list",
        False,
    ),
    "no chat completion": ({"object": "list"}, "no 'choices' in the response", False),
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(openai_engine, "FIRST_PAUSE_S", 0.0)


def logged(tmp_path, *bodies):
    """What ``handan costs`` makes of bodies, for items of the packaged logs."""
    names = [line for line in lines(RESPONSES) if line["sample"] == 0]
    rows = [
        {"task": name["task"], "item": name["item"], "response": found}
        for name, found in zip(names, bodies, strict=False)
    ]
    return costs(tmp_path, write_lines(tmp_path / "responses.jsonl", rows), tool="openai")


@pytest.mark.parametrize("name", READ)
def test_a_response_is_read_alike_everywhere(tmp_path, name):
    found, (reasoning, answer, counted_by, status) = READ[name]
    (row,), _ = ask(tmp_path, always(found), plan(1))
    told = [row[key] for key in ("reasoning_tokens", "answer_tokens", "counted_by", "status")]
    assert told == [reasoning, answer, counted_by, status]
    assert all(type(row[key]) is int for key in row if key.endswith("_tokens"))
    (row,) = logged(tmp_path, found).values()
    told = [row[key] for key in ("reasoning_tokens", "answer_tokens", "counted_by", "status")]
    assert told == [str(reasoning), str(answer), counted_by, status]


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_response_that_is_none_is_never_stored(tmp_path, name):
    found, why, _ = UNUSABLE[name]
    good = READ["reasoning"][0]

    def answer(request, number):
        return 200, found if number > 2 else good

    with pytest.raises(UserError, match=f"sample 0: .*{why}.*run again to go on"):
        ask(tmp_path, answer, plan(4), concurrency=1, max_retries=2)
    assert len(read_jsonl(tmp_path / "rows.jsonl")) == 2
    _, asked = ask(tmp_path, always(good), plan(4), max_retries=2)
    assert len(asked) == 2


@pytest.mark.parametrize("name", UNUSABLE)
def test_failed_requests_alone_are_repeated(tmp_path, name):
    found, why, again = UNUSABLE[name]
    seen = []

    def answer(request, number):
        seen.append(number)
        return 200, found if number < 3 else READ["reasoning"][0]

    if again:
        rows, _ = ask(tmp_path, answer, plan(1), max_retries=2)
        assert len(rows) == 1 and rows[0]["reasoning_tokens"] == 40
    else:
        with pytest.raises(UserError, match=why):
            ask(tmp_path, answer, plan(1), max_retries=2)
    assert len(seen) == (3 if again else 1)


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_log_is_read_without_the_responses_that_are_none(tmp_path, capsys, name):
    found, why, _ = UNUSABLE[name]
    rows = logged(tmp_path, READ["reasoning"][0], found, READ["beside the completion"][0])
    assert [row["reasoning_tokens"] for row in rows.values()] == ["40", "40"]
    told = [line for line in capsys.readouterr().out.splitlines() if "left out 1 of 3" in line]
    assert len(told) == 1 and lines(RESPONSES)[2]["item"] in told[0]
    with pytest.raises(UserError, match=f"{why}|no response of served holds reasoning"):
        logged(tmp_path, found)


@pytest.mark.parametrize("content", [b"", b" \n ", b'{"choices": [{"mess'])
def test_a_body_that_is_empty_or_breaks_off_is_asked_for_again(tmp_path, content):
    def answer(request, number):
        return 200, content if number < 3 else READ["reasoning"][0]

    rows, asked = ask(tmp_path, answer, plan(1), max_retries=2)
    assert len(rows) == 1 and len(asked) == 3
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(UserError, match="after 1 retries: the body of the response is empty or"):
        ask(tmp_path, always(content), plan(1), max_retries=1)


def test_an_unknown_end_is_told_once_and_counted(tmp_path, capsys):
    def answer(request, number):
        return 200, body(TAGGED, {0: "stop", 1: "because", 2: None}[number % 3])

    rows, _ = ask(tmp_path, answer, plan(12))
    assert {row["status"] for row in rows} == {"complete"}
    assert sorted({str(row["finish_reason"]) for row in rows}) == ["None", "because", "stop"]
    printed = capsys.readouterr().out
    assert printed.count("finish reason") == 1 and "the context" not in printed
    assert "8 of 12 responses of the server have no finish reason that is known" in printed
    logged(tmp_path, body(TAGGED, None), body(TAGGED, "because"), body(TAGGED))
    assert "2 of 3 responses have no finish reason that is known" in capsys.readouterr().out


def test_an_open_span_without_a_reason_is_not_blamed_on_the_context(tmp_path, capsys):
    ask(tmp_path, always(READ["null in the span"][0]), plan(2))
    assert "the context" not in capsys.readouterr().out


def test_text_that_is_missing_now_and_then_is_found(tmp_path):
    """The median of a run would not show it."""

    def answer(request, number):
        return 200, apart() if number % 6 == 0 else apart(reasoning=THOUGHT)

    with pytest.raises(UserError, match=r"text is missing.* \(and 1 more\); what was received"):
        ask(tmp_path, answer, plan(12))
    assert len(read_jsonl(tmp_path / "rows.jsonl")) == 10


def test_choices_of_one_response_stand_for_themselves(tmp_path, capsys):
    found = body(TAGGED)
    failed = {"message": {"content": ""}, "finish_reason": "error"}
    found["choices"] = [failed, *found["choices"]]
    rows = logged(tmp_path, found)
    assert [sample for *_, sample in rows] == ["1"]
    assert "left out 1 of 2 requests, the request failed" in capsys.readouterr().out


def test_a_key_in_the_error_of_a_response_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDAN_TEST_KEY", "planted-key")
    found = {"error": {"message": "wrong key planted-key"}}
    with pytest.raises(UserError, match="sends the key back") as told:
        ask(tmp_path, always(found), plan(1), api_key_env="HANDAN_TEST_KEY")
    assert "planted-key" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (ENDED, "stop STOP eos_token end_turn stop_sequence COMPLETE tool_calls FinishReason.STOP"),
        (CUT, "length max_tokens MAX_TOKENS model_length FINISH_REASON_MAX_TOKENS max-tokens"),
        (FAILED, "error ERROR network_error server_error abort timeout error_limit cancelled"),
        (WITHHELD, "content_filter refusal SAFETY RECITATION content-filter ERROR_TOXIC"),
        (None, "because unknown null"),
    ],
)
def test_finish_reasons_are_of_four_classes_or_unknown(name, words):
    assert {class_of(word) for word in words.split()} == {name}
    assert ended(words.split()[0]) is {ENDED: True, CUT: False}.get(name)


def test_no_finish_reason_says_nothing():
    assert class_of(None) is None and class_of("") is None and ended(None) is None


def test_what_vllm_gave_up_is_no_response():
    assert completion_of([1, 2], "stop").ended is True
    assert completion_of([1, 2], "length").ended is False
    for word in ("abort", "error"):
        assert isinstance(completion_of([1, 2], word), UserError)


def test_whatever_a_server_sends_is_stored_whole_or_refused():
    """What is stored is text and whole numbers, which every later command can read."""
    _, tokenizer = load()
    task = TASKS["binary_addition"]
    question = TaskItem(task.items()[0], task, "compact")
    generator, stored = random.Random("servers"), 0
    bodies = [found for found, _ in READ.values()] + [found for found, *_ in UNUSABLE.values()]
    ids = tokenizer("1 + 1 = 0 , </think> 0 1 <eos>")["input_ids"]
    bodies += [body(TAGGED, token_ids=ids) | {"prompt_token_ids": ids}]
    for _ in range(3000):
        found = json.loads(json.dumps(damaged(generator.choice(bodies), generator)))
        try:
            completion = openai_engine.completion_of(found)
            row = read_text(tokenizer, question, FORMATS["tiny"], (1, 2), completion)
        except UserError as error:
            assert str(error).isprintable() or "\n" not in str(error)
            continue
        stored += 1
        json.dumps([row, completion.server], ensure_ascii=False, allow_nan=False).encode()
        for name in ("prompt", "reasoning", "answer", "generated"):
            assert type(row[f"{name}_tokens"]) is int and row[f"{name}_tokens"] >= 0
        assert completion.ids is None or tokenizer.decode(completion.ids) is not None
    assert stored > 300
