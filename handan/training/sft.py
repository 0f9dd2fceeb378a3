"""Padded rows of supervised batches, regrouped so that rows of similar lengths go together.

A batch takes as long as its longest row. Which rows belong to an optimizer step is left as it is.
The loss of a step is a sum over its tokens, so its gradient does not depend on which of its rows go
through the model together, but for the order in which numbers are added.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate.utils import DistributedType
from transformers import TrainerCallback
from trl import SFTTrainer

from handan.errors import UserError
from handan.training.ledger import Ledger
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


# TRL's trainer of imitation, with tokens counted into the ledger and work on padding left out.

# What one more pass through a model costs, in tokens: the dispatch of its operations, and on an
# accelerator the cores that idle.
OVERHEAD_TOKENS = {"cpu": 64}
OVERHEAD_TOKENS_OF_ACCELERATORS = 4096
# Elsewhere a pass through the model is a meeting of all processes, or reduces the gradients.
FREE_PASSES = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
# So few logits are computed at once: TRL's tiles save memory, but without Triton they cost more.
FEW_LOGITS = 2**22


class LedgerSFTTrainer(SFTTrainer):
    """SFT whose trained and processed tokens go into ``ledger``.

    The rows of an optimizer step are those of TRL. The rows of its micro-batches are sorted by
    length, and in one process or under DDP a micro-batch goes through the model in parts of similar
    lengths where that is cheaper. The loss is a sum over the tokens of the step, so its gradient
    stays what it is. Packed rows, label smoothing, and mixtures of experts whose loss has a part
    for each batch are left to TRL.
    """

    ledger: Ledger
    _plain = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of each part so far: tokens with a loss, those the model holds likeliest, their entropy.
        self._sums: list[torch.Tensor] = []

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple:
        """The micro-batches of a step, rows of similar lengths together."""
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if len(batches) > 1 and all(self._is_plain(batch, num_items) for batch in batches):
            batches = regroup(batches)
        return batches, num_items

    def training_step(self, model: Any, inputs: dict, num_items_in_batch: Any = None) -> Any:
        """Count the micro-batch over all processes, then train on it."""
        inputs = self._prepare_inputs(inputs)
        # Packed batches are one long row without padding, and without a mask.
        mask = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
        counts = torch.stack([(inputs["labels"] != IGNORED).sum(), mask.sum()])
        trained, processed = self.accelerator.reduce(counts).tolist()
        self.ledger.counts["trained_tokens"] += trained
        self.ledger.counts["processed_tokens"] += processed
        self._plain = self._is_plain(inputs, num_items_in_batch)
        if not self._plain:
            return super().training_step(model, inputs, num_items_in_batch)
        *first, last = self._parts(inputs)
        loss: Any = 0.0
        for part in first:
            with self.accelerator.no_sync(model):
                loss += super().training_step(model, part, num_items_in_batch)
        loss += super().training_step(model, last, num_items_in_batch)
        self._total_train_tokens += processed
        if self.accelerator.sync_gradients:
            self._note_metrics()
        return loss

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss; what TRL logs beside it waits for the other parts of the step."""
        if return_outputs or not (self.model.training and self._plain):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        log_probs, entropy, is_top1 = self._read(model, inputs)
        per_token = -log_probs
        if self.args.loss_type == "dft":
            per_token = per_token * log_probs.exp().detach()
        loss = per_token.sum() / torch.as_tensor(num_items_in_batch).clamp(min=1)
        if self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over them
        valid = (inputs["labels"][:, 1:] != IGNORED).sum()
        self._sums.append(torch.stack([valid, is_top1.sum(), entropy.detach().sum()]).float())
        return loss

    def _read(self, model: Any, inputs: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log-probability of every label, entropy there, and whether it is the likeliest."""
        seen = {"input_ids": inputs["input_ids"], "use_cache": False}
        if self.model.config._attn_implementation != "sdpa":
            seen["attention_mask"] = inputs["attention_mask"]
        # Without a mask: what is causal never looks at padding on the right, and attention that
        # only needs to be causal leaves half of the work out.
        labels = inputs["labels"]
        num_logits = labels.numel() * self.model.config.get_text_config().vocab_size
        if labels.device.type != "cpu" or num_logits > FEW_LOGITS:
            out = model(**seen, labels=labels, fused_lm_head=True)
            return out.log_probs, out.entropy, out.is_top1
        logits = model(**seen).logits[:, :-1]
        mask = labels[:, 1:] != IGNORED
        targets = labels[:, 1:][mask]
        log_probs = torch.log_softmax(logits[mask].float(), -1)
        with torch.no_grad():
            entropy = -(log_probs.exp() * log_probs).sum(-1)
            is_top1 = log_probs.argmax(-1) == targets
        return log_probs.gather(1, targets[:, None])[:, 0], entropy, is_top1

    def _is_plain(self, batch: dict, num_items_in_batch: Any) -> bool:
        """Whether the loss of a batch is a sum over its rows, which are padded on the right."""
        return (
            num_items_in_batch is not None
            and self.compute_loss_func is None
            and self.label_smoother is None
            and not self.aux_loss_enabled
            and self.accelerator.parallelism_config is None
            and is_padded_on_the_right(batch)
        )

    def _parts(self, inputs: dict) -> list[dict]:
        if self.accelerator.distributed_type not in FREE_PASSES:
            return [inputs]
        device = inputs["input_ids"].device.type
        return split(inputs, OVERHEAD_TOKENS.get(device, OVERHEAD_TOKENS_OF_ACCELERATORS))

    def _note_metrics(self) -> None:
        """What TRL logs, over all tokens of the step, on whatever process they are."""
        sums = torch.stack(self._sums).sum(0)
        self._sums.clear()
        valid, correct, entropy = self.accelerator.reduce(sums).tolist()
        values = self._metrics["train"]
        values["entropy"].append(entropy / max(valid, 1))
        values["mean_token_accuracy"].append(correct / max(valid, 1))
        values["num_tokens"] = [self._total_train_tokens]


# Packing without loss: every trace whole and once, and no trace visible to another.

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
