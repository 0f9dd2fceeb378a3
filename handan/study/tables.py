"""Generated parts of the results page: claims, tests, factors, tasks; in Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from handan.experiment.declared import Experiment
from handan.markdown import escape
from handan.report.notation import MINUS, UNKNOWN, bounds, correlation, name, number
from handan.study.cells import SAMPLED, TEMPERATURES

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
        rows.append([name(called), claim["says"], f"**{claim['conclusion']}**", tally])
    return table(["claim", "what it says", "here", "tests"], rows)


def requirements(study: Experiment, found: Found) -> str:
    """What each claim requires, with the numbers."""
    met = {True: "met", False: "**not met**", None: "**not known**"}
    rows = [
        [name(called), one["at"], one["said"], met[one["met"]]]
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
    return "\n".join(f"### {name(one)}\n\n{factor(study, found, one)}" for one in study.factors)


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
        column for task in tasks for column in (f"{name(task)}: accuracy", "r, T = 1", "r, T = 0")
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
