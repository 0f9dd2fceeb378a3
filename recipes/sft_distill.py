"""Distillation by imitation: supervised fine-tuning on a teacher's traces through TRL.

    handan train sft    # the arm of the embedded pair; the same is
    accelerate launch recipes/sft_distill.py --config recipes/configs/tiny/sft_distill.yaml

Keys on the command line override the YAML; unknown keys are errors. If the trace file does not
exist and the YAML names a ``traces_config``, the traces are made first, as recipes/traces.py would.
Running the same command again goes on from the newest complete checkpoint.
"""

from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset
from trl import SFTConfig

from handan.budgets import of_traces
from handan.errors import run_main
from handan.files import file_hash
from handan.traces.make import ensure_traces, teacher_of
from handan.training.data import check_held_out
from handan.training.labels import audit, load_traces, training_rows
from handan.training.losses import check_sft_loss
from handan.training.run import begin
from handan.training.settings import RecipeArguments
from handan.training.sft import LeakCheck, LedgerSFTTrainer

REQUIRED = (
    "model_name_or_path",
    "output_dir",
    "arm",
    "prompts",
    "traces",
    "suite",
    "probe_steps",
    "learning_rate",
    "max_steps",
    "per_device_train_batch_size",
    "seed",
    "loss_type",
)


@dataclass
class SFTArguments(RecipeArguments):
    """Arguments of this recipe beside TRL's."""

    traces: str = field(default="", metadata={"help": "JSON lines of teacher traces"})
    traces_config: str | None = field(
        default=None, metadata={"help": "YAML that makes the traces if they do not exist"}
    )


def main() -> None:
    """One run: parse, audit the labels, train from the newest checkpoint on, save."""
    run = begin("sft_distill", SFTArguments, SFTConfig, REQUIRED, check_sft_loss)
    if run is None:
        return
    path = Path(run.recipe.traces)
    ensure_traces(path, run.recipe.traces_config, run.world)
    traces = load_traces(path, Path(run.recipe.prompts))
    rows = training_rows(traces, run.tokenizer, run.form, str(path))
    longest = max(len(row["input_ids"]) for row in rows)
    if run.config.max_length is None or "max_length" not in run.given:
        run.config.max_length = longest  # TRL's default would cut at 1024
    trainer = LedgerSFTTrainer(
        model=run.model,
        args=run.config,
        train_dataset=Dataset.from_list(rows),
        processing_class=run.tokenizer,
        callbacks=run.callbacks,
        peft_config=run.peft_config,
    )
    trainer.ledger = run.ledger
    run.ledger.of_traces = of_traces(path, file_hash(path))
    if run.config.packing:
        trainer.add_callback(LeakCheck(trainer))
    counts = audit(trainer.train_dataset, rows, traces, run.tokenizer, run.form, str(path))
    print(
        f"{run.recipe.arm}: {counts['traces']} traces, all {counts['trained_tokens']} completion "
        f"tokens trained, longest row {longest} tokens",
        flush=True,
    )
    facts = {"teacher": teacher_of(path), "traces": file_hash(path)}
    facts |= {"held_out_check": check_held_out(traces, str(path), run.suites), "audit": counts}
    run.train(trainer, {**facts, "longest_row_tokens": longest})


if __name__ == "__main__":
    run_main(main)
