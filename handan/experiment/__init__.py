"""``handan experiment``: one YAML declares a matched experiment, one command runs it to its page.

    handan experiment recipes/experiments/tiny_pair.yaml --dry_run

``declared`` reads and checks the YAML, ``plan`` turns it into commands, ``stages`` runs them.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from handan.errors import UserError
from handan.experiment import plan as planning
from handan.experiment import stages
from handan.experiment.declared import load_experiment
from handan.records import read_json

DEMO = Path("recipes/experiments/tiny.yaml")


def run(
    path: Path,
    output_dir: Path | None = None,
    seed: int | None = None,
    accelerate_config: str | None = None,
    only: Sequence[str] = (),
    dry_run: bool = False,
) -> None:
    """Run what is missing of an experiment, then write its report.

    Args:
        path: the YAML.
        output_dir: instead of the YAML's.
        seed: a single one, instead of the YAML's seeds.
        accelerate_config: of trainings and traces, instead of the YAML's.
        only: names of stages; all if empty. The report is written once every stage is finished.
        dry_run: print the commands and what is finished, and run nothing.

    Raises:
        UserError: the YAML is wrong, it is not run in a clone of the project, or a stage failed.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    if path == DEMO and not path.exists():
        raise UserError(f"{path}: no such file; run this in a clone of the project")
    changes: dict = {"seeds": [seed]} if seed is not None else {}
    if accelerate_config is not None:
        changes["accelerate_config"] = accelerate_config
    experiment = load_experiment(path, **changes)
    folder = output_dir or Path(experiment.output_dir)
    made = planning.plan(experiment, folder)
    for stage in made.stages:
        for name in (stage.script, stage.accelerate_config):
            if name is not None and not Path(name).is_file():
                raise UserError(f"{name}: no such file; run this in a clone of the project")
    logs = folder / "logs"
    done = stages.finished(made.stages, logs)
    if dry_run:
        print(planning.script(made, done, experiment.budget_tolerance))
        return
    chosen = planning.select(made.stages, only, done)
    started = time.monotonic()
    if done:
        print(f"{len(done)} of {len(made.stages)} stages are finished already", flush=True)
    stages.run(made.stages, [s.name for s in chosen], done, logs, experiment.parallel)
    if missing := [stage.name for stage in made.stages if stage.name not in done]:
        stages.say(started, f"no report yet; to be run: {', '.join(missing)}")
        return
    for page in made.pages:
        _write(page, experiment.budget_tolerance, started)


def _write(page: planning.Page, tolerance: float, started: float) -> None:
    from handan import report  # draws, and so takes a moment to import
    from handan.alignment.output.tables import arms_text

    sentences = report.write(page.runs, page.output, tolerance)
    figures = page.output.with_name("alignment.json")
    print("", arms_text(read_json(figures)), "", *sentences, "", sep="\n")
    stages.say(started, f"report: {page.output}")
    print(f"          figures: {figures}", flush=True)
