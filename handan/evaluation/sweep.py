"""Evaluate the models that a training went through, computed with as in the training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handan import checkpoints, rundir
from handan.alignment.align import align
from handan.checkpoints import LEDGER, what_is_wrong
from handan.errors import UserError
from handan.evaluation.evaluate import (
    BOOTSTRAP,
    SCHEDULE,
    budget_metrics,
    cost_columns,
    cost_rows,
    evaluate,
    sampled_costs,
    suite_metrics,
)
from handan.evaluation.responses import KEY
from handan.evaluation.suite import Suite, asked_by, asked_otherwise, suite_items
from handan.files import content_hash, read_json, read_keyed, write_csv, write_json, write_jsonl
from handan.generation.formats import FORMATS
from handan.generation.loading import fingerprint_of, load_model
from handan.generation.transformers_engine import (
    HALF_PRECISION,
    TransformersEngine,
    halve_weights,
)
from handan.launch import Processes
from handan.rundir import read_run, read_settings

# Written last by an evaluation, so one without it is not complete.
EVALUATED = "alignment.json"


@dataclass(frozen=True)
class Training:
    """A training run, its settings of config.yaml and its facts of run.json."""

    run_dir: Path
    arm: str
    settings: dict[str, Any]
    facts: dict[str, Any]

    @property
    def trusted(self) -> str | None:
        """Commit of the code that its model brings along and that its YAML trusts."""
        return self.settings["model_revision"] if self.settings.get("trust_remote_code") else None


@dataclass(frozen=True)
class Policy:
    """The model of a run at one step, where it was saved or on the hub, and what it had cost."""

    step: int
    model: str
    revision: str | None
    budget: dict[str, float | None]

    @property
    def is_checkpoint(self) -> bool:
        """True if its training may remove it again."""
        return self.step > 0 and Path(self.model).name.startswith("checkpoint-")


def read_training(run_dir: Path) -> Training:
    """Read what a training run was."""
    run, config = read_run(run_dir, there=True), read_settings(run_dir, there=True)
    if "training" not in run or "training" not in config:
        raise UserError(f"{run_dir}: holds no training; give the output_dir of a recipe")
    return Training(run_dir, run["arm"], config["training"], run["training"])


def begin(sweep_dir: Path, run: Training, suite: Suite) -> None:
    """Record what is evaluated in ``sweep_dir``, which must be of no other training or suite."""
    training = {key: value for key, value in run.settings.items() if key not in SCHEDULE}
    config = {"suite": suite.name, "suite_hash": suite.fingerprint}
    config["training"] = content_hash(training)
    rundir.check_config(sweep_dir, "sweep", config)
    now = asked_by(suite_items(suite))
    for evaluated in sorted(sweep_dir.glob(f"step-*/{EVALUATED}")):
        if changed := asked_otherwise(evaluated.parent, now):
            raise UserError(
                f"{evaluated.parent}: was not asked {changed} as the suite asks it now; choose "
                "another --output_dir or remove this one"
            )
    rundir.record(sweep_dir, "sweep", config, arm=run.arm)


def policies(run: Training) -> list[Policy]:
    """The models of a run that are there now: its start, whole checkpoints, its end."""
    found = {}
    for step, path in checkpoints.found(run.run_dir).items():
        if reason := what_is_wrong(path, "none"):
            print(f"{path}: {reason}; left out")
        else:
            found[step] = Policy(step, str(path), None, read_json(path / LEDGER))
    if run.facts.get("finished") and run.facts["steps"] not in found:
        end = Policy(run.facts["steps"], str(run.run_dir), None, run.facts["budget"])
        found[end.step] = end
    if not found:
        raise UserError(f"{run.run_dir}: holds no whole checkpoint-N; set save_steps in its YAML")
    later = [found[step] for step in sorted(found)]
    name, revision = (run.settings[key] for key in ("model_name_or_path", "model_revision"))
    reason = "is not the one it began with"
    try:
        if fingerprint_of(name, revision, run.trusted) == run.settings["model_fingerprint"]:
            return [Policy(0, name, revision, run.facts["budget_at_start"]), *later]
    except UserError as error:
        reason = f"cannot be read ({error})"
    lost = "step 0 is left out, and with it inflation"
    print(f"{run.run_dir}: {lost}: the model {name} {reason}")
    return later


def is_evaluated(sweep_dir: Path, policy: Policy) -> bool:
    """Tell whether a step was evaluated to the end, in the training as it is now."""
    folder = sweep_dir / f"step-{policy.step}"
    return (folder / EVALUATED).exists() and read_json(folder / LEDGER) == policy.budget


def evaluate_policy(
    policy: Policy, run: Training, suite: Suite, sweep_dir: Path, world: Processes
) -> None:
    """Evaluate one policy into ``sweep_dir/step-N``, unless its checkpoint is not whole."""
    engine, folder = open_whole(policy, run, world), sweep_dir / f"step-{policy.step}"
    if engine is None:
        return
    if world.rank == 0:
        write_json(folder / LEDGER, policy.budget)
    evaluate(engine, suite, folder, run.arm, policy.model, world)


def open_whole(policy: Policy, run: Training, world: Processes) -> TransformersEngine | None:
    """The engine of a policy; None, and a printed line, if it is a checkpoint that is not whole."""
    engine, folder = None, Path(policy.model)
    try:
        engine = open_as_trained(policy, run, world)
        # Its training may have removed it meanwhile.
        reason = what_is_wrong(folder, "none") if policy.is_checkpoint else None
    except (OSError, UserError):
        reason = what_is_wrong(folder, "model") if policy.is_checkpoint else None
        if reason is None:
            raise
    reasons = [row["reason"] for row in world.gather([{"reason": reason}]) if row["reason"]]
    if reasons and world.rank == 0:
        print(
            f"{policy.model}: {reasons[0]}; left out. If its training removed it, raise "
            "save_total_limit to keep more checkpoints"
        )
    return None if reasons else engine


def open_as_trained(policy: Policy, run: Training, world: Processes) -> TransformersEngine:
    """A policy, computed with as in training: dtype, precision, attention, unmerged adapters."""
    precision, attention = run.facts["launch"]["mixed_precision"], "attn_implementation"
    casts_weights = run.facts["launch"]["engine"] == "DEEPSPEED" and precision in HALF_PRECISION
    dtype = HALF_PRECISION[precision] if casts_weights else run.settings["dtype"] or "float32"
    options: dict[str, Any] = {"merge": False, "trusted": run.trusted, "device": world.device}
    if run.settings[attention]:
        options[attention] = run.settings[attention]
    model, tokenizer, fingerprint = load_model(policy.model, policy.revision, dtype, **options)
    if precision in HALF_PRECISION and not casts_weights:
        from accelerate import Accelerator

        model = Accelerator(mixed_precision=precision).prepare_model(model, evaluation_mode=True)
        halve_weights(model, precision)
    form = FORMATS[run.facts["reasoning_format"]]
    return TransformersEngine(model, tokenizer, form, fingerprint)


def write_sweep(sweep_dir: Path, suite: Suite) -> list[int]:
    """Put the evaluations in ``sweep_dir/step-N`` together, and return their steps."""
    items = suite_items(suite)
    steps = sorted(int(path.parent.name[5:]) for path in sweep_dir.glob(f"step-*/{EVALUATED}"))
    if not steps:
        raise UserError(f"{sweep_dir}: no step was evaluated to the end; run it again")
    rows, metrics, first = [], [], None
    for step in steps:
        folder = sweep_dir / f"step-{step}"
        drawn = read_keyed(folder / "generations.jsonl", KEY)
        responses = [{**row, "step": step} for row in drawn]
        rows += cost_rows(responses, items, suite.cost_without_span)
        costs = sampled_costs(responses, items, suite.cost_without_span)
        spent = budget_metrics(read_json(folder / LEDGER))
        metrics.append({"step": step, **suite_metrics(costs, first), **spent})
        first = costs if step == 0 else first
    write_csv(sweep_dir / "costs.csv", cost_columns(items), rows)
    result = align(rows, bootstrap=BOOTSTRAP, seed=suite.seed)
    write_json(sweep_dir / EVALUATED, result)
    write_jsonl(sweep_dir / "metrics.jsonl", metrics)
    return steps
