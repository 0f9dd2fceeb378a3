"""The generated tables of the results page, in Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from handan.budgets import MEASURES
from handan.report.notation import UNKNOWN, bounds, correlation, count, name, number, percent
from handan.study.cells import GREEDY, SAMPLED, TEMPERATURES
from handan.study.declared import Study

Found = Mapping[str, Any]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are aligned to the right if they hold numbers."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _r(figure: Mapping[str, Any] | None) -> str:
    """'.88 [.85, .90]'."""
    if not figure or figure["value"] is None:
        return UNKNOWN
    return f"{correlation(figure['value'])} {bounds(figure['ci'])}{_undefined(figure)}"


def _undefined(figure: Mapping[str, Any]) -> str:
    """Says in how many seeds a figure is undefined, such as an r of constant lengths."""
    missing = figure["seeds"] - figure["seeds_defined"]
    return f" ({missing} of {figure['seeds']} seeds undefined)" if missing else ""


def _difference(row: Mapping[str, Any] | None) -> str:
    if not row or row["difference"] is None:
        return UNKNOWN
    return f"{correlation(row['difference'])} {bounds(row['ci'])}{_undefined(row)}"


def _ranged(figure: Mapping[str, Any] | None, write: Callable[[float | None], str]) -> str:
    """'.97 (.95 to .98)': mean and range over seeds; one value where all agree."""
    if not figure or figure["value"] is None:
        return UNKNOWN
    low, high = write(figure["low"]), write(figure["high"])
    return write(figure["value"]) + (f" ({low} to {high})" if low != high else "")


def _of(found: Found, arm: str, at: str, key: str) -> Any:
    return found["arms"].get(arm, {}).get(at, {}).get(key)


def _seeds(found: Found, arm: str) -> str:
    seeds = [seed for seed in found["arms"].get(arm, {}).get("seeds", []) if seed is not None]
    return str(len(seeds)) if seeds else UNKNOWN


def cells(study: Study, found: Found) -> str:
    """How many cells there are, and a line for each that is missing."""
    of = found["cells"]
    lines = [f"{of['found']} of {of['declared']} declared cells are there."]
    lines += [f"- Missing: {one['cell']}: {one['reason']}" for one in of["missing"]]
    return "\n".join(lines) + "\n"


def claims(study: Study, found: Found) -> str:
    """Claim by claim what was found."""
    rows = []
    for called, claim in found["claims"].items():
        outcomes = claim["outcomes"]
        tally = ", ".join(f"{outcomes.count(word)} {word}" for word in dict.fromkeys(outcomes))
        rows.append([name(called), claim["says"], f"**{claim['conclusion']}**", tally])
    return table(["claim", "what it says", "here", "tests"], rows)


def tests(study: Study, found: Found) -> str:
    """Every test of the claims, with effect and interval."""
    rows = []
    for test in found["tests"]:
        what = f"`{test['a']}`" + (f" - `{test['b']}`" if test["measure"] == "difference" else "")
        if test["measure"] in ("law", "effort"):
            what = f"`{test['a']}` on `{test['b']}`"
        rows.append([what, test["at"], test["expect"], *_effect(test), f"**{test['outcome']}**"])
    header = [
        "what",
        "T",
        "expected",
        "found",
        "verdict",
        "Holm's p",
        "seeds",
        "right answers only",
    ]
    return table([*header, "outcome"], rows)


def _effect(test: Mapping[str, Any]) -> list[str]:
    """Found, verdict, p, seeds, and the same on right answers."""
    if test["measure"] == "r":
        return [f"r = {_r(test)}", UNKNOWN, UNKNOWN, str(test.get("seeds", UNKNOWN)), UNKNOWN]
    if test["measure"] == "difference":
        p = test["p_holm"]
        return [
            _difference(test),
            test["verdict"] or UNKNOWN,
            UNKNOWN if p is None else "< .001" if p < 0.001 else correlation(p, 3),
            str(test["seeds"]),
            _difference(test["right_only"]),
        ]
    if test["measure"] == "law":
        laws = test["laws"] or []
        said = "; ".join(f"{law} ({laws.count(law)})" for law in dict.fromkeys(laws))
        slope, ratio = _ranged(test["slope"], correlation), _ranged(test["ratio"], correlation)
        return [f"b = {slope}, ratio {ratio}", said or UNKNOWN, UNKNOWN, str(len(laws)), UNKNOWN]
    effort, kl = _ranged(test["effort"], correlation), _ranged(test["kl"], correlation)
    seeds = str(test["effort"]["seeds"]) if test["effort"] else UNKNOWN
    return [f"relative effort {effort}, KL {kl}", UNKNOWN, UNKNOWN, seeds, UNKNOWN]


def factors(study: Study, found: Found) -> str:
    """All factors, one after the other."""
    return "\n".join(f"### {name(one)}\n\n{factor(study, found, one)}" for one in study.factors)


def factor(study: Study, found: Found, which: str) -> str:
    """The question of a factor, and its arms beside the one they are compared with."""
    of = study.factors[which]
    rows = []
    for arm in (of.against, *of.arms):
        row = [f"`{arm}`", _seeds(found, arm)]
        row.append(_ranged(_of(found, arm, SAMPLED, "accuracy_human"), correlation))
        row.append(_ranged(_of(found, arm, SAMPLED, "tokens_human"), number))
        row += [_r(_of(found, arm, at, "r")) for at in TEMPERATURES]
        row.append(_r(_of(found, arm, SAMPLED, "r_oracle")))
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
    return f"{_difference(row)} {row['verdict'] or ''}".strip()


def analytic(study: Study, found: Found) -> str:
    """Tasks with analytic cost, which are never averaged with people's."""
    return _by_task(found, found["tasks"]["analytic"])


