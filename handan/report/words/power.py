"""What the items at hand could have shown, in one short sentence."""

from collections.abc import Sequence

from handan.alignment.statistics.dependent import detectable_from_zero
from handan.report.data import Group
from handan.report.notation import correlation, percent


def power_of_contrast(group: Group) -> str | None:
    """Power of a contrast on the mean over the group's human tasks; None if it is not known.

    By normal theory, for a stronger model at the r that the study reports for teachers and for
    models as alike as the group's are on average.
    """
    tasks = group.tasks("human")
    wanted = None if len(tasks) > 1 else tasks[0] if tasks else None
    row = next((row for row in group.result["power"] if row["task"] == wanted), None)
    if row is None:
        return None
    found = []
    if row["detectable_80"] is not None:
        high = row["detectable_95"]
        surer = f" (95 % for {correlation(high)})" if high is not None else ""
        found.append(
            f"find a difference of {correlation(row['detectable_80'])} in 80 % of studies{surer}"
        )
    if row["power_equivalence"] is not None:
        bound = correlation(group.result["settings"]["equivalence_bound"], 1)
        share = percent(row["power_equivalence"])
        found.append(f"show two equal arms to be within ±{bound} in {share}")
    if not found:
        return None
    return f"Power: these {row['n']} items would {' and '.join(found)}."


def power_of_r(sizes: Sequence[int]) -> str | None:
    """The smallest mean r over tasks of these sizes that is told from 0 in 80 % of studies."""
    least = detectable_from_zero(sizes, 0.80)
    if least != least:
        return None
    return (
        f"Power: these {sum(sizes)} items would tell an r of {correlation(least)} from 0 in 80 % "
        "of studies."
    )
