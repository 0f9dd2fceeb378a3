"""Arms that draw their own completions: trainers, generation, verifiable reward, their record."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import TrainerCallback
from trl import DistillationTrainer, GRPOTrainer
from trl.models import unwrap_model_for_generation

from handan.errors import UserError
from handan.evaluation.grading import read_completion
from handan.files import append_jsonl, read_jsonl
from handan.generation.formats import ReasoningFormat
from handan.generation.loading import eos_ids
from handan.generation.prompting import Decoding, prompt_ids
from handan.generation.sampling import response_seed
from handan.generation.transformers_engine import complete, halve_weights
from handan.training.data import COLUMNS, question_from_row
from handan.training.ledger import Ledger
from handan.training.rewards import Reward, load_rewards

Ids = Sequence[int]
ROLLOUTS = "rollouts.jsonl"
# Of what is read of a completion, what a row and a reward of one's own know.
READ = ("reasoning_tokens", "answer_tokens", "status", "correct")
# The text of so many completions of a batch is kept, and so many characters of each.
TEXTS = 4
TEXT_CHARACTERS = 2000
GUARD_BATCHES = 5  # after so many a run that is wasted is stopped
EARLY = (1, 10)  # after so many steps it is told that there was no gradient yet
# After so many steps a run stops if a smaller share of its groups had a gradient.
MANY_STEPS, LEAST_SHARE = 20, 0.05
# What becomes of completions, and what to do if nearly all are of one kind.
OUTCOMES = {
    "truncated": "raise max_completion_length, or start from a model that stops",
    "wrong": "choose easier prompts, raise num_generations, or begin with supervised fine-tuning",
    "right": "choose harder prompts, or raise temperature",
    "ungraded": "choose prompts with simpler answers",
}
# No larger ratio is written: beyond it are numbers that JSON does not have.
MAX_RATIO = 1e30


@contextmanager
def generating(trainer: Any) -> Iterator[Any]:
    """Give the trained model with all weights on this process, so it can generate alone."""
    with unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    ) as model:
        parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        # FSDP has weights in half precision itself, as DeepSpeed does.
        halved = [] if parts else halve_weights(model, trainer.accelerator.mixed_precision)
        try:
            yield model
        finally:
            for layer, weight in halved:
                layer.weight = weight
            for part in parts:
                # Of a module's own setting nothing can be read; the launch config's holds for all.
                kept = trainer.accelerator.state.fsdp_plugin.reshard_after_forward
                part.set_reshard_after_forward(kept, recurse=False)
                part.reshard()


def draw(trainer: Any, prompts: Sequence[Ids]) -> list[list[int]]:
    """Draw completions of this process's share of prompts, the same on any number of processes."""
    arguments = trainer.args
    decoding = Decoding(arguments.temperature, arguments.top_p, arguments.max_completion_length)
    first = trainer.accelerator.process_index * len(prompts)
    batch = arguments.seed, trainer.state.global_step
    seeds = [response_seed(*batch, first + i, list(ids)) for i, ids in enumerate(prompts)]
    with generating(trainer) as model:
        ends = eos_ids(model, trainer.processing_class)
        return complete(model, prompts, decoding, ends, seeds)


def rollout(prompts: list, trainer: Any) -> dict:
    """Draw as TRL's ``rollout_func``; TRL's own loop runs a whole batch to its longest end."""
    ids, *_ = trainer._tokenize_prompts(prompts)
    return {"prompt_ids": ids, "completion_ids": draw(trainer, ids), "logprobs": None}


