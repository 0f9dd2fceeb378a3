"""TRL's trainer of imitation, with tokens counted into the ledger and work on padding left out."""

from typing import Any

import torch
from accelerate.utils import DistributedType
from trl import SFTTrainer

from handan.training import padding
from handan.training.ledger import Ledger
from handan.training.span_audit import IGNORED

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
            batches = padding.regroup(batches)
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
            and padding.is_padded_on_the_right(batch)
        )

    def _parts(self, inputs: dict) -> list[dict]:
        if self.accelerator.distributed_type not in FREE_PASSES:
            return [inputs]
        device = inputs["input_ids"].device.type
        return padding.split(inputs, OVERHEAD_TOKENS.get(device, OVERHEAD_TOKENS_OF_ACCELERATORS))

    def _note_metrics(self) -> None:
        """What TRL logs, over all tokens of the step, on whatever process they are."""
        sums = torch.stack(self._sums).sum(0)
        self._sums.clear()
        valid, correct, entropy = self.accelerator.reduce(sums).tolist()
        values = self._metrics["train"]
        values["entropy"].append(entropy / max(valid, 1))
        values["mean_token_accuracy"].append(correct / max(valid, 1))
        values["num_tokens"] = [self._total_train_tokens]
