"""Experiments: what a YAML declares, the commands that follow, and the runner's manners."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from embedded import ROOT, small_suite

from handan.cli import command
from handan.errors import UserError
from handan.evaluation.evaluate import write_items
from handan.evaluation.suite import load_suite, suite_items
from handan.experiments import runner as running
from handan.experiments.declare import load_experiment
from handan.experiments.plan import Stage, plan, select
from handan.files import read_json, write_json
from handan.stopping import STOPPED

BASE = "handan/tiny/weights/base"
PINNED = {"models": {"base": {"model": BASE, "revision": "abc"}}}


@pytest.fixture(autouse=True)
def in_the_clone(monkeypatch):
    monkeypatch.chdir(ROOT)


def declared(tmp_path, **changes):
    content = {
        "output_dir": "runs/x",
        "configs": "recipes/configs/tiny",
        "suite": "eval/suites/tiny_probe.yaml",
        "accelerate_config": "launch/accelerate/cpu.yaml",
        "models": {"base": BASE, "teacher": {"model": "handan/tiny/weights/teacher_cold_start"}},
        "traces": {"traces": {"teacher": "teacher"}},
        "arms": {
            "sft": {"recipe": "sft_distill", "traces": "traces"},
            "sft_grpo": {"recipe": "grpo", "start": "sft", "settings": {"beta": 0.1, "top_k": 5}},
        },
    }
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return path


def planned(path, seed=None):
    return plan(load_experiment(path, seed), Path("out"))


def test_a_sequence_starts_from_the_arm_before_and_settings_become_arguments(tmp_path):
    made = planned(declared(tmp_path))
    by_name = {stage.name: stage for stage in made.stages}
    assert next(iter(by_name)) == "evaluate-base"  # one by one, the base comes first
    sequence = by_name["train-sft_grpo"]
    assert sequence.needs == ("train-sft",)
    assert "--model_name_or_path out/sft --beta 0.1 --top_k 5" in " ".join(sequence.arguments)
    assert by_name["train-sft"].needs == ("traces",)
    assert "out/traces/traces.jsonl" in by_name["train-sft"].arguments
    assert made.pages[0].runs == [Path("out") / n for n in ("base", "teacher", "sft", "sft_grpo")]


def test_an_arm_may_differ_from_what_all_trainings_are_given(tmp_path):
    made = planned(declared(tmp_path, training={"bf16": True, "beta": 0.2}))
    lines = {stage.name: " ".join(stage.arguments) for stage in made.stages}
    assert lines["train-sft"].endswith("--bf16 true --beta 0.2")
    assert lines["train-sft_grpo"].endswith("--bf16 true --beta 0.1 --top_k 5")


def test_a_pair_of_published_models_is_pinned_everywhere():
    made = planned(Path("recipes/experiments/qwen3-1.7b-base.yaml"))
    lines = {stage.name: " ".join(stage.command()) for stage in made.stages}
    teacher = yaml.safe_load(Path("recipes/configs/qwen3-1.7b-base/traces.yaml").read_text())
    pinned = teacher["revision"]
    assert f"--revision {pinned}" in lines["traces"]
    assert f"--teacher_model_revision {pinned}" in lines["train-opd"]
    assert f"--revision {pinned}" in lines["evaluate-qwen3-32b"]
    assert lines["evaluate-base"].startswith(
        "accelerate launch --config_file launch/accelerate/ddp"
    )
    assert "--model_name_or_path out/sft --model_revision main" in lines["train-sft_grpo"]
    assert "--engine eval/engines/vllm.yaml" in lines["evaluate-base"]


def test_seeds_share_what_no_training_changes(tmp_path):
    made = planned(declared(tmp_path, seeds=[1, 2]))
    names = [stage.name for stage in made.stages]
    assert names.count("evaluate-base") == names.count("traces") == 1
    assert {"seed-1-train-sft", "seed-2-train-sft", "seed-2-evaluate-sft_grpo"} <= set(names)
    assert [str(page.output) for page in made.pages] == [
        f"out/seed-{seed}/report.html" for seed in (1, 2)
    ]
    assert Path("out/base") in made.pages[1].runs and Path("out/seed-2/sft") in made.pages[1].runs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": {}}, "unknown key 'arm'"),
        ({"suite": "eval/suites/none.yaml"}, "suite is eval/suites/none.yaml: no such file"),
        ({"arms": {"a": {"recipe": "ppo"}}}, "arms.a: recipe is 'ppo'; use sft_distill, grpo"),
        ({"arms": {"a": {"recipe": "grpo", "start": "b"}}}, "arms.a: start 'b' is no model"),
        ({"arms": {"a/b": {"recipe": "grpo"}}}, "'a/b' is no name for a folder"),
        ({"arms": {"base": {"recipe": "grpo"}}}, "'base' names two things"),
        ({"models": {"teacher": BASE + "_constant"}}, "starts from handan/tiny/weights/base, "),
        (
            {"traces": {}, "arms": {"a": {"recipe": "grpo"}}} | PINNED,
            "from revision None of handan",
        ),
        ({"parallel": 2, "accelerate_config": "launch/accelerate/zero2-cpu.yaml"}, "parallel is 2"),
    ],
)
def test_what_does_not_fit_together_is_one_sentence(tmp_path, changes, message):
    path = declared(tmp_path, **changes)
    with pytest.raises(UserError, match=r"experiment.yaml: ") as error:
        load_experiment(path)
    assert message in str(error.value)


def test_arms_in_a_circle_are_named(tmp_path):
    arms = {name: {"recipe": "grpo", "start": other} for name, other in ("ab", "bc", "ca")}
    with pytest.raises(UserError, match="in a circle: a -> b -> c -> a"):
        planned(declared(tmp_path, arms=arms))


def test_a_dry_run_prints_commands_and_runs_nothing(tmp_path, capsys):
    words = ["experiment", str(declared(tmp_path)), "--output_dir", str(tmp_path / "out")]
    command([*words, "--dry_run"])
    text = capsys.readouterr().out
    assert "\naccelerate launch --config_file launch/accelerate/cpu.yaml recipes/grpo.py" in text
    assert "# train-sft_grpo, after train-sft\n" in text
    assert text.rstrip().splitlines()[-1].startswith("handan report ")
    assert not (tmp_path / "out").exists()
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        (
            {"arms": {"sft": {"recipe": "sft_distill", "start": "base", "settings": "*"}}},
            "arms.sft",
        ),
        ({"traces": {"drawn": {"teacher": "base", "settings": "*"}}}, "traces.drawn"),
    ],
)
def test_a_dry_run_finds_unknown_keys_of_settings(changes, place, tmp_path):
    ((kind, entries),) = changes.items()
    for settings, wrong in (
        ({"seeed": 1}, "unknown key 'seeed'; did you mean 'seed'"),
        ({"seed": [1]}, "seed: expected a whole number"),
    ):
        own = {name: {**entry, "settings": settings} for name, entry in entries.items()}
        path = declared(tmp_path, **{kind: own, **({} if kind == "arms" else {"arms": {}})})
        load_experiment(path)
        with pytest.raises(UserError, match=rf"{path}: {place}.settings: {wrong}"):
            command(["experiment", str(path), "--dry_run"])


@pytest.mark.parametrize(("place", "key"), [("evaluation", "dtype"), ("training", "use_cpus")])
def test_a_dry_run_finds_unknown_keys_that_all_arms_share(place, key, tmp_path):
    path = declared(tmp_path, **{place: {key: "bfloat16"}})
    with pytest.raises(UserError, match=rf"{path}: {place}: unknown key '{key}'"):
        command(["experiment", str(path), "--dry_run"])


def test_only_needs_what_it_builds_on(tmp_path):
    made = planned(declared(tmp_path)).stages
    with pytest.raises(UserError, match="no stage 'sft'; there are: evaluate-base"):
        select(made, ["sft"], done=[])
    with pytest.raises(UserError, match="train-sft needs traces, which is not finished"):
        select(made, ["train-sft"], done=[])
    assert len(select(made, ["train-sft"], done=["traces"])) == 1


# The runner, on stages that are small scripts.


def stage(folder, name, code, needs=(), kind="evaluation"):
    path = folder / f"{name}.py"
    path.write_text(code)
    return Stage(name, kind, str(path), (str(folder / name),), folder / name, needs=needs)


FINISH = """import json, pathlib, sys, time
out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True)
(out / "run.json").write_text(json.dumps({"evaluation": {"generations_sha256": "x"}}))
(out / "when").write_text(str(time.time()))
"""


def run(stages, logs, parallel=2):
    done = running.finished(stages, logs)
    before = len(done)
    running.run_stages(stages, [s.name for s in stages], done, logs, parallel)
    return len(done) - before


def test_finished_stages_are_not_repeated_until_something_changes(tmp_path):
    first = stage(tmp_path, "first", FINISH)
    second = stage(tmp_path, "second", FINISH, needs=("first",))
    both, logs = [first, second], tmp_path / "logs"
    assert run(both, logs) == 2
    order = [float((tmp_path / name / "when").read_text()) for name in ("first", "second")]
    assert order == sorted(order)
    assert run(both, logs) == 0
    (tmp_path / "second" / "run.json").unlink()  # its results are gone
    assert run(both, logs) == 1
    settings = tmp_path / "settings.yaml"
    settings.write_text("a: 1\n")
    changed = Stage(
        "first", "evaluation", first.script, (*first.arguments, str(settings)), first.output_dir
    )
    assert run([changed, second], logs) == 2  # what builds on it too
    assert run([changed, second], logs) == 0
    settings.write_text("a: 2\n")
    assert run([changed, second], logs) == 2


def test_an_evaluation_of_other_texts_is_not_finished(tmp_path):
    suite = small_suite(tmp_path)
    first = stage(tmp_path, "first", FINISH)
    first = replace(first, arguments=(*first.arguments, "--suite", str(suite)))
    assert run([first], tmp_path / "logs") == 1
    write_items(tmp_path / "first" / "items.jsonl", suite_items(load_suite(suite)))
    assert run([first], tmp_path / "logs") == 0
    items = tmp_path / "first" / "items.jsonl"
    items.write_text(items.read_text().replace('"question": "', '"question": "please '))
    assert run([first], tmp_path / "logs") == 1


def test_a_failed_stage_stops_the_others_and_names_its_log(tmp_path):
    slow = stage(tmp_path, "slow", "import time; time.sleep(600)")
    fails = stage(tmp_path, "fails", "print('last words'); raise SystemExit(3)")
    started = time.monotonic()
    with pytest.raises(UserError, match=r"fails failed; its last words are in .*fails.log"):
        run([slow, fails], tmp_path / "logs")
    assert time.monotonic() - started < 300
    assert (tmp_path / "logs" / "fails.log").read_text() == "last words\n"
    assert not (tmp_path / "logs" / "slow.done.json").exists()


TRAINING = """import json, pathlib, signal, sys, time
from handan import rundir
out = pathlib.Path(sys.argv[1])
asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
with rundir.lock(out, 0):
    (out / "begun").touch()
    while not asked:
        time.sleep(0.05)
    (out / "saved").touch()
