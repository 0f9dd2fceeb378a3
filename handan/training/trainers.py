"""TRL's trainers of arms with completions of their own, without work on common padding."""

from typing import Any

import torch
from trl import DistillationTrainer, GRPOTrainer

from handan import generate
from handan.formats import ReasoningFormat
from handan.training import importance
from handan.training.generation import draw
from handan.training.rollouts import Rollouts, metrics


class EvaluationPrompts:
    """Prompts of training, token by token those of an evaluation.

    TRL renders a chat template by itself: without the format's arguments, with today's date where
    the template writes it, and not at all for a base model that has none. ``form`` must be set
    before training.
    """

    form: ReasoningFormat
    processing_class: Any

    def _tokenize_prompts(self, prompts: list) -> tuple[list[list[int]], None, dict]:
        questions = [messages[-1]["content"] for messages in prompts]
        ids = [list(generate.prompt_ids(self.processing_class, q, self.form)) for q in questions]
        return ids, None, {}  # neither images nor what belongs to them


class LengthSortedGRPOTrainer(EvaluationPrompts, GRPOTrainer):
    """GRPO whose micro-batches hold completions of similar length, without common padding.

    TRL pads every micro-batch to the longest completion of the generation batch. The micro-batches
    of one optimizer step are regrouped by length here; their gradients are summed, so which
    completion is in which of them makes no difference for the loss types named below. What vLLM's
    completions weigh in the loss goes to ``awaiting``, the rollouts that wait for it.
    """

    awaiting: Rollouts | None = None
    _buffered_inputs: list[dict]

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict:
        scored = super()._generate_and_score_completions(inputs)
        if self.awaiting:
            self.awaiting.weigh(importance.of_completions(scored))
        return scored

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        window = self.args.steps_per_generation
        fresh = self.model.training and self._step % (window * self.num_iterations) == 0
        same_step = window == self.args.gradient_accumulation_steps and self.num_iterations == 1
        if not (fresh and same_step and self.loss_type in ("dapo", "grpo", "dr_grpo", "cispo")):
            return inputs
        self._buffered_inputs = regroup_by_length(self._buffered_inputs)
        return self._buffered_inputs[0]


class LedgerDistillationTrainer(EvaluationPrompts, DistillationTrainer):
    """On-policy distillation with our completions, each of them graded, counted and recorded.

    ``rollouts`` too must be set before training. Grades are for the record; the teacher's
    distribution alone is learned from.
    """

    rollouts: Rollouts
    _buffered_inputs: list[dict]

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict:
        self._prompts = inputs
        return super()._generate_and_score_completions(inputs)

    def _generate_single_turn(self, prompt_ids: list, *rest: Any, **more: Any) -> list:
        if self.use_vllm:
            completion_ids = super()._generate_single_turn(prompt_ids, *rest, **more)
        else:
            completion_ids = draw(self, prompt_ids)
        step = self.state.global_step + 1
        for name, value in metrics(self.rollouts.read(self._prompts, completion_ids, step)).items():
            self._metrics["train"][name].append(value)
        tokens = sum(map(len, prompt_ids)) + sum(map(len, completion_ids))
        counts = self.accelerator.reduce(torch.tensor(tokens, device=self.accelerator.device))
        self.rollouts.ledger.counts["teacher_scored_tokens"] += int(counts)
        return completion_ids

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        # The loss is a sum over all tokens of a step, so any grouping gives the same gradient.
        if self.model.training and self._step % self.args.gradient_accumulation_steps == 0:
            self._buffered_inputs = regroup_by_length(self._buffered_inputs)
            return self._buffered_inputs[0]
        return inputs


def regroup_by_length(batches: list[dict]) -> list[dict]:
    """The same rows in as many batches of the same sizes, sorted by length and trimmed.

    Args:
        batches: dicts of tensors; those with two axes are (rows, tokens), prompts padded on the
            left, everything else on the right; tensors without axes are shared by all batches.
    """
    sizes = [len(batch["completion_ids"]) for batch in batches]
    merged = {
        key: torch.cat([batch[key] for batch in batches])
        for key, value in batches[0].items()
        if isinstance(value, torch.Tensor) and value.ndim
    }
    order = torch.argsort(merged["completion_mask"].sum(1), stable=True)
    out = []
    for rows, batch in zip(order.split(sizes), batches, strict=True):
        regrouped = dict(batch)
        for key, value in merged.items():
            regrouped[key] = value[rows]
        prompt_length = max(1, int(regrouped["prompt_mask"].sum(1).max()))
        completion_length = max(1, int(regrouped["completion_mask"].sum(1).max()))
        for key, value in merged.items():
            if key in ("prompt_ids", "prompt_mask"):
                regrouped[key] = regrouped[key][:, -prompt_length:]
            elif value.ndim == 2:
                regrouped[key] = regrouped[key][:, :completion_length]
        out.append(regrouped)
    return out


def rollout(prompts: list, trainer: Any) -> dict:
    """TRL's ``rollout_func``: completions that do not depend on the number of processes.

    TRL's own loop keeps a whole batch running until its longest completion ends.
    """
    prompt_ids, *_ = trainer._tokenize_prompts(prompts)
    return {
        "prompt_ids": prompt_ids,
        "completion_ids": draw(trainer, prompt_ids),
        "logprobs": None,
    }
