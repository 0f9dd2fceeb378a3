"""The verifiable reward: the evaluator's own grader, and two signs that a run is wasted."""

from typing import Any

from handan.engines.transformers import eos_ids
from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.reading import read_completion
from handan.training.ledger import Ledger
from handan.training.prompts import question_from_row

GUARD_BATCHES = 5


class VerifiableReward:
    """1 for a right answer, 0 otherwise, minus a price per reasoning token if one is set.

    Args:
        tokenizer: of the trained model.
        model: its generation config tells which tokens end a sequence.
        form: its reasoning format.
        length_price: reward lost per 100 reasoning tokens; 0 for none.
        max_completion_length: the cap, named in messages.
        ledger: counts the tokens.

    Raises (when called):
        UserError: over the first batches nearly all completions reached the cap, or every reward
            was equal, so nothing can be learned.
    """

    __name__ = "verifiable"

    def __init__(
        self,
        tokenizer: Any,
        model: Any,
        form: ReasoningFormat,
        length_price: float,
        max_completion_length: int,
        ledger: Ledger,
    ) -> None:
        self.tokenizer, self.form, self.length_price = tokenizer, form, length_price
        self.ends = eos_ids(model, tokenizer)
        self.cap, self.ledger = max_completion_length, ledger
        self.capped: list[bool] = []
        self.rewards: list[float] = []
        self.calls = 0

    def __call__(self, prompts: list, completion_ids: list[list[int]], **columns: Any) -> list:
        """Rewards of one generation batch; dataset columns come as keyword arguments."""
        rewards, read = [], []
        for index, ids in enumerate(completion_ids):
            keys = ("task", "item", "wording", "question", "answer")
            question = question_from_row({key: columns[key][index] for key in keys})
            prompt = columns["prompt_ids"][index]
            row = read_completion(self.tokenizer, question, self.form, prompt, ids, self.ends)
            read.append(row)
            price = self.length_price * row["reasoning_tokens"] / 100
            rewards.append(float(row["correct"]) - price)
        self._count(columns, completion_ids)
        self._log(columns["log_metric"], read)
        self._guard(read, rewards)
        return rewards

    def _count(self, columns: dict, completion_ids: list[list[int]]) -> None:
        world = self.ledger.world
        own = {
            "generated": sum(map(len, completion_ids)),
            "prompt": sum(map(len, columns["prompt_ids"])),
        }
        for row in world.gather([own]):
            self.ledger.counts["generated_tokens"] += row["generated"]
            self.ledger.counts["trained_tokens"] += row["generated"]
            self.ledger.counts["processed_tokens"] += row["generated"] + row["prompt"]

    def _log(self, log_metric: Any, read: list[dict]) -> None:
        log_metric("cost/reasoning_tokens", sum(r["reasoning_tokens"] for r in read) / len(read))
        log_metric("cost/answer_tokens", sum(r["answer_tokens"] for r in read) / len(read))
        log_metric("status/accuracy", sum(r["correct"] for r in read) / len(read))
        for status in ("truncated", "unparsed", "no_reasoning"):
            share = sum(r["status"] == status for r in read) / len(read)
            log_metric(f"status/{status}_rate", share)

    def _guard(self, read: list[dict], rewards: list[float]) -> None:
        self.calls += 1
        if self.calls > GUARD_BATCHES:
            return
        self.capped += [row["status"] == "truncated" for row in read]
        self.rewards += rewards
        if self.calls < GUARD_BATCHES:
            return
        share = sum(self.capped) / len(self.capped)
        if share > 0.95:
            raise UserError(
                f"{share:.0%} of the first {len(self.capped)} completions reached "
                f"max_completion_length = {self.cap}; raise it, or start from a model that stops"
            )
        if len(set(self.rewards)) == 1:
            raise UserError(
                f"all of the first {len(self.rewards)} rewards are {self.rewards[0]:g}, so there "
                "is no advantage to learn from; choose easier or harder prompts or another model"
            )
