"""Where a training goes on, what of its files is made again from there, and what it began with."""

from pathlib import Path
from typing import Any

from handan import checkpoints, rundir
from handan.errors import UserError
from handan.evaluation.responses import KEY
from handan.files import read_json, write_jsonl
from handan.generation import loading
from handan.launch import Processes
from handan.rundir import read_run, read_settings
from handan.training.probe import RESPONSES
from handan.training.rl import ROLLOUTS


def checkpoint_to_resume(run_dir: Path, mode: str, launched: dict, world: Processes) -> str | None:
    """Find the newest whole checkpoint, None for a fresh start; the first process decides."""
    decided: list[dict] = []
    if world.rank == 0:
        try:
            decided = [{"checkpoint": _newest(run_dir, mode, launched)}]
        except UserError as error:
            decided = [{"error": str(error)}]
    (decision,) = world.gather(decided)
    if "error" in decision:
        raise UserError(decision["error"])
    return decision["checkpoint"]


def _newest(run_dir: Path, resume: str, launched: dict[str, Any]) -> str | None:
    found = checkpoints.found(run_dir)
    if found and resume == "never":
        newest = found[max(found)]
        raise UserError(f"{newest}: exists and resume is 'never'; remove it or set resume: auto")
    useless = []
    for path in reversed(found.values()):
        reason = checkpoints.what_is_wrong(path)
        if reason is None:
            if other := checkpoints.other_launch(path, launched):
                raise UserError(f"{path}: {other}")
            return str(path)
        useless.append(f"{path.name}: {reason}")
        print(f"{path}: {reason}; not used")
    if resume == "must":
        raise UserError(
            f"{run_dir}: resume is 'must', but there is no whole checkpoint"
            f"{' (' + '; '.join(useless) + ')' if useless else ''}; set resume: auto to begin anew"
        )
    if useless:
        print(f"{run_dir}: no whole checkpoint, so the training begins anew")
    return None


def forget_after(run_dir: Path, step: int) -> None:
    """Remove what was made of steps that are about to be trained again, under another policy."""
    for of_step, path in checkpoints.found(run_dir).items():
        if of_step > step:
            checkpoints.remove(path)
            print(f"{path}: removed; step {of_step} is trained again")
    for name in ("metrics.jsonl", *RESPONSES, ROLLOUTS):
        path = run_dir / name
        # Several rows of a step have no key of their own, but for responses.
        key = ("step", *KEY) if name in RESPONSES else ("step",)
        rows = rundir.recover(path, key, unique=name in RESPONSES)
        kept = [row for row in rows if row["step"] <= step]
        if len(kept) < len(rows):
            print(f"{path}: {len(rows) - len(kept)} rows after step {step} are made again")
            write_jsonl(path, kept)


def check_sources(run_dir: Path, details: dict) -> None:
    """Raise UserError if a run would go on with other traces, prompts or another teacher."""
    begun = read_json(run_dir / "run.json").get("training", {})
    others = {"traces": "other traces", "prompts": "other prompts", "teacher": "another teacher"}
    for key, other in others.items():
        if key in begun and begun[key] != details.get(key):
            cure = "choose another output directory or remove this one"
            raise UserError(f"{run_dir}: was begun with {other}; {cure}")


def lineage(model_dir: Path) -> dict | None:
    """Trace what a run or checkpoint of ours cost and what it began with, if it is ours."""
    checkpoint = model_dir.name.startswith("checkpoint-")
    run_dir = model_dir.parent if checkpoint else model_dir
    run = read_run(run_dir)
    training = run.get("training")  # finished, or else its weights were refused
    if training is None:
        return None
    adapter = (model_dir / "adapter_config.json").exists()
    ledger = model_dir / checkpoints.LEDGER  # the budget of a checkpoint is what it had cost
    return {
        "arm": run.get("arm"),
        "run": str(model_dir),
        "model_fingerprint": None if adapter else loading.model_fingerprint(model_dir),
        "began_with": read_settings(run_dir).get("training", {}).get("model_fingerprint"),
        "budget": read_json(ledger) if checkpoint else training["budget"],
        "started_from": training.get("started_from"),
    }


def check_shared_vocabulary(
    student: Any, tokenizer: Any, teacher: Any, teacher_tokenizer: Any, place: str
) -> None:
    """Raise UserError unless token ids mean the same to student and teacher."""
    other = {t for t, _ in tokenizer.get_vocab().items() ^ teacher_tokenizer.get_vocab().items()}
    sizes = [model.config.get_text_config().vocab_size for model in (student, teacher)]
    if other or sizes[0] != sizes[1]:
        example = f", such as {min(other)!r}" if other else ""
        raise UserError(
            f"{place}: teacher and student do not share a vocabulary ({sizes[1]} and {sizes[0]} "
            f"tokens, {len(other)} of them different{example}); distil its traces with "
            "handan train sft instead"
        )
