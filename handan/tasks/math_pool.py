"""A few processes that compare answers, each ended and replaced when an answer takes too long."""

import atexit
import json
import os
import queue
import subprocess
import sys
from functools import cache

from handan.errors import UserError

# Nearly every comparison takes milliseconds. CPU time, so that a busy machine changes no verdict.
CPU_SECONDS, WALL_SECONDS, MEMORY_GIB = 5.0, 60.0, 4.0
NUM_WORKERS = min(4, os.cpu_count() or 1)


class Pool:
    """Workers of ``handan.tasks.math_worker``, started when they are first needed.

    Args:
        size: how many at most; ``judge`` may be called by as many threads at a time.
        cpu_seconds: limit for one answer; ``wall_seconds`` is a last resort for a stuck process.
    """

    def __init__(
        self,
        size: int = NUM_WORKERS,
        cpu_seconds: float = CPU_SECONDS,
        wall_seconds: float = WALL_SECONDS,
    ) -> None:
        self.size = size
        self.limits = (str(cpu_seconds), str(wall_seconds), str(MEMORY_GIB))
        # Last in, first out: one caller at a time needs one worker.
        self.idle: queue.LifoQueue[subprocess.Popen | None] = queue.LifoQueue()
        for _ in range(size):
            self.idle.put(None)

    def judge(self, reference: str, response: str) -> tuple[str, str | None]:
        """Outcome and answer, as ``math_worker.compare``; ``timeout`` if the limit was reached.

        Raises:
            UserError: the package math-verify is missing.
        """
        worker = self.idle.get()
        try:
            if worker is None or worker.poll() is not None:
                worker = self._start()
            line = _ask(worker, json.dumps([reference, response]))
            if line:
                outcome, answer = json.loads(line)
                return outcome, answer
            worker.wait()
            worker = None
            return "timeout", None
        finally:
            self.idle.put(worker)

    def _start(self) -> subprocess.Popen:
        worker = subprocess.Popen(
            [sys.executable, "-m", "handan.tasks.math_worker", *self.limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the parent, whose end ends the worker
        )
        assert worker.stdout is not None
        if not worker.stdout.readline():
            raise UserError(
                f"the process that compares answers ended at once with code {worker.wait()}; its "
                "message stands above; check that math-verify is installed: "
                "pip install 'handan[train]'"
            )
        return worker

    def close(self) -> None:
        """End all idle workers."""
        for _ in range(self.size):
            worker = self.idle.get()
            if worker is not None:
                worker.kill()
                worker.communicate()
            self.idle.put(None)


def _ask(worker: subprocess.Popen, line: str) -> str:
    """The worker's answer; empty if it died."""
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(line + "\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return ""
    return worker.stdout.readline()


@cache
def _of_process(process: int) -> Pool:
    pool = Pool()
    atexit.register(pool.close)
    return pool


def shared() -> Pool:
    """The pool of this process; one that was forked has its own."""
    return _of_process(os.getpid())
