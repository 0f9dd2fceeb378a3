"""What W&B, TensorBoard and Trackio hold of a training, read back from disk."""

import importlib.util
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest
import yaml
from embedded import ROOT, free_port, run_python
from recipe_runs import arguments
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from handan.errors import UserError
from handan.files import read_json, read_jsonl
from handan.training.trackers import MAX_CHARACTERS, MAX_ITEMS, check, item_table, names

ALL = ["wandb", "tensorboard", "trackio"]
SECRETS = {"WANDB_API_KEY": "0123456789abcdef" * 2 + "deadbeef", "HF_TOKEN": "hf_" + "Secret" * 6}
SECRETS |= {
    name: f"planted-{name.lower()}-5f1e"
    for name in ("HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "HANDAN_SERVER_KEY", "SOME_PASSWORD")
}
CURVE = "alignment/mean_r_loglog"


def environment(folder, **more):
    """No login of whoever runs the tests, and no network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "TRACKIO", "HF_"))}
    places = {"HOME": str(folder.parent), "TRACKIO_DIR": str(folder / "trackio")}
    return kept | places | {"HF_HUB_OFFLINE": "1"} | SECRETS | more


def command(recipe, small, folder, report_to, *more):
    words = [str(word) for word in arguments(recipe, small, folder, *more)]
    place = words.index("--config") + 1
    settings = yaml.safe_load((ROOT / words[place]).read_text())
    settings |= {"report_to": report_to, "logging_steps": 1}
    words[place] = str(folder.with_suffix(".yaml"))
    folder.with_suffix(".yaml").write_text(yaml.safe_dump(settings))
    return words


def kill_at(step, words, folder, **more):
    """Start a training and end it as soon as it has logged a step."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **more,
    )
    deadline = time.monotonic() + 300
    logged = folder / "metrics.jsonl"
    while not (logged.exists() and f'"step": {step}' in logged.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def resumed(small, tmp_path_factory):
    """A run with all trackers, killed between two checkpoints and gone on with."""
    folder = tmp_path_factory.mktemp("resumed") / "run"
    words = command("grpo", small, folder, ALL)
    around = environment(folder, WANDB_MODE="offline")
    kill_at(3, words, folder, env=around)
    assert not (folder / "checkpoint-4").exists()
    finished = run_python(*words, env=around)
    assert "training goes on without it" not in finished.stdout
    (folder / "printed.txt").write_text(finished.stdout + finished.stderr)
    return folder


def inspect(*words, cwd):
    """What W&B's own reader prints of a file."""
    reader = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *map(str, words)]
    read = subprocess.run(
        reader, cwd=cwd, capture_output=True, text=True, check=True, env=environment(cwd)
    )
    return read.stdout


def records(path, folder):
    return [json.loads(line) for line in inspect(path, cwd=folder).splitlines()]


def wandb_history(folder):
    """(name, step, value) of everything logged in any file of a run."""
    identifier = read_json(folder / "run.json")["training"]["wandb"]["id"]
    files = sorted((folder / "wandb").glob(f"offline-run-*-{identifier}/*.wandb"))
    assert len(files) == len(list((folder / "wandb").glob("*run-*-*")))
    out = []
    for path in files:
        for record in records(path, folder):
            if record["type"] == "history":
                row = record["history"]["item"]
                step = row["train/global_step"]
                out += [(name, step, value) for name, value in row.items() if name[0] != "_"]
    return out


def tensorboard_history(folder):
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    assert events.Tags()["tensors"] == []  # its text plugin would render Markdown
    tags = events.Tags()["scalars"]
    return [(tag, event.step, event.value) for tag in tags for event in events.Scalars(tag)]


def trackio_history(folder):
    """Read without Trackio, which finds its store when it is imported."""
    out = []
    with sqlite3.connect(folder / "trackio" / "handan.db") as store:
        assert len(store.execute("SELECT DISTINCT run_name FROM metrics").fetchall()) == 1
        for step, text in store.execute("SELECT step, metrics FROM metrics"):
            out += [(name, step, value) for name, value in json.loads(text).items()]
    return out


