"""Results page of ``handan study``; only parts ``<!-- study: NAME -->`` are generated."""

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from handan import formatting, rundir
from handan.alignment.contrasts import Verdict
from handan.alignment.measures import EXPERIMENT, SHARE, TOKENS, shown
from handan.budgets import MEASURES as BUDGETS
from handan.errors import UserError
from handan.experiments import declare, runner
from handan.experiments.declare import GREEDY, SAMPLED, TEMPERATURES, Experiment
from handan.experiments.plan import Plan, plan
from handan.files import make_directory, shipped, write_json, write_text
from handan.formatting import MINUS, UNKNOWN, correlation, count, escape, name, number, percent
from handan.report import plot_styles as styles
from handan.report.comparison import WORDS
from handan.report.plot_styles import INK, MUTED, SHORT, Row, Spec, field, mark, named, plot, side
from handan.report.plots import written

Found = Mapping[str, Any]

# -- plots: the same bytes from the same numbers ---------------------------------------------------

SHIFT = {SAMPLED: -0.16, GREEDY: 0.16}
Drawn = tuple[str, str, str]  # an SVG file, what stands under it, what it shows in words


def alignment(study: Experiment, found: Found) -> Drawn:
    """Mean r of every arm at both temperatures, factor by factor."""
    names: list[str] = []
    headings: list[int] = []
    rows: list[Row] = []
    said = []
    for called, factor in study.factors.items():
        there = [arm for arm in (factor.against, *factor.arms) if arm in found["arms"]]
        headings += [len(names)] if there else []
        names += [called] if there else []
        for arm in there:
            for at in (SAMPLED, GREEDY):
                rows += _points(found["arms"][arm].get(at, {}).get("r"), len(names), at)
            if SAMPLED in found["arms"][arm]:
                r = found["arms"][arm][SAMPLED]["r"]["value"]
                said.append(f"{arm}: {correlation(r)} at T = 1")
            names.append(arm)
    lines = [mark("rule", {"x": {"datum": 0}}, color=MUTED, strokeWidth=0.8)]
    if found["oracle"] and found["oracle"]["value"] is not None:
        at_oracle = {"x": {"datum": found["oracle"]["value"]}}
        lines.append(mark("rule", at_oracle, color=INK, strokeDash=styles.DOTTED))
    title = "mean r of log tokens with log response time over the human tasks"
    drawn = _rows(names, headings, lines, title, 13.5, {"domainMax": 1})
    return _drawn(rows, drawn, "alignment", f"Mean r by arm: {'; '.join(said)}")


def _points(measured: Mapping[str, Any] | None, place: int, at: str) -> list[Row]:
    """An estimate with its interval, and those of single seeds."""
    if not measured or measured["value"] is None:
        return []
    low, high = measured["ci"] or (None, None)
    row = {"row": place + SHIFT[at], "at": at}
    single = [value for value in measured.get("by_seed", []) if value is not None]
    seeds = [{**row, "seed": value} for value in single] if len(single) > 1 else []
    return [*seeds, {**row, "value": measured["value"], "low": low, "high": high}]


def _by_temperature(orient: str | None) -> dict[str, Spec]:
    """Colour and shape by temperature, with a legend if it is said where."""
    legend: Any = orient and {"orient": orient, "labelExpr": "replace(datum.label, '=', ' = ')"}
    legend = legend and {**legend, "symbolSize": 50, "symbolOpacity": 1}
    of = {"field": "at", "type": "nominal", "title": None, "legend": legend}
    domain = {"domain": [SAMPLED, GREEDY]}
    colours = {**domain, "range": [styles.LOOKS[3].light, styles.LOOKS[2].light]}
    shapes = {**domain, "range": ["circle", "diamond"]}
    return {"color": {**of, "scale": colours}, "shape": {**of, "scale": shapes}}


