"""Packing without loss: every trace whole and once, and no trace visible to another.

Packed rows are long rows of several traces. TRL cuts what is longer than ``max_length``, and an
attention that does not know where a trace begins lets it read the ones before it. Neither shows in
the loss, so both are checked before the first step.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import TrainerCallback

from handan.errors import UserError

# Rounding changes logits by less than this part of what another trace in front changes.
LEAK = 1e-3


def documents(packed: Sequence[dict]) -> Iterator[dict]:
    """The traces in packed rows, each with its ``input_ids`` and ``labels``."""
    for row in packed:
        start = 0
        for length in row["seq_lengths"]:
            yield {key: row[key][start : start + length] for key in ("input_ids", "labels")}
            start += length


def check_whole(packed: Sequence[dict], rows: Sequence[dict], place: str) -> None:
    """Stop unless the packed rows hold exactly the rows that were packed.

    Args:
        packed: rows with ``input_ids``, ``labels`` and ``seq_lengths``.
        rows: with ``input_ids`` and ``labels``, in any order.
        place: the trace file, whose lines the rows are.

    Raises:
        UserError: a trace is cut, missing, or there more often than once.
    """

    def content(row: dict) -> tuple:
        return tuple(row["input_ids"]), tuple(row["labels"])

    found = Counter(map(content, documents(packed)))
    for number, row in enumerate(rows, start=1):
        if not found[content(row)]:
            raise UserError(
                f"{place}, line {number}: the trace is not whole in the packed rows; set "
                f"max_length to at least {max(len(row['input_ids']) for row in rows)}"
            )
        found[content(row)] -= 1
    if found.total():
        raise UserError(
            f"{place}: packed rows hold {found.total()} pieces that are no traces; set packing to "
            "false"
        )


class LeakCheck(TrainerCallback):
    """Before the first step, changes the first trace of a packed batch and looks at the others.

    Args:
        trainer: with packed training data.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        data = self.trainer.train_dataset
        row = next((row for row in data if len(row["seq_lengths"]) > 1), None)
        if row is None:
            return  # no row holds two traces
        length = row["seq_lengths"][0]
        ids = row["input_ids"]
        other = {**row, "input_ids": ids[:length][::-1] + ids[length:]}
        first, second = (self._logits(r) for r in (row, other))
        change = (first - second).abs()
        inside, beyond = change[:length].max().item(), change[length:].max().item()
        if not beyond <= LEAK * inside:
            kind = self.trainer.model.config._attn_implementation
            raise UserError(
                f"packed traces read the ones before them under attn_implementation {kind}; use "
                "flash_attention_2 or another one that keeps them apart, or set packing to false"
            )

    def _logits(self, row: dict) -> torch.Tensor:
        model = self.trainer.model_wrapped
        batch = self.trainer._prepare_inputs(self.trainer.data_collator([row]))
        del batch["labels"]
        training = model.training
        model.eval()
        with torch.no_grad(), self.trainer.compute_loss_context_manager():
            logits = model(**batch, use_cache=False).logits[0].float()
        model.train(training)
        return logits
