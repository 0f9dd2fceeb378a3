"""Figures for papers: they hold the numbers they should, and lie in files with safe names."""

import json
import re

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from report_runs import cost_rows, experiment, trained, write_run
from test_report import HOSTILE, probes

from handan.report.comparison import read_study
from handan.report.formatting import MINUS, correlation
from handan.report.pictures import status
from handan.report.pictures.drawing import svg
from handan.report.pictures.export import file_name, safe, save, write_figures
from handan.report.pictures.gallery import KINDS, gallery
from handan.report.pictures.picture import Picture


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A whole experiment: the student's lengths are reversed, and some of its answers are cut."""
    folder = tmp_path_factory.mktemp("study")
    runs = experiment(folder, sft={"r": -0.6, "cap_rate": 0.25})
    lines = "".join(json.dumps(row) + "\n" for row in budgeted(probes()))
    (folder / "grpo" / "metrics.jsonl").write_text(lines)
    return read_study(runs)


def budgeted(rows):
    return [
        row | {"budget/trained_tokens": 50.0 * row["step"], "inflation/k": 1.2}
        if "status/accuracy" in row
        else row
        for row in rows
    ]


def of_kind(study, kind, *parts):
    """The pictures of a kind, or the one with these parts."""
    found = [picture for picture in gallery(study)[0] if picture.kind == kind]
    if not parts:
        return found
    return next(picture for picture in found if picture.parts == parts)


def texts(figure):
    """Everything that is written in a figure."""
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title(loc="left") for axes in figure.axes]
    found += [axes.get_xlabel() + " " + axes.get_ylabel() for axes in figure.axes]
    found += [figure.get_suptitle(), *(text.get_text() for text in figure.texts)]
    return "\n".join(found)


def points(axes):
    """Coordinates of the points that are scattered in axes, shape (points, 2)."""
    return next(of for of in axes.collections if isinstance(of, PathCollection)).get_offsets()


def test_a_scatter_holds_every_item_its_line_and_a_band_around_it(study):
    picture = of_kind(study, "scatter", "alpha")
    figure = picture.draw()
    panel = next(of for of in figure.axes if of.get_title(loc="left").startswith("sft\n"))
    costs = study.main.costs["sft"]["alpha"]
    np.testing.assert_allclose(
        points(panel), np.exp(np.column_stack([costs.log_demand, costs.log_cost]))
    )
    slope, intercept = np.polyfit(costs.log_demand, costs.log_cost, 1)
    x, y = (np.log(values) for values in panel.lines[0].get_data())
    np.testing.assert_allclose(y, intercept + slope * x)
    band = np.log(panel.collections[1].get_paths()[0].vertices)
    for place, height in zip(x, y, strict=True):
        heights = band[np.isclose(band[:, 0], place), 1]
        assert heights.min() < height < heights.max()
    r = study.main.figures("sft")["tasks"]["alpha"]["r_loglog"]
    assert slope < 0 and r < -0.3
    for shown in (panel.get_title(loc="left"), picture.caption):
        assert f"r = {correlation(r)} [{MINUS}." in shown and "n = 120 items" in shown
    assert figure.axes[0].get_xlim() == figure.axes[-1].get_xlim()


def test_negative_values_are_negative_in_every_figure_that_has_them(study):
    figures = study.main.figures("sft")
    assert figures["mean_r_loglog"] < -0.3
    slope = of_kind(study, "slopes", *())[0]
    drawn = slope.draw()
    heights = [height for line in drawn.axes[0].lines for height in line.get_ydata()]
    assert min(heights) == pytest.approx(figures["mean_r_loglog"])
    assert drawn.axes[0].get_ylim()[0] < figures["mean_r_loglog_ci"][0]
    assert f"{correlation(figures['mean_r_loglog'])} sft" in texts(drawn)
    course = of_kind(study, "course", "alignment", "step").draw()
    assert course.axes[0].lines[0].get_ydata()[0] == pytest.approx(-0.2)
    assert course.axes[0].get_ylim()[0] < -0.4
    assert f"{MINUS}.2" in [tick.get_text() for tick in course.axes[0].get_yticklabels()]


def test_similarity_has_r_interval_and_sign_in_each_cell_on_a_symmetric_scale(study, tmp_path):
    opposed = [
        write_run(tmp_path / name, cost_rows(name, r, num_items=60, tasks=("alpha",), greedy=False))
        for name, r in (("one", 1.0), ("other", -1.0))
    ]
    other = read_study(opposed)
    row = other.main.result["study"]["similarity"][0]
    assert row["r"] < -0.9
    figure = of_kind(other, "similarity", "sampling").draw()
    cell = figure.axes[0].patches[0]
    assert cell.get_hatch()
    red, _, blue, _ = cell.get_facecolor()
    assert blue > red  # purple, not orange
    assert f"{correlation(row['r'])}\n[{MINUS}." in texts(figure)
    assert "n = 60 items" in texts(figure)
    assert figure.axes[1].get_ylim() == (-1, 1)
    pictured = of_kind(study, "similarity", "t0")
    assert len(pictured.draw().axes[0].patches) == 5 * 4 / 2
    assert "base (T=0) and grpo (T=0)" in pictured.caption