HISTORIES = {"wandb": wandb_history, "tensorboard": tensorboard_history, "trackio": trackio_history}


def expected(folder):
    """How often each (name, step) was measured, from metrics.jsonl alone."""
    pairs = Counter()
    for row in read_jsonl(folder / "metrics.jsonl"):
        prefix = "train/" if "epoch" in row else ""
        pairs.update((prefix + name, row["step"]) for name in row if name != "step")
    return pairs


@pytest.mark.parametrize("tracker", ALL)
def test_a_tracker_holds_every_step_across_a_kill(resumed, tracker):
    # What W&B and Trackio got after the checkpoint and before the kill is sent to them again.
    since = 5 if tracker == "tensorboard" else 3
    assert holds_every_step(resumed, tracker, may_repeat_from=since) == [0, 2, 4]


def holds_every_step(folder, tracker, may_repeat_from):
    """Compare a tracker with metrics.jsonl; the steps at which the suite was measured."""
    held = [row for row in HISTORIES[tracker](folder) if not row[0].startswith("tables/")]
    if tracker == "wandb":  # the axis is in every row
        held = [row for row in held if row[0] != "train/global_step"]
    counts = Counter((name, step) for name, step, _ in held)
    wanted = expected(folder)
    assert counts.keys() == wanted.keys()
    assert [p for p in wanted if p[1] < may_repeat_from and counts[p] != wanted[p]] == []
    curve = {step: value for name, step, value in held if name == CURVE}
    measured = read_jsonl(folder / "metrics.jsonl")
    assert curve == pytest.approx({row["step"]: row[CURVE] for row in measured if CURVE in row})
    return list(curve)


def test_what_a_reward_logs_is_no_measurement_of_the_suite(resumed):
    held = {(name, step) for name, step, _ in tensorboard_history(resumed)}
    assert ("train/cost/reasoning_tokens", 1) in held
    assert {step for name, step in held if name == "cost/reasoning_tokens"} == {0, 2, 4}


def test_the_summary_of_a_run_has_its_start_and_its_end(resumed):
    newest = max((resumed / "wandb").glob("offline-run-*"))
    summary = json.loads(inspect("--summary", newest, cwd=resumed))
    rows = [row for row in read_jsonl(resumed / "metrics.jsonl") if CURVE in row]
    assert summary["summary"][f"start/{CURVE}"] == pytest.approx(rows[0][CURVE])
    assert summary["summary"][CURVE] == pytest.approx(rows[-1][CURVE])


def test_runs_of_an_arm_can_be_found(resumed):
    folder = resumed
    training = read_json(folder / "run.json")["training"]
    where = training["wandb"]
    assert where["name"] == "grpo" and where["project"] == "handan" and where["mode"] == "offline"
    for path in (folder / "wandb").glob("offline-run-*/*.wandb"):
        (run, *_) = [r["run"] for r in records(path, folder) if r["type"] == "run"]
        fingerprint = yaml.safe_load((folder / "config.yaml").read_text())["training"][
            "model_fingerprint"
        ]
        assert (run["run_id"], run["run_group"], run["job_type"]) == (where["id"], "grpo", "grpo")
        config = run["config"]["update"]
        assert (config["arm"], config["recipe"]) == ("grpo", "grpo")
        assert config["model_fingerprint"] == fingerprint
        assert run["resume"]  # so `wandb sync` goes on where the file before it ended


def test_each_probe_has_a_table_of_its_items(resumed):
    folder = resumed
    logged = {(name, step) for name, step, _ in wandb_history(folder)}
    assert {step for name, step in logged if name == "tables/probe._type"} == {0, 2, 4}
    tables = [row for row in trackio_history(folder) if row[0] == "tables/probe"]
    assert [step for _, step, _ in tables] == [0, 2, 4]
    probed = read_jsonl(folder / "probe.jsonl")
    for _, step, table in tables:
        items = [(row["task"], row["item"]) for row in table["_value"]]
        assert len(items) == 24
        assert items == list(
            dict.fromkeys((row["task"], row["item"]) for row in probed if row["step"] == step)
        )
        assert all(row["human_rt_s"] > 0 and row["text"] for row in table["_value"])


