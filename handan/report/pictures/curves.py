"""Figures of the course of training, from what probes wrote to metrics.jsonl."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from handan.report.course import course
from handan.report.notation import correlation
from handan.report.pictures.drawing import INK, MUTED, Look, new_figure, style
from handan.report.roles import Arm


def curves(
    arms: Sequence[Arm],
    looks: Mapping[str, Look],
    x: str,
    measure: str,
    labels: tuple[str, str, str],
    reference: float | None = None,
) -> Figure:
    """One probed measure of all arms along training, with its band where one was recorded.

    Args:
        arms: those with a course, see ``courses``.
        looks: of the arms.
        x: a key of ``course``: 'step', 'share' (of the steps, in percent) or 'tokens'.
        measure: a key of metrics.jsonl.
        labels: title, x axis, y axis.
        reference: height of the human ceiling.
    """
    with style():
        figure = new_figure(3.5, 2.7)
        axes = figure.subplots()
        lowest = 0.0
        for arm in arms:
            look = looks[arm.name]
            rows = [row for row in course(arm) if row.get(measure) is not None and x in row]
            at = [row[x] for row in rows]
            axes.plot(
                at,
                [row[measure] for row in rows],
                color=look.light,
                linestyle=look.line,
                marker=look.marker,
                markersize=4,
                linewidth=1.5,
            )
            band = [(row.get(f"{measure}_ci_low"), row.get(f"{measure}_ci_high")) for row in rows]
            if band and all(low is not None and high is not None for low, high in band):
                low, high = zip(*band, strict=True)
                axes.fill_between(at, low, high, color=look.light, alpha=0.16, linewidth=0)
                lowest = min(lowest, *low)
            lowest = min([lowest, *(row[measure] for row in rows)])
        if reference is not None:
            axes.axhline(reference, color=INK, linestyle=":", linewidth=1)
            right = axes.get_xlim()[1]
            text = f"ceiling {correlation(reference)} "
            axes.text(right, reference, text, fontsize=7.5, ha="right", va="bottom")
        axes.set_title(labels[0])
        axes.set_xlabel(labels[1])
        axes.set_ylabel(labels[2])
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        if measure.endswith("r_loglog") or measure.endswith("accuracy"):
            axes.set_ylim(lowest - 0.03, 1.03)
            axes.yaxis.set_major_locator(MultipleLocator(0.2))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: correlation(value, 1)))
        else:
            axes.set_ylim(bottom=0)
        if lowest < 0:
            axes.axhline(0, color=MUTED, linewidth=0.8)
    return figure


def _short(value: float, _: Any = None) -> str:
    """'60', '400 k', '1.2 M'."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
