"""The answer in a few sentences, made from the contrasts with the base."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from handan.alignment.contrasts import Verdict
from handan.formatting import bounds, correlation, count, estimate, listing, percent
from handan.report.comparison import Arm, Group, course
from handan.report.confounds import FORMAT_EXPLAINS, oracles


def summary(group: Group) -> list[str]:
    """Say what training did to arms with a known base, what is reversed, what the format brings."""
    temperature = group.conditions.get("temperature")
    label = f"T = {temperature:g}" if isinstance(temperature, (int, float)) else "T unknown"
    bases = sorted({arm.base for arm in group.arms if arm.base})
    base = group.arm(bases[0]).noun if len(bases) == 1 else "the model each was trained from"
    said = []
    for condition, cold in ((f"With sampling ({label})", False), ("Without it (T = 0)", True)):
        outcomes: dict[str, list[str]] = {}
        for arm in (arm for arm in group.arms if arm.base):
            row = group.contrast(arm.name, arm.base)
            if cold and row is not None:
                row = group.greedy_contrast(row)
            if row is not None:
                outcomes.setdefault(_compared(Verdict.of(row)), []).append(arm.noun)
        if outcomes:
            parts = [f"{words} for {listing(arms)}" for words, arms in outcomes.items()]
            what = f"{condition}, alignment with people, compared with {base},"
            said.append(f"{what} is {'; '.join(parts)}.")
    if said:
        rights = [(arm.name, group.over_tasks(arm.name, "accuracy")) for arm in group.arms]
        accuracies = listing([f"{arm} {percent(share)}" for arm, share in rights])
        said.append(f"Right answers on the human tasks: {accuracies}.")
    reversed_arms = [
        f"{arm.noun}, r = {estimate(*found)}"
        for arm in group.arms
        if (interval := (found := group.mean_r(arm.name))[1]) is not None and interval[1] < 0
    ]
    if shown := "; ".join(reversed_arms):
        said.append(f"Reversed, with fewer tokens where people take longer: {shown}.")
    formats = [correlation(r) for r in oracles(group).values() if r >= FORMAT_EXPLAINS]
    if formats:
        told = "Keep in mind that flawless traces in this format have lengths with r ="
        so = "a high r here is difficulty written into the format and carried out, not discovered"
        said.append(f"{told} {listing(formats)} with people before any model runs: {so}.")
    return said


def _compared(verdict: Verdict) -> str:
    bound = correlation(verdict.bound, 1)
    words = {
        "preserved": f"the same within ±{bound}",
        "open": "not shown to differ",
        "none": "not comparable",
    }.get(verdict.outcome, verdict.outcome)
    if verdict.direction and verdict.within:
        words += f" by less than {bound}"
    return words if verdict.survives_correction else f"{words}, though not after correction,"


MEAN = "alignment/mean_r_loglog"


class _Probe(NamedTuple):
    step: float
    r: float
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        return f"{correlation(self.r)} {bounds(self.interval)}"


def along_training(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """Names of arms whose mean r was probed at two steps or more, and one to three sentences each.

    Probes differ where their 95 % intervals are apart, which on the same items is a strict test.
    """
    found = []
    for arm in arms:
        rows, probes = course(arm), []
        for row in (row for row in rows if MEAN in row):
            low, high = row.get(f"{MEAN}_ci_low"), row.get(f"{MEAN}_ci_high")
            interval = None if low is None or high is None else (float(low), float(high))
            probes.append(_Probe(row["step"], row[MEAN], interval))
        if len(probes) > 1:
            parts = [_from_start_to_end(probes), _on_the_way(probes), _share(arm, rows)]
            found.append((arm.name, " ".join(filter(None, parts))))
    return found


def _from_start_to_end(probes: Sequence[_Probe]) -> str:
    start, end = probes[0], probes[-1]
    began, ended = f"{start} at step {count(start.step)}", f"{end} at step {count(end.step)}"
    text = f"Mean r went from {began} to {ended}"
    if start.interval is None or end.interval is None:
        return f"{text}; without intervals that shows no change."
    moved = "rose" if _above(end, start) else "fell" if _above(start, end) else None
    changed = "the intervals overlap, so the probe does not show that it changed"
    text += f"; it {moved}: the intervals do not overlap" if moved else f"; {changed}"
    reversed_end = ". It ends reversed: fewer tokens where people take longer"
    return f"{text}{reversed_end if end.interval[1] < 0 else ''}."


def _on_the_way(probes: Sequence[_Probe]) -> str:
    """The highest and the lowest probe between, where each stands out from both ends."""
    start, end, between = probes[0], probes[-1], probes[1:-1]
    if not between:
        return ""
    highest, lowest = (choose(between, key=lambda of: of.r) for choose in (max, min))
    said = []
    if _above(highest, start) and _above(highest, end):
        said.append(f"it peaked at step {count(highest.step)} with {highest}, above both ends")
    if _above(start, lowest) and _above(end, lowest):
        said.append(f"it fell to {lowest} at step {count(lowest.step)}, below both ends")
    return f"On the way {' and '.join(said)}." if said else ""


def _above(one: _Probe, other: _Probe) -> bool:
    """Tell whether the whole interval of one is above that of the other."""
    return bool(one.interval and other.interval and one.interval[0] > other.interval[1])


def _share(arm: Arm, rows: Sequence[Mapping[str, Any]]) -> str:
    key = "budget/probe_share"
    share = next((row[key] for row in rows[::-1] if key in row), None)
    budget = arm.training.get("budget") or {}
    probing, training = budget.get("probe_seconds"), budget.get("train_seconds")
    if share is None and probing is not None and training:
        share = probing / (probing + training)
    return "" if share is None else f"Measuring took {percent(share)} of its time."
