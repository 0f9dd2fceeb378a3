"""Where a run comes from: the model it starts with, its traces or teacher."""

from pathlib import Path
from typing import Any

from handan import weights
from handan.errors import UserError
from handan.records import read_json
from handan.run_files import read_run, read_settings
from handan.training.checkpoints import LEDGER


def check_sources(run_dir: Path, details: dict) -> None:
    """Stop if a run would go on with other traces, prompts or another teacher than it began with.

    Raises:
        UserError: names what is another one.
    """
    begun = read_json(run_dir / "run.json").get("training", {})
    others = {"traces": "other traces", "prompts": "other prompts", "teacher": "another teacher"}
    for key, other in others.items():
        if key in begun and begun[key] != details.get(key):
            raise UserError(
                f"{run_dir}: was begun with {other}; choose another output directory or "
                "remove this one"
            )


def lineage(model_dir: Path) -> dict | None:
    """What a model that was trained here before cost, and what that one started from.

    Args:
        model_dir: a run directory or one of its checkpoints.

    Returns:
        ``arm``, ``model_fingerprint``, ``budget`` and ``started_from`` of that run, and
        ``began_with``, the hash of the weights that it began with; None if the model is not one of
        ours.

    Raises:
        UserError: the training there is not finished.
    """
    checkpoint = model_dir.name.startswith("checkpoint-")
    run_dir = model_dir.parent if checkpoint else model_dir
    if not (run_dir / "run.json").exists():
        return None
    run = read_run(run_dir)
    training = run.get("training")
    if training is None:
        return None
    if not checkpoint and not training.get("finished"):
        raise UserError(f"{model_dir}: its training is not finished; finish it first")
    # The budget of a checkpoint is what was spent until then.
    budget = read_json(model_dir / LEDGER) if checkpoint else training["budget"]
    settings = read_settings(run_dir).get("training", {})
    adapter = (model_dir / "adapter_config.json").exists()
    return {
        "arm": run.get("arm"),
        "run": str(model_dir),
        "model_fingerprint": None if adapter else weights.model_fingerprint(model_dir),
        "began_with": settings.get("model_fingerprint"),
        "budget": budget,
        "started_from": training.get("started_from"),
    }


def check_shared_vocabulary(
    student: Any, tokenizer: Any, teacher: Any, teacher_tokenizer: Any, place: str
) -> None:
    """Stop unless every token id means the same to teacher and student.

    Args:
        student, teacher: models.
        tokenizer, teacher_tokenizer: theirs.
        place: where the teacher was loaded from.

    Raises:
        UserError: the teacher would score other words than the student wrote.
    """
    ours, theirs = tokenizer.get_vocab(), teacher_tokenizer.get_vocab()
    other = {token for token, index in (ours.items() ^ theirs.items())}
    sizes = [model.config.get_text_config().vocab_size for model in (student, teacher)]
    if other or sizes[0] != sizes[1]:
        example = f", such as {min(other)!r}" if other else ""
        raise UserError(
            f"{place}: teacher and student do not share a vocabulary ({sizes[1]} and {sizes[0]} "
            f"tokens, {len(other)} of them different{example}); distil its traces with "
            "recipes/sft_distill.py instead"
        )
