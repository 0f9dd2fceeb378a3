"""``python -m handan`` is the ``handan`` command."""

from handan.cli import main

main()
