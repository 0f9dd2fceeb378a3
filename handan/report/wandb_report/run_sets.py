"""The W&B runs of the arms: how each is found, and how it looks in every panel."""

from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr
from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import internal

from handan.records import content_hash
from handan.report.data import Study
from handan.report.notation import plain
from handan.report.pictures.drawing import looks
from handan.report.roles import Arm
from handan.report.wandb_report import Address

# Lines have no markers in W&B, so arms differ in dashes, too; dotted lines are bounds.
MARKS = ("solid", "dashed", "dotdash", "dotdotdash", "points")
BOUND_MARK = "dotted"


@dataclass(frozen=True)
class TrackedArm:
    """An arm that has a run in W&B.

    Attributes:
        arm: the arm.
        run_id: of its run; None if run.json does not have it.
        section, key, value: what W&B is asked for to find the run.
        address: where the run is.
        colour, mark: of its lines.
    """

    arm: Arm
    run_id: str | None
    section: str
    key: str
    value: str
    address: Address
    colour: str
    mark: str

    @property
    def label(self) -> str:
        """Its name in legends and run sets."""
        return label(self.arm.name)

    def run_set(self, placed: bool) -> wr.Runset:
        """The run set of this arm alone.

        Args:
            placed: names entity and project, which W&B looks up as soon as the report is built;
                without them a run set means the project of its report.
        """
        asked = expr.Filters(
            op="=", key=expr.Key(section=self.section, name=self.key), value=self.value
        )
        model = internal.Runset(
            id=content_hash(["run set", self.arm.name])[:11],
            name=self.label,
            filters=expr.filters_tree_to_v2(expr.Filters(op="AND", filters=[asked])),
            project=self.project() if placed else None,
        )
        # A filter given as an expression is parsed as code, which a name of others must not be.
        return wr.Runset._from_model(model)

    def project(self) -> internal.Project:
        """Its place as the spec has it."""
        return internal.Project(name=self.address.project, entity_name=self.address.entity)


def label(name: object) -> str:
    """A name where W&B would replace '${...}' and '[[...]]', as in legends: it stays a name."""
    return plain(name).replace("${", "$ {").replace("[[", "[ [")


def tracked_arms(study: Study, address: Address) -> list[TrackedArm]:
    """The arms with a run in W&B, in the study's order.

    An arm is found by the id that run.json has of its run, or else by the run's name. A trained
    arm without either is looked for by its name in the configs of runs.
    """
    found: list[TrackedArm] = []
    every_look = looks(study.arms)
    for arm in study.arms:
        if not arm.training:
            continue
        recorded = arm.training.get("wandb")
        run: dict[str, Any] = recorded if isinstance(recorded, dict) else {}
        if run.get("id"):
            asked = ("run", "name", str(run["id"]))
        elif run.get("name"):
            asked = ("run", "displayName", str(run["name"]))
        else:
            asked = ("config", "arm", arm.name)
        found.append(
            TrackedArm(
                arm,
                str(run["id"]) if run.get("id") else None,
                *asked,
                Address(run.get("entity") or address.entity, run.get("project") or address.project),
                every_look[arm.name].light,
                MARKS[len(found) % len(MARKS)],
            )
        )
    return found
