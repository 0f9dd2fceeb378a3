"""A picture: what is shown, its numbers in words, and how to draw it."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure


class Picture(NamedTuple):
    """One figure that can be drawn.

    Attributes:
        kind: key of ``gallery.KINDS``.
        parts: what tells it from others of its kind, such as task and arm; text of others.
        title: what is shown.
        caption: how to read it, and its numbers: n, intervals, ceiling.
        draw: draws it anew.
        task, arm: the one it is about, if it is about one.
    """

    kind: str
    parts: tuple[str, ...]
    title: str
    caption: str
    draw: Callable[[], Figure]
    task: str | None = None
    arm: str | None = None
