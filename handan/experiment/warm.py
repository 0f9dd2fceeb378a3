"""Scripts in forks of one process that has imported already what takes them seconds.

A study is hundreds of short trainings and evaluations, and each new Python spends up to ten seconds
of a core on imports. ``Server`` starts a process that forks for every script. A fork is a process
of its own that runs the script as ``python SCRIPT`` would, with its own session, output, signals
and exit code. It is asked to stop when the server ends, and the server ends with the process that
started it, however that ends.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from handan.stopping import end_with_parent

# Where the project's scripts spend their time before they begin.
SLOW = ("datasets", "trl.trainer.sft_trainer", "trl.trainer.grpo_trainer", "handan.training.run")
FOLDERS = ("recipes/", "eval/")
CODE = f"from {__name__} import main; main()"
# A fork cannot use an accelerator that the process before it has looked for.
ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd", "/dev/accel0", "/dev/vfio/0")


def can_fork(script: str) -> bool:
    """Whether a script of the project may run in a fork on this machine."""
    if sys.platform != "linux" or any(map(os.path.exists, ACCELERATORS)):
        return False
    return script.startswith(FOLDERS) and script.endswith(".py")


class Server:
    """A process that forks; it begins to import at once.

    Args:
        environment: of it and its forks.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", CODE, str(other.fileno())],
                env=dict(environment),
                stdout=subprocess.DEVNULL,  # a fork puts its own in place, buffered as a pipe's
                pass_fds=[other.fileno()],
                start_new_session=True,
            )

    def close(self) -> None:
        """End the server, and with it what it still runs."""
        self.socket.close()
        self.process.terminate()  # it may still import
        self.process.wait()


class Fork:
    """A script in a fork, with what is used of ``subprocess.Popen``.

    Args:
        server: that forks.
        words: the script and its arguments.
    """

    def __init__(self, server: Server, words: Sequence[str]) -> None:
        self.args, self.server = list(words), server
        self.returncode: int | None = None
        output, theirs = os.pipe()
        self._news, news = os.pipe()
        with contextlib.suppress(OSError):  # if the server is gone, so is the writer of the news
            socket.send_fds(server.socket, [json.dumps(self.args).encode()], [theirs, news])
        os.close(theirs)
        os.close(news)
        self.stdout = open(output, encoding="utf-8", errors="replace")  # noqa: SIM115 (to be read)
        self._heard = b""

    @property
    def pid(self) -> int:
        """Its process; waits until there is one."""
        while b"\n" not in self._heard and self.returncode is None:
            self._hear(None)
        return int(self._heard.split(b"\n")[0] or self.server.process.pid)

    def poll(self) -> int | None:
        """Its exit code, that of ``Popen``; None while it runs."""
        while self.returncode is None and self._hear(0):
            pass
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The same once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not, after ``timeout`` seconds.
        """
        if self.poll() is None:
            self._hear(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        assert self.returncode is not None
        return self.returncode

    def _hear(self, timeout: float | None) -> bool:
        """Read what the server says of this fork, its number and then its exit code."""
        if not select.select([self._news], [], [], timeout)[0]:
            return False
        said = os.read(self._news, 1000)
        self._heard += said
        if not said or self._heard.count(b"\n") == 2:
            # Without a word the server was killed, and so are its forks.
            self.returncode = int(self._heard.split(b"\n")[1]) if said else -9
            os.close(self._news)
        return True


def serve(ours: socket.socket) -> list[str]:
    """Fork for every request, until nobody is left to ask; returns in the forks: what to run."""
    news: dict[int, int] = {}
    while True:
        if select.select([ours], [], [], 0.05)[0]:
            message, fds, _, _ = socket.recv_fds(ours, 1_000_000, 2)
            if not message:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                ours.close()
                os.setsid()
                end_with_parent()
                os.dup2(fds[0], 1)
                os.dup2(fds[0], 2)
                for number in (*fds, *news.values()):
                    os.close(number)
                return json.loads(message)
            os.close(fds[0])
            news[pid] = fds[1]
            _tell(fds[1], pid)
        for pid in list(news):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                number = news.pop(pid)
                _tell(number, os.waitstatus_to_exitcode(status))
                os.close(number)


def _tell(number: int, value: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(number, f"{value}\n".encode())


def main() -> None:
    """Import, wait, and in the forks be the script."""
    ours = socket.socket(fileno=int(sys.argv[1]))
    for name in SLOW:
        with contextlib.suppress(ImportError):  # a script that needs it will say so
            importlib.import_module(name)
    gc.freeze()  # or collecting would copy every page that the forks share
    words = serve(ours)
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    runpy.run_path(words[0], run_name="__main__")
