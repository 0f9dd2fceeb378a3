"""Evaluate a model on a suite into a run directory; running it again completes it.

    python eval/run.py --model handan/tiny/weights/base --suite eval/suites/tiny.yaml \\
        --output_dir runs/base

Works under `accelerate launch` too; every process then answers its share.
"""

from dataclasses import dataclass, field
from pathlib import Path

from handan.alignment.output.tables import alignment_text
from handan.arguments import parse
from handan.errors import run_main
from handan.evaluate import evaluate, load_model
from handan.formats import choose_for
from handan.launch import processes
from handan.records import read_json
from handan.suite import load_suite


@dataclass
class Arguments:
    """Arguments of this script."""

    model: str = field(metadata={"help": "model directory, or owner/name on the hub"})
    suite: str = field(metadata={"help": "YAML of the suite"})
    output_dir: str = field(metadata={"help": "run directory"})
    arm: str | None = field(
        default=None,
        metadata={"help": "name in all tables; default: the run's, or else the directory's name"},
    )
    revision: str | None = field(default=None, metadata={"help": "revision of a hub model"})
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
    model, tokenizer, fingerprint = load_model(
        arguments.model, arguments.revision, device=world.device
    )
    result = evaluate(
        model,
        tokenizer,
        choose_for(arguments.model, arguments.reasoning_format, tokenizer),
        suite,
        run_dir,
        arm=arguments.arm or recorded.get("arm") or run_dir.name,
        model_name=arguments.model,
        fingerprint=fingerprint,
        world=world,
    )
    if result is not None:
        print(alignment_text(result))
        print(f"written: {run_dir}/costs.csv and alignment.json", flush=True)


if __name__ == "__main__":
    run_main(main)
