"""TRL's trainer of imitation, with tokens counted and work on padding left out; packing checked."""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch.nn.functional import pad
from transformers import TrainerCallback
from trl import SFTTrainer

from handan.errors import UserError
from handan.training.labels import IGNORED
from handan.training.ledger import Ledger

Batch = dict[str, torch.Tensor]
# What a cell of padding holds; masked and without a loss, so any token will do.
FILL = {"input_ids": 0, "labels": IGNORED, "attention_mask": 0}
# Elsewhere a pass through the model is a meeting of all processes, or reduces the gradients.
FREE_PASSES = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
# So many logits are computed at once on a CPU: TRL's tiles save memory, but without Triton they
# cost more. In 32 bits they are half a GiB, of which five or six copies are there at a time.
MANY_LOGITS = 2**27
# Above so many, the last layer is worth leaving out where no row has a label.
FEW_LOGITS = 2**22
# Rows whose distributions, of 49,152 tokens, stay in a cache.
FEW_ROWS = 32


class LedgerSFTTrainer(SFTTrainer):
    """SFT that counts into ``ledger`` and sorts the rows of a step, if plain, by length."""

    ledger: Ledger
    _plain = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of each part so far: tokens with a loss, those the model holds likeliest, their entropy.
        self._sums: list[torch.Tensor] = []

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple:
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        # The loss of a step is a sum over its tokens: the gradient is the same for any division.
        plain = len(batches) > 1 and all(self._is_plain(batch, num_items) for batch in batches)
        return regroup(batches) if plain else batches, num_items

    def training_step(self, model: Any, inputs: dict, num_items_in_batch: Any = None) -> Any:
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
        parts = [inputs]
        if self.accelerator.distributed_type in FREE_PASSES:
            # One more pass costs the dispatch of operations, on an accelerator idle cores too. In
            # bf16 it also casts all weights, and all gradients back.
            on_cpu = 256 if self.args.bf16 else 64
            parts = split(inputs, on_cpu if inputs["input_ids"].device.type == "cpu" else 4096)
        loss: Any = 0.0
        for part in parts[:-1]:
            with self.accelerator.no_sync(model):
                loss += super().training_step(model, part, num_items_in_batch)
        loss += super().training_step(model, parts[-1], num_items_in_batch)
        self._total_train_tokens += processed
        if self.accelerator.sync_gradients:  # TRL's log, over all tokens of the step
            sums = torch.stack(self._sums).sum(0)
            self._sums.clear()
            valid, correct, entropy = self.accelerator.reduce(sums).tolist()
            values = self._metrics["train"]
            values["entropy"].append(entropy / max(valid, 1))
            values["mean_token_accuracy"].append(correct / max(valid, 1))
            values["num_tokens"] = [self._total_train_tokens]
        return loss

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute TRL's loss; what TRL logs beside it waits for the other parts of the step."""
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
        """Compute the log-probability of every label, the entropy there, and if it is likeliest."""
        seen = {"input_ids": inputs["input_ids"], "use_cache": False}
        if self.model.config._attn_implementation != "sdpa":
            seen["attention_mask"] = inputs["attention_mask"]
        # Without a mask: what is causal never looks at padding on the right, and attention that
        # only needs to be causal leaves half of the work out.
        labels = inputs["labels"]
        num_logits = labels.numel() * self.model.config.get_text_config().vocab_size
        if labels.device.type != "cpu" or num_logits > MANY_LOGITS:
            out = model(**seen, labels=labels, fused_lm_head=True)
            return out.log_probs, out.entropy, out.is_top1
        if num_logits > FEW_LOGITS:
            labels = labels[:, int((labels[:, 1:] != IGNORED).any(0).int().argmax()) :]
            seen["logits_to_keep"] = labels.shape[1]
        logits = model(**seen).logits[:, :-1]
        mask = labels[:, 1:] != IGNORED
        targets = labels[:, 1:][mask]
        log_probs = torch.log_softmax(logits[mask].float(), -1)
        with torch.no_grad():
            entropy = [-(few.exp() * few).sum(-1) for few in log_probs.split(FEW_ROWS)]
            is_top1 = log_probs.argmax(-1) == targets
        return log_probs.gather(1, targets[:, None])[:, 0], torch.cat(entropy), is_top1

    def _is_plain(self, batch: dict, num_items_in_batch: Any) -> bool:
        return (
            num_items_in_batch is not None
            and self.compute_loss_func is None
            and self.label_smoother is None
            and not self.aux_loss_enabled
            and self.accelerator.parallelism_config is None
            and set(batch) == set(FILL)
            and bool(batch["attention_mask"][:, 0].all())
        )


def regroup(batches: Sequence[Batch]) -> list[Batch]:
    """Sort rows padded on the right by length, into as many batches of the same sizes, trimmed."""
    width = max(batch["input_ids"].shape[1] for batch in batches)
    merged = {}
    for key, fill in FILL.items():
        values = [batch[key] for batch in batches]
        padded = [pad(value, (0, width - value.shape[1]), value=fill) for value in values]
        merged[key] = torch.cat(padded)
    order = torch.argsort(merged["attention_mask"].sum(1), stable=True)
    return [_rows_of(merged, rows) for rows in order.split([len(b["input_ids"]) for b in batches])]


def split(batch: Batch, overhead_tokens: int) -> list[Batch]:
    """Divide rows padded on the right into parts of similar lengths; they may stay whole."""
    lengths = batch["attention_mask"].sum(1)
    order = torch.argsort(lengths, stable=True)
    sizes = cheapest_sizes(lengths[order].tolist(), overhead_tokens)
    return [_rows_of(batch, rows) for rows in order.split(sizes)]


def _rows_of(batch: Batch, rows: torch.Tensor) -> Batch:
    length = int(batch["attention_mask"][rows].sum(1).max())
    return {key: value[rows, :length] for key, value in batch.items()}


def cheapest_sizes(lengths: Sequence[int], overhead_tokens: int) -> list[int]:
    """Divide ascending lengths into consecutive groups whose padded cells and passes cost least."""
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


class LeakCheck(TrainerCallback):
    """Changes, before the first step, the first trace of a packed row and looks at the others."""

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
        change = (self._logits(row) - self._logits(other)).abs()
        inside, beyond = change[:length].max().item(), change[length:].max().item()
        if not beyond <= 1e-3 * inside:  # less is rounding
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
