"""The interactive charts of the page: their data, once for all charts, and their panels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handan.report.charts_courses import course_data, course_panels
from handan.report.charts_items import inflation_panels, item_data, scatter_panels
from handan.report.charts_panel import Panel
from handan.report.charts_specifications import specifications
from handan.report.comparison import Comparison, course, known_axes
from handan.report.pictures.drawing import Look


@dataclass(frozen=True)
class Charts:
    """The panels of the page in the order of its sections.

    Attributes:
        scatter, inflation, course: panels.
        axes: {key: label} of the x axes that courses can be shown on.
        payload: everything that page.js needs, as JSON.
    """

    scatter: list[Panel]
    inflation: list[Panel]
    course: list[Panel]
    axes: Mapping[str, str]
    payload: Mapping[str, Any]


def charts(study: Comparison, looks: Mapping[str, Look]) -> Charts:
    """Item by item those of the largest group's arms, along training those of every arm."""
    trained = [arm for arm in study.arms if len(course(arm)) > 1]
    scatter, inflation = scatter_panels(study.main, looks), inflation_panels(study.main, looks)
    courses, axes = course_panels(study, trained), known_axes(trained)
    payload = {
        "specifications": specifications(looks),
        "data": item_data(study.main) | course_data(study, trained),
        "axes": axes,
        "panels": {
            panel.identity: panel.for_script() for panel in (*scatter, *inflation, *courses)
        },
    }
    return Charts(scatter, inflation, courses, axes, payload)
