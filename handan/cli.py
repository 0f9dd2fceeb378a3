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

from handan import __version__, credentials, options
from handan.errors import UserError, printable, run_main

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
    """Run one subcommand."""
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
    """Compute, print and write all tables; ``trained`` is run.json by model, to compare budgets."""
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

    names = ("floor_s", "ceiling_s", "all_trials", "trim_sd", "least_trials", "splits", "seed")
    rules = {name: getattr(arguments, name) for name in names}
    compute(arguments.trials, arguments.source, arguments.output, **rules)
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
    from handan.experiment.declared import DEMO, load_experiment

    experiment.run(load_experiment(DEMO, arguments.seed), output_dir=arguments.output_dir)


def _experiment(arguments: argparse.Namespace) -> None:
    from handan import experiment
    from handan.experiment.declared import load_experiment

    experiment.run(
        load_experiment(arguments.file, arguments.seed, arguments.accelerate_config),
        output_dir=arguments.output_dir,
        only=arguments.only,
        dry_run=arguments.dry_run,
        list_stages=arguments.list,
    )


def _study(arguments: argparse.Namespace) -> None:
    from handan import study

    study.run(arguments)


def _doctor(arguments: argparse.Namespace) -> None:
    from handan import doctor

    doctor.main()


NORMS = {
    "compute": ("compute them from your own trials", options.NORMS_COMPUTE, _norms_compute),
    "list": (
        "what is packaged, and from where",
        {"--norms": options.path("DIR", "list the tables in DIR too")},
        _norms_list,
    ),
}
COMMANDS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "align": ("alignment of the models in one costs.csv", options.ALIGN, _align),
    "compare": ("the same over several comparable runs", options.COMPARE, _compare),
    "costs": ("a costs.csv from the logs of other tools", options.COSTS, _costs),
    "norms": ("the human figures", {}, NORMS),
    "report": ("what one or several runs say, as a page or in W&B", options.REPORT, _report),
    "publish": ("the card of a run, and its way to the hub", options.PUBLISH, _publish),
    "demo": ("the whole experiment on the embedded world", options.DEMO, _demo),
    "experiment": ("a matched experiment declared in a YAML", options.EXPERIMENT, _experiment),
    "study": ("a study over seeds and factors, to its page", options.STUDY, _study),
    "doctor": ("what this machine has, lacks and can run", {}, _doctor),
}


def _parser() -> argparse.ArgumentParser:
    parser = options.Parser(
        prog="handan",
        description="Do language models spend reasoning tokens where people spend time?",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"handan {__version__}")
    _add_commands(parser, COMMANDS)
    return parser


def _add_commands(parser: argparse.ArgumentParser, commands: Mapping[str, tuple]) -> None:
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (text, taken, run) in commands.items():
        subparser = parsers.add_parser(name, help=text)
        if isinstance(run, dict):
            _add_commands(subparser, run)
            continue
        for names, settings in taken.items():
            subparser.add_argument(*names.split(), **settings)
        subparser.set_defaults(run=run)
