"""What a policy writes along training: cut, counted and graded like any other response.

Every completion leaves one row in ``rollouts.jsonl``, so its exact cost at every step stays known.
Two signs that a run is wasted stop it.
"""

from collections.abc import Sequence
from typing import Any

from handan.engines.loading import eos_ids
from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.reading import read_completion
from handan.records import append_jsonl
from handan.training.ledger import Ledger
from handan.training.prompts import COLUMNS, question_from_row

GUARD_BATCHES = 5
FILE = "rollouts.jsonl"
RECORDED = ("reasoning_tokens", "answer_tokens", "status", "correct")
# The text of so many completions of a batch is kept, and so many characters of each.
TEXTS = 4
TEXT_CHARACTERS = 2000


class Rollouts:
    """Reads the completions of one generation batch after another.

    Args:
        tokenizer: of the trained model.
        model: its generation config tells which tokens end a sequence.
        form: its reasoning format.
        max_completion_length: the cap, named in messages.
        ledger: counts the tokens.
        length_price: reward lost per 100 reasoning tokens; 0 for none.
        learns_from_reward: whether equal rewards leave nothing to learn.

    Attributes:
        passes: how often a completion is trained on.
        masks_truncated: whether completions that reach the cap have no loss.
        group_size: completions of one prompt whose rewards are compared; None: none are.
        await_weights: whether rows wait until ``weigh`` says how much their tokens weigh.
        file: what the rows are written to, in the run directory.
    """

    passes = 1
    masks_truncated = False
    group_size: int | None = None
    await_weights = False
    file = FILE

    def __init__(
        self,
        tokenizer: Any,
        model: Any,
        form: ReasoningFormat,
        max_completion_length: int,
        ledger: Ledger,
        length_price: float = 0.0,
        learns_from_reward: bool = False,
    ) -> None:
        self.tokenizer, self.form, self.length_price = tokenizer, form, length_price
        self.ends = eos_ids(model, tokenizer)
        self.cap, self.ledger = max_completion_length, ledger
        self.learns_from_reward = learns_from_reward
        self.first: list[dict] = []
        self.waiting: list[dict] = []
        self.batches = 0

    def read(
        self, prompts: Sequence[dict], completion_ids: Sequence[Sequence[int]], step: int
    ) -> list[dict]:
        """Grade, count and record this process's completions.

        Args:
            prompts: rows of the training set, one a completion.
            completion_ids: generated ids, up to and including the end of sequence.
            step: optimizer step that is about to be made with them.

        Returns:
            Of each completion what goes into ``rollouts.jsonl``.

        Raises:
            UserError: over the first batches nearly all completions reached the cap, none of them
                reasoned, or every reward was equal, so nothing can be learned.
        """
        own: list[dict] = []
        world = self.ledger.world
        first, total = world.rank * len(completion_ids), world.size * len(completion_ids)
        with_text = {number * total // TEXTS for number in range(TEXTS)}
        for prompt, ids in zip(prompts, completion_ids, strict=True):
            question = question_from_row({key: prompt[key] for key in COLUMNS})
            read = read_completion(
                self.tokenizer, question, self.form, prompt["prompt_ids"], ids, self.ends
            )
            price = self.length_price * read["reasoning_tokens"] / 100
            row = {"step": step, "task": prompt["task"], "item": prompt["item"]}
            row |= {key: read[key] for key in RECORDED}
            row |= {"prompt_tokens": read["prompt_tokens"], "completion_tokens": len(ids)}
            masked = self.masks_truncated and read["status"] == "truncated"
            row["trained_tokens"] = 0 if masked else len(ids)
            # No verdict within the grader's limits is no reward: TRL then leaves the completion out
            # of its group's mean and gives it no advantage.
            right = read["correct"]
            row["reward"] = None if right is None else float(right) - price
            if first + len(own) in with_text:
                row["text"] = shortened(self.tokenizer.decode(ids), TEXT_CHARACTERS)
            own.append(row)
        if self.await_weights:
            self.waiting = own
        else:
            self._record(own)
        return own

    def weigh(self, weights: Sequence[dict]) -> None:
        """Record the completions that were read last, with what the trainer says of each.

        Args:
            weights: of ``handan.training.importance.of_completions``, in the order of the
                completions.

        Raises:
            UserError: as ``read``.
        """
        self._record([{**row, **more} for row, more in zip(self.waiting, weights, strict=True)])

    def _record(self, own: list[dict]) -> None:
        rows = self.ledger.world.gather(own)
        self._count(rows)
        if self.ledger.world.rank == 0:
            append_jsonl(self.ledger.run_dir / self.file, rows)
        self._guard(rows)

    def _count(self, rows: Sequence[dict]) -> None:
        generated = sum(row["completion_tokens"] for row in rows)
        trained = sum(row["trained_tokens"] for row in rows)
        prompts = sum(row["prompt_tokens"] for row in rows)
        self.ledger.counts["generated_tokens"] += generated
        self.ledger.counts["trained_tokens"] += trained * self.passes
        self.ledger.counts["processed_tokens"] += (generated + prompts) * self.passes

    def _guard(self, rows: Sequence[dict]) -> None:
        """Look at the first batches of all processes together, so that all of them stop."""
        self.batches += 1
        if self.batches > GUARD_BATCHES:
            return
        self.first += rows
        if self.batches < GUARD_BATCHES:
            return
        share = sum(row["status"] == "truncated" for row in self.first) / len(self.first)
        if share > 0.95:
            raise UserError(
                f"{share:.0%} of the first {len(self.first)} completions reached "
                f"max_completion_length = {self.cap}; raise it, or start from a model that stops"
            )
        if self.form.thinks and not any(row["reasoning_tokens"] for row in self.first):
            raise UserError(
                f"none of the first {len(self.first)} completions reasons between "
                f"'{self.form.open}' and '{self.form.close}', so every cost would be 0; set "
                "reasoning_format to asked_to_think, to plain to count whole responses, or start "
                "from a model that thinks"
            )
        rewards = [row["reward"] for row in self.first if row["reward"] is not None]
        if self.learns_from_reward and not rewards:
            raise UserError(
                f"none of the first {len(self.first)} completions could be graded within the "
                "grader's limits; choose prompts with simpler answers"
            )
        if self.learns_from_reward and len(set(rewards)) == 1:
            raise UserError(
                f"all of the first {len(rewards)} rewards are {rewards[0]:g}, so there "
                "is no advantage to learn from; choose easier or harder prompts or another model"
            )


def shortened(text: str, most: int) -> str:
    """A text of at most ``most`` characters; of a longer one beginning and end stay."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def metrics(rows: Sequence[dict]) -> dict[str, float]:
    """Means of one batch, for the trainer's log."""
    out = {
        f"cost/{key}": sum(row[key] for row in rows) / len(rows)
        for key in ("reasoning_tokens", "answer_tokens")
    }
    out["status/accuracy"] = sum(row["correct"] is True for row in rows) / len(rows)
    out["status/ungraded_rate"] = sum(row["correct"] is None for row in rows) / len(rows)
    for status in ("truncated", "unparsed", "no_reasoning"):
        out[f"status/{status}_rate"] = sum(row["status"] == status for row in rows) / len(rows)
    return out
