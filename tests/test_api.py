"""handan from Python: tables of any kind, results that print, plot and become data frames."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from embedded import ROOT
from simulated import csv_text, study
from test_cli import run_directory

import handan
from handan.cli import command

FAST = {"bootstrap": 200}
ROWS = study({"teacher": 0.7, "base": 0.6, "student": 0.2}, tasks=("alpha", "beta"), num_items=30)


@pytest.fixture(scope="module")
def found():
    return handan.align(pd.DataFrame(ROWS), reference="teacher", **FAST)


def test_the_package_is_light_until_it_is_used():
    heavy = "[name for name in ('numpy', 'scipy', 'torch', 'pandas') if name in sys.modules]"
    command = [sys.executable, "-c", f"import sys, handan; print({heavy})"]
    assert subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout == "[]\n"
    assert {"align", "compare", "evaluate", "norms", "UserError"} <= set(dir(handan))
    with pytest.raises(AttributeError, match="no attribute 'aline'"):
        handan.aline  # noqa: B018


def test_a_file_a_frame_columns_and_records_are_one_table(found, tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text(csv_text(ROWS))
    frame = pd.DataFrame(ROWS)
    for costs in (path, str(path), frame.to_dict("list"), ROWS, frame.astype(object)):
        other = handan.align(costs, reference="teacher", **FAST)
        assert other.to_dict() == found.to_dict()


def test_it_says_what_the_command_says(found, tmp_path, capsys):
    path, output = tmp_path / "costs.csv", tmp_path / "out.json"
    path.write_text(csv_text(ROWS))
    words = ["--reference", "teacher", "--bootstrap", "200", "--output", str(output)]
    command(["align", str(path), *words])
    assert capsys.readouterr().out.startswith(f"{found}\n")
    assert json.loads(output.read_text()) == found.to_dict()


def test_missing_values_are_empty_cells():
    frame = pd.DataFrame(ROWS)
    frame["prompt_tokens"] = pd.array([None] * len(frame), dtype="Int64")
    frame["analytic_cost"], frame["step"], frame["norms"] = float("nan"), None, pd.NaT
    assert handan.align(frame, **FAST).models == handan.align(ROWS, **FAST).models


BAD = {
    "a number": (5, "row 1 of the table is no mapping"),
    "rows without columns": ([[1, 2]], "row 1 of the table is no mapping"),
    "nothing": ([], "the table: no rows"),
    "text for a column": ({"task": "alpha"}, "column 'task' is no list"),
    "columns of two lengths": ({"task": ["a", "b"], "item": ["1"]}, "'item' is no list as long"),
    "no columns of ours": ([{"a": 1}], "the table: no column task, item, reasoning_tokens"),
    "a column twice": (pd.DataFrame([[1, 2]], columns=["task", "task"]), "'task' appears twice"),
    "a missing time": ([*ROWS[:6], ROWS[6] | {"human_rt_s": float("nan")}], "row 7 of the table: "),
    "an infinite count": ([ROWS[0] | {"reasoning_tokens": float("inf")}], "row 1 of the table: "),
}


@pytest.mark.parametrize(("costs", "sentence"), BAD.values(), ids=BAD)
def test_a_wrong_table_is_one_sentence(costs, sentence):
    with pytest.raises(handan.UserError, match=sentence) as caught:
        handan.align(costs)
    assert "\n" not in str(caught.value)


def test_a_result_becomes_frames_with_intervals(found):
    frame = found.to_frame("contrasts")
    row = frame[(frame["a"] == "student") & (frame["on"] == "mean of human tasks")].iloc[0]
    stored = next(of for of in found.contrasts if of["a"] == "student" and of["mean"] == "human")
    assert row["difference"] == stored["difference"]
    assert [row["difference low"], row["difference high"]] == stored["ci"]
    assert len(found.to_frame()) == 9  # three models on two tasks, and their means
    with pytest.raises(handan.UserError, match="no table 'x'; there are: alignment, contrasts"):
        found.to_frame("x")


def test_a_notebook_shows_text_of_others_as_text():
    evil = "<img src=x onerror=alert(1)>"
    rows = study({evil: 0.5, "other": 0.2}, tasks=("<b>task",))
    result = handan.align(rows, **FAST)
    for shown in (result._repr_html_(), result.plot()._repr_html_()):
        assert "<img src=x" not in shown and "<b>" not in shown
        assert "&lt;b&gt;task" in shown


def test_verdicts_name_roles_where_they_are_known(found):
    assert found.verdicts[1].startswith("student against teacher, mean of human tasks: lower")
    pairs = [{"student": "student", "base": "base", "teacher": "teacher"}]
    paired = handan.align(ROWS, pairs=pairs, **FAST)
    assert "student student against teacher teacher" in paired.verdicts[0]
    assert {"slopes", "inflation"} == {of.kind for of in _plots(paired, "slopes", "inflation")}


def _plots(result, *kinds):
    return [plot for kind in kinds for plot in result.plot(kind).plots]


def test_charts_are_of_a_task_or_say_what_is_missing(found, tmp_path):
    charts = found.plot("scatter", task="beta")
    assert [of.task for of in charts.plots] == ["beta"]
    assert "student r = " in str(charts) and charts.specs[0]["config"]
    charts.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".pdf"}
    for kind, why in {"slopes": "no arm's base", "pie": "no kind of chart 'pie'"}.items():
        with pytest.raises(handan.UserError, match=why):
            found.plot(kind)
    with pytest.raises(handan.UserError, match="is of task 'gamma'"):
        found.plot(task="gamma")


def test_runs_and_costs_by_name_are_compared(tmp_path):
    first = run_directory(tmp_path / "run-a", 0.8)
    second = run_directory(tmp_path / "run-b", 0.2, arm="sft")
    runs = handan.compare([first, str(second)], reference=first, **FAST)
    assert list(runs.models) == ["run-a", "sft"]
    assert runs.plot("status").plots
    costs = {"run-a": first / "costs.csv", "sft": pd.read_csv(second / "costs.csv")}
    named = handan.compare(costs, reference="run-a", **FAST)
    assert named.models == runs.models and named.contrasts == runs.contrasts
    with pytest.raises(handan.UserError, match="is one run; give a list"):
        handan.compare(first)
    with pytest.raises(handan.UserError, match="sft: row 2 of the table: same model"):
        handan.compare({"sft": ROWS[:1] * 2})


def test_norms_become_a_frame():
    norms = handan.norms.load("binary_addition")
    frame = norms.to_frame()
    assert len(frame) == len(norms.items)
    assert frame["mean_rt_s"].iloc[0] == next(iter(norms.items.values())).mean_rt_s
