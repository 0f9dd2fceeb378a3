"""The verdict on a difference, as a value and in words; neither goes beyond the intervals."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from handan.alignment.output.render import decimal

# Accuracies further apart than this are another explanation of a difference in alignment.
ACCURACY_TOLERANCE = 0.1
# The paper's names for a student whose alignment is lower than that of the model in this role.
CLAIMS = {"teacher": "collapse", "base": "negative transfer"}
LOWER, HIGHER = "lower", "higher"
OPPOSITE = {LOWER: HIGHER, HIGHER: LOWER}
# After Holm's correction; a verdict rests on an uncorrected interval, so it may not survive.
SIGNIFICANT = 0.05
# .4 - .3 is a little more than .1 in floating point.
_ROUNDING = 1e-9


class Verdict(NamedTuple):
    """What the intervals of a difference a - b show.

    Attributes:
        direction: 'lower' or 'higher' where the 95 % interval is without 0, else None.
        within: whether the 90 % interval lies inside plus and minus the bound.
        bound: of equivalence.
        unit: of the bound: 'r', or 'z' for differences of Fisher's z.
        p, p_equivalence: of the difference and of the test of equivalence, after Holm's
            correction; None where they are in no family.
        withheld: why there is no verdict, None if there is one.
    """

    direction: str | None
    within: bool
    bound: float
    unit: str = "r"
    p: float | None = None
    p_equivalence: float | None = None
    withheld: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Verdict":
        """Read the verdict of a stored contrast: a row of ``alignment.json`` or of an experiment.

        Only its intervals, bound, p values and 'withheld' count, not the words beside them.
        """
        ci, ci90, bound = row["ci"], row["ci90"], row["equivalence_bound"]
        withheld = row.get("withheld")
        if ci is None or ci90 is None:
            withheld = withheld or "no interval"
        direction, within = None, False
        if not withheld:
            direction = LOWER if ci[1] < 0 else HIGHER if ci[0] > 0 else None
            within = -bound < ci90[0] and ci90[1] < bound
        return cls(
            direction,
            within,
            bound,
            row.get("equivalence_unit", "r"),
            row.get("p_holm"),
            row.get("p_equivalence_holm"),
            withheld,
        )

    @property
    def outcome(self) -> str:
        """'lower', 'higher', 'preserved', 'open', or 'none' where the verdict is withheld."""
        if self.withheld:
            return "none"
        return self.direction or ("preserved" if self.within else "open")

    @property
    def survives_correction(self) -> bool:
        """Whether what the intervals show, if anything, holds after Holm's correction.

        Differences and equivalences are families of their own.
        """
        if self.outcome in ("none", "open"):
            return True
        p = self.p if self.direction else self.p_equivalence
        return p is not None and p < SIGNIFICANT

    @property
    def words(self) -> str | None:
        """The verdict in words, such as 'lower, but within ±0.1'; None if it is withheld."""
        if self.withheld:
            return None
        within = f"within ±{self.bound:g}{' of z' if self.unit == 'z' else ''}"
        if self.direction:
            return f"{self.direction}, but {within}" if self.within else self.direction
        return f"preserved {within}" if self.within else "no evidence either way"


def in_words(contrast: Mapping[str, Any], role_a: str, role_b: str) -> str:
    """One sentence on a contrast between models in roles such as 'student', 'teacher', 'base'.

    A student lower than its teacher is a 'collapse', a student lower than its base 'negative
    transfer', in either order of the pair. Both names claim that the allocation was lost, so both
    carry a caveat where the accuracies are unknown or differ by more than 0.1.
    """
    if role_b == "student" and role_a in CLAIMS:
        return in_words(_reversed(contrast), role_b, role_a)
    verdict = Verdict.of(contrast)
    where = f"task {contrast['task']}" if contrast["task"] else f"mean of {contrast['mean']} tasks"
    subject = f"{role_a} {contrast['a']} against {role_b} {contrast['b']}, {where}"
    if verdict.withheld:
        return f"{subject}: no verdict ({verdict.withheld}; n = {contrast['n']})"
    claimed = role_a == "student" and role_b in CLAIMS and verdict.words == LOWER
    low, high = contrast["ci"]
    return (
        f"{subject}: {CLAIMS[role_b] if claimed else verdict.words} "
        f"(difference {decimal(contrast['difference'])}, 95 % interval {decimal(low)} to "
        f"{decimal(high)}, n = {contrast['n']}){_accuracy_caveat(contrast) if claimed else ''}"
    )


def _accuracy_caveat(contrast: Mapping[str, Any]) -> str:
    if contrast["accuracy_a"] is None or contrast["accuracy_b"] is None:
        return ", with accuracy unknown: perhaps a weaker model, not allocation alone"
    gain = contrast["accuracy_a"] - contrast["accuracy_b"]
    if gain < -ACCURACY_TOLERANCE - _ROUNDING:
        return f", with accuracy lower by {decimal(-gain)}: a weaker model, not allocation alone"
    if gain > ACCURACY_TOLERANCE + _ROUNDING:
        return f", with accuracy higher by {decimal(gain)}: not allocation alone"
    return ""


def _reversed(contrast: Mapping[str, Any]) -> dict[str, Any]:
    """The same contrast as b against a."""

    def turned(bounds: Sequence[float] | None) -> list[float] | None:
        return bounds and [-bound for bound in reversed(bounds)]

    difference = contrast["difference"]
    return {
        **contrast,
        "a": contrast["b"],
        "b": contrast["a"],
        "accuracy_a": contrast["accuracy_b"],
        "accuracy_b": contrast["accuracy_a"],
        "difference": None if difference is None else -difference,
        "ci": turned(contrast["ci"]),
        "ci90": turned(contrast["ci90"]),
    }
