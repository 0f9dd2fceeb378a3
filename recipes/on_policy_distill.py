"""Between mimicry and mastery: the student's own completions, scored by the teacher token by token.

    handan train opd    # the arm of the embedded world; the same is
    accelerate launch recipes/on_policy_distill.py \\
        --config recipes/configs/tiny/on_policy_distill.yaml

The student writes, and learns from the teacher's distribution at every token of what it wrote
(TRL's DistillationTrainer). ``beta`` 1 is the reverse KL divergence, 0 the forward one. Keys on the
command line override the YAML; unknown keys are errors. Running the same command again goes on from
the newest complete checkpoint.
"""

from pathlib import Path

from datasets import Dataset
from trl import DistillationConfig

from handan.errors import run_main
from handan.evaluation.resource_estimate import size_of
from handan.files import content_hash, read_json
from handan.generation import loading
from handan.generation.loading import load_model
from handan.training.data import check_held_out, load_prompts, prompt_rows
from handan.training.losses import check_context, check_drawing
from handan.training.resume import check_shared_vocabulary
from handan.training.rl import LedgerDistillationTrainer, Rollouts
from handan.training.run import begin
from handan.training.settings import RecipeArguments

REQUIRED = (
    "model_name_or_path",
    "teacher_model_name_or_path",
    "output_dir",
    "arm",
    "prompts",
    "suite",
    "probe_steps",
    "max_completion_length",
    "temperature",
    "beta",
    "learning_rate",
    "max_steps",
    "per_device_train_batch_size",
    "seed",
)


def main() -> None:
    """One run: parse, load the teacher, train from the newest checkpoint on, save."""
    run = begin("on_policy_distill", RecipeArguments, DistillationConfig, REQUIRED, check_drawing)
    if run is None:
        return
    place = run.config.teacher_model_name_or_path
    teacher, tokenizer, fingerprint = load_model(
        place,
        revision=run.config.teacher_model_revision,
        dtype=run.model_config.dtype or "auto",
        trusted=loading.trusted_by_recipe(run.config, run.model_config)[1],
    )
    check_shared_vocabulary(run.model, run.tokenizer, teacher, tokenizer, place)
    rows = prompt_rows(load_prompts(Path(run.recipe.prompts), run.suites), run.tokenizer, run.form)
    check_context(run.config, run.model, rows)
    trained = Path(place) / "run.json"
    about_teacher = {
        "arm": read_json(trained).get("arm") if trained.exists() else Path(place).name,
        "model_fingerprint": fingerprint,
        "parameters": size_of(teacher).multiplied,
    }
    run.ledger.teacher_parameters = about_teacher["parameters"]
    trainer = LedgerDistillationTrainer(
        model=run.model,
        teacher_model=teacher,
        args=run.config,
        train_dataset=Dataset.from_list(rows),
        processing_class=run.tokenizer,
        callbacks=run.callbacks,
        peft_config=run.peft_config,
    )
    trainer.form = run.form
    trainer.rollouts = Rollouts(
        run.tokenizer,
        run.model,
        run.form,
        run.config.max_completion_length,
        run.ledger,
    )
    held_out_check = check_held_out(rows, run.recipe.prompts, run.suites)
    facts = {"num_prompts": len(rows), "teacher": about_teacher}
    facts |= {"held_out_check": held_out_check, "prompts": content_hash(rows)}
    run.train(trainer, facts, trainer.rollouts)


if __name__ == "__main__":
    run_main(main)
