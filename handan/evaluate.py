"""The one evaluator: before, along and after training, for every arm.

Items become prompts, prompts responses, responses costs, costs alignment. Running it again on the
same directory completes what is missing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from handan import rundir
from handan.alignment.measure import align
from handan.cost_rows import cost_columns, cost_rows
from handan.errors import UserError
from handan.formats import ReasoningFormat
from handan.launch import Processes
from handan.records import (
    content_hash,
    file_hash,
    read_jsonl,
    write_csv,
    write_json,
    write_jsonl,
)
from handan.responses import Plan, Question, collect
from handan.suite import Suite, SuiteItem, suite_items

BOOTSTRAP = 10_000


def suite_plan(suite: Suite, items: Sequence[SuiteItem], form: ReasoningFormat) -> Plan:
    """The responses a suite asks for."""
    return Plan(
        questions=[Question(entry.item, entry.task, entry.wording) for entry in items],
        decodings=suite.decodings(),
        form=form,
        batch_size=suite.batch_size,
        seed=suite.seed,
    )


def write_items(path: Path, items: Sequence[SuiteItem]) -> None:
    """Write ``items.jsonl``: what was asked, and what the costs are compared to."""
    write_jsonl(
        path,
        (
            {
                "task": entry.item.task,
                "item": entry.item.key,
                "question": entry.item.question,
                "answer": entry.item.answer,
                "human_rt_s": entry.human_rt_s,
                "norms": entry.norms,
                "analytic_cost": entry.analytic_cost,
                "oracle_tokens": entry.oracle_tokens,
                "covariates": dict(entry.item.covariates),
            }
            for entry in items
        ),
    )


def evaluate(
    model: Any,
    tokenizer: Any,
    form: ReasoningFormat,
    suite: Suite,
    run_dir: Path,
    arm: str,
    model_name: str,
    fingerprint: str,
    world: Processes,
) -> dict | None:
    """Evaluate one model into its run directory.

    Args:
        model: a transformers model on its device.
        tokenizer: its tokenizer.
        form: its reasoning format.
        suite: what is measured.
        run_dir: receives config.yaml, run.json, items.jsonl, generations.jsonl, costs.csv and
            alignment.json.
        arm: name of the model in all tables.
        model_name: where it was loaded from.
        fingerprint: hash of its weights and tokenizer.
        world: this process among the others.

    Returns:
        The content of alignment.json on the first process, None on the others.

    Raises:
        UserError: the directory holds responses of another model or suite.
    """
    items = suite_items(suite)
    path = run_dir / "generations.jsonl"
    labels = {
        "model": arm,
        "settings": content_hash([suite.fingerprint, fingerprint, form.fingerprint]),
        "reasoning_format": form.name,
        "seed": suite.seed,
    }
    with rundir.lock(run_dir, world.rank):
        if world.rank == 0:
            rundir.record(
                run_dir,
                "evaluation",
                {
                    "model": model_name,
                    "model_fingerprint": fingerprint,
                    "reasoning_format": asdict(form),
                    "suite": asdict(suite),
                },
                arm=arm,
                reasoning_format=form.name,
                comparability=comparability(suite),
            )
            write_items(run_dir / "items.jsonl", items)
        collect(model, tokenizer, suite_plan(suite, items, form), path, labels, world)
        return _results(run_dir, suite, items) if world.rank == 0 else None


def comparability(suite: Suite) -> dict:
    """What must be equal between runs for their costs to be compared."""
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_hash": suite.fingerprint,
        "max_new_tokens": suite.max_new_tokens,
        "temperature": suite.temperature,
        "samples": suite.samples,
        "backend": "transformers",
    }


def _results(run_dir: Path, suite: Suite, items: Sequence[SuiteItem]) -> dict:
    path = run_dir / "generations.jsonl"
    generations = read_jsonl(path)
    rows = cost_rows(generations, items, suite.cost_without_span)
    write_csv(run_dir / "costs.csv", cost_columns(items), rows)
    result = align(rows, bootstrap=BOOTSTRAP, seed=suite.seed)
    write_json(run_dir / "alignment.json", result)
    rundir.add(
        run_dir,
        "evaluation",
        generations_sha256=file_hash(path),
        budget={
            "generated_tokens": sum(len(row["completion_ids"]) for row in generations),
            "device_seconds": round(sum(row["device_seconds"] for row in generations), 1),
            "peak_memory_gib": rundir.peak_memory_gib(),
        },
    )
    return result


def write_sweep(sweep_dir: Path, suite: Suite) -> dict:
    """Put the evaluations in ``sweep_dir/step-N`` together into one costs.csv and alignment.json.

    Returns:
        The content of alignment.json, whose models have a list ``steps``.
    """
    items = suite_items(suite)
    rows = []
    folders = sorted(sweep_dir.glob("step-[0-9]*"), key=lambda path: int(path.name[5:]))
    for folder in folders:
        step = int(folder.name[5:])
        generations = read_jsonl(folder / "generations.jsonl")
        stepped = [{**row, "step": step} for row in generations]
        rows += cost_rows(stepped, items, suite.cost_without_span)
    write_csv(sweep_dir / "costs.csv", cost_columns(items), rows)
    result = align(rows, bootstrap=BOOTSTRAP, seed=suite.seed)
    write_json(sweep_dir / "alignment.json", result)
    return result


def load_model(
    model_name: str,
    revision: str | None = None,
    dtype: str = "auto",
    device: Any = "cpu",
    **options: Any,
) -> tuple[Any, Any, str]:
    """Load a model and its tokenizer, and fingerprint them.

    Args:
        model_name: a local directory or ``owner/name`` on the hub.
        revision: of the hub repository.
        dtype: of the weights.
        device: where to put the model; trainers put theirs where it belongs themselves.
        options: more keyword arguments of ``from_pretrained``.

    Returns:
        The model in evaluation mode, its tokenizer, and the hash of its files (local directory) or
        of its revision (hub).

    Raises:
        UserError: there is no such model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    local = Path(model_name)
    if local.is_dir():
        fingerprint = rundir.model_fingerprint(local)
    elif model_name.startswith((".", "/")) or model_name.count("/") != 1:
        raise UserError(f"{model_name}: no such model directory")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            model_name, revision=revision, dtype=dtype, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(model_name, revision=revision)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"{model_name}: cannot be loaded as a model ({first})") from None
    if not local.is_dir():
        fingerprint = content_hash([model_name, model.config._commit_hash])
    return model.to(device).eval(), tokenizer, fingerprint