raise SystemExit(75)
"""


def test_a_runner_that_is_asked_to_stop_lets_trainings_save(tmp_path):
    train = stage(tmp_path, "train", TRAINING, kind="training")
    other = stage(tmp_path, "other", "import time; time.sleep(600)")
    code = (
        "from pathlib import Path; from handan.experiments import runner; from handan.experiments"
        f".plan import Stage\nrunner.run_stages({[train, other]!r}, ['train', 'other'],"
        f" set(), Path({str(tmp_path / 'logs')!r}), 2)"
    ).replace("PosixPath", "Path")
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 300
    while not (tmp_path / "train" / "begun").exists():
        assert runner.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(timeout=300) == STOPPED
    assert (tmp_path / "train" / "saved").exists()
    assert not (tmp_path / "logs" / "train.done.json").exists()


def test_a_log_that_cannot_be_written_holds_no_stage_up(tmp_path, capsys):
    # More than a pipe holds: a stage that nobody listens to would wait for ever.
    talk = "print('word ' * 100_000, flush=True)\nprint('arm: step 1', flush=True)\n"
    one = stage(tmp_path, "one", talk + FINISH)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "one.log").symlink_to("/dev/full")
    running.run_stages([one], ["one"], set(), tmp_path / "logs", 1)
    said, deadline = capsys.readouterr().out, time.monotonic() + 300
    while "one: arm: step 1" not in said:  # the last words come through a thread
        assert time.monotonic() < deadline
        time.sleep(0.01)
        said += capsys.readouterr().out
    assert said.count("one.log: cannot be written (No space left on device)") == 1
    assert running.finished([one], tmp_path / "logs") == {"one"}


def test_marks_without_results_do_not_count(tmp_path):
    one = stage(tmp_path, "one", FINISH)
    write_json(tmp_path / "logs" / "one.done.json", running.identities([one])["one"])
    assert running.finished([one], tmp_path / "logs") == set()
    write_json(tmp_path / "one" / "run.json", {"evaluation": {}})
    assert running.finished([one], tmp_path / "logs") == set()
    write_json(tmp_path / "one" / "run.json", {"evaluation": {"generations_sha256": "x"}})
    assert running.finished([one], tmp_path / "logs") == {"one"}
    assert "command" in read_json(tmp_path / "logs" / "one.done.json")
