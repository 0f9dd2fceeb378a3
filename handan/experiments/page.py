"""Generated parts of the results page: claims, tests, factors, tasks; in Markdown."""

import argparse
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from handan import rundir
from handan.budgets import MEASURES
from handan.errors import UserError
from handan.escaping import escape
from handan.experiments import pictures, runner
from handan.experiments import plan as planning
from handan.experiments.declare import Experiment, load_experiment
from handan.experiments.results import GREEDY, SAMPLED, TEMPERATURES
from handan.files import make_directory, write_json, write_text
from handan.report.formatting import (
    MINUS,
    UNKNOWN,
    bounds,
    correlation,
    count,
    number,
    percent,
)
from handan.report.formatting import (
    name as called_name,
)

Found = Mapping[str, Any]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def with_interval(figure: Mapping[str, Any] | None) -> str:
    """'.88 [.85, .90]'."""
    if not figure or figure["value"] is None:
        return UNKNOWN
    return f"{correlation(figure['value'])} {bounds(figure['ci'])}{_undefined(figure)}"


def _undefined(figure: Mapping[str, Any]) -> str:
    """Says in how many seeds a figure is undefined, such as an r of constant lengths."""
    missing = figure["seeds"] - figure["seeds_defined"]
    return f" ({missing} of {figure['seeds']} seeds undefined)" if missing else ""


def _difference(row: Mapping[str, Any] | None) -> str:
    """'.87 - .70 = .17 [-.14, .46]': means over the same seeds and items, and their difference.

    They are plain means over seeds; an arm's own r is a mean on Fisher's z.
    """
    if not row or row["difference"] is None:
        return UNKNOWN
    levels = f"{correlation(row['r_a'])} {MINUS} {_in_brackets(correlation(row['r_b']))}"
    shown = f"{correlation(row['difference'])} {bounds(row['ci'])}{_undefined(row)}"
    return f"{levels} = {shown}"


def _in_brackets(shown: str) -> str:
    return f"({shown})" if shown.startswith(MINUS) else shown


def ranged(figure: Mapping[str, Any] | None, write: Callable[[float | None], str]) -> str:
    """'.97 (.95 to .98)': mean and range over seeds; one value where all agree."""
    if not figure or figure["value"] is None:
        return UNKNOWN
    low, high = write(figure["low"]), write(figure["high"])
    return write(figure["value"]) + (f" ({low} to {high})" if low != high else "")


def of_arm(found: Found, arm: str, at: str, key: str) -> Any:
    return found["arms"].get(arm, {}).get(at, {}).get(key)


def _seeds(found: Found, arm: str) -> str:
    seeds = [seed for seed in found["arms"].get(arm, {}).get("seeds", []) if seed is not None]
    return str(len(seeds)) if seeds else UNKNOWN


def cells(study: Experiment, found: Found) -> str:
    """How many cells there are, and a line for each that is missing."""
    of = found["cells"]
    lines = [f"{of['found']} of {of['declared']} declared cells are there."]
    lines += [f"- Missing: {one['cell']}: {escape(one['reason'])}" for one in of["missing"]]
    return "\n".join(lines) + "\n"


def claims(study: Experiment, found: Found) -> str:
    """Claim by claim what was found."""
    rows = []
    for called, claim in found["claims"].items():
        outcomes = claim["outcomes"]
        tally = ", ".join(f"{outcomes.count(word)} {word}" for word in dict.fromkeys(outcomes))
        rows.append([called_name(called), claim["says"], f"**{claim['conclusion']}**", tally])
    return table(["claim", "what it says", "here", "tests"], rows)


def requirements(study: Experiment, found: Found) -> str:
    """What each claim requires, with the numbers."""
    met = {True: "met", False: "**not met**", None: "**not known**"}
    rows = [
        [called_name(called), one["at"], one["said"], met[one["met"]]]
        for called, claim in found["claims"].items()
        for one in claim["requires"]
    ]
    return table(["claim", "T", "requires", "here"], rows)


def tests(study: Experiment, found: Found) -> str:
    """Every test of the claims, with effect and interval."""
    rows = []
    for test in found["tests"]:
        what = f"`{test['a']}`" + (f" - `{test['b']}`" if test["measure"] == "difference" else "")
        if test["measure"] in ("law", "effort"):
            what = f"`{test['a']}` on `{test['b']}`"
        why = f" ({test['withheld']})" if test.get("withheld") else ""
        outcome = f"**{test['outcome']}**{why}"
        rows.append([what, test["at"], test["expect"], *_effect(test), outcome])
    header = [
        "what",
        "T",
        "expected",
        "found",
        "verdict",
        "p",
        "p of equivalence",
        "seeds",
        "right answers only",
    ]
    return table([*header, "outcome"], rows)