@dataclass
class Rollouts:
    """Reads the completions of one generation batch after another."""

    tokenizer: Any
    model: Any
    form: ReasoningFormat
    max_completion_length: int
    ledger: Ledger
    length_price: float = 0.0  # lost per 100 reasoning tokens
    price_right_only: bool = False
    rewards: Mapping[str, Reward] = field(default_factory=lambda: load_rewards(None))
    group_size: int | None = None  # without it no rewards are compared
    passes: int = 1
    masks_truncated: bool = False
    await_weights: bool = False  # rows then wait until ``weigh`` says what their tokens weigh

    def __post_init__(self) -> None:
        self.ends = eos_ids(self.model, self.tokenizer)
        self.path = self.ledger.run_dir / ROLLOUTS
        self.first: list[dict] = []
        self.waiting: list[dict] = []
        self.batches = 0

    def read(
        self, prompts: list[dict], completion_ids: Sequence[Ids], step: int, known: Any = None
    ) -> list[dict]:
        """Grade, count and record completions of this process, trained on in optimizer ``step``.

        Functions of ``rewards`` are called with TRL's columns, ``known``, and what was read.
        """
        own: list[dict] = []
        world = self.ledger.world
        first, total = world.rank * len(completion_ids), world.size * len(completion_ids)
        with_text = {number * total // TEXTS for number in range(TEXTS)}
        for prompt, ids in zip(prompts, completion_ids, strict=True):
            asked = question_from_row(prompt), self.form, prompt["prompt_ids"]
            read = read_completion(self.tokenizer, *asked, ids, self.ends)
            masked = self.masks_truncated and read["status"] == "truncated"
            row = {"step": step, "task": prompt["task"], "item": prompt["item"]}
            row |= {key: read[key] for key in READ}
            row |= {"prompt_tokens": read["prompt_tokens"], "completion_tokens": len(ids)}
            row["trained_tokens"] = 0 if masked else len(ids)
            if first + len(own) in with_text:
                row["text"] = shortened(self.tokenizer.decode(ids), TEXT_CHARACTERS)
            own.append(row)
        self._reward(own, known or {})
        self.waiting = own
        if not self.await_weights:
            self._record(own)
        return own

    def _reward(self, own: list[dict], known: dict[str, Any]) -> None:
        known = known | {key: [row[key] for row in own] for key in READ}
        values = {name: one.values(name, len(own), known) for name, one in self.rewards.items()}
        for index, row in enumerate(own):
            row["rewards"] = {name: of[index] for name, of in values.items()}
            # Without a verdict TRL leaves the completion out of its group's mean and gives it no
            # advantage.
            row["reward"] = None
            if None not in row["rewards"].values():
                row["reward"] = sum(self.rewards[k].weight * v for k, v in row["rewards"].items())
                if row["correct"] or not self.price_right_only:
                    row["reward"] -= self.length_price * row["reasoning_tokens"] / 100

    def total(self, prompts: list, completion_ids: list[list[int]], **columns: Any) -> list:
        """Reward the right answer with 1, by default, and take off the price of its length."""
        keys = (*COLUMNS, "prompt_ids")
        rows = [{key: columns[key][index] for key in keys} for index in range(len(completion_ids))]
        more = [json.loads(text) for text in columns.pop("columns", [])]
        known = {key: [row.get(key) for row in more] for key in dict.fromkeys(chain(*more))}
        known |= {**columns, "prompts": prompts, "completion_ids": completion_ids}
        read = self.read(rows, completion_ids, columns["trainer_state"].global_step + 1, known)
        for name, value in batch_metrics(read).items():
            columns["log_metric"](name, value)
        return [row["reward"] for row in read]

    def weigh(self, weights: Sequence[dict]) -> None:
        """Record the completions that were read last, with their ``importance_weights``."""
        self._record([{**row, **more} for row, more in zip(self.waiting, weights, strict=True)])

    def _record(self, own: list[dict]) -> None:
        rows = self.ledger.world.gather(own)
        counts = self.ledger.counts
        generated = sum(row["completion_tokens"] for row in rows)
        prompts = sum(row["prompt_tokens"] for row in rows)
        counts["generated_tokens"] += generated
        counts["trained_tokens"] += self.passes * sum(row["trained_tokens"] for row in rows)
        counts["processed_tokens"] += self.passes * (generated + prompts)
        if self.ledger.world.rank == 0:
            append_jsonl(self.path, rows)
        # The first batches of all processes are looked at together, so that all of them stop.
        self.batches += 1
        if self.batches <= GUARD_BATCHES:
            self.first += rows
        if self.batches == GUARD_BATCHES and (reason := self._wasted(self.first)):
            raise UserError(reason)

    def _wasted(self, rows: list[dict]) -> str | None:
        share = sum(row["status"] == "truncated" for row in rows) / len(rows)
        if share > 0.95:
            return (
                f"{share:.0%} of the first {len(rows)} completions reached max_completion_length "
                f"= {self.max_completion_length}; raise it, or start from a model that stops"
            )
        if self.form.thinks and not any(row["reasoning_tokens"] for row in rows):
            return (
                f"none of the first {len(rows)} completions reasons between '{self.form.open}' and "
                f"'{self.form.close}', so every cost would be 0; set reasoning_format to "
                "asked_to_think, to plain to count whole responses, or start from a model that "
                "thinks"
            )
        return None


def shortened(text: str, most: int) -> str:
    """A text of at most ``most`` characters; of a longer one beginning and end stay."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def batch_metrics(rows: Sequence[dict]) -> dict[str, float]:
    """Means of one batch, for the trainer's log."""
    out = {}
    for key in ("reasoning_tokens", "answer_tokens"):
        out[f"cost/{key}"] = sum(row[key] for row in rows) / len(rows)
    out["status/accuracy"] = sum(row["correct"] is True for row in rows) / len(rows)
    out["status/ungraded_rate"] = sum(row["correct"] is None for row in rows) / len(rows)
    for status in ("truncated", "unparsed", "no_reasoning"):
        out[f"status/{status}_rate"] = sum(row["status"] == status for row in rows) / len(rows)
    for name in rows[0]["rewards"]:
        if given := [row["rewards"][name] for row in rows if row["rewards"][name] is not None]:
            out[f"rewards/{name}/mean"] = sum(given) / len(given)
    return out


class EvaluationPrompts:
    """Prompts of training, token by token those of an evaluation in ``form``, which must be set."""

    form: ReasoningFormat
    processing_class: Any

    def _tokenize_prompts(self, prompts: list) -> tuple[list[list[int]], None, dict]:
        questions = [messages[-1]["content"] for messages in prompts]
        ids = [list(prompt_ids(self.processing_class, q, self.form)) for q in questions]
        return ids, None, {}  # neither images nor what belongs to them


class LengthSortedGRPOTrainer(EvaluationPrompts, GRPOTrainer):
    """GRPO whose micro-batches hold completions of similar length, without common padding."""

    rollouts: Rollouts | None = None
    _buffered_inputs: list[dict]

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict:
        scored = super()._generate_and_score_completions(inputs)
        if self.rollouts and self.rollouts.await_weights:
            self.rollouts.weigh(importance_weights(scored))
        return scored

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        window = self.args.steps_per_generation
        fresh = self.model.training and self._step % (window * self.num_iterations) == 0
        # A step sums the gradients of its micro-batches, so for these losses any division will do.
        same_step = window == self.args.gradient_accumulation_steps and self.num_iterations == 1
        if not (fresh and same_step and self.loss_type in ("dapo", "grpo", "dr_grpo", "cispo")):
            return inputs
        self._buffered_inputs = regroup_by_length(self._buffered_inputs)
        return self._buffered_inputs[0]


class LedgerDistillationTrainer(EvaluationPrompts, DistillationTrainer):
    """On-policy distillation; ``rollouts``, which must be set, records and grades completions."""

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
        read = self.rollouts.read(self._prompts, completion_ids, self.state.global_step + 1)
        for name, value in batch_metrics(read).items():
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
    """Sort rows (prompts padded on the left) by length into batches of the same sizes, trimmed."""
    merged = {
        key: torch.cat([batch[key] for batch in batches])
        for key, value in batches[0].items()
        if isinstance(value, torch.Tensor) and value.ndim
    }
    order = torch.argsort(merged["completion_mask"].sum(1), stable=True)
    out = []
    sizes = [len(batch["completion_ids"]) for batch in batches]
    for rows, batch in zip(order.split(sizes), batches, strict=True):
        prompt_length = max(1, int(merged["prompt_mask"][rows].sum(1).max()))
        completion_length = max(1, int(merged["completion_mask"][rows].sum(1).max()))
        chosen = {key: value[rows] for key, value in merged.items()}
        for key, value in chosen.items():
            if key in ("prompt_ids", "prompt_mask"):
                chosen[key] = value[:, -prompt_length:]
            elif value.ndim == 2:
                chosen[key] = value[:, :completion_length]
        out.append(batch | chosen)
    return out


def importance_weights(scored: dict[str, Any]) -> list[dict]:
    """Say how each completion of TRL's generation batch, drawn by vLLM, is weighed in the loss.

    Rows have mean, least and largest ratio of the trainer's and vLLM's probabilities of a token
    before any clip, the mean weight after it, and how many tokens have a weight other than 0.
    """
    difference = scored["old_per_token_logps"] - scored["sampling_per_token_logps"]
    # A token whose probability vLLM does not tell is NaN, and TRL gives it the ratio 1.
    ratios = difference.nan_to_num(nan=0.0).double().exp().clamp(max=MAX_RATIO)
    weights = scored["importance_sampling_ratio"].double().clamp(max=MAX_RATIO).expand_as(ratios)
    out: list[dict] = []
    for ratio, weight, mask in zip(ratios, weights, scored["completion_mask"].bool(), strict=True):
        ratio, weight = ratio[mask], weight[mask]
        row = dict.fromkeys(("ratio_mean", "ratio_min", "ratio_max", "weight_mean"))
        if len(ratio):
            tensors = (ratio.mean(), ratio.min(), ratio.max(), weight.mean())
            row = {key: round(value.item(), 6) for key, value in zip(row, tensors, strict=True)}
        out.append({**row, "trained_tokens": int((weight != 0).sum())})
    return out


def learning_counts(rollouts: Rollouts) -> dict[str, int]:
    """Count what the completions of a run were, as ``count``, on all processes."""
    counted = []
    if rollouts.ledger.world.rank == 0:
        rows = read_jsonl(rollouts.path) if rollouts.path.exists() else []
        # Rows of an earlier release have no count of their own: all their tokens were trained.
        rows = [{"trained_tokens": row["completion_tokens"], **row} for row in rows]
        counted = [count(rows, rollouts.group_size)]
    return rollouts.ledger.world.gather(counted)[0]


def count(rows: Sequence[Mapping[str, Any]], group_size: int | None) -> dict[str, int]:
    """Count how many completions, batches and, with ``group_size``, groups taught anything."""
    graded = {True: "right", False: "wrong", None: "ungraded"}
    cut = "truncated"
    outcomes = [cut if row["status"] == cut else graded[row["correct"]] for row in rows]
    out = {"completions": len(rows), **{name: outcomes.count(name) for name in OUTCOMES}}
    out["without_loss"] = sum(not row["trained_tokens"] for row in rows)
    batches = [list(batch) for _, batch in groupby(rows, key=lambda row: row["step"])]
    size = group_size or 1
    groups = [[batch[i : i + size] for i in range(0, len(batch), size)] for batch in batches]

    def teaches(group: Sequence[Mapping[str, Any]]) -> bool:
        trained = [row for row in group if row["trained_tokens"]]
        if not group_size:
            return bool(trained)
        rewards = [row["reward"] for row in group if row["reward"] is not None]
        mean = sum(rewards) / max(len(rewards), 1)
        # A completion without a reward has no advantage.
        return any(abs(row["reward"] - mean) > 1e-9 for row in trained if row["reward"] is not None)

    teaching = [sum(map(teaches, batch)) for batch in groups]
    out |= {"batches": len(batches), "batches_without_gradient": teaching.count(0)}
    if group_size:
        out |= {"groups": sum(map(len, groups)), "groups_with_variance": sum(teaching)}
    return out


def without_gradient(found: Mapping[str, int], least_share: float = 0.0) -> str | None:
    """Say in one sentence why a run had no gradient, or in no larger share of groups than this,
    and what to do; None if it had one."""
    if not found or not found["batches"]:
        return None
    groups = found.get("groups", found["batches"])
    teaching = found["batches"] - found["batches_without_gradient"]
    teaching = found.get("groups_with_variance", teaching)
    if teaching > least_share * groups:
        return None
    most = max(OUTCOMES, key=lambda name: found[name])
    if "groups" in found and found["without_loss"] < found["completions"]:
        within = f"{groups - teaching} of" if teaching else "each of"
        why = f"all rewards were equal within {within} {groups} groups"
    else:
        why = "no token of any completion has a loss"
    outcomes = [f"{found[most]} of {found['completions']} completions {most}"]
    outcomes += [f"{found[name]} {name}" for name in OUTCOMES if found[name] and name != most]
    short = "hardly a gradient" if teaching else "no gradient"
    return f"{short}: {why} ({', '.join(outcomes)}); {OUTCOMES[most]}"


def in_part(found: Mapping[str, int]) -> str:
    """Say how much of a run had no gradient, behind the line that it is trained."""
    if silent := found.get("groups", 0) - found.get("groups_with_variance", 0):
        return f"; {silent} of {found['groups']} groups had equal rewards, so no gradient"
    if silent := found.get("batches_without_gradient", 0):
        return f"; {silent} of {found['batches']} batches had no token with a loss"
    return ""


def check_learned(arm: str, run_dir: Any, found: Mapping[str, int]) -> None:
    """Raise UserError if a finished run had no gradient, so that nobody takes it for trained."""
    if why := without_gradient(found):
        raise UserError(f"{arm}: not trained, {why}; the model in {run_dir} has learned nothing")


class EarlyWarning(TrainerCallback):
    """Says after the first steps that there was no gradient yet, as later prompts may have one, and
    stops the run if it then was so of nearly all."""

    def __init__(self, arm: str, rollouts: Rollouts) -> None:
        self.arm, self.rollouts = arm, rollouts

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in EARLY:
            why = without_gradient(learning_counts(self.rollouts))
            if why and self.rollouts.ledger.world.rank == 0:
                print(f"{self.arm}: step {state.global_step}: {why}")
        if state.global_step == MANY_STEPS and (
            why := without_gradient(learning_counts(self.rollouts), LEAST_SHARE)
        ):
            raise UserError(
                f"{self.arm}: stopped after {MANY_STEPS} steps, {why}; handan traces finds the "
                "prompts that a model solves sometimes (docs/own-data.md)"
            )
