"""The ``handan`` command: everything that needs no ``accelerate launch``.

Each subcommand imports what it needs when it runs, so that ``handan --help`` is instant and
``handan align`` loads neither torch nor transformers.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from handan import __version__, credentials
from handan.errors import UserError, printable, run_main
from handan.options import (
    Parser,
    add_align_options,
    add_compare_options,
    add_compute_options,
    add_costs_options,
    add_experiment_options,
    add_publish_options,
    add_report_options,
    add_study_options,
)

if TYPE_CHECKING:
    from handan.alignment.data.cost_table import CostTable
    from handan.alignment.data.people import People


def main() -> NoReturn:
    """Entry point of the installed command."""
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal that cannot show a model's name shows its code, rather than a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Matrices are small here: more threads would spend their time waiting for each other, and
    # change the last digits.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    run_main(lambda: command(sys.argv[1:]))


def command(arguments: Sequence[str]) -> None:
    """Run one subcommand.

    Raises:
        UserError: of the arguments or of what they name.
    """
    credentials.refuse_in_words(arguments)
    parsed = _parser().parse_args(arguments)
    parsed.run(parsed)


def _align(arguments: argparse.Namespace) -> None:
    from handan.alignment.data.costs import read_costs
    from handan.alignment.data.human_side import (
        check_sources,
        people_of_trials,
        raw_notes,
        with_norms,
    )
    from handan.alignment.inert import refuse_inert

    refuse_inert(arguments)
    elsewhere = arguments.norms is not None or arguments.trials is not None
    table, notes = read_costs(arguments.costs, people_elsewhere=elsewhere)
    people = None
    if arguments.norms is not None:
        table, more = with_norms(table, arguments.norms)
        notes += more
    if arguments.trials is not None:
        people, more = people_of_trials(arguments.trials, table)
        notes += more
    else:
        check_sources(table, arguments.norms)
        notes += raw_notes(table)
    _measure(arguments, table, notes, arguments.reference, people)


def _compare(arguments: argparse.Namespace) -> None:
    from handan.alignment.data.compare import read_runs, reference_model
    from handan.alignment.inert import refuse_inert

    refuse_inert(arguments)
    runs = read_runs(arguments.runs, arguments.allow_different)
    reference = reference_model(runs, arguments.reference)
    _measure(arguments, runs.table, runs.notes, reference, None, runs.trained)


def _measure(
    arguments: argparse.Namespace,
    table: "CostTable",
    notes: list[str],
    reference: str | None,
    people: "dict[str, People] | None",
    trained: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Compute all figures, print the tables, and write the files that are asked for.

    ``trained`` is run.json by model, where budgets are to be compared.
    """
    import numpy as np

    from handan.alignment.data.cost_rule import with_cost_rule
    from handan.alignment.data.pairs import read_pairs
    from handan.alignment.inert import inert
    from handan.alignment.measure import align
    from handan.alignment.output.tables import alignment_text, write_tables
    from handan.budgets import compare_pairs
    from handan.records import write_json

    before = table.numbers["reasoning_tokens"]
    if arguments.cost_rule is not None:
        table = with_cost_rule(table, arguments.cost_rule)
    recounted = not np.array_equal(before, table.numbers["reasoning_tokens"])
    pairs = read_pairs(arguments.pairs, table.names("model")) if arguments.pairs else None
    result = align(
        table,
        bootstrap=arguments.bootstrap,
        seed=arguments.seed,
        reference=reference,
        comparisons=pairs,
        people=people,
        norms_dir=getattr(arguments, "norms", None),
        equivalence_bound=arguments.equivalence_bound,
        task_weights=arguments.task_weights,
    )
    if trained is not None:
        paired = [(row["a"], row["b"]) for row in result["contrasts"]]
        result["budgets"] = compare_pairs(paired, trained, arguments.budget_tolerance)
    result["notes"] = notes + inert(arguments, result, recounted) + result["notes"]
    if arguments.output is not None:
        write_json(arguments.output, result)
    if arguments.tables is not None:
        write_tables(result, arguments.tables)
    print(alignment_text(result, power=arguments.power))
    for written in (arguments.output, arguments.tables):
        if written is not None:
            print(f"wrote {printable(str(written))}")


def _norms_compute(arguments: argparse.Namespace) -> None:
    from handan.norms.compute import compute

    compute(
        arguments.trials,
        arguments.source,
        arguments.output,
        floor_s=arguments.floor_s,
        ceiling_s=arguments.ceiling_s,
        all_trials=arguments.all_trials,
        trim_sd=arguments.trim_sd,
        least_trials=arguments.least_trials,
        splits=arguments.splits,
        seed=arguments.seed,
    )
    print(f"wrote {printable(str(arguments.output))}")


