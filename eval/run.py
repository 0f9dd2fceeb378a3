"""Evaluate a model on a suite into a run directory; running it again completes it.

    python eval/run.py --model handan/tiny/weights/base --suite eval/suites/tiny.yaml \\
        --output_dir runs/base

Works under `accelerate launch` too; every process then answers its share. A zoo of models is
evaluated one after the other into OUTPUT_DIR/NAME, then all are compared; --dry_run prints a plan:

    python eval/run.py --zoo eval/zoo/tiny.yaml --suite eval/suites/tiny_probe.yaml \\
        --output_dir runs/zoo [--only NAME ...] [--dry_run]
"""

import os
from dataclasses import dataclass
from pathlib import Path

from handan.alignment.tables import alignment_text
from handan.config import key, parse
from handan.errors import UserError, run_main
from handan.evaluation.evaluate import evaluate_model
from handan.evaluation.suite import load_suite
from handan.generation.formats import AUTO

GPU = "H100"


@dataclass
class Arguments:
    """Arguments of this script."""

    suite: str = key("YAML of the suite")
    output_dir: str = key("run directory")
    model: str | None = key("model directory, or owner/name on the hub or a server", None)
    arm: str | None = key(
        "name in all tables; default: the run's, or else the directory's name", None
    )
    revision: str | None = key("revision of a hub model", None)
    engine: str | None = key("YAML of eval/engines; default: transformers in this process", None)
    reasoning_format: str = key(
        "how the model marks its reasoning; auto: as it was trained, or else as its chat template "
        "shows",
        AUTO,
    )
    num_threads: int | None = key("CPU threads", None)
    zoo: str | None = key("YAML of models, instead of --model", None)
    only: list[str] | None = key("names of the zoo's models to run now, as in a job array", None)
    dry_run: bool = key("print the plan of a zoo and stop", False)
    gpu: str = key("GPU the plan is made for", GPU)


def main() -> None:
    """One evaluation."""
    (arguments,) = parse((Arguments,))
    if (arguments.model is None) == (arguments.zoo is None):
        raise UserError("give either --model or --zoo")
    if arguments.zoo is not None:
        run_a_zoo(arguments)
        return
    if arguments.only or arguments.dry_run or arguments.gpu != GPU:
        raise UserError("--only and --dry_run belong to a --zoo, --gpu to its --dry_run")
    run_dir = Path(arguments.output_dir)
    result = evaluate_model(
        arguments.model,
        Path(arguments.suite),
        run_dir,
        arguments.arm,
        arguments.revision,
        arguments.engine,
        arguments.reasoning_format,
        arguments.num_threads,
    )
    if result is not None:
        print(alignment_text(result))
        print(f"written: {run_dir}/costs.csv and alignment.json", flush=True)


def run_a_zoo(arguments: Arguments) -> None:
    """Plan or evaluate the models of a zoo."""
    from handan.evaluation.resource_estimate import plan_text
    from handan.evaluation.zoo import load_zoo
    from handan.experiments.runner import run_zoo

    given = {"arm": arguments.arm, "revision": arguments.revision}
    given["reasoning_format"] = None if arguments.reasoning_format == AUTO else "given"
    if unfit := [key for key, value in given.items() if value is not None]:
        raise UserError(f"--{unfit[0]} belongs to a --model; a zoo's YAML says it for each")
    if "WORLD_SIZE" in os.environ:
        raise UserError("start a zoo with python; an engine's YAML says how it uses several GPUs")
    if arguments.gpu != GPU and not arguments.dry_run:
        raise UserError("--gpu is of the plan that --dry_run prints; give that too")
    zoo, suite_path = load_zoo(Path(arguments.zoo)), Path(arguments.suite)
    suite, entries = load_suite(suite_path), zoo.chosen(arguments.only)
    if arguments.dry_run:
        print(plan_text(zoo, entries, suite, arguments.gpu, arguments.engine))
        return
    more = ["--num_threads", str(arguments.num_threads)] if arguments.num_threads else []
    output_dir = Path(arguments.output_dir)
    result = run_zoo(zoo, entries, suite_path, output_dir, engine=arguments.engine, more=more)
    if result is not None:
        print(alignment_text(result))
        print(f"written: {output_dir}/costs.csv, alignment.json, report/report.html", flush=True)


if __name__ == "__main__":
    run_main(main)
