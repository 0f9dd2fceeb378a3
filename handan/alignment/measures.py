"""Every measure that is shown anywhere, declared once: where it is stored, its name and its unit.

``TASKS`` are of a model on a task, ``MEANS`` of a model over tasks, ``PAIRS`` of a model beside its
base or teacher, ``CURVES`` of a training. ``docs/extending.md`` says how to add one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# Units: they decide how a number is written and what an axis says (``AXES``).
R, SHARE, TOKENS, COUNT, RATIO, NUMBER = "r", "share", "tokens", "count", "ratio", "number"
AXES = {R: "r", SHARE: "share of responses", TOKENS: "tokens a response", COUNT: "count"}
AXES |= {RATIO: "ratio of tokens", NUMBER: ""}

ALIGNMENT = "alignment"  # first table of `handan align`
CHECKS = "checks"  # its table of checks
ARMS = "arms"  # the report's table of arms, means over human tasks
DETAILS = "details"  # the report's table of every arm on every human task
EXPERIMENT = "experiment"  # the page of a multi-seed experiment


class Measure(NamedTuple):
    """One measure; what it does not have is ''."""

    key: str  # its name; also where it is stored, unless path says otherwise
    label: str  # header of its column
    unit: str
    places: Sequence[str] = ()
    ci: str = ""  # key of its 95 % interval
    path: str = ""  # in nested mappings, such as 'partial/all/r'; its interval is 'ci' beside it
    title: str = ""  # heading of a chart
    curve: str = ""  # its name in metrics.jsonl, if it is measured along training
    task_curve: str = ""  # the same of a single task, with '{task}' in it
    reference: float | None = None  # value of 'no change', such as 1 for a ratio
    printed: bool = True  # by a terminal too, not by files alone
    sampled_only: bool = False  # unknown where nothing is sampled

    @property
    def heading(self) -> str:
        """Its title, or else its label with a capital."""
        return self.title or self.label[:1].upper() + self.label[1:]

    @property
    def axis(self) -> str:
        """Label of an axis."""
        return AXES[self.unit] or self.label

    def value(self, stored: Mapping[str, Any]) -> Any:
        """The value in a mapping of ``alignment.json``, None if it is unknown."""
        return at(stored, self.path or self.key)

    def interval(self, stored: Mapping[str, Any]) -> Sequence[float] | None:
        """Bounds of the 95 % interval, None if it is unknown or there is none."""
        if self.path:
            return at(stored, f"{self.path.rpartition('/')[0]}/ci")
        return stored.get(self.ci)


def at(stored: Any, path: str) -> Any:
    """A value in nested mappings, with "/" between their keys; None where one is missing."""
    for key in path.split("/"):
        stored = None if stored is None else stored.get(key)
    return stored


# fmt: off
TASKS = (
    Measure("n", "n", COUNT, (ALIGNMENT, DETAILS), title="Items"),
    Measure("items_dropped", "left out", COUNT, (DETAILS,)),
    Measure("distinct_lengths", "distinct", COUNT, (ALIGNMENT,), title="Distinct lengths"),
    Measure("r_loglog", "r log-log", R, (ALIGNMENT, CHECKS, DETAILS), "r_loglog_ci",
            task_curve="alignment/{task}/r_loglog"),
    Measure("r_loglog_normalized", "r / ceiling", R, (ALIGNMENT, DETAILS),
            "r_loglog_normalized_ci"),
    Measure("r_loglog_disattenuated", "r disattenuated", R, (ALIGNMENT, EXPERIMENT),
            "r_loglog_disattenuated_ci", sampled_only=True),
    Measure("without_noise", "r without the model's noise", R, (DETAILS,)),
    Measure("r_raw", "r raw", R, (ALIGNMENT, DETAILS, EXPERIMENT), "r_raw_ci"),
    Measure("spearman", "Spearman", R, (ALIGNMENT, DETAILS, EXPERIMENT), "spearman_ci"),
    Measure("r_logmean", "r of log mean tokens", R, (DETAILS,), "r_logmean_ci"),
    Measure("reliability_model", "reliability, model", R, (ALIGNMENT, ARMS, DETAILS, EXPERIMENT),
            "reliability_model_ci", printed=False, sampled_only=True),
    Measure("reliability_human", "reliability, human", R, (ALIGNMENT, DETAILS),
            "reliability_human_ci", printed=False),
    Measure("r_reasons", "reasons at all", R, (ALIGNMENT,), "r_reasons_ci"),
    Measure("ceiling", "ceiling", R, (ALIGNMENT, DETAILS)),
    Measure("accuracy", "accuracy", SHARE, (ALIGNMENT, ARMS, DETAILS), "accuracy_ci",
            curve="status/accuracy", task_curve="status/{task}/accuracy"),
    Measure("mean_tokens", "tokens", TOKENS, (ALIGNMENT, ARMS, DETAILS), "mean_tokens_ci",
            title="Reasoning tokens",
            curve="cost/reasoning_tokens", task_curve="cost/{task}/reasoning_tokens"),
    Measure("geometric_mean_tokens", "tokens, geometric mean", TOKENS),
    Measure("inverse_efficiency", "tokens / accuracy", TOKENS, (EXPERIMENT,)),
    Measure("cap_rate", "capped", SHARE, (CHECKS, ARMS, DETAILS, EXPERIMENT),
            title="Responses cut at the cap", curve="status/cap_rate"),
    Measure("loop_rate", "looping", SHARE, (CHECKS, EXPERIMENT)),
    Measure("unparsed_rate", "unparsed", SHARE, (CHECKS, ARMS, DETAILS, EXPERIMENT),
            title="Responses without a readable answer", curve="status/unparsed_rate"),
    Measure("no_reasoning_rate", "no reasoning", SHARE, (CHECKS, ARMS, DETAILS, EXPERIMENT),
            title="Responses without reasoning", curve="status/no_reasoning_rate"),
    Measure("r_complete", "complete only", R, (CHECKS,), path="sensitivity/complete_only/r"),
    Measure("r_censored", "censored", R, (CHECKS,), path="sensitivity/censored/r"),
    Measure("r_correct", "correct only", R, (CHECKS,), path="sensitivity/correct_only/r"),
    Measure("r_characters", "characters", R, (CHECKS,), path="sensitivity/characters/r",
            printed=False),
    Measure("r_partial", "all partialled", R, (CHECKS, EXPERIMENT), path="partial/all/r"),
    Measure("wrong_minus_right", "wrong - right", NUMBER, (CHECKS, EXPERIMENT),
            path="wrong_minus_right/delta", sampled_only=True,
            title="Log tokens of wrong less right responses"),
)
MEANS = (
    Measure("mean_r_loglog", "mean of human tasks", R, (ALIGNMENT,), "mean_r_loglog_ci",
            title="Mean r over human tasks", curve="alignment/mean_r_loglog"),
    Measure("mean_r_loglog_analytic", "mean of analytic tasks", R, (ALIGNMENT,),
            "mean_r_loglog_analytic_ci"),
    Measure("mean_r_loglog_tasks", "mean, for other tasks", R, (ALIGNMENT,),
            "mean_r_loglog_ci_tasks"),
    Measure("cross_task_r", "across tasks", R, (ALIGNMENT,), "cross_task_r_range"),
)
PAIRS = (
    Measure("effort", "relative effort", RATIO, (EXPERIMENT,)),
    Measure("kl", "KL", NUMBER, (EXPERIMENT,)),
    Measure("similarity_start", "fingerprint, r with start", R, (EXPERIMENT,)),
    Measure("similarity_teacher", "fingerprint, r with teacher", R, (EXPERIMENT,)),
    Measure("slope", "slope on start", NUMBER, (EXPERIMENT,), curve="inflation/b", reference=1.0,
            title="b: slope of log tokens on those at step 0"),
    Measure("ratio", "ratio to start", RATIO, (EXPERIMENT,), curve="inflation/k", reference=1.0,
            title="k: tokens as a multiple of those at step 0"),
)
# fmt: on
CURVES = tuple(measure for measure in (*MEANS, *TASKS, *PAIRS) if measure.curve)
BY_KEY = {measure.key: measure for measure in (*TASKS, *MEANS, *PAIRS)}


def shown(place: str) -> list[Measure]:
    """Measures of a task or pair that are shown in a place."""
    return [measure for measure in (*TASKS, *PAIRS) if place in measure.places]
