"""The tiny stand-ins of real families behave as the families do, through the project's own code."""

import json

import pytest
import yaml
from embedded import ROOT, SUITES, run_script
from families import FAMILIES, ROWS, family, make_tokenizer

from handan.files import read_json, read_jsonl
from handan.generation import prompting
from handan.generation.formats import FORMATS, detect
from handan.generation.transformers_engine import eos_ids, load_model
from handan.publish import files_of, publish

# Of the environment; nothing of a run may hold them.
SECRETS = {"HF_TOKEN": "planted-3f1c9", "OPENAI_API_KEY": "planted-77ab0"}
SECRETS |= {"WANDB_API_KEY": "planted-c0ffee"}
TEXT = "<think>\nWhere is ship 1234?\n</think>\n\nnorth"


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory):
    folder = family(request.param, tmp_path_factory.mktemp(request.param) / "model")
    model, tokenizer, _ = load_model(str(folder))
    return FAMILIES[request.param], model, tokenizer


def test_a_family_loads_with_its_own_words_and_tokens(loaded):
    kind, model, tokenizer = loaded
    made = make_tokenizer(kind)
    wanted = made(TEXT + kind.eos)["input_ids"]
    assert tokenizer(TEXT + kind.eos)["input_ids"] == wanted
    assert tokenizer.decode(wanted, skip_special_tokens=True) == TEXT
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        kind.bos,
        kind.eos,
        kind.pad,
    )
    assert 90_000 < model.num_parameters() < 200_000
    assert model.get_input_embeddings().num_embeddings == ROWS > len(tokenizer)


def test_every_end_of_a_family_ends_a_response(loaded):
    kind, model, tokenizer = loaded
    ends = {tokenizer.convert_ids_to_tokens(i) for i in eos_ids(model, tokenizer)}
    assert ends == {*kind.ends, kind.eos}


def test_a_prompt_begins_once_and_ends_where_the_model_speaks(loaded):
    kind, _, tokenizer = loaded
    ids = prompting.prompt_ids(tokenizer, "Where is the ship?", detect(tokenizer))
    text = tokenizer.decode(ids)
    assert "Where is the ship?" in text
    assert text.rstrip().endswith(("assistant", "<think>", "<|end_header_id|>"))
    if kind.adds_bos:
        assert ids.count(tokenizer.bos_token_id) == 1
        # Tokenising the written prompt would put a second one in front: the ids are what counts.
        assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 2


@pytest.mark.parametrize("name", ["r1_distill", "olmo3"])
def test_prefilled_families_open_the_span_in_the_prompt(name):
    tokenizer = make_tokenizer(FAMILIES[name])
    text = tokenizer.decode(prompting.prompt_ids(tokenizer, "Where?", detect(tokenizer)))
    assert text.rstrip().endswith("<think>")


