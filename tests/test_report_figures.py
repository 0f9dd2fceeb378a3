"""Figures for papers: they hold the numbers they should, and lie in files with safe names."""

import json
import re

import numpy as np
import pytest
from report_runs import cost_rows, experiment, trained, write_run
from test_report import HOSTILE, probes

from handan.formatting import MINUS, correlation
from handan.report.comparison import read_comparison
from handan.report.plot_styles import inline_svg, logarithmic, svg
from handan.report.plots import KINDS, Plot, file_name, gallery, safe, save, shares, write_figures

NEED_A_BASE = ("slopes", "course", "inflation")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A whole experiment: the student's lengths are reversed, and some of its answers are cut."""
    folder = tmp_path_factory.mktemp("study")
    runs = experiment(folder, sft={"r": -0.6, "cap_rate": 0.25})
    lines = "".join(json.dumps(row) + "\n" for row in budgeted(probes()))
    (folder / "grpo" / "metrics.jsonl").write_text(lines)
    return read_comparison(runs)


def budgeted(rows):
    return [
        row | {"budget/trained_tokens": 50.0 * row["step"], "inflation/k": 1.2}
        if "status/accuracy" in row
        else row
        for row in rows
    ]


def of_kind(study, kind, *parts):
    """The plots of a kind, or the one with these parts."""
    found = [plot for plot in gallery(study)[0] if plot.kind == kind]
    if not parts:
        return found
    return next(plot for plot in found if plot.parts == parts)


def rows_of(plot, *fields, panel=0):
    """Values of some fields in the rows of a panel that have them all, shape (rows, fields)."""
    rows = [row for row in plot.spec["data"]["values"] if row.get("panel", 0) == panel]
    return np.array([[row[f] for f in fields] for row in rows if None not in map(row.get, fields)])


def panel_of(plot, title):
    """The place of the panel whose title begins so, and its title."""
    found = re.search(r"\[\[.*?\]\]", json.dumps(plot.spec))[0].replace('\\"', '"')
    titles = json.loads(found.encode().decode("unicode_escape"))
    return next((at, lines) for at, lines in enumerate(titles) if lines[0] == title)


def texts(plot):
    """Everything that is written in a plot, a line for each text."""
    return "\n".join(re.findall(r"<(?:text|tspan)[^>]*>([^<]+)", svg(plot.spec)))


def test_a_scatter_holds_every_item_its_line_and_a_band_around_it(study):
    plot = of_kind(study, "scatter", "alpha")
    panel, title = panel_of(plot, "sft")
    costs = study.main.costs["sft"]["alpha"]
    points = np.exp(np.column_stack([costs.log_difficulty, costs.log_cost]))
    np.testing.assert_allclose(rows_of(plot, "seconds", "tokens", panel=panel), points, rtol=1e-4)
    slope, intercept = np.polyfit(costs.log_difficulty, costs.log_cost, 1)
    fields = ("seconds", "fitted", "low", "high")
    x, y, low, high = np.log(rows_of(plot, *fields, panel=panel)).T
    np.testing.assert_allclose(y, intercept + slope * x, atol=1e-4)
    assert ((low < y) & (y < high)).all()
    r = study.main.figures("sft")["tasks"]["alpha"]["r_loglog"]
    assert slope < 0 and r < -0.3
    for shown in (" ".join(title), plot.caption):
        assert f"r = {correlation(r)} [{MINUS}." in shown and "n = 120 items" in shown
    assert f"r = {correlation(r)} [{MINUS}." in texts(plot)


def test_negative_values_are_negative_in_every_plot_that_has_them(study):
    figures = study.main.figures("sft")
    assert figures["mean_r_loglog"] < -0.3
    slope = of_kind(study, "slopes")[0]
    heights = rows_of(slope, "r", "end")[:, 0]
    assert min(heights) == pytest.approx(figures["mean_r_loglog"], abs=1e-4)
    assert rows_of(slope, "low").min() == pytest.approx(figures["mean_r_loglog_ci"][0], abs=1e-4)
    assert f"{correlation(figures['mean_r_loglog'])} sft" in texts(slope)
    course = of_kind(study, "course", "alignment", "step")
    assert rows_of(course, "value")[0] == pytest.approx(-0.2)
    assert rows_of(course, "limit").min() < -0.35  # of its interval
    assert f"\n{MINUS}.2\n" in texts(course)


