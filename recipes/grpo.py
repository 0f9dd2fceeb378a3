"""Reinforcement learning with a verifiable reward: GRPO through TRL.

    handan train grpo    # the arm of the embedded pair; the same is
    accelerate launch recipes/grpo.py --config recipes/configs/tiny/grpo.yaml

Keys on the command line override the YAML; unknown keys are errors. The reward is the evaluator's
own grade, and what functions that ``reward`` names say. Running the same command again goes on from
the newest complete checkpoint.
"""

from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from trl import GRPOConfig

from handan.config import key
from handan.errors import UserError, run_main
from handan.files import content_hash
from handan.training.data import check_held_out, load_prompts, prompt_rows
from handan.training.losses import check_context, check_grpo, is_weighed
from handan.training.rewards import load_rewards
from handan.training.rl import LengthSortedGRPOTrainer, Rollouts, rollout
from handan.training.run import begin
from handan.training.settings import RecipeArguments

REQUIRED = (
    "model_name_or_path",
    "output_dir",
    "arm",
    "prompts",
    "suite",
    "probe_steps",
    "num_generations",
    "max_completion_length",
    "temperature",
    "loss_type",
    "scale_rewards",
    "beta",
    "mask_truncated_completions",
    "learning_rate",
    "max_steps",
    "seed",
    "length_price",
)


@dataclass
class GRPOArguments(RecipeArguments):
    """Arguments of this recipe beside TRL's."""

    length_price: float = key("reward lost per 100 reasoning tokens", 0.0)
    length_price_on: str | None = key("correct: right answers pay it alone; null: all", None)
    reward: dict | str | None = key(
        "weights of 'verifiable' and of module:function of one's own; null: verifiable alone", None
    )

    def __post_init__(self) -> None:
        self.rewards = load_rewards(self.reward)
        if self.length_price_on not in (None, "correct"):
            raise UserError(f"length_price_on is '{self.length_price_on}'; set it to correct")


def main() -> None:
    """One run: parse, train from the newest checkpoint on, save, write the ledger."""
    run = begin("grpo", GRPOArguments, GRPOConfig, REQUIRED, check_grpo)
    if run is None:
        return
    questions = load_prompts(Path(run.recipe.prompts), run.suites)
    rows = prompt_rows(questions, run.tokenizer, run.form)
    check_context(run.config, run.model, rows)
    if run.config.beta and run.peft_config is None:
        # TRL loads the reference anew; by itself it would take another revision.
        run.config.model_init_kwargs = run.source
    rollouts = Rollouts(
        run.tokenizer,
        run.model,
        run.form,
        run.config.max_completion_length,
        run.ledger,
        length_price=run.recipe.length_price,
        price_right_only=run.recipe.length_price_on == "correct",
        rewards=run.recipe.rewards,
        group_size=run.config.num_generations,
        passes=run.config.num_iterations,
        masks_truncated=run.config.mask_truncated_completions,
        await_weights=is_weighed(run.config),
    )
    trainer = LengthSortedGRPOTrainer(
        model=run.model,
        args=run.config,
        reward_funcs=rollouts.total,
        train_dataset=Dataset.from_list(rows),
        processing_class=run.tokenizer,
        callbacks=run.callbacks,
        peft_config=run.peft_config,
        # vLLM has a faster loop of its own.
        rollout_func=None if run.config.use_vllm else rollout,
    )
    trainer.form, trainer.rollouts = run.form, rollouts
    held_out_check = check_held_out(rows, run.recipe.prompts, run.suites)
    facts = {"num_prompts": len(rows), "prompts": content_hash(rows)}
    facts["held_out_check"] = held_out_check
    facts["reward"] = {name: [one.weight, one.sha256] for name, one in rollouts.rewards.items()}
    run.train(trainer, facts, rollouts)


if __name__ == "__main__":
    run_main(main)
