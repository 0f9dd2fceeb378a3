"""Servers that never end, unpack to too much, send elsewhere, or repeat the key."""

import gzip
import json
import re
import socket
import socketserver
import struct
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from embedded import WEIGHTS

from handan.errors import UserError
from handan.evaluation.grading import TaskItem
from handan.evaluation.responses import SamplingPlan, collect
from handan.generation.engines import load_engine, open_engine
from handan.generation.prompting import Decoding
from handan.launch import SINGLE
from handan.tiny.evaluation_items import TASKS

KEY = "planted-key-77ab"
LABELS = {"model": "m", "settings": "s", "seed": 0, "reasoning_format": "tiny"}
DRIPS = 200  # at 50 ms each, so that a server ends by itself


@contextmanager
def serving(answer):
    """A server that gives each connection to ``answer(write, request)``."""
    seen = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            seen.append(head.decode())
            # What is left unread when a connection is closed breaks it, and loses the answer.
            self.rfile.read(int(re.search(rb"content-length: (\d+)", head.lower())[1]))
            with suppress(OSError):  # the client has had enough
                answer(self.wfile.write, head.decode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, allow_reuse_address = True, True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
        finally:
            server.shutdown()


def ask(tmp_path, monkeypatch, url, **changes):
    """Put one question to a server."""
    monkeypatch.setenv("HANDAN_TEST_KEY", KEY)
    lines = {"engine": "openai", "base_url": url, "max_retries": 0, "timeout_s": 1.0}
    lines |= {"api_key_env": "HANDAN_TEST_KEY", "max_response_mib": 1, **changes}
    path = tmp_path / "engine.yaml"
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items()))
    task = TASKS["binary_addition"]
    question = TaskItem(task.items()[0], task, "compact")
    plan = SamplingPlan([question], {0: Decoding(0.0, 1.0, 64)}, batch_size=1, seed=1)
    engine = open_engine(load_engine(path), str(WEIGHTS / "base"))
    collect(engine, plan, tmp_path / "rows.jsonl", LABELS, SINGLE)


def head(status="200 OK", **more):
    lines = {"content-type": "application/json", "connection": "close"} | {
        name.replace("_", "-"): value for name, value in more.items()
    }
    fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode()


dripped = 0


def drips(write, first):
    global dripped
    write(first)
    for number in range(DRIPS):
        time.sleep(0.05)
        write(b" ")
        dripped = number + 1


BOMB = gzip.compress(b" " * 2**26)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda write, _: drips(write, head()), "is not complete after 1 s; raise timeout_s"),
        (lambda write, _: drips(write, b"HTTP/1.1 200 OK\r\nx: "), "no answer within 1 s"),
        (lambda write, _: drips(write, head("401 No")), "is not complete after 1 s"),
        (lambda write, _: write(head() + b" " * 2**21), "the response is over 1 MiB"),
        (lambda write, _: write(head("401 No") + b" " * 2**21), "the response is over 1 MiB"),
        (lambda write, _: write(head(content_encoding="gzip") + BOMB), r"compressed \(gzip\)"),
        (
            lambda write, _: write(head("401 No", content_encoding="gzip") + BOMB),
            r"compressed \(gzip\), though none was asked for",
        ),
        (lambda write, _: write(head() + b"[" * 100_000), "something that is not JSON"),
    ],
    ids=["body", "headers", "error", "long", "long-error", "gzip", "gzip-error", "nested"],
)
def test_a_response_without_an_end_is_refused(tmp_path, monkeypatch, answer, message):
    with serving(answer) as (url, seen), pytest.raises(UserError, match=message):
        ask(tmp_path, monkeypatch, url)
    assert dripped < DRIPS  # it was not waited for to its end
    assert "accept-encoding: identity" in seen[0].lower()


def test_a_refusal_whose_reason_is_cut_short_keeps_its_status(tmp_path, monkeypatch):
    """As of a proxy that refuses before it has read the request, and closes."""

    class Rude(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1)
            self.request.sendall(head("413 Too Large", content_length=10_000) + b"too")
            time.sleep(0.2)
            linger = struct.pack("ii", 1, 0)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # sends a reset
            self.request.close()

    with socketserver.TCPServer(("127.0.0.1", 0), Rude) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        with pytest.raises(UserError, match="refuses: Error code: 413"):
            ask(tmp_path, monkeypatch, url)
        server.shutdown()


def test_a_redirect_takes_neither_key_nor_prompt_elsewhere(tmp_path, monkeypatch):
    with serving(lambda write, _: write(head())) as (elsewhere, seen):
        moved = head("307 Moved", location=f"{elsewhere}/chat/completions")
        with (
            serving(lambda write, _: write(moved)) as (url, _),
            pytest.raises(UserError, match=r"it redirects \(status 307\); set base_url"),
        ):
            ask(tmp_path, monkeypatch, url)
    assert seen == []


@pytest.mark.parametrize("status", ["401 No", "200 OK"])
def test_a_key_that_a_server_repeats_is_not_shown(tmp_path, monkeypatch, status):
    body = json.dumps({"error": {"message": f"wrong key: Bearer {KEY}"}}).encode()
    with (
        serving(lambda write, _: write(head(status) + body)) as (url, seen),
        pytest.raises(UserError, match=r"wrong key: Bearer \(the key\)|sends the key back") as told,
    ):
        ask(tmp_path, monkeypatch, url)
    assert f"Bearer {KEY}" in seen[0] and KEY not in str(told.value)


def test_an_address_with_a_password_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="an address with a password or key in it"):
        ask(tmp_path, monkeypatch, "http://me:password@127.0.0.1:9/v1")