def test_similarity_has_r_interval_and_sign_in_each_cell_on_a_symmetric_scale(study, tmp_path):
    opposed = [
        write_run(tmp_path / name, cost_rows(name, r, num_items=60, tasks=("alpha",), greedy=False))
        for name, r in (("one", 1.0), ("other", -1.0))
    ]
    other = read_comparison(opposed)
    row = other.main.result["study"]["similarity"][0]
    assert row["r"] < -0.9
    plot = of_kind(other, "similarity", "sampling")
    (cell,) = re.findall(r'<path [^>]*fill="rgb\((\d+), (\d+), (\d+)\)', svg(plot.spec))
    red, _, blue = map(int, cell)
    assert blue > red  # purple, not orange
    shown = texts(plot)
    assert f"{correlation(row['r'])}\n[{MINUS}." in shown and "n = 60 items" in shown
    assert f"\n{MINUS}1\n" in shown and "\n1\n" in shown  # ends of the scale of colours
    plotd = of_kind(study, "similarity", "t0")
    assert len(rows_of(plotd, "r")) == 5 * 4 / 2
    assert "base (T=0) and grpo (T=0)" in plotd.caption


def test_inflation_has_identity_multiple_line_and_residuals(study):
    plot = of_kind(study, "inflation", "grpo", "t0", "alpha", "beta")
    base, arm = (study.main.costs[f"{name} (T=0)"]["alpha"] for name in ("base", "grpo"))
    points = np.exp(np.column_stack([base.log_cost, arm.log_cost]))
    np.testing.assert_allclose(rows_of(plot, "base_tokens", "tokens"), points, rtol=1e-4)
    fit = next(
        row
        for row in study.main.result["inflation"]
        if (row["student"], row["base"], row["task"]) == ("grpo (T=0)", "base (T=0)", "alpha")
    )
    rows = [row for row in plot.spec["data"]["values"] if row["panel"] == 0 and row.get("line")]
    lines = {
        kind: np.log([(row["base_tokens"], row["fitted"]) for row in rows if row["line"] == kind])
        for kind in ("same", "k", "fit")
    }
    x, y = lines["same"].T
    np.testing.assert_allclose(x, y)
    x, y = lines["k"].T
    np.testing.assert_allclose(y - x, np.log(fit["geometric_mean_ratio"]), atol=1e-4)
    x, y = lines["fit"].T
    np.testing.assert_allclose((y[-1] - y[0]) / (x[-1] - x[0]), fit["b"], atol=1e-3)
    residuals = np.log(rows_of(plot, "residual")[:, 0])
    assert residuals.mean() == pytest.approx(0, abs=1e-4)
    variance = residuals @ residuals / (len(residuals) - 2)
    assert variance == pytest.approx(fit["residual_sd"] ** 2, abs=1e-4)
    for shown in (texts(plot), plot.caption):
        assert f"b = {correlation(fit['b'])} [" in shown and "n = 120 items" in shown
    assert "least squares, slope b, 95 % band" in texts(plot)


def test_distributions_leave_zeros_off_the_axis_and_count_them(tmp_path):
    rows = cost_rows("one", 0.5, num_items=40, tasks=("alpha",), greedy=False)
    for row in rows[::4]:
        row["reasoning_tokens"] = 0
    one = read_comparison([write_run(tmp_path / "one", rows)])
    plot = of_kind(one, "distributions", "alpha")
    assert "n = 160\n0 tokens: 25\N{NO-BREAK SPACE}%" in texts(plot)
    assert "25\N{NO-BREAK SPACE}% without reasoning, n = 160 responses" in plot.caption
    thinking = [row["reasoning_tokens"] for row in rows if row["reasoning_tokens"]]
    assert rows_of(plot, "median") == pytest.approx(np.median(thinking), rel=1e-4)
    assert not len(rows_of(plot, "row", panel=1))  # nothing was asked at T = 0


def test_each_response_has_one_status(study):
    costs = study.main.costs["sft"]["alpha"]
    found = shares(costs)
    assert sum(found.values()) == pytest.approx(1)
    cap_rate = study.main.figures("sft")["tasks"]["alpha"]["cap_rate"]
    assert 0.15 < found["cut at the cap"] == pytest.approx(cap_rate)
    plot = of_kind(study, "status", "alpha")
    bars = {
        row["status"]: row["end"] - row["share"]
        for row in plot.spec["data"]["values"]
        if row["arm"] == "sft" and row["panel"] == 0 and "status" in row
    }
    assert bars["cut at the cap"] == pytest.approx(100 * cap_rate, rel=1e-3)
    assert bars["complete"] == pytest.approx(100 * found["complete"], rel=1e-3)
    assert "n = 480 responses" in plot.caption


def test_a_status_that_is_not_recorded_is_no_complete_response(tmp_path):
    rows = [row | {"status": ""} for row in cost_rows("one", 0.5, num_items=10, tasks=("alpha",))]
    one = read_comparison([write_run(tmp_path / "one", rows)])
    found = shares(one.main.costs["one"]["alpha"])
    assert found["status not recorded"] == 1 and found["complete"] == 0