def _rows(
    names: list[str], headings: list[int], under: list[Spec], title: str, height: float, scale: Spec
) -> Spec:
    """A named row for each place, with points, intervals and single seeds on one axis."""
    channels = _by_temperature("top")
    colour = {"color": channels["color"]}
    bold = {"test": f"indexof({headings}, datum.value) >= 0", "value": "bold"}
    places: Spec = {"values": list(range(len(names))), "labelExpr": named(names)}
    places["labelFontWeight"] = {"condition": bold, "value": "normal"}
    y = side("row", None, {"domain": [len(names) - 0.5, -0.5]}, **places, grid=False, ticks=False)
    x = side("value", title, {**scale, "padding": 4}, **SHORT, tickCount=10)
    interval = {"x": field(x, "low"), "x2": "high", "y": y, **colour}
    layers = [
        *under,
        mark("rule", interval, "low", strokeWidth=1.4),
        mark("circle", {"x": field(x, "seed"), "y": y, **colour}, "seed", size=6),
        mark("point", {"x": x, "y": y, **channels}, "value", size=26, filled=True, opacity=1),
    ]
    width = styles.BOTH_COLUMNS - 5 * max(map(len, names))
    return {"layer": layers, "width": width, "height": height * len(names)}


def tests(study: Experiment, found: Found) -> Drawn:
    """The confirmatory differences of mean r at both temperatures, pair by pair."""
    shown = [test for test in found["tests"] if test["measure"] == "difference"]
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in shown))
    rows: list[Row] = []
    said = []
    for row in shown:
        measured = {**row, "value": row["difference"]}
        rows += _points(measured, pairs.index((row["a"], row["b"])), row["at"])
        said.append(f"{row['a']} less {row['b']}, {row['at']}: {correlation(row['difference'])}")
    bound = found["settings"]["equivalence_bound"]
    none = mark("rect", {"x": {"datum": -bound}, "x2": {"datum": bound}}, color=MUTED, opacity=0.12)
    behind = [none, mark("rule", {"x": {"datum": 0}}, color=INK, strokeWidth=0.8)]
    names = [f"{a} {MINUS} {b}" for a, b in pairs]
    drawn = _rows(names, [], behind, "difference of mean r", 24, {})
    return _drawn(rows, drawn, "tests", f"Differences of mean r: {'; '.join(said)}")


def traces(study: Experiment, found: Found) -> Drawn:
    """A student's allocation against that of what it imitates, at both temperatures."""
    rows: list[Row] = []
    said = []
    for arm, of in study.arms.items():
        x = (found["traces"].get(of.traces or "") or {}).get("r_oracle_same_width", {}).get("value")
        if x is None or arm not in found["arms"]:
            continue
        shown = {}
        for panel, at in enumerate((SAMPLED, GREEDY)):
            own = found["arms"][arm].get(at, {}).get("r_oracle")
            if own and own["value"] is not None:
                low, high = own["ci"] if own["ci"] and own["seeds_defined"] > 1 else (None, None)
                place = {"panel": panel, "at": at, "x": x, "label": arm}
                rows.append({**place, "r": own["value"], "low": low, "high": high})
                shown[at] = own["value"]
        said.append(f"{arm}: {correlation(x)} and {correlation(shown.get(SAMPLED))}")
    channels = _by_temperature(None)
    colour = {"color": channels["color"]}
    across = {"domain": [-0.1, 1.45]}
    x = side("x", "of the traces, problems of the same width", across, values=[0, 0.5, 1], **SHORT)
    y = side("r", "of the student, human items", {"domain": [-0.5, 1.3]}, **SHORT, tickCount=8)
    name = {"x": field(x, "name"), "y": field(y, "height")}
    interval = {"x": x, "y": field(y, "low"), "y2": "high", **colour}
    layers = [
        mark("rule", interval, "low", strokeWidth=0.8, opacity=0.5, clip=True),
        mark("rule", {"x": x, "y": y, "x2": "name", "y2": "height"}, color=MUTED, strokeWidth=0.4),
        *written(name, "left", dx=1, fontSize=6, baseline="middle"),
        mark("point", {"x": x, "y": y, **channels}, "r", size=24, filled=True, opacity=1),
    ]
    titles = [[at.replace("=", " = ")] for at in (SAMPLED, GREEDY)]
    drawn = styles.panels(layers, titles, 2, (225, 290))
    description = f"Allocation of traces and of students, T = 1: {'; '.join(said)}"
    return _drawn(_named_apart(rows), drawn, "traces", description)


