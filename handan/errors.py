"""The one exception that means 'the user can mend this', and the one place that tells it.

Every entry point, the ``handan`` command and the scripts in ``recipes/`` and ``eval/`` alike, ends
with::

    if __name__ == "__main__":
        run_main(main)
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """Bad input, told in one sentence: which file, line, item or key, and what to do.

    Every entry point prints the sentence without a traceback and exits with code 2.
    """


def run_main(function: Callable[[], object], program: str = "handan") -> NoReturn:
    """Run an entry point and end the process, with nothing but one line for what a user can mend.

    A ``UserError`` becomes ``PROGRAM: error: SENTENCE`` on stderr and exit code 2, Ctrl-C exit
    code 130, and a reader that went away (``handan align costs.csv | head``) silence and 141, as
    if the signal had ended the process. Any other exception is a bug and keeps its traceback.

    Args:
        function: the entry point; what it returns is ignored.
        program: the name in front of the message.
    """
    code = 0
    try:
        function()
        sys.stdout.flush()
    except UserError as error:
        print(f"{program}: error: {printable(str(error))}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Some other pipe (a worker, a tracker) that breaks is no reason for silence.
        if not _stdout_is_broken():
            raise
        # The interpreter flushes stdout once more on its way out: let it flush into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code)


def printable(text: str) -> str:
    """The text with every control, format and unassigned character shown as '?'."""
    if text.isprintable():  # most texts, told much faster than character by character
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


def _stdout_is_broken() -> bool:
    """Only a write can tell: the failed one has emptied the buffer, so flushing would succeed."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False
