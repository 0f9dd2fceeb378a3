"""Evaluate every checkpoint of a training run, out of process, on one suite.

    python eval/sweep.py --run runs/tiny/grpo --suite eval/suites/tiny_probe.yaml

Each checkpoint is evaluated into RUN/sweep/step-N; RUN/sweep/costs.csv and alignment.json then
hold all of them with a `step` column. Running it again completes it, also while training goes on:
a checkpoint counts once its ledger is there, which is written last.
"""

from dataclasses import dataclass, field
from pathlib import Path

from handan.arguments import parse
from handan.engines import load_engine, open_engine
from handan.errors import UserError, run_main
from handan.evaluate import evaluate, write_sweep
from handan.launch import processes
from handan.records import read_json
from handan.suite import load_suite
from handan.training.ledger import complete_checkpoints


@dataclass
class Arguments:
    """Arguments of this script."""

    run: str = field(metadata={"help": "run directory of a training"})
    suite: str = field(metadata={"help": "YAML of the suite"})
    num_threads: int | None = field(default=None, metadata={"help": "CPU threads"})


def main() -> None:
    """Evaluate what is there, then put the steps together."""
    (arguments,) = parse((Arguments,))
    world = processes(arguments.num_threads)
    run_dir = Path(arguments.run)
    suite = load_suite(Path(arguments.suite))
    checkpoints = complete_checkpoints(run_dir)
    if not checkpoints:
        raise UserError(f"{run_dir}: holds no complete checkpoint-N; set save_steps in its YAML")
    arm = read_json(run_dir / "run.json")["arm"]
    for step, checkpoint in sorted(checkpoints.items()):
        engine = open_engine(load_engine(None), str(checkpoint), device=world.device)
        target = run_dir / "sweep" / f"step-{step}"
        evaluate(engine, suite, target, arm, str(checkpoint), world)
    if world.rank == 0:
        write_sweep(run_dir / "sweep", suite)
        print(f"written: {run_dir}/sweep/costs.csv and alignment.json", flush=True)


if __name__ == "__main__":
    run_main(main)