def _named_apart(rows: Sequence[Row]) -> list[Row]:
    """Rows with the place of their names, moved up where these would cover each other."""
    placed: list[Row] = []
    step = 0.052  # height of a name
    for row in sorted(rows, key=lambda row: row["r"]):
        height = row["r"] - 0.02
        for other in placed:
            near = other["panel"] == row["panel"] and abs(other["x"] - row["x"]) < 0.45
            height = max(height, other["height"] + step) if near else height
        placed.append({**row, "height": height, "name": row["x"] + 0.07})
    return placed


def _drawn(rows: Sequence[Row], drawn: Spec, name: str, description: str) -> Drawn:
    """The SVG has a line for each element."""
    svg = styles.svg(plot(rows, "", drawn)).replace("><", ">\n<")
    return f"{svg}\n", WORDS["study"][name], description


PLOTS = {"alignment": alignment, "tests": tests, "traces": traces}


# -- the page --------------------------------------------------------------------------------------

MARK = re.compile(r"<!-- study: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def run_study(arguments: argparse.Namespace) -> None:
    """Run what is missing of a study, then write its page, unless ``--only`` was given."""
    only, page = arguments.only, arguments.page
    for option in ("only", "list", "dry_run", "seed", "accelerate_config"):
        if arguments.numbers is not None and getattr(arguments, option) not in (None, False, []):
            raise UserError(f"--numbers looks at no run, so --{option} says nothing; leave it out")
    if (page or arguments.page_only) and (only or arguments.dry_run or arguments.list):
        others = "--only, --dry_run and --list do not; give one of them"
        raise UserError(f"--page and --page_only write the page, which {others}")
    given = arguments.file, arguments.seed, arguments.accelerate_config
    study = declare.load_experiment(*given, study=True)
    if arguments.dry_run:
        declare.check_passed_on(study, str(arguments.file))
    folder = arguments.output_dir or Path(study.output_dir)
    if arguments.numbers is not None:
        return _write_page(study, arguments.numbers, folder, page)
    made, logs, tolerance = plan(study, folder), folder / "logs", study.budget_tolerance
    if runner.show(made, logs, only, arguments.dry_run, arguments.list, tolerance):
        return
    failed: UserError | None = None
    try:
        if not arguments.page_only:
            runner.run_missing(study, made, logs, only, keep_going=True)
    except UserError as error:
        failed = error
    if not only:
        with rundir.lock(logs, 0):  # other tasks of an array may write it too
            _write_page(study, made, folder, page)
    if failed is not None:
        raise failed


def _write_page(study: Experiment, source: Plan | Path, folder: Path, page: Path | None) -> None:
    """Write the page from the runs of a plan, or from a study.json, and print what it concludes."""
    from handan.experiments import claims, results

    started = time.monotonic()
    if isinstance(source, Path):
        numbers = results.stored(study, source)
    else:
        numbers = results.numbers(study, results.Results(source, folder / "logs"))
    judged = claims.judge(study, numbers)
    output = page or folder / "page" / Path(study.page).name
    # The text of a page that is named is kept; the one beside the runs is always made anew.
    template = page if page is not None and page.exists() else shipped(Path(study.page))
    differ = write(study, judged, template, output)
    for claim_name, claim in judged["claims"].items():
        print(f"{claim_name}: {claim['conclusion']}. {claim['says']}")
        for one in claim["requires"]:
            if not one["met"]:
                print(f"  {one['at']}: {one['said']}")
    of = judged["cells"]
    for one in of["missing"]:
        print(f"missing: {one['cell']}: {one['reason']}")
    same = f"differs from {template} in {', '.join(differ)}" if differ else f"equals {template}"
    runner.say(started, f"{of['found']} of {of['declared']} cells; wrote {output}, which {same}")


def write(study: Experiment, found: Found, template: Path, output: Path) -> list[str]:
    """Write the page; returns the names of the generated parts that differ from the template's."""
    if not template.is_file():
        raise UserError(f"{template}: no such page; make one with a part '<!-- study: claims -->'")
    folder = output.parent / output.stem
    parts = {part: partial(written, study, found) for part, written in PARTS.items()}
    parts |= {f"factor-{name}": partial(_factor, study, found, name) for name in study.factors}
    parts |= {f"picture-{p}": partial(_plot, study, found, p, folder) for p in PLOTS}
    changed: list[str] = []

    def filled(mark: re.Match) -> str:
        part = mark["name"]
        if part not in parts:
            known = ", ".join(parts)
            raise UserError(f"{template}: no part is called '{part}'; there are: {known}")
        body = parts[part]()
        if body != mark["body"]:
            changed.append(part)
        return f"<!-- study: {part} -->\n{body}<!-- end -->"

    write_text(output, MARK.sub(filled, template.read_text(encoding="utf-8")))
    write_json(folder / "study.json", dict(found))
    return changed


def _plot(study: Experiment, found: Found, plot: str, folder: Path) -> str:
    svg, caption, description = PLOTS[plot](study, found)
    make_directory(folder)
    write_text(folder / f"{plot}.svg", svg)
    return f"![{description}]({folder.name}/{plot}.svg)\n\n*{caption}*\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are Markdown already."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _with_interval(stored: Mapping[str, Any] | None) -> str:
    """'.88 [.85, .90]', and in how many seeds it is undefined, such as an r of constant lengths."""
    if not stored or stored["value"] is None:
        return UNKNOWN
    missing = stored["seeds"] - stored["seeds_defined"]
    undefined = f" ({missing} of {stored['seeds']} seeds undefined)" if missing else ""
    return f"{correlation(stored['value'])} {formatting.bounds(stored['ci'])}{undefined}"


def _difference(row: Mapping[str, Any] | None) -> str:
    """'.87 - .70 = .17 [-.14, .46]': plain means; an arm's own r is a mean on Fisher's z."""
    if not row or row["difference"] is None:
        return UNKNOWN
    a, b = correlation(row["r_a"]), correlation(row["r_b"])
    b = f"({b})" if b.startswith(MINUS) else b
    return f"{a} {MINUS} {b} = {_with_interval({**row, 'value': row['difference']})}"


def _ranged(stored: Mapping[str, Any] | None, write: Callable[[float | None], str]) -> str:
    """'.97 (.95 to .98)': mean and range over seeds; one value where all agree."""
    if not stored or stored["value"] is None:
        return UNKNOWN
    low, high = write(stored["low"]), write(stored["high"])
    return write(stored["value"]) + (f" ({low} to {high})" if low != high else "")


def _p(p: float | None) -> str:
    return UNKNOWN if p is None else "< .001" if p < 0.001 else correlation(p, 3)


def _of_arm(found: Found, arm: str, at: str, key: str) -> Any:
    return found["arms"].get(arm, {}).get(at, {}).get(key)


def _cells(study: Experiment, found: Found) -> str:
    of = found["cells"]
    lines = [f"{of['found']} of {of['declared']} declared cells are there."]
    lines += [f"- Missing: {one['cell']}: {escape(one['reason'])}" for one in of["missing"]]
    return "\n".join(lines) + "\n"


def _claims(study: Experiment, found: Found) -> str:
    rows = []
    for called, claim in found["claims"].items():
        tally = ", ".join(f"{n} {word}" for word, n in Counter(claim["outcomes"]).items())
        rows.append([name(called), claim["says"], f"**{claim['conclusion']}**", tally])
    return _table(["claim", "what it says", "here", "tests"], rows)


def _requirements(study: Experiment, found: Found) -> str:
    met = {True: "met", False: "**not met**", None: "**not known**"}
    rows = [
        [name(called), one["at"], one["said"], met[one["met"]]]
        for called, claim in found["claims"].items()
        for one in claim["requires"]
    ]
    return _table(["claim", "T", "requires", "here"], rows)


def _tests(study: Experiment, found: Found) -> str:
    joined = {"r": "", "difference": " - ", "law": " on ", "effort": " on "}
    rows = []
    for test in found["tests"]:
        between = joined[test["measure"]]
        what = f"`{test['a']}`" + (f"{between}`{test['b']}`" if between else "")
        why = f" ({test['withheld']})" if test.get("withheld") else ""
        outcome = f"**{test['outcome']}**{why}"
        rows.append([what, test["at"], test["expect"], *_effect(test), outcome])
    header = ["what", "T", "expected", "found", "verdict", "p", "p of equivalence", "seeds"]
    return _table([*header, "right answers only", "outcome"], rows)


def _effect(test: Mapping[str, Any]) -> list[str]:
    """Found, verdict, both p after Holm, seeds, and the same on right answers."""
    if test["measure"] == "r":
        shown, seeds = f"r = {_with_interval(test)}", str(test.get("seeds", UNKNOWN))
        return [shown, UNKNOWN, _p(test["p_holm"]), UNKNOWN, seeds, UNKNOWN]
    if test["measure"] == "difference":
        p = (_p(test["p_holm"]), _p(test["p_equivalence_holm"]))
        said = Verdict.of(test).words or UNKNOWN
        return [_difference(test), said, *p, str(test["seeds"]), _difference(test["right_only"])]
    if test["measure"] == "law":
        laws = test["laws"] or []
        said = "; ".join(f"{law} ({n})" for law, n in Counter(laws).items()) or UNKNOWN
        slope, ratio = (_ranged(test[key], correlation) for key in ("slope", "ratio"))
        return [f"b = {slope}, ratio {ratio}", said, UNKNOWN, UNKNOWN, str(len(laws)), UNKNOWN]
    effort, kl = (_ranged(test[key], correlation) for key in ("effort", "kl"))
    seeds = str(test["effort"]["seeds"]) if test["effort"] else UNKNOWN
    shown = f"relative effort {effort}, KL {kl}"
    return [shown, UNKNOWN, UNKNOWN, UNKNOWN, seeds, UNKNOWN]


def _factor(study: Experiment, found: Found, which: str) -> str:
    of = study.factors[which]
    rows = []
    for arm in (of.against, *of.arms):
        seeds = [s for s in found["arms"].get(arm, {}).get("seeds", []) if s is not None]
        row = [f"`{arm}`", str(len(seeds)) if seeds else UNKNOWN]
        row.append(_ranged(_of_arm(found, arm, SAMPLED, "accuracy_human"), correlation))
        row.append(_ranged(_of_arm(found, arm, SAMPLED, "tokens_human"), number))
        row += [_with_interval(_of_arm(found, arm, at, "r")) for at in TEMPERATURES]
        row.append(_with_interval(_of_arm(found, arm, SAMPLED, "r_oracle")))
        against = found["factors"][which].get(arm, {}) if arm != of.against else {}
        for one in (against.get(at) for at in TEMPERATURES):
            row.append(_difference(one))
            if one and one["difference"] is not None:
                withheld = f"no verdict ({one['withheld']})" if one["withheld"] else ""
                row[-1] = f"{row[-1]} {Verdict.of(one).words or withheld}".strip()
        rows.append(row)
    header = ["arm", "seeds", "accuracy", "tokens", "r, T = 1", "r, T = 0", "r(length, oracle)"]
    less = [f"less `{of.against}`, T = 1", "T = 0"]
    return f"*{of.question}*\n\n{_table([*header, *less], rows)}"


def _tasks(source: str, study: Experiment, found: Found) -> str:
    """Tasks with human response times, or those with an analytic cost: these are never averaged."""
    tasks = found["tasks"][source]
    rows = []
    for arm in found["arms"]:
        row = [f"`{arm}`"]
        for task in tasks:
            row.append(_ranged(_of_arm(found, arm, SAMPLED, f"accuracy_{task}"), correlation))
            row += [_with_interval(_of_arm(found, arm, at, f"r_{task}")) for at in TEMPERATURES]
        rows.append(row)
    header = [text for t in tasks for text in (f"{name(t)}: accuracy", "r, T = 1", "r, T = 0")]
    return _table(["arm", *header], rows)


def _measures(at: str, rates: bool, study: Experiment, found: Found) -> str:
    """Shares of responses, which could censor or distort lengths, or every other measure."""
    columns = [measure for measure in shown(EXPERIMENT) if (measure.unit == SHARE) is rates]
    columns = [measure for measure in columns if not (at == GREEDY and measure.sampled_only)]
    written: dict[str, Callable[[float | None], str]] = {SHARE: percent, TOKENS: number}
    rows = []
    for arm, of in found["measures"].items():
        texts = (_ranged(of[at].get(m.key), written.get(m.unit, correlation)) for m in columns)
        rows.append([f"`{arm}`", *texts])
    return _table(["arm", *(measure.label for measure in columns)], rows)


def _samples(study: Experiment, found: Found) -> str:
    rows = []
    for row in found["samples"]:
        seed = UNKNOWN if row["seed"] is None else str(row["seed"])
        texts = [correlation(k[key]) for k in row["k"].values() for key in ("r", "reliability")]
        rows.append([f"`{row['arm']}`", seed, *texts])
    numbers = list(found["samples"][0]["k"]) if found["samples"] else []
    header = [text for k in numbers for text in (f"r, k = {k}", "reliability")]
    return _table(["arm", "seed", *header], rows)


def _traces(study: Experiment, found: Found) -> str:
    rows = []
    for arm, of in study.arms.items():
        sets = found["traces"].get(of.traces or "")
        if sets is None or arm not in found["arms"]:
            continue
        row = [f"`{arm}`", f"`{of.traces}`"]
        row += [_ranged(sets["traces"], count), _ranged(sets["tokens"], number)]
        row += [_ranged(sets[key], correlation) for key in ("r_oracle", "r_oracle_same_width")]
        row += [_with_interval(_of_arm(found, arm, at, "r_oracle")) for at in TEMPERATURES]
        rows.append(row)
    header = ["student", "traces", "number", "tokens", "r(length, oracle) of the traces"]
    return _table([*header, "same width", "of the student, T = 1", "T = 0"], rows)


def _budgets(study: Experiment, found: Found) -> str:
    shown = [key for key in BUDGETS if key != "peak_memory_gib"]
    rows = []
    for arm, of in found["budgets"].items():
        row = [f"`{arm}`"]
        for key in shown:
            value = (of.get(key) or {}).get("value")
            row.append(f"{value:.2e}" if key == "model_flops" and value else count(value))
        rows.append(row)
    return _table(["arm", *(BUDGETS[key] for key in shown)], rows)


def _audit(study: Experiment, found: Found) -> str:
    rows = []
    for kind in dict.fromkeys(row["of"] for row in found["audit"]):
        of = [row for row in found["audit"] if row["of"] == kind]
        checked, *others = (sum(row.get(k, 0) for row in of) for k in ("rows", "found", "refused"))
        rows.append([kind, str(len(of)), count(checked), *map(str, others)])
    header = ["training sets of", "cells", "rows checked", "human or other evaluation items found"]
    return _table([*header, "refused before training"], rows)


PARTS: dict[str, Callable[[Experiment, Found], str]] = {
    "cells": _cells,
    "claims": _claims,
    "requirements": _requirements,
    "tests": _tests,
    "oracle": lambda _, found: (
        f"r(oracle, human), mean over the human tasks: {_with_interval(found['oracle'])}.\n"
    ),
    "factors": lambda study, found: "\n".join(
        f"### {name(one)}\n\n{_factor(study, found, one)}" for one in study.factors
    ),
    "human-tasks": partial(_tasks, "human"),
    "analytic": partial(_tasks, "analytic"),
    "measures-sampled": partial(_measures, SAMPLED, False),
    "measures-greedy": partial(_measures, GREEDY, False),
    "rates": partial(_measures, SAMPLED, True),
    "samples": _samples,
    "traces": _traces,
    "budgets": _budgets,
    "audit": _audit,
}