def _effect(test: Mapping[str, Any]) -> list[str]:
    """Found, verdict, both p after Holm, seeds, and the same on right answers."""
    if test["measure"] == "r":
        shown, seeds = f"r = {with_interval(test)}", str(test.get("seeds", UNKNOWN))
        return [shown, UNKNOWN, _p(test["p_holm"]), UNKNOWN, seeds, UNKNOWN]
    if test["measure"] == "difference":
        return [
            _difference(test),
            test["verdict"] or UNKNOWN,
            _p(test["p_holm"]),
            _p(test["p_equivalence_holm"]),
            str(test["seeds"]),
            _difference(test["right_only"]),
        ]
    none = [UNKNOWN, UNKNOWN]
    if test["measure"] == "law":
        laws = test["laws"] or []
        said = "; ".join(f"{law} ({laws.count(law)})" for law in dict.fromkeys(laws))
        slope, ratio = ranged(test["slope"], correlation), ranged(test["ratio"], correlation)
        shown = f"b = {slope}, ratio {ratio}"
        return [shown, said or UNKNOWN, *none, str(len(laws)), UNKNOWN]
    effort, kl = ranged(test["effort"], correlation), ranged(test["kl"], correlation)
    seeds = str(test["effort"]["seeds"]) if test["effort"] else UNKNOWN
    return [f"relative effort {effort}, KL {kl}", UNKNOWN, *none, seeds, UNKNOWN]


def _p(p: float | None) -> str:
    return UNKNOWN if p is None else "< .001" if p < 0.001 else correlation(p, 3)


def factors(study: Experiment, found: Found) -> str:
    """All factors, one after the other."""
    return "\n".join(
        f"### {called_name(one)}\n\n{factor(study, found, one)}" for one in study.factors
    )


def factor(study: Experiment, found: Found, which: str) -> str:
    """The question of a factor, and its arms beside the one they are compared with."""
    of = study.factors[which]
    rows = []
    for arm in (of.against, *of.arms):
        row = [f"`{arm}`", _seeds(found, arm)]
        row.append(ranged(of_arm(found, arm, SAMPLED, "accuracy_human"), correlation))
        row.append(ranged(of_arm(found, arm, SAMPLED, "tokens_human"), number))
        row += [with_interval(of_arm(found, arm, at, "r")) for at in TEMPERATURES]
        row.append(with_interval(of_arm(found, arm, SAMPLED, "r_oracle")))
        for at in TEMPERATURES:
            against = found["factors"][which].get(arm, {}).get(at) if arm != of.against else None
            row.append(_with_verdict(against))
        rows.append(row)
    header = ["arm", "seeds", "accuracy", "tokens", "r, T = 1", "r, T = 0", "r(length, oracle)"]
    less = [f"less `{of.against}`, T = 1", "T = 0"]
    return f"*{of.question}*\n\n{table([*header, *less], rows)}"


def _with_verdict(row: Mapping[str, Any] | None) -> str:
    if not row or row["difference"] is None:
        return UNKNOWN
    said = row["verdict"] or (f"no verdict ({row['withheld']})" if row["withheld"] else "")
    return f"{_difference(row)} {said}".strip()


def analytic(study: Experiment, found: Found) -> str:
    """Tasks with analytic cost, which are never averaged with people's."""
    return _by_task(found, found["tasks"]["analytic"])


def human_tasks(study: Experiment, found: Found) -> str:
    """The human tasks apart."""
    return _by_task(found, found["tasks"]["human"])


def _by_task(found: Found, tasks: Sequence[str]) -> str:
    rows = []
    for arm in found["arms"]:
        row = [f"`{arm}`"]
        for task in tasks:
            row.append(ranged(of_arm(found, arm, SAMPLED, f"accuracy_{task}"), correlation))
            row += [with_interval(of_arm(found, arm, at, f"r_{task}")) for at in TEMPERATURES]
        rows.append(row)
    columns = [
        column
        for task in tasks
        for column in (f"{called_name(task)}: accuracy", "r, T = 1", "r, T = 0")
    ]
    return table(["arm", *columns], rows)


def oracle(study: Experiment, found: Found) -> str:
    """What the format itself has."""
    return f"r(oracle, human), mean over the human tasks: {with_interval(found['oracle'])}.\n"


PARTS: dict[str, Callable[[Experiment, Found], str]] = {
    "cells": cells,
    "claims": claims,
    "requirements": requirements,
    "tests": tests,
    "oracle": oracle,
    "factors": factors,
    "human-tasks": human_tasks,
    "analytic": analytic,
}


# Generated parts of the results page: every other measure, samples, traces, budgets, audit.

