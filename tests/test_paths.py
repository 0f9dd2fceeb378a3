"""Names and paths in settings do not lead out of the directories they are for."""

import shutil

import pytest
import yaml
from embedded import ROOT, WEIGHTS

from handan import rundir
from handan.errors import UserError
from handan.evaluation.zoo import load_zoo
from handan.experiments.declare import load_experiment
from handan.launch import refuse_outputs
from handan.norms.trials import check_file_name
from handan.publish import publish
from handan.report.plots import safe

ELSEWHERE = ["../x", "a/b", "/x", "..", ".", "", ".hidden", "a\0b", "a\nb", "-x", "a\\b", "logs"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_that_leads_elsewhere_names_no_model_of_a_zoo(tmp_path, name):
    zoo = yaml.safe_load((ROOT / "eval/zoo/tiny.yaml").read_text())
    zoo["models"] = [{**zoo["models"][0], "name": name, "role": "initial"}]
    zoo["models"][0].pop("base", None)
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    with pytest.raises(UserError, match=r"a name must be fit for a directory|holds a NUL"):
        load_zoo(tmp_path / "zoo.yaml")


def experiment(tmp_path, monkeypatch, change):
    """Load the shipped experiment of the embedded world with a change."""
    monkeypatch.chdir(ROOT)
    content = yaml.safe_load((ROOT / "recipes/experiments/tiny.yaml").read_text())
    change(content)
    (tmp_path / "e.yaml").write_text(yaml.safe_dump(content))
    load_experiment(tmp_path / "e.yaml")


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("kind", ["models", "arms"])
def test_a_name_that_leads_elsewhere_names_nothing_in_an_experiment(
    tmp_path, monkeypatch, kind, name
):
    def change(content):
        content[kind][name] = next(iter(content[kind].values()))

    with pytest.raises(UserError, match=r"is no name for a folder|holds a NUL"):
        experiment(tmp_path, monkeypatch, change)


@pytest.mark.parametrize("key", ["output_dir", "config", "max_steps=1 --output_dir", "-x", ""])
@pytest.mark.parametrize("place", ["settings", "evaluation"])
def test_an_experiment_gives_no_arguments_that_say_where_things_go(
    tmp_path, monkeypatch, place, key
):
    def change(content):
        arm = next(iter(content["arms"].values()))
        arm[place] = {key: "/elsewhere"}

    with pytest.raises(UserError, match=rf"{place}: '.*' is no argument to give here"):
        experiment(tmp_path, monkeypatch, change)


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "..", "", ".hidden", "a\0b", "a\nb", "a\\b"])
def test_a_task_that_leads_elsewhere_names_no_table_of_norms(name):
    with pytest.raises(UserError):
        check_file_name("trials.csv", "task", name)


@pytest.mark.parametrize("name", [*ELSEWHERE, "a" * 300, "\u202e", "CON"])
def test_whatever_a_model_is_called_its_figure_has_a_safe_name(name):
    made = safe(name)
    assert made.replace("_", "").isalnum() and made.isascii() and len(made) < 60


@pytest.mark.parametrize("name", [".lock", "generations.jsonl", "checkpoint-2", "run.json"])
def test_a_link_that_leads_out_of_a_run_directory_stops(tmp_path, name):
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.write_text("kept")
    run.mkdir()
    (run / name).symlink_to(outside)
    with pytest.raises(UserError, match=rf"{name}: a link that leads out"), rundir.lock(run, 0):
        pass
    assert outside.read_text() == "kept"


@pytest.mark.parametrize(
    "settings",
    [
        {"csv_monitor": {"enabled": True, "output_path": "/elsewhere"}},
        {"flops_profiler": {"output_file": "/elsewhere"}},
        {"zero_optimization": {"offload_optimizer": {"nvme_path": "/elsewhere"}}},
        {"a": [{"results_dir": "/elsewhere"}]},
    ],
)
def test_deepspeed_writes_no_files_of_its_own(settings):
    refuse_outputs({"zero_optimization": {"stage": 2}, "steps_per_print": 10})
    with pytest.raises(UserError, match="which writes outside the run directory"):
        refuse_outputs(settings)


def test_links_within_a_run_directory_are_let_be(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "latest").symlink_to("file")
    with rundir.lock(tmp_path, 0):
        pass


def test_what_a_link_leads_to_is_not_published(tmp_path):
    run = shutil.copytree(WEIGHTS / "base", tmp_path / "run")
    (tmp_path / "private").write_text("x")
    (run / "README.md").symlink_to(tmp_path / "private")
    with pytest.raises(UserError, match=r"README.md: a link that leads out"):
        publish(run, None, push=False, private=False)
