"""A real vLLM beside transformers: in this process, as a server, and in training.

Run by ``make test-vllm`` in an environment of its own, on the CPU.
"""

import os
import subprocess
import sys
from statistics import fmean

import pytest
import yaml
from embedded import (
    ROOT,
    WEIGHTS,
    free_port,
    run_python,
    serving,
    small_suite,
    wait_for_lines,
)
from families import wide_heads
from recipe_runs import PROMPTS, TWICE

from handan.files import read_json, read_jsonl

pytestmark = pytest.mark.vllm
# What a machine has to spare beside the tests; elsewhere vLLM takes .9 of it.
SHARE = 0.1
# Of a row: what was drawn, how it is counted, and what it is worth.
SAME = ("completion_ids", "prompt_tokens", "reasoning_tokens", "answer_tokens", "generated_tokens")
SAME += ("status", "answer", "correct")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model, a suite, and settings of every engine."""
    made = tmp_path_factory.mktemp("vllm")
    wide_heads(made / "model")
    small_suite(made, items_per_task=8, samples=1, greedy=True, batch_size=8)
    settings = {"transformers": {"engine": "transformers"}}
    for name, dtype in (("vllm", "float32"), ("auto", "auto")):
        settings[name] = {"engine": "vllm", "dtype": dtype, "gpu_memory_utilization": SHARE}
    for name, own in settings.items():
        (made / f"{name}.yaml").write_text(yaml.safe_dump(own))
    return made


def words(folder, engine, output_dir, model=None):
    asked = ["--model", model or folder / "model", "--suite", folder / "suite.yaml"]
    asked += ["--engine", folder / f"{engine}.yaml", "--output_dir", output_dir]
    return ["eval/run.py", *asked, "--num_threads", "1"]


def drawn(run_dir):
    return read_jsonl(run_dir / "generations.jsonl")


def rows(run_dir, greedy=False):
    """What was drawn for each item and sample, or for those at temperature 0 alone."""
    return {
        (row["task"], row["item"], row["sample"]): [row[name] for name in SAME]
        for row in drawn(run_dir)
        if row["sample"] == -1 or not greedy
    }


@pytest.fixture(scope="module")
def in_process(folder):
    """A run of the suite by vLLM in its process, and what it printed."""
    done = run_python(*words(folder, "vllm", folder / "here"))
    return folder / "here", done.stdout + done.stderr


def test_greedy_responses_are_those_of_transformers(folder, in_process):
    run_python(*words(folder, "transformers", folder / "reference"))
    expected = rows(folder / "reference", greedy=True)
    assert len(expected) == 32 and rows(in_process[0], greedy=True) == expected
    assert any(row[-3:] == ["complete", row[-2], True] for row in expected.values())


def test_version_and_type_of_numbers_are_recorded(in_process):
    import vllm

    run_dir, said = in_process
    engine = read_json(run_dir / "run.json")["evaluation"]["engine"]
    assert (engine["vllm"], engine["dtype"]) == (vllm.__version__, "float32")
    assert "note: the weights" not in said


def test_another_type_than_the_weights_is_told_and_is_another_run(folder, in_process):
    target = folder / "auto"
    said = run_python(*words(folder, "auto", target)).stdout
    assert f"note: the weights of {folder / 'model'} are float32 and vLLM computes in bfloa" in said
    assert read_json(target / "run.json")["evaluation"]["engine"]["dtype"] == "bfloat16"
    settings = {row["settings"] for run in (target, in_process[0]) for row in drawn(run)}
    assert len(settings) == 2  # so neither run goes on as the other


def test_killed_in_the_middle_it_goes_on_to_the_same_rows(folder, in_process):
    target = folder / "killed"
    command = [sys.executable, *map(str, words(folder, "vllm", target))]
    with open(folder / "killed.log", "w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    wait_for_lines(target / "generations.jsonl", 8, lambda: process.poll() is None)
    process.kill()
    process.wait()
    assert 8 <= len(drawn(target)) < 64
    run_python(*words(folder, "vllm", target))
    assert rows(target) == rows(in_process[0])


def test_a_server_gives_what_the_engine_in_process_gives(folder, in_process):
    port, target = free_port(), folder / "served"
    settings = {"engine": "openai", "base_url": f"http://127.0.0.1:{port}/v1"}
    settings["extra_body"] = {"return_token_ids": True}
    (folder / "openai.yaml").write_text(yaml.safe_dump(settings))
    like = ["--dtype", "float32", "--generation-config", "vllm"]
    like += ["--gpu-memory-utilization", SHARE]
    with serving(folder, port, "vllm", "serve", folder / "model", *like):
        run_python(*words(folder, "openai", target))
    assert {row["counted_by"] for row in drawn(target)} == {"token_ids"}
    assert rows(target) == rows(in_process[0])


@pytest.mark.parametrize(
    ("model", "share", "message"),
    [
        (None, 0.999, "vLLM does not start: Available memory on node 0 ("),
        (WEIGHTS / "base", SHARE, "vLLM stops: Unsupported CPU attention configuration: head_dim"),
    ],
)
def test_an_engine_that_cannot_work_is_one_sentence(folder, model, share, message):
    settings = {"engine": "vllm", "gpu_memory_utilization": share}
    (folder / "cannot.yaml").write_text(yaml.safe_dump(settings))
    done = run_python(*words(folder, "cannot", folder / "none", model), check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("handan: error:")]
    assert message in line


def test_grpo_draws_with_the_weights_it_has(folder):
    """In one process with the trainer, which hands its weights over after each step."""
    (folder / "prompts.yaml").write_text(PROMPTS)
    target = folder / "grpo"
    run = ["--model_name_or_path", folder / "model", "--output_dir", target]
    run += ["--prompts", folder / "prompts.yaml", "--suite", folder / "suite.yaml"]
    run += ["--max_steps", "2", "--probe_steps", "0", "--learning_rate", "0.01"]
    run += [*TWICE, "--num_generations", "4", "--warmup_steps", "0"]
    run += ["--use_vllm", "true", "--vllm_gpu_memory_utilization", SHARE]
    run += ["--vllm_max_model_length", "512", "--vllm_importance_sampling_mode", "token_truncate"]
    run += ["--vllm_importance_sampling_clip_max", "3"]
    plugin = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "unpacked")}
    config = ["recipes/grpo.py", "--config", "recipes/configs/tiny/grpo.yaml"]
    run_python(*config, *run, env=plugin)
    completions = read_jsonl(target / "rollouts.jsonl")
    assert [row["step"] for row in completions] == [1] * 16 + [2] * 16
    # A step this large changes every probability: with the weights of before, ratios would not be
    # near 1 in the second.
    for step in (1, 2):
        ratios = [row["ratio_mean"] for row in completions if row["step"] == step]
        assert abs(fmean(ratios) - 1) < 0.05