MEASURED = {
    "r_raw": ("r raw", correlation),
    "spearman": ("Spearman", correlation),
    "reliability_model": ("reliability of lengths", correlation),
    "r_loglog_disattenuated": ("r disattenuated", correlation),
    "r_partial": ("r, all partialled", correlation),
    "wrong_minus_right": ("wrong - right", correlation),
    "inverse_efficiency": ("tokens / accuracy", number),
    "effort": ("relative effort", correlation),
    "kl": ("KL", correlation),
    "similarity_start": ("fingerprint, r with start", correlation),
    "similarity_teacher": ("with teacher", correlation),
    "slope": ("slope on start", correlation),
    "ratio": ("ratio to start", correlation),
}
RATES = {
    "cap_rate": ("capped", percent),
    "loop_rate": ("looping", percent),
    "unparsed_rate": ("unparsed", percent),
    "no_reasoning_rate": ("direct", percent),
}


def _measures(found: Found, at: str, columns: Mapping[str, tuple[str, Callable]]) -> str:
    rows = [
        [f"`{arm}`", *(ranged(of[at].get(key), write) for key, (_, write) in columns.items())]
        for arm, of in found["measures"].items()
    ]
    return table(["arm", *(title for title, _ in columns.values())], rows)


def measures_sampled(study: Experiment, found: Found) -> str:
    """The other measures at T = 1."""
    return _measures(found, SAMPLED, MEASURED)


def measures_greedy(study: Experiment, found: Found) -> str:
    """The other measures at T = 0, where nothing is sampled."""
    columns = {k: v for k, v in MEASURED.items() if k not in SAMPLING_ONLY}
    return _measures(found, GREEDY, columns)


SAMPLING_ONLY = ("reliability_model", "r_loglog_disattenuated", "wrong_minus_right")


def rates(study: Experiment, found: Found) -> str:
    """What could censor or distort lengths."""
    return _measures(found, SAMPLED, RATES)


def samples(study: Experiment, found: Found) -> str:
    """Mean r by number of samples an item."""
    rows = []
    for row in found["samples"]:
        seed = UNKNOWN if row["seed"] is None else str(row["seed"])
        cells_of = [
            text
            for k in row["k"].values()
            for text in (correlation(k["r"]), correlation(k["reliability"]))
        ]
        rows.append([f"`{row['arm']}`", seed, *cells_of])
    numbers = list(found["samples"][0]["k"]) if found["samples"] else []
    header = [text for k in numbers for text in (f"r, k = {k}", "reliability")]
    return table(["arm", "seed", *header], rows)


def traces(study: Experiment, found: Found) -> str:
    """The allocation in what students imitate, beside their own."""
    rows = []
    for arm, of in study.arms.items():
        sets = found["traces"].get(of.traces or "")
        if sets is None or arm not in found["arms"]:
            continue
        rows.append(
            [
                f"`{arm}`",
                f"`{of.traces}`",
                ranged(sets["traces"], count),
                ranged(sets["tokens"], number),
                *(ranged(sets[key], correlation) for key in ("r_oracle", "r_oracle_same_width")),
                *(with_interval(of_arm(found, arm, at, "r_oracle")) for at in TEMPERATURES),
            ]
        )
    header = ["student", "traces", "number", "tokens", "r(length, oracle) of the traces"]
    return table([*header, "same width", "of the student, T = 1", "T = 0"], rows)


def budgets(study: Experiment, found: Found) -> str:
    """What each arm's weights cost."""
    shown = [key for key in MEASURES if key != "peak_memory_gib"]
    rows = []
    for arm, of in found["budgets"].items():
        row = [f"`{arm}`"]
        for key in shown:
            value = (of.get(key) or {}).get("value")
            row.append(f"{value:.2e}" if key == "model_flops" and value else count(value))
        rows.append(row)
    return table(["arm", *(MEASURES[key] for key in shown)], rows)


