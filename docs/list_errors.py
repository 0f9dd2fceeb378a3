"""Write errors.md: every sentence with which a command refuses, read from the source.

    python docs/list_errors.py

Run it after adding or changing a ``UserError``; a test compares the page with the source.
"""

from pathlib import Path
from typing import NamedTuple

from read_sentences import Sources

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "errors.md"
FOLDERS = ("handan", "recipes", "eval")
# What the user was doing, and the modules that may refuse then; the first that fits is taken.
GROUPS = {
    "Configs and arguments": (
        "handan/arguments",
        "handan/values",
        "handan/config",
        "handan/options",
        "handan/cli",
        "handan/credentials",
        "eval/",
        "recipes/",
    ),
    "Launch": ("handan/launch", "handan/doctor", "handan/stopping"),
    "Models, tokenizers and formats": (
        "handan/engines/loading",
        "handan/engines/trust",
        "handan/formats",
        "handan/generate",
        "handan/architectures",
        "handan/size",
        "handan/weights",
        "handan/tiny/model",
    ),
    "Engines and servers": ("handan/engines/", "handan/reading"),
    "Prompts and traces": (
        "handan/traces/",
        "handan/training/prompts",
        "handan/training/natural",
        "handan/tiny/",
    ),
    "Training": ("handan/training/", "handan/sweep"),
    "Suites and tasks": ("handan/suite", "handan/tasks/"),
    "Run directories and records": (
        "handan/records",
        "handan/rundir",
        "handan/run_files",
        "handan/responses",
        "handan/durable",
        "handan/errors",
    ),
    "Costs and people": (
        "handan/alignment/data/cells",
        "handan/alignment/data/cost",
        "handan/alignment/data/human_side",
        "handan/alignment/data/pairs",
        "handan/csv_input",
        "handan/norms/",
    ),
    "Logs of other tools": ("handan/readers/",),
    "Comparison and report": ("handan/alignment/", "handan/report/", "handan/budgets"),
    "Experiments and zoos": ("handan/experiment/", "handan/zoo", "handan/plan", "handan/machine"),
    "Publishing": ("handan/publish", "handan/cards"),
    "Anything else": ("",),
}
HEAD = """\
# What a command says when it refuses

Whatever you can mend is told in one sentence on standard error, `handan: error: SENTENCE`: where it
is (the file, line, item or key) and what to do. What was written before stays as it is. Any other
error shows a traceback: it is a fault of this project, please report it with the command.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a traceback; or the code of a launcher (`accelerate launch`) of which a process ended with \
another code: its sentence stands above |
| 2 | refused, as listed here; mend it and run the same command again |
| 75 | asked to stop (SIGTERM, SIGUSR1); what was done is saved, the same command goes on |
| 130 | stopped by Ctrl-C; the same command goes on |
| 141 | the reader of the output went away, as in `handan align costs.csv \\| head` |

To find a message, search this page for a few words of it that are no names. Names in italics stand
for what is put in their place, *…* for what depends on the case; a *place* is a file, mostly with
its line. Words in brackets at the end of a message are those of the system or of a library, and so
are those after an argument (`argument --seed: invalid int value: 'x'`). The page is made from the
source by `python docs/list_errors.py`.
"""


class Refusal(NamedTuple):
    """One sentence and the module that says it."""

    sentence: str
    module: str


def refusals() -> list[Refusal]:
    """All of them, in the order of the modules and of their lines."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    sources = Sources({path.relative_to(ROOT).as_posix(): path for path in paths})
    found = [Refusal(text, name) for name in sources.trees for text in sources.sentences(name)]
    return list(dict.fromkeys(found))


def group_of(module: str) -> str:
    """What the user was doing when a module refuses."""
    return next(group for group, prefixes in GROUPS.items() if module.startswith(prefixes))


def page() -> str:
    """The whole page."""
    found: dict[str, list[Refusal]] = {group: [] for group in GROUPS}
    for refusal in refusals():
        found[group_of(refusal.module)].append(refusal)
    parts = [HEAD]
    for group, rows in ((group, rows) for group, rows in found.items() if rows):
        modules: dict[str, list[str]] = {}
        for sentence, module in sorted(rows):
            modules.setdefault(sentence, []).append(f"`{module}`")
        lines = [f"| {sentence} | {', '.join(names)} |" for sentence, names in modules.items()]
        parts.append("\n".join([f"## {group}", "", "| sentence | module |", "|---|---|", *lines]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}: {len(refusals())} sentences")
