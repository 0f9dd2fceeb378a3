"""The one evaluator: before, along and after training; run again it completes what is missing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from handan import rundir
from handan.alignment.align import align
from handan.alignment.costs import RESPONSE, SPAN, status_under
from handan.alignment.measures import MEANS, TASKS
from handan.alignment.pairs import Comparisons
from handan.budgets import time_share
from handan.errors import UserError
from handan.evaluation.responses import KEY, SamplingPlan, collect
from handan.evaluation.suite import Suite, SuiteItem, coverage_notes, load_suite, suite_items
from handan.files import (
    content_hash,
    file_hash,
    read_keyed,
    shipped,
    write_csv,
    write_json,
    write_jsonl,
)
from handan.generation.engines import Engine, load_engine, open_engine
from handan.generation.formats import AUTO, FORMATS
from handan.launch import Processes, processes
from handan.tasks.own_task import HUMAN

BOOTSTRAP, STEP_BOOTSTRAP = 10_000, 1_000
# Settings of a recipe that say when it measures; they may change when a run goes on.
SCHEDULE = ("probe_steps", "probe_log_spaced", "full_suite_steps", "probe_time_share")
# What a cost is compared to.
COMPARED = ("human_rt_s", "norms", "analytic_cost", "oracle_tokens")
GREEDY = -1  # number of the sample at temperature 0
COST_COLUMNS = (
    *("model", "decoding", "task", "item", "sample", "step"),
    *("human_rt_s", "human_mean_rt_s", "norms", "analytic_cost", "oracle_tokens"),
    *("prompt_tokens", "reasoning_tokens", "answer_tokens"),
    *("reasoning_characters", "answer_characters", "cost_rule", "counted_by"),
    *("status", "looping", "correct"),
)


def suite_plan(suite: Suite, items: Sequence[SuiteItem]) -> SamplingPlan:
    """The responses a suite asks for."""
    return SamplingPlan(items, suite.decodings(), suite.batch_size, suite.seed)


def write_items(path: Path, items: Sequence[SuiteItem]) -> None:
    """Write ``items.jsonl``: what was asked, and what the costs are compared to."""
    rows = []
    for entry in items:
        item, compared = entry.item, {name: getattr(entry, name) for name in COMPARED}
        asked = dict(task=item.task, item=item.key, question=item.question, answer=item.answer)
        rows.append({**asked, **compared, "covariates": dict(item.covariates)})
    write_jsonl(path, rows)


def evaluate(
    engine: Engine, suite: Suite, run_dir: Path, arm: str, model_name: str, world: Processes
) -> dict | None:
    """Evaluate one model into its run directory; returns its alignment in the first process."""
    items = suite_items(suite)
    of_engine = (engine.fingerprint, engine.form.fingerprint)
    settings = content_hash([suite.fingerprint, *of_engine, engine.identity])
    labels: dict[str, Any] = {"model": arm, "settings": settings}
    labels |= {"reasoning_format": engine.form.name, "seed": suite.seed}
    config: dict[str, Any] = {"model": model_name, "model_fingerprint": engine.fingerprint}
    config |= {"engine": engine.identity, "reasoning_format": asdict(engine.form)}
    config["suite"] = suite.settings
    # What must be equal between runs for their costs to be compared.
    same: dict[str, Any] = {"suite": suite.name, "suite_version": suite.version}
    same["suite_hash"] = suite.fingerprint
    same |= {key: getattr(suite, key) for key in ("max_new_tokens", "temperature", "samples")}
    same["backend"] = engine.identity["engine"]
    facts: dict[str, Any] = {"engine": engine.identity, "server": engine.address}
    facts |= {"reasoning_format": engine.form.name, "comparability": same}
    with rundir.lock(run_dir, world.rank):
        if world.rank == 0:
            rundir.record(run_dir, "evaluation", config, arm=arm, **facts)
        path = run_dir / "generations.jsonl"
        collect(engine, suite_plan(suite, items), path, labels, world)
        return _write_results(run_dir, suite, items) if world.rank == 0 else None


def evaluate_model(
    model: str,
    suite: Path,
    run_dir: Path,
    arm: str | None = None,
    revision: str | None = None,
    engine: Path | str | None = None,
    reasoning_format: str = AUTO,
    num_threads: int | None = None,
) -> dict | None:
    """Open an engine and ``evaluate``; the arm is called as before, or else as its directory."""
    world = processes(num_threads)
    asked = load_suite(suite)
    suite_items(asked)  # what they lack and a damaged file are told before a model is loaded
    recorded = rundir.read_run(run_dir)
    rundir.read_settings(run_dir)
    settings = load_engine(Path(engine) if engine else None)
    if revision is not None:
        if Path(shipped(model)).is_dir():
            raise UserError(f"--revision is of a model on the hub, and {model} is a directory here")
        if getattr(settings, "tokenizer", AUTO) != AUTO:  # nothing of that name is loaded
            raise UserError("--revision: the server decides which one it serves; leave it out")
    opened = open_engine(settings, model, revision, reasoning_format, world.device)
    name = arm or recorded.get("arm") or run_dir.name
    return evaluate(opened, asked, run_dir, name, model, world)


def _write_results(run_dir: Path, suite: Suite, items: Sequence[SuiteItem]) -> dict:
    path = run_dir / "generations.jsonl"
    # Not before: until the prompts are known to be those of the responses, others may lie there.
    write_items(run_dir / "items.jsonl", items)
    generations = read_keyed(path, KEY)
    rows = cost_rows(generations, items, suite.cost_without_span)
    write_csv(run_dir / "costs.csv", cost_columns(items), rows)
    result = align(rows, bootstrap=BOOTSTRAP, seed=suite.seed)
    result["notes"] = coverage_notes(suite) + result["notes"]
    write_json(run_dir / "alignment.json", result)
    budget = {
        "generated_tokens": sum(row["generated_tokens"] for row in generations),
        "device_seconds": round(sum(row["device_seconds"] for row in generations), 1),
        "peak_memory_gib": rundir.peak_memory_gib(),
    }
    rundir.add(run_dir, "evaluation", generations_sha256=file_hash(path), budget=budget)
    return result


def cost_columns(items: Sequence[SuiteItem]) -> list[str]:
    """Columns of ``costs.csv``: the fixed ones and a covariate for each property of an item."""
    names = dict.fromkeys(name for entry in items for name in entry.item.covariates)
    own = ("analytic_cost", "oracle_tokens", *HUMAN)  # have columns of their own
    return [*COST_COLUMNS, *(f"covariate_{name}" for name in names if not name.startswith(own))]


def cost_rows(drawn: Sequence[dict], items: Sequence[SuiteItem], spanless: str) -> list[dict]:
    """Rows of ``costs.csv``: responses joined with their items, sampled ones first."""
    by_key = {(entry.item.task, entry.item.key): entry for entry in items}
    place, columns, out = {key: index for index, key in enumerate(by_key)}, cost_columns(items), []

    def order(row: dict) -> tuple:
        return row["sample"] == GREEDY, place[row["task"], row["item"]], row["sample"]

    for row in sorted(drawn, key=order):
        entry = by_key[row["task"], row["item"]]
        greedy, thinks = row["sample"] == GREEDY, FORMATS[row["reasoning_format"]].thinks
        rule = SPAN if thinks or spanless == "none" else RESPONSE
        cost = {name: row[f"reasoning_{name}"] for name in ("tokens", "characters")}
        if rule == RESPONSE:
            cost = {name: cost[name] + row[f"answer_{name}"] for name in cost}
        joined = {
            **row,
            "reasoning_tokens": cost["tokens"],
            "reasoning_characters": cost["characters"],
            "cost_rule": rule,
            "status": status_under(rule, row["status"], cost["tokens"]),
            "decoding": "greedy" if greedy else "sampled",
            "sample": 0 if greedy else row["sample"],
            **{name: getattr(entry, name) for name in (*COMPARED, "human_mean_rt_s")},
            **{f"covariate_{name}": value for name, value in entry.item.covariates.items()},
        }
        # Responses from before a column was there leave it empty.
        out.append({column: joined.get(column) for column in columns})
    return out


def sampled_costs(drawn: Sequence[dict], items: Sequence[SuiteItem], spanless: str) -> list[dict]:
    """Rows of ``costs.csv`` of the sampled responses; curves leave the greedy ones out."""
    return cost_rows([row for row in drawn if row["sample"] != GREEDY], items, spanless)


def suite_metrics(costs: Sequence[dict], first: Sequence[dict] | None) -> dict[str, float]:
    """Alignment, length, accuracy and status rates of one step; what is undefined is left out.

    ``inflation/k`` is the geometric mean ratio of an item's tokens to those of step 0,
    ``inflation/b`` the slope of their logs on those of step 0, within tasks, corrected for the
    noise of few samples at step 0; it needs items with two samples.
    """
    model = costs[0]["model"]
    begin = f"{model} at step 0"
    rows, pairs = [*costs], []
    if first:
        rows += [{**row, "model": begin} for row in first]
        pairs = [(model, begin)]
    comparisons = Comparisons(contrasts=[], inflation=pairs, effort=[], roles={})
    result = align(rows, bootstrap=STEP_BOOTSTRAP, seed=0, comparisons=comparisons)
    figures = result["models"][model]
    out: dict[str, float | None] = {
        "cost/reasoning_tokens": fmean(row["reasoning_tokens"] for row in costs),
        "status/accuracy": fmean(row["correct"] for row in costs),
    }
    for status in ("truncated", "no_reasoning", "unparsed"):
        name = "cap" if status == "truncated" else status
        out[f"status/{name}_rate"] = fmean(row["status"] == status for row in costs)
    for mean in MEANS:
        out |= _with_interval(mean.curve, mean.value(figures), mean.interval(figures))
    for task, of_task in figures["tasks"].items():
        for of in TASKS:
            name = of.task_curve.format(task=task)
            out |= _with_interval(name, of.value(of_task), of.interval(of_task))
    for row in result["inflation"]:
        if row["task"] is None:
            out["inflation/k"] = row["geometric_mean_ratio"]
            corrected = row["corrected"]
            out |= _with_interval("inflation/b", corrected["b"], corrected["b_ci"])
    return {key: value for key, value in out.items() if value is not None}


def _with_interval(name: str, value: float | None, ci: Sequence[float] | None) -> dict[str, Any]:
    low, high = ci or (None, None)
    return {name: value, f"{name}_ci_low": low, f"{name}_ci_high": high} if name else {}


def budget_metrics(budget: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics of a ``Ledger.budget``, and the share of the time that went into measuring."""
    out = {f"budget/{key}": value for key, value in budget.items() if value is not None}
    share = time_share(out.get("budget/probe_seconds", 0.0), out.get("budget/train_seconds", 0.0))
    return out if math.isnan(share) else {**out, "budget/probe_share": share}
