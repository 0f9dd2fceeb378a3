"""The exception that means 'the user can mend this', and the one place that tells it."""

import atexit
import contextlib
import errno
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from handan.stopping import end_with_launcher


class UserError(Exception):
    """Bad input, told in one sentence (which file, line, item or key; what to do), exit code 2."""


_AGAIN = "run the same command again: what was written before is intact"
_ELSEWHERE = "choose another path; what was written before is intact"
_NO_FILE = "choose another path, such as another --output_dir"
# What the system says of files that a user can mend. Any other error of it is a bug of ours.
CURES = {
    errno.ENOSPC: f"free space and {_AGAIN}",
    errno.EDQUOT: f"free space and {_AGAIN}",
    errno.EFBIG: f"raise the limit on the size of a file (ulimit -f) and {_AGAIN}",
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: f"change its permissions or {_ELSEWHERE}",
    errno.EPERM: f"change its permissions or {_ELSEWHERE}",
    errno.EIO: "check the disk and run the same command again",
    errno.ESTALE: "check the network drive and run the same command again",
    errno.EISDIR: "give the path of a file",
    errno.ENOTDIR: _NO_FILE,
    errno.EEXIST: _NO_FILE,
    errno.ENAMETOOLONG: "choose a shorter name",
}


def disk_sentence(
    error: OSError, path: str | None = None, what: str = "cannot be read or written"
) -> str | None:
    """Say what the system has against a file and what to do about it; None for a bug of ours."""
    number, reason = error.errno, error.strerror
    if path is None and isinstance(error.filename, str | bytes | os.PathLike):
        path = os.fsdecode(error.filename)
    # These are of a file even where none is named; the others may be of a process or connection.
    of_a_disk = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
    if number not in CURES or reason is None or (path is None and not of_a_disk):
        return None
    if number in (errno.EEXIST, errno.ENOTDIR):
        # A directory that is there already where one is made is no fault of a user.
        above = [Path(path or "."), *Path(path or ".").parents]
        found = next((place for place in above if place.exists() and not place.is_dir()), None)
        if found is None:
            return None
        reason = f"{found} is a file, not a directory"
    return f"{path or 'a file'}: {what} ({reason}); {CURES[number]}"


def run_main(function: Callable[[], object], program: str = "handan") -> NoReturn:
    """Run an entry point and end the process.

    ``UserError`` and what ``disk_sentence`` says become ``PROGRAM: error: SENTENCE`` on stderr and
    exit code 2, Ctrl-C exit code 130, and a reader that went away (``handan align | head``) silence
    and 141. Any other exception is a bug and keeps its traceback. What is printed shows at once.
    """
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal that cannot show a model's name shows its code, rather than a traceback.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        code: int | str | None = _exit_code(function, program)
    except SystemExit as end:  # of a request to stop, or of the command line
        code = end.code
    torch = sys.modules.get("torch")
    grouped = torch and torch.distributed.is_available() and torch.distributed.is_initialized()
    # Processes of multiprocessing end without taking their interpreter apart by themselves.
    if not grouped or multiprocessing.parent_process() is not None or isinstance(code, str):
        sys.exit(code)
    # One of several processes must: a thread of gloo that frees a tensor meanwhile aborts it, and
    # the launcher then stops the others while they still write. Destroying a group need not end
    # its threads.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # as at any other end of Python
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code or 0)


def _exit_code(function: Callable[[], object], program: str) -> int:
    try:
        end_with_launcher()
        function()
        sys.stdout.flush()
        return 0
    except UserError as error:
        sentence = str(error)
    except KeyboardInterrupt:
        print(f"{program}: stopped by Ctrl-C; {_AGAIN}", file=sys.stderr)
        return 130
    except OSError as error:
        # Only another write can tell whether it was stdout: the failed one may have emptied the
        # buffer. Some other pipe (a worker, a tracker) that breaks is no reason for silence.
        of_stdout = False
        if error.filename is None:
            try:
                print(flush=True)
            except OSError as again:
                of_stdout = again.errno == error.errno
        found = disk_sentence(error, "standard output" if of_stdout else None)
        broken = of_stdout and error.errno == errno.EPIPE
        if found is None and not broken:
            raise
        if of_stdout:  # the interpreter flushes it once more on its way out: into nothing
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if broken:
            return 141
        sentence = str(found)
    print(f"{program}: error: {printable(sentence)}", file=sys.stderr)
    return 2


def printable(text: str) -> str:
    """The text with every control, format and unassigned character shown as '?'."""
    if text.isprintable():  # most texts, told much faster than character by character
        return text
    return "".join(character if character.isprintable() else "?" for character in text)
