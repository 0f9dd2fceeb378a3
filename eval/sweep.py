"""Evaluate the models that a training run went through, out of process, on one suite.

    python eval/sweep.py --run runs/tiny/grpo --suite eval/suites/tiny_probe.yaml

The model it began with, each whole checkpoint and the end are evaluated into RUN/sweep/step-N;
RUN/sweep/metrics.jsonl, costs.csv and alignment.json then hold all of them with their steps. The
figures are those that a probe within the training has at the same steps. Running it again completes
it, also while training goes on: a checkpoint counts once its manifest is there, which is written
last, and if its files agree with it. Each suite needs a directory of its own, RUN/sweep unless
--output_dir says otherwise.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from handan import rundir
from handan.config import key, parse
from handan.errors import run_main
from handan.evaluation import sweep
from handan.evaluation.suite import Suite, load_suite
from handan.launch import Processes, processes


@dataclass
class Arguments:
    """Arguments of this script."""

    run: str = key("run directory of a training")
    suite: str = key("YAML of the suite")
    output_dir: str | None = key("RUN/sweep by default", None)
    num_threads: int | None = key("CPU threads; those of the training by default", None)


def main() -> None:
    """Evaluate what is there and not evaluated yet, then put the steps together."""
    (arguments,) = parse((Arguments,))
    run = sweep.read_training(Path(arguments.run))
    suite = load_suite(Path(arguments.suite))
    world = processes(arguments.num_threads or run.settings["num_threads"])
    sweep_dir = Path(arguments.output_dir or run.run_dir / "sweep")
    with rundir.lock(sweep_dir, world.rank):
        evaluate_missing(run, suite, sweep_dir, world)


def evaluate_missing(run: sweep.Training, suite: Suite, sweep_dir: Path, world: Processes) -> None:
    """Evaluate the policies that are there and not evaluated yet, and put all together."""
    todo = []
    if world.rank == 0:
        sweep.begin(sweep_dir, run, suite)
        found = sweep.policies(run)
        todo = [asdict(policy) for policy in found if not sweep.is_evaluated(sweep_dir, policy)]
    for row in world.gather(todo):
        sweep.evaluate_policy(sweep.Policy(**row), run, suite, sweep_dir, world)
    if world.rank == 0:
        steps = ", ".join(map(str, sweep.write_sweep(sweep_dir, suite)))
        print(f"{run.arm}: steps {steps} in {sweep_dir}/metrics.jsonl and costs.csv", flush=True)


if __name__ == "__main__":
    run_main(main)
