"""What would change lengths unseen: guards that no other module of tests shows, and their table.

The table in docs/reliability.md names for each guard the test that shows that it fires.
"""

import ast
import copy
import re

import pytest
import torch
from datasets import Dataset
from embedded import ROOT, WEIGHTS, load
from test_packing import rows
from trl import GRPOConfig, SFTConfig

from handan.config import read_yaml
from handan.errors import UserError
from handan.files import write_jsonl
from handan.launch import SINGLE
from handan.traces.generate import generate_traces
from handan.traces.trace_settings import GenerateSettings
from handan.training.labels import IGNORED
from handan.training.ledger import Ledger
from handan.training.losses import LOSSES, check_loss
from handan.training.settings import resolved
from handan.training.sft import LedgerSFTTrainer

PAGE = ROOT / "docs" / "reliability.md"
CPU = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none"}
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def table():
    """The rows of the section on length."""
    section = PAGE.read_text(encoding="utf-8").split("## Guards on length")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_every_test_that_the_table_names_is_there():
    assert len(table()) >= 30
    known = {}
    for line in table():
        found = NAMED.findall(line[-1])
        assert len(line) == 4 and found, line
        for file, name in found:
            if file not in known:
                tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
                known[file] = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
            assert name in known[file], f"{file}::{name}"


def test_every_module_that_the_table_names_is_there():
    for line in table():
        for name in re.findall(r"`([\w/]+\.py)`", line[2]):
            assert (ROOT / name).exists(), name


# The loss of imitation: every trained token of a global batch weighs the same.


def change_of_one_step(folder, batch, accumulation):
    """What one step of plain gradient descent with rate 1 changes in a layer."""
    model, tokenizer = load()
    model = copy.deepcopy(model)
    config = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        max_length=None,
        learning_rate=1.0,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        save_strategy="no",
        disable_tqdm=True,
        **CPU,
    )
    before = model.model.layers[0].mlp.down_proj.weight.detach().clone()
    data = Dataset.from_list(rows()[:4])
    trainer = LedgerSFTTrainer(
        model=model, args=config, train_dataset=data, processing_class=tokenizer
    )
    trainer.ledger = Ledger(folder, SINGLE)
    trainer.train()
    return before - model.model.layers[0].mlp.down_proj.weight.detach()


def gradient(of, weight):
    """The gradient of a sum of losses of rows, each with its own weight."""
    model, _ = load()
    model = copy.deepcopy(model)
    for row in of:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])
        logits = model(input_ids=ids).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, labels[1:], reduction="sum")
        (loss * weight(row)).backward()
    return model.model.layers[0].mlp.down_proj.weight.grad


def trained(row):
    return sum(label != IGNORED for label in row["labels"])


def test_accumulated_micro_batches_weigh_every_token_the_same(tmp_path):
    four = rows()[:4]
    assert len(set(map(trained, four))) > 2
    total = sum(map(trained, four))
    expected = gradient(four, lambda row: 1 / total)
    by_rows = gradient(four, lambda row: 1 / (4 * trained(row)))
    size = expected.norm()
    assert (by_rows - expected).norm() > 0.05 * size  # another weighting would be seen
    for batch, accumulation in ((4, 1), (1, 4)):
        change = change_of_one_step(tmp_path / str(batch), batch, accumulation)
        assert (change - expected).norm() < 1e-3 * size


# The loss of GRPO: what it divides by is always said, and never depends on micro-batches.


def grpo(**changes):
    settings = {"per_device_train_batch_size": 8, "num_generations": 4, **CPU, **changes}
    return GRPOConfig(output_dir="unused", **settings)


def test_a_loss_that_depends_on_micro_batches_stops():
    with pytest.raises(UserError, match="loss_type bnpo divides by the tokens of each of 2 micro"):
        check_loss(grpo(loss_type="bnpo", gradient_accumulation_steps=2), 1)
    with pytest.raises(UserError, match="each of 2 micro-batches"):
        check_loss(grpo(loss_type="bnpo", gradient_accumulation_steps=1), 2)
    check_loss(grpo(loss_type="bnpo", gradient_accumulation_steps=1), 1)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_of_trl_is_known_and_recorded(loss):
    level = {"luspo": "sequence"}.get(loss, "token")
    config = grpo(loss_type=loss, importance_sampling_level=level, gradient_accumulation_steps=1)
    check_loss(config, 1)
    settings = resolved(config)
    assert settings["loss_type"] == loss and settings["importance_sampling_level"] == level
    assert "average_tokens_across_devices" in settings and "num_iterations" in settings


@pytest.mark.parametrize("recipe", ["grpo", "sft_distill"])
def test_no_recipe_has_a_loss_by_default(recipe):
    from commands import main_of

    required = main_of(f"recipes/{recipe}.py").__globals__["REQUIRED"]
    assert "loss_type" in required
    for path in (ROOT / "recipes" / "configs").glob(f"*/{recipe}.yaml"):
        assert read_yaml(path)["loss_type"]


# A file of the same name that holds something else.


def prompts(path, second):
    shared = {"wording": "compact", "answer": "1 1", "task": "binary_addition"}
    rows = [
        {**shared, "item": "01+10", "question": "+ 1 0 ; 0 1 ; ="},
        {**shared, "item": "1+10", "question": second},
    ]
    write_jsonl(path, rows)


def test_traces_of_prompts_that_changed_stop(tmp_path):
    path = tmp_path / "prompts.jsonl"
    settings = GenerateSettings(
        output_dir=str(tmp_path / "traces"),
        arm="teacher",
        model_name_or_path=str(WEIGHTS / "base"),
        prompts=str(path),
        samples=1,
        temperature=1.0,
        top_p=1.0,
        max_new_tokens=64,
        batch_size=8,
        seed=1,
        keep="all",
    )
    prompts(path, "+ 0 1 ; 1 0 ; =")
    generate_traces(settings, SINGLE)
    kept = (tmp_path / "traces" / "generations.jsonl").read_bytes()
    prompts(path, "+ 0 1 ; 1 1 ; =")
    with pytest.raises(UserError, match="traces was begun with prompts_sha256"):
        generate_traces(settings, SINGLE)
    assert (tmp_path / "traces" / "generations.jsonl").read_bytes() == kept
