"""All pictures of a study, and what is left out for want of something."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from handan.report.comparison import Comparison, Group
from handan.report.pictures import (
    curves,
    distributions,
    inflation,
    scatter,
    similarity,
    slopes,
    status,
)
from handan.report.pictures.drawing import Look, looks
from handan.report.pictures.picture import Picture


class Kind(NamedTuple):
    """A kind of picture: its name in words, who makes them, and why there may be none."""

    title: str
    pictures: Callable[[Group, Mapping[str, Look]], list[Picture]]
    needs: str


KINDS = {
    "slopes": Kind(
        "Before and after training", slopes.pictures, "no arm's base is among the arms of the group"
    ),
    "scatter": Kind("Tokens against time", scatter.pictures, "no item has a response that thinks"),
    "course": Kind(
        "Along training", curves.pictures, "no arm recorded probes at two steps of its training"
    ),
    "inflation": Kind(
        "Arm against base",
        inflation.pictures,
        "no arm and its base were measured on the same human task",
    ),
    "distributions": Kind("Effort", distributions.pictures, "no item has a response that thinks"),
    "status": Kind("Status", status.pictures, "there are no responses"),
    "similarity": Kind(
        "Fingerprints", similarity.pictures, "no two models' lengths vary over the same items"
    ),
}


class LeftOut(NamedTuple):
    """A kind of picture that a group has none of, and why."""

    kind: str
    group: str
    reason: str


def gallery(study: Comparison) -> tuple[list[Picture], list[LeftOut]]:
    """Every picture, group by group, and the kinds that are left out."""
    every_look = looks(study.arms)
    found: list[Picture] = []
    left_out: list[LeftOut] = []
    for place, group in enumerate(study.groups, start=1):
        for kind, (_, pictures, needs) in KINDS.items():
            of_kind = pictures(group, every_look)
            if not of_kind:
                left_out.append(LeftOut(kind, group_name(group), needs))
            found += (
                of_kind if place == 1 else [_of_group(picture, group, place) for picture in of_kind]
            )
    return found, left_out


def _of_group(picture: Picture, group: Group, place: int) -> Picture:
    """The picture, told from those of the first group: groups may share tasks, but not items."""
    title = f"{picture.title} ({group_name(group)})"
    return picture._replace(parts=(*picture.parts, f"group{place}"), title=title)


def group_name(group: Group) -> str:
    """What a group is called: the suite it was measured on."""
    return f"suite '{group.conditions.get('suite', 'without a name')}'"
