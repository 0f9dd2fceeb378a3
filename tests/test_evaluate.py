import math
import random
import shutil
from dataclasses import replace

import pandas
import pytest
import yaml
from embedded import SUITES, WEIGHTS, engine, run_script, small_suite
from saved import checkpoint

from handan import rundir
from handan.alignment.align import align
from handan.alignment.pairs import read_runs
from handan.cli import command
from handan.config import read_yaml
from handan.errors import UserError
from handan.evaluation.evaluate import cost_rows, evaluate
from handan.evaluation.suite import load_suite, suite_items
from handan.files import file_hash, read_json, read_jsonl, write_jsonl
from handan.generation import loading
from handan.generation.formats import FORMATS
from handan.generation.loading import load_model
from handan.generation.transformers_engine import TransformersEngine
from handan.launch import SINGLE
from handan.tiny.evaluation_items import TASKS


def perfect_rows(cost):
    """One complete response to every human item of the tiny suite, its tokens given by ``cost``."""
    items = [e for e in suite_items(load_suite(SUITES / "tiny.yaml")) if e.human_rt_s]
    rows = [
        {
            "model": "people",
            "task": entry.item.task,
            "item": entry.item.key,
            "sample": 0,
            "prompt_tokens": 9,
            "reasoning_tokens": round(cost(entry.human_rt_s)),
            "answer_tokens": 5,
            "reasoning_characters": 1,
            "reasoning_format": "tiny",
            "status": "complete",
            "correct": True,
        }
        for entry in items
    ]
    return rows, items


def mean_r(rows, items):
    result = align(cost_rows(rows, items, "none"), bootstrap=200, seed=0)
    return result["models"]["people"]["mean_r_loglog"]


def test_the_human_means_themselves_align_perfectly():
    assert mean_r(*perfect_rows(lambda rt: 1e6 * rt)) == pytest.approx(1, abs=1e-6)


def test_reversed_human_means_align_at_minus_one():
    assert mean_r(*perfect_rows(lambda rt: 1e8 / rt)) == pytest.approx(-1, abs=1e-6)


def test_shuffled_human_means_do_not_align():
    rows, items = perfect_rows(lambda rt: 1e6 * rt)
    rng, found = random.Random(0), []
    for _ in range(20):
        tokens = [row["reasoning_tokens"] for row in rows]
        rng.shuffle(tokens)
        shuffled = [row | {"reasoning_tokens": t} for row, t in zip(rows, tokens, strict=True)]
        found.append(mean_r(shuffled, items))
    # The standard error of r is about .06 and .09 in the two tasks, .054 for their mean.
    assert abs(sum(found) / len(found)) < 4 * 0.054 / 20**0.5
    assert max(map(abs, found)) < 4 * 0.054


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    suite = small_suite(folder)
    run_script(*words(suite, folder / "base"))
    return folder


def words(suite, output_dir, model=WEIGHTS / "base"):
    flags = ["--model", model, "--suite", suite, "--output_dir", output_dir]
    return ["eval/run.py", *flags, "--num_threads", "1"]


def test_a_run_directory_has_all_its_files(evaluated):
    names = {path.name for path in (evaluated / "base").iterdir()}
    assert names >= {
        "config.yaml",
        "run.json",
        "items.jsonl",
        "generations.jsonl",
        "costs.csv",
        "alignment.json",
    }
    run = read_json(evaluated / "base" / "run.json")
    assert run["arm"] == "base"
    assert run["comparability"]["max_new_tokens"] == 256
    assert run["evaluation"]["budget"]["generated_tokens"] > 0
    result = read_json(evaluated / "base" / "alignment.json")
    assert set(result["models"]) == {"base", "base (T=0)"}
    tasks = result["models"]["base"]["tasks"]
    assert tasks["binary_addition"]["cost_source"] == "human"
    assert tasks["ordering"]["cost_source"] == "analytic"
    assert result["models"]["base"]["mean_tasks"] == ["binary_addition", "binary_subtraction"]


