"""What a study adds to an experiment: seeds of an arm, pretraining, policies, more evaluations."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from embedded import ROOT, SUITES, small_suite
from test_experiment import BASE, FINISH, declared, planned, stage

from handan.cli import command
from handan.config import read_yaml
from handan.errors import UserError
from handan.experiments import runner
from handan.experiments.declare import load_experiment
from handan.files import read_json, write_json

TINY = "recipes/configs/tiny"
CHOICE = f"{TINY}/traces_concise.yaml"
PRETRAINING = "recipes/configs/pretraining/base.yaml"
SFT, GRPO = {"recipe": "sft_distill"}, {"recipe": "grpo"}


@pytest.fixture(autouse=True)
def in_the_clone(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def choice(tmp_path):
    """The YAML of a policy."""
    content = {"output_dir": "runs/x", "arm": "teacher", "source": "run", "run": "runs/y"}
    content |= {"policy": "concise", "min_samples": 2, "max_remaining": None, "seed": 1}
    path = tmp_path / "concise.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def by_name(path, **changes):
    return {stage.name: stage for stage in planned(path, **changes).stages}


def test_an_arm_has_seeds_of_its_own_and_the_others_those_of_the_experiment(tmp_path):
    arms = {
        "teacher": GRPO | {"seeds": [1, 2, 3]},
        "sft": SFT | {"traces": "traces", "seeds": [1, 2, 3]},
        "other": SFT | {"traces": "few"},
        "shared": SFT | {"traces": "samples"},
    }
    drawn = {"traces": {"teacher": "teacher"}, "few": {"teacher": "teacher"}}
    drawn |= {"samples": {"teacher": "base"}, "unused": {"teacher": "teacher"}}
    path = declared(tmp_path, models={"base": BASE}, arms=arms, traces=drawn, seeds=[1, 2])
    names = list(by_name(path))
    assert names.count("samples") == 1 and "seed-3-train-shared" not in names
    for name, seeds in (("train-sft", "123"), ("train-other", "12"), ("evaluate-teacher", "123")):
        assert [n[5] for n in names if n.endswith(f"-{name}")] == list(seeds)
    for name, seeds in (("traces", "123"), ("few", "12"), ("unused", "12")):
        assert [n[5] for n in names if n.endswith(f"-{name}")] == list(seeds)
    last = planned(path).pages[2]
    assert last.runs == [Path("out/base"), Path("out/seed-3/teacher"), Path("out/seed-3/sft")]
    # As an experiment in which every arm has three.
    whole = tmp_path / "whole"
    whole.mkdir()
    equal = {name: {k: v for k, v in arm.items() if k != "seeds"} for name, arm in arms.items()}
    more = by_name(
        declared(whole, models={"base": BASE}, arms=equal, traces=drawn, seeds=[1, 2, 3])
    )
    assert by_name(path).items() <= more.items()


def test_one_seed_of_all_arms_needs_no_folder_and_a_given_one_is_that_of_all(tmp_path):
    path = declared(tmp_path, seeds=[4], traces={}, arms={"a": GRPO, "b": GRPO | {"seeds": [4]}})
    assert by_name(path)["train-b"].output_dir == Path("out/b")
    path = declared(tmp_path, seeds=[1, 2], traces={}, arms={"a": GRPO | {"seeds": [1, 2, 3]}})
    assert list(by_name(path, seed=7))[2:] == ["train-a", "evaluate-a"]


def test_a_model_is_pretrained_once_before_what_begins_with_it(tmp_path):
    models = {"base": BASE, "mixed": {"pretraining": PRETRAINING}}
    arms = {"a": GRPO | {"start": "mixed"}, "b": GRPO}
    for parallel in (1, 2):
        changes = {"parallel": parallel, "seeds": [1, 2]}
        path = declared(tmp_path, models=models, traces={}, arms=arms, **changes)
        found = by_name(path)
        seen = set()
        for name, made in found.items():
            assert set(made.needs) <= seen
            seen.add(name)
        made = found["pretrain-mixed"]
        where = f"--config {PRETRAINING} --output_dir out/mixed"
        assert " ".join(made.command()) == f"python recipes/pretrain.py {where}"
        assert made.argv()[:2] == [sys.executable, "recipes/pretrain.py"]
        assert "--model_name_or_path out/mixed" in " ".join(found["seed-2-train-a"].arguments)
        assert found["seed-2-train-a"].needs == ("pretrain-mixed",)
        assert found["evaluate-mixed"].needs == ("pretrain-mixed",)
        assert found["evaluate-mixed"].output_dir == made.output_dir == Path("out/mixed")


def test_traces_are_chosen_from_others(tmp_path, choice):
    drawn = {
        "samples": {"teacher": "base"},
        "chosen": {"choose_from": "samples", "config": choice},
        "own": {"teacher": "a"},
        "own_chosen": {"choose_from": "own", "config": choice},
    }
    arms = {"a": GRPO, "b": SFT | {"traces": "own_chosen", "seeds": [2]}}
    found = by_name(
        declared(tmp_path, models={"base": BASE}, traces=drawn, arms=arms, seeds=[1, 2])
    )
    where = f"--config {choice} --output_dir out/chosen --run out/samples"
    assert " ".join(found["chosen"].arguments) == where
    assert found["chosen"].needs == ("samples",)
    assert found["seed-2-own_chosen"].arguments[-4:] == ("--run", "out/seed-2/own", "--seed", "2")
    assert "seed-1-own" not in found and "seed-1-own_chosen" not in found


def test_further_evaluations_are_of_the_same_weights_elsewhere(tmp_path):
    further = {"suite": "eval/suites/tiny.yaml", "of": ["base", "a"]}
    arms = {"a": GRPO | {"evaluation": {"engine": "eval/engines/vllm.yaml"}}}
    changes = {"models": {"base": BASE}, "traces": {}, "arms": arms, "seeds": [1, 2]}
    path = declared(tmp_path, **changes, evaluations={"more": further | {"seeds": [2]}})
    found = by_name(path)
    assert [n for n in found if n.endswith("more")] == [
        "evaluate-base-more",
        "seed-2-evaluate-a-more",
    ]
    made = found["seed-2-evaluate-a-more"]
    words = "--model out/seed-2/a --suite eval/suites/tiny.yaml --output_dir out/seed-2/a-more"
    assert " ".join(made.arguments) == f"{words} --engine eval/engines/vllm.yaml"
    assert made.needs == ("seed-2-train-a",)
    assert not [run for page in planned(path).pages for run in page.runs if "more" in run.name]
    path = declared(tmp_path, **changes, evaluations={"more": further})
    assert {"seed-1-evaluate-a-more", "seed-2-evaluate-a-more"} <= set(by_name(path))


OF_BASE = {"suite": "eval/suites/tiny.yaml", "of": ["base"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": {"m": {}}}, "models.m: give either model or pretraining"),
        (
            {"models": {"m": {"model": BASE, "pretraining": PRETRAINING}}},
            "models.m: give either model or pretraining",
        ),
        (
            {"models": {"m": {"pretraining": PRETRAINING, "revision": "a"}}},
            "models.m: revision is that of a model on the hub",
        ),
        ({"models": {"m": {"pretraining": "none.yaml"}}}, "models.m.pretraining is none.yaml: no"),
        ({"traces": {"t": {"choose_from": "u"}}}, "traces.t: choose_from 'u' is not under traces"),
        (
            {"traces": {"t": {"teacher": "base", "choose_from": "u"}, "u": {}}},
            "traces.t: give either teacher or choose_from",
        ),
        (
            {"traces": {"t": {"choose_from": "u"}, "u": {"choose_from": "t"}}},
            "in a circle: t -> u -> t",
        ),
        ({"arms": {"a": GRPO | {"seeds": [2, 2]}}}, "arms.a.seeds names a seed twice"),
        ({"arms": {"a": GRPO | {"seeds": []}}}, "arms.a.seeds is empty"),
        (
            {"arms": {"a": GRPO | {"start": "b", "seeds": [1, 4]}, "b": GRPO}},
            "a is made for seed 4, b, which it builds on, is not; add 4 to arms.b.seeds",
        ),
        (
            {
                "traces": {"t": {"teacher": "b"}},
                "arms": {"a": SFT | {"traces": "t"}, "b": GRPO | {"seeds": [2]}},
            },
            "t is made for seed 1, b, which it builds on, is not; add 1 to arms.b.seeds",
        ),
        ({"evaluations": {"e": OF_BASE | {"of": ["x"]}}}, "evaluations.e: 'x' is no model and no"),
        (
            {"evaluations": {"e": OF_BASE | {"of": ["a"], "seeds": [3]}}},
            "evaluations.e: a has no seed 3; add it to arms.a.seeds or leave it out",
        ),
        (
            {"evaluations": {"e": OF_BASE | {"suite": "x.yaml"}}},
            "evaluations.e.suite is x.yaml: no",
        ),
        (
            {"models": {"base": BASE, "base-e": BASE}, "evaluations": {"e": OF_BASE}},
            "'base-e' names two things",
        ),
    ],
)
def test_what_does_not_fit_together_is_one_sentence(tmp_path, changes, message):
    content = {"models": {"base": BASE}, "traces": {}, "arms": {"a": GRPO}}
    if "base" not in changes.get("models", {"base": BASE}):
        content["arms"] = {}
    path = declared(tmp_path, **(content | changes))
    with pytest.raises(UserError, match=r"experiment.yaml: ") as error:
        load_experiment(path)
    assert message in str(error.value)


# The runner.


def test_what_needs_no_failed_stage_goes_on(tmp_path, capsys):
    fails = stage(tmp_path, "fails", "print('first')\nprint('last words')\nraise SystemExit(3)")
    after = stage(tmp_path, "after", FINISH, needs=("fails",))
    last = stage(tmp_path, "last", FINISH, needs=("after",))
    other = stage(tmp_path, "other", "import time; time.sleep(1)\n" + FINISH)
    final = stage(tmp_path, "final", FINISH, needs=("other",))
    every, logs = [fails, after, last, other, final], tmp_path / "logs"
    names, done = [one.name for one in every], set()
    with pytest.raises(
        UserError,
        match=r"^failed: fails \(last words\); left out, as they need these: after, last; see "
        r".*logs/STAGE.log, ",
    ):
        runner.run_stages(every, names, done, logs, 2, keep_going=True)
    said = capsys.readouterr().out
    assert "fails.log: last words" in said
    assert "last: not run, it waits for after" in said
    assert done == runner.finished(every, logs) == {"other", "final"}
    assert read_json(logs / "fails.failed.json") == {"exit_code": 3, "last_line": "last words"}
    lines = [line.split("\t") for line in runner.states(every, done, logs)]
    assert [line[0] for line in lines] == ["1", "2", "3", "1", "2"]
    assert [line[2] for line in lines] == ["failed", "waiting", "waiting", "finished", "finished"]
    Path(fails.script).write_text(FINISH)
    runner.run_stages(every, names, done, logs, 2, keep_going=True)
    assert done == set(names) and not list(logs.glob("*.failed.json"))


def test_a_mark_says_how_long_and_one_that_does_not_counts_too(tmp_path, capsys):
    every = [stage(tmp_path, name, FINISH) for name in ("one", "two", "three")]
    every.append(stage(tmp_path, "later", FINISH, kind="traces"))
    logs = tmp_path / "logs"
    runner.run_stages(every, ["one", "two", "three"], set(), logs, 1)
    said = capsys.readouterr().out
    assert "one: finished, 1 of 4, about 1 min left" in said
    assert "three: finished, 3 of 4\n" in said
    mark = read_json(logs / "one.done.json")
    assert 0 < mark.pop("seconds") < 60
    assert mark == runner.identities(every)["one"]
    write_json(logs / "one.done.json", mark)
    assert runner.finished(every, logs) == {"one", "two", "three"}
    assert runner.time_left({}, every, 2) == ""
    kinds = [(one.kind, one.script) for one in every]
    durations = {kinds[0]: [60, 180], kinds[3]: [6000]}
    assert runner.time_left(durations, every[:1] * 3, 2) == ", about 3 min left"
    assert runner.time_left(durations, [every[3]] * 4, 2) == ", about 3.3 h left"
    other = stage(tmp_path, "other", FINISH, kind="training")
    # (60 + 180 + 6000) / 3 seconds
    assert runner.time_left(durations, [other], 1) == ", about 35 min left"


def small_study(tmp_path, small, choice):
    """A study of a few steps, on prompts and suites that are small enough for tests."""
    suite, more = small_suite(tmp_path), tmp_path / "more"
    more.mkdir()
    prompts = {"prompts": str(small / "prompts.yaml")}
    quick = prompts | {"max_steps": 1, "save_steps": 1, "probe_steps": 0}
    settings = prompts | {"samples": 2, "batch_size": 64}
    return declared(
        tmp_path,
        suite=str(suite),
        output_dir=str(tmp_path / "out"),
        accelerate_config=None,
        models={"base": BASE},
        traces={
            "samples": {"teacher": "base", "settings": settings},
            "chosen": {"choose_from": "samples", "config": choice},
        },
        arms={"sft": SFT | {"traces": "chosen", "settings": quick, "seeds": [1, 2]}},
        evaluations={
            "greedy": {
                "suite": str(small_suite(more, samples=1, greedy=True)),
                "of": ["base", "sft"],
                "seeds": [2],
            }
        },
        evaluation={"num_threads": 1},
        parallel=2,
    )


def test_a_study_runs_to_its_pages_and_then_has_nothing_to_do(tmp_path, small, choice, capsys):
    path = small_study(tmp_path, small, choice)
    command(["experiment", str(path)])
    out = tmp_path / "out"
    for seed in (1, 2):
        assert (out / f"seed-{seed}" / "report.html").exists()
        assert read_json(out / f"seed-{seed}" / "sft" / "run.json")["training"]["finished"]
    assert read_yaml(out / "chosen" / "config.yaml")["traces"]["policy"] == "concise"
    for folder in ("base-greedy", "seed-2/sft-greedy"):
        assert (out / folder / "alignment.json").exists()
    assert not (out / "seed-1" / "sft-greedy").exists()
    capsys.readouterr()
    command(["experiment", str(path), "--list"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9 and all(line.endswith("\tfinished") for line in lines)
    assert lines[0].split("\t")[:2] == ["1", "samples"]


def test_commands_of_one_stage_each_run_beside_each_other(tmp_path):
    suite = small_suite(
        tmp_path, tasks=yaml.safe_load((SUITES / "tiny_probe.yaml").read_text())["tasks"]
    )
    models = {"base": BASE, "teacher": "handan/tiny/weights/teacher_cold_start"}
    path = declared(
        tmp_path,
        suite=str(suite),
        output_dir=str(tmp_path / "out"),
        models=models,
        traces={},
        arms={},
    )
    words = [sys.executable, "-m", "handan", "experiment", str(path), "--only"]
    both = [subprocess.Popen([*words, f"evaluate-{name}"], cwd=ROOT) for name in models]
    deadline = time.monotonic() + 300
    assert [one.wait(deadline - time.monotonic()) for one in both] == [0, 0]
    # Whoever was last has seen the other's mark.
    assert (tmp_path / "out" / "report.html").exists()
    assert len(list((tmp_path / "out" / "logs").glob("*.done.json"))) == 2
