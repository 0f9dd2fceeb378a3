import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from embedded import ROOT, WEIGHTS, run_python, run_script, small_suite

from handan import hardware
from handan.alignment.pairs import read_pairs
from handan.errors import UserError
from handan.evaluation.evaluate import write_items
from handan.evaluation.suite import load_suite, suite_items
from handan.evaluation.zoo import Entry, load_zoo
from handan.experiments.plan import Stage
from handan.experiments.runner import finished, zoo_words
from handan.files import content_hash, read_json, write_json
from handan.hardware import LocalGpu

# The roles are made up: what is tested is the way from a zoo to its report.
ENTRIES = {
    "student": {"model": "base", "role": "student", "base": "start", "teacher": "teacher"},
    "start": {"model": "base_constant", "role": "initial"},
    "teacher": {"model": "teacher_cold_start", "role": "teacher"},
}


def write_zoo(folder, entries):
    shared = {"reasoning_format": "tiny", "license": "Apache-2.0", "revision": None}
    models = [
        {"name": name, **shared, **entry, "model": str(WEIGHTS / entry["model"])}
        for name, entry in entries.items()
    ]
    zoo = {"name": "test", "engine": None, "models": models}
    (folder / "zoo.yaml").write_text(yaml.safe_dump(zoo))


def run(folder, *more, check=True, start=run_script):
    where = ["--suite", folder / "suite.yaml", "--output_dir", folder / "out"]
    words = ["eval/run.py", "--zoo", folder / "zoo.yaml", *where, "--num_threads", "1"]
    return start(*words, *more, check=check)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A zoo that was run in two parts, as a job array would."""
    folder = tmp_path_factory.mktemp("zoo")
    small_suite(folder, greedy=True)
    write_zoo(folder, ENTRIES)
    first = run(folder, "--only", "student", "start").stdout
    return folder, first, run(folder, start=run_python).stdout


def test_a_part_of_a_zoo_is_not_compared_yet(ran):
    _, first, second = ran
    assert "not compared yet: teacher of the zoo are not evaluated" in first
    assert "2 of 3 stages are finished already" in second and "teacher: python eval" in second


def test_all_models_are_compared_in_their_roles(ran):
    folder, _, second = ran
    result = read_json(folder / "out" / "alignment.json")
    assert set(result["models"]) == {name + suffix for name in ENTRIES for suffix in ("", " (T=0)")}
    pairs = {(row["a"], row["b"]) for row in result["contrasts"]}
    assert ("student", "teacher") in pairs and ("student (T=0)", "start (T=0)") in pairs
    assert ("student", "start (T=0)") not in pairs
    assert "Contrasts" in second


def test_align_on_the_joint_files_says_the_same(ran, tmp_path):
    out = ran[0] / "out"
    words = ["-m", "handan", "align", out / "costs.csv", "--pairs", out / "pairs.csv"]
    run_script(*words, "--output", tmp_path / "again.json")
    ours, again = read_json(out / "alignment.json"), read_json(tmp_path / "again.json")
    assert ours["contrasts"] == again["contrasts"]
    assert ours["inflation"] == again["inflation"]
    assert read_pairs(out / "pairs.csv", list(ours["models"])).roles["student", "start"]


def test_the_report_knows_the_relations(ran):
    page = (ran[0] / "out" / "report" / "report.html").read_text()
    assert "student: SFT from start on traces of teacher" in page


def test_a_failing_model_does_not_end_the_others_and_is_told_at_the_end(ran, tmp_path):
    folder = ran[0]
    (tmp_path / "empty").mkdir()
    broken = {"broken": {"model": str(tmp_path / "empty"), "role": "initial"}}
    write_zoo(tmp_path, broken | ENTRIES)
    more = ["--zoo", tmp_path / "zoo.yaml", "--only", "broken", "start"]
    done = run(folder, *more, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2
    assert last.startswith("handan: error: failed: broken (")
    assert "no *.safetensors file" in last
    assert "3 of 4 stages are finished already" in done.stdout
    assert "Traceback" not in done.stderr
    log = (folder / "out" / "logs" / "broken.log").read_text()
    assert "no *.safetensors file" in log


def test_a_model_that_an_older_version_finished_is_not_asked_again(tmp_path):
    suite = small_suite(tmp_path)
    words = ("--suite", str(suite))
    stage = Stage("m", "evaluation", "eval/run.py", words, tmp_path / "m")
    write_json(tmp_path / "m" / "run.json", {"evaluation": {"generations_sha256": "x"}})
    write_items(tmp_path / "m" / "items.jsonl", suite_items(load_suite(suite)))
    mark = {"command": f"eval/run.py --suite {suite}"}
    mark["settings"] = content_hash([suite.read_text()])
    write_json(tmp_path / "m.done.json", mark)
    assert finished([stage], tmp_path) == {"m"}
    other = replace(stage, arguments=(*words, "--revision", "main"))
    assert finished([other], tmp_path) == set()
    suite.write_text(suite.read_text().replace("samples: 2", "samples: 3"))
    assert finished([stage], tmp_path) == set()


def test_a_finished_model_that_was_asked_otherwise_is_asked_again(ran):
    folder = ran[0]
    items = folder / "out" / "start" / "items.jsonl"
    before = items.read_text()
    items.write_text(before.replace('"question": "', '"question": "please '))
    said = run(folder, "--only", "start", "student", start=run_python).stdout
    assert "2 of 3 stages are finished already" in said
    assert "start: python" in said and "student: python" not in said
    assert items.read_text() == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "x"], "give either --model or --zoo"),
        (["--arm", "x"], "--arm belongs to a --model"),
        (["--only", "none"], "no model 'none' in the zoo"),
    ],
)
def test_wrong_arguments_are_one_sentence(ran, monkeypatch, more, message):
    words = ["--zoo", ran[0] / "zoo.yaml", "--suite", ran[0] / "suite.yaml", "--output_dir", "none"]
    monkeypatch.setattr(sys, "argv", ["eval/run.py", *map(str, words), *more])
    with pytest.raises(UserError, match=message):
        runpy.run_path(str(ROOT / "eval" / "run.py"))["main"]()


def test_a_dry_run_writes_nothing(ran, tmp_path):
    done = run(ran[0], "--dry-run", "--output_dir", tmp_path / "none")
    assert "zoo test, 3 models, on suite small" in done.stdout
    assert not (tmp_path / "none").exists()


def test_a_model_too_large_for_one_gpu_is_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "gpus", lambda: [LocalGpu("H100", 80 * 10**9, True)] * 8)
    engine = tmp_path / "vllm.yaml"
    engine.write_text("engine: vllm\ntensor_parallel_size: 1\n")
    suite = load_suite(small_suite(tmp_path))
    found = {}
    zoo = load_zoo(ROOT / "eval" / "zoo" / "tiny.yaml")
    (tmp_path / "logs").mkdir()
    for model in ("Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"):
        entry = Entry("m", model, "initial", "plain", "any", "main")
        words = zoo_words(zoo, entry, suite, tmp_path / "suite.yaml", tmp_path, str(engine))
        found[model] = yaml.safe_load(Path(words[-1]).read_text())["tensor_parallel_size"]
    assert list(found.values()) == [1, 2]
