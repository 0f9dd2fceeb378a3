"""Stop in order when a scheduler asks: SIGUSR1 (a warning) or SIGTERM.

A script that appends to files leaves at once; a training first saves at the end of its step. Both
end with exit code 75, EX_TEMPFAIL of sysexits.h. A launcher above them hides it, so the folder that
HANDAN_JOB names has ``pid``, the process to be asked, and ``stopped`` once it left as asked.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

STOPPED = 75
SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
FOLDER = "HANDAN_JOB"
BY_US = "HANDAN_LAUNCHED"
LAUNCHED = ("TORCHELASTIC_RUN_ID", BY_US)  # of torch's launcher, which accelerate uses, and ours


def end_with_launcher() -> None:
    """Stop with the launcher, even at SIGKILL, or this process may wait, or hold the run."""
    if any(name in os.environ for name in LAUNCHED) and sys.platform == "linux":
        end_with_parent()


def end_with_parent() -> None:
    """Have Linux ask this process to stop when its parent ends; leave if it has already."""
    import ctypes  # here alone, as every command passes this module

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    # Whoever loses its parent becomes a child of process 1, which in a container may be a launcher.
    first = Path("/proc/1/cmdline").read_bytes()
    if os.getppid() == 1 and not any(name in first for name in (b"launch", b"torch")):
        leave()


def listen(rank: int) -> None:
    """From here on let a signal to stop end this process in order; rank 0 says who it is."""
    on_signal(leave)
    if FOLDER in os.environ and rank == 0:
        Path(os.environ[FOLDER], "pid").write_text(str(os.getpid()), encoding="utf-8")


def leave() -> NoReturn:
    """End this process as one that was asked to stop, and say so to whoever started it."""
    if FOLDER in os.environ:
        Path(os.environ[FOLDER], "stopped").touch()
    raise SystemExit(STOPPED)


def on_signal(react: Callable[[], object]) -> None:
    """Call ``react`` at every request to stop; another thread than the main one cannot ask this."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, lambda *_: react())
