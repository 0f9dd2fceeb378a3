"""Padded rows of supervised batches, regrouped so that rows of similar lengths go together.

A batch takes as long as its longest row. Which rows belong to an optimizer step is left as it is.
The loss of a step is a sum over its tokens, so its gradient does not depend on which of its rows go
through the model together, but for the order in which numbers are added.
"""

from collections.abc import Sequence

import torch

from handan.training.span_audit import IGNORED

Batch = dict[str, torch.Tensor]
KEYS = {"input_ids", "labels", "attention_mask"}
# What a cell of padding holds; masked and without a loss, so any token will do.
FILL = {"input_ids": 0, "labels": IGNORED, "attention_mask": 0}


def is_padded_on_the_right(batch: Batch) -> bool:
    """Whether a batch is rows of tokens that all begin in the first column, and nothing else."""
    return set(batch) == KEYS and bool(batch["attention_mask"][:, 0].all())


def rows_of(batch: Batch, rows: torch.Tensor) -> Batch:
    """Some rows of a batch, cut to the longest of them."""
    length = int(batch["attention_mask"][rows].sum(1).max())
    return {key: value[rows, :length] for key, value in batch.items()}


def regroup(batches: Sequence[Batch]) -> list[Batch]:
    """The same rows in as many batches of the same sizes, sorted by length and trimmed."""
    width = max(batch["input_ids"].shape[1] for batch in batches)

    def widened(key: str, value: torch.Tensor) -> torch.Tensor:
        room = (0, width - value.shape[1])
        return torch.nn.functional.pad(value, room, value=FILL[key])

    merged = {key: torch.cat([widened(key, batch[key]) for batch in batches]) for key in KEYS}
    order = torch.argsort(merged["attention_mask"].sum(1), stable=True)
    sizes = [len(batch["input_ids"]) for batch in batches]
    return [rows_of(merged, rows) for rows in order.split(sizes)]


def split(batch: Batch, overhead_tokens: int) -> list[Batch]:
    """A batch in parts of similar lengths, shortest first; it may stay whole.

    Args:
        batch: rows that are padded on the right.
        overhead_tokens: what one more pass through the model costs, in tokens.
    """
    lengths = batch["attention_mask"].sum(1)
    order = torch.argsort(lengths, stable=True)
    sizes = cheapest_sizes(lengths[order].tolist(), overhead_tokens)
    return [rows_of(batch, rows) for rows in order.split(sizes)]


def cheapest_sizes(lengths: Sequence[int], overhead_tokens: int) -> list[int]:
    """Sizes of consecutive groups whose cells and passes cost least together.

    Args:
        lengths: of the rows, ascending.
        overhead_tokens: of one group.
    """
    costs, starts = [0], [0]
    for end in range(1, len(lengths) + 1):
        cost, start = min(
            (costs[start] + (end - start) * lengths[end - 1] + overhead_tokens, start)
            for start in range(end)
        )
        costs.append(cost)
        starts.append(start)
    sizes: list[int] = []
    end = len(lengths)
    while end:
        sizes.insert(0, end - starts[end])
        end = starts[end]
    return sizes
