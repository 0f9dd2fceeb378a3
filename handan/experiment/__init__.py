"""``handan experiment``: one YAML declares a matched experiment, one command runs it to its page.

    handan experiment recipes/experiments/tiny_pair.yaml --dry_run

``declared`` reads the YAML, ``checks`` says what is wrong in it, ``plan`` turns it into commands,
``stages`` runs them and ``marks`` says what is finished.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from handan import rundir
from handan.errors import UserError
from handan.experiment import marks, stages
from handan.experiment import plan as planning
from handan.experiment.declared import Experiment, Kind, load_experiment
from handan.records import read_json

DEMO = Path("recipes/experiments/tiny.yaml")


def load(
    path: Path,
    seed: int | None = None,
    accelerate_config: str | None = None,
    kind: type[Kind] = Experiment,  # type: ignore[assignment]
) -> Kind:
    """An experiment as the command line changes it.

    Args:
        path: the YAML.
        seed: a single one, instead of the YAML's seeds.
        accelerate_config: of trainings and traces, instead of the YAML's.
        kind: ``Experiment``, or a dataclass of more keys.

    Raises:
        UserError: the YAML is wrong, or this is no clone of the project.
    """
    if path == DEMO and not path.exists():
        raise UserError(f"{path}: no such file; run this in a clone of the project")
    changes: dict = {"seeds": [seed]} if seed is not None else {}
    if accelerate_config is not None:
        changes["accelerate_config"] = accelerate_config
    return load_experiment(path, kind, **changes)


def run(
    experiment: Experiment,
    output_dir: Path | None = None,
    only: Sequence[str] = (),
    dry_run: bool = False,
    list_stages: bool = False,
) -> None:
    """Run what is missing of an experiment, then write its reports.

    Args:
        experiment: what is declared.
        output_dir: instead of the YAML's.
        only: names of stages; all if empty. Reports are written once every stage is finished.
        dry_run, list_stages: see ``show``; nothing is run.

    Raises:
        UserError: it is not run in a clone of the project, or a stage failed.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    check_options(only, dry_run, list_stages)
    folder = output_dir or Path(experiment.output_dir)
    made = planning.plan(experiment, folder)
    if dry_run or list_stages:
        show(experiment, made, folder, list_stages)
        return
    started = time.monotonic()
    run_stages(experiment, made, folder, only)
    done = marks.finished(made.stages, folder / "logs")
    if missing := [stage.name for stage in made.stages if stage.name not in done]:
        stages.say(started, f"no report yet; to be run: {', '.join(missing)}")
        return
    with rundir.lock(folder / "logs", 0):  # of several commands, each may have run a last stage
        for page in made.pages:
            _write(page, experiment.budget_tolerance, started)


def check_options(only: Sequence[str], dry_run: bool, list_stages: bool) -> None:
    """Stop at options of which one leaves another one without effect.

    Raises:
        UserError: names them.
    """
    if dry_run and list_stages:
        raise UserError("--dry_run and --list print different things; give one of them")
    if only and (dry_run or list_stages):
        raise UserError("--only chooses what is run, and --dry_run and --list run nothing")


def show(experiment: Experiment, made: planning.Plan, folder: Path, list_stages: bool) -> None:
    """Print the commands and what is finished, or a line for each stage, as ``marks.states``."""
    logs = folder / "logs"
    done = marks.finished(made.stages, logs)
    if list_stages:
        print("\n".join(marks.states(made.stages, done, logs)))
    else:
        print(planning.script(made, done, experiment.budget_tolerance))


def run_stages(
    experiment: Experiment,
    made: planning.Plan,
    folder: Path,
    only: Sequence[str] = (),
    keep_going: bool = False,
) -> None:
    """Run the stages that are missing.

    Args:
        experiment: what is declared.
        made: its plan.
        folder: where its runs and logs are.
        only: names of stages; all if empty.
        keep_going: if a stage fails, run what does not need it before telling so.

    Raises:
        UserError: it is not run in a clone of the project, or a stage failed.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    scripts = [stage.script for stage in made.stages if stage.script.endswith(".py")]
    for name in (*scripts, *(stage.accelerate_config for stage in made.stages)):
        if name is not None and not Path(name).is_file():
            raise UserError(f"{name}: no such file; run this in a clone of the project")
    logs = folder / "logs"
    done = marks.finished(made.stages, logs)
    chosen = [stage.name for stage in planning.select(made.stages, only, done)]
    if done:
        print(f"{len(done)} of {len(made.stages)} stages are finished already", flush=True)
    stages.run(made.stages, chosen, done, logs, experiment.parallel, keep_going)


def _write(page: planning.Page, tolerance: float, started: float) -> None:
    from handan import report  # draws, and so takes a moment to import
    from handan.alignment.output.tables import arms_text

    sentences = report.write(page.runs, page.output, tolerance)
    figures = page.output.with_name("alignment.json")
    print("", arms_text(read_json(figures)), "", *sentences, "", sep="\n")
    stages.say(started, f"report: {page.output}")
    print(f"          figures: {figures}", flush=True)
