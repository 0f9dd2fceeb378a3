"""What the subcommands of ``handan`` take."""

import argparse
from pathlib import Path
from typing import NoReturn

from handan.budgets import TOLERANCE
from handan.errors import UserError

EQUIVALENCE_BOUND, BOOTSTRAP, SEED = 0.1, 10_000, 0
TASK_WEIGHTS = ("inverse_variance", "equal")  # of handan.alignment.statistics.basic, likewise
COST_RULES = ("span", "response")  # of handan.alignment.data.cells, which takes a moment to import


def _norms_folder(text: str) -> Path:
    from handan.norms import PACKAGED

    return PACKAGED if text == "packaged" else Path(text)


class Parser(argparse.ArgumentParser):
    """Tells a wrong argument like any other wrong input: in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def add_align_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan align``."""
    parser.add_argument("costs", type=Path, metavar="COSTS.csv", help="one row a sample")
    parser.add_argument("--reference", metavar="MODEL", help="compare every model with this one")
    parser.add_argument(
        "--norms",
        type=_norms_folder,
        metavar="DIR",
        help="response times and reliability from these norms, in place of those in COSTS.csv; "
        "'packaged' for those of handan",
    )
    parser.add_argument(
        "--trials",
        type=Path,
        metavar="TRIALS.csv",
        help="the same from single trials; intervals then hold for other people too",
    )
    _add_alignment_options(parser)


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan compare``."""
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's directory")
    parser.add_argument("--reference", metavar="RUN", help="compare every run with this one")
    parser.add_argument(
        "--allow-different",
        action="store_true",
        help="warn about runs measured under other conditions instead of refusing them",
    )
    add_tolerance_option(parser)
    _add_alignment_options(parser)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan report``."""
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="a run's directory")
    parser.add_argument(
        "--runs",
        dest="more_runs",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="the same, anywhere among the options",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="report.html",
        help="write one HTML page; as report.md Markdown, its figures in report_figures/ beside it",
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="write every figure as PNG and PDF for papers, and figures.md with their captions",
    )
    parser.add_argument(
        "--wandb", metavar="ENTITY/PROJECT", help="save a W&B report of these runs there"
    )
    parser.add_argument(
        "--offline",
        type=Path,
        metavar="OUT.json",
        help="with --wandb: write the report's validated spec here instead, without network",
    )
    add_tolerance_option(parser)


def add_tolerance_option(parser: argparse.ArgumentParser) -> None:
    """Of commands that compare budgets."""
    parser.add_argument(
        "--budget_tolerance",
        type=float,
        default=TOLERANCE,
        metavar="SHARE",
        help="budgets count as matched within this share, default %(default)s",
    )


def add_experiment_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan experiment``."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a YAML of recipes/experiments or recipes/studies"
    )
    parser.add_argument("--output_dir", type=Path, metavar="DIR", help="instead of the YAML's")
    parser.add_argument("--seed", type=int, metavar="S", help="instead of the YAML's seeds")
    parser.add_argument(
        "--accelerate_config",
        metavar="YAML",
        help="launches trainings and traces, instead of the experiment's",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="STAGE", help="run only these stages"
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="print wave, name and state of each stage, and run nothing",
    )
    parser.add_argument(
        "--dry_run",
        "--dry-run",
        action="store_true",
        help="print the commands and what is finished, and run nothing",
    )


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan study``: those of an experiment, and its page."""
    add_experiment_options(parser)
    parser.add_argument(
        "--page",
        type=Path,
        metavar="OUT.md",
        help="write the page there, such as over the study's own; default: beside the runs",
    )
    parser.add_argument(
        "--page_only", "--page-only", action="store_true", help="run nothing, only write the page"
    )
    parser.add_argument(
        "--numbers",
        type=Path,
        metavar="STUDY.json",
        help="write the page from these numbers of an earlier page, judged anew, without any run",
    )


def add_costs_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan costs``."""
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
    """Of ``handan align`` and ``handan compare``."""
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="PAIRS.csv",
        help="compare students with bases and teachers: columns student,base,teacher",
    )
    parser.add_argument(
        "--cost_rule",
        choices=COST_RULES,
        help="count all costs by one rule: reasoning span or whole response; default: as recorded",
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
        default=EQUIVALENCE_BOUND,
        metavar="R",
        help="differences of r within this count as none, default %(default)s",
    )
    parser.add_argument(
        "--task_weights",
        choices=TASK_WEIGHTS,
        default=TASK_WEIGHTS[0],
        help="how tasks weigh in a mean: by n - 3, the inverse variance of z, or alike; "
        "default %(default)s",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=BOOTSTRAP,
        metavar="N",
        help="draws of items, default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=SEED, metavar="S", help="default %(default)s")


def add_publish_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan publish``."""
    parser.add_argument(
        "run_dir", type=Path, metavar="RUN", help="directory of an evaluated arm, or of traces"
    )
    parser.add_argument("--repo", metavar="OWNER/NAME", help="what it is called on the hub")
    parser.add_argument(
        "--push_to_hub", action="store_true", help="upload; without it files are only listed"
    )
    parser.add_argument("--private", action="store_true", help="a new repository is private")


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Of ``handan norms compute``."""
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
    parser.add_argument("--splits", type=int, default=5000, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default %(default)s")
