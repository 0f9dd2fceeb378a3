"""Figures as they stand on the page: inline SVG, each with its numbers in words."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from handan.report.comparison import Group
from handan.report.pictures.drawing import Look, svg
from handan.report.pictures.gallery import KINDS
from handan.report.pictures.picture import Picture


class Shown(NamedTuple):
    """A figure on the page, and the task or arm it is about, if it is about one."""

    svg: Markup
    task: str | None
    arm: str | None


def shown_pictures(group: Group, looks: Mapping[str, Look]) -> dict[str, list[Shown]]:
    """{kind: figures} of those kinds that are not drawn by the reader's browser."""
    return {
        kind: [
            Shown(
                svg(picture.draw(), f"{kind}-figure-{place}", picture.title, picture.caption),
                picture.task,
                picture.arm,
            )
            for place, picture in enumerate(choose(group, KINDS[kind].pictures(group, looks)))
        ]
        for kind, choose in ON_THE_PAGE.items()
    }


def _all(group: Group, pictures: Sequence[Picture]) -> Sequence[Picture]:
    return pictures


def _human(group: Group, pictures: Sequence[Picture]) -> Sequence[Picture]:
    """Those of human tasks, or of the analytic ones of a group that has no others."""
    tasks = group.tasks("human")
    return [picture for picture in pictures if picture.task in tasks] if tasks else pictures


def _coldest(group: Group, pictures: Sequence[Picture]) -> Sequence[Picture]:
    """Of each arm those at T = 0, where lengths have no noise, or else those with sampling."""
    cold = {picture.arm for picture in pictures if "t0" in picture.parts}
    return [picture for picture in pictures if ("t0" in picture.parts) == (picture.arm in cold)]


ON_THE_PAGE: dict[str, Callable[[Group, Sequence[Picture]], Sequence[Picture]]] = {
    "slopes": _all,
    "inflation": _coldest,
    "distributions": _human,
    "status": _human,
    "similarity": _all,
}
