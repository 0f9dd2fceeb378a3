"""The process that compares answers symbolically, and that may die doing so.

    python -m handan.tasks.math_worker CPU_SECONDS WALL_SECONDS MEMORY_GIB

Reads one JSON list ``[reference, response]`` a line and writes one ``[outcome, answer]`` a line. A
power tower such as 9^9^9 keeps sympy busy in C code that no exception reaches, so the limits are
timers of the operating system whose signals end the process; the parent sees the pipe close.
Without a parent it reads end of file and ends.
"""

import json
import logging
import os
import resource
import signal
import sys
from typing import Any

from math_verify import parse, verify

TIMERS = {signal.ITIMER_PROF: signal.SIGPROF, signal.ITIMER_REAL: signal.SIGALRM}


def compare(reference: str, response: str) -> tuple[str, str | None]:
    """Outcome and answer of a response, as math-verify sees them.

    Args:
        reference: the right answer, LaTeX or plain.
        response: the text that holds the given answer.

    Returns:
        ``correct``, ``wrong``, ``unreadable`` or ``timeout`` (memory or stack exhausted), and the
        answer that was read.
    """
    right = parse(f"\\boxed{{{reference}}}", parsing_timeout=None)
    given = parse(response, parsing_timeout=None)
    if not given:
        return "unreadable", None
    answer = str(given[-1])
    try:
        equal = verify(right, given, timeout_seconds=None, raise_on_error=True)
    except (MemoryError, RecursionError):
        return "timeout", answer
    except Exception:
        # sympy has no opinion on this pair; math-verify's own rule is to try the others.
        equal = verify(right, given, timeout_seconds=None)
    return ("correct" if equal else "wrong"), answer


def main() -> None:
    """Answer lines until there are no more, every one within the limits."""
    limits = dict(zip(TIMERS, map(float, sys.argv[1:3]), strict=True))
    memory = int(float(sys.argv[3]) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # Signals that a parent ignores or blocks would stay so in this process.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TIMERS.values())
    for number in TIMERS.values():
        signal.signal(number, signal.SIG_DFL)
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)

    def write(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    compare("\\frac{1}{2}", "\\boxed{0.5}")  # the first parse builds tables
    write("ready")
    for line in sys.stdin:
        reference, response = json.loads(line)
        for timer, seconds in limits.items():
            signal.setitimer(timer, seconds)
        result = compare(reference, response)
        for timer in limits:
            signal.setitimer(timer, 0)
        write(result)


if __name__ == "__main__":
    main()
