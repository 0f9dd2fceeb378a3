"""``handan experiment``: one YAML declares a matched experiment, one command runs it to its page.

handan experiment recipes/experiments/tiny_pair.yaml --dry_run
"""

import time
from collections.abc import Sequence
from pathlib import Path

from handan import rundir
from handan.errors import UserError
from handan.experiment import plan as planning
from handan.experiment import stages
from handan.experiment.declared import Experiment
from handan.records import read_json


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
        dry_run, list_stages: print the commands, or the state of each stage, and run nothing.

    Raises:
        UserError: it is not run in a clone of the project, or a stage failed.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    folder = output_dir or Path(experiment.output_dir)
    made, logs, started = planning.plan(experiment, folder), folder / "logs", time.monotonic()
    if show(experiment, made, logs, only, dry_run, list_stages):
        return
    run_stages(experiment, made, logs, only)
    done = stages.finished(made.stages, logs)
    if missing := [stage.name for stage in made.stages if stage.name not in done]:
        stages.say(started, f"no report yet; to be run: {', '.join(missing)}")
        return
    from handan import report  # draws, and so takes a moment to import
    from handan.alignment.output.tables import arms_text

    with rundir.lock(logs, 0):  # of several commands, each may have run a last stage
        for page in made.pages:
            sentences = report.write(page.runs, page.output, experiment.budget_tolerance)
            numbers = page.output.with_name("alignment.json")
            print("", arms_text(read_json(numbers)), "", *sentences, "", sep="\n")
            stages.say(started, f"report: {page.output}")
            print(f"          figures: {numbers}", flush=True)


def show(
    experiment: Experiment,
    made: planning.Plan,
    logs: Path,
    only: Sequence[str],
    dry_run: bool,
    list_stages: bool,
) -> bool:
    """Print the commands, or a line for each stage, if that is asked for; returns whether it was.

    Raises:
        UserError: one option leaves another without effect.
    """
    if dry_run and list_stages:
        raise UserError("--dry_run and --list print different things; give one of them")
    if only and (dry_run or list_stages):
        raise UserError("--only chooses what is run, and --dry_run and --list run nothing")
    if not (dry_run or list_stages):
        return False
    done = stages.finished(made.stages, logs)
    if list_stages:
        print("\n".join(stages.states(made.stages, done, logs)))
    else:
        print(planning.script(made, done, experiment.budget_tolerance))
    return True


def run_stages(
    experiment: Experiment,
    made: planning.Plan,
    logs: Path,
    only: Sequence[str] = (),
    keep_going: bool = False,
) -> None:
    """Run the stages that are missing; see ``stages.run``.

    Raises:
        UserError: it is not run in a clone of the project, or a stage failed.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    scripts = [stage.script for stage in made.stages if stage.script.endswith(".py")]
    for name in (*scripts, *(stage.accelerate_config for stage in made.stages)):
        if name is not None and not Path(name).is_file():
            raise UserError(f"{name}: no such file; run this in a clone of the project")
    done = stages.finished(made.stages, logs)
    chosen = [stage.name for stage in planning.select(made.stages, only, done)]
    stages.run(made.stages, chosen, done, logs, experiment.parallel, keep_going)
