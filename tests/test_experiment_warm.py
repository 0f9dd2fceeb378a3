"""Stages in forks of a process that has imported already are like scripts that Python starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import recipe_runs
from embedded import ROOT, run_python
from test_stopping import alive

from handan.experiment.warm import Fork, Server, can_fork

SCRIPT = """import atexit, os, signal, sys, time
print(__name__, sys.argv, sys.path[0], os.environ["OMP_NUM_THREADS"], sys.stdout.isatty())
print(os.getsid(0) == os.getpid(), flush=True)
print("aside", file=sys.stderr)
atexit.register(print, "at the end")
"""
ENDS = ["", "sys.exit(3)", "sys.exit('told')", "1 / 0", "os.kill(os.getpid(), 9)", "os._exit(75)"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux only")


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        made = Server({"OMP_NUM_THREADS": "1", **os.environ})
    yield made
    made.close()


def alone(words):
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_fork_prints_and_ends_as_a_new_python(server, tmp_path, end):
    script = tmp_path / "script.py"
    script.write_text(f"{SCRIPT}{end}\n")
    words = [str(script), "--a", "b c"]
    fork, expected = Fork(server, words), alone(words)
    said = fork.stdout.read().splitlines()
    assert fork.wait(timeout=300) == fork.poll() == fork.returncode == expected.returncode
    # Above the last line of a traceback stand those of who runs the script.
    told = [line for line in expected.stdout.splitlines() if not line.startswith(" ")]
    assert [line for line in said if not line.startswith(" ")] == told
    assert len(told) >= 3


def test_forks_run_beside_each_other_and_heed_signals(server, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    both = [Fork(server, [str(script)]) for _ in range(2)]
    assert [fork.stdout.readline() for fork in both] == ["up\n", "up\n"]
    assert both[0].pid != both[1].pid
    with pytest.raises(subprocess.TimeoutExpired):
        both[0].wait(timeout=0.1)
    os.killpg(both[0].pid, signal.SIGTERM)
    assert both[0].wait(timeout=300) == -signal.SIGTERM
    assert both[1].poll() is None
    os.kill(both[1].pid, signal.SIGUSR1)
    assert both[1].wait(timeout=300) == -signal.SIGUSR1


STARTER = """import os, sys, time
from handan.experiment.warm import Fork, Server
server = Server(os.environ)
fork = Fork(server, [sys.argv[1]])
print(server.process.pid, fork.pid, fork.stdout.readline(), end="", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("ends", ["starter", "server"])
def test_forks_end_with_who_started_them_even_if_it_is_killed(tmp_path, ends):
    script = tmp_path / "script.py"
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    server, fork, up = starter.stdout.readline().split()
    assert up == "up" and alive(int(fork))
    if ends == "starter":
        starter.kill()
        starter.wait()
    else:
        os.kill(int(server), signal.SIGKILL)
    deadline = time.monotonic() + 300
    while alive(int(fork)) or alive(int(server)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    starter.kill()
    starter.wait()


def test_a_script_whose_server_is_gone_has_failed(tmp_path):
    gone = Server(os.environ)
    gone.process.kill()
    gone.process.wait()
    fork = Fork(gone, [str(tmp_path / "script.py")])
    assert fork.stdout.read() == ""
    assert fork.wait(timeout=300) == -signal.SIGKILL
    gone.close()


def test_a_training_in_a_fork_ends_with_the_same_weights(server, small, tmp_path):
    def words(folder):
        once = ["--max_steps", "1", "--probe_steps", "0"]
        return [*map(str, recipe_runs.arguments("sft_distill", small, folder, *once))]

    run_python(*words(tmp_path / "new"))
    fork = Fork(server, words(tmp_path / "fork"))
    said = fork.stdout.read()
    assert fork.wait(timeout=300) == 0, said
    assert recipe_runs.weights(tmp_path / "fork") == recipe_runs.weights(tmp_path / "new")


def test_a_training_in_a_fork_saves_when_it_is_asked(server, tmp_path):
    prompts, run = tmp_path / "prompts.yaml", tmp_path / "run"
    prompts.write_text("families: {ordering: 1.0}\nwidths: [1]\nnum_problems: 40\nseed: 3\n")
    words = ["recipes/grpo.py", "--config", "recipes/configs/tiny/grpo.yaml", "--probe_steps", "0"]
    words += ["--num_generations", "2", "--per_device_train_batch_size", "4"]
    words += ["--gradient_accumulation_steps", "1", "--max_steps", "2000", "--save_steps", "2000"]
    fork = Fork(server, [*words, "--prompts", str(prompts), "--output_dir", str(run)])
    deadline = time.monotonic() + 240
    while not (run / "metrics.jsonl").exists():
        assert fork.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(fork.pid, signal.SIGUSR1)
    assert "as asked by a signal" in fork.stdout.read()
    assert fork.wait(timeout=300) == 75
    assert list(run.glob("checkpoint-*")) and not (run / "model.safetensors").exists()


def test_only_scripts_of_the_project_are_forked(monkeypatch):
    monkeypatch.setattr("handan.experiment.warm.ACCELERATORS", ())
    assert can_fork("recipes/grpo.py") and can_fork("eval/run.py")
    assert not can_fork("handan.tiny.pretrain") and not can_fork("/tmp/other.py")
    monkeypatch.setattr("handan.experiment.warm.ACCELERATORS", (str(Path(__file__)),))
    assert not can_fork("recipes/grpo.py")
