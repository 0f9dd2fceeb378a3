"""A script of the project as a rank that ``torchrun --run-path --start-method fork`` has forked.

The launcher waits for a rank to return, and scripts exit instead.
"""

import runpy
import sys

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