def test_inflation_has_identity_multiple_line_and_residuals(study):
    picture = of_kind(study, "inflation", "grpo", "t0", "alpha", "beta")
    figure = picture.draw()
    above, below = figure.axes[0], figure.axes[2]
    base, arm = (study.main.costs[f"{name} (T=0)"]["alpha"] for name in ("base", "grpo"))
    np.testing.assert_allclose(
        points(above), np.exp(np.column_stack([base.log_cost, arm.log_cost]))
    )
    fit = next(
        row
        for row in study.main.result["inflation"]
        if (row["student"], row["base"], row["task"]) == ("grpo (T=0)", "base (T=0)", "alpha")
    )
    lines = {line.get_label(): np.log(line.get_data()) for line in above.lines}
    identity, multiple = lines["as many (identity)"], lines["k times as many"]
    fitted = lines["least squares, slope b"]
    np.testing.assert_allclose(identity[0], identity[1])
    np.testing.assert_allclose(multiple[1] - multiple[0], np.log(fit["geometric_mean_ratio"]))
    np.testing.assert_allclose(np.diff(fitted[1]) / np.diff(fitted[0]), fit["b"])
    residuals = np.log(points(below)[:, 1])
    assert residuals.mean() == pytest.approx(0, abs=1e-9)
    assert residuals @ residuals / (len(residuals) - 2) == pytest.approx(fit["residual_sd"] ** 2)
    for shown in (above.get_title(loc="left"), picture.caption):
        assert f"b = {correlation(fit['b'])} [" in shown and "n = 120 items" in shown


def test_distributions_leave_zeros_off_the_axis_and_count_them(tmp_path):
    rows = cost_rows("one", 0.5, num_items=40, tasks=("alpha",), greedy=False)
    for row in rows[::4]:
        row["reasoning_tokens"] = 0
    one = read_study([write_run(tmp_path / "one", rows)])
    picture = of_kind(one, "distributions", "alpha")
    figure = picture.draw()
    assert "n = 160\n0 tokens: 25\N{NO-BREAK SPACE}%" in texts(figure)
    assert "25\N{NO-BREAK SPACE}% without reasoning, n = 160 responses" in picture.caption
    thinking = [row["reasoning_tokens"] for row in rows if row["reasoning_tokens"]]
    median = next(line for line in figure.axes[0].lines if line.get_marker() == "|")
    assert median.get_xdata()[0] == pytest.approx(np.median(thinking))
    assert len(figure.axes) == 1  # nothing was asked at T = 0


def test_each_response_has_one_status(study):
    costs = study.main.costs["sft"]["alpha"]
    found = status.shares(costs)
    assert sum(found.values()) == pytest.approx(1)
    cap_rate = study.main.figures("sft")["tasks"]["alpha"]["cap_rate"]
    assert 0.15 < found["cut at the cap"] == pytest.approx(cap_rate)
    picture = of_kind(study, "status", "alpha")
    figure = picture.draw()
    row = [arm.name for arm in study.main.arms].index("sft")
    bars = {bars.get_label(): bars.patches[row].get_width() for bars in figure.axes[0].containers}
    assert bars["cut at the cap"] == pytest.approx(100 * cap_rate)
    assert bars["complete"] == pytest.approx(100 * found["complete"])
    assert "n = 480 responses" in picture.caption


def test_a_status_that_is_not_recorded_is_no_complete_response(tmp_path):
    rows = [row | {"status": ""} for row in cost_rows("one", 0.5, num_items=10, tasks=("alpha",))]
    one = read_study([write_run(tmp_path / "one", rows)])
    found = status.shares(one.main.costs["one"]["alpha"])
    assert found["status not recorded"] == 1 and found["complete"] == 0


def test_courses_are_drawn_against_every_axis_that_was_recorded(study):
    assert [picture.parts for picture in of_kind(study, "course")] == [
        ("alignment", "step"),
        ("alignment", "trained_tokens"),
        ("measures", "step"),
    ]
    by_tokens = of_kind(study, "course", "alignment", "trained_tokens").draw()
    np.testing.assert_allclose(by_tokens.axes[0].lines[0].get_xdata(), [0, 500, 1000])
    assert by_tokens.axes[0].get_xlabel() == "trained tokens"
    assert (
        "0 throughout or not recorded: cut at the cap"
        in of_kind(study, "course", "measures", "step").caption
    )


