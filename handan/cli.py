"""The ``handan`` command: everything that needs no ``accelerate launch``.

Each subcommand imports what it needs when it runs, so that ``handan --help`` is instant and
``handan align`` loads neither torch nor transformers.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from handan import __version__
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
    """Run one subcommand.

    Raises:
        UserError: of the arguments or of what they name.
    """
    parsed = _parser().parse_args(arguments)
    parsed.run(parsed)


def _align(arguments: argparse.Namespace) -> None:
    from handan.alignment.data.costs import read_costs
    from handan.alignment.data.human_side import people_of_trials, with_norms

    elsewhere = arguments.norms is not None or arguments.trials is not None
    table, notes = read_costs(arguments.costs, people_elsewhere=elsewhere)
    people = None
    if arguments.norms is not None and arguments.trials is None:
        table, more = with_norms(table, arguments.norms)
        notes += more
    if arguments.trials is not None:
        people, more = people_of_trials(arguments.trials, table)
        notes += more
    _measure(arguments, table, notes, arguments.reference, people)


def _compare(arguments: argparse.Namespace) -> None:
    from handan.alignment.data.compare import read_runs, reference_model

    runs = read_runs(arguments.runs, arguments.allow_different)
    _measure(arguments, runs.table, runs.notes, reference_model(runs, arguments.reference), None)


def _measure(
    arguments: argparse.Namespace,
    table: "CostTable",
    notes: list[str],
    reference: str | None,
    people: "dict[str, People] | None",
) -> None:
    """Compute all figures, print the tables, and write the files that are asked for."""
    from handan.alignment.data.pairs import read_pairs
    from handan.alignment.measure import align
    from handan.alignment.output.tables import alignment_text, write_tables
    from handan.records import write_json

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
    )
    result["notes"] = notes + result["notes"]
    if arguments.output is not None:
        try:
            write_json(arguments.output, result)
        except OSError as error:
            raise UserError(f"{arguments.output}: cannot be written ({error.strerror})") from None
    if arguments.tables is not None:
        write_tables(result, arguments.tables)
    print(alignment_text(result, power=arguments.power))
    for written in (arguments.output, arguments.tables):
        if written is not None:
            print(f"wrote {printable(str(written))}")


def _norms_build(arguments: argparse.Namespace) -> None:
    from handan import norms
    from handan.norms.build import build

    output = arguments.output or norms.PACKAGED
    build(arguments.trials, output, arguments.splits, arguments.seed)
    print(f"wrote {output}")


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
    from handan import report

    for sentence in report.write(arguments.runs, arguments.output):
        print(sentence)
    print(f"wrote {printable(str(arguments.output))}")


def _demo(arguments: argparse.Namespace) -> None:
    from handan import demo

    demo.run(output_dir=arguments.output_dir, seed=arguments.seed)


def _norms_folder(text: str) -> Path:
    from handan.norms import PACKAGED

    return PACKAGED if text == "packaged" else Path(text)


class _Parser(argparse.ArgumentParser):
    """Tells a wrong argument like any other wrong input: in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="handan",
        description="Do language models spend reasoning tokens where people spend time?",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"handan {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    align = commands.add_parser("align", help="alignment of the models in one costs.csv")
    align.add_argument("costs", type=Path, metavar="COSTS.csv", help="one row a sample")
    align.add_argument("--reference", metavar="MODEL", help="compare every model with this one")
    align.add_argument(
        "--norms",
        type=_norms_folder,
        metavar="DIR",
        help="response times and reliability from these norms; 'packaged' for those of handan",
    )
    align.add_argument(
        "--trials",
        type=Path,
        metavar="TRIALS.csv",
        help="the same from single trials; intervals then hold for other people too",
    )
    _add_alignment_options(align)
    align.set_defaults(run=_align)

    compare = commands.add_parser("compare", help="the same over several comparable runs")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's directory")
    compare.add_argument("--reference", metavar="RUN", help="compare every run with this one")
    compare.add_argument(
        "--allow-different",
        action="store_true",
        help="warn about runs measured under other conditions instead of refusing them",
    )
    _add_alignment_options(compare)
    compare.set_defaults(run=_compare)

    costs = commands.add_parser("costs", help="a costs.csv from the logs of other tools")
    _add_costs_options(costs)
    costs.set_defaults(run=_costs)

    norms = commands.add_parser("norms", help="the human figures")
    norms_commands = norms.add_subparsers(title="commands", metavar="COMMAND", required=True)
    build = norms_commands.add_parser("build", help="compute them from published trials")
    build.add_argument("--trials", type=Path, required=True, metavar="DIR", help="trial tables")
    build.add_argument("--output", type=Path, metavar="DIR", help="default: inside the package")
    _add_split_options(build)
    build.set_defaults(run=_norms_build)
    own = norms_commands.add_parser("compute", help="compute them from your own trials")
    _add_compute_options(own)
    own.set_defaults(run=_norms_compute)
    listing = norms_commands.add_parser("list", help="what is packaged, and from where")
    listing.add_argument("--norms", type=Path, metavar="DIR", help="list the tables in DIR too")
    listing.set_defaults(run=_norms_list)

    report = commands.add_parser("report", help="one HTML page on one or several runs")
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's directory")
    report.add_argument("--output", type=Path, required=True, metavar="report.html")
    report.set_defaults(run=_report)

    demo = commands.add_parser("demo", help="the whole experiment on the embedded world")
    demo.add_argument("--output_dir", type=Path, default=Path("runs/demo"), metavar="DIR")
    demo.add_argument("--seed", type=int, default=1, metavar="S", help="default %(default)s")
    demo.set_defaults(run=_demo)
    return parser


