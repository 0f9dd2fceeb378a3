"""Evaluate a model on a suite into a run directory; running it again completes it.

    python eval/run.py --model handan/tiny/weights/base --suite eval/suites/tiny.yaml \\
        --output_dir runs/base

Works under `accelerate launch` too; every process then answers its share.
"""

from dataclasses import dataclass, field
from pathlib import Path

from handan.alignment.output.tables import alignment_text
from handan.arguments import parse
from handan.engines import load_engine, open_engine
from handan.errors import run_main
from handan.evaluate import evaluate
from handan.launch import processes
from handan.records import read_json
from handan.suite import load_suite


@dataclass
class Arguments:
    """Arguments of this script."""

    model: str = field(metadata={"help": "model directory, or owner/name on the hub or a server"})
    suite: str = field(metadata={"help": "YAML of the suite"})
    output_dir: str = field(metadata={"help": "run directory"})
    arm: str | None = field(
        default=None,
        metadata={"help": "name in all tables; default: the run's, or else the directory's name"},
    )
    revision: str | None = field(default=None, metadata={"help": "revision of a hub model"})
    engine: str | None = field(
        default=None,
        metadata={"help": "YAML of eval/engines; default: transformers in this process"},
    )
    reasoning_format: str = field(
        default="auto",
        metadata={
            "help": "how the model marks its reasoning; auto: as it was trained, or else as its "
            "chat template shows"
        },
    )
    num_threads: int | None = field(default=None, metadata={"help": "CPU threads"})


def main() -> None:
    """One evaluation."""
    (arguments,) = parse((Arguments,))
    world = processes(arguments.num_threads)
    suite = load_suite(Path(arguments.suite))
    run_dir = Path(arguments.output_dir)
    recorded = read_json(run_dir / "run.json") if (run_dir / "run.json").exists() else {}
    engine = open_engine(
        load_engine(Path(arguments.engine) if arguments.engine else None),
        arguments.model,
        arguments.revision,
        arguments.reasoning_format,
        world.device,
    )
    arm = arguments.arm or recorded.get("arm") or run_dir.name
    result = evaluate(engine, suite, run_dir, arm, arguments.model, world)
    if result is not None:
        print(alignment_text(result))
        print(f"written: {run_dir}/costs.csv and alignment.json", flush=True)


if __name__ == "__main__":
    run_main(main)
