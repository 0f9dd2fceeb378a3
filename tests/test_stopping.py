"""Asked to stop: trainings save at the end of a step, everything else leaves at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import forked
import pytest
from saved import complete_checkpoints

from handan import rundir, stopping
from handan.launch import Processes
from handan.training.saving import StopRequest, steps_of_a_generation


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def arguments(**changes):
    return SimpleNamespace(**{"gradient_accumulation_steps": 4, **changes})


def step(request, number, args=None, max_steps=10):
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    state = SimpleNamespace(global_step=number, max_steps=max_steps)
    request.on_step_end(args or arguments(), state, control)
    return control.should_save and control.should_training_stop


def world(*others, rank=0):
    return Processes(rank, 1 + len(others), lambda rows: [*rows, *others])


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_is_heeded_at_the_end_of_the_step(number):
    request = StopRequest("arm", world())
    request.on_train_begin(None, None, None)
    assert not step(request, 1)
    os.kill(os.getpid(), number)
    assert step(request, 2)
    with pytest.raises(SystemExit) as left:
        request.leave_if_asked(2)
    assert left.value.code == stopping.STOPPED


def test_every_process_stops_if_one_was_asked():
    assert step(StopRequest("arm", world({"asked": True}, rank=1)), 1)
    assert not step(StopRequest("arm", world({"asked": False}, rank=1)), 1)


def test_nobody_leaves_who_was_not_asked_or_has_finished():
    request = StopRequest("arm", world())
    request.leave_if_asked(1)
    request.ask()
    assert not step(request, 10, max_steps=10)  # ends by itself, and saves the model
    request.leave_if_asked(10)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 1),
        ({"steps_per_generation": 4, "num_iterations": 1}, 1),
        ({"steps_per_generation": 8, "num_iterations": 1}, 2),
        ({"steps_per_generation": 4, "num_iterations": 3}, 3),
        ({"steps_per_generation": 6, "num_iterations": 1}, 3),
    ],
)
def test_a_generation_batch_is_used_up_before_saving(settings, steps):
    assert steps_of_a_generation(arguments(**settings)) == steps
    request = StopRequest("arm", world())
    request.ask()
    assert [step(request, n, arguments(**settings)) for n in (1, 2, 3)].index(True) + 1 == steps


def test_a_script_leaves_at_once_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv(stopping.FOLDER, str(tmp_path))
    stopping.listen(rank=0)
    assert (tmp_path / "pid").read_text() == str(os.getpid())
    assert not (tmp_path / "stopped").exists()
    with pytest.raises(SystemExit):
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(5)
    assert (tmp_path / "stopped").exists()


def test_the_holder_of_a_run_directory_can_be_asked(tmp_path):
    assert rundir.lock_holder(tmp_path) is None
    with rundir.lock(tmp_path, 0):
        assert rundir.lock_holder(tmp_path) == os.getpid()
    assert rundir.lock_holder(tmp_path) is None


def test_a_training_that_was_stopped_leaves_a_complete_checkpoint_and_no_model(tmp_path):
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("families: {ordering: 1.0}\nwidths: [1]\nnum_problems: 40\nseed: 3\n")
    sizes = ["--num_generations", "2", "--per_device_train_batch_size", "4"]
    sizes += ["--gradient_accumulation_steps", "1", "--max_steps", "2000", "--save_steps", "2000"]
    config = ["--config", "recipes/configs/tiny/grpo.yaml", "--probe_steps", "0"]
    run = tmp_path / "run"
    words = ["recipes/grpo.py", *config, *sizes, "--prompts", prompts, "--output_dir", run]
    process = forked.start(tmp_path, *words)
    deadline = time.monotonic() + 240
    while not (run / "metrics.jsonl").exists():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    process.join(timeout=240)
    assert process.exitcode == stopping.STOPPED
    (number,) = complete_checkpoints(Path(run))
    assert f"grpo: saved checkpoint-{number} as asked by a signal" in (tmp_path / "1").read_text()
    assert not (run / "model.safetensors").exists()


# A launcher and the process it starts, which may be slow to begin.
LAUNCHER = """
import os, subprocess, sys, time
worker = "import sys, time; from handan.errors import run_main; print('up', flush=True); {late}"
worker += "run_main(lambda: time.sleep(100))"
process = subprocess.Popen([sys.executable, "-c", worker])
print(process.pid, flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system call is of Linux")
@pytest.mark.parametrize("late", ["", "time.sleep(1); "])
def test_a_process_ends_with_a_launcher_that_is_killed(late):
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER.format(late=late)],
        env={**os.environ, stopping.BY_US: "none"},
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = int(launcher.stdout.readline())
    assert launcher.stdout.readline() == "up\n"
    time.sleep(0 if late else 0.5)
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 90
    while alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid):
    """Whether a process runs; one whose end nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
