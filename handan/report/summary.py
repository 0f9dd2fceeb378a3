"""What else could explain the report, or a claim, and the answer in a few sentences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from handan import budgets
from handan.alignment.contrasts import Verdict, accuracy_gap
from handan.alignment.items import MIN_ACCURACY
from handan.formatting import bounds, correlation, count, estimate, listing, name, number, percent
from handan.report.comparison import WORDS, Arm, Comparison, Group, compared_budgets, course

CAP_TOLERANCE = 0.01  # with a larger share of answers cut, lengths of a task are too short
DIRECT_TOLERANCE = 0.1  # between shares of answers without reasoning
RELIABILITY_TOLERANCE = 0.1  # further apart they attenuate two correlations differently
FORMAT_EXPLAINS = 0.5  # r of a format's noise-free length that explains a high r by itself
COMPETENCE_LOST = 0.5  # with less of its base's right answers an arm no longer solves the tasks
SMALL_MODEL_PARAMETERS = 1e8
_ROUNDING = 1e-9  # .4 - .3 is a little more than .1 in floating point
MEANINGS = WORDS["confounds"]
COUNTED = {
    "token_ids": "on generated token ids",
    "usage": "by the server",
    "retokenized": "on its text, tokenised again",
    "characters": "in characters",
}


class Confound(NamedTuple):
    """Another explanation of a claim or of the whole report, checked."""

    title: str
    applies: bool  # the numbers leave it open
    finding: str  # a clause of the numbers
    meaning: str = ""  # of the numbers, in sentences
    key: str = ""  # of CHECKS

    @property
    def short(self) -> str:
        """Title and numbers, for a claim."""
        return f"{self.title}: {self.finding}."

    @property
    def text(self) -> str:
        """Numbers and their meaning, for the whole report."""
        return f"{self.finding}. {self.meaning}".strip()


# Whether the explanation applies, its finding and meaning; None where it is not worth a line.
Checked = tuple[bool, str, str] | None


def confounds(comparison: Comparison) -> list[Confound]:
    """All checks among the arms of the main group, those that apply first."""
    models = [arm.name for arm in comparison.main.arms]
    found = _checked(comparison.main, models, CHECKS, comparison.tolerance)
    return sorted(found, key=lambda confound: not confound.applies)


def applying(
    group: Group, models: Sequence[str], keys: Iterable[str], tolerance: float = budgets.TOLERANCE
) -> list[Confound]:
    """Those of the explanations ``keys`` that apply to the models of a claim."""
    return [found for found in _checked(group, models, keys, tolerance) if found.applies]


def _checked(
    group: Group, models: Sequence[str], keys: Iterable[str], tolerance: float
) -> list[Confound]:
    checks = [(key, *CHECKS[key]) for key in keys]
    found = [(key, title, check(group, models, tolerance)) for key, title, check in checks]
    return [Confound(title, *checked, key) for key, title, checked in found if checked is not None]


def oracles(group: Group) -> dict[str, float]:
    """{human task: r of a flawless trace's length with people}, where it is known."""
    found = {task: group.task_figure(task, "oracle_human") for task in group.tasks("human")}
    return {task: r for task, r in found.items() if r is not None}


def _noise(group: Group, models: Sequence[str], _: float) -> Checked:
    known = _over_tasks(group, models, "reliability_model")
    if not known:
        return False, "unknown: there are not several samples an item", ""
    if not _apart(known.values(), RELIABILITY_TOLERANCE):
        return False, "all arms' lengths repeat equally well", ""
    least, most = (choose(known, key=lambda model: known[model]) for choose in (min, max))
    lowest, highest = (f"{correlation(known[model])} ({model})" for model in (least, most))
    meaning = MEANINGS["noise"]
    cold = {model: group.figures(group.arm(model).greedy) for model in models}
    shown = [f"{of} {correlation(row['mean_r_loglog'])}" for of, row in cold.items() if row]
    if shown:
        meaning += f" At T = 0, where nothing is drawn, mean r is {listing(shown)}."
    left = [
        f"{pair['a']} against {pair['b']} {correlation(row['difference'])} {bounds(row['ci'])}"
        for pair in _contrasts(group, models)
        if (row := group.greedy_contrast(pair)) is not None
    ]
    if left:
        meaning += f" What remains of the differences: {listing(left)}."
    return True, f"the reliability of lengths runs from {lowest} to {highest}", meaning


def _format(group: Group, _: Sequence[str], __: float) -> Checked:
    found = oracles(group)
    if not found:
        return False, "no noise-free length of the format is known", ""
    shown = listing([f"{correlation(r)} for {name(task)}" for task, r in found.items()])
    formats = sorted({called for task in found if (called := group.format_of(task))})
    called = f" in '{listing(formats)}'" if formats else ""
    return (
        max(found.values()) >= FORMAT_EXPLAINS,
        f"the lengths of flawless traces{called} alone have r = {shown} with people",
        MEANINGS["format"],
    )


def _competence(group: Group, models: Sequence[str], _: float) -> Checked:
    found = []
    for arm in map(group.arm, models):
        accuracy = _over_tasks(group, [arm.name, arm.base or ""], "accuracy")
        above = [
            f"{correlation(of['r_loglog'])} {bounds(of['r_loglog_ci'])} on {name(task)}"
            for task, of in group.of_tasks(arm.name).items()
            if of["cost_source"] == "human" and of["r_loglog_ci"] and of["r_loglog_ci"][0] > 0
        ]
        own, before = accuracy.get(arm.name), accuracy.get(arm.base or "")
        if above and own is not None and before is not None and own < COMPETENCE_LOST * before:
            found.append(
                f"{arm.name} answers {percent(own)} of the human items rightly, its base "
                f"{percent(before)}, and still has r = {listing(above)}"
            )
    meaning = MEANINGS["competence"].format(least=percent(MIN_ACCURACY))
    return (True, "; ".join(found), meaning) if found else None


def _cap(group: Group, models: Sequence[str], _: float) -> Checked:
    known = [(model, *of_task) for model in models for of_task in group.of_tasks(model).items()]
    found = [(of["cap_rate"], model, task) for model, task, of in known]
    rates = [rate for rate in found if rate[0] is not None]
    if not rates:
        return True, "unknown: no status is recorded, so a cap may have cut r", ""
    highest = max(rates)[0]
    over = [f"{of} {percent(rate)} on {name(on)}" for rate, of, on in rates if rate > CAP_TOLERANCE]
    if not over:
        return False, f"at most {percent(highest)} of any arm's answers on a task", ""
    cap = group.conditions.get("max_new_tokens", "unknown")
    return True, f"{listing(over)} of answers reached the cap of {cap} tokens", MEANINGS["cap"]


def _accuracy(group: Group, models: Sequence[str], _: float) -> Checked:
    over = []
    for row in _contrasts(group, models):
        gap, of_a, of_b = accuracy_gap(row), percent(row["accuracy_a"]), percent(row["accuracy_b"])
        if gap is not None:
            unknown = f"unknown for {row['a']} against {row['b']}"
            over.append(unknown if gap != gap else f"{row['a']} {of_a} against {row['b']} {of_b}")
    if not over:
        return False, "no contrast has accuracies more than 10 points apart", ""
    finding = f"of right answers, more than 10 points apart: {listing(over)}"
    return True, finding, MEANINGS["accuracy"]


def _budget(group: Group, models: Sequence[str], tolerance: float) -> Checked:
    rows = compared_budgets(map(group.arm, models), tolerance)
    if not rows:
        return None
    differences = []
    for row in rows:
        apart, unknown = [], []
        for measure in row["measures"]:
            what = budgets.MEASURES[measure["measure"]].removesuffix(" (with the teacher's)")
            # The memory that a training needed changes nothing of what it learns.
            if measure["measure"] == "peak_memory_gib" or measure["within"]:
                continue
            if measure["within"] is None:
                unknown.append(what)
            elif measure["ratio"] is None:
                apart.append(f"{what} where {row['b']} had none")
            else:
                apart.append(f"{number(measure['ratio'], 2)} times the {what}")
        if apart:
            but = f" ({listing(unknown)} unknown)" if unknown else ""
            differences.append(f"{row['a']} had {listing(apart)} of {row['b']}{but}")
    if not differences:
        return False, " ".join(row["sentence"] for row in rows), ""
    finding = f"with the teacher's part counted, {'; '.join(differences)}"
    return True, finding, MEANINGS["budget"]


def _direct(group: Group, models: Sequence[str], _: float) -> Checked:
    rates = _over_tasks(group, models, "no_reasoning_rate")
    # A single model is looked at by its own rate, several by their difference.
    compared = [*rates.values(), *([0.0] if len(models) == 1 else [])]
    if not rates or not _apart(compared, DIRECT_TOLERANCE):
        return False, "equally rare in all arms", ""
    shown = [f"{model} {percent(rate)}" for model, rate in rates.items()]
    finding = f"{listing(shown)} of answers to human items have no reasoning token"
    return True, finding, MEANINGS["direct"]


def _counting(group: Group, models: Sequence[str], _: float) -> Checked:
    ways = {model: _values(group, model, "counted_by") for model in models}
    whole = [model for model in models if "response" in _values(group, model, "cost_rule")]
    # Unknown matters only beside an arm of which it is known.
    other = [
        f"{model} {' and '.join(COUNTED.get(way, way) for way in sorted(found)) or 'unknown'}"
        for model, found in ways.items()
        if any(ways.values()) and found != {"token_ids"}
    ]
    findings, meanings = [], []
    if other:
        findings.append(f"not on generated token ids: {listing(other)}")
        meanings.append(MEANINGS["recounted"])
    if whole:
        response = "the whole response, because there is no reasoning span"
        findings.append(f"the cost of {listing(whole)} is {response}")
        meanings.append(MEANINGS["whole_response"])
    clear = "all on the token ids inside the reasoning span"
    return bool(findings), "; ".join(findings) or clear, " ".join(meanings)


def _repetition(group: Group, models: Sequence[str], _: float) -> Checked:
    finding = "the intervals, over items, hold for these models, these people and these tasks"
    trained = [arm for arm in map(group.arm, models) if arm.training]
    seeds = {str(arm.training_config["seed"]) for arm in trained if "seed" in arm.training_config}
    shown = f" (training seed {listing(sorted(seeds))})" if seeds else ""
    unknown = "How a repeated training would come out is not known."
    return True, finding, f"Every arm was trained once{shown}. {unknown}" if trained else ""


def _size(group: Group, models: Sequence[str], _: float) -> Checked:
    sizes = [(group.arm(model).training.get("parameters") or {}) for model in models]
    known = [size["multiplied"] for size in sizes if size.get("multiplied") is not None]
    if not known or max(known) >= SMALL_MODEL_PARAMETERS:
        return None
    return True, f"the trained models have at most {max(known):,} parameters", MEANINGS["size"]


CHECKS: dict[str, tuple[str, Callable[[Group, Sequence[str], float], Checked]]] = {
    "noise": ("Sampling noise", _noise),
    "format": ("The trace format", _format),
    "competence": ("Length without competence", _competence),
    "cap": ("Answers cut at the token cap", _cap),
    "accuracy": ("Unequal accuracy", _accuracy),
    "budget": ("Unequal budgets", _budget),
    "direct": ("Answers without reasoning", _direct),
    "counting": ("How costs were counted", _counting),
    "repetition": ("One run of each arm", _repetition),
    "size": ("Small models", _size),
}
OF_LENGTHS = ("cap", "direct", "counting")
OF_CONTRASTS = ("accuracy", *OF_LENGTHS, "noise", "budget", "format")


def _contrasts(group: Group, models: Sequence[str]) -> list[Mapping[str, Any]]:
    """The contrasts among these models on the mean over human tasks."""
    return [row for row in group.contrasts() if {row["a"], row["b"]} <= {*models}]


def _over_tasks(group: Group, models: Sequence[str], column: str) -> dict[str, float]:
    """{model: mean of a figure over human tasks}, where it is known."""
    found = {model: group.over_tasks(model, column) for model in models}
    return {model: value for model, value in found.items() if value is not None}


def _values(group: Group, model: str, column: str) -> set[str]:
    """The values of a column such as 'counted_by' on a model's tasks."""
    found = [figures[column] for figures in group.of_tasks(model).values() if figures[column]]
    return {way for ways in found for way in ways.split(" + ")}


def _apart(values: Iterable[float], tolerance: float) -> bool:
    known = list(values)
    return max(known) - min(known) > tolerance + _ROUNDING


# -- the answer in a few sentences, made from the contrasts with the base --------------------------


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