def audit(study: Experiment, found: Found) -> str:
    """Whether any evaluation item was in a training set."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["audit"]:
        kinds.setdefault(row["of"], []).append(row)
    rows = []
    for kind, of in kinds.items():
        hits = sum(row.get("found", 0) for row in of)
        refused = sum(row.get("refused", 0) for row in of)
        rows.append(
            [kind, str(len(of)), count(sum(row["rows"] for row in of)), str(hits), str(refused)]
        )
    header = ["training sets of", "cells", "rows checked", "human or other evaluation items found"]
    return table([*header, "refused before training"], rows)


PARTS_DETAILS: dict[str, Callable[[Experiment, Found], str]] = {
    "measures-sampled": measures_sampled,
    "measures-greedy": measures_greedy,
    "rates": rates,
    "samples": samples,
    "traces": traces,
    "budgets": budgets,
    "audit": audit,
}


# The results page: text written by hand, with parts between marks that are generated.

MARK = re.compile(r"<!-- study: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def write(study: Experiment, found: Mapping[str, Any], template: Path, output: Path) -> list[str]:
    """Write the page and its pictures, and the figures beside it.

    Args:
        study: what was declared.
        found: of ``handan.experiments.claims.judge``.
        template: the page whose text is kept.
        output: where it goes; may be the template itself.

    Returns:
        Names of the generated parts that differ from the template's.

    Raises:
        UserError: the template is missing, or names a part that does not exist.
    """
    if not template.is_file():
        raise UserError(f"{template}: no such page; make one with a part '<!-- study: claims -->'")
    text = template.read_text(encoding="utf-8")
    folder = output.parent / output.stem
    made = {**PARTS, **PARTS_DETAILS}
    parts: dict[str, Callable[[], str]] = {
        **{name: partial(make, study, found) for name, make in made.items()},
        **{f"factor-{name}": partial(factor, study, found, name) for name in study.factors},
        **{
            f"picture-{name}": partial(_picture, study, found, name, folder)
            for name in pictures.PICTURES
        },
    }
    changed: list[str] = []

    def filled(mark: re.Match) -> str:
        name = mark["name"]
        if name not in parts:
            raise UserError(
                f"{template}: no part is called '{name}'; there are: {', '.join(parts)}"
            )
        body = parts[name]()
        if body != mark["body"]:
            changed.append(name)
        return f"<!-- study: {name} -->\n{body}<!-- end -->"

    page = MARK.sub(filled, text)
    write_text(output, page)
    write_json(folder / "study.json", dict(found))
    return changed


def _picture(study: Experiment, found: Mapping[str, Any], name: str, folder: Path) -> str:
    """Draw a picture and give the Markdown that shows it."""
    picture = pictures.PICTURES[name](study, found)
    make_directory(folder)
    write_text(folder / f"{name}.svg", picture.svg)
    return f"![{picture.description}]({folder.name}/{name}.svg)\n\n*{picture.caption}*\n"


# ``handan study``: an experiment with claims, run cell by cell, and its results page.


def run_study(arguments: argparse.Namespace) -> None:
    """Run what is missing of a study, then write its page from all that is there.

    Args:
        arguments: of ``handan study``. By default the page is written beside the runs, which leaves
            the study's own as it is. After ``--only`` no page is written.

    Raises:
        UserError: cells failed (the page is written before, and names them), the page cannot be
            written, ``--numbers`` are no numbers of this study, or options exclude each other.
        SystemExit: this process was asked to stop; the same command goes on.
    """
    only, page, numbers = arguments.only, arguments.page, arguments.numbers
    of_runs = ("only", "list", "dry_run", "seed", "accelerate_config")
    for option in of_runs if numbers is not None else ():
        if getattr(arguments, option) not in (None, False, []):
            raise UserError(f"--numbers looks at no run, so --{option} says nothing; leave it out")
    if (page or arguments.page_only) and (only or arguments.dry_run or arguments.list):
        raise UserError(
            "--page and --page_only write the page, which --only, --dry_run and --list "
            "do not; give one of them"
        )
    study = load_experiment(
        arguments.file, arguments.seed, arguments.accelerate_config, is_study=True
    )
    folder = arguments.output_dir or Path(study.output_dir)
    if numbers is not None:
        _write(study, numbers, folder, page)
        return
    made, logs = planning.plan(study, folder), folder / "logs"
    if runner.show(study, made, logs, only, arguments.dry_run, arguments.list):
        return
    failed: UserError | None = None
    if not arguments.page_only:
        try:
            runner.run_stages_experiment(study, made, logs, only, keep_going=True)
        except UserError as error:
            failed = error
    if not only:
        with rundir.lock(logs, 0):  # other tasks of an array may write it too
            _write(study, made, folder, page)
    if failed is not None:
        raise failed


def _write(
    study: Experiment, source: planning.Plan | Path, folder: Path, page: Path | None
) -> None:
    """Write the page from the runs of a plan, or from a study.json."""
    from handan.experiments import claims, results

    started = time.monotonic()
    if isinstance(source, Path):
        numbers = results.stored(study, source)
    else:
        numbers = results.numbers(study, results.Results(results.find(study, source, folder)))
    found = claims.judge(study, numbers)
    output = page or folder / "page" / Path(study.page).name
    # The text of a page that is named is kept; the one beside the runs is always made anew.
    template = page if page is not None and page.exists() else Path(study.page)
    differ = write(study, found, template, output)
    of = found["cells"]
    for name, claim in found["claims"].items():
        print(f"{name}: {claim['conclusion']}. {claim['says']}")
        for one in claim["requires"]:
            if not one["met"]:
                print(f"  {one['at']}: {one['said']}")
    for one in of["missing"]:
        print(f"missing: {one['cell']}: {one['reason']}")
    same = f"differs from {template} in {', '.join(differ)}" if differ else f"equals {template}"
    runner.say(started, f"{of['found']} of {of['declared']} cells; wrote {output}, which {same}")