def test_every_picture_says_how_many_and_is_described(study):
    pictures, left_out = gallery(study)
    assert {picture.kind for picture in pictures} == set(KINDS) and not left_out
    for picture in pictures:
        assert re.search(r"n = \d+ (items|responses)|Probed items: ", picture.caption)
        assert picture.title and "None" not in picture.caption + picture.title
    with_interval = {picture.kind for picture in pictures if "95 % interval" in picture.caption}
    assert with_interval >= {"slopes", "scatter", "course", "similarity"}


def test_arms_in_a_figure_can_be_hidden_by_the_page(study):
    picture = of_kind(study, "slopes")[0]
    markup = svg(picture.draw(), "x", picture.title, picture.caption)
    assert {"sft", "grpo", "base"} <= set(re.findall(r'data-arm="([^"]*)"', markup))


def test_files_of_the_same_runs_are_the_same_and_hold_no_date(study, tmp_path):
    chosen = [of_kind(study, "slopes")[0], of_kind(study, "status")[0]]
    for folder in ("a", "b"):
        save(chosen, tmp_path / folder, ("png", "pdf"))
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["slopes.pdf", "slopes.png", "status-alpha.pdf", "status-alpha.png"]
    for name in files:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        assert b"CreationDate" not in content and b"matplotlib" not in content.lower()
    assert b"/FontFile2" in (tmp_path / "a" / "slopes.pdf").read_bytes()  # TrueType


@pytest.mark.parametrize(
    "text",
    [
        *("../../etc/passwd", "..", ".", "", "a/b", "a\\b", "C:", "con\0", "\x1b[31m", "a b"),
        *("\N{GREEK SMALL LETTER ALPHA}", "\u202eabc", "x" * 300, "SFT", "a-b", HOSTILE),
    ],
)
def test_names_of_files_are_safe_for_any_name(text):
    assert re.fullmatch(r"[a-z0-9][a-z0-9_]{0,48}", safe(text))
    assert safe(text) != text


def test_names_of_files_are_kept_where_they_are_safe_and_never_collide():
    assert safe("sft_own") == "sft_own"
    alike = ["sft", "SFT", "sft!", "sft?", "s/ft", safe("SFT"), safe("sft!"), "x" * 41, "x" * 42]
    assert len({safe(text) for text in alike}) == len(alike)
    pairs = [("a", "b_c"), ("a_b", "c"), ("a-b", "c"), ("a", "b-c")]
    names = [file_name(Picture("scatter", parts, "", "", lambda: None)) for parts in pairs]
    assert len(set(names)) == len(pairs)


def test_the_index_has_every_figure_and_why_others_are_left_out(tmp_path):
    rows = cost_rows("lone", 0.5, num_items=8, tasks=("alpha",), greedy=False)
    lone = read_study([write_run(tmp_path / "lone", rows, arm="lone")])
    pictures = write_figures(lone, tmp_path / "figures")
    assert {picture.kind for picture in pictures} == {"scatter", "distributions", "status"}
    index = (tmp_path / "figures" / "figures.md").read_text()
    for picture in pictures:
        for ending in ("png", "pdf"):
            name = f"{file_name(picture)}.{ending}"
            assert f"({name})" in index and (tmp_path / "figures" / name).stat().st_size > 1000
    for reason in (
        "no arm's base is among the arms",
        "no arm recorded probes",
        "no arm and its base were measured",
        "no two models' lengths vary",
    ):
        assert reason in index


def test_runs_without_people_have_figures_against_analytic_cost(tmp_path):
    runs = []
    for arm, training in (("base", None), ("grpo", trained("grpo"))):
        rows = cost_rows(arm, 0.5, num_items=12, tasks=(), analytic=("gamma",))
        start = "base weights" if training else None
        runs.append(write_run(tmp_path / arm, rows, training=training, start=start))
    pictures, left_out = gallery(read_study(runs))
    assert {of.kind for of in left_out} == {"slopes", "course", "inflation"}
    scatter = next(picture for picture in pictures if picture.kind == "scatter")
    assert "analytic cost" in scatter.title and "people" not in scatter.caption
    assert "analytic cost" in texts(scatter.draw())


def test_constant_lengths_are_drawn_without_a_line(tmp_path):
    rows = cost_rows("base", 0.5, num_items=12, tasks=("alpha",))
    flat = [row | {"model": row["model"].replace("base", "flat")} for row in rows]
    for row in flat:
        row["reasoning_tokens"] = 36
    runs = [
        write_run(tmp_path / "flat", flat),
        write_run(tmp_path / "sft", rows_of(rows), training=trained("grpo"), start="flat weights"),
    ]
    for picture in gallery(read_study(runs))[0]:
        picture.draw().canvas.draw()


def rows_of(rows):
    return [row | {"model": row["model"].replace("base", "sft")} for row in rows]
