"""The one evaluator: before, along and after training, for every arm.

Items become prompts, prompts responses, responses costs, costs alignment. Running it again on the
same directory completes what is missing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from handan import provenance, rundir
from handan.alignment.measure import align
from handan.cost_rows import cost_columns, cost_rows
from handan.engines.base import Engine
from handan.launch import Processes
from handan.reading import Question
from handan.records import (
    content_hash,
    file_hash,
    read_keyed,
    write_csv,
    write_json,
    write_jsonl,
)
from handan.responses import KEY, Plan, collect
from handan.suite import Suite, SuiteItem, coverage_notes, suite_items

BOOTSTRAP = 10_000


def suite_plan(suite: Suite, items: Sequence[SuiteItem]) -> Plan:
    """The responses a suite asks for."""
    return Plan(
        questions=[Question(entry.item, entry.task, entry.wording) for entry in items],
        decodings=suite.decodings(),
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
    engine: Engine, suite: Suite, run_dir: Path, arm: str, model_name: str, world: Processes
) -> dict | None:
    """Evaluate one model into its run directory.

    Args:
        engine: what generates.
        suite: what is measured.
        run_dir: receives config.yaml, run.json, items.jsonl, generations.jsonl, costs.csv and
            alignment.json.
        arm: name of the model in all tables.
        model_name: where it was loaded from.
        world: this process among the others.

    Returns:
        The content of alignment.json on the first process, None on the others.

    Raises:
        UserError: the directory holds responses of another model or suite, or to other prompts.
    """
    items = suite_items(suite)
    path = run_dir / "generations.jsonl"
    labels = {
        "model": arm,
        "settings": content_hash(
            [suite.fingerprint, engine.fingerprint, engine.form.fingerprint, engine.identity]
        ),
        "reasoning_format": engine.form.name,
        "seed": suite.seed,
    }
    with rundir.lock(run_dir, world.rank):
        if world.rank == 0:
            rundir.record(
                run_dir,
                "evaluation",
                {
                    "model": model_name,
                    "model_fingerprint": engine.fingerprint,
                    "engine": engine.identity,
                    "reasoning_format": asdict(engine.form),
                    "suite": asdict(suite),
                },
                arm=arm,
                engine=engine.identity,
                server=engine.address,
                reasoning_format=engine.form.name,
                comparability=comparability(suite, engine),
            )
        collect(engine, suite_plan(suite, items), path, labels, world)
        return _results(run_dir, suite, items) if world.rank == 0 else None


def comparability(suite: Suite, engine: Engine) -> dict:
    """What must be equal between runs for their costs to be compared."""
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_hash": suite.fingerprint,
        "max_new_tokens": suite.max_new_tokens,
        "temperature": suite.temperature,
        "samples": suite.samples,
        "backend": engine.identity["engine"],
    }


def _results(run_dir: Path, suite: Suite, items: Sequence[SuiteItem]) -> dict:
    path = run_dir / "generations.jsonl"
    # Not before: until the prompts are known to be those of the responses, others may lie there.
    write_items(run_dir / "items.jsonl", items)
    generations = read_keyed(path, KEY)
    rows = cost_rows(generations, items, suite.cost_without_span)
    write_csv(run_dir / "costs.csv", cost_columns(items), rows)
    result = align(rows, bootstrap=BOOTSTRAP, seed=suite.seed)
    result["notes"] = coverage_notes(suite) + result["notes"]
    write_json(run_dir / "alignment.json", result)
    rundir.add(
        run_dir,
        "evaluation",
        generations_sha256=file_hash(path),
        budget={
            "generated_tokens": sum(row["generated_tokens"] for row in generations),
            "device_seconds": round(sum(row["device_seconds"] for row in generations), 1),
            "peak_memory_gib": provenance.peak_memory_gib(),
        },
    )
    return result
