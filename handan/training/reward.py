"""The verifiable reward: the evaluator's own grader."""

from typing import Any

from handan.formats import ReasoningFormat
from handan.training.ledger import Ledger
from handan.training.rollouts import Rollouts, metrics

COLUMNS = ("task", "item", "wording", "question", "answer", "prompt_ids")


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
        UserError: as ``Rollouts.read``.
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
        self.rollouts = Rollouts(
            tokenizer, model, form, max_completion_length, ledger, length_price, True
        )

    def __call__(self, prompts: list, completion_ids: list[list[int]], **columns: Any) -> list:
        """Rewards of one generation batch; dataset columns come as keyword arguments."""
        rows = [
            {key: columns[key][index] for key in COLUMNS} for index in range(len(completion_ids))
        ]
        read = self.rollouts.read(rows, completion_ids, columns["trainer_state"].global_step + 1)
        for name, value in metrics(read).items():
            columns["log_metric"](name, value)
        return [row["reward"] for row in read]