def _add_costs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="a log of the tool")
    parser.add_argument(
        "--from",
        dest="tool",
        choices=("lm_eval", "inspect", "openai"),
        required=True,
        help="the tool that wrote the logs",
    )
    parser.add_argument(
        "--items",
        type=Path,
        required=True,
        metavar="ITEMS.csv",
        help="task, item and human_rt_s or analytic_cost",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="costs.csv")
    parser.add_argument("--model", metavar="NAME", help="default: as in the logs")
    parser.add_argument(
        "--tokenizer",
        metavar="DIR_OR_NAME",
        help="counts text for which the log has no count of reasoning tokens",
    )
    parser.add_argument(
        "--count",
        choices=("tokens", "characters"),
        default="tokens",
        help="default %(default)s",
    )
    parser.add_argument(
        "--tags",
        nargs=2,
        default=("<think>", "</think>"),
        metavar=("OPEN", "CLOSE"),
        help="around reasoning in text, default <think> </think>",
    )
    parser.add_argument(
        "--allow_no_reasoning",
        action="store_true",
        help="accept logs without any reasoning in them",
    )
    parser.add_argument("--item_field", metavar="PATH", help="where the log names the item")
    parser.add_argument(
        "--metric", metavar="NAME", help="metric or scorer that says what is correct, or 'none'"
    )


def _add_alignment_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="PAIRS.csv",
        help="compare students with bases and teachers: columns student,base,teacher",
    )
    parser.add_argument("--output", type=Path, metavar="OUT.json", help="also write JSON here")
    parser.add_argument(
        "--tables", type=Path, metavar="DIR", help="also write every table as CSV, Markdown, LaTeX"
    )
    parser.add_argument(
        "--power", action="store_true", help="also print what these items could show"
    )
    parser.add_argument(
        "--equivalence_bound",
        type=float,
        default=0.1,
        metavar="R",
        help="differences of r within this count as none, default %(default)s",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=10_000,
        metavar="N",
        help="draws of items, default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default %(default)s")


def _add_split_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--splits", type=int, default=5000, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default %(default)s")


def _add_compute_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trials", type=Path, metavar="TRIALS.csv", help="one row a trial")
    parser.add_argument("--source", required=True, metavar="NAME", help="short name of the study")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="for the tables")
    parser.add_argument(
        "--floor_s", type=float, default=0.2, metavar="S", help="shortest time, default %(default)s"
    )
    parser.add_argument(
        "--ceiling_s",
        type=float,
        default=300.0,
        metavar="S",
        help="longest time, default %(default)s",
    )
    parser.add_argument(
        "--all_trials", action="store_true", help="times of wrong answers count too"
    )
    parser.add_argument(
        "--trim_sd",
        type=float,
        metavar="X",
        help="leave out trials further than X SD from their participant's mean log time",
    )
    parser.add_argument(
        "--least_trials",
        type=int,
        default=1,
        metavar="N",
        help="leave out items with fewer trials left, default %(default)s",
    )
    _add_split_options(parser)
