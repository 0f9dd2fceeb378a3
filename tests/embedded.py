"""The shipped models of the embedded world and small suites on them, for many tests."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import forked
import pytest
import yaml

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "handan" / "tiny" / "weights"
SUITES = ROOT / "eval" / "suites"


@cache
def load(name: str = "base") -> tuple[Any, Any]:
    """A shipped model and its tokenizer; tests must not change them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS / name)
    return model.eval(), AutoTokenizer.from_pretrained(WEIGHTS / name)


@cache
def engine(name: str = "base") -> Any:
    """The same as an engine."""
    from handan.generation.formats import FORMATS
    from handan.generation.transformers_engine import TransformersEngine

    return TransformersEngine(*load(name), FORMATS["tiny"], fingerprint=name)


def small_suite(folder: Path, **changes: Any) -> Path:
    """The tiny suite on six items a task, two samples, written to ``folder``."""
    suite = yaml.safe_load((SUITES / "tiny.yaml").read_text())
    suite |= {"name": "small", "items_per_task": 12, "samples": 2, "batch_size": 16, **changes}
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite))
    return path


def run_script(*words: object, check: bool = True) -> subprocess.CompletedProcess:
    """Run a script of the project in its root, as a user does but for the imports; see forked."""
    with tempfile.TemporaryDirectory() as name:
        process = forked.start(Path(name), *words)
        process.join()
        printed = [(Path(name) / number).read_text() for number in "12"]
    return _checked(subprocess.CompletedProcess(words, process.exitcode, *printed), check)


def run_python(*words: object, check: bool = True, **more: Any) -> subprocess.CompletedProcess:
    """The same in a new Python, for tests of starting itself and of its environment."""
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **more)
    return _checked(done, check)


def _checked(done: subprocess.CompletedProcess, check: bool) -> subprocess.CompletedProcess:
    if check:
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def free_port() -> int:
    """A port that nobody listens on, for launches beside each other."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(config: str, *words: object, forks: bool = True) -> subprocess.CompletedProcess:
    """``accelerate launch`` a recipe with a config of launch/accelerate.

    Args:
        config: its name there.
        words: of the recipe.
        forks: whether several ranks are forks of the launcher instead of new Pythons.
    """
    launcher = ["-m", "accelerate.commands.launch", "--quiet", "--config_file"]
    launcher += [f"launch/accelerate/{config}.yaml"]
    if config == "cpu":
        return run_script(*launcher, *words)
    launcher += ["--main_process_port", str(free_port())]
    with pytest.MonkeyPatch.context() as patch:
        if forks:
            launcher += ["tests/rank.py"]
            patch.setenv("PET_START_METHOD", "fork")
            patch.setenv("PET_RUN_PATH", "1")
        return run_script(*launcher, *words)


@contextmanager
def serving(folder: Path, port: int, program: str, *words: object) -> Iterator[subprocess.Popen]:
    """A server of an installed program; it ends with the block, or before if it is killed."""
    command = [str(Path(sys.executable).parent / program), *map(str, words)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with open(folder / "server.log", "a") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 900
        while True:
            assert process.poll() is None and time.monotonic() < deadline, folder / "server.log"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # vLLM has processes of its own
        process.wait()


def wait_for_lines(path: Path, number: int, alive: Callable[[], bool]) -> None:
    """Wait until a run has written so many rows."""
    deadline = time.monotonic() + 900
    while not path.exists() or len(path.read_bytes().splitlines()) < number:
        assert alive() and time.monotonic() < deadline
        time.sleep(0.01)
