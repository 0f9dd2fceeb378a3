"""What the interactive charts are given: the same numbers as the tables, and nothing else."""

import numpy as np
import pytest
from report_runs import cost_rows, experiment, trained, write_run
from test_report import probes

from handan.files import append_jsonl
from handan.report.comparison import course, known_axes, read_comparison, swept
from handan.report.plot_page import charts
from handan.report.plot_styles import looks


def drawn(runs):
    """The study, its charts, and the rows of their tables as dicts."""
    study = read_comparison(runs)
    found, payload = charts(study, looks(study.arms))
    tables = {
        name: [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        for name, table in payload["data"].items()
    }
    return study, found, tables


@pytest.fixture(scope="module")
def experiment_charts(tmp_path_factory):
    return drawn(experiment(tmp_path_factory.mktemp("charts"), sft={"r": -0.5}))


def test_the_points_have_the_correlation_that_their_panel_says(experiment_charts):
    study, found, tables = experiment_charts
    panel = next(panel for panel in found["scatter"] if (panel.arm, panel.task) == ("sft", "alpha"))
    points = [row for row in tables["items"] if (row["arm"], row["task"]) == ("sft", "alpha")]
    log = np.log([(row["seconds"], row["tokens"]) for row in points])
    r = study.main.result["models"]["sft"]["tasks"]["alpha"]["r_loglog"]
    assert np.corrcoef(log.T)[0, 1] == pytest.approx(r, abs=1e-3)
    assert r < -0.3
    assert panel.caption.startswith(f"r = \N{MINUS SIGN}{abs(r):.2f}".replace("0.", "."))
    assert f"n = {len(points)} items" in panel.caption


def test_every_point_is_inside_the_axes(experiment_charts):
    _, found, tables = experiment_charts
    for panel in found["scatter"]:
        limits = panel.parameters
        for row in tables["items"]:
            if (row["arm"], row["task"]) == (panel.arm, panel.task):
                assert limits["x_low"] < row["seconds"] < limits["x_high"]
                assert limits["y_low"] < row["tokens"] < limits["y_high"]
        assert all(limits["y_low"] <= tick <= limits["y_high"] for tick in limits["y_ticks"])
        assert len(limits["y_ticks"]) >= 2


def test_residuals_are_those_of_the_fit_on_the_base(experiment_charts):
    study, _, tables = experiment_charts
    fit = next(
        row
        for row in study.main.result["inflation"]
        if (row["student"], row["base"], row["task"]) == ("sft", "base", "beta")
    )
    rows = [row for row in tables["items"] if (row["arm"], row["task"]) == ("sft", "beta")]
    residuals = np.log([row["residual"] for row in rows])
    assert abs(residuals.mean()) < 1e-3
    freedom = len(rows) - 2
    assert np.sqrt(residuals @ residuals / freedom) == pytest.approx(fit["residual_sd"], abs=1e-3)
    assert all(row["base_tokens"] is None for row in tables["items"] if row["arm"] == "base")


def test_the_course_is_that_of_the_sweep_where_the_trainer_measured_nothing(tmp_path):
    rows = cost_rows("grpo", 0.5, num_items=20)
    run = write_run(tmp_path / "grpo", rows, training=trained("grpo"), start="base weights")
    append_jsonl(run / "metrics.jsonl", [{"step": 40, "loss": 1.0}])
    (run / "sweep").mkdir()
    append_jsonl(run / "sweep" / "metrics.jsonl", probes())
    (arm,) = read_comparison([run]).arms
    assert swept(arm)
    assert [row["step"] for row in course(arm)] == [0, 10, 20]
    assert [row["share"] for row in course(arm)] == [0, 25, 50]
    append_jsonl(run / "metrics.jsonl", probes(steps=(0, 40)))
    (arm,) = read_comparison([run]).arms
    assert not swept(arm)
    assert [row["step"] for row in course(arm)] == [0, 40]


def test_an_axis_is_offered_if_all_arms_know_it(tmp_path):
    runs = experiment(tmp_path)
    spent = [row | {"budget/model_flops": 2.0 * row["step"]} for row in probes()]
    append_jsonl(tmp_path / "grpo" / "metrics.jsonl", spent)
    arms = [arm for arm in read_comparison(runs).arms if course(arm)]
    assert list(known_axes(arms)) == ["step", "share", "budget/model_flops"]
    append_jsonl(tmp_path / "sft" / "metrics.jsonl", probes())
    arms = [arm for arm in read_comparison(runs).arms if course(arm)]
    assert list(known_axes(arms)) == ["step", "share"]


def test_full_measures_are_a_second_series(tmp_path):
    runs = experiment(tmp_path)
    rows = [*probes(), {"step": 20, "full/alignment/mean_r_loglog": -0.3}]
    append_jsonl(tmp_path / "grpo" / "metrics.jsonl", rows)
    _, _, tables = drawn(runs)
    (last,) = [row for row in tables["courses"] if row["step"] == 20]
    assert last["full/alignment/mean_r_loglog"] == -0.3
    assert last["alignment/mean_r_loglog"] == pytest.approx(0.2)
    limits = [
        row["limit"]
        for row in tables["references"]
        if row["measure"] == "alignment/mean_r_loglog" and row["limit"] is not None
    ]
    assert min(limits) <= -0.4  # the band and the negative value are inside