def test_courses_are_drawn_against_every_axis_that_was_recorded(study):
    assert [plot.parts for plot in of_kind(study, "course")] == [
        ("alignment", "step"),
        ("alignment", "trained_tokens"),
        ("measures", "step"),
    ]
    by_tokens = of_kind(study, "course", "alignment", "trained_tokens")
    np.testing.assert_allclose(rows_of(by_tokens, "at")[:, 0], [0, 500, 1000])
    assert "trained tokens" in texts(by_tokens)
    left_out = "0 throughout or not recorded: Responses cut at the cap"
    assert left_out in of_kind(study, "course", "measures", "step").caption


def test_every_plot_says_how_many_and_is_described(study):
    plots, left_out = gallery(study)
    assert {plot.kind for plot in plots} == set(KINDS) and not left_out
    for plot in plots:
        assert re.search(r"n = \d+ (items|responses)|Probed items: ", plot.caption)
        assert plot.title and "None" not in plot.caption + plot.title
    with_interval = {plot.kind for plot in plots if "95 % interval" in plot.caption}
    assert with_interval >= {"slopes", "scatter", "course", "similarity"}


def test_arms_in_a_plot_can_be_hidden_by_the_page(study):
    plot = of_kind(study, "slopes")[0]
    markup = inline_svg(plot.spec, "x", plot.title, plot.caption)
    assert {"sft", "grpo", "base"} <= set(re.findall(r'data-arm="([^"]*)"', markup))


@pytest.mark.parametrize("kind", KINDS)
def test_plots_are_as_wide_as_the_columns_of_a_paper_at_most(study, kind):
    drawn = svg(of_kind(study, kind)[0].spec)
    assert float(re.search(r'width="([\d.]+)"', drawn)[1]) < 1.05 * 504


@pytest.mark.parametrize(
    "values", [(3, 7), (20, 110), (1, 10_000), (36, 36), (0.02, 0.9), (995, 1005), (1e-3, 1e9)]
)
def test_a_logarithmic_axis_holds_its_values_and_has_some_round_ticks(values):
    axis = logarithmic(values)
    assert axis.low < min(values) <= max(values) < axis.high
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    assert 4 <= len(axis.ticks) <= 13
    assert all(float(f"{tick:.4g}") == pytest.approx(tick) for tick in axis.ticks)


def test_files_of_the_same_runs_are_the_same_and_hold_no_date(study, tmp_path):
    chosen = [of_kind(study, "slopes")[0], of_kind(study, "status")[0]]
    for folder in ("a", "b"):
        save(chosen, tmp_path / folder, ("png", "pdf"))
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["slopes.pdf", "slopes.png", "status-alpha.pdf", "status-alpha.png"]
    for name in files:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        assert b"CreationDate" not in content
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
    names = [file_name(Plot("scatter", parts, "", "", {})) for parts in pairs]
    assert len(set(names)) == len(pairs)


def test_the_index_has_every_figure_and_why_others_are_left_out(tmp_path):
    rows = cost_rows("lone", 0.5, num_items=8, tasks=("alpha",), greedy=False)
    lone = read_comparison([write_run(tmp_path / "lone", rows, arm="lone")])
    plots = write_figures(lone, tmp_path / "figures")
    assert {plot.kind for plot in plots} == {"scatter", "distributions", "status"}
    index = (tmp_path / "figures" / "figures.md").read_text()
    for plot in plots:
        for ending in ("png", "pdf"):
            name = f"{file_name(plot)}.{ending}"
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
    plots, left_out = gallery(read_comparison(runs))
    assert {kind for kind, *_ in left_out} == {KINDS[kind].title for kind in NEED_A_BASE}
    scatter = next(plot for plot in plots if plot.kind == "scatter")
    assert "analytic cost" in scatter.title and "people" not in scatter.caption
    assert "analytic cost" in texts(scatter)


def test_constant_lengths_are_drawn_without_a_line(tmp_path):
    rows = cost_rows("base", 0.5, num_items=12, tasks=("alpha",))
    flat = [row | {"model": row["model"].replace("base", "flat")} for row in rows]
    for row in flat:
        row["reasoning_tokens"] = 36
    student = [row | {"model": row["model"].replace("base", "sft")} for row in rows]
    runs = [
        write_run(tmp_path / "flat", flat),
        write_run(tmp_path / "sft", student, training=trained("grpo"), start="flat weights"),
    ]
    study = read_comparison(runs)
    for plot in gallery(study)[0]:
        assert svg(plot.spec)
    assert not len(rows_of(of_kind(study, "inflation")[0], "low"))