def test_no_key_is_in_any_file_of_a_run(resumed):
    files = [path for path in resumed.rglob("*") if path.is_file()]
    assert len(files) > 30
    for secret in SECRETS.values():
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("server", ["closed", "silent"])
def test_a_tracker_that_is_down_does_not_stop_a_training(small, tmp_path, server):
    folder, in_the_way = tmp_path / "run", tmp_path / "file"
    in_the_way.touch()
    words = command("sft_distill", small, folder, ALL, "--max_steps", "2")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1] if server == "silent" else free_port()
        hosts = dict.fromkeys(("WANDB_BASE_URL", "HF_ENDPOINT"), f"http://127.0.0.1:{port}")
        hosts |= {"HF_HUB_OFFLINE": "0", "TENSORBOARD_LOGGING_DIR": str(in_the_way)}
        around = environment(folder, **hosts)
        printed = run_python(*words, env=around).stdout
    assert "sft: W&B does not " in printed and "logging offline" in printed
    assert "sft: tensorboard failed (" in printed and "training goes on without it" in printed
    assert read_json(folder / "run.json")["training"]["finished"]
    for tracker in ("wandb", "trackio"):
        assert holds_every_step(folder, tracker, may_repeat_from=3) == [0, 2]


def test_a_tracker_that_is_not_there_stops_at_the_start(monkeypatch):
    with pytest.raises(UserError, match="there is no tracker 'wandbb'; choose among"):
        check(["wandbb"])
    with pytest.raises(UserError, match="report_to names mlflow, which is not installed: pip"):
        check(["mlflow"])
    find = importlib.util.find_spec
    hidden = lambda name, *more: None if name == "trackio" else find(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    with pytest.raises(UserError, match=r"pip install 'handan\[trackers\]', or take it out"):
        check(["wandb", "trackio"])


def test_names_are_finite_numbers_with_the_prefix_of_whose_they_are():
    trainers = {"step": 3, "loss": 0.5, "eval_loss": 1, "grad_norm": float("nan"), "epoch": 0.1}
    assert names(trainers) == {"train/loss": 0.5, "eval/loss": 1, "train/epoch": 0.1}
    ours = {"step": 3, "status/accuracy": 0.5, "inflation/k": float("inf")}
    assert names(ours) == {"status/accuracy": 0.5}


def response(item, sample=0, text="1", **more):
    row = {"step": 2, "task": "t", "item": item, "sample": sample, "status": "complete"}
    return row | {"correct": True, "reasoning_tokens": 4, "text": text} | more


def test_a_table_counts_samples_and_shows_text_as_text():
    rows = [
        response("a", -1),  # greedy
        response("a", 0, "<script>\x1b[31m\u202ex", reasoning_tokens=2),
        response("a", 1, status="truncated", correct=False),
        response("b", 0, "y" * (MAX_CHARACTERS + 5)),
    ]
    columns, table = item_table(rows, {("t", "a"): 1.5, ("t", "b"): None})
    first, second = (dict(zip(columns, row, strict=True)) for row in table)
    assert (first["human_rt_s"], second["human_rt_s"]) == (1.5, None)
    assert (first["samples"], first["mean_reasoning_tokens"], first["correct"]) == (2, 3, 0.5)
    assert first["status"] == "1 complete, 1 truncated"
    assert first["text"] == "<script>?[31m?x"
    assert second["text"] == "y" * MAX_CHARACTERS + "… (5 more characters)"


def test_a_large_table_says_what_it_leaves_out():
    rows = [response(str(number)) for number in range(2 * MAX_ITEMS)]
    columns, table = item_table(rows, {})
    assert len(table) == MAX_ITEMS + 1
    items = [row[columns.index("item")] for row in table[:-1]]
    assert items == [str(number) for number in range(0, 2 * MAX_ITEMS, 2)]
    assert table[-1][-1] == f"{MAX_ITEMS} more items are in the files of the run"
