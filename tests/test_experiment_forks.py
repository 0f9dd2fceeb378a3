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

from handan.experiments import runner
from handan.experiments.plan import Stage
from handan.experiments.runner import Fork, can_fork

SCRIPT = """import atexit, os, signal, sys, time
print(__name__, sys.argv, sys.path[0], os.environ["OMP_NUM_THREADS"], sys.stdout.isatty())
print(os.getsid(0) == os.getpid(), flush=True)
print("aside", file=sys.stderr)
atexit.register(print, "at the end")
"""
ENDS = ["", "sys.exit(3)", "sys.exit('told')", "1 / 0", "os.kill(os.getpid(), 9)", "os._exit(75)"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux only")


@pytest.fixture(autouse=True)
def in_the_clone(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def alone(words):
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(fork):
    fork.wait(timeout=300)
    return fork.poll()


@pytest.mark.parametrize("end", ENDS)
def test_a_fork_prints_and_ends_as_a_new_python(tmp_path, end):
    script = tmp_path / "script.py"
    script.write_text(f"{SCRIPT}{end}\n")
    words = [str(script), "--a", "b c"]
    fork, expected = Fork(words), alone(words)
    said = fork.stdout.read().splitlines()
    assert ended(fork) == expected.returncode
    # A traceback also has the lines of who runs the script.
    told = [line for line in expected.stdout.splitlines() if not line.startswith(" ")]
    assert set(told) <= set(said)
    assert len(told) >= 3


def test_forks_run_beside_each_other_and_heed_signals(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    both = [Fork([str(script)]) for _ in range(2)]
    assert [fork.stdout.readline() for fork in both] == ["up\n", "up\n"]
    assert both[0].pid != both[1].pid
    both[0].wait(timeout=0.1)
    assert both[0].poll() is None
    os.killpg(both[0].pid, signal.SIGTERM)
    assert ended(both[0]) == -signal.SIGTERM
    assert both[1].poll() is None
    os.kill(both[1].pid, signal.SIGUSR1)
    assert ended(both[1]) == -signal.SIGUSR1


STARTER = """import multiprocessing.forkserver, sys, time
from handan.experiments.runner import Fork
fork = Fork([sys.argv[1]])
server = multiprocessing.forkserver._forkserver._forkserver_pid
print(server, fork.pid, fork.stdout.readline(), end="", flush=True)
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


def test_a_training_in_a_fork_ends_with_the_same_weights(small, tmp_path):
    def words(folder):
        once = ["--max_steps", "1", "--probe_steps", "0"]
        return [*map(str, recipe_runs.arguments("sft_distill", small, folder, *once))]

    run_python(*words(tmp_path / "new"))
    fork = Fork(words(tmp_path / "fork"))
    said = fork.stdout.read()
    assert ended(fork) == 0, said
    assert recipe_runs.weights(tmp_path / "fork") == recipe_runs.weights(tmp_path / "new")


def test_a_training_in_a_fork_saves_when_it_is_asked(tmp_path):
    prompts, run = tmp_path / "prompts.yaml", tmp_path / "run"
    prompts.write_text("families: {ordering: 1.0}\nwidths: [1]\nnum_problems: 40\nseed: 3\n")
    words = ["recipes/grpo.py", "--config", "recipes/configs/tiny/grpo.yaml", "--probe_steps", "0"]
    words += ["--num_generations", "2", "--per_device_train_batch_size", "4"]
    words += ["--gradient_accumulation_steps", "1", "--max_steps", "2000", "--save_steps", "2000"]
    fork = Fork([*words, "--prompts", str(prompts), "--output_dir", str(run)])
    deadline = time.monotonic() + 240
    while not (run / "metrics.jsonl").exists():
        assert fork.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(fork.pid, signal.SIGUSR1)
    assert "as asked by a signal" in fork.stdout.read()
    assert ended(fork) == 75
    assert list(run.glob("checkpoint-*")) and not (run / "model.safetensors").exists()


def test_only_plain_scripts_of_the_project_are_forked(monkeypatch):
    def forks(script, accelerate_config=None):
        return can_fork(Stage("one", "training", script, (), Path("one"), accelerate_config))

    monkeypatch.setattr(runner, "ACCELERATORS", ())
    assert forks("recipes/grpo.py") and forks("eval/run.py")
    assert not forks("/tmp/other.py")
    assert not forks("recipes/grpo.py", "launch/accelerate/cpu.yaml")
    monkeypatch.setattr(runner, "ACCELERATORS", (__file__,))
    assert not forks("recipes/grpo.py")
