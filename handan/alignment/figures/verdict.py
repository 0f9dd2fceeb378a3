"""What the intervals of a difference show, in words; no word goes beyond its interval."""

from collections.abc import Mapping, Sequence

from handan.alignment.output.render import decimal

# Accuracies further apart than this are another explanation of a difference in alignment.
ACCURACY_TOLERANCE = 0.1
# What the paper calls a student whose alignment is lower than that of the model in this role.
CLAIMS = {"teacher": "collapse", "base": "negative transfer"}
# .4 - .3 is a little more than .1 in floating point.
_ROUNDING = 1e-9


def verdict(
    ci: Sequence[float] | None, ci90: Sequence[float] | None, equivalence_bound: float
) -> str | None:
    """What the 95 % and the 90 % interval of a difference show; None without intervals."""
    if ci is None or ci90 is None:
        return None
    within = f"within ±{equivalence_bound:g}"
    equivalent = -equivalence_bound < ci90[0] and ci90[1] < equivalence_bound
    direction = "lower" if ci[1] < 0 else "higher" if ci[0] > 0 else None
    if direction:
        return f"{direction}, but {within}" if equivalent else direction
    return f"preserved {within}" if equivalent else "no evidence either way"


def in_words(contrast: Mapping, role_a: str, role_b: str) -> str:
    """One sentence on a contrast between models in roles such as 'student', 'teacher', 'base'.

    A student lower than its teacher is a 'collapse', a student lower than its base 'negative
    transfer', in either order of the pair. Both names claim that the allocation was lost, so both
    carry a caveat where the accuracies are unknown or differ by more than 0.1.
    """
    if role_b == "student" and role_a in CLAIMS:
        return in_words(_reversed(contrast), role_b, role_a)
    where = f"task {contrast['task']}" if contrast["task"] else f"mean of {contrast['mean']} tasks"
    subject = f"{role_a} {contrast['a']} against {role_b} {contrast['b']}, {where}"
    if contrast["verdict"] is None:
        return f"{subject}: no verdict ({contrast['withheld']}; n = {contrast['n']})"
    claimed = role_a == "student" and role_b in CLAIMS and contrast["verdict"] == "lower"
    low, high = contrast["ci"]
    return (
        f"{subject}: {CLAIMS[role_b] if claimed else contrast['verdict']} "
        f"(difference {decimal(contrast['difference'])}, 95 % interval {decimal(low)} to "
        f"{decimal(high)}, n = {contrast['n']}){_accuracy_caveat(contrast) if claimed else ''}"
    )


def _accuracy_caveat(contrast: Mapping) -> str:
    if contrast["accuracy_a"] is None or contrast["accuracy_b"] is None:
        return ", with accuracy unknown: perhaps a weaker model, not allocation alone"
    gain = contrast["accuracy_a"] - contrast["accuracy_b"]
    if gain < -ACCURACY_TOLERANCE - _ROUNDING:
        return f", with accuracy lower by {decimal(-gain)}: a weaker model, not allocation alone"
    if gain > ACCURACY_TOLERANCE + _ROUNDING:
        return f", with accuracy higher by {decimal(gain)}: not allocation alone"
    return ""


def _reversed(contrast: Mapping) -> dict:
    """The same contrast as b against a."""
    swapped = {"lower": "higher", "higher": "lower"}
    words = (contrast["verdict"] or "").split(",")
    words[0] = swapped.get(words[0], words[0])
    difference = contrast["difference"]
    return {
        **contrast,
        "a": contrast["b"],
        "b": contrast["a"],
        "accuracy_a": contrast["accuracy_b"],
        "accuracy_b": contrast["accuracy_a"],
        "difference": None if difference is None else -difference,
        "ci": contrast["ci"] and [-bound for bound in reversed(contrast["ci"])],
        "ci90": contrast["ci90"] and [-bound for bound in reversed(contrast["ci90"])],
        "verdict": ",".join(words) or None,
    }