def human_tasks(study: Study, found: Found) -> str:
    """The human tasks apart."""
    return _by_task(found, found["tasks"]["human"])


def _by_task(found: Found, tasks: Sequence[str]) -> str:
    rows = []
    for arm in found["arms"]:
        row = [f"`{arm}`"]
        for task in tasks:
            row.append(_ranged(_of(found, arm, SAMPLED, f"accuracy_{task}"), correlation))
            row += [_r(_of(found, arm, at, f"r_{task}")) for at in TEMPERATURES]
        rows.append(row)
    columns = [
        column for task in tasks for column in (f"{name(task)}: accuracy", "r, T = 1", "r, T = 0")
    ]
    return table(["arm", *columns], rows)


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
        [f"`{arm}`", *(_ranged(of[at].get(key), write) for key, (_, write) in columns.items())]
        for arm, of in found["measures"].items()
    ]
    return table(["arm", *(title for title, _ in columns.values())], rows)


def measures_sampled(study: Study, found: Found) -> str:
    """The other measures at T = 1."""
    return _measures(found, SAMPLED, MEASURED)


def measures_greedy(study: Study, found: Found) -> str:
    """The other measures at T = 0, where nothing is sampled."""
    columns = {k: v for k, v in MEASURED.items() if k not in SAMPLING_ONLY}
    return _measures(found, GREEDY, columns)


SAMPLING_ONLY = ("reliability_model", "r_loglog_disattenuated", "wrong_minus_right")


def rates(study: Study, found: Found) -> str:
    """What could censor or distort lengths."""
    return _measures(found, SAMPLED, RATES)


def samples(study: Study, found: Found) -> str:
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


def traces(study: Study, found: Found) -> str:
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
                _ranged(sets["traces"], count),
                _ranged(sets["tokens"], number),
                *(_ranged(sets[key], correlation) for key in ("r_oracle", "r_oracle_same_width")),
                *(_r(_of(found, arm, at, "r_oracle")) for at in TEMPERATURES),
            ]
        )
    header = ["student", "traces", "number", "tokens", "r(length, oracle) of the traces"]
    return table([*header, "same width", "of the student, T = 1", "T = 0"], rows)


def budgets(study: Study, found: Found) -> str:
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


def audit(study: Study, found: Found) -> str:
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


def oracle(study: Study, found: Found) -> str:
    """What the format itself has."""
    return f"r(oracle, human), mean over the human tasks: {_r(found['oracle'])}.\n"


PARTS: dict[str, Callable[[Study, Found], str]] = {
    "cells": cells,
    "claims": claims,
    "tests": tests,
    "oracle": oracle,
    "factors": factors,
    "human-tasks": human_tasks,
    "analytic": analytic,
    "measures-sampled": measures_sampled,
    "measures-greedy": measures_greedy,
    "rates": rates,
    "samples": samples,
    "traces": traces,
    "budgets": budgets,
    "audit": audit,
}
