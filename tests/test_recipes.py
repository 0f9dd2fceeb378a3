"""The recipes as users run them: launched, killed, resumed, logged. Each launch takes seconds."""

import json
import shutil
import time

import forked
import pytest
import torch
import yaml
from embedded import ROOT, WEIGHTS, run_script
from recipe_runs import PROMPTS, RECIPES, TWO_RANKS, arguments, of_two_ranks, traces, weights
from safetensors.torch import load_file
from saved import complete_checkpoints

from handan.checkpoints import what_is_wrong
from handan.errors import UserError
from handan.evaluation import sweep
from handan.evaluation.evaluate import evaluate
from handan.evaluation.suite import load_suite
from handan.files import file_hash, read_json, read_jsonl, write_json
from handan.generation.formats import FORMATS
from handan.generation.transformers_engine import TransformersEngine, load_model
from handan.launch import SINGLE
from handan.tiny.evaluation_items import held_out
from handan.training.resume import checkpoint_to_resume
from handan.training.settings import INERT, NOT_RESUMABLE

BY_VLLM = ["--use_vllm", "true", "--vllm_importance_sampling_clip_max", "3"]
BY_VLLM += ["--vllm_importance_sampling_mode"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_launched_run_leaves_a_complete_directory(small, trained, recipe):
    folder = trained(recipe)
    run = read_json(folder / "run.json")
    assert run["training"]["finished"]
    assert run["training"]["steps"] == 4
    assert run["training"]["budget"]["trained_tokens"] > 0
    assert run["training"]["budget"]["model_flops"] > 0
    assert run["training"]["held_out_check"] == {
        "rows": run["training"].get("num_prompts") or run["training"]["audit"]["traces"],
        "evaluation_items": len(held_out()),
        "found": 0,
    }
    config = yaml.safe_load((folder / "config.yaml").read_text())["training"]
    assert config["learning_rate"] == 3e-4
    probes = [r for r in read_jsonl(folder / "metrics.jsonl") if "alignment/mean_r_loglog" in r]
    assert [row["step"] for row in probes] == [0, 2, 4]
    rows = read_jsonl(folder / "probe.jsonl")
    assert len(rows) == 3 * 2 * 12 * 2
    assert {row["step"] for row in rows} == {0, 2, 4}


def test_sft_trains_every_token_of_every_trace(small, trained):
    run = read_json(trained("sft_distill") / "run.json")["training"]
    rows = read_jsonl(small / "traces" / "traces.jsonl")
    assert run["audit"]["traces"] == len(rows)
    assert run["audit"]["trained_tokens"] == sum(len(row["completion_ids"]) for row in rows)
    assert run["teacher"]["arm"] == "teacher"


def test_both_arms_start_from_the_same_measurement(trained):
    first = []
    for recipe in RECIPES:
        rows = read_jsonl(trained(recipe) / "metrics.jsonl")
        probe = next(row for row in rows if "alignment/mean_r_loglog" in row)
        # What the traces have cost is another matter.
        first.append({k: v for k, v in probe.items() if not k.startswith("budget/")})
    assert first[0] == first[1]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_probe_does_not_disturb_training(small, trained, tmp_path, recipe):
    run_script(*arguments(recipe, small, tmp_path / "run", "--probe_steps", "0"))
    assert weights(tmp_path / "run") == weights(trained(recipe))
    assert not (tmp_path / "run" / "probe.jsonl").exists()


@pytest.mark.parametrize("recipe", [*RECIPES, "on_policy_distill"])
def test_a_killed_run_goes_on_to_the_same_weights(small, trained, tmp_path, recipe):
    folder = tmp_path / "run"
    words = arguments(recipe, small, folder)
    process = forked.start(tmp_path, *words)
    mark = folder / "checkpoint-2" / "manifest.json"
    deadline = time.monotonic() + 240
    while not mark.exists():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not (folder / "model.safetensors").exists()
    # What a kill during the next save would leave behind, and what a failing disk.
    (folder / "checkpoint-3").mkdir()
    shutil.rmtree(folder / "checkpoint-4", ignore_errors=True)
    shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-4")
    done = run_script(*words, "--resume", "must")
    assert "checkpoint-3: incomplete: no manifest.json" in done.stdout
    assert "checkpoint-4: damaged: manifest.json is of step 2; not used" in done.stdout
    assert "checkpoint-3: removed; step 3 is trained again" in done.stdout
    assert list(complete_checkpoints(folder)) == [2, 4]
    assert what_is_wrong(folder / "checkpoint-4") is None
    assert weights(folder) == weights(trained(recipe))
    whole = read_json(trained(recipe) / "run.json")["training"]["budget"]
    resumed = read_json(folder / "run.json")["training"]["budget"]
    for count in ("trained_tokens", "processed_tokens", "generated_tokens", "model_flops"):
        assert resumed[count] == whole[count]

    kept = ("step", "alignment", "inflation", "cost", "status")

    def probes(of):
        return [
            {k: v for k, v in row.items() if k.startswith(kept)}
            for row in read_jsonl(of / "metrics.jsonl")
            if "alignment/mean_r_loglog" in row
        ]

    def responses(of):
        rows = read_jsonl(of / "probe.jsonl")
        return [{k: v for k, v in row.items() if k != "device_seconds"} for row in rows]

    assert probes(folder) == probes(trained(recipe))
    assert "inflation/k" in probes(folder)[-1]  # against step 0, which the first process measured
    assert responses(folder) == responses(trained(recipe))
    if recipe != "sft_distill":
        whole_of = trained(recipe)
        whole_rollouts = read_jsonl(whole_of / "rollouts.jsonl")
        assert read_jsonl(folder / "rollouts.jsonl") == whole_rollouts
        learning = [read_json(of / "run.json")["training"]["learning"] for of in (folder, whole_of)]
        assert learning[0] == learning[1] and learning[0]["completions"] == len(whole_rollouts)


def test_traces_are_the_same_after_a_cut(small, tmp_path):
    whole = small / "traces"
    folder = tmp_path / "traces"
    shutil.copytree(whole, folder)
    (folder / "traces.jsonl").unlink()
    generations = folder / "generations.jsonl"
    generations.write_bytes(generations.read_bytes()[: generations.stat().st_size // 3])
    traces(small, folder)
    assert file_hash(folder / "traces.jsonl") == file_hash(whole / "traces.jsonl")
    counts = read_json(folder / "run.json")["traces"]["counts"]
    assert counts["kept"] + sum(counts["dropped"].values()) == counts["responses"] == 120
    assert all(row["text"].endswith("<eos>") for row in read_jsonl(folder / "traces.jsonl"))


def test_sft_makes_its_traces_if_its_yaml_says_how(small, tmp_path):
    settings = yaml.safe_load((ROOT / "recipes/configs/tiny/traces.yaml").read_text())
    settings |= {"prompts": str(small / "prompts.yaml"), "output_dir": str(tmp_path / "t")}
    (tmp_path / "traces.yaml").write_text(yaml.safe_dump(settings | {"samples": 1}))
    more = ["--traces_config", tmp_path / "traces.yaml", "--traces", tmp_path / "t/traces.jsonl"]
    words = arguments("sft_distill", small, tmp_path / "run", "--max_steps", "2")
    run_script(*words, *more)
    assert read_json(tmp_path / "run" / "run.json")["training"]["finished"]


def test_sft_on_the_shortest_trace_of_each_prompt(small, tmp_path):
    concise = tmp_path / "concise"
    config = ["--config", "recipes/configs/tiny/traces_concise.yaml", "--run", small / "traces"]
    run_script("recipes/traces.py", *config, "--output_dir", concise)
    words = arguments("sft_distill", small, tmp_path / "run", "--max_steps", "1")
    run_script(*words, "--traces", concise / "traces.jsonl")
    run = read_json(tmp_path / "run" / "run.json")["training"]
    made = read_json(concise / "run.json")["traces"]
    assert run["teacher"] == read_json(small / "traces" / "run.json")["traces"]["teacher"]
    assert run["audit"]["traces"] == made["counts"]["kept"] > 0
    assert run["audit"]["tokenised_anew"] == 0


def test_a_run_that_was_killed_after_its_last_checkpoint_trains_no_step_more(small, tmp_path):
    folder = tmp_path / "run"
    # Within an epoch: at the end of the last one there are no rows left anyway.
    few = ["--max_steps", "3", "--save_steps", "3", "--probe_steps", "0"]
    words = arguments("sft_distill", small, folder, *few)
    run_script(*words)
    run, trained = read_json(folder / "run.json"), weights(folder)
    before = run["training"].copy()
    del run["training"]["finished"]
    write_json(folder / "run.json", run)
    (folder / "model.safetensors").unlink()
    run_script(*words)
    again = read_json(folder / "run.json")["training"]
    assert again["finished"] and again["steps"] == before["steps"] == 3
    assert again["budget"]["trained_tokens"] == before["budget"]["trained_tokens"]
    assert weights(folder) == trained


@pytest.mark.parametrize("recipe", TWO_RANKS)
def test_two_ranks_train_the_weights_of_one(small, trained, two_ranks, tmp_path, recipe):
    engine, folder = TWO_RANKS[recipe], two_ranks(recipe)
    if recipe == "sft_distill":
        alone, rows_of_both = tmp_path / "alone", ["--per_device_train_batch_size", "24"]
        more = [*of_two_ranks(recipe), *rows_of_both]
        run_script(*arguments(recipe, small, alone, *more, "--probe_steps", "0"))
    else:
        alone = trained(recipe)
    run = read_json(folder / "run.json")["training"]
    assert run["finished"] and run["steps"] == 4
    launched = run["launch"]
    assert (launched["processes"], launched["nodes"]) == (2, 1)
    if engine.startswith("zero"):
        assert launched["engine"] == "DEEPSPEED" and launched["zero_stage"] == int(engine[4])
        assert any((folder / "checkpoint-4").glob("global_step*"))
    else:
        assert launched["engine"] == "MULTI_CPU"
    last = folder / "checkpoint-4"
    assert what_is_wrong(last) is None
    assert checkpoint_to_resume(folder, "auto", launched, SINGLE) == str(last)
    with pytest.raises(UserError, match=r"checkpoint-4: saved by processes 2, .* processes 1"):
        checkpoint_to_resume(folder, "auto", one_launch(alone), SINGLE)
    rows = read_jsonl(folder / "probe.jsonl")
    steps = {row["step"] for row in rows}
    assert {0, 4} <= steps <= {0, 1, 2, 4}
    items = {(r["step"], r["task"], r["item"], r["sample"]) for r in rows}
    assert len(rows) == len(items) == 48 * len(steps)
    one = read_json(alone / "run.json")["training"]
    for count in ("trained_tokens", "processed_tokens", "generated_tokens", "model_flops"):
        assert run["budget"][count] == one["budget"][count]
    if recipe != "sft_distill":
        # The very same completions, whatever the number of processes.
        assert read_jsonl(folder / "rollouts.jsonl") == read_jsonl(alone / "rollouts.jsonl")
        assert run["learning"] == one["learning"]
    else:
        # The rows of a rank go through the model in parts of their own.
        for name in ("loss", "grad_norm", "entropy", "mean_token_accuracy", "num_tokens"):
            both = [
                [row[name] for row in read_jsonl(of / "metrics.jsonl") if name in row]
                for of in (folder, alone)
            ]
            assert both[0] == pytest.approx(both[1], rel=1e-4) and both[0]
    assert largest_difference(folder, alone) < 1e-5


def one_launch(folder):
    return read_json(folder / "run.json")["training"]["launch"]


def largest_difference(one, other):
    a, b = (load_file(folder / "model.safetensors") for folder in (one, other))
    return max((a[key] - b[key]).abs().max().item() for key in a)


def test_on_policy_distillation_counts_what_the_teacher_scored(trained):
    run = read_json(trained("on_policy_distill") / "run.json")["training"]
    rows = read_jsonl(trained("on_policy_distill") / "rollouts.jsonl")
    assert [row["step"] for row in rows] == sorted([1, 2, 3, 4] * 16)
    completion = sum(row["completion_tokens"] for row in rows)
    assert run["budget"]["generated_tokens"] == run["budget"]["trained_tokens"] == completion
    scored = completion + sum(row["prompt_tokens"] for row in rows)
    assert run["budget"]["teacher_scored_tokens"] == scored
    assert run["teacher"]["arm"] == "teacher_cold_start"
    assert run["held_out_check"]["rows"] == run["num_prompts"] == 60


def test_an_adapter_is_trained_saved_and_evaluated_like_any_other_arm(small, tmp_path):
    folder = tmp_path / "run"
    more = ["--use_peft", "true", "--lora_r", "4", "--lora_alpha", "8", "--lora_dropout", "0"]
    more += ["--lora_target_modules", "all-linear", "--probe_steps", "4"]
    run_script(*arguments("sft_distill", small, folder, *more))
    last = folder / "checkpoint-4"
    assert (last / "adapter_model.safetensors").exists()
    assert not (last / "model.safetensors").exists()
    merged, tokenizer, fingerprint = load_model(str(folder))
    adapted, _, of_checkpoint = load_model(str(last))
    early, _, of_early = load_model(str(folder / "checkpoint-2"))
    base, _, of_base = load_model(str(WEIGHTS / "base"))
    assert len({fingerprint, of_checkpoint, of_early, of_base}) == 4
    ids = torch.tensor([tokenizer("<bos> + 1 1 ; 0 1 ; = <think>")["input_ids"]])
    with torch.no_grad():
        logits = [model(ids).logits for model in (merged, adapted, early, base)]
    assert torch.allclose(logits[0], logits[1], atol=1e-5)
    assert not torch.allclose(logits[0], logits[2], atol=1e-4)
    assert not torch.allclose(logits[0], logits[3], atol=1e-4)
    # The evaluator reads the merged model as the last probe read the adapted one.
    suite = load_suite(small / "suite.yaml")
    engine = TransformersEngine(merged, tokenizer, FORMATS["tiny"], fingerprint)
    evaluate(engine, suite, folder, "sft", str(folder), SINGLE)
    costs = {
        (r["task"], r["item"], r["sample"]): r["reasoning_tokens"]
        for r in read_jsonl(folder / "generations.jsonl")
    }
    probed = {
        (r["task"], r["item"], r["sample"]): r["reasoning_tokens"]
        for r in read_jsonl(folder / "probe.jsonl")
        if r["step"] == 4
    }
    assert costs == probed
    # A sweep computes with the adapter as it was trained, so it says the same word for word.
    training = sweep.read_training(folder)
    policy = next(policy for policy in sweep.policies(training) if policy.model == str(last))
    sweep.evaluate_policy(policy, training, suite, folder / "sweep", SINGLE)
    keys = ("task", "item", "sample", "text")
    swept, probes = read_jsonl(folder / "sweep/step-4/generations.jsonl"), folder / "probe.jsonl"
    said = {tuple(row[key] for key in keys) for row in read_jsonl(probes) if row["step"] == 4}
    assert {tuple(row[key] for key in keys) for row in swept} == said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--learning_rat", "1"], "unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        (["--model_name_or_path", "./nowhere"], "./nowhere: no such model directory"),
        (["--prompts", "evil.jsonl"], "evil.jsonl, line 1: '0101+0011' of binary_addition"),
        (
            ["--config", "bad.yaml"],
            "bad.yaml: unknown key 'leraning_rate'; did you mean 'learning_rate'?",
        ),
        (["--config", "short.yaml"], "short.yaml: set model_name_or_path, output_dir, prompts, "),
        (["--config", "short.yaml"], "handan train grpo --config recipes/configs/tiny/grpo.yaml"),
        (["--reward_funcs", "mine"], "reward_funcs: is no key here; the reward is the"),
        (["--use_vllm", "true"], "set 'vllm_importance_sampling_mode' too; it decides"),
        ([*BY_VLLM, "sequence_mask"], "so its weight would fall with its length; use token_trunc"),
        ([*BY_VLLM, "token_truncate"], "use_vllm is true, but vllm is not installed: pip install"),
        (["--use_liger_kernel", "true"], "use_liger_kernel is true, but liger_kernel is not inst"),
        (["--use_peft", "true"], "use_peft is true: set 'lora_r' too; it decides the result"),
        (["--steps_per_generation", "8"], "save_steps is 2, but completions serve 4 steps"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(small, tmp_path, more, message):
    item = {"task": "binary_addition", "item": "0101+0011", "wording": "compact"}
    row = json.dumps({**item, "question": "+ 1 1 ; =", "answer": "0"})
    (tmp_path / "evil.jsonl").write_text(row + "\n")
    good = yaml.safe_load((ROOT / "recipes/configs/tiny/grpo.yaml").read_text())
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(good | {"leraning_rate": 1}))
    (tmp_path / "short.yaml").write_text("arm: x\n")
    more = [tmp_path / word if str(word).endswith(("jsonl", "yaml")) else word for word in more]
    words = arguments("grpo", small, tmp_path / "run")
    if "--config" in more:
        words = words[:1]
    done = run_script(*words, *more, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2
    assert last.startswith("handan: error: ") and message in last
    assert "Traceback" not in done.stderr


def test_a_finished_run_notices_that_its_files_hold_something_else(small, tmp_path):
    traces, prompts = tmp_path / "traces.jsonl", tmp_path / "prompts.yaml"
    shutil.copy(small / "traces" / "traces.jsonl", traces)
    shutil.copy(small / "prompts.yaml", prompts)
    more = ["--traces", traces, "--prompts", prompts, "--max_steps", "1", "--probe_steps", "0"]
    words = arguments("sft_distill", small, tmp_path / "run", *more)
    run_script(*words)
    whole = traces.read_text()
    traces.write_text(whole.partition("\n")[2])
    done = run_script(*words, check=False)
    assert done.returncode == 2 and "was begun with other traces" in done.stderr
    traces.write_text(whole)
    assert "finished already" in run_script(*words).stdout
    prompts.write_text(PROMPTS.replace("seed: 3", "seed: 4"))
    done = run_script(*words, check=False)
    assert done.returncode == 2 and "training was begun with prompts_sha256" in done.stderr


def test_a_finished_run_is_not_trained_again_and_never_mixed(small, trained, tmp_path):
    folder = trained("grpo")
    before = weights(folder)
    words = arguments("grpo", small, folder)
    assert "finished already" in run_script(*words).stdout
    done = run_script(*words, "--learning_rate", "0.1", check=False)
    assert done.returncode == 2
    assert "training was begun with learning_rate = 0.0003, now it is 0.1" in done.stderr
    assert weights(folder) == before


@pytest.mark.parametrize("recipe", [*RECIPES, "on_policy_distill"])
def test_help_is_a_screen_of_keys_that_can_be_used(recipe):
    lines = run_script(f"recipes/{recipe}.py", "--help").stdout.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 100
    shown = {line.split()[0] for line in lines if line.startswith("  --")}
    assert {"--arm", "--prompts", "--max_steps", "--resume"} <= shown
    every = run_script(f"recipes/{recipe}.py", "--help-all").stdout
    assert "  --adam_beta1 " in every
    assert not any(f"  --{name} " in every for name in (*INERT, *NOT_RESUMABLE))