def _norms_list(arguments: argparse.Namespace) -> None:
    from handan import norms
    from handan.alignment.output.tables import norms_table

    def show(directory: Path) -> None:
        pairs = norms.available(directory)
        print(norms_table([norms.load(task, source, directory) for task, source in pairs]))

    if arguments.norms is not None:
        print(f"in {printable(str(arguments.norms))}:")
        show(arguments.norms)
        print("\npackaged:")
    show(norms.PACKAGED)


def _costs(arguments: argparse.Namespace) -> None:
    from handan.readers.logged import Options
    from handan.readers.spans import Tags
    from handan.readers.table import write_costs

    if arguments.count == "characters" and arguments.tokenizer:
        raise UserError("--count characters needs no --tokenizer; leave one of them out")
    sentences = write_costs(
        logs=arguments.logs,
        tool=arguments.tool,
        items_csv=arguments.items,
        output=arguments.output,
        options=Options(
            model=arguments.model,
            tags=Tags(*arguments.tags),
            allow_no_reasoning=arguments.allow_no_reasoning,
            item_field=arguments.item_field,
            metric=arguments.metric,
        ),
        tokenizer=arguments.tokenizer,
        characters=arguments.count == "characters",
    )
    for sentence in sentences:
        print(printable(sentence))
    print(f"wrote {printable(str(arguments.output))}")


def _report(arguments: argparse.Namespace) -> None:
    from handan.report import command

    command.run(arguments)


def _publish(arguments: argparse.Namespace) -> None:
    from handan.publish import publish

    publish(arguments.run_dir, arguments.repo, arguments.push_to_hub, arguments.private)


def _demo(arguments: argparse.Namespace) -> None:
    from handan import experiment

    experiment.run(
        experiment.load(experiment.DEMO, arguments.seed), output_dir=arguments.output_dir
    )


def _experiment(arguments: argparse.Namespace) -> None:
    from handan import experiment

    experiment.run(
        experiment.load(arguments.file, arguments.seed, arguments.accelerate_config),
        output_dir=arguments.output_dir,
        only=arguments.only,
        dry_run=arguments.dry_run,
        list_stages=arguments.list,
    )


def _study(arguments: argparse.Namespace) -> None:
    from handan.study import command

    command.run(arguments)


def _doctor(arguments: argparse.Namespace) -> None:
    from handan import doctor

    doctor.main()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="handan",
        description="Do language models spend reasoning tokens where people spend time?",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"handan {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    align = commands.add_parser("align", help="alignment of the models in one costs.csv")
    add_align_options(align)
    align.set_defaults(run=_align)

    compare = commands.add_parser("compare", help="the same over several comparable runs")
    add_compare_options(compare)
    compare.set_defaults(run=_compare)

    costs = commands.add_parser("costs", help="a costs.csv from the logs of other tools")
    add_costs_options(costs)
    costs.set_defaults(run=_costs)

    norms = commands.add_parser("norms", help="the human figures")
    norms_commands = norms.add_subparsers(title="commands", metavar="COMMAND", required=True)
    own = norms_commands.add_parser("compute", help="compute them from your own trials")
    add_compute_options(own)
    own.set_defaults(run=_norms_compute)
    listing = norms_commands.add_parser("list", help="what is packaged, and from where")
    listing.add_argument("--norms", type=Path, metavar="DIR", help="list the tables in DIR too")
    listing.set_defaults(run=_norms_list)

    report = commands.add_parser("report", help="what one or several runs say, as a page or in W&B")
    add_report_options(report)
    report.set_defaults(run=_report)

    publish = commands.add_parser("publish", help="the card of a run, and its way to the hub")
    add_publish_options(publish)
    publish.set_defaults(run=_publish)

    demo = commands.add_parser("demo", help="the whole experiment on the embedded world")
    demo.add_argument("--output_dir", type=Path, default=Path("runs/demo"), metavar="DIR")
    demo.add_argument("--seed", type=int, default=1, metavar="S", help="default %(default)s")
    demo.set_defaults(run=_demo)

    experiment = commands.add_parser("experiment", help="a matched experiment declared in a YAML")
    add_experiment_options(experiment)
    experiment.set_defaults(run=_experiment)

    study = commands.add_parser("study", help="a study over seeds and factors, to its page")
    add_study_options(study)
    study.set_defaults(run=_study)

    doctor = commands.add_parser("doctor", help="what this machine has, lacks and can run")
    doctor.set_defaults(run=_doctor)
    return parser