def test_responses_of_runs_are_exported_whole(evaluated, tmp_path):
    odd = tmp_path / "odd"
    shutil.copytree(evaluated / "base", odd)
    rows = read_jsonl(odd / "generations.jsonl")
    rows[0]["text"] = '=1+1,"\r\n\ra'
    write_jsonl(odd / "generations.jsonl", rows)
    for suffix in ("parquet", "csv"):
        table = tmp_path / f"all.{suffix}"
        command(["export", str(evaluated / "base"), str(odd), "--output", str(table)])
        read = pandas.read_parquet if suffix == "parquet" else pandas.read_csv
        found = read(table)
        assert len(found) == 2 * len(rows)
        own = found[found.run == str(odd)].reset_index()
        assert list(own.reasoning_tokens) == [row["reasoning_tokens"] for row in rows]
        assert own.text[0] == rows[0]["text"]
        people = own[own.task == "binary_addition"]
        assert people.human_rt_s.notna().all() and people.right_answer.notna().all()
    with pytest.raises(UserError, match=r"neither \.parquet nor \.csv"):
        command(["export", str(odd), "--output", str(tmp_path / "all.xlsx")])
    with pytest.raises(UserError, match=r"generations\.jsonl: no such file"):
        command(["export", str(tmp_path), "--output", str(tmp_path / "all.csv")])


def test_every_generation_is_identified(evaluated):
    rows = read_jsonl(evaluated / "base" / "generations.jsonl")
    assert len(rows) == 4 * 12 * 3
    keys = {(r["settings"], r["task"], r["item"], r["sample"]) for r in rows}
    assert len(keys) == len(rows)
    assert {row["temperature"] for row in rows if row["sample"] == -1} == {0.0}


