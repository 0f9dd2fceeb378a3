"""The items of one probe as a table: small, and of text that stays text."""

from collections import Counter

from handan.text import plain

COLUMNS = [
    "step",
    "task",
    "item",
    "human_rt_s",
    "samples",
    "mean_reasoning_tokens",
    "status",
    "correct",
    "text",
]
MOST_ITEMS = 500
MOST_CHARACTERS = 1_000


def item_table(
    responses: list[dict], human_rt_s: dict[tuple[str, str], float | None]
) -> tuple[list[str], list[list]]:
    """Column names and one row an item, in the order of the suite.

    ``status`` counts how the samples ended, ``correct`` is the share of correct ones, ``text`` the
    first of them, clipped. Of a suite with more than ``MOST_ITEMS`` items every so many-th is
    taken, and a last row says how many were left out.

    Args:
        responses: rows of ``probe.jsonl`` or ``full.jsonl`` of one step; greedy ones (sample -1)
            are left out.
        human_rt_s: seconds by task and item.
    """
    items: dict[tuple[str, str], list[dict]] = {}
    for row in responses:
        if row["sample"] >= 0:
            items.setdefault((row["task"], row["item"]), []).append(row)
    shown = list(items)
    if left_out := max(0, len(items) - MOST_ITEMS):
        shown = [shown[place * len(items) // MOST_ITEMS] for place in range(MOST_ITEMS)]
    table = [_item_row(items[key], human_rt_s.get(key)) for key in shown]
    if left_out:
        note = f"{left_out} more items are in the files of the run"
        table.append([responses[0]["step"], *[None] * (len(COLUMNS) - 2), note])
    return COLUMNS, table


def _item_row(samples: list[dict], human_rt_s: float | None) -> list:
    first, number = samples[0], len(samples)
    ended = Counter(row["status"] for row in samples)
    return [
        first["step"],
        plain(first["task"]),
        plain(first["item"]),
        human_rt_s,
        number,
        sum(row["reasoning_tokens"] for row in samples) / number,
        ", ".join(f"{count} {status}" for status, count in sorted(ended.items())),
        sum(row["correct"] for row in samples) / number,
        clipped(plain(first["text"])),
    ]


def clipped(text: str) -> str:
    """At most so many characters of a text, and how many are left out."""
    more = len(text) - MOST_CHARACTERS
    return text if more <= 0 else f"{text[:MOST_CHARACTERS]}… ({more} more characters)"
