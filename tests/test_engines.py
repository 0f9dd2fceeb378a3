"""Engines: their settings, what is sent to a server, and every way a server may answer."""

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest
from embedded import ROOT, WEIGHTS, engine, load
from families import FAMILIES, make_tokenizer

from handan.errors import UserError
from handan.evaluation.grading import TaskItem
from handan.evaluation.responses import SamplingPlan, collect
from handan.files import read_jsonl
from handan.generation.engines import load_engine, open_engine
from handan.generation.formats import FORMATS
from handan.generation.prompting import Decoding
from handan.generation.vllm_engine import context_of, sampling, visible_devices
from handan.launch import SINGLE
from handan.tiny.evaluation_items import TASKS

GREEDY = Decoding(0.0, 1.0, 64)
COUNTED = {"completion_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 27}}
LABELS = {"model": "m", "settings": "s", "seed": 0, "reasoning_format": "tiny"}
SETTINGS = ROOT / "eval" / "engines"


def plan(number=4, samples=1, decoding=GREEDY):
    task = TASKS["binary_addition"]
    questions = [TaskItem(item, task, "compact") for item in task.items()[:number]]
    return SamplingPlan(questions, dict.fromkeys(range(samples), decoding), batch_size=64, seed=1)


@contextmanager
def answering(answer):
    """A server whose response to a request is ``answer(request, number)``: a status and a body."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {key.lower(): value for key, value in self.headers.items()}
            asked.append((request, headers))
            status, body = answer(request, len(asked))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # all requests of a batch connect at once

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def said(content="0 1", reasoning=None, finish="stop", usage=None, **more):
    message = {"role": "assistant", "content": content, "reasoning": reasoning}
    choice = {"index": 0, "message": message, "finish_reason": finish, **more}
    return {"model": "served", "choices": [choice], "usage": usage or {"prompt_tokens": 9}}


def settings(tmp_path, url, **changes):
    lines = {"engine": "openai", "base_url": url, "max_retries": 0, **changes}
    path = tmp_path / "engine.yaml"
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items()))
    return load_engine(path)


def ask(tmp_path, answer, asking=None, form="auto", **changes):
    """Rows and requests of a plan put to a server."""
    with answering(answer) as (url, asked):
        opened = open_engine(settings(tmp_path, url, **changes), str(WEIGHTS / "base"), None, form)
        collect(opened, asking or plan(), tmp_path / "rows.jsonl", LABELS, SINGLE)
    return read_jsonl(tmp_path / "rows.jsonl"), asked


def always(body, status=200):
    return lambda request, number: (status, body)


@pytest.mark.parametrize("path", sorted(SETTINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_engine_of_the_project_loads(path):
    assert path.stem.startswith(load_engine(path).engine)


def test_transformers_is_the_engine_without_a_file():
    opened = open_engine(load_engine(None), str(WEIGHTS / "base"))
    assert opened.form.name == "tiny"
    assert opened.identity["engine"] == "transformers"
    assert opened.fingerprint != engine().fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine: triton\n", "engine is 'triton'; use transformers, vllm, openai"),
        ("engine: transformers\nbase_url: x\n", "unknown key 'base_url'"),
        ("engine: openai\n", "key 'base_url' is missing"),
        ("engine: vllm\ntensor_parallel_size: two\n", "tensor_parallel_size: expected a whole"),
    ],
)
def test_bad_settings_are_named(tmp_path, text, message):
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_engine(tmp_path / "e.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cap_field": "cap"}, "cap_field is 'cap'"),
        ({"concurrency": 0}, "must be above 0"),
        ({"tokenizer": None}, "without a tokenizer there is no chat template"),
        ({"tokenizer": "./nowhere"}, "nowhere: cannot be loaded as a tokenizer"),
        ({"api_key_env": "HANDAN_NO_SUCH_KEY"}, "variable HANDAN_NO_SUCH_KEY is not set"),
    ],
)
def test_a_server_that_cannot_be_asked_is_refused_before_it_is(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        open_engine(settings(tmp_path, "http://x/v1", **changes), str(WEIGHTS / "base"))


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_that_is_not_installed_is_told_in_one_sentence():
    with pytest.raises(UserError, match=r"engine vllm needs a package: pip install 'handan\[vllm"):
        open_engine(load_engine(SETTINGS / "vllm.yaml"), str(WEIGHTS / "base"))


def test_vllm_samples_with_nothing_but_what_the_suite_says():
    found = sampling(Decoding(0.6, 0.95, 100), 7, [2, 5])
    assert found["temperature"] == 0.6 and found["top_p"] == 0.95 and found["max_tokens"] == 100
    assert found["seed"] == 7 and found["stop_token_ids"] == [2, 5]
    assert found["repetition_penalty"] == 1 and found["top_k"] == 0 and found["min_tokens"] == 0
    assert not found["skip_special_tokens"]


def test_a_context_is_no_longer_than_the_model_was_made_for():
    made_for = load()[0].config
    assert context_of(made_for, 512) == 512
    assert context_of(made_for, 18_432) == 1024
    assert context_of(made_for, None) is None


def test_each_process_has_gpus_of_its_own():
    assert visible_devices(None, 8, 3, 1) == "3"
    assert visible_devices("4,5,6,7", 4, 1, 2) == "6,7"
    with pytest.raises(UserError, match="process 2 of this machine needs 2 GPUs of its own and 4"):
        visible_devices(None, 4, 2, 2)


def test_what_is_sent_to_a_server(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDAN_TEST_KEY", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "another server's")
    rows, asked = ask(
        tmp_path,
        always(said(reasoning="1 +")),
        plan(2, 2, Decoding(0.6, 0.9, 50)),
        model="named",
        api_key_env="HANDAN_TEST_KEY",
        extra_body={"return_token_ids": True},
    )
    request, headers = asked[0]
    assert request["model"] == "named" and request["messages"][0]["role"] == "user"
    assert (request["temperature"], request["top_p"], request["max_tokens"]) == (0.6, 0.9, 50)
    assert request["return_token_ids"] is True and "chat_template_kwargs" not in request
    assert headers["authorization"] == "Bearer secret"
    assert len({request["seed"] for request, _ in asked}) == len(rows) == 4
    assert "secret" not in (tmp_path / "rows.jsonl").read_text()


def test_a_server_without_a_key_is_not_sent_that_of_another(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "another server's")
    _, asked = ask(tmp_path, always(said(reasoning="1 +")))
    assert all(headers["authorization"] == "Bearer none" for _, headers in asked)


def words_of(name, tmp_path):
    """The tokenizer of a family, as the key of an engine."""
    make_tokenizer(FAMILIES[name]).save_pretrained(tmp_path / name)
    return {"tokenizer": str(tmp_path / name)}


def test_the_format_goes_along_as_template_arguments(tmp_path):
    _, asked = ask(
        tmp_path,
        always(said(usage={"prompt_tokens": 9, "completion_tokens": 3})),
        form="qwen3_no_thinking",
        **words_of("qwen3", tmp_path),
    )
    assert asked[0][0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_token_ids_of_a_server_are_counted_as_in_this_process(tmp_path):
    _, tokenizer = load()
    ids = tokenizer("1 + 1 = 0 , </think> 0 1 <eos>")["input_ids"]
    body = {**said(token_ids=ids), "prompt_token_ids": tokenizer("<bos> + 1 ; = <think>").input_ids}
    rows, _ = ask(tmp_path, always(body))
    row = rows[0]
    assert (row["reasoning_tokens"], row["answer_tokens"], row["prompt_tokens"]) == (6, 2, 6)
    assert row["counted_by"] == "token_ids" and row["completion_ids"] == ids
    assert row["generated_tokens"] == len(ids) and row["text"] == tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("body", "counted_by", "reasoning", "answer", "status"),
    [
        # Reasoning set apart, under both names, or in the text.
        (said("0 1", "1 + 1 ="), "retokenized", 4, 2, "complete"),
        (said("1 + 1 = </think> 0 1 <eos>"), "retokenized", 4, 2, "complete"),
        # A server that hides the text but counts it.
        (
            said(usage=COUNTED),
            *("usage", 27, 3, "complete"),
        ),
        # Cut inside the span; one server then shows the prompt as the answer.
        (said("", "1 + 1 =", "length"), "retokenized", 4, 0, "truncated"),
        (
            said("<bos> + 1 ; =", "1 + 1 =", "length", usage={"completion_tokens": 4}),
            *("retokenized", 4, 0, "truncated"),
        ),
        (said("1 + 1 ="), "retokenized", 4, 0, "unparsed"),
    ],
)
def test_how_a_response_without_token_ids_is_counted(
    tmp_path, body, counted_by, reasoning, answer, status
):
    rows, _ = ask(tmp_path, always({**body, "usage": {"prompt_tokens": 9, **body["usage"]}}))
    for row in rows:
        assert (row["counted_by"], row["reasoning_tokens"]) == (counted_by, reasoning)
        assert (row["answer_tokens"], row["status"]) == (answer, status)
        assert row["completion_ids"] is None and row["served_by"] == "served"


def test_reasoning_content_is_read_too(tmp_path):
    body = said()
    body["choices"][0]["message"] |= {"reasoning_content": "1 + 1 ="}
    rows, _ = ask(tmp_path, always(body))
    assert rows[0]["reasoning_tokens"] == 4
    assert rows[0]["text"] == "1 + 1 =</think>0 1"


def test_without_a_tokenizer_the_server_must_count(tmp_path):
    rows, _ = ask(
        tmp_path,
        always(said(usage={"prompt_tokens": 9, **COUNTED})),
        form="deepseek_r1",
        tokenizer=None,
    )
    assert (rows[0]["prompt_tokens"], rows[0]["reasoning_tokens"]) == (9, 27)
    with pytest.raises(UserError, match="name the model's 'tokenizer' in the YAML"):
        (tmp_path / "rows.jsonl").unlink()
        ask(tmp_path, always(said("0 1", "so")), form="deepseek_r1", tokenizer=None)


def test_a_model_without_a_span_is_counted_by_the_server(tmp_path):
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    rows, _ = ask(tmp_path, always(said(usage=usage)), form="plain")
    assert (rows[0]["reasoning_tokens"], rows[0]["answer_tokens"]) == (0, 2)
    assert rows[0]["counted_by"] == "usage"


def test_a_failed_request_keeps_the_others_and_is_made_up_for(tmp_path):
    def failing(request, number):
        return (500, {"error": {"message": "out of\nmemory"}}) if number == 3 else good

    good = 200, said(reasoning="1 +")
    expected = r"binary_addition, .*, sample 0: http.* refuses: .*out of memory.*run again to go on"
    with pytest.raises(UserError, match=expected):
        ask(tmp_path, failing, plan(8), concurrency=1)
    assert len(read_jsonl(tmp_path / "rows.jsonl")) == 2
    rows, asked = ask(tmp_path, always(good[1]), plan(8))
    assert len(rows) == len({row["item"] for row in rows}) == 8
    assert len(asked) == 6  # only what was missing


def test_a_busy_server_is_asked_again(tmp_path):
    def busy(request, number):
        return (429, {"error": {"message": "busy"}}) if number < 3 else (200, said(reasoning="1"))

    rows, asked = ask(tmp_path, busy, plan(1), max_retries=3)
    assert len(rows) == 1 and len(asked) == 3


@pytest.mark.parametrize(
    ("answer", "changes", "message"),
    [
        (always(b"<html>"), {}, "answers with something that is not JSON"),
        (always({"choices": []}), {}, "not a chat completion with one choice"),
        (always(said("x" * 2**20)), {"max_response_mib": 1}, "the response is over 1 MiB"),
        (always({"error": {"message": "no"}}, 401), {}, "refuses: .*no"),
    ],
)
def test_an_answer_that_is_none_stops(tmp_path, answer, changes, message):
    with pytest.raises(UserError, match=message):
        ask(tmp_path, answer, **changes)


def test_a_server_that_is_not_there_is_named(tmp_path):
    with answering(always({})) as (url, _):
        pass
    opened = open_engine(settings(tmp_path, url), str(WEIGHTS / "base"))
    with pytest.raises(UserError, match=re.escape(url) + " does not answer, after 0 retries"):
        collect(opened, plan(), tmp_path / "rows.jsonl", LABELS, SINGLE)


def long_response(request, number):
    return 200, said("0 1", "1 + 1 = 0 , " * 4, usage={"completion_tokens": 30})


SAMPLED = Decoding(1.0, 1.0, 64)


@pytest.mark.parametrize(
    ("answer", "asking", "message"),
    [
        (always(said("0 1")), plan(8), "none of 8 responses of the server shows a reasoning span"),
        (long_response, plan(16, 2, SAMPLED), "all samples of an item are the same, for 16 items"),
        (
            always(said("0 1", "1 + 1 = " * 8, usage={"completion_tokens": 60})),
            plan(8),
            r"the tokenizer finds 0\.62 of the tokens that the server generated",
        ),
        (
            always(said("0 1", "1 +", usage={"completion_tokens": 99})),
            plan(),
            "generated 99 tokens and the cap is 64; set 'cap_field'",
        ),
    ],
)
def test_a_server_that_changes_lengths_silently_stops_the_run(tmp_path, answer, asking, message):
    with pytest.raises(UserError, match=message):
        ask(tmp_path, answer, asking)


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_formats_whose_text_is_marked_are_put_together_again(tmp_path, effort):
    more = {"extra_body": {}, **words_of("gpt_oss", tmp_path)}
    name = "gpt_oss" if effort == "medium" else f"gpt_oss_{effort}"
    rows, asked = ask(tmp_path, always(said("0 1", "so now")), form=name, **more)
    form = FORMATS[name]
    assert asked[0][0]["reasoning_effort"] == effort
    assert asked[0][0]["chat_template_kwargs"] == {"reasoning_effort": effort}
    assert rows[0]["text"] == f"{form.open}so now{form.close}{form.answer}0 1"


def test_no_request_waits_for_the_longest_of_its_batch(tmp_path):
    others_asked = threading.Event()

    def answer(request, number):
        if number == 12:
            others_asked.set()
        if number == 1:
            assert others_asked.wait(60)
        return 200, said(reasoning="1 +")

    asking = replace(plan(12), batch_size=4)
    rows, _ = ask(tmp_path, answer, asking, concurrency=2)
    assert len(rows) == 12


def test_a_prompt_of_another_length_than_here_is_noted_once(tmp_path, capsys):
    ask(tmp_path, always(said(reasoning="1 +", usage={"prompt_tokens": 99})))
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1 and "has 99 tokens, and 1" in notes[0]