def test_running_it_again_completes_it(evaluated, tmp_path):
    whole = evaluated / "base"
    folder = tmp_path / "base"
    shutil.copytree(whole, folder)
    generations = folder / "generations.jsonl"
    generations.write_bytes(generations.read_bytes()[: generations.stat().st_size // 2])
    for name in ("costs.csv", "alignment.json"):
        (folder / name).unlink()
    run_script(*words(evaluated / "suite.yaml", folder))
    assert read_json(folder / "alignment.json") == read_json(whole / "alignment.json")


def test_another_suite_or_model_in_the_same_directory_is_refused(evaluated, tmp_path):
    folder = evaluated / "base"
    before = file_hash(folder / "generations.jsonl")
    other = small_suite(tmp_path, samples=3)
    done = run_script(*words(other, folder), check=False)
    assert done.returncode == 2
    assert "evaluation was begun with suite.samples = 2, now it is 3" in done.stderr
    with pytest.raises(UserError, match="begun with model"):
        suite = load_suite(evaluated / "suite.yaml")
        evaluate(engine("base_constant"), suite, folder, "base", "other", SINGLE)
    assert file_hash(folder / "generations.jsonl") == before


def test_other_texts_in_the_same_directory_are_refused(evaluated, tmp_path, monkeypatch):
    folder = tmp_path / "base"
    shutil.copytree(evaluated / "base", folder)
    before = {path.name: file_hash(path) for path in folder.glob("*.jsonl")}
    addition = TASKS["binary_addition"]
    items = [replace(item, question=f"{item.question} =") for item in addition.items()]
    monkeypatch.setitem(TASKS, "binary_addition", replace(addition, items=lambda: items))
    suite = load_suite(evaluated / "suite.yaml")
    saved = read_yaml(folder / "config.yaml")["evaluation"]
    loaded, tokenizer, fingerprint = load_model(str(WEIGHTS / "base"))
    same = TransformersEngine(loaded, tokenizer, FORMATS["tiny"], fingerprint)
    with pytest.raises(UserError, match=r"answers binary_addition, .* as it is not asked now"):
        evaluate(same, suite, folder, "base", saved["model"], SINGLE)
    assert {path.name: file_hash(path) for path in folder.glob("*.jsonl")} == before
    # Nor are the two compared as if they had been asked alike.
    other = tmp_path / "other"
    evaluate(same, suite, other, "other", saved["model"], SINGLE)
    with pytest.raises(UserError, match=r"binary_addition, .* is asked otherwise in"):
        read_runs([folder, other], allow_different=False)
    notes = read_runs([folder, other], allow_different=True).notes
    assert any("is asked otherwise in" in note for note in notes)


def test_two_processes_give_the_same_file(evaluated, tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    launcher += ["--run-path", "--start-method", "fork", "tests/rank.py"]
    run_script(*launcher, *words(evaluated / "suite.yaml", tmp_path / "base"))
    rows = {
        where: sorted(
            (r["task"], r["item"], r["sample"], r["text"])
            for r in read_jsonl(where / "generations.jsonl")
        )
        for where in (evaluated / "base", tmp_path / "base")
    }
    assert rows[evaluated / "base"] == rows[tmp_path / "base"]
    assert not list((tmp_path / "base").glob("generations.*.jsonl"))


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(UserError, match="runs/none: no such model directory"):
        load_model("./runs/none")
    with pytest.raises(UserError, match=r"no \*.safetensors"):
        load_model(str(tmp_path))


def test_a_wording_the_model_cannot_read_stops(tmp_path):
    tasks = [{"task": "products", "wording": "natural", "norms": "ds001486"}]
    done = run_script(*words(small_suite(tmp_path, tasks=tasks), tmp_path / "run"), check=False)
    assert done.returncode == 2
    assert "does not know a word of the question" in done.stderr.splitlines()[-1]


def test_a_sweep_puts_all_checkpoints_side_by_side(evaluated, tmp_path):
    run = tmp_path / "run"
    for step, name in ((10, "base"), (20, "base_constant")):
        shutil.copytree(WEIGHTS / name, run / f"checkpoint-{step}")
        checkpoint(run, step)
    (run / "checkpoint-30").mkdir()  # still being written
    launch = {"engine": "NO", "mixed_precision": "no"}
    facts = {"launch": launch, "reasoning_format": "tiny", "budget_at_start": {}}
    settings = {"model_name_or_path": str(WEIGHTS / "base"), "model_revision": None, "dtype": None}
    settings |= {"attn_implementation": None, "num_threads": 1}
    settings["model_fingerprint"] = loading.model_fingerprint(WEIGHTS / "base")
    rundir.record(run, "training", settings, arm="grpo", **facts)
    run_script("eval/sweep.py", "--run", run, "--suite", evaluated / "suite.yaml")
    result = read_json(run / "sweep" / "alignment.json")
    steps = result["models"]["grpo"]["steps"]
    assert [entry["step"] for entry in steps] == [0, 10, 20]
    alone = read_json(evaluated / "base" / "alignment.json")["models"]["base"]
    assert steps[0]["mean_r_loglog"] == pytest.approx(alone["mean_r_loglog"])
    rows = read_jsonl(run / "sweep" / "metrics.jsonl")
    assert [row.get("budget/trained_tokens") for row in rows] == [None, 10, 20]
    # The same weights again, and a model of other lengths.
    first, same, other = (mean_logs(run / f"sweep/step-{row['step']}") for row in rows)
    assert rows[1]["inflation/k"] == 1.0 and first == same
    ratios = [other[item] - first[item] for item in first.keys() & other.keys()]
    assert rows[2]["inflation/k"] == pytest.approx(math.exp(sum(ratios) / len(ratios)))
    assert rows[2]["inflation/k"] != pytest.approx(1.0)


def mean_logs(folder):
    """Mean log tokens over the sampled responses of each human item that have any."""
    logs = {}
    for row in read_jsonl(folder / "generations.jsonl"):
        human = row["task"] in ("binary_addition", "binary_subtraction")
        if human and row["sample"] >= 0 and row["reasoning_tokens"]:
            logs.setdefault((row["task"], row["item"]), []).append(
                math.log(row["reasoning_tokens"])
            )
    return {item: sum(of_item) / len(of_item) for item, of_item in logs.items()}


def test_the_suite_file_of_a_run_is_kept_in_full(evaluated):
    config = yaml.safe_load((evaluated / "base" / "config.yaml").read_text())
    assert config["evaluation"]["suite"]["samples"] == 2
    assert config["evaluation"]["model_fingerprint"]
