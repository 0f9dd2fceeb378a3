"""Generation through a real server: ``transformers serve`` on the shipped model, killed twice."""

import signal
from contextlib import chdir

import embedded
import forked
import pytest
import yaml
from embedded import ROOT, free_port, small_suite, wait_for_lines

from handan.cli import command
from handan.errors import UserError
from handan.evaluation.evaluate import evaluate
from handan.evaluation.suite import load_suite
from handan.files import read_json, read_jsonl
from handan.generation.engines import load_engine, open_engine
from handan.launch import SINGLE

MODEL = "handan/tiny/weights/base"
COUNTS = ("prompt_tokens", "reasoning_tokens", "answer_tokens", "generated_tokens", "status")


def serving(port, folder):
    return embedded.serving(folder, port, "transformers", "serve", MODEL, "--device", "cpu")


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A folder with a suite and the settings of a server, and a free port."""
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    small_suite(folder, items_per_task=8, samples=1, greedy=True, batch_size=8)
    settings = {
        "engine": "openai",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "concurrency": 4,
        "timeout_s": 60.0,
        "max_retries": 1,
        # It samples only if it is told so twice.
        "extra_body": {"generation_config": '{"do_sample": true, "top_k": 0}'},
    }
    (folder / "engine.yaml").write_text(yaml.safe_dump(settings))
    return folder, port


def words(folder, output_dir, *more):
    suite = ["--suite", folder / "suite.yaml", "--output_dir", output_dir, "--num_threads", "1"]
    return ["eval/run.py", "--model", MODEL, *suite, *more]


def served(where, output_dir):
    return words(where[0], output_dir, "--engine", where[0] / "engine.yaml")


def in_process(where, output_dir, settings):
    """As eval/run.py, without the seconds its imports take."""
    with chdir(ROOT):
        engine = open_engine(load_engine(settings), MODEL)
        suite = load_suite(where[0] / "suite.yaml")
        evaluate(engine, suite, output_dir, output_dir.name, MODEL, SINGLE)


def greedy(run_dir):
    rows = read_jsonl(run_dir / "generations.jsonl")
    return {(r["task"], r["item"]): r for r in rows if r["sample"] == -1}


@pytest.fixture(scope="module")
def both(where):
    """The same suite through the server, killed twice on the way, and in process."""
    folder, port = where
    in_process(where, folder / "here", None)
    target = folder / "there"
    path = target / "generations.jsonl"
    with serving(port, folder) as server:
        client = forked.start(folder, *served(where, target))
        wait_for_lines(path, 8, client.is_alive)
        client.kill()
        client.join()
        after_client = len(path.read_bytes().splitlines())
        client = forked.start(folder, *served(where, target))
        wait_for_lines(path, after_client + 8, client.is_alive)
        server.send_signal(signal.SIGKILL)
        client.join(timeout=300)
    after_server = len(path.read_bytes().splitlines())
    with serving(port, folder):
        in_process(where, target, folder / "engine.yaml")
    return {
        "here": folder / "here",
        "there": target,
        "code": client.exitcode,
        "said": (folder / "2").read_text(),
        "lines": (after_client, after_server),
    }


def test_greedy_counts_are_those_of_this_process(both):
    here, there = greedy(both["here"]), greedy(both["there"])
    assert here.keys() == there.keys() and len(here) == 32
    for key, row in here.items():
        other = there[key]
        assert [row[name] for name in COUNTS] == [other[name] for name in COUNTS], key
        assert (row["answer"], row["correct"]) == (other["answer"], other["correct"])


def test_killed_in_the_middle_nothing_is_lost_or_doubled(both):
    after_client, after_server = both["lines"]
    assert 8 <= after_client < after_server < 64
    rows = read_jsonl(both["there"] / "generations.jsonl")
    assert len(rows) == len({(r["task"], r["item"], r["sample"]) for r in rows}) == 64


def test_a_server_that_dies_is_told_in_one_sentence(both):
    assert both["code"] == 2
    (line,) = [line for line in both["said"].splitlines() if line.startswith("handan: error:")]
    assert "sample" in line and "does not answer, after 1 retries" in line
    assert "run again to go on" in line
    assert "Traceback" not in both["said"]


def test_the_way_of_counting_and_the_server_are_recorded(both):
    rows = read_jsonl(both["there"] / "generations.jsonl")
    assert {row["counted_by"] for row in rows} == {"retokenized"}
    assert {row["served_by"] for row in rows} == {f"{MODEL}@main"}
    assert all(row["completion_ids"] is None for row in rows)
    run = read_json(both["there"] / "run.json")
    assert run["comparability"]["backend"] == "openai"
    assert run["evaluation"]["engine"]["model"] == MODEL
    assert "127.0.0.1" not in str(run["evaluation"]["engine"])
    task = read_json(both["there"] / "alignment.json")["models"]["there"]["tasks"]["ordering"]
    assert task["counted_by"] == "retokenized"


def test_another_engine_in_the_same_directory_is_refused(both, where):
    with pytest.raises(UserError, match="evaluation was begun with"):
        in_process(where, both["there"], None)


def test_runs_of_different_engines_are_compared_only_when_told(both, capsys):
    flags = ["compare", str(both["here"]), str(both["there"]), "--bootstrap", "100"]
    with pytest.raises(UserError, match="backend is transformers in"):
        command(flags)
    command([*flags, "--allow-different"])
    assert "backend is transformers" in capsys.readouterr().out
