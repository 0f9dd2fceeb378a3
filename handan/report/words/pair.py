"""What else could explain one claim: checks on the models of that claim alone, with numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handan import budgets
from handan.alignment.figures.verdict import ACCURACY_TOLERANCE
from handan.report.data import Group
from handan.report.notation import correlation, listing, name, number, percent
from handan.report.roles import Arm
from handan.report.words.budget import compared_pair
from handan.report.words.claim import Applying
from handan.report.words.counting import WAYS, values

# A task of which more than this share of answers is cut has lengths that are too short.
CAP_TOLERANCE = 0.01
# Shares of answers without reasoning further apart than this are another explanation.
DIRECT_TOLERANCE = 0.1
# Reliabilities further apart than this attenuate two correlations differently.
RELIABILITY_TOLERANCE = 0.1
# A format whose noise-free length follows people this closely explains a high r by itself.
FORMAT_EXPLAINS = 0.5
WITH_TEACHERS = "the teacher's part counted"
# .4 - .3 is a little more than .1 in floating point.
_ROUNDING = 1e-9


def of_lengths(group: Group, models: Sequence[str]) -> list[Applying]:
    """What could explain the lengths of one or two models: cut, missing or otherwise counted."""
    return [*_cut(group, models), *_direct(group, models), *_counted(group, models)]


def of_noise(group: Group, models: Sequence[str]) -> Iterator[Applying]:
    """Lengths of which one model's repeat less from sample to sample than the other's."""
    known = [group.over_tasks(model, "reliability_model") for model in models]
    if not any(of is None for of in known) and _apart(known, RELIABILITY_TOLERANCE):
        yield Applying(
            "noise",
            f"Sampling noise: the reliability of lengths is {_against(known, correlation)}, and "
            "what is less reliable correlates less with anything.",
        )


def of_format(group: Group) -> Iterator[Applying]:
    """A trace format that is long where people take long, before any model runs."""
    oracles = [group.task_figure(task, "oracle_human") for task in group.tasks("human")]
    if found := [correlation(r) for r in oracles if r is not None and r >= FORMAT_EXPLAINS]:
        yield Applying(
            "format",
            f"The trace format: a flawless trace alone has r = {listing(found)} with people.",
        )


def of_accuracy(row: Mapping[str, Any], found: str) -> Iterator[Applying]:
    """Accuracies that differ or are not known, and what that leaves of the verdict ``found``."""
    gap = accuracy_gap(row)
    shown = _against([row["accuracy_a"], row["accuracy_b"]], percent)
    if gap is None:
        return
    if gap != gap:
        text = "Accuracy is unknown, so a weaker model is a possible explanation."
    elif found == "preserved":
        text = f"Accuracy: {shown} of answers right; similar lengths do not mean similar answers."
    elif gap < 0 and found.startswith("lower"):
        text = f"Accuracy: {shown} of answers right; a weaker model is another explanation."
    else:
        text = f"Accuracy: {shown} of answers right; more differs than how tokens are allocated."
    yield Applying("accuracy", text)


def of_budgets(a: Arm, b: Arm, tolerance: float) -> Iterator[Applying]:
    """Budgets that are apart, of arms that began with the same weights."""
    row = compared_pair(a, b, tolerance)
    if row is None:
        return
    if said := budget_difference(row):
        yield Applying("budget", f"Unequal budgets, {WITH_TEACHERS}: {said}.")


def budget_difference(row: Mapping[str, Any]) -> str | None:
    """How far two budgets are apart on measures that could matter; None if on none of them."""
    # The memory that a training needed changes nothing of what it learns.
    measures = [of for of in row["measures"] if of["measure"] != "peak_memory_gib"]
    apart, unknown = [], []
    for of_measure in measures:
        what = budgets.MEASURES[of_measure["measure"]].removesuffix(" (with the teacher's)")
        if of_measure["within"] is None:
            unknown.append(what)
        elif not of_measure["within"]:
            ratio = of_measure["ratio"]
            none = f"{what} where {row['b']} had none"
            apart.append(none if ratio is None else f"{number(ratio, 2)} times the {what}")
    if not apart:
        return None
    text = f"{row['a']} had {listing(apart)} of {row['b']}"
    return f"{text} ({listing(unknown)} unknown)" if unknown else text


def accuracy_gap(row: Mapping[str, Any]) -> float | None:
    """Accuracy of a minus that of b: NaN if unknown, None if within tolerance."""
    if row["accuracy_a"] is None or row["accuracy_b"] is None:
        return float("nan")
    gap = float(row["accuracy_a"] - row["accuracy_b"])
    return gap if abs(gap) > ACCURACY_TOLERANCE + _ROUNDING else None


def _cut(group: Group, models: Sequence[str]) -> Iterator[Applying]:
    over, known = [], False
    for task in group.tasks("human"):
        tasks = [(group.figures(model) or {"tasks": {}})["tasks"].get(task) for model in models]
        rates = [None if figures is None else figures["cap_rate"] for figures in tasks]
        known = known or not any(rate is None for rate in rates)
        if any(rate is not None and rate > CAP_TOLERANCE for rate in rates):
            over.append(f"{_against(rates, percent)} of {name(task)}")
    if over:
        yield Applying("cap", f"Answers cut at the token cap: {listing(over)}.")
    elif not known:
        yield Applying("cap", "It is unknown how many answers were cut at the token cap.")


def _direct(group: Group, models: Sequence[str]) -> Iterator[Applying]:
    rates = [group.over_tasks(model, "no_reasoning_rate") for model in models]
    known = [rate for rate in rates if rate is not None]
    # A single model is looked at by its own rate, two by their difference.
    if known and _apart([0.0, *known] if len(models) == 1 else known, DIRECT_TOLERANCE):
        yield Applying("direct", f"Answers without reasoning: {_against(rates, percent)}.")


def _counted(group: Group, models: Sequence[str]) -> Iterator[Applying]:
    for column, meant in (("counted_by", WAYS), ("cost_rule", {})):
        ways = [sorted(values(group, model, column)) for model in models]
        if any(way != ways[0] for way in ways):
            shown = [" and ".join(meant.get(of, of) for of in way) or "unknown" for way in ways]
            yield Applying("counting", f"Costs were counted otherwise: {' against '.join(shown)}.")


def _apart(values_known: Sequence[float | None], tolerance: float) -> bool:
    known = [value for value in values_known if value is not None]
    return max(known) - min(known) > tolerance + _ROUNDING


def _against(figures: Sequence[float | None], shown: Any) -> str:
    return " against ".join("unknown" if of is None else shown(of) for of in figures)
