"""Mathematics problems of prompt files and published traces, graded by their values.

``final_answers`` reads an answer, ``equivalence`` compares it, and what needs algebra goes to a few
killable processes; past their limits there is no verdict, which whoever asked counts.
"""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
from functools import cache

from handan.errors import UserError
from handan.tasks.base import Grade, Item, Task
from handan.tasks.equivalence import every, same_answer
from handan.tasks.final_answers import bare, final_answers, statements

MATH = "math"
HASHES = "####"  # begins the last line of a solution in the manner of GSM8K
# Longer answers are no answers, and more parts than these are not compared.
ANSWER_CHARACTERS, REFERENCE_CHARACTERS, MAX_QUESTIONS = 1_000, 100, 60
# Nearly every comparison takes milliseconds. CPU time, so that a busy machine changes no verdict;
# the time of the clock is a last resort for a stuck process.
CPU_SECONDS, WALL_SECONDS, MEMORY_GIB = 5.0, 60.0, 4.0
NUM_WORKERS = min(4, os.cpu_count() or 1)


class Pool:
    """Up to ``size`` workers of ``handan.tasks.math_worker``, replaced when one takes too long."""

    def __init__(self, size: int = NUM_WORKERS, cpu_seconds: float = CPU_SECONDS) -> None:
        self.limits = [str(limit) for limit in (cpu_seconds, WALL_SECONDS, MEMORY_GIB)]
        # Last in, first out: one caller at a time needs one worker.
        self.idle: queue.LifoQueue[subprocess.Popen | None] = queue.LifoQueue()
        for _ in range(size):
            self.idle.put(None)

    def same(self, reference: str, answer: str) -> bool | None:
        """Return the verdict of ``math_worker.same``; None if a limit was reached."""
        worker = self.idle.get()
        try:
            if worker is None or worker.poll() is not None:
                worker = self._start()
            assert worker.stdin is not None and worker.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                worker.stdin.write(json.dumps([reference, answer]) + "\n")
                worker.stdin.flush()
            if line := worker.stdout.readline():  # empty if it died
                return json.loads(line)
            worker.wait()
            worker = None
            return None
        finally:
            self.idle.put(worker)

    def _start(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "handan.tasks.math_worker", *self.limits]
        # Ctrl-C is for the parent, whose end ends the worker.
        pipe = subprocess.PIPE
        worker = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, encoding="utf-8", start_new_session=True
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
        for _ in range(self.idle.qsize()):
            worker = self.idle.get()
            if worker is not None:
                worker.kill()
                worker.communicate()
            self.idle.put(None)


@cache
def _of_process(process: int) -> Pool:
    pool = Pool()
    atexit.register(pool.close)
    return pool


def shared() -> Pool:
    """Return the pool of this process; one that was forked has its own."""
    return _of_process(os.getpid())


def reference_answer(text: str | None) -> str | None:
    """Return what a published solution states, or a text short enough to be an answer."""
    if not text:
        return None
    last_line = text.rstrip().rpartition("\n")[2]
    if last_line.startswith(HASHES):
        text = last_line.removeprefix(HASHES)
    states = bool(statements(text))
    given = final_answers(text) if states else (text,)
    answer = bare(", ".join(dict.fromkeys(map(bare, given or ()))))
    longest = ANSWER_CHARACTERS if states else REFERENCE_CHARACTERS
    return answer if 0 < len(answer) <= longest and "\n" not in answer else None


def judge(reference: str, text: str, pool: Pool) -> tuple[str, str | None]:
    """Return ``correct``, ``wrong``, ``unreadable`` or ``timeout``, and the answer read."""
    given = final_answers(text)
    if given is None or any(not 0 < len(bare(one)) <= ANSWER_CHARACTERS for one in given):
        return "unreadable", None
    if not given:
        return "wrong", ""
    verdicts: list[bool | None] = []

    def ask(right: str, answer: str) -> bool | None:
        if None in verdicts or len(verdicts) >= MAX_QUESTIONS:
            return None
        verdicts.append(pool.same(right, answer))
        return verdicts[-1]

    given = tuple(dict.fromkeys(map(bare, given)))
    same = every(same_answer(reference, one, ask) for one in given)
    if same is False and len(given) > 1:
        same = same_answer(reference, ", ".join(given), ask)  # the parts of one answer
    return {None: "timeout", True: "correct", False: "wrong"}[same], " or ".join(given)


def grade(item: Item, text: str) -> Grade:
    """Grade a response to a prompt, which must have a reference answer."""
    if not item.answer:
        raise UserError(
            f"'{item.key}' of {item.task} has no reference answer, so no response to it can be "
            "graded; use prompts with answers"
        )
    outcome, answer = judge(item.answer, text, shared())
    return Grade(answer, {"correct": True, "timeout": None}.get(outcome, False))


def items() -> list[Item]:
    """Raise ``UserError``: there are none to evaluate."""
    raise UserError("the task 'math' grades prompt files and has no items that people solved")


MATH_TASK = Task(MATH, items, grade)
