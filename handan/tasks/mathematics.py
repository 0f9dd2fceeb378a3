"""A few processes that compare answers, each ended and replaced when an answer takes too long."""

import atexit
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


# Mathematics problems of prompt files and published traces, graded by their values.

MATH = "math"
# Longer answers are no answers, and more parts than these are not compared.
ANSWER_CHARACTERS, REFERENCE_CHARACTERS, MAX_QUESTIONS = 1_000, 100, 60


def quick_outcome(reference: str, answer: str) -> str | None:
    """``correct`` or ``wrong`` where that is certain without algebra, else None."""
    same = same_answer(reference, answer)
    return None if same is None else "correct" if same else "wrong"


def reference_answer(text: str | None) -> str | None:
    """The answer in a published solution: what it states, or a text short enough to be one."""
    if not text:
        return None
    given = final_answers(text) if statements(text) else (text,)
    answer = bare(", ".join(dict.fromkeys(map(bare, given or ()))))
    longest = ANSWER_CHARACTERS if statements(text) else REFERENCE_CHARACTERS
    return answer if 0 < len(answer) <= longest and "\n" not in answer else None


def judge(reference: str, text: str, pool: Pool) -> tuple[str, str | None]:
    """Outcome and answer of a response.

    Args:
        reference: the right answer.
        text: what a model wrote after its reasoning.
        pool: compares what needs algebra.

    Returns:
        ``correct``, ``wrong``, ``unreadable`` or ``timeout``, and the answer that was read:
        alternatives are told apart by 'or'.
    """
    given = final_answers(text)
    if given is None or any(not 0 < len(bare(one)) <= ANSWER_CHARACTERS for one in given):
        return "unreadable", None
    if not given:
        return "wrong", ""
    asked: list[str] = []

    def ask(right: str, answer: str) -> bool | None:
        if "timeout" in asked or len(asked) >= MAX_QUESTIONS:
            return None
        asked.append(pool.judge(right, f"\\boxed{{{answer}}}")[0])
        return None if asked[-1] == "timeout" else asked[-1] == "correct"

    given = tuple(dict.fromkeys(map(bare, given)))
    same = every(same_answer(reference, one, ask) for one in given)
    if same is False and len(given) > 1:
        same = same_answer(reference, ", ".join(given), ask)  # the parts of one answer
    if same is None:
        return "timeout", " or ".join(given)
    return "correct" if same else "wrong", " or ".join(given)


def grade(item: Item, text: str) -> Grade:
    """Grade a response.

    Raises:
        UserError: the prompt has no reference answer.
    """
    if not item.answer:
        raise UserError(
            f"'{item.key}' of {item.task} has no reference answer, so no response to it can be "
            "graded; use prompts with answers"
        )
    outcome, answer = judge(item.answer, text, shared())
    verdict = {"correct": True, "timeout": None}.get(outcome, False)
    # Without a verdict there still was an answer, or the response would count as unreadable.
    return Grade(answer or "" if verdict is None else answer, verdict)


def items() -> list[Item]:
    """There are none to evaluate.

    Raises:
        UserError: always.
    """
    raise UserError("the task 'math' grades prompt files and has no items that people solved")


MATH_TASK = Task(MATH, items, grade)
