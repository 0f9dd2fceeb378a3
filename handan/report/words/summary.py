"""The answer in a few sentences, made from the contrasts with the base."""

from handan.report.data import Group
from handan.report.notation import bounds, correlation, listing, percent
from handan.report.words.confounds import FORMAT_EXPLAINS, oracles
from handan.report.words.verdicts import lost_by_correction, outcome

COMPARED = {
    "lower": "lower for",
    "higher": "higher for",
    "lower, but": "lower by less than {bound} for",
    "higher, but": "higher by less than {bound} for",
    "preserved": "the same within ±{bound} for",
    "open": "not shown to differ for",
    "none": "not comparable for",
}


def summary(group: Group) -> list[str]:
    """What training did to the arms with a known base: alignment with and without sampling, and
    accuracy; then reversals, and what the trace format brings by itself."""
    temperature = group.conditions.get("temperature")
    label = f"T = {temperature:g}" if isinstance(temperature, (int, float)) else "T unknown"
    bases = sorted({arm.base for arm in group.arms if arm.base})
    base = group.arm(bases[0]).noun if len(bases) == 1 else "the model each was trained from"
    said = []
    for condition, cold in ((f"With sampling ({label})", False), ("Without it (T = 0)", True)):
        outcomes: dict[str, list[str]] = {}
        for arm in (arm for arm in group.arms if arm.base):
            start = group.arm(arm.base)
            pair = (arm.greedy, start.greedy) if cold else (arm.name, start.name)
            row = group.contrast(*pair)
            if row is not None:
                words = COMPARED[outcome(row)]
                if lost_by_correction(row):
                    words = words.replace(" for", ", though not after correction, for")
                bound = correlation(row["equivalence_bound"], 1)
                outcomes.setdefault(words.format(bound=bound), []).append(arm.noun)
        if outcomes:
            parts = [f"{words} {listing(arms)}" for words, arms in outcomes.items()]
            said.append(
                f"{condition}, alignment with people, compared with {base}, is {'; '.join(parts)}."
            )
    if said:
        shown = [
            f"{arm.name} {percent(group.over_tasks(arm.name, 'accuracy'))}" for arm in group.arms
        ]
        said.append(f"Right answers on the human tasks: {listing(shown)}.")
    reversed_arms = [
        f"{arm.noun}, r = {correlation(figures['mean_r_loglog'])} {bounds(interval)}"
        for arm in group.arms
        if (figures := group.figures(arm.name))
        and (interval := figures["mean_r_loglog_ci"]) is not None
        and interval[1] < 0
    ]
    if reversed_arms:
        said.append(
            f"Reversed, with fewer tokens where people take longer: {'; '.join(reversed_arms)}."
        )
    formats = [correlation(r) for r in oracles(group).values() if r >= FORMAT_EXPLAINS]
    if formats:
        said.append(
            "Keep in mind that flawless traces in this format have lengths with r = "
            f"{listing(formats)} with people before any model runs: a high r here is difficulty "
            "written into the format and carried out, not discovered."
        )
    return said
