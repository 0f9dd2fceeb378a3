"""The unit of human data: one answer of one person."""

from typing import NamedTuple


class Trial(NamedTuple):
    """One answer of one person.

    Attributes:
        participant: whose it is.
        item: the item's key.
        rt_s: response time in seconds; NaN where the source records none or contradicts itself.
        correct: whether the answer is right; None where the item has no right answer.
        number: place of the trial among those of its participant, from whatever number on; None
            where the order is not known.
    """

    participant: str
    item: str
    rt_s: float
    correct: bool | None
    number: float | None = None