def published(folder):
    """Prompts beside the human items, and traces as an imported set has them: text alone."""
    rows = []
    for first, second in ((12, 34), (23, 45), (31, 52), (44, 21)):
        question = f"A clerk adds {first} crates to {second} crates. How many are there?"
        shared = {"task": "binary_addition", "item": f"{first}+{second}", "wording": "natural"}
        answer = str(first + second)
        rows.append(shared | {"question": question, "answer": answer})
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for row in rows:
        reasoning = f"Tens first, then ones.\n\nSo {row['item']} is {row['answer']}."
        row |= {"completion_ids": None, "tokenizer": None, "reasoning_tokens": None}
        row |= {"reasoning_text": reasoning, "answer_text": row["answer"], "sample": 0}
        row |= {"text": f"<think>\n{reasoning}\n</think>\n\n{row['answer']}"}
    (folder / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def natural_suite(folder):
    suite = yaml.safe_load((SUITES / "human.yaml").read_text())
    tasks = [t for t in suite["tasks"] if t["task"] in ("cardinal_directions", "products")]
    suite |= {"tasks": tasks, "items_per_task": 3, "samples": 2, "greedy": False}
    suite |= {"max_new_tokens": 24, "batch_size": 8}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    return folder / "suite.yaml"


def evaluated(model, suite, run_dir):
    words = ["--model", model, "--suite", suite, "--output_dir", run_dir]
    run_script("eval/run.py", *words)
    rows = read_jsonl(run_dir / "generations.jsonl")
    assert len(rows) == 2 * 3 * 2
    return rows


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("llama", "r1_distill") else pytest.param(name, marks=pytest.mark.slow)
        for name in FAMILIES
    ],
)
def test_a_family_is_trained_on_text_traces_and_evaluated(name, tmp_path, monkeypatch):
    """The scripts as users run them, from the family's own model directory to its figures."""
    for variable, secret in SECRETS.items():
        monkeypatch.setenv(variable, secret)
    base, run_dir = family(name, tmp_path / "base"), tmp_path / "sft"
    published(tmp_path)
    suite = natural_suite(tmp_path)
    form = {"qwen2": "asked_to_think", "llama": "asked_to_think"}.get(name, "auto")
    settings = yaml.safe_load((ROOT / "recipes/configs/tiny/sft_distill.yaml").read_text())
    settings |= {"model_name_or_path": str(base), "output_dir": str(run_dir), "suite": str(suite)}
    settings |= {"prompts": str(tmp_path / "prompts.jsonl"), "traces_config": None}
    settings |= {"traces": str(tmp_path / "traces.jsonl"), "reasoning_format": form}
    settings |= {"max_steps": 2, "probe_steps": 0, "per_device_train_batch_size": 2}
    (tmp_path / "sft.yaml").write_text(yaml.safe_dump(settings))
    run_script("recipes/sft_distill.py", "--config", tmp_path / "sft.yaml")

    training = read_json(run_dir / "run.json")["training"]
    tokenizer = make_tokenizer(FAMILIES[name])
    reasoning = [row["reasoning_text"] for row in read_jsonl(tmp_path / "traces.jsonl")]
    spans = sum(len(tokenizer(text)["input_ids"]) for text in reasoning)
    # Line breaks at the edges may be tokens of their own, or part of a word of the span.
    assert training["finished"] and training["audit"]["traces"] == len(reasoning)
    assert abs(training["audit"]["reasoning_tokens"] - spans) <= 3 * len(reasoning)

    rows = evaluated(run_dir, suite, run_dir)
    kind = FAMILIES[name]
    assert kind.eos not in tokenizer.decode(rows[0]["completion_ids"][:-1])
    # A random model hardly ever stops: its costs are counted as cut off, not dropped.
    assert {row["status"] for row in rows} <= {"truncated", "unparsed", "no_reasoning"}
    result = read_json(run_dir / "alignment.json")["models"]["sft"]["tasks"]
    assert result["products"]["cap_rate"] > 0.5
    if name == "r1_distill":  # the prompt opens the span, so all that was written is reasoning
        cut = [row for row in rows if row["status"] == "truncated"]
        assert cut and all(row["reasoning_tokens"] == 24 for row in cut)
    if name == "llama":
        assert read_json(run_dir / "run.json")["training"]["reasoning_format"] == "asked_to_think"

    publish(run_dir, "me/arm", push=False, private=False)
    card = (run_dir / "README.md").read_text()
    assert "| sft " in card and "products" in card and "generated_from_trainer" not in card
    assert {"model.safetensors", "tokenizer.json", "README.md"} <= set(files_of(run_dir))
    assert "training_args.bin" not in files_of(run_dir)
    for path in run_dir.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not any(value.encode() in content for value in SECRETS.values()), path


def test_a_base_without_a_chat_template_is_asked_in_training_as_in_an_evaluation(tmp_path):
    base = family("qwen2", tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    published(tmp_path)
    suite = natural_suite(tmp_path)
    settings = yaml.safe_load((ROOT / "recipes/configs/tiny/on_policy_distill.yaml").read_text())
    settings |= {"model_name_or_path": str(base), "teacher_model_name_or_path": str(base)}
    settings |= {"output_dir": str(tmp_path / "opd"), "suite": str(suite), "max_steps": 1}
    settings |= {"prompts": str(tmp_path / "prompts.jsonl"), "reasoning_format": "asked_to_think"}
    settings |= {"max_completion_length": 8, "probe_steps": 0, "save_strategy": "no"}
    settings |= {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    (tmp_path / "opd.yaml").write_text(yaml.safe_dump(settings))
    run_script("recipes/on_policy_distill.py", "--config", tmp_path / "opd.yaml")
    tokenizer, form = load_model(str(base))[1], FORMATS["asked_to_think"]
    asked = {
        row["item"]: prompting.prompt_ids(tokenizer, row["question"], form)
        for row in read_jsonl(tmp_path / "prompts.jsonl")
    }
    assert tokenizer.decode(asked["12+34"]).startswith(form.system_prompt)
    rows = read_jsonl(tmp_path / "opd" / "rollouts.jsonl")
    assert {row["item"]: row["prompt_tokens"] for row in rows} == {
        k: len(v) for k, v in asked.items()
    }
