"""Options that would change nothing: each is refused or said in one sentence."""

import json

import pytest
from embedded import ROOT
from simulated import csv_text, study
from test_cli import COMPARABLE

from handan.cli import command
from handan.errors import UserError
from handan.publish import publish

FAST = ["--bootstrap", "100"]


@pytest.fixture
def costs(tmp_path):
    """A table of so many models; few items have no interval, and analytic costs no people."""

    def make(models=1, num_items=30, demand="human_rt_s"):
        names = [f"m{number}" for number in range(models)]
        rows = study(dict.fromkeys(names, 0.5), tasks=("alpha",), num_items=num_items)
        path = tmp_path / "costs.csv"
        path.write_text(csv_text(rows).replace("human_rt_s", demand))
        return path

    return make


def notes_of(path, *words):
    output = path.with_name("out.json")
    command(["align", str(path), *words, "--output", str(output)])
    return json.loads(output.read_text())["notes"]


CASES = [
    (1, {}, ["--reference", "m0"], "reference changes nothing: no two models have a task"),
    (2, {}, ["--reference", "m0"], None),
    (2, {}, ["--cost_rule", "span"], "cost_rule changes nothing: all costs are by rule 'span'"),
    (1, {"demand": "analytic_cost"}, ["--power"], "power changes nothing: it is of tasks with"),
    (1, {}, ["--power"], None),
    (
        *(1, {"demand": "analytic_cost"}, ["--equivalence_bound", "0.2"]),
        "equivalence_bound changes nothing: nothing is compared",
    ),
    (2, {}, ["--equivalence_bound", "0.2"], None),
    (1, {"num_items": 4}, ["--bootstrap", "200"], "bootstrap changes nothing: no task has an"),
    (1, {"num_items": 4}, ["--seed", "3"], "seed changes nothing: no task has an interval"),
    (1, {}, ["--seed", "3", "--bootstrap", "200"], None),
]


@pytest.mark.parametrize(("models", "table", "words", "sentence"), CASES)
def test_an_option_that_changes_nothing_is_said(costs, models, table, words, sentence):
    found = [note for note in notes_of(costs(models, **table), *words) if "changes nothing" in note]
    assert len(found) == (sentence is not None)
    assert sentence is None or found[0].startswith(sentence)


def test_a_tolerance_without_budgets_to_compare_is_said(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "costs.csv").write_text(csv_text(study({"m": 0.5})))
    (run / "run.json").write_text(json.dumps({"comparability": COMPARABLE}))
    command(["compare", str(run), "--budget_tolerance", "0.3", *FAST])
    assert "budget_tolerance changes nothing: no budgets are compared" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--output", "--tables"])
def test_an_input_is_not_written_over(costs, option):
    path = costs()
    before = path.read_text()
    with pytest.raises(UserError, match="is one of the inputs"):
        command(["align", str(path), option, str(path), *FAST])
    assert path.read_text() == before


def test_all_trials_without_a_scored_one_is_said(tmp_path, capsys):
    rows = [f"t,i{i},p{p},{1 + i / 10 + p / 7:.3f}" for p in range(6) for i in range(9)]
    path = tmp_path / "trials.csv"
    path.write_text("\n".join(["task,item,participant,rt_s", *rows]) + "\n")
    words = ["norms", "compute", str(path), "--source", "lab", "--output", str(tmp_path / "o")]
    command([*words, "--all_trials", "--splits", "9"])
    assert "--all_trials changes nothing: no trial is scored" in capsys.readouterr().out


def test_a_private_repository_needs_an_upload(tmp_path):
    with pytest.raises(UserError, match="--private is of a repository that --push_to_hub makes"):
        publish(tmp_path, None, push=False, private=True)


def test_a_tolerance_of_budgets_needs_two_runs(tmp_path):
    words = ["report", "run", "--output", str(tmp_path / "r.html"), "--budget_tolerance", "0.3"]
    with pytest.raises(UserError, match="--budget_tolerance is of runs that are compared"):
        command(words)


EXPERIMENT = str(ROOT / "recipes/experiments/tiny_pair.yaml")
STUDY = str(ROOT / "recipes/studies/mimicry.yaml")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--dry_run", "--list"], "--dry_run and --list print different things"),
        (["--dry_run", "--only", "base"], "--only chooses what is run, and --dry_run and"),
        (["--list", "--only", "base"], "--only chooses what is run, and --dry_run and"),
    ],
)
def test_what_runs_nothing_takes_no_choice_of_stages(options, sentence, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in (["experiment", EXPERIMENT], ["study", STUDY]):
        with pytest.raises(UserError, match=sentence):
            command([*words, *options])


@pytest.mark.parametrize(
    "options",
    [
        ["--page_only", "--only", "base"],
        ["--page", "x.md", "--only", "base"],
        ["--page", "x.md", "--dry_run"],
        ["--page_only", "--list"],
    ],
)
def test_a_page_is_not_asked_for_where_none_is_written(options):
    with pytest.raises(UserError, match="--page and --page_only write the page"):
        command(["study", STUDY, *options])
