import http.server
import socket
import subprocess
import sys
import threading
import time

import pytest
from embedded import ROOT, run_python

from handan import doctor, hardware
from handan.errors import UserError
from handan.hardware import LocalGpu


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_this_machine_runs_the_embedded_world():
    done = run_python("-m", "handan", "doctor")
    assert "the embedded world (handan demo" in done.stdout
    assert "switched off by HF_HUB_OFFLINE" in done.stdout
    assert done.stderr == ""


def test_a_server_that_does_not_answer_takes_no_longer_than_its_limit():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not hardware.reaches(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 60  # and not for ever


def test_a_server_is_reached_if_it_grants_the_request(monkeypatch):
    class Server(http.server.BaseHTTPRequestHandler):
        status = 200

        def do_HEAD(self):
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert doctor.ways_out()[0].found == "reached"
        Server.status = 403  # as of a proxy
        assert doctor.ways_out()[0].found == "not reached"
        server.shutdown()


def test_keys_are_found_and_never_shown(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_private")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password private_key\n")
    doctor.main()
    text = capsys.readouterr().out
    assert "present" in text and "key present" in text
    assert "private" not in text


def test_a_missing_package_stops_the_embedded_world(monkeypatch):
    real = hardware.installed
    monkeypatch.setattr(hardware, "installed", lambda name: None if name == "trl" else real(name))
    with pytest.raises(UserError, match=r"embedded world cannot run here: trl: pip install"):
        doctor.main()


def test_an_old_package_names_the_bound(monkeypatch):
    real = hardware.installed
    monkeypatch.setattr(hardware, "installed", lambda n: "1.0" if n == "transformers" else real(n))
    old = next(check for check in doctor.packages() if check.what == "transformers")
    assert old.cure is not None and ">=5.17" in old.cure and "pip install" in old.cure


def test_little_room_has_a_cure(monkeypatch):
    monkeypatch.setattr(hardware, "free_bytes", lambda path: 10**9)
    assert all(check.cure == "make room: 2 GB at least" for check in doctor.room())


def test_gpus_decide_what_published_models_can_run():
    cards = [LocalGpu("A100-SXM4-40GB", 40 * 10**9, True)]
    paper = next(s for s in doctor.runnable([], cards) if "paper14" in s)
    assert "R1-Distill-Qwen-14B" in paper
    assert "R1-Distill-Qwen-32B" not in paper and "Llama-70B" not in paper
    assert "there is no GPU" in doctor.runnable([], [])[-1]


def test_an_old_gpu_is_told_to_use_fp16():
    (card,) = [c for c in doctor.hardware([LocalGpu("V100", 32 * 10**9, False)]) if "GPU" in c.what]
    assert card.cure == "pass --bf16 false --fp16 true to recipes"


def test_help_imports_no_torch():
    code = "import sys, handan.cli as c; c._parser(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
