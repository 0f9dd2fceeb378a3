"""What the subcommands of ``handan`` take: by name, the settings of ``add_argument``."""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from handan.budgets import TOLERANCE
from handan.errors import UserError

EQUIVALENCE_BOUND, BOOTSTRAP, SEED = 0.1, 10_000, 0
TASK_WEIGHTS = ("inverse_variance", "equal")  # of handan.alignment.statistics.basic, likewise
COST_RULES = ("span", "response")  # of handan.alignment.data.cells, which takes a moment to import


class Parser(argparse.ArgumentParser):
    """Tells a wrong argument like any other wrong input: in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def path(metavar: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    """A file or directory."""
    return {"type": Path, "metavar": metavar, "help": text, **more}


def word(metavar: str, text: str, **more: Any) -> dict[str, Any]:
    """A name."""
    return {"metavar": metavar, "help": text, **more}


def value(default: float, metavar: str, text: str = "") -> dict[str, Any]:
    """A number with a default, which the help shows."""
    text = f"{text}, default %(default)s" if text else "default %(default)s"
    return {"type": type(default), "default": default, "metavar": metavar, "help": text}


def flag(text: str) -> dict[str, Any]:
    """A switch."""
    return {"action": "store_true", "help": text}


def _norms_folder(text: str) -> Path:
    from handan.norms import PACKAGED

    return PACKAGED if text == "packaged" else Path(text)


ALIGNMENT = {
    "--pairs": path(
        "PAIRS.csv", "compare students with bases and teachers: columns student,base,teacher"
    ),
    "--cost_rule": {
        "choices": COST_RULES,
        "help": "count all costs by one rule: reasoning span or whole response; "
        "default: as recorded",
    },
    "--output": path("OUT.json", "also write JSON here"),
    "--tables": path("DIR", "also write every table as CSV, Markdown, LaTeX"),
    "--power": flag("also print what these items could show"),
    "--equivalence_bound": value(
        EQUIVALENCE_BOUND, "R", "differences of r within this count as none"
    ),
    "--task_weights": {
        "choices": TASK_WEIGHTS,
        "default": TASK_WEIGHTS[0],
        "help": "how tasks weigh in a mean: by n - 3, the inverse variance of z, or alike; "
        "default %(default)s",
    },
    "--bootstrap": value(BOOTSTRAP, "N", "draws of items"),
    "--seed": value(SEED, "S"),
}
ALIGN = {
    "costs": path("COSTS.csv", "one row a sample"),
    "--reference": word("MODEL", "compare every model with this one"),
    "--norms": path(
        "DIR",
        "response times and reliability from these norms, in place of those in COSTS.csv; "
        "'packaged' for those of handan",
        type=_norms_folder,
    ),
    "--trials": path(
        "TRIALS.csv", "the same from single trials; intervals then hold for other people too"
    ),
    **ALIGNMENT,
}
BUDGETS = {
    "--budget_tolerance": value(TOLERANCE, "SHARE", "budgets count as matched within this share")
}
COMPARE = {
    "runs": path("RUN", "a run's directory", nargs="+"),
    "--reference": word("RUN", "compare every run with this one"),
    "--allow-different": flag(
        "warn about runs measured under other conditions instead of refusing them"
    ),
    **BUDGETS,
    **ALIGNMENT,
}
REPORT = {
    "runs": path("RUN", "a run's directory", nargs="*"),
    "--runs": path(
        "RUN", "the same, anywhere among the options", dest="more_runs", nargs="+", default=[]
    ),
    "--output": path(
        "report.html",
        "write one HTML page; as report.md Markdown, its figures in report_figures/ beside it",
    ),
    "--figures": path(
        "DIR", "write every figure as PNG and PDF for papers, and figures.md with their captions"
    ),
    "--wandb": word("ENTITY/PROJECT", "save a W&B report of these runs there"),
    "--offline": path(
        "OUT.json",
        "with --wandb: write the report's validated spec here instead, without network",
    ),
    **BUDGETS,
}
EXPERIMENT = {
    "file": path("FILE", "a YAML of recipes/experiments or recipes/studies"),
    "--output_dir": path("DIR", "instead of the YAML's"),
    "--seed": word("S", "instead of the YAML's seeds", type=int),
    "--accelerate_config": word(
        "YAML", "launches trainings and traces, instead of the experiment's"
    ),
    "--only": word("STAGE", "run only these stages", nargs="+", default=[]),
    "--list": flag("print wave, name and state of each stage, and run nothing"),
    "--dry_run --dry-run": flag("print the commands and what is finished, and run nothing"),
}
STUDY = {
    **EXPERIMENT,
    "--page": path(
        "OUT.md",
        "write the page there, such as over the study's own; default: beside the runs",
    ),
    "--page_only --page-only": flag("run nothing, only write the page"),
    "--numbers": path(
        "STUDY.json",
        "write the page from these numbers of an earlier page, judged anew, without any run",
    ),
}
COSTS = {
    "logs": path("LOG", "a log of the tool", nargs="+"),
    "--from": {
        "dest": "tool",
        "choices": ("lm_eval", "inspect", "openai"),
        "required": True,
        "help": "the tool that wrote the logs",
    },
    "--items": path("ITEMS.csv", "task, item and human_rt_s or analytic_cost", required=True),
    "--output": path("costs.csv", required=True),
    "--model": word("NAME", "default: as in the logs"),
    "--tokenizer": word(
        "DIR_OR_NAME", "counts text for which the log has no count of reasoning tokens"
    ),
    "--count": {
        "choices": ("tokens", "characters"),
        "default": "tokens",
        "help": "default %(default)s",
    },
    "--tags": {
        "nargs": 2,
        "default": ("<think>", "</think>"),
        "metavar": ("OPEN", "CLOSE"),
        "help": "around reasoning in text, default <think> </think>",
    },
    "--allow_no_reasoning": flag("accept logs without any reasoning in them"),
    "--item_field": word("PATH", "where the log names the item"),
    "--metric": word("NAME", "metric or scorer that says what is correct, or 'none'"),
}
NORMS_COMPUTE = {
    "trials": path("TRIALS.csv", "one row a trial"),
    "--source": word("NAME", "short name of the study", required=True),
    "--output": path("DIR", "for the tables", required=True),
    "--floor_s": value(0.2, "S", "shortest time"),
    "--ceiling_s": value(300.0, "S", "longest time"),
    "--all_trials": flag("times of wrong answers count too"),
    "--trim_sd": word(
        "X",
        "leave out trials further than X SD from their participant's mean log time",
        type=float,
    ),
    "--least_trials": value(1, "N", "leave out items with fewer trials left"),
    "--splits": value(5000, "N"),
    "--seed": value(0, "S"),
}
PUBLISH = {
    "run_dir": path("RUN", "directory of an evaluated arm, or of traces"),
    "--repo": word("OWNER/NAME", "what it is called on the hub"),
    "--push_to_hub": flag("upload; without it files are only listed"),
    "--private": flag("a new repository is private"),
}
DEMO = {
    "--output_dir": path("DIR", default=Path("runs/demo")),
    "--seed": value(1, "S"),
}
